"""A clock that moves only when a test says so."""

import asyncio

import pytest


class ManualClock:
    def __init__(self):
        self.now = 100.0
        self._waiting = []

    def time(self):
        return self.now

    async def sleep_until(self, time):
        if time <= self.now:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((time, future))
        await future

    async def run(self, seconds):
        """Let time pass in steps of 10 ms; whoever waits for a moment gets it."""
        for _ in range(round(seconds * 100)):
            self.now = round(self.now + 0.01, 6)
            due = [entry for entry in self._waiting if entry[0] <= self.now + 1e-9]
            self._waiting = [entry for entry in self._waiting if entry not in due]
            for _, future in due:
                if not future.done():
                    future.set_result(None)
            for _ in range(4):
                await asyncio.sleep(0)


@pytest.fixture
def clock():
    return ManualClock()
