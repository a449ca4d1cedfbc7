"""What a session's socket costs: CPU of the client per session and second, over TLS on loopback, by library and loop.

    python bench/socket_cost.py [--sessions 20] [--seconds 4] [--rounds 5] [--json FILE]

Every session sends an append message of 20 ms (1.3 kB) fifty times a second and receives a delta message of 100 ms
(6.5 kB) ten times a second, as in a live conversation; the server is another process. The libraries take turns, and the
same sessions without a socket take theirs, whose cost is subtracted. Figures are medians over the rounds; `all` is the
whole process with its pacing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import ssl
import statistics
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import trustme
from realtime_voice import _socket
from realtime_voice.endpoint import Endpoint

from realtime_core.frame import append_message

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

APPEND = append_message(bytes(960))
DELTA = b'{"type":"response.output_audio.delta","delta":"' + b"A" * 6400 + b'"}'
APPEND_S, DELTA_S = 0.02, 0.1


class Socket(Protocol):
    async def send(self, message: bytes) -> object: ...
    async def receive(self) -> object: ...
    async def close(self) -> object: ...


class Nothing:
    """No socket: what the pacing of the microphone alone costs."""

    async def send(self, message: bytes) -> None:
        pass

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        pass


async def connect_nothing(_url: str, _context: ssl.SSLContext) -> Socket:
    return Nothing()


async def connect_websockets(url: str, context: ssl.SSLContext) -> Socket:
    return await _socket.connect(Endpoint(url, {}, ssl_context=context), timeout_s=10)


class PicowsSocket:
    """Frames handed from the library's callback to who waits; whole messages only, which is all the server sends."""

    def __init__(self) -> None:
        self.transport: Any = None
        self._messages: deque[bytes] = deque()
        self._arrived = asyncio.Event()

    def take(self, message: bytes) -> None:
        self._messages.append(message)
        self._arrived.set()

    async def send(self, message: bytes) -> None:
        import picows

        self.transport.send(picows.WSMsgType.TEXT, message)

    async def receive(self) -> bytes:
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        return self._messages.popleft()

    async def close(self) -> None:
        self.transport.disconnect(graceful=False)


async def connect_picows(url: str, context: ssl.SSLContext) -> Socket:
    import picows

    socket = PicowsSocket()

    class Listener(picows.WSListener):
        def on_ws_frame(self, _transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            if frame.msg_type is picows.WSMsgType.TEXT:
                socket.take(frame.get_payload_as_bytes())

    socket.transport, _ = await picows.ws_connect(Listener, url, ssl_context=context, max_frame_size=1 << 24)
    return socket


class AiohttpSocket:
    def __init__(self, session: Any, connection: Any) -> None:
        self._session, self._connection = session, connection

    async def send(self, message: bytes) -> None:
        await self._connection.send_frame(message, 1)  # a text frame of bytes, which send_str would decode and encode

    async def receive(self) -> object:
        return (await self._connection.receive()).data

    async def close(self) -> None:
        await self._connection.close()
        await self._session.close()


async def connect_aiohttp(url: str, context: ssl.SSLContext) -> Socket:
    import aiohttp

    session = aiohttp.ClientSession()
    return AiohttpSocket(session, await session.ws_connect(url, ssl=context, compress=0, max_msg_size=1 << 24))


async def converse(connect: Any, url: str, context: ssl.SSLContext, seconds: float, start: float) -> int:
    """Be one session; returns the messages received."""
    socket = await connect(url, context)
    received = 0

    async def receive() -> None:
        nonlocal received
        while True:
            await socket.receive()
            received += 1

    receiver = asyncio.create_task(receive())
    loop = asyncio.get_running_loop()
    for index in range(int(seconds / APPEND_S)):
        await asyncio.sleep(max(0.0, start + index * APPEND_S - loop.time()))
        await socket.send(APPEND)
    receiver.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await receiver
    await socket.close()
    return received


async def run(connect: Any, url: str, context: ssl.SSLContext, sessions: int, seconds: float) -> float:
    """Return CPU microseconds per session and second, without what connecting costs."""
    start = asyncio.get_running_loop().time() + 0.5 + sessions * 0.02
    tasks = [asyncio.create_task(converse(connect, url, context, seconds, start)) for _ in range(sessions)]
    await asyncio.sleep(start - asyncio.get_running_loop().time())
    cpu = time.process_time()
    await asyncio.sleep(seconds - 0.1)
    cpu = time.process_time() - cpu
    received = sum(await asyncio.gather(*tasks))
    assert connect is connect_nothing or received >= 0.7 * sessions * seconds / DELTA_S, (
        f"only {received} messages came"
    )
    return cpu * 1e6 / sessions / (seconds - 0.1)


def serve(pipe: Connection, certificate: bytes, key: bytes) -> None:
    """Be the server: deltas to everybody, appends to nobody."""
    import tempfile

    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as listen
    from websockets.exceptions import ConnectionClosed

    async def answer(connection: ServerConnection) -> None:
        async def speak() -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await connection.send(DELTA, text=True)
                    await asyncio.sleep(DELTA_S)

        speaking = asyncio.create_task(speak())
        with contextlib.suppress(ConnectionClosed):
            async for _ in connection:
                pass
        speaking.cancel()

    async def main() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + key)
            file.flush()
            context.load_cert_chain(file.name)
        async with listen(answer, "127.0.0.1", 0, ssl=context, compression=None) as server:
            pipe.send(server.sockets[0].getsockname()[1])
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)

    asyncio.run(main())


def loops() -> dict[str, Any]:
    found: dict[str, Any] = {"asyncio": asyncio.new_event_loop}
    with contextlib.suppress(ImportError):
        import uvloop

        found["uvloop"] = uvloop.new_event_loop
    return found


def libraries() -> dict[str, Any]:
    found: dict[str, Any] = {"websockets": connect_websockets}
    for name, connect in (("picows", connect_picows), ("aiohttp", connect_aiohttp)):
        with contextlib.suppress(ImportError):
            __import__(name)
            found[name] = connect
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    ours, theirs = multiprocessing.Pipe()
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    spawn = multiprocessing.get_context("spawn")
    server = spawn.Process(target=serve, args=(theirs, chain, certificate.private_key_pem.bytes()), daemon=True)
    server.start()
    url = f"wss://127.0.0.1:{ours.recv()}/v1/realtime"
    candidates = {"nothing": connect_nothing, **libraries()}
    figures: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for loop_name, factory in loops().items():
            for name, connect in candidates.items():
                with asyncio.Runner(loop_factory=factory) as runner:
                    cost = runner.run(run(connect, url, context, options.sessions, options.seconds))
                figures.setdefault((loop_name, name), []).append(cost)
    ours.send(None)
    server.join(5)
    medians = {key: statistics.median(costs) for key, costs in figures.items()}
    print(
        f"CPU µs per session and second; {options.sessions} sessions, {options.rounds} rounds of {options.seconds:g} s"
    )
    print(f"{'loop':8} {'library':11} {'all':>7} {'socket':>7}   websockets / this")
    rows = []
    for (loop_name, name), median in medians.items():
        alone = median - medians[loop_name, "nothing"]
        rows.append({"loop": loop_name, "library": name, "all_us": round(median), "socket_us": round(alone)})
        if name == "nothing":
            print(f"{loop_name:8} {name:11} {median:7.0f}")
            continue
        ratio = (medians[loop_name, "websockets"] - medians[loop_name, "nothing"]) / alone
        print(f"{loop_name:8} {name:11} {median:7.0f} {alone:7.0f}   {ratio:.2f}")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
