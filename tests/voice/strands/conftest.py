"""A scripted peer on a loopback socket: what it gets is kept, what it says is up to the test."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from websockets.datastructures import Headers

PATIENCE_S = 10


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
        self.sockets.append(socket)
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

    async def got(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until the newest connection has brought `count` events of a kind; return all of that kind."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.received[-1] if event["type"] == kind]

        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: len(found()) >= count)
        return found()


@pytest.fixture
async def peer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Peer]:
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
    peer = Peer()
    async with serve(peer.serve, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        peer.url = f"ws://127.0.0.1:{port}/v1/realtime"
        yield peer
        server.close(close_connections=True)
