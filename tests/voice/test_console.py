"""The conversation in the terminal: lines anywhere, colors and meters on a terminal only; keys and their end."""

import asyncio
import io
import os
import pty
import sys
import termios

from realtime_voice.audio import DeviceLost, DeviceRestored, MicrophoneSilent, PlayoutStarted, SpeechStarted
from realtime_voice.console import Console
from realtime_voice.events import AgentTranscript, Interrupted, ToolCall, ToolResult, TurnLatency, UserTranscript
from realtime_voice.keys import Keys


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def fileno(self):
        raise OSError


def show(out):
    console = Console(out)
    for event in (
        SpeechStarted(0, 5.0),
        UserTranscript(item_id="u", delta="", text="add these", final=True),
        UserTranscript(item_id="u", delta="not", text="not yet", final=False),
        ToolCall(call_id="c", name="add", arguments={"a": 1}),
        ToolResult(call_id="c", name="add", output="x" * 500, is_error=True, duration_s=0.25),
        PlayoutStarted("a", 6.5),
        TurnLatency(response_id="r", item_id="a", speech_end_to_received_s=0.2, speech_end_to_played_s=0.25),
        Interrupted(item_id="a", content_index=0, played_ms=1230, received_ms=4000, heard="it is", full="it is three"),
        AgentTranscript(response_id="r", item_id="a", content_index=0, delta="", text="it is three", final=True),
        AgentTranscript(response_id="r", item_id="b", content_index=0, delta="", text="four", final=True),
    ):
        console.observe(event, 7.0)
    return console


def test_every_happening_has_its_line():
    out = io.StringIO()
    show(out)
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["0.00", "s", "you", "▶", "speaks"]
    assert "“add these”" in lines[1]
    assert "add(a=1)" in lines[2]
    assert "failed: xxx" in lines[3]
    assert len(lines[3]) < 250
    assert lines[4].split() == ["1.50", "s", "agent", "▶", "speaks"]
    assert "first audio received 0.200 s → first audio played 0.250 s" in lines[5]
    assert "heard 1.23 s of 4.00 s: “it is”" in lines[6]
    assert "“four”" in lines[7]  # and not what was cut
    assert len(lines) == 8
    assert "\x1b" not in out.getvalue()


def test_what_happens_to_the_devices_is_told():
    out = io.StringIO()
    console = Console(out)
    console.observe(MicrophoneSilent("headset", 3.0), 3.0)
    console.observe(DeviceLost("it was unplugged", 4.0), 4.0)
    console.observe(DeviceRestored("built-in", "built-in", 1234, 5.2), 5.2)
    silent, lost, restored = out.getvalue().splitlines()
    assert "headset gives nothing but zeros: " in silent
    assert lost.split() == ["1.00", "s", "device", "lost:", "it", "was", "unplugged;", "looking", "for", "another"]
    assert restored.endswith("device  there again: built-in, after 1.2 s")


def test_colors_only_on_a_terminal_that_wants_them(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    show(out)
    assert "\x1b[34m" in out.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    show(out)
    assert "\x1b" not in out.getvalue()


def test_meters_stay_below_the_conversation(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((60, 20)))
    out = Terminal()
    out.fileno = lambda: 1
    console = Console(out)
    console.status(-6.0, -60.0, "q quits " * 20)
    status = out.getvalue()
    assert len(status) == 59
    assert "▁▂▃▄▅▆▇·" in status
    console.line("you", "hello", 1.0)
    assert out.getvalue().endswith("hello\n" + status)
    console.close()
    assert out.getvalue().endswith("\r\x1b[2K")
    quiet = io.StringIO()
    Console(quiet).status(-6.0, -60.0, "")
    assert quiet.getvalue() == ""


async def test_keys_are_read_one_by_one_and_the_terminal_comes_back(monkeypatch):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    pressed = []
    with os.fdopen(slave) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        with Keys(pressed.append):
            assert termios.tcgetattr(slave)[3] & termios.ICANON == 0
            os.write(master, b"m+")
            for _ in range(200):
                if len(pressed) == 2:
                    break
                await asyncio.sleep(0.01)
        assert termios.tcgetattr(slave) == before
    os.close(master)
    assert pressed == ["m", "+"]


async def test_without_a_terminal_there_are_no_keys(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("mq"))
    with Keys(refuse):
        await asyncio.sleep(0)


def refuse(key):
    raise AssertionError(key)
