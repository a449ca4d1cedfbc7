"""Time that a test moves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class SteppedClock:
    """A `Clock` that stands still until a test moves it; who waits for a moment gets it."""

    def __init__(self) -> None:
        self.now = 100.0
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []

    def time(self) -> float:
        return self.now

    async def sleep_until(self, time: float) -> None:
        if time <= self.now:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((time, future))
        await future

    def call_at(self, time: float, callback: Callable[[], object]) -> asyncio.Task[None]:
        async def wait() -> None:
            await self.sleep_until(time)
            callback()

        return asyncio.ensure_future(wait())

    def step(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 6)  # whole steps add up
        due = [entry for entry in self._waiting if entry[0] <= self.now + 1e-9]
        self._waiting = [entry for entry in self._waiting if entry not in due and not entry[1].done()]
        for _, future in due:
            if not future.done():
                future.set_result(None)

    async def run(self, seconds: float) -> None:
        """Let time pass in steps of 10 ms, in each of which tasks get a few turns."""
        for _ in range(round(seconds * 100)):
            self.step(0.01)
            for _ in range(4):
                await asyncio.sleep(0)
