"""A session's way to its server: the present connection, the next one, and the user's audio for both."""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from realtime_voice import events as ev
from realtime_voice.connection import Connection
from realtime_voice.errors import ConnectionClosed, RealtimeError, RemoteProtocolError, SessionTimeout
from realtime_voice.history import history
from realtime_voice.protocol import ClientProtocol
from realtime_voice.reconnect import (
    LAST_MOMENT_S,
    LIFE_S,
    LINK,
    SHORTEST_LIFE_S,
    Backoff,
    LinkState,
    ReconnectPolicy,
    is_replaceable,
    renew_after_s,
)
from realtime_voice.states import SessionState
from realtime_voice.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from realtime_voice.audio.clock import Clock
    from realtime_voice.audio.wire import Wire
    from realtime_voice.endpoint import Endpoint
    from realtime_voice.protocol import Event

TICK_S: Final = 0.5
BOUNDARY_LOOK_S: Final = 0.05
"""How often a renewal looks whether nobody speaks."""
NEVER: Final = float("inf")

_logger = logging.getLogger("realtime_voice.session")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a server may take, to be reached and to accept the configuration; how long a connection may live.

    Raises ValueError for what cannot be.
    """

    connect_timeout_s: float
    configure_timeout_s: float
    silent_peer: Literal["raise", "warn"]
    timeout_s: float | None

    def __post_init__(self) -> None:
        for name in ("connect_timeout_s", "configure_timeout_s", "timeout_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        if self.silent_peer not in {"raise", "warn"}:
            raise ValueError(f"silent_peer must be 'raise' or 'warn', got {self.silent_peer!r}")


@dataclass(frozen=True, kw_only=True)
class Owner:
    """What a link hands to its session, and asks it."""

    receive: Callable[[bytes], None]
    """Takes a message of the present connection."""
    has_room: Callable[[], bool]
    """`room` would not wait."""
    room: Callable[[], Awaitable[None]]
    """Waits while the application or the speaker has too much already."""
    tell: Callable[[Event], None]
    """Tells the application."""
    end_item: Callable[[str], None]
    """No more audio of an item comes."""
    is_busy: Callable[[], bool]
    """Somebody can be heard, or waits for an answer."""


class Link:
    """Keeps a session connected.

    One connection is the present one; another is made ready beside it when its time is nearly over, or instead of it
    when it is lost. `policy` None: the session ends with its first connection. Set `clock` before anything else.
    """

    clock: Clock

    def __init__(
        self,
        endpoint: Endpoint,
        config: Mapping[str, Any],
        wire: Wire,
        *,
        policy: ReconnectPolicy | None,
        limits: Limits,
        owner: Owner,
    ) -> None:
        self.state = LinkState.CONNECTING
        self._endpoint = endpoint
        self._config = config
        self._reconnects = policy is not None
        self._policy = policy or ReconnectPolicy()
        self._limits = limits
        self._owner = owner
        self._backoff = Backoff(self._policy)
        self._uplink = Uplink(wire, self._policy.keep_s if self._reconnects else 0.0)
        self._last_audio_at: float | None = None
        self._generations = 0
        self._current = self._new_connection(None)
        self._successor: Connection | None = None

    @property
    def protocol(self) -> ClientProtocol:
        """The protocol of the present connection."""
        return self._current.protocol

    @property
    def generation(self) -> int:
        """Which of the session's connections the present one is, counted from 1."""
        return self._current.generation

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of the user's audio."""
        return self._uplink.sample_bytes

    # --- sending ---

    def flush(self) -> None:
        """Send what the protocol has to say."""
        self._current.flush()

    def send_chunk(self, message: bytes) -> None:
        """Send a chunk of the user's audio, now or when there is a connection again."""
        self.flush()  # what was said before it goes before it
        self._uplink.add(message)
        self.protocol.audio.sent = self._uplink.end
        if not self._current.is_lost:
            self._last_audio_at = self.clock.time()
            self._current.send(message)

    @property
    def has_room(self) -> bool:
        """Not too much waits for the socket."""
        return self._current.outgoing.has_room

    async def room(self) -> None:
        """Wait while too much waits for the socket."""
        await self._current.outgoing.room()

    async def empty(self) -> None:
        """Wait until everything is sent."""
        await self._current.outgoing.empty()

    def end(self) -> None:
        """Nothing will be sent any more."""
        self._move("end")
        self._current.outgoing.end()

    def unheard(self) -> bytes:
        """Return the user's audio that is in no turn yet, as far as it is kept; bare, in the wire's format."""
        needed = self.protocol.needed_from(self._current.delivered)
        return self._uplink.audio(max(needed, self._uplink.start), self._uplink.end) or b""

    # --- connections ---

    async def connect(self, group: asyncio.TaskGroup) -> None:
        """Open the first connection and have it configured. Raises why that failed."""
        await self._establish(self._current, self._config, group)
        self._move("configured")

    async def keep(self, group: asyncio.TaskGroup) -> None:
        """Replace the connection whenever it is lost or its time is nearly over; ends by raising why it cannot."""
        while True:
            begin, last_moment = self._times_of(self._current)
            if not await self._is_lost_before(begin):
                self._move("renewal due")
            successor = await self._succeed(group)
            while not await self._may_switch(successor, last_moment):
                if successor.is_lost:
                    successor.retire()
                    successor = await self._succeed(group)
            self._switch(successor)

    async def _establish(self, connection: Connection, config: Mapping[str, Any], group: asyncio.TaskGroup) -> None:
        """Open a connection and have it configured. Raises why that failed; then it is closed."""
        await connection.open(self._endpoint, self._limits.connect_timeout_s)
        connection.serve(group.create_task(self._serve(connection), name="realtime receive"))
        try:
            connection.protocol.configure(config)
            connection.flush()
            if not await connection.configured(self._limits.configure_timeout_s):
                self._on_silence(connection)
        except BaseException:
            connection.retire()
            raise
        connection.configured_at = self.clock.time()

    def _on_silence(self, connection: Connection) -> None:
        limit_s = self._limits.configure_timeout_s
        message = f"{self._endpoint.name} has not answered the configuration within {limit_s:g} s"
        if self._limits.silent_peer == "raise":
            raise SessionTimeout(message)
        _logger.warning("%s: going on without", message)
        connection.protocol.configuration_unanswered()

    def _times_of(self, connection: Connection) -> tuple[float, float]:
        """When the connection's renewal begins, and when it can wait no longer."""
        if not self._reconnects:
            return NEVER, NEVER
        expires_at = connection.protocol.config.get("expires_at")
        left_s = expires_at - time.time() if isinstance(expires_at, int | float) else 0.0
        life_s = min(left_s if left_s >= SHORTEST_LIFE_S else LIFE_S, self._limits.timeout_s or NEVER)
        begin = connection.configured_at
        return begin + renew_after_s(life_s), begin + life_s - min(LAST_MOMENT_S, 0.1 * life_s)

    async def _is_lost_before(self, moment: float) -> bool:
        """Wait until the present connection is lost (True), or the moment has come (False)."""
        waits = {asyncio.ensure_future(self._current.lost())}
        if moment != NEVER:
            waits.add(asyncio.ensure_future(self.clock.sleep_until(moment)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self._current.is_lost

    async def _succeed(self, group: asyncio.TaskGroup) -> Connection:
        """Have a successor stand beside the present connection, or instead of it. Raises why there can be none."""
        renewing = Backoff(self._policy)
        while True:
            if self._current.is_lost:
                self._let_go(self._current)
                wait_s = self._backoff.next_wait_s()
                reason = str(self._current.loss)
                self._owner.tell(ev.Reconnecting(reason=reason, attempt=self._backoff.attempts, wait_s=wait_s))
                await self.clock.sleep_until(self.clock.time() + wait_s)
            elif await self._is_lost_before(self.clock.time() + renewing.next_wait_s()):
                continue
            before = self.protocol
            successor = self._successor = self._new_connection(before)
            try:
                await self._establish(successor, before.requested or self._config, group)
            except (RealtimeError, OSError) as error:
                self._successor = None
                _logger.info("connection %d came to nothing: %s", successor.generation, error)
                if not is_replaceable(error) or (self._current.is_lost and self._backoff.is_exhausted):
                    raise
            else:
                successor.protocol.tell(history(before.conversation, self._uplink.audio, settled=True))
                successor.flush()
                return successor

    async def _may_switch(self, successor: Connection, last_moment: float) -> bool:
        """Wait a little for the moment to switch: nobody speaks, or no time is left, or no other connection."""
        now = self.clock.time()
        if successor.is_lost:
            return False
        if self._current.is_lost:
            self._let_go(self._current)
        elif now < last_moment and (self._owner.is_busy() or not self.protocol.is_settled):
            await self._is_lost_before(now + BOUNDARY_LOOK_S)
            return False
        return True

    def _let_go(self, connection: Connection) -> None:
        """Note that the present connection is lost. Raises why, where another could not go on."""
        if connection.protocol.session is SessionState.LOST:
            return
        loss = connection.loss or ConnectionClosed("the connection is lost")
        connection.retire()
        if not self._reconnects or not is_replaceable(loss) or self._backoff.is_exhausted:
            raise loss
        self._move("connection lost")
        self._break_off(connection)

    def _break_off(self, connection: Connection) -> None:
        """End the answer that is still to come: what has arrived of it is played and written down."""
        for item_id in connection.protocol.open_items:
            self._owner.end_item(item_id)
        for event in connection.protocol.lose():
            self._owner.tell(event)

    def _switch(self, successor: Connection) -> None:
        """Let the successor take over: from here on all goes to it, and nothing is heard of the one before."""
        before, now = self._current, self.clock.time()
        loss = before.loss
        if loss is None:
            self._break_off(before)
        items = history(before.protocol.conversation, self._uplink.audio)
        needed = before.protocol.needed_from(before.delivered)
        start = max(needed, self._uplink.start)
        successor.protocol.tell(items)
        successor.protocol.take_over(before.protocol, start, self._uplink.since)
        successor.delivered = start
        self._current, self._successor = successor, None
        self.flush()
        before.retire()
        self._move("successor takes over")
        silent_s = 0.0 if loss is None else now - before.lost_at
        unheard_s = 0.0 if self._last_audio_at is None else max(silent_s, now - self._last_audio_at)
        self._last_audio_at = None if self._last_audio_at is None else now
        kind = ev.Renewed if loss is None else ev.Reconnected
        self._owner.tell(
            kind(
                generation=successor.generation,
                attempts=self._backoff.attempts,
                reason="" if loss is None else str(loss),
                incoming_gap_s=silent_s,
                outgoing_gap_s=unheard_s,
                replayed_samples=self._uplink.end - start,
                lost_samples=start - needed,
                items=len(items),
            )
        )

    def _new_connection(self, before: ClientProtocol | None) -> Connection:
        self._generations += 1
        prefix = secrets.token_hex(4) + "_"  # makes the ids of one connection its own
        return Connection(self._generations, ClientProtocol(prefix, input_rate=self._uplink.rate, before=before))

    def _move(self, trigger: str) -> None:
        self.state = LINK[self.state].get(trigger, self.state)

    # --- receiving ---

    async def _serve(self, connection: Connection) -> None:
        """Read a connection until it ends, with its writer beside, and close it."""
        writer = asyncio.create_task(connection.write_all(), name="realtime write")
        try:
            connection.listen(functools.partial(self._listen, connection))
            while not connection.is_lost:
                self._receive(connection, await connection.receive())
                if connection is self._current:
                    connection.is_reading = False
                    await self._owner.room()
                    connection.is_reading = True
        except RealtimeError as error:
            connection.lose(error, self.clock.time())
        finally:
            writer.cancel()
            await connection.close()

    def _listen(self, connection: Connection, message: bytes) -> bool:
        """Take a message in the turn of the event loop that reads it, unless there is too much already."""
        if connection is self._current and not self._owner.has_room():
            return False
        self._receive(connection, message)
        return True

    def _receive(self, connection: Connection, message: bytes) -> None:
        """Take a message; of a connection that is not the present one only its protocol hears."""
        connection.alive_at = self.clock.time()
        if not connection.is_news(message):
            return
        protocol = connection.protocol
        try:
            if connection is self._current:
                self._owner.receive(message)
            else:
                protocol.receive(message, self.clock.time())
        except (RemoteProtocolError, ValueError) as error:
            _logger.warning("a message of %d bytes was not understood: %s", len(message), error)
        if (end := protocol.failure or protocol.expired) is not None:
            connection.lose(end, self.clock.time())
        connection.note_state()
        connection.flush()

    # --- time ---

    async def tick_all(self) -> None:
        """Let time pass: judge the connections by their silence, and the server by what it owes."""
        before = self.clock.time()
        while True:
            await self.clock.sleep_until(before + TICK_S)
            now = self.clock.time()
            elapsed_s = min(now - before, 2 * TICK_S)  # while the loop was blocked nothing could be heard
            before = now
            for connection in filter(None, (self._current, self._successor)):
                connection.note_time(now, elapsed_s, self._uplink.end if connection is self._current else 0)
                if connection.silent_s >= self._policy.silent_s:
                    silence = ConnectionClosed(f"nothing has come for {connection.silent_s:.0f} s")
                    connection.lose(silence, connection.alive_at)
            self._tick(self._current, now)

    def _tick(self, connection: Connection, now: float) -> None:
        if connection.is_lost:
            return
        if connection.is_reading:
            for event in connection.protocol.tick(now):
                self._owner.tell(event)
            if connection.protocol.overdue is not None:
                if self._reconnects:
                    connection.lose(connection.protocol.overdue, connection.alive_at)
                else:
                    connection.protocol.forgive()
        self.flush()
        self._uplink.forget(connection.protocol.kept_from(connection.delivered))
        is_proven = now - connection.configured_at >= self._policy.healthy_s and connection.silent_s == 0.0
        if is_proven:
            self._backoff.reset()
