"""What agents talk to: a scripted peer, and the local server with ears and a voice that take no time."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from realtime_voice.server import Heard, RealtimeServer, Speech
from realtime_voice.server import serve as serve_realtime
from realtime_voice.strands.generation import installed
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from websockets.datastructures import Headers

PATIENCE_S = 10
collect_ignore = ["experimental" if installed() == "stable" else "stable"]
MS_PER_CHARACTER = 20


class Peer:
    """The other side of a model's connections, newest last."""

    def __init__(self) -> None:
        self.url = ""
        self.paths: list[str] = []
        self.headers: list[Headers] = []
        self.received: list[list[dict[str, Any]]] = []
        self.sockets: list[ServerConnection] = []
        self.refusal: dict[str, Any] | None = None
        self.silent = False
        self.on_event: Callable[[dict[str, Any]], list[dict[str, Any]]] = lambda _event: []
        self._news = asyncio.Condition()

    async def serve(self, socket: ServerConnection) -> None:
        received: list[dict[str, Any]] = []
        assert socket.request is not None
        self.paths.append(socket.request.path)
        self.headers.append(socket.request.headers)
        self.received.append(received)
        async with self._news:
            self.sockets.append(socket)
            self._news.notify_all()
        with suppress(ConnectionClosed):
            await self.say({"type": "session.created", "session": {"type": "realtime", "id": "sess_1"}}, to=socket)
            async for message in socket:
                event = json.loads(message)
                async with self._news:
                    received.append(event)
                    self._news.notify_all()
                for answer in [*self._configured(event), *self.on_event(event)]:
                    await self.say(answer, to=socket)

    def _configured(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        if event["type"] != "session.update" or self.silent:
            return []
        if self.refusal is not None:
            return [{"type": "error", "error": {"type": "invalid_request_error", **self.refusal}}]
        return [{"type": "session.updated", "session": event["session"]}]

    async def say(self, *events: dict[str, Any], to: ServerConnection | None = None) -> None:
        socket = to or self.sockets[-1]
        for event in events:
            await socket.send(json.dumps({"event_id": "event_1", **event}))

    async def connected(self, count: int) -> None:
        """Wait until `count` connections have been made and the newest has said something."""
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: len(self.sockets) >= count and bool(self.received[-1]))

    async def got(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until the newest connection has brought `count` events of a kind; return all of that kind."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.received[-1] if event["type"] == kind]

        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: len(found()) >= count)
        return found()


class Ears:
    """Understands each turn as the next of the given sentences."""

    def __init__(self, *sentences: str) -> None:
        self.sentences = list(sentences)

    def listen(self, tools: Any) -> Ears:
        return self

    def accept(self, pcm: bytes) -> None:
        pass

    async def finish(self) -> Heard:
        return Heard(self.sentences.pop(0) if self.sentences else "")

    def cancel(self) -> None:
        pass


class Voice:
    """Speaks noise, as long as the text."""

    async def speak(self, text: str, *, rate: int, voice: str, speed: float) -> Speech:
        return Speech(random.Random(0).randbytes(2 * rate * MS_PER_CHARACTER * len(text) // 1000))


class Loudness:
    """Takes whatever is loud for speech."""

    def __init__(self) -> None:
        self._rest = b""

    def process(self, pcm: bytes, /) -> list[float]:
        data = self._rest + bytes(pcm)
        hops = [data[at : at + 320] for at in range(0, len(data) - 319, 320)]
        self._rest = data[320 * len(hops) :]
        return [1.0 if any(hop) and max(memoryview(hop).cast("h")) > 1000 else 0.0 for hop in hops]


@pytest.fixture(autouse=True)
def no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own settings reaches a test."""
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_REALTIME_URL",
        "OPENAI_WEBSOCKET_BASE_URL",
        "OPENAI_BASE_URL",
        "OPENAI_ORGANIZATION",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT",
        "OPENAI_PROJECT_ID",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def exporter() -> InMemorySpanExporter:
    """Where all spans of the process go; there is one tracer provider for good."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    """The spans of one test."""
    exporter.clear()
    return exporter


@pytest.fixture
def local_server() -> Any:
    """A local server that understands each turn as the next of the given sentences."""

    @asynccontextmanager
    async def run(*sentences: str, pace: float = 0) -> AsyncIterator[RealtimeServer]:
        options: Any = {"recognizer": Ears(*sentences), "synthesizer": Voice(), "detector": Loudness, "pace": pace}
        async with serve_realtime(**options) as server:
            yield server

    return run


@asynccontextmanager
async def scripted_peer() -> AsyncIterator[Peer]:
    """Run a peer."""
    peer = Peer()
    async with serve(peer.serve, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        peer.url = f"ws://127.0.0.1:{port}/v1/realtime"
        yield peer
        server.close(close_connections=True)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with scripted_peer() as peer:
        yield peer
