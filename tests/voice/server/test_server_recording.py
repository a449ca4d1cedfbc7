"""Sessions kept in a file, passed on to another endpoint, and played back."""

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets
from realtime_voice.server import Call, RealtimeServer, Recording, Say, serve
from realtime_voice.server.recording import REMOVED, Line, without_keys

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
MCP = {"type": "mcp", "server_label": "docs", "server_url": "http://h", "authorization": "Bearer sk-12345678"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


async def converse(client: Any, sounds: Any, item_id: str = "mine", words: str = "Be kind.") -> dict[str, Any]:
    """A spoken turn, a tool call, an answer."""
    await client.until("session.created")
    await client.update(tools=[TOOL], instructions=words)
    await client.append(sounds.turn)
    call = (await client.until("response.done"))["response"]["output"][0]
    await client.until("rate_limits.updated")
    output = {"type": "function_call_output", "id": item_id, "call_id": call["call_id"], "output": "42"}
    await client.send("conversation.item.create", item=output)
    await client.until("conversation.item.done")
    await client.send("response.create", response={"metadata": {"by": item_id}})
    done: dict[str, Any] = (await client.until("response.done"))["response"]
    return done


@pytest.fixture
async def recorded(start: Any, connect: Any, mind: Any, sounds: Any, tmp_path: Path) -> Path:
    path = tmp_path / "session.jsonl"
    mind.answers = [[Call("f", {})], [Say("It is forty two.")]]
    async with start(record=path) as server, connect(server) as client:
        await converse(client, sounds)
    return path


def test_recording_has_both_sides_with_times(recorded: Path) -> None:
    kept = lines(recorded)
    assert [line["event"]["type"] for line in kept if line["sender"] == "client"][-2:] == [
        "conversation.item.create", "response.create",
    ]  # fmt: skip
    assert kept[0]["event"]["type"] == "session.created"
    assert [line["at"] for line in kept] == sorted(line["at"] for line in kept)
    assert {line["session"] for line in kept} == {1}
    assert any(line["event"]["type"] == "response.output_audio.delta" and line["event"]["delta"] for line in kept)


@pytest.fixture
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("empty_directory")
async def test_nothing_is_written_unless_asked(start: Any, connect: Any) -> None:
    async with start() as server, connect(server) as client:
        await client.until("session.created")


async def test_keys_do_not_reach_the_file(start: Any, connect: Any, tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    headers = {"Authorization": "Bearer sk-correct-horse"}
    async with (
        start(record=path, api_key="sk-correct-horse") as server,
        connect(server, additional_headers=headers) as client,
    ):
        await client.until("session.created")
        await client.update(tools=[MCP], instructions="The key is sk-abcdefgh1234, ek_0123456789.")
    text = path.read_text()
    assert REMOVED in text
    for secret in ("sk-12345678", "sk-correct-horse", "sk-abcdefgh1234", "ek_0123456789"):
        assert secret not in text
    assert without_keys({"a": [{"headers": {"x": "y"}}], "authorization": None}) == {
        "a": [{"headers": REMOVED}], "authorization": None,
    }  # fmt: skip


async def test_playback_answers_as_recorded_with_the_clients_own_words(
    recorded: Path, connect: Any, sounds: Any
) -> None:
    async with serve(replay=recorded, time_scale=0) as server, connect(server) as client:
        done = await converse(client, sounds, item_id="another", words="Be brief.")
        assert done["output"][0]["content"][0]["transcript"] == "It is forty two."
        assert done["metadata"] == {"by": "another"}
        updated = next(event for event in client.log if event["type"] == "session.updated")
        assert updated["session"]["instructions"] == "Be brief."
        created = client.log[0]["session"]
        assert created["expires_at"] > 1_700_000_000
        assert "another" in client.checker.items
        await client.until("rate_limits.updated")
    assert server.deviations == []


async def test_pauses_are_scaled(connect: Any) -> None:
    """The clock is the loop's: a pause of 100 s at a scale of a five hundredth takes a fifth of a second, no less."""
    event = {"type": "input_audio_buffer.cleared", "event_id": "e"}
    recording = Recording([[Line(at=at, session=1, sender="server", event=event) for at in (0.0, 100.0)]])
    loop = asyncio.get_running_loop()
    async with serve(replay=recording, time_scale=0.002) as server, connect(server) as client:
        await client.socket.recv()
        began = loop.time()
        await client.socket.recv()
        assert loop.time() - began >= 0.19


async def test_deviation_is_told_and_kept(recorded: Path, connect: Any) -> None:
    async with serve(replay=recorded, time_scale=0, patience_s=0.3) as server, connect(server) as client:
        await client.until("session.created")
        await client.send("response.create")
        error = (await client.receive())["error"]
        assert error["code"] == "replay_deviation"
        assert "session.update" in error["message"]
    assert server.deviations == ["response.create instead of session.update", "no session.update"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), ("{}\n", "line 1"), ('{"realtime_recording":9,"recorded_at":0}\n', "line 1"),
     ('{"realtime_recording":1,"recorded_at":0}\n', "no session"),
     ('{"realtime_recording":1,"recorded_at":0}\n{"at":0}\n', "line 2")],
)  # fmt: skip
def test_what_is_no_recording_is_told(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(ValueError, match=words):
        Recording.load(tmp_path / "x")


async def test_session_is_passed_on_and_recorded(  # noqa: PLR0917  # fixtures
    start: Any, connect: Any, mind: Any, sounds: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "session.jsonl"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-upstream-key")
    mind.answers = [[Call("f", {})], [Say("fine")]]
    async with (
        start(api_key="sk-upstream-key") as upstream,
        serve(upstream=upstream.base_url, record=path) as server,
        connect(server) as client,
    ):
        done = await converse(client, sounds)
        assert done["output"][0]["content"][0]["transcript"] == "fine"
        await client.socket.close()
        assert client.socket.close_code == 1000
    assert "sk-upstream-key" not in path.read_text()
    async with serve(replay=path, time_scale=0) as server, connect(server) as client:
        assert (await converse(client, sounds, item_id="x"))["status"] == "completed"


async def test_endpoint_that_is_not_there(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with serve(upstream="http://127.0.0.1:9/v1") as server, connect(server) as client:
        error = (await client.receive())["error"]
        assert (error["type"], error["code"]) == ("server_error", "server_error")
        with pytest.raises(websockets.ConnectionClosed):
            await client.receive()
    with pytest.raises(ValueError, match="either"):
        RealtimeServer(upstream="http://127.0.0.1:9/v1", replay=Recording([[]]))


async def test_upstream_that_ends_ends_the_client(start: Any, connect: Any) -> None:
    async with (
        start(session_limit_s=0.5) as upstream,
        serve(upstream=upstream.base_url) as server,
        connect(server) as client,
    ):
        await client.until("session.created")
        assert (await client.receive())["error"]["code"] == "session_expired"
        with pytest.raises(websockets.ConnectionClosed):
            await client.receive()
        assert client.socket.close_code == 1001


# --- TLS --------------------------------------------------------------------------------------------------------------


async def test_tls_with_a_certificate_made_for_this_run(start: Any, connect: Any, tmp_path: Path) -> None:
    async with start(tls=True) as server:
        assert server.url.startswith("wss://")
        trusting = ssl.create_default_context(cadata=server.certificate.decode())
        async with connect(server, ssl=trusting) as client:
            await client.until("session.created")
            await client.update()
        url = f"{server.base_url}/realtime/client_secrets"
        async with aiohttp.ClientSession() as http, http.post(url, json={}, ssl=trusting) as answer:
            assert (await answer.json())["value"].startswith("ek_")
        with pytest.raises(ssl.SSLCertVerificationError):
            async with connect(server) as client:
                pass
