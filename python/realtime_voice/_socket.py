"""The WebSocket under a session: the only place that knows the library."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import ssl
from typing import TYPE_CHECKING, Final

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed as WebSocketClosed
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, ProxyError
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from realtime_voice.errors import AuthenticationError, ConnectError, ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_voice.endpoint import Endpoint

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
CLOSE_TIMEOUT_S: Final = 1.0
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})
"""OpenSSL's reasons, old and new, when the peer answers in plain text."""


class _Discreet(logging.LoggerAdapter[logging.Logger]):
    """Nothing below INFO, whatever its level: the library would log headers with the key, and audio."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  logging's name
        """Return whether it is logged."""
        return level >= logging.INFO and super().isEnabledFor(level)


_logger = _Discreet(logging.getLogger("realtime_voice.socket"), {})


async def connect(endpoint: Endpoint, *, timeout_s: float) -> Socket:
    """Open a connection. Raises ConnectError, or AuthenticationError when the handshake is refused for the key."""
    options: dict[str, object] = {}
    if endpoint.is_loopback:
        options["proxy"] = None
    if endpoint.ssl_context is not None:
        options["ssl"] = endpoint.ssl_context
    try:
        async with asyncio.timeout(timeout_s):
            connection = await _connect(
                endpoint.url,
                additional_headers=await endpoint.handshake_headers(),
                compression=None,  # audio does not compress, and deflate costs a lot
                create_connection=_Connection,
                max_size=MAX_MESSAGE_BYTES,
                open_timeout=None,
                ping_interval=None,  # the session looks after its connections itself
                close_timeout=CLOSE_TIMEOUT_S,
                logger=_logger,
                **options,  # type: ignore[arg-type]
            )
    except InvalidStatus as error:
        status = error.response.status_code
        message = f"{endpoint.name} answered the handshake with HTTP {status}"
        if status in {401, 403}:
            raise AuthenticationError(message, "invalid_api_key") from None
        if status == 404 and not endpoint.is_azure and not endpoint.name.endswith("/v1/realtime"):
            message += "; the path is usually /v1/realtime"
        raise ConnectError(message, status) from None
    except TimeoutError:
        raise ConnectError(f"{endpoint.name} did not answer within {timeout_s:g} s") from None
    except (InvalidURI, ProxyError) as error:  # their words quote URLs, which may hold secrets
        what = "is not a WebSocket URL" if isinstance(error, InvalidURI) else "cannot be reached through the proxy"
        raise ConnectError(f"{endpoint.name} {what}") from None
    except (InvalidHandshake, WebSocketClosed, EOFError) as error:
        raise ConnectError(f"{endpoint.name} does not speak WebSocket: {error}") from None
    except OSError as error:
        raise ConnectError(f"cannot reach {endpoint.name}: {_reason(endpoint, error)}") from None
    return Socket(connection)


class _connect(websocket_connect):  # noqa: N801  it is called as the function that it replaces
    """The library's, without redirections: they would hand the key to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the refusal that the redirection is."""
        return exc


class _Connection(ClientConnection):
    """The library's, counting what arrives, and without a turn of the event loop between it and us where none waits."""

    received_bytes = 0
    waiting = 0
    """Messages that have begun to arrive and that `recv` has not returned."""
    listener: Callable[[bytes], bool] | None = None
    hears = True

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        super().data_received(data)

    def process_event(self, event: Event) -> None:
        if not self.hears and isinstance(event, Frame) and event.opcode not in {Opcode.PING, Opcode.PONG}:
            return
        if isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY}:
            if event.fin and not self.waiting and self.listener is not None and self.listener(bytes(event.data)):
                return
            self.waiting += 1
        super().process_event(event)

    def hear_no_more(self) -> None:
        """Pass over what still comes: where much waits unread, the peer's answer to a close would wait behind it."""
        self.hears, self.listener = False, None
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def send_now(self, message: bytes) -> bool:
        if self.protocol.state is not State.OPEN or self.paused:
            return False
        self.protocol.send_text(message)
        self.send_data()
        return True


class Socket:
    """An open connection; one task receives, one task sends."""

    def __init__(self, connection: ClientConnection) -> None:
        assert isinstance(connection, _Connection)  # noqa: S101  the library made what it was told to
        self._connection = connection

    @property
    def received_bytes(self) -> int:
        """Bytes that have arrived, whole messages or not, pings and pongs too."""
        return self._connection.received_bytes

    @property
    def unsent_bytes(self) -> int:
        """Bytes sent that the system has not taken yet."""
        return self._connection.transport.get_write_buffer_size()

    def listen(self, listener: Callable[[bytes], bool]) -> None:
        """Hand over messages in the turn of the event loop that reads them.

        What `listener` does not want now (False) waits for `receive`, and so does all that comes before it was fetched.
        """
        self._connection.listener = listener

    async def receive(self) -> bytes:
        """Wait for the next message that no listener has taken; safe to cancel.

        Raises ConnectionClosed when there will be none.
        """
        try:
            message = await self._connection.recv(decode=False)
        except WebSocketClosed as closed:
            raise _closed(closed) from None
        self._connection.waiting -= 1
        return message

    def send_now(self, message: bytes) -> bool:
        """Send one text message (UTF-8) if that need not wait; False: it was not sent, and `send` knows why."""
        return self._connection.send_now(message)

    async def send(self, message: bytes) -> None:
        """Send one text message (UTF-8); waits while the peer does not take it. Raises ConnectionClosed."""
        try:
            await self._connection.send(message, text=True)
        except WebSocketClosed as closed:
            raise _closed(closed) from None

    async def ping(self, answered: Callable[[], object]) -> None:
        """Ask for a sign of life; `answered` is called once all that was sent before has arrived too.

        Raises ConnectionClosed.
        """
        try:
            pong = asyncio.ensure_future(await self._connection.ping())
        except WebSocketClosed as closed:
            raise _closed(closed) from None
        pong.add_done_callback(lambda pong: None if pong.cancelled() or pong.exception() else answered())

    async def close(self) -> None:
        """Close within CLOSE_TIMEOUT_S, whatever the peer does; more calls do nothing."""
        self._connection.hear_no_more()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._connection.close()
        except TimeoutError:
            pass
        finally:
            self._connection.transport.abort()


def _reason(endpoint: Endpoint, error: OSError) -> str:
    """Return the system's words, which asyncio replaces by the address, and what to do where that is known."""
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        return "it does not speak TLS; is ws:// meant instead of wss://?"
    # a name with several addresses has its failures joined in words, without a number
    if f"[Errno {errno.ECONNREFUSED}] Connect call failed" in str(error):
        refused = os.strerror(errno.ECONNREFUSED)
        return f"{refused}; is `{endpoint.serve_command}` running?" if endpoint.is_loopback else refused
    if error.errno and "Connect call failed" in str(error):
        return os.strerror(error.errno)
    return error.strerror or str(error)


def _closed(closed: WebSocketClosed) -> ConnectionClosed:
    frame = closed.rcvd
    if frame is None:
        cause = closed.__cause__
        return ConnectionClosed(f"the connection broke{f': {cause}' if cause else ''}")
    reason = f" ({frame.reason})" if frame.reason else ""
    return ConnectionClosed(
        f"the server closed the connection with code {frame.code}{reason}", frame.code, frame.reason
    )
