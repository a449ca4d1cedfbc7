"""The server's port: who is let in, what is answered over HTTP, and how sessions and the server end."""

import asyncio
from typing import Any

import aiohttp
import pytest
import websockets
from realtime_voice.server import RealtimeServer, Say

QUERY = "?model=gpt-realtime"


async def post(server: Any, body: Any, **headers: str) -> tuple[int, Any]:
    url = f"{server.base_url}/realtime/client_secrets"
    async with aiohttp.ClientSession() as http, http.post(url, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def refusal(server: Any, query: str = QUERY, **options: Any) -> tuple[str, int, str]:
    """Code of the error event, close code and close reason of a connection that is refused after the upgrade."""
    async with websockets.connect(server.url + query, **options) as socket:
        message = await asyncio.wait_for(socket.recv(), 10)
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 10)
        code = str(message).partition('"code":"')[2].partition('"')[0]
        assert '"type":"error"' in str(message)
        return code, socket.close_code or 0, socket.close_reason or ""


async def test_health(server: Any, client: Any) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{server.port}/health") as answer:
        assert await answer.json() == {"status": "ok", "sessions": 1, "voice": ""}
    assert server.url == f"ws://127.0.0.1:{server.port}/v1/realtime"


async def test_plain_http_is_told_to_upgrade(server: Any) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{server.base_url}/realtime") as answer:
        assert answer.status == 426


async def test_key_is_required_when_there_is_one(start: Any, connect: Any) -> None:
    async with start(api_key="correct horse") as server:
        expected = ("invalid_api_key", 3000, "invalid_request_error.invalid_api_key")
        assert await refusal(server) == expected
        assert await refusal(server, additional_headers={"Authorization": "Bearer wrong"}) == expected
        async with connect(server, additional_headers={"Authorization": "Bearer correct horse"}) as client:
            await client.until("session.created")
        offered = ["realtime", "openai-insecure-api-key.wrong"]
        assert await refusal(server, subprotocols=offered) == expected


async def test_key_and_body_that_are_no_utf_8_are_told(start: Any) -> None:
    upgrade = (
        b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Authorization: Bearer \xff\r\n\r\n"
    )
    body = b"POST /v1/realtime/client_secrets HTTP/1.0\r\nAuthorization: Bearer k\r\nContent-Length: 2\r\n\r\n\xff\xfe"
    async with start(api_key="k") as server:
        for request, answer in ((upgrade, b"invalid_request_error.invalid_api_key"), (body, b"invalid_json")):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request)
            async with asyncio.timeout(10):
                assert (await reader.readuntil(answer)).startswith(b"HTTP/1.")
            writer.close()


async def test_browser_shows_its_key_as_a_subprotocol(start: Any, connect: Any) -> None:
    offered = ["realtime", "openai-insecure-api-key.k"]
    async with start(api_key="k") as server, connect(server, subprotocols=offered) as client:
        await client.until("session.created")
        assert client.socket.subprotocol == "realtime"


async def test_missing_model_and_the_old_beta_are_refused(server: Any) -> None:
    assert await refusal(server, "") == ("missing_model", 4000, "invalid_request_error.missing_model")
    code, close, _ = await refusal(server, additional_headers={"OpenAI-Beta": "realtime=v1"})
    assert (code, close) == ("beta_api_shape_disabled", 4000)


async def test_client_secret_opens_a_session_with_its_configuration(start: Any, connect: Any) -> None:
    session = {"type": "realtime", "model": "gpt-x", "instructions": "Be brief.", "audio": {"output": {"voice": "ash"}}}
    async with start(api_key="k") as server:
        assert (await post(server, {}))[0] == 401
        status, secret = await post(server, {"session": session}, Authorization="Bearer k")
        assert status == 200
        assert secret["value"].startswith("ek_")
        assert len(secret["value"]) == 35
        assert secret["session"]["audio"]["output"]["voice"] == "ash"
        bearer = {"Authorization": f"Bearer {secret['value']}"}
        async with connect(server, "", additional_headers=bearer) as client:
            created = (await client.until("session.created"))["session"]
        assert (created["model"], created["instructions"]) == ("gpt-x", "Be brief.")
        assert created["audio"]["output"] == secret["session"]["audio"]["output"]
        code, close, _ = await refusal(server, additional_headers={"Authorization": "Bearer ek_unknown"})
        assert (code, close) == ("invalid_api_key", 3000)


async def test_client_secret_of_a_transcription_session(start: Any, connect: Any) -> None:
    async with start(api_key="k") as server:
        _, secret = await post(server, {"session": {"type": "transcription"}}, Authorization="Bearer k")
        assert secret["session"]["object"] == "realtime.transcription_session"
        assert list(secret["session"]["audio"]) == ["input"]
        bearer = {"Authorization": f"Bearer {secret['value']}"}
        for _ in range(2):  # any number of sessions
            async with connect(server, "", additional_headers=bearer) as client:
                assert (await client.until("session.created"))["session"]["type"] == "transcription"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"expires_after": {"seconds": 7201}}, "expires_after.seconds"),
        ({"session": {"type": "realtime", "tool_choice": "x"}}, "session.tool_choice"),
        ({"session": {"no": "type"}}, "session.type"),
        ({"session": {"type": "realtime", "xyz": 1}}, "session.xyz"),
        ({"session": ["no object"]}, "session"),
        (["no object"], None),
    ],
)
async def test_wrong_secret_request(server: Any, body: Any, param: str | None) -> None:
    status, answer = await post(server, body)
    assert status == 400
    assert answer["error"]["param"] == param


async def test_session_expires(start: Any, connect: Any) -> None:
    async with start(session_limit_s=0.3) as server, connect(server) as client:
        await client.until("session.created")
        error = await client.receive()
        assert error["error"]["code"] == "session_expired"
        with pytest.raises(websockets.ConnectionClosed):
            await client.receive()
        assert client.socket.close_code == 1001


async def test_sessions_are_limited(start: Any, connect: Any) -> None:
    async with start(max_sessions=1) as server:
        async with connect(server) as client:
            await client.until("session.created")
            assert (await refusal(server))[0] == "too_many_sessions"
        for _ in range(100):  # the place is free as soon as the server has seen the close
            async with connect(server) as client:
                if (await client.receive())["type"] == "session.created":
                    return
            await asyncio.sleep(0.02)
        pytest.fail("the place stayed taken")


async def test_stop_ends_open_sessions_and_is_idempotent(start: Any, connect: Any, mind: Any) -> None:
    mind.answers = [[Say("word " * 100)]]
    async with start(pace=1) as server, connect(server) as client:
        await client.until("session.created")
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await asyncio.wait_for(server.stop(), 5)
        await server.stop()
        with pytest.raises(websockets.ConnectionClosed):
            await client.until("response.done")
        assert client.socket.close_code == 1001


async def test_drain_lets_answers_end_and_nobody_in(start: Any, connect: Any, mind: Any) -> None:
    mind.answers = [[Say("word " * 10)]]
    async with start(pace=2) as server, connect(server) as busy, connect(server) as idle:
        for client in (busy, idle):
            await client.until("session.created")
        await busy.send("response.create")
        await busy.until("response.output_audio.delta")
        draining = asyncio.create_task(server.drain())
        with pytest.raises(websockets.ConnectionClosed):
            await idle.receive()
        assert idle.socket.close_code == 1001
        assert (await busy.until("response.done"))["response"]["status"] == "completed"
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await websockets.connect(server.url)
        await busy.until("rate_limits.updated")
        with pytest.raises(websockets.ConnectionClosed):
            await busy.receive()
        await asyncio.wait_for(draining, 5)


async def test_drain_is_bounded(start: Any, connect: Any, mind: Any) -> None:
    mind.answers = [[Say("word " * 1000)]]
    async with start(pace=1) as server, connect(server) as client:
        await client.until("session.created")
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await asyncio.wait_for(server.drain(0.2), 5)
        await client.until("response.output_audio.delta")


async def test_client_that_goes_away_leaves_nothing_behind(start: Any, connect: Any, ears: Any, sounds: Any) -> None:
    async with start() as server:
        before = asyncio.all_tasks()
        async with connect(server) as client:
            await client.until("session.created")
            await client.append(sounds.speech(400))
            await client.until("input_audio_buffer.speech_started")
        for _ in range(200):
            if asyncio.all_tasks() <= before and ears.cancelled:
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"left: {asyncio.all_tasks() - before}")


async def test_clients_do_not_see_each_other(server: Any, connect: Any, mind: Any) -> None:
    async with connect(server) as one, connect(server) as other:
        await one.until("session.created")
        await other.until("session.created")
        await one.update(instructions="one")
        await one.send("response.create")
        await one.until("response.done")
        assert (await other.update())["instructions"] != "one"
        await other.nothing_more()


async def test_port_that_is_taken(server: Any, start: Any) -> None:
    with pytest.raises(OSError, match="address already in use"):
        async with start(port=server.port):
            pass


@pytest.mark.parametrize(
    "options",
    [{"port": 70_000}, {"pace": -1}, {"max_sessions": 0}, {"session_limit_s": 0}, {"voice": "parrot"}, {"workers": 0}],
)
def test_wrong_options(options: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        RealtimeServer(**options)


async def test_transcription_session_listens_and_never_answers(
    start: Any, connect: Any, ears: Any, sounds: Any
) -> None:
    ears.texts = ["good morning"]
    async with start() as server, connect(server, "?intent=transcription") as client:
        session = (await client.until("session.created"))["session"]
        assert (session["type"], session["object"]) == ("transcription", "realtime.transcription_session")
        assert list(session["audio"]) == ["input"]
        await client.send(
            "session.update",
            session={"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}},
        )
        await client.until("session.updated")
        await client.append(sounds.turn)
        done = await client.until("conversation.item.input_audio_transcription.completed")
        assert done["transcript"] == "good morning"
        await client.nothing_more()
        assert (await client.refused("response.create"))["param"] == "type"
        for field in ("instructions", "audio.output"):
            change = {"instructions": "x"} if field == "instructions" else {"audio": {"output": {"voice": "ash"}}}
            error = await client.refused("session.update", session={"type": "transcription", **change})
            assert (error["code"], error["param"]) == ("unknown_parameter", f"session.{field}")
        error = await client.refused("session.update", session={"type": "realtime"})
        assert error["param"] == "session.type"


@pytest.mark.parametrize(
    ("origin", "key", "is_let_in"),
    [
        (None, None, True),
        ("http://localhost:3000", None, True),
        ("http://127.0.0.1", None, True),
        ("https://evil.example", None, False),
        ("null", None, False),
        ("http://[", None, False),
        ("https://evil.example", "sk-1", True),
    ],
)
async def test_a_page_of_another_host_needs_a_server_with_a_key(
    origin: str | None, key: str | None, is_let_in: bool, start: Any
) -> None:
    async with start(api_key=key) as server:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        if origin is not None:
            headers["Origin"] = origin
        connecting = websockets.connect(f"{server.url}?model=m", additional_headers=headers)
        if is_let_in:
            async with connecting as socket:
                assert '"session.created"' in str(await socket.recv())
        else:
            with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
                await connecting
