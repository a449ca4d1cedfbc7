"""Sessions leave nothing behind; with 1000 and 200 of them: python -m tests.voice.resilience.soak."""

from __future__ import annotations

from tests.voice.resilience.soak import soak


async def test_sessions_leave_nothing_behind() -> None:
    found = [left for _, left in await soak(0, 15)]
    _, first, *_, last = found
    assert (last.tasks, last.threads, last.descriptors) == (first.tasks, first.threads, first.descriptors)
    assert last.tasks == 1
    assert last.traced_kib - first.traced_kib < 15  # half a KiB for each of the last 30
