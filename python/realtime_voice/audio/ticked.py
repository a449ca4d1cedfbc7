"""Audio that keeps its own time: every 10 ms it looks whether there is something to do."""

from typing import Final

from realtime_voice.audio.clock import Alarm
from realtime_voice.audio.engine import EngineAudioIO

HOP_S: Final = 0.01
QUIET_HOPS: Final = 5
"""A session is woken when there is something new for it, and every fifth hop all the same."""


class TickedAudioIO(EngineAudioIO):
    """An audio side whose device fills and empties the rings; the tick moves what waits.

    A late tick loses nothing: the rings hold 10 s. A failure of the tick is raised by `captured`.
    """

    _alarm: Alarm | None = None  # of the next tick

    def _begin(self) -> None:
        self._due, self._quiet = self._clock.time(), 0
        self._await_hop()

    def _halt(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _await_hop(self) -> None:
        self._due = self._next(self._due)
        self._alarm = self._clock.call_at(self._due, self._tick)

    def _tick(self) -> None:
        try:
            self._hop()
            self._quiet += 1
            if self._has_news or self._quiet >= QUIET_HOPS:
                self._quiet = 0
                self._wake()
        except Exception as failure:  # noqa: BLE001 - handed to the session by captured()
            self._end(failure)
        else:
            if self._alarm is not None:  # not halted meanwhile
                self._await_hop()

    def _next(self, due: float) -> float:
        """When to tick again; ticks missed are not made up for."""
        return max(due + HOP_S, self._clock.time())

    def _hop(self) -> None:
        if not self._behind:
            waiting = self._take_captured()
            if waiting:
                self._capture(waiting)
        self._pump()
