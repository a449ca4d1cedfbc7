"""Ephemeral keys: made at an endpoint, shown nowhere, good for a session."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from realtime_voice import client_secrets, connect
from realtime_voice.endpoint import resolve
from realtime_voice.errors import AuthenticationError, ConnectError, RemoteProtocolError, ServerError
from realtime_voice.server import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEY = "sk-do-not-print-me"


class Endpoint:
    """An HTTP endpoint that answers as told and keeps what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: Answer | None = None
        self.bodies: list[Any] = []
        self.headers: list[Mapping[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.headers.append(request.headers)
        if self.answer is not None:
            return await self.answer(request)
        return web.json_response({"value": "ek_1", "expires_at": 7, "session": {"type": "realtime"}})


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    app = web.Application()
    app.router.add_post("/v1/realtime/client_secrets", endpoint.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield endpoint
    await runner.cleanup()


def answers(body: Any, status: int = 200, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body if isinstance(body, str) else json.dumps(body), status=status, headers=headers)

    return answer


async def test_what_is_asked_for(endpoint: Endpoint) -> None:
    secret = await client_secrets.create(
        {"instructions": "Be brief."}, expires_after_s=60, base_url=endpoint.url, api_key=KEY, organization="org-1"
    )
    assert (secret.value, secret.expires_at) == ("ek_1", 7)
    assert "ek_1" not in repr(secret)
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert endpoint.headers[0]["OpenAI-Organization"] == "org-1"
    assert endpoint.bodies == [
        {
            "session": {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."},
            "expires_after": {"anchor": "created_at", "seconds": 60},
        }
    ]
    await client_secrets.create({"type": "transcription"}, endpoint=resolve(base_url=endpoint.url, environ={}))
    assert endpoint.bodies[1] == {"session": {"type": "transcription"}}


async def test_a_session_opens_with_it_and_is_bound_to_its_configuration() -> None:
    async with serve(api_key=KEY) as server:
        wished = {"type": "realtime", "audio": {"output": {"speed": 1.25}}}
        secret = await client_secrets.create(wished, base_url=server.url, api_key=KEY)
        async with connect(base_url=server.url, api_key=secret.value) as session:
            assert session.config["audio"]["output"]["speed"] == 1.25
        with pytest.raises(AuthenticationError):
            await client_secrets.create(base_url=server.url, api_key="sk-wrong")
        with pytest.raises(ServerError) as refused:
            await client_secrets.create({"audio": {"output": {"speed": 9}}}, base_url=server.url, api_key=KEY)
        assert refused.value.param == "session.audio.output.speed"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (answers({"error": {"message": "no", "code": "invalid_api_key"}}, 401), AuthenticationError, "no"),
        (answers("<html>", 403), AuthenticationError, "refused the key with HTTP 403"),
        (answers({"error": {"message": "bad", "code": "x", "param": "session"}}, 400), ServerError, "bad"),
        (answers("busy", 503), ConnectError, "HTTP 503"),
        (answers("", 307, Location="/v1/elsewhere"), ConnectError, "HTTP 307"),
        (answers("[]"), RemoteProtocolError, "client secret"),
        (answers("x" * (client_secrets.ANSWER_BYTES + 1)), ConnectError, "longer than"),
    ],
)
async def test_refusals_are_typed(endpoint: Endpoint, answer: Answer, error: type[Exception], words: str) -> None:
    endpoint.answer = answer
    with pytest.raises(error, match=words) as refused:
        await client_secrets.create(base_url=endpoint.url, api_key=KEY)
    assert KEY not in str(refused.value)


async def test_a_silent_endpoint_is_bounded(endpoint: Endpoint) -> None:
    released = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    endpoint.answer = never
    with pytest.raises(ConnectError, match=r"within 0\.1 s|timed out"):
        await client_secrets.create(base_url=endpoint.url, timeout_s=0.1)
    released.set()


async def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="expires_after_s must be 10 to 7200, got 7201"):
        await client_secrets.create(expires_after_s=7201, base_url="ws://127.0.0.1:9/v1")
    with pytest.raises(ValueError, match="give it alone"):
        await client_secrets.create(endpoint=resolve(base_url="ws://127.0.0.1:9", environ={}), api_key=KEY)
    with pytest.raises(ConnectError, match="cannot reach"):
        await client_secrets.create(base_url="ws://127.0.0.1:9/v1")
