"""One connection of a session: a socket, the protocol that runs over it, and what waits to be sent."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from typing import TYPE_CHECKING, Final

from realtime_voice.errors import AuthenticationError, ConnectionClosed, LocalProtocolError
from realtime_voice.queues import MessageQueue
from realtime_voice.states import SessionState

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_voice._socket import Socket
    from realtime_voice.endpoint import Endpoint
    from realtime_voice.protocol import ClientProtocol

PING_S: Final = 2.0
"""How often the peer is asked for a sign of life."""
_PING: Final = b""
_EVENT_ID: Final = re.compile(rb'"event_id"\s*:\s*"([^"]+)"')


class Connection:
    """The session's present connection, or the one that is to succeed it.

    `generation` counts a session's connections from 1: what comes from another than the present one is not heard.
    """

    def __init__(self, generation: int, protocol: ClientProtocol) -> None:
        self.generation = generation
        self.protocol = protocol
        self.outgoing = MessageQueue()
        self.loss: BaseException | None = None
        """Why it ended."""
        self.lost_at = 0.0
        """Since when nothing comes, by the session's clock."""
        self.is_reading = True
        """False while the session takes nothing: silence is then no sign."""
        self.silent_s = 0.0
        """How long nothing has come, not counting time in which the event loop was blocked."""
        self.alive_at = 0.0
        """When a message came last, by the session's clock."""
        self.delivered = 0
        """The sample of the session's audio up to which everything has arrived at the peer."""
        self.configured_at = float("inf")
        """When the server accepted the configuration, by the session's clock."""
        self.duplicates = 0
        """Messages that came twice in a row, and were heard once."""
        self._socket: Socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_retired = False
        self._failure: Exception | None = None
        self._is_settled = asyncio.Event()  # configured, or not to be
        self._is_lost = asyncio.Event()
        self._received_bytes = self._unsent_bytes = 0
        self._earlier = self._last = b""  # messages
        self._pings: deque[int] = deque()  # sent and not answered: the sample before which all was sent
        self._since_ping_s = 0.0

    async def open(self, endpoint: Endpoint, timeout_s: float) -> None:
        """Connect. Raises ConnectError or AuthenticationError."""
        from realtime_voice._socket import connect

        self._socket = await connect(endpoint, timeout_s=timeout_s)

    def serve(self, task: asyncio.Task[None]) -> None:
        """Belong to the task that reads it and closes it at its end."""
        self._task = task

    async def configured(self, timeout_s: float) -> bool:
        """Wait until the server has accepted the configuration; False when it says nothing. Raises why it ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_settled.wait()
        if self.loss is not None:
            raise self.loss
        return self.protocol.session is SessionState.READY

    @property
    def is_lost(self) -> bool:
        """It has ended, or is as good as that."""
        return self.loss is not None

    async def lost(self) -> None:
        """Wait until it has ended."""
        await self._is_lost.wait()

    def lose(self, reason: BaseException, at: float) -> None:
        """Note why it ended, and since when nothing comes; the first reason counts."""
        if self.loss is None:
            self.loss, self.lost_at = reason, at
            self.outgoing.end()
            self._is_lost.set()
            self._is_settled.set()

    def note_state(self) -> None:
        """Look at what a message made of the protocol's state."""
        if self.protocol.session is not SessionState.CONFIGURING:
            self._is_settled.set()

    def retire(self) -> None:
        """Read no further and close in the background."""
        self.lose(ConnectionClosed("replaced by another connection", 1000), self.alive_at)
        if self._task is not None and not self._is_retired:
            self._is_retired = True
            self._task.cancel()

    async def close(self) -> None:
        """Close within a second, whatever the peer does; more calls do nothing."""
        self._is_retired = True
        self.outgoing.end()
        if self._socket is not None:
            await self._socket.close()

    # --- receiving ---

    def listen(self, take: Callable[[bytes], bool]) -> None:
        """Have messages taken as they arrive; what is not taken (False) waits for `receive`.

        That also raises what `take` does.
        """

        def listener(message: bytes) -> bool:
            if self.is_lost:
                return True
            try:
                return take(message)
            except Exception as failure:  # noqa: BLE001  told by `receive`, which its return value wakes
                self._failure = failure
                return False

        self._opened.listen(listener)

    async def receive(self) -> bytes:
        """Wait for the next message that was not taken as it arrived. Raises RealtimeError at the end."""
        try:
            message = await self._opened.receive()
        except ConnectionClosed as closed:
            if closed.code == 3000:
                reason = closed.reason or "the server refused the key"
                raise AuthenticationError(reason, "invalid_api_key") from None
            raise
        if self._failure is not None:
            raise self._failure
        return message

    def is_news(self, message: bytes) -> bool:
        """Note that a message has come. False: it repeats the last, and is to be passed over."""
        self.silent_s = 0.0
        if message == self._last and self._ids_differ(message):
            self.duplicates += 1
            return False
        self._earlier, self._last = self._last, message
        return True

    def _ids_differ(self, message: bytes) -> bool:
        """Whether the server gives each event an id of its own, so that a message that is repeated came twice."""
        ids = [found[1] for found in map(_EVENT_ID.search, (message, self._earlier)) if found]
        return len(set(ids)) == 2

    def note_time(self, now: float, elapsed_s: float, sent_samples: int) -> None:
        """Let time pass: judge how long the peer is silent, and ask it for a sign of life now and then.

        `sent_samples`: the sample of the session's audio up to which everything was handed to `outgoing`.
        """
        if self._socket is None or self.is_lost:
            return
        received, unsent = self._socket.received_bytes, self._socket.unsent_bytes
        lives = received != self._received_bytes or unsent < self._unsent_bytes
        self.silent_s = 0.0 if lives or not self.is_reading else self.silent_s + elapsed_s
        self.alive_at = now if lives else self.alive_at
        self._received_bytes, self._unsent_bytes = received, unsent
        self._since_ping_s += elapsed_s
        if self._since_ping_s >= PING_S and not self._pings:
            self._since_ping_s = 0.0
            self._pings.append(sent_samples)
            self.outgoing.put(_PING)

    # --- sending ---

    def flush(self) -> None:
        """Queue what the protocol has to say."""
        for message in self.protocol.data_to_send():
            self.send(message)

    def send(self, message: bytes) -> None:
        """Send a message at once where nothing waits and the socket takes it, else behind what waits."""
        if self._socket is None or self.outgoing or not self._socket.send_now(message):
            self.outgoing.put(message)

    async def write_all(self) -> None:
        """Send what is queued until the connection ends; why it did is what the reader finds out."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = await self.outgoing.first()
                if message == _PING:
                    await self._opened.ping(self._answered)
                else:
                    await self._opened.send(message)
                self.outgoing.sent()

    def _answered(self) -> None:
        self.delivered = max(self.delivered, self._pings.popleft())

    @property
    def _opened(self) -> Socket:
        if self._socket is None:
            raise LocalProtocolError("the connection is not open")
        return self._socket
