"""The two bounded queues of a session: events on their way to the application, messages on their way to the socket."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, Generic, TypeVar

EVENTS_KEPT: Final = 1024
"""Events that wait for the application; beyond, the producer waits or the oldest are dropped."""
SLOW_READER_S: Final = 5.0
"""After so long without a taken event nobody is believed to read any more."""
MESSAGE_BYTES: Final = 1024 * 1024
"""Bytes that wait for the socket; beyond, producers wait."""

_logger = logging.getLogger("realtime_voice.session")
T = TypeVar("T")


class EventQueue(Generic[T]):
    """Events in order, each handed out once. With a reader the producer waits for room; without, the oldest go."""

    def __init__(self) -> None:
        self.dropped = 0
        """Events that nobody took."""
        self._events: deque[T] = deque()
        self._has_reader = False
        self._is_over = False
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: T) -> None:
        """Add an event; never waits."""
        self._events.append(event)
        if len(self._events) > (2 * EVENTS_KEPT if self._has_reader else EVENTS_KEPT):
            self._events.popleft()
            self.dropped += 1
        self._arrived.set()

    async def get(self) -> T:
        """Wait for the next event; cancelling loses none. Raises StopAsyncIteration behind the last."""
        self._has_reader = True
        while not self._events:
            if self._is_over:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        self._taken.set()
        return event

    @property
    def has_room(self) -> bool:
        """`room` would not wait."""
        return not self._has_reader or self._is_over or len(self._events) < EVENTS_KEPT

    async def room(self) -> None:
        """Wait until a reader has taken enough; not for a reader that takes none for SLOW_READER_S."""
        while not self.has_room:
            self._taken.clear()
            try:
                async with asyncio.timeout(SLOW_READER_S):
                    await self._taken.wait()
            except TimeoutError:
                self._has_reader = False
                _logger.warning("no event was taken for %g s: the oldest are dropped", SLOW_READER_S)

    def end(self) -> None:
        """No more events come; those that wait are still handed out."""
        self._is_over = True
        self._arrived.set()
        self._taken.set()


class MessageQueue:
    """Messages for one writer, with water marks for those who produce them."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._size = 0
        self._is_over = False
        self._arrived = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def has_room(self) -> bool:
        """`room` would not wait."""
        return self._has_room.is_set()

    def put(self, message: bytes) -> None:
        """Add a message; never waits. Producers call `room` afterwards. Behind the end it is let go."""
        if self._is_over:
            return
        self._messages.append(message)
        self._size += len(message)
        if self._size > MESSAGE_BYTES:
            self._has_room.clear()
        self._is_empty.clear()
        self._arrived.set()

    async def room(self) -> None:
        """Wait while more than MESSAGE_BYTES wait for the socket, until half of them are sent."""
        await self._has_room.wait()

    async def empty(self) -> None:
        """Wait until everything is sent."""
        await self._is_empty.wait()

    async def first(self) -> bytes:
        """Wait for a message; it stays first until `sent`."""
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        return self._messages[0]

    def sent(self) -> None:
        """Remove the first message."""
        self._size -= len(self._messages.popleft())
        if self._size <= MESSAGE_BYTES // 2:
            self._has_room.set()
        if not self._messages:
            self._is_empty.set()

    def end(self) -> None:
        """Nothing will be sent any more: nobody waits for that."""
        self._is_over = True
        self._has_room.set()
        self._is_empty.set()
