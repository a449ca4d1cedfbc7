"""A Realtime peer on loopback that does what a test tells it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Self

import pytest
from openai.types.realtime import RealtimeClientEvent
from pydantic import TypeAdapter
from realtime_voice.protocol import merge
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE_S = 10.0
VAD = {"type": "server_vad", "silence_duration_ms": 200, "create_response": True, "interrupt_response": True}


client_events: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)


class Peer:
    """One real WebSocket server; `expect` and `send` are the server's side of the last connection.

    Everything it receives must be valid by the openai package's models.
    """

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.configure = True
        self.turn_detection: dict[str, Any] | None = dict(VAD)
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._connected = asyncio.Event()
        self._connection: ServerConnection | None = None
        self._session: dict[str, Any] = {}
        self._server: Server | None = None
        self._count = 0

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0, max_size=None, close_timeout=0.2)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/realtime"

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.headers.append(dict(connection.request.headers.raw_items()))
        self.paths.append(connection.request.path)
        self._connection = connection
        self._session = {}
        self._connected.set()
        try:
            async for message in connection:
                assert isinstance(message, str), "the protocol has text frames only"
                event = json.loads(message)
                self.received.append(event)
                client_events.validate_python(event)
                if event["type"] == "session.update" and self.configure:
                    await self.accept(event, connection)
                else:
                    self._queue.put_nowait(event)
        except ConnectionClosed:
            pass

    async def accept(self, update: dict[str, Any], connection: ServerConnection | None = None) -> None:
        self._session = merge(self._session, update["session"])
        session = {"id": "sess_1", "object": "realtime.session", "model": "m", **self._session}
        if session["type"] == "realtime":
            session = merge({"audio": {"input": {"turn_detection": self.turn_detection}}}, session)
        await self._send(connection, "session.created", session=session)
        await self._send(connection, "session.updated", session=session)

    async def send(self, kind: str, **fields: Any) -> None:
        await self._send(None, kind, **fields)

    async def _send(self, connection: ServerConnection | None, kind: str, **fields: Any) -> None:
        await asyncio.wait_for(self._connected.wait(), PATIENCE_S)
        connection = connection or self._connection
        assert connection is not None
        self._count += 1
        await connection.send(json.dumps({"type": kind, "event_id": f"event_{self._count}", **fields}))

    async def refuse(self, event: dict[str, Any], code: str, message: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message, "event_id": event["event_id"]}
        await self.send("error", error=error)

    async def send_raw(self, message: str | bytes) -> None:
        await asyncio.wait_for(self._connected.wait(), PATIENCE_S)
        assert self._connection is not None
        await self._connection.send(message)

    async def close(self, code: int, reason: str = "") -> None:
        await asyncio.wait_for(self._connected.wait(), PATIENCE_S)
        assert self._connection is not None
        await self._connection.close(code, reason)

    async def expect(self, kind: str) -> dict[str, Any]:
        """Wait for the next event of this kind; microphone audio before it is passed over, nothing else may be."""
        while True:
            event = await asyncio.wait_for(self._queue.get(), PATIENCE_S)
            if event["type"] == kind:
                return event
            assert event["type"] == "input_audio_buffer.append", f"expected {kind}, got {event}"

    async def nothing(self, seconds: float = 0.1) -> None:
        """Nothing but microphone audio comes."""
        await asyncio.sleep(seconds)
        while not self._queue.empty():
            event = self._queue.get_nowait()
            assert event["type"] == "input_audio_buffer.append", f"expected nothing, got {event}"

    async def added(self, item: dict[str, Any], previous: str | None = None) -> None:
        await self.send("conversation.item.added", item=item, previous_item_id=previous)
        await self.send("conversation.item.done", item=item, previous_item_id=previous)

    async def begin_response(self, response: str = "resp_1", **fields: Any) -> None:
        await self.send("response.created", response=_response(response, "in_progress", **fields))

    async def end_response(
        self, response: str = "resp_1", status: str = "completed", output: list[Any] | None = None, **fields: Any
    ) -> None:
        await self.send("response.done", response=_response(response, status, output=output or [], **fields))

    async def speak(
        self, text: str, ms: int, *, response: str = "resp_1", item: str = "item_a", done: bool = True
    ) -> None:
        """Say a text with `ms` of 24 kHz audio in two deltas."""
        message = {"id": item, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        await self.send("response.output_item.added", response_id=response, output_index=0, item=message)
        await self.send("conversation.item.added", item=message, previous_item_id=None)
        await self.send("response.output_audio_transcript.delta", **where, delta=text)
        for part in (ms // 2, ms - ms // 2):
            audio = base64.b64encode(bytes(48 * part)).decode()
            await self.send("response.output_audio.delta", **where, delta=audio)
        if done:
            await self.send("response.output_audio.done", **where)
            await self.send("response.output_audio_transcript.done", **where, transcript=text)

    async def call(
        self, name: str, arguments: str, *, call_id: str = "call_1", response: str = "resp_1", index: int = 0
    ) -> None:
        item = {
            "id": f"item_{call_id}",
            "type": "function_call",
            "status": "completed",
            "name": name,
            "call_id": call_id,
            "arguments": arguments,
        }
        await self.send("response.output_item.done", response_id=response, output_index=index, item=item)


def _response(response: str, status: str, **fields: Any) -> dict[str, Any]:
    return {
        "object": "realtime.response",
        "id": response,
        "status": status,
        "status_details": None,
        "output": [],
        "conversation_id": "conv_1",
        "usage": None,
        "metadata": None,
        **fields,
    }


class MutePeer:
    """A server that completes the WebSocket handshake and then never says anything, not even CLOSE."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/realtime"
        self.received = bytearray()
        self._writers: list[asyncio.StreamWriter] = []
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in request.splitlines() if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())  # noqa: S324
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        while data := await reader.read(65536):
            self.received += data


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as running:
        yield running


@pytest.fixture
async def mute_peer() -> AsyncIterator[MutePeer]:
    async with MutePeer() as running:
        yield running
