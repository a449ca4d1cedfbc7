"""Audio that keeps its own time: one task looks every 10 ms whether there is something to do."""

import asyncio
from contextlib import suppress
from typing import Final

from realtime_voice.audio.engine import EngineAudioIO

HOP_S: Final = 0.01
QUIET_HOPS: Final = 5
"""A session is woken when there is something new for it, and every fifth hop all the same."""


class TickedAudioIO(EngineAudioIO):
    """An audio side whose device fills and empties the rings; the tick moves what waits.

    A late tick loses nothing: the rings hold 10 s. A failure of the tick is raised by `captured`.
    """

    _task: asyncio.Task[None] | None = None

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._tick(), name="audio tick")

    async def _halt(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _tick(self) -> None:
        due, quiet = self._clock.time(), 0
        try:
            while True:
                due = self._next(due)
                await self._clock.sleep_until(due)
                self._hop()
                quiet += 1
                if self._has_news or quiet >= QUIET_HOPS:
                    quiet = 0
                    self._wake()
        except Exception as failure:  # noqa: BLE001 - handed to the session by captured()
            self._end(failure)

    def _next(self, due: float) -> float:
        """When to tick again; ticks missed are not made up for."""
        return max(due + HOP_S, self._clock.time())

    def _hop(self) -> None:
        if not self._behind:
            waiting = self._take_captured()
            if waiting:
                self._capture(waiting)
        self._pump()
