"""A conversation in the terminal: who speaks, what is said, what tools do and how long answers take."""

import os
import sys
from typing import Final, TextIO

from realtime_voice.audio.portaudio import SILENT
from realtime_voice.audio.wire import (
    DeviceLost,
    DeviceRestored,
    MicrophoneSilent,
    PlayoutDrained,
    PlayoutStarted,
    SpeechStarted,
    SpeechStopped,
)
from realtime_voice.events import AgentTranscript, Interrupted, ToolCall, ToolResult, TurnLatency, UserTranscript
from realtime_voice.timeline import call

COLORS: Final = {"you": "34", "agent": "32", "tool": "33", "cut": "31", "device": "31", "latency": "2", "": "2"}
METER: Final = "▁▂▃▄▅▆▇█"
METER_FLOOR_DB: Final = -48.0


class Console:
    """Writes one line per happening and, on a terminal, keeps a line with meters below them.

    Colors appear on a terminal unless `NO_COLOR` is set. Times are seconds since the first event. Lines come as
    soon as their event does and are not sorted: the begin of speech is known only some tens of milliseconds after
    it, when the detector is sure, so that the cut it caused at the server may stand above it with a later time.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out if out is not None else sys.stdout
        self._live = self._out.isatty() and os.environ.get("TERM") != "dumb"
        self._color = self._live and "NO_COLOR" not in os.environ
        self._start: float | None = None
        self._status = ""
        self._cut: set[str] = set()

    def observe(self, event: object, time: float) -> None:
        """Show one event that came at `time`, seconds of the audio clock; events of no interest are left alone."""
        match event:
            case SpeechStarted(time=at):
                self.line("you", "▶ speaks", at)
            case SpeechStopped(time=at):
                self.line("you", "■ silent", at)
            case UserTranscript(text=text, final=True):
                self.line("you", f"“{text.strip()}”", time)
            case ToolCall(name=name, arguments=arguments):
                self.line("tool", call(name, arguments), time)
            case ToolResult(output=output, is_error=failed, duration_s=duration):
                word = "failed: " if failed else ""
                self.line("tool", f"→ {word}{_shortened(output)}  ({duration * 1000:.0f} ms)", time)
            case PlayoutStarted(time=at):
                self.line("agent", "▶ speaks", at)
            case PlayoutDrained(time=at):
                self.line("agent", "■ silent", at)
            case DeviceLost(reason=reason, time=at):
                self.line("device", f"lost: {reason}; looking for another", at)
            case DeviceRestored(microphone=microphone, speaker=speaker, missed_ms=missed, time=at):
                names = " and ".join(dict.fromkeys(name for name in (microphone, speaker) if name))
                self.line("device", f"there again: {names}, after {missed / 1000:.1f} s", at)
            case MicrophoneSilent(microphone=name, time=at):
                self.line("device", f"{name} gives nothing but zeros: {SILENT}", at)
            case AgentTranscript(item_id=item_id, text=text, final=True) if item_id not in self._cut:
                self.line("agent", f"“{text.strip()}”", time)
            case Interrupted(item_id=item_id, played_ms=played, received_ms=received, heard=heard):
                self._cut.add(item_id)  # its whole text may still come; it was not heard
                self.line("cut", f"heard {played / 1000:.2f} s of {received / 1000:.2f} s: “{heard.strip()}”", time)
            case TurnLatency(speech_end_to_received_s=received_s, speech_end_to_played_s=played_s):
                played_words = "" if played_s is None else f" → first audio played {played_s:.3f} s"
                self.line("latency", f"end of speech → first audio received {received_s:.3f} s{played_words}", time)

    def line(self, who: str, words: str, time: float | None = None) -> None:
        """Write a line of one speaker; `time` in seconds of the audio clock."""
        if time is not None and self._start is None:
            self._start = time
        stamp = " " * 9 if time is None or self._start is None else f"{time - self._start:7.2f} s"
        code = COLORS.get(who, "0")
        name = f"\x1b[{code}m{who:>7}\x1b[0m" if self._color else f"{who:>7}"
        if self._color and who == "latency":
            words = f"\x1b[2m{words}\x1b[0m"
        self._clear()
        self._out.write(f"{stamp}  {name}  {words}\n")
        self._out.write(self._status)
        self._out.flush()

    def status(self, user_db: float, agent_db: float, words: str) -> None:
        """Keep meters of both sides (dBFS peaks) and `words` below the conversation; nothing unless on a terminal."""
        if not self._live:
            return
        columns = os.get_terminal_size(self._out.fileno()).columns
        text = f"  you {_meter(user_db)}  agent {_meter(agent_db)}  {words}"[: columns - 1]
        if text != self._status:
            self._clear()
            self._status = text
            self._out.write(text)
            self._out.flush()

    def close(self) -> None:
        """Take the line with the meters away."""
        self._clear()
        self._status = ""
        self._out.flush()

    def _clear(self) -> None:
        if self._status:
            self._out.write("\r\x1b[2K")


def _meter(db: float) -> str:
    steps = 8
    filled = max(0.0, 1.0 - db / METER_FLOOR_DB) * steps
    return "".join(METER[position] if position < filled else "·" for position in range(steps))


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:159] + "…"
