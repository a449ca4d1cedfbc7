"""The clock that paces an audio side."""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Alarm(Protocol):
    """A call that is due at some time."""

    def cancel(self) -> object:
        """Call it off; when it was made, nothing happens."""


class Clock(Protocol):
    """Seconds, and two ways to wait for them."""

    def time(self) -> float:
        """Seconds since some fixed moment."""

    async def sleep_until(self, time: float) -> None:
        """Return when `time` has come; yields to other tasks even when it is past."""

    def call_at(self, time: float, callback: Callable[[], object]) -> Alarm:
        """Call once `time` has come, in a later turn of the event loop even when it is past; spares a task."""


class LoopClock:
    """The event loop's clock, optionally running `speed` times as fast. Create it in a running loop."""

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0.0:
            raise ValueError(f"speed must be above 0, got {speed}")
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._speed = speed

    def time(self) -> float:
        """Seconds: the loop's time where the clock was made, from there on at this clock's speed."""
        return self._start + (self._loop.time() - self._start) * self._speed

    async def sleep_until(self, time: float) -> None:
        """Wait until this clock shows `time`."""
        await asyncio.sleep(max(0.0, (time - self.time()) / self._speed))

    def call_at(self, time: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call once this clock shows `time`."""
        return self._loop.call_at(self._start + (time - self._start) / self._speed, callback)
