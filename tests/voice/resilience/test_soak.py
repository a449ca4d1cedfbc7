"""Sessions leave nothing behind; with 1000 and 200 of them: python -m tests.voice.resilience.soak."""

from __future__ import annotations

from tests.voice.resilience.soak import soak


async def test_sessions_leave_nothing_behind() -> None:
    found = [left for _, left in await soak(0, 15)]
    _, first, second, last = found
    assert (last.tasks, last.threads, last.descriptors) == (first.tasks, first.threads, first.descriptors)
    assert last.tasks == 1
    growths = second.traced_kib - first.traced_kib, last.traced_kib - second.traced_kib
    assert min(growths) < 7.5  # half a KiB for each of 15; what leaks leaks every time, a cache fills once
