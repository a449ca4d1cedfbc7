"""The fault menu: what a server does wrong on purpose, and what is left of the protocol then."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
import websockets
from realtime_voice.server import Faults, Say

TEN_WORDS = [Say("word " * 10)]


async def closed(client: Any) -> tuple[int | None, str]:
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await client.receive()
    return client.socket.close_code, client.socket.close_reason or ""


async def raw(client: Any, count: int) -> list[dict[str, Any]]:
    """Events without a check of their order."""
    return [json.loads(await asyncio.wait_for(client.socket.recv(), 10)) for _ in range(count)]


async def test_connection_is_cut_at_an_event(start: Any, connect: Any) -> None:
    async with start(faults=Faults(drop_at=3)) as server, connect(server) as client:
        await client.until("session.created")
        await client.update(instructions="x")
        await client.send("session.update", session={"type": "realtime"})
        assert (await closed(client))[0] == 1006
        assert [event["type"] for event in client.log] == ["session.created", "session.updated"]


async def test_faults_go_by_session_and_may_be_changed(start: Any, connect: Any) -> None:
    async with start(faults=[Faults(drop_at=1), Faults()]) as server:
        async with connect(server) as client:
            assert (await closed(client))[0] == 1006
        for _ in range(2):
            async with connect(server) as client:
                await client.until("session.created")
        server.faults = Faults(drop_at=1)
        async with connect(server) as client:
            assert (await closed(client))[0] == 1006


async def test_error_at_an_event(start: Any, connect: Any) -> None:
    async with start(faults=Faults(error_at=2, error_code="insufficient_quota")) as server, connect(server) as client:
        await client.until("session.created")
        await client.send("session.update", session={"type": "realtime"})
        assert (await client.receive())["error"]["code"] == "insufficient_quota"
        await client.until("session.updated")


async def test_session_that_expires(start: Any, connect: Any) -> None:
    async with start(faults=Faults(expire_s=0.2)) as server, connect(server) as client:
        created = await client.until("session.created")
        assert created["session"]["expires_at"] > 0
        assert await closed(client) == (1001, "session_expired")
        assert client.log[-1]["error"]["code"] == "session_expired"


async def test_close_is_not_answered(start: Any, connect: Any) -> None:
    async with start(faults=Faults(no_close=True)) as server, connect(server, close_timeout=0.3) as client:
        await client.until("session.created")
        await client.socket.close()
        assert client.socket.close_code == 1006
    async with start() as server, connect(server, close_timeout=10) as client:
        await client.until("session.created")
        await client.socket.close()
        assert client.socket.close_code == 1000


async def test_events_come_late_and_twice(start: Any, connect: Any, mind: Any) -> None:
    mind.answers = [[Say("hello")]]
    faults = Faults(late={"response.created": 0.2}, duplicate=("response.done",))
    async with start(faults=faults) as server, connect(server) as client:
        await client.until("session.created")
        await client.send("response.create", response={"output_modalities": ["text"]})
        events = await raw(client, 12)
        names = [event["type"] for event in events]
        assert names.index("response.done") < names.index("response.created")
        twice = [event for event in events if event["type"] == "response.done"]
        assert twice[0] == twice[1]


async def test_large_frames_and_bursts(start: Any, connect: Any, mind: Any) -> None:
    mind.answers = [[Say("word " * 300)]]
    async with start(faults=Faults(delta_ms=30_000, pace=0), pace=1) as server, connect(server) as client:
        await client.until("session.created")
        await client.send("response.create")
        for event in await raw(client, 306):
            if event["type"] == "response.output_audio.delta":
                assert len(event["delta"]) > 1024 * 1024
                return
        pytest.fail("no audio")


async def test_trickle_and_slow_start(start: Any, connect: Any, mind: Any) -> None:
    """The clock is the loop's: 0.4 s of audio at half of real time take at least 0.4 s beyond the lead."""
    mind.answers = [[Say("word " * 4)]]
    loop = asyncio.get_running_loop()
    async with start(faults=Faults(start_s=0.3, pace=0.5)) as server:
        began = loop.time()
        async with connect(server) as client:
            await client.until("session.created")
            assert loop.time() - began >= 0.3
            await client.send("response.create")
            await client.until("response.output_audio.delta")
            first = loop.time()
            await client.until("response.output_audio.done")
            assert loop.time() - first >= 0.35


@pytest.mark.parametrize(
    ("texts", "faults"),
    [
        (["drop_at=12"], Faults(drop_at=12)),
        (["late=response.done:0.5", "late=error:1"], Faults(late={"response.done": 0.5, "error": 1.0})),
        (["duplicate=response.done", "no_close=yes"], Faults(duplicate=["response.done"], no_close=True)),
        (["error_at=2", "error_code=x", "pace=0"], Faults(error_at=2, error_code="x", pace=0)),
        (["start_s=1.5", "delta_ms=5"], Faults(start_s=1.5, delta_ms=5)),
        ([], Faults()),
    ],
)  # fmt: skip
def test_faults_are_read_from_the_command_line(texts: list[str], faults: Faults) -> None:
    assert Faults.parse(texts) == faults


@pytest.mark.parametrize(
    ("texts", "words"),
    [(["rain=1"], "no fault 'rain'"), (["drop_at=x"], "drop_at: not a number"), (["drop_at=0"], "at least 1"),
     (["late=x"], "late: not a number"), (["pace=-1"], "at least 0")],
)  # fmt: skip
def test_wrong_faults_are_named(texts: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Faults.parse(texts)
