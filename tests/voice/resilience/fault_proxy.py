"""A TCP proxy on loopback that does to a WebSocket what networks do."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CLIENT, SERVER = "client", "server"
"""Who sends: bytes on their way from there."""


class FaultProxy:
    """Between one server and its clients; its settings hold for every byte from then on, on all connections."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.delay_s = 0.0
        self.bytes_per_s = float("inf")
        self.refusals = 0
        """So many connections are aborted as soon as they stand."""
        self.answers_close = True
        """False: a CLOSE of the client does not arrive."""
        self.links: list[Link] = []
        self.on_link: Callable[[Link], object] | None = None
        """Called with each new connection."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=512)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for link in self.links:
            link.cut()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/realtime"

    @property
    def link(self) -> Link:
        """The connection opened last."""
        return self.links[-1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusals:
            self.refusals -= 1
            writer.transport.abort()
            return
        try:
            there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(self, writer, there[1])
        self.links.append(link)
        if self.on_link is not None:
            self.on_link(link)
        for source, sender, sink in ((reader, CLIENT, there[1]), (there[0], SERVER, writer)):
            task = asyncio.create_task(link.pump(source, sender, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


class Link:
    """One client's connection."""

    def __init__(self, proxy: FaultProxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.client, self.server = client, server
        self.swallows = False
        """Black hole: what is sent arrives nowhere, and nobody is told."""
        self.cut_after: dict[str, int] = {}
        """Sender -> the connection is reset after so many further bytes of it."""
        self.duplicates = 0
        """So many further frames of the server arrive twice."""
        self.held: list[bytes] | None = None
        """Where the server's bytes wait until `release`; None: nowhere."""
        self._frames = FrameCutter()

    def cut(self) -> None:
        """Reset the connection on both sides."""
        self.client.transport.abort()
        self.server.transport.abort()

    def half_open(self) -> None:
        """The server's side is gone; the client's is not told."""
        self.swallows = True
        self.server.transport.abort()

    def release(self) -> None:
        """Let arrive what was held."""
        held, self.held = self.held or [], None
        with contextlib.suppress(OSError):
            self.client.write(b"".join(held))

    async def pump(self, source: asyncio.StreamReader, sender: str, sink: asyncio.StreamWriter) -> None:
        """Carry bytes until one side ends."""
        with contextlib.suppress(OSError):
            async for data in self._arrivals(source):
                if not data:
                    break
                if not self.swallows and not await self._carry(data, sender, sink):
                    return
        if not self.swallows:
            with contextlib.suppress(OSError):
                sink.close()

    async def _carry(self, data: bytes, sender: str, sink: asyncio.StreamWriter) -> bool:
        """Pass on what arrived; False when the connection was cut in it."""
        left = self.cut_after.get(sender, len(data) + 1)
        if len(data) >= left:
            sink.write(data[:left])
            await sink.drain()
            await asyncio.sleep(0)
            self.cut()
            return False
        if sender in self.cut_after:
            self.cut_after[sender] = left - len(data)
        if sender == SERVER:
            data = self._twice(data)
        elif not self.proxy.answers_close and data[0] == 0x88:
            self.swallows = True
            return True
        if sender == SERVER and self.held is not None:
            self.held.append(data)
            return True
        sink.write(data)
        await sink.drain()
        if self.proxy.bytes_per_s != float("inf"):
            await asyncio.sleep(len(data) / self.proxy.bytes_per_s)
        return True

    async def _arrivals(self, source: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """Yield what is read, each piece `delay_s` later; b"" at the end."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def read() -> None:
            data = b"-"
            while data:
                try:
                    data = await source.read(65536)
                except OSError:
                    data = b""
                pieces.put_nowait((loop.time() + self.proxy.delay_s, data))

        reading = asyncio.create_task(read())
        try:
            while True:
                due, data = await pieces.get()
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                yield data
        finally:
            reading.cancel()

    def _twice(self, data: bytes) -> bytes:
        """Return the server's bytes with whole text frames doubled as long as `duplicates` says."""
        out = b""
        for new, frame in self._frames.cut(data):
            out += new
            if self.duplicates and frame[:1] == b"\x81":
                self.duplicates -= 1
                out += frame
        return out


class FrameCutter:
    """Finds the ends of frames in what a server sends, and holds nothing up."""

    def __init__(self) -> None:
        self._data = b""
        self._passed = 0  # bytes of `_data` that were returned already
        self._is_upgraded = False

    def cut(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Return the data in pieces, each with the frame that it completes (b"": none)."""
        self._data += data
        pieces = []
        while (size := self._size()) is not None and len(self._data) >= size:
            frame, self._data = self._data[:size], self._data[size:]
            pieces.append((frame[self._passed :], frame if self._is_upgraded else b""))
            self._passed, self._is_upgraded = 0, True
        pieces.append((self._data[self._passed :], b""))
        self._passed = len(self._data)
        return pieces

    def _size(self) -> int | None:
        """Size of what the data begins with: the handshake's answer, or a frame."""
        if not self._is_upgraded:
            return self._data.index(b"\r\n\r\n") + 4 if b"\r\n\r\n" in self._data else None
        if len(self._data) < 2:
            return None
        length, header = self._data[1] & 0x7F, 2
        extra = {126: 2, 127: 8}.get(length, 0)
        if len(self._data) < header + extra:
            return None
        if extra:
            length = int.from_bytes(self._data[header : header + extra], "big")
        return header + extra + length
