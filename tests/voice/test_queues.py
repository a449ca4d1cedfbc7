"""The bounded queues of a session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from realtime_voice import queues
from realtime_voice.queues import EventQueue, MessageQueue

if TYPE_CHECKING:
    import pytest


async def waits(task: asyncio.Task[None]) -> bool:
    """Whether a task still waits after all that can run has run."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


async def test_messages_are_sent_in_order_and_stay_first_until_sent() -> None:
    queue = MessageQueue()
    getting = asyncio.create_task(queue.first())
    await asyncio.sleep(0)
    queue.put(b"one")
    queue.put(b"two")
    assert await getting == b"one"
    assert await queue.first() == b"one"
    queue.sent()
    assert await queue.first() == b"two"


async def test_producers_wait_between_the_water_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MESSAGE_BYTES", 100)
    queue = MessageQueue()
    for _ in range(3):
        queue.put(bytes(34))
    producer = asyncio.create_task(queue.room())
    assert await waits(producer)
    queue.sent()
    assert await waits(producer)  # 68 bytes are above the lower mark
    queue.sent()
    assert not await waits(producer)
    flush = asyncio.create_task(queue.empty())
    assert await waits(flush)
    queue.sent()
    assert not await waits(flush)


async def test_nobody_waits_for_a_queue_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MESSAGE_BYTES", 10)
    queue = MessageQueue()
    queue.put(bytes(20))
    waiting = [asyncio.create_task(queue.room()), asyncio.create_task(queue.empty())]
    assert await waits(waiting[0])
    queue.end()
    await asyncio.gather(*waiting)
    queue.put(bytes(20))
    for wait in (queue.room, queue.empty):
        assert not await waits(asyncio.create_task(wait()))


async def test_without_a_reader_the_oldest_events_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "EVENTS_KEPT", 3)
    queue: EventQueue[int] = EventQueue()
    for number in range(10):
        queue.put(number)
        await queue.room()
    assert (len(queue), queue.dropped) == (3, 7)
    assert await queue.get() == 7


async def test_with_a_reader_the_producer_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "EVENTS_KEPT", 3)
    queue: EventQueue[int] = EventQueue()
    queue.put(0)
    assert await queue.get() == 0
    for number in range(3):
        queue.put(number)
    producer = asyncio.create_task(queue.room())
    assert await waits(producer)
    assert await queue.get() == 0
    assert not await waits(producer)
    assert queue.dropped == 0


async def test_reader_that_went_away_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queues, "EVENTS_KEPT", 3)
    monkeypatch.setattr(queues, "SLOW_READER_S", 0.001)
    queue: EventQueue[int] = EventQueue()
    queue.put(0)
    await queue.get()
    for number in range(8):
        queue.put(number)
        await queue.room()
    assert queue.dropped > 0
    assert caplog.text.count("no event was taken") == 1


async def test_end_comes_behind_the_last_event() -> None:
    queue: EventQueue[int] = EventQueue()
    readers = [asyncio.create_task(_all(queue)) for _ in range(3)]
    await asyncio.sleep(0)
    for number in range(5):
        queue.put(number)
    queue.end()
    found = await asyncio.gather(*readers)
    assert sorted(number for numbers in found for number in numbers) == list(range(5))


async def _all(queue: EventQueue[int]) -> list[int]:
    found = []
    while True:
        try:
            found.append(await queue.get())
        except StopAsyncIteration:
            return found
