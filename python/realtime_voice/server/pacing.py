"""When audio leaves: one clock for all sessions of a server, whatever their number."""

import asyncio
import heapq
import itertools
from typing import Protocol

LEAD_S = 0.2
"""Audio sent at once, before pacing begins, so that a player has something to start on."""


class Stream(Protocol):
    """Audio that leaves piece by piece."""

    def advance(self) -> float | None:
        """Send the piece that is due. Return when the next one is (loop time), None after the last."""


class Pacer:
    """Advances streams when they are due, from one timer of the event loop. One thread."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Stream]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, stream: Stream, due: float) -> None:
        """Advance `stream` at `due`, then whenever it says."""
        heapq.heappush(self._due, (due, next(self._order), stream))
        self._set_timer()

    def _set_timer(self) -> None:
        due = self._due[0][0]
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now:
            _, order, stream = self._due[0]
            following = stream.advance()
            if following is None:
                heapq.heappop(self._due)
            else:
                heapq.heapreplace(self._due, (following, order, stream))
        if self._due:
            self._set_timer()


class Schedule:
    """When the audio of one response leaves: at `pace` times real time, LEAD_S of it at once."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self._start = 0.0
        self._sent_s = 0.0

    def begin(self, now: float) -> float:
        """Return when audio that is there now may leave. A pause before it is not made up for by sending faster."""
        self._start = max(self._start, now - self._ahead_s())
        return self._start + self._ahead_s()

    def sent(self, seconds: float) -> float:
        """Count audio that has left; return when more may."""
        self._sent_s += seconds
        return self._start + self._ahead_s()

    def stalled(self, seconds: float) -> float:
        """Put everything off; return when to try again."""
        self._start += seconds
        return self._start + self._ahead_s()

    def _ahead_s(self) -> float:
        return max(0.0, self._sent_s - LEAD_S) / self.pace
