"""How long the user waits: for an answer, for silence, for a connection; from the times that others tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from realtime_voice.events import Interrupted, Reconnected, Renewed, TurnLatency

if TYPE_CHECKING:
    from realtime_voice.events import ConnectionChanged


@dataclass(slots=True)
class Durations:
    """What was measured of one kind of wait so far, in seconds; 0.0 before the first."""

    count: int = 0
    last_s: float = 0.0
    mean_s: float = 0.0
    longest_s: float = 0.0

    def add(self, seconds: float | None) -> None:
        """Count one; None was not measured."""
        if seconds is None:
            return
        self.count += 1
        self.last_s = seconds
        self.mean_s += (seconds - self.mean_s) / self.count
        self.longest_s = max(self.longest_s, seconds)


@dataclass(slots=True)
class Latencies:
    """How long the user of a session has waited so far; the sums of what its events tell one by one."""

    speech_end_to_received: Durations = field(default_factory=Durations)
    """From the end of the user's speech to the first audio of the answer."""
    speech_end_to_played: Durations = field(default_factory=Durations)
    """From there to where it came out of the speaker."""
    speech_to_silence: Durations = field(default_factory=Durations)
    """From the beginning of the speech that interrupted the agent to silence."""
    renewal: Durations = field(default_factory=Durations)
    """For how long the server was not sent the user's audio, at renewals in time."""
    reconnection: Durations = field(default_factory=Durations)
    """For how long there was no connection, after a loss."""

    def add(self, event: TurnLatency | Interrupted | ConnectionChanged) -> None:
        """Count what an event tells; of the items that one interruption cut, only one."""
        match event:
            case TurnLatency():
                self.speech_end_to_received.add(event.speech_end_to_received_s)
                self.speech_end_to_played.add(event.speech_end_to_played_s)
            case Interrupted():
                self.speech_to_silence.add(event.speech_to_silence_s)
            case Renewed():
                self.renewal.add(event.outgoing_gap_s)
            case Reconnected():
                self.reconnection.add(event.incoming_gap_s)
            case _:
                pass


class TurnClock:
    """From the end of the user's speech to the first audio of the answer. All times in seconds of one clock.

    A turn that is answered by a tool call first is measured to the audio that follows in the end.
    """

    def __init__(self) -> None:
        self.awaits_playout = False
        """Someone tells `played`; otherwise a turn is done when the first audio has arrived."""
        self._has_local_speech = False
        self._is_committed = False
        self._speech_end: float | None = None
        self._received: float | None = None
        self._response_id = ""
        self._item_id = ""

    def speech_stopped(self, time: float, *, local: bool) -> None:
        """Note when the user stopped; a local detector is exact, and from its first word on the only one asked."""
        self._has_local_speech |= local
        if local or not self._has_local_speech:
            self._speech_end = time

    def committed(self) -> None:
        """Note that the server took the user's turn."""
        self._is_committed = True

    def received(self, response_id: str, item_id: str, time: float) -> TurnLatency | None:
        """Note that audio of an item arrived."""
        if self._received is not None or not self._is_committed or self._speech_end is None:
            return None
        self._received, self._response_id, self._item_id = time, response_id, item_id
        return None if self.awaits_playout else self._done(None)

    def played(self, item_id: str, time: float) -> TurnLatency | None:
        """Note that the first sample of an item came out of the speaker."""
        return self._done(time) if self._received is not None and item_id == self._item_id else None

    def cut(self, item_id: str) -> None:
        """Note that an item was cut; if it never began to play, nothing is left to measure."""
        if item_id == self._item_id:
            self._reset()

    def _done(self, played: float | None) -> TurnLatency | None:
        end, received, response_id, item_id = self._speech_end, self._received, self._response_id, self._item_id
        self._reset()
        if end is None or received is None:
            return None
        return TurnLatency(
            response_id=response_id,
            item_id=item_id,
            speech_end_to_received_s=max(0.0, received - end),
            speech_end_to_played_s=None if played is None else max(0.0, played - end, received - end),
        )

    def _reset(self) -> None:
        self._is_committed = False
        self._speech_end = self._received = None
        self._response_id = self._item_id = ""
