"""A session passed on to another Realtime endpoint, so that it can be recorded on its way."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from realtime_voice.errors import ConnectError
from realtime_voice.server.connection import Socket

if TYPE_CHECKING:
    from aiohttp import ClientWebSocketResponse, web

CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0


async def relay(
    client: "web.WebSocketResponse",
    socket: Socket,
    url: str,
    headers: Mapping[str, str],
    *,
    max_bytes: int,
    received: Callable[[str], None],
) -> None:
    """Pass messages both ways until one side ends; the other is closed with the same code.

    Args:
        client: where the client's messages are read, and what is closed.
        socket: where the endpoint's events go.
        url: the endpoint, model included.
        headers: what it is shown, its key among them.
        max_bytes: largest message.
        received: told of every message of the client.

    Raises:
        ConnectError: the endpoint cannot be reached.

    """
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.ws_connect(url, headers=headers, max_msg_size=max_bytes, compress=0) as endpoint,
        ):
            ways = [
                asyncio.ensure_future(_up(client, endpoint, received)),
                asyncio.ensure_future(_down(endpoint, socket)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await endpoint.close()
            await client.close(code=endpoint.close_code or 1000)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ConnectError(f"cannot reach the endpoint: {type(error).__name__}") from error


async def _up(
    client: "web.WebSocketResponse", endpoint: "ClientWebSocketResponse", received: Callable[[str], None]
) -> None:
    from aiohttp import WSMsgType

    async for message in client:
        if message.type is WSMsgType.TEXT:
            received(message.data)
            await endpoint.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await endpoint.send_bytes(message.data)


async def _down(endpoint: "ClientWebSocketResponse", socket: Socket) -> None:
    from aiohttp import WSMsgType

    async for message in endpoint:
        if message.type is WSMsgType.TEXT:
            socket.send([("", message.data.encode())])
            await socket.room()
