"""The model on a real loopback socket against a scripted peer."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import pytest
from realtime_voice.audio import Wire
from realtime_voice.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    LocalProtocolError,
    RealtimeError,
    ServerError,
    SessionTimeout,
)
from realtime_voice.events import Reconnected, Reconnecting, Renewed, ToolResult
from realtime_voice.reconnect import ReconnectPolicy
from realtime_voice.strands import BidiAgent, BidiOpenAIRealtimeModel, BidiSessionEvent
from realtime_voice.strands import model as model_module
from strands.bidi.models import AudioCapable, BidiModel, ConnectionTimeoutError, Restartable
from strands.bidi.types import (
    AudioDelta,
    BidiConnectionStartEvent,
    BidiMessage,
    BidiResponseStartEvent,
    BidiResponseStopEvent,
    BidiToolUseBlocksEvent,
)
from strands.types.content import TextBlock
from strands.types.tools import ToolResultBlock
from websockets.asyncio.server import serve

if TYPE_CHECKING:
    from conftest import Peer

CALCULATOR: Any = {
    "name": "calculator",
    "description": "Calculates",
    "inputSchema": {"json": {"type": "object", "properties": {"expression": {"type": "string"}}}},
}


def make(peer: Peer, **options: Any) -> BidiOpenAIRealtimeModel:
    client = {"base_url": peer.url, **options.pop("client_config", {})}
    return BidiOpenAIRealtimeModel(model_id="gpt-realtime", client_config=client, **options)


def result(call_id: str, text: str = "42") -> BidiMessage:
    return BidiMessage([ToolResultBlock(call_id, "success", [{"text": text}])])


def function_call(call_id: str, arguments: str = '{"expression": "6*7"}') -> dict[str, Any]:
    item = {
        "id": f"item_{call_id}",
        "type": "function_call",
        "status": "completed",
        "call_id": call_id,
        "name": "calculator",
        "arguments": arguments,
    }
    return {"type": "response.output_item.done", "response_id": "r1", "output_index": 0, "item": item}


def created(response_id: str = "r1") -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": response_id, "status": "in_progress"}}


def done(response_id: str = "r1") -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": response_id, "status": "completed", "output": []}}


async def take(events: Any, count: int) -> list[Any]:
    async with asyncio.timeout(10):
        return [await anext(events) for _ in range(count)]


# Construction and configuration


def test_it_is_a_strands_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    model = BidiOpenAIRealtimeModel()
    assert isinstance(model, BidiModel)
    assert isinstance(model, AudioCapable)
    assert isinstance(model, Restartable)
    assert model.model_id == "gpt-realtime"
    assert model.get_config() == {
        "model_id": "gpt-realtime",
        "params": {},
        "connection": {"restart_after_s": 2700},
    }
    assert model.get_config() is model.get_config()
    assert model.get_audio_config() == {
        "input": {"sample_rate": 24000, "channels": 1, "format": "pcm"},
        "output": {"sample_rate": 24000, "channels": 1, "format": "pcm"},
    }
    assert "sk-test" not in repr(model)


def test_who_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_ORGANIZATION", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT", "proj-1")
    model = BidiOpenAIRealtimeModel()
    assert (model.api_key, model.organization, model.project) == ("sk-test", "org-1", "proj-1")
    model = BidiOpenAIRealtimeModel(api_key="sk-2", client_config={"organization": "org-2", "project": "proj-2"})
    assert (model.api_key, model.organization, model.project) == ("sk-2", "org-2", "proj-2")


@pytest.mark.parametrize("model_id", [None, "", 7])
def test_model_id_refused(model_id: Any) -> None:
    with pytest.raises(ValueError, match="model_id must be a non-empty string"):
        BidiOpenAIRealtimeModel(model_id, client_config={"api_key": "k"})


def test_neither_key_nor_url() -> None:
    with pytest.raises(ValueError, match=r"OPENAI_API_KEY.*realtime serve"):
        BidiOpenAIRealtimeModel(client_config={"api_key": "<OPENAI_API_KEY>"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"client_config": {"api_key": "k"}, "api_key": "k"}, "give api_key or client_config"),
        ({"provider_config": {"audio": {"voice": "coral"}}, "voice": "sage"}, "give voice or provider_config"),
        ({"provider_config": {"inference": {"tracing": "auto"}}, "params": {"tracing": "auto"}}, "not both"),
        ({"provider_config": 5}, "provider_config must be a dict with the keys audio, inference"),
        ({"provider_config": [], "voice": "sage"}, "provider_config must be a dict"),
        ({"client_config": "x"}, "client_config must be a dict with the keys api_key"),
        ({"client_config": [("api_key", "x")]}, "client_config must be a dict"),
        ({"client_config": [], "api_key": "k"}, "client_config must be a dict"),
        ({"timeout_s": 0}, r"client_config\['timeout_s'\] must be"),
        ({"voice": ""}, r"\['voice'\] must be"),
        ({"transcription_model_id": 7}, "transcription_model_id must be"),
        ({"connection": "soon"}, "connection must be a dict"),
        ({"connection": {"restart_after_s": "soon"}}, r"connection\['restart_after_s'\] must be a number of seconds"),
        ({"connection": {"auto_restart": "no"}}, r"connection\['auto_restart'\] must be a bool"),
        ({"params": {"audio": {"output": {"format": {"rate": 8000}}}}}, "Unsupported sample rate"),
    ],
)
def test_options_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BidiOpenAIRealtimeModel(**{"client_config": {"base_url": "ws://127.0.0.1:1"}, **options})


def test_rates_and_formats_of_the_application_and_the_wire() -> None:
    model = BidiOpenAIRealtimeModel(
        provider_config={"audio": {"input_rate": 16000, "output_rate": 48000, "channels": 2, "format": "pcmu"}},
        client_config={"api_key": "k"},
    )
    assert model.get_audio_config() == {
        "input": {"sample_rate": 16000, "channels": 2, "format": "pcm"},
        "output": {"sample_rate": 48000, "channels": 2, "format": "pcm"},
    }
    assert model.wires == (Wire("pcmu", 8000), Wire("pcmu", 8000))


def test_update_config() -> None:
    model = BidiOpenAIRealtimeModel(client_config={"api_key": "k"})
    config, audio = model.get_config(), model.get_audio_config()
    before = dict(config)
    with pytest.raises(ValueError, match="model_id"):
        model.update_config(model_id="", params={"max_output_tokens": 7})
    with pytest.raises(ValueError, match="Unsupported"):
        model.update_config(model_id="other", params={"audio": {"input": {"format": {"rate": 16000}}}})
    assert config == before
    assert model.get_audio_config() is audio
    with pytest.warns(UserWarning, match="voice"):
        model.update_config(voice="sage")
    with pytest.warns(UserWarning, match="restart_after"):
        model.update_config(connection={"restart_after": 30})
    model.update_config(model_id="other", params=None, connection={"auto_restart": False})
    assert model.get_config() is config
    assert config["model_id"] == "other"
    assert model.get_connection_config() == {"auto_restart": False}
    model.update_config(connection=None)
    assert model.get_connection_config() == {}


async def test_the_audio_format_stays_while_microphone_and_speaker_are_open(peer: Peer) -> None:
    model = make(peer)
    telephone: Any = {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}
    await model.start()
    with pytest.raises(ValueError, match="while the model is started: stop it first"):
        model.update_config(params=telephone)
    model.update_config(params={"audio": {"output": {"speed": 1.1}}})
    await model.stop()
    model.update_config(params=telephone)
    assert model.wires == (Wire(), Wire("pcmu", 8000))


# Connection


async def test_start_configures_and_tells_the_history(peer: Peer) -> None:
    model = make(
        peer,
        provider_config={"audio": {"voice": "coral"}, "inference": {"max_output_tokens": 99, "tracing": None}},
        client_config={"organization": "org-1", "project": "proj-1", "api_key": "sk-1"},
    )
    history: Any = [
        {"role": "user", "content": [{"text": "Hi"}]},
        {"role": "assistant", "content": [{"text": "Hello"}]},
    ]
    await model.start("Be brief.", [CALCULATOR], history)
    try:
        assert peer.paths == ["/v1/realtime?model=gpt-realtime"]
        assert peer.headers[0]["Authorization"] == "Bearer sk-1"
        assert peer.headers[0]["OpenAI-Organization"] == "org-1"
        assert peer.headers[0]["OpenAI-Project"] == "proj-1"
        (update,) = await peer.got("session.update")
        session = update["session"]
        assert session["instructions"] == "Be brief."
        assert session["max_output_tokens"] == 99
        assert session["tracing"] is None
        assert session["tools"][0]["name"] == "calculator"
        assert session["audio"]["output"]["voice"] == "coral"
        assert session["audio"]["input"]["transcription"] == {"model": "gpt-4o-transcribe"}
        items = await peer.got("conversation.item.create", 2)
        assert [item["item"]["role"] for item in items] == ["user", "assistant"]
        assert not [event for event in peer.received[0] if event["type"] == "response.create"]
        with pytest.raises(RuntimeError, match="call stop before starting again"):
            await model.start()
    finally:
        await model.stop()
        await model.stop()


async def test_a_refused_configuration_raises(peer: Peer) -> None:
    peer.refusal = {"code": "invalid_value", "message": "No such voice.", "param": "session.audio.output.voice"}
    model = make(peer)
    with pytest.raises(ConfigurationError, match="No such voice") as caught:
        await model.start()
    assert caught.value.param == "session.audio.output.voice"
    peer.refusal = None
    await model.start()
    await model.stop()


async def test_a_refused_key_raises(peer: Peer) -> None:
    peer.refusal = {"code": "invalid_api_key", "message": "Incorrect API key."}
    with pytest.raises(AuthenticationError, match="Incorrect API key"):
        await make(peer).start()


async def test_a_silent_peer_is_waited_for_and_warned_of(
    peer: Peer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert model_module.CONFIGURE_S == 2.0
    monkeypatch.setattr(model_module, "CONFIGURE_S", 0.05)
    peer.silent = True
    model = make(peer)
    with caplog.at_level(logging.WARNING):
        await model.start()
    try:
        assert caplog.records
        await model.send(BidiMessage([TextBlock("Hello")]))
        await peer.got("response.create")
    finally:
        await model.stop()


async def test_a_silent_peer_may_be_an_error(peer: Peer) -> None:
    peer.silent = True
    model = make(peer)
    model.silence_limit_s = 0.05
    with pytest.raises(SessionTimeout, match=r"has not answered the configuration within 0\.05 s"):
        await model.start()
    assert model.session is None


async def test_a_slow_handshake_is_waited_for(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "CONFIGURE_S", 0.05)

    async def slowly(*_: object) -> None:
        await asyncio.sleep(0.3)

    async with serve(peer.serve, "127.0.0.1", 0, process_request=slowly) as server:
        port = server.sockets[0].getsockname()[1]
        model = BidiOpenAIRealtimeModel(client_config={"base_url": f"ws://127.0.0.1:{port}"})
        await model.start()
        await peer.got("session.update")
        await model.stop()


async def test_an_endpoint_that_is_not_there(unused_tcp_port: int) -> None:
    model = BidiOpenAIRealtimeModel(client_config={"base_url": f"ws://127.0.0.1:{unused_tcp_port}"})
    with pytest.raises(ConnectError, match=r"127\.0\.0\.1"):
        await model.start()


async def test_before_start() -> None:
    model = BidiOpenAIRealtimeModel(client_config={"api_key": "k"})
    with pytest.raises(RuntimeError, match="call start before sending"):
        await model.send(BidiMessage([TextBlock("Hello")]))
    with pytest.raises(RuntimeError, match="call start before receiving"):
        await anext(model.receive())
    await model.stop()


# Conversation


async def test_messages_and_audio(peer: Peer) -> None:
    model = make(peer, provider_config={"audio": {"input_rate": 48000}})
    await model.start()
    try:
        await model.send(BidiMessage([TextBlock("One"), TextBlock("Two")]))
        (item,) = await peer.got("conversation.item.create")
        assert item["item"]["content"] == [{"type": "input_text", "text": "One"}, {"type": "input_text", "text": "Two"}]
        assert len(await peer.got("response.create")) == 1
        await model.send(AudioDelta(format="pcm", source={"bytes": bytes(9600)}))
        (append,) = await peer.got("input_audio_buffer.append")
        assert len(base64.b64decode(append["audio"])) == 4800
        with pytest.raises(ValueError, match="must contain bytes"):
            await model.send(AudioDelta(format="pcm", source={}))
        with pytest.raises(ValueError, match="AudioDelta or a BidiMessage"):
            await model.send("Hello")  # type: ignore[arg-type]
        sent = len(peer.received[0])
        with pytest.raises(ValueError, match="not supported"):
            await model.send(BidiMessage([TextBlock("Hi"), AudioDelta(format="mp3", source={"bytes": b""})]))  # type: ignore[list-item]
        await model.send(AudioDelta(format="pcm", source={"bytes": bytes(9600)}))
        await peer.got("input_audio_buffer.append", 2)
        assert len(peer.received[0]) == sent + 1
    finally:
        await model.stop()


async def test_results_of_two_tools_make_one_response(peer: Peer) -> None:
    model = make(peer)
    await model.start()
    events = model.receive()
    try:
        await peer.say(created(), function_call("a"), function_call("b"))
        first = await take(events, 4)
        assert isinstance(first[0], BidiConnectionStartEvent)
        assert first[1] == BidiResponseStartEvent("r1")
        assert [event["tool_uses"][0]["toolUseId"] for event in first[2:]] == ["a", "b"]
        assert first[2] == BidiToolUseBlocksEvent(
            [{"toolUseId": "a", "name": "calculator", "input": {"expression": "6*7"}}]
        )
        await model.send(result("b"))
        await peer.say(done())
        assert await take(events, 1) == [BidiResponseStopEvent("r1")]
        await model.send(result("a", "7"))
        outputs = await peer.got("conversation.item.create", 2)
        assert [output["item"]["call_id"] for output in outputs] == ["b", "a"]
        assert json.loads(outputs[1]["item"]["output"]) == [{"text": "7"}]
        await peer.got("response.create")
        kinds = [event["type"] for event in peer.received[0]]
        assert kinds[-3:] == ["conversation.item.create", "conversation.item.create", "response.create"]
    finally:
        await events.aclose()
        await model.stop()


async def test_arguments_that_are_not_json_go_back_to_the_model(peer: Peer) -> None:
    model = make(peer)
    await model.start()
    events = model.receive()
    try:
        await peer.say(created(), function_call("a", "{oops"), done())
        assert await take(events, 3) == [
            BidiConnectionStartEvent(connection_id=_any, model="gpt-realtime"),
            BidiResponseStartEvent("r1"),
            BidiResponseStopEvent("r1"),
        ]
        (output,) = await peer.got("conversation.item.create")
        assert "error" in output["item"]["output"]
        await peer.got("response.create")
    finally:
        await events.aclose()
        await model.stop()


async def test_a_failed_transcription_and_an_error_end_nothing(peer: Peer) -> None:
    model = make(peer)
    await model.start()
    events = model.receive()
    failed = {
        "type": "conversation.item.input_audio_transcription.failed",
        "item_id": "u1",
        "content_index": 0,
        "error": {"message": "too quiet"},
    }
    error = {"type": "error", "error": {"type": "server_error", "code": "x", "message": "busy"}}
    try:
        await peer.say(failed, error, created())
        _, first, second, third = await take(events, 4)
        assert isinstance(first, BidiSessionEvent)
        assert isinstance(second, BidiSessionEvent)
        assert third == BidiResponseStartEvent("r1")
    finally:
        await events.aclose()
        await model.stop()


async def test_a_tool_that_never_returns(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "TOOL_S", 0.05)
    model = make(peer)
    told: list[Any] = []
    model.observer = told.append
    await model.start()
    events = model.receive()
    try:
        await peer.say(created(), function_call("a"), done())
        await take(events, 4)
        (output,) = await peer.got("conversation.item.create")
        assert output["item"]["call_id"] == "a"
        assert "calculator has not answered" in output["item"]["output"]
        (failed,) = (event for event in told if isinstance(event, ToolResult))
        assert (failed.call_id, failed.name, failed.is_error) == ("a", "calculator", True)
        assert "has not answered" in failed.output
        await peer.got("response.create")
        await peer.say(created("r2"), done("r2"))
        await take(events, 2)
        await model.send(result("a", "late"))
        late = (await peer.got("conversation.item.create", 2))[1]["item"]
        assert (late["type"], late["role"]) == ("message", "system")
        assert "late" in late["content"][0]["text"]
        await peer.got("response.create", 2)
    finally:
        await events.aclose()
        await model.stop()


async def test_what_ends_a_run_is_raised_as_it_is(peer: Peer) -> None:
    peer.refusal = {"code": "invalid_value", "message": "No such voice.", "param": "session.audio.output.voice"}
    with pytest.raises(ConfigurationError, match="No such voice"):
        await BidiAgent(model=make(peer)).run(inputs=[], outputs=[])
    peer.refusal = None
    agent = BidiAgent(model=make(peer))
    run = asyncio.create_task(agent.run(inputs=[], outputs=[]))
    await peer.connected(2)
    error = {"type": "invalid_request_error", "code": "insufficient_quota", "message": "You are out of money."}
    await peer.say({"type": "error", "error": error})
    with pytest.raises(ServerError, match="out of money"):
        await asyncio.wait_for(run, 10)


async def test_connections_lost_as_soon_as_they_stand_end_the_run(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "RECONNECT", ReconnectPolicy(attempts=3, first_wait_s=0.01))
    agent = BidiAgent(model=make(peer))
    run = asyncio.create_task(agent.run(inputs=[], outputs=[]))
    for count in range(1, 5):
        await peer.connected(count)
        peer.sockets[-1].transport.abort()
    with pytest.raises(RealtimeError):
        await asyncio.wait_for(run, 20)
    assert len(peer.sockets) == 4


async def test_sessions_that_the_server_ends_as_soon_as_they_stand_end_the_run(peer: Peer) -> None:
    agent = BidiAgent(model=make(peer))
    run = asyncio.create_task(agent.run(inputs=[], outputs=[]))
    for count in range(1, 5):
        await peer.connected(count)
        await peer.sockets[-1].close(1000)
    with pytest.raises(RealtimeError):
        await asyncio.wait_for(run, 20)
    assert len(peer.sockets) == 4


# Renewal


async def test_a_lost_connection_costs_nothing_of_what_is_said(peer: Peer) -> None:
    model = make(peer)
    await model.start()
    events = model.receive()
    try:
        await take(events, 1)
        for second in range(3):
            await model.send(AudioDelta(format="pcm", source={"bytes": bytes([second, 0]) * 24000}))
        await peer.got("input_audio_buffer.append", 3)
        await peer.say(
            created(),
            {"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 1500},
        )
        assert [event["type"] for event in await take(events, 2)] == ["bidi_response_start", "bidi_transcript_start"]
        peer.sockets[0].transport.abort()
        await model.send(AudioDelta(format="pcm", source={"bytes": bytes([3, 0]) * 24000}))
        await model.send(BidiMessage([TextBlock("Are you there?")]))
        stop, spoken, lost, back = await take(events, 4)
        assert stop == BidiResponseStopEvent("r1")
        assert spoken["type"] == "bidi_transcript_stop"
        assert (type(lost.event), type(back.event)) == (Reconnecting, Reconnected)
        appended = await peer.got("input_audio_buffer.append", 3)
        audio = b"".join(base64.b64decode(event["audio"]) for event in appended)
        assert audio == bytes([1, 0]) * 12000 + bytes([2, 0]) * 24000 + bytes([3, 0]) * 24000
        (item,) = await peer.got("conversation.item.create")
        assert item["item"]["content"] == [{"type": "input_text", "text": "Are you there?"}]
        assert model.latencies.reconnection.last_s == back.event.incoming_gap_s
    finally:
        await events.aclose()
        await model.stop()


@pytest.mark.parametrize("ended", [False, True], ids=["by plan", "by the server"])
async def test_what_the_user_is_saying_goes_over_a_renewal(peer: Peer, ended: bool) -> None:
    model = make(peer)
    await model.start()
    events = model.receive()
    try:
        await take(events, 1)
        for second in range(3):
            await model.send(AudioDelta(format="pcm", source={"bytes": bytes([second, 0]) * 24000}))
        await peer.got("input_audio_buffer.append", 3)
        await peer.say({"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 1500})
        await take(events, 1)
        if ended:
            await peer.sockets[0].close(1000)
            with pytest.raises(ConnectionTimeoutError):
                await take(events, 1)
        await model.restart()
        renewed = model.receive()
        change = (await take(renewed, 2))[1].event
        await renewed.aclose()
        assert (type(change), change.replayed_samples) == (Reconnected if ended else Renewed, 36000)
        (append,) = await peer.got("input_audio_buffer.append")
        assert base64.b64decode(append["audio"]) == bytes([1, 0]) * 12000 + bytes([2, 0]) * 24000
    finally:
        await model.stop()
        await events.aclose()


async def test_what_is_said_on_a_connection_that_has_ended_waits_for_the_next(peer: Peer) -> None:
    model = make(peer)
    await model.start()
    events = model.receive()
    try:
        await peer.connected(1)
        await take(events, 1)
        await peer.sockets[0].close(1000)
        with pytest.raises(ConnectionTimeoutError, match="ended"):
            await take(events, 1)
        audio = AudioDelta(format="pcm", source={"bytes": b"\x01\x00" * 480})
        waiting = [
            asyncio.create_task(model.send(said)) for said in (audio, BidiMessage([TextBlock("Are you there?")]))
        ]
        await asyncio.sleep(0)
        noted: Any = [{"role": "user", "content": [{"text": "Are you there?"}]}]  # as the agent does, before it sends
        await model.restart("Be brief.", [], noted)
        async with asyncio.timeout(10):
            await asyncio.gather(*waiting)
        await peer.got("response.create")
        assert base64.b64decode((await peer.got("input_audio_buffer.append"))[0]["audio"]) == b"\x01\x00" * 480
        items = [event["item"] for event in await peer.got("conversation.item.create", 2)]
        assert [item["role"] for item in items] == ["user", "system"]
        await model.send(BidiMessage([TextBlock("Are you there?")]))  # said once more
        assert len(await peer.got("conversation.item.create", 3)) == 3
    finally:
        await model.stop()


async def test_what_is_said_on_a_connection_that_has_ended_and_nobody_renews(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "RENEWAL_S", 0.05)
    model = make(peer)
    await model.start()
    await peer.connected(1)
    session = model.session
    assert session is not None
    await peer.sockets[0].close(1000)
    await session.wait()
    audio = AudioDelta(format="pcm", source={"bytes": bytes(960)})
    with pytest.raises(LocalProtocolError):
        await model.send(audio)
    monkeypatch.setattr(model_module, "RENEWAL_S", 60)
    waiting = asyncio.create_task(model.send(audio))
    await asyncio.sleep(0)
    await model.stop()
    with pytest.raises(RuntimeError, match="call start before sending"):
        await waiting


async def test_a_result_that_the_history_had_is_not_told_again(peer: Peer) -> None:
    model = make(peer)
    await model.start()
    events = model.receive()
    try:
        await peer.say(created(), function_call("a"), done())
        while not isinstance((await take(events, 1))[0], BidiToolUseBlocksEvent):
            pass
        image: Any = {"image": {"format": "png", "source": {"bytes": b"image"}}}
        use: Any = {"toolUse": {"toolUseId": "a", "name": "calculator", "input": {}}}
        given: Any = {"toolResult": {"toolUseId": "a", "status": "success", "content": [image]}}
        await model.restart("", [], [{"role": "assistant", "content": [use]}, {"role": "user", "content": [given]}])
        await model.send(BidiMessage([ToolResultBlock("a", "success", [image])]))
        await peer.got("response.create")
        items = [event["item"] for event in await peer.got("conversation.item.create")]
        kinds = [item.get("role", item["type"]) for item in items]
        assert kinds == ["function_call", "user", "function_call_output", "system"]
    finally:
        await model.stop()
        await events.aclose()


async def test_restart_tells_the_new_session_all(peer: Peer) -> None:
    model = make(peer)
    await model.start("One", [CALCULATOR])
    events = model.receive()
    await peer.say(created(), function_call("a"), function_call("b"), done())
    await take(events, 5)
    dispatched: Any = [
        {"role": "user", "content": [{"text": "Hi"}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "a", "name": "calculator", "input": {}}}]},
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "a", "status": "success", "content": [{"text": "started"}]}}],
            "metadata": {"custom": {"bidi": {"kind": "tool_dispatch"}}},
        },
    ]
    model.update_config(params={"max_output_tokens": 5})
    try:
        await model.restart("Two", [CALCULATOR], dispatched)
        assert len(peer.sockets) == 2
        await asyncio.wait_for(peer.sockets[0].wait_closed(), 10)
        (update,) = await peer.got("session.update")
        assert update["session"]["instructions"] == "Two"
        assert update["session"]["max_output_tokens"] == 5
        items = [item["item"] for item in await peer.got("conversation.item.create", 3)]
        assert [item["type"] for item in items] == ["message", "function_call", "message"]
        assert [item.get("role") for item in items] == ["user", None, "system"]
        with pytest.raises(StopAsyncIteration):
            await take(events, 1)
        renewed = model.receive()
        await model.send(result("b"))
        await peer.got("conversation.item.create", 4)
        assert not [event for event in peer.received[1] if event["type"] == "response.create"]
        await model.send(result("a"))
        await peer.got("response.create")
        await peer.say(created("r2"))
        assert (await take(renewed, 3))[1:] == [ANY, BidiResponseStartEvent("r2")]  # in between: Renewed
        await renewed.aclose()
    finally:
        await model.stop()


@pytest.mark.parametrize("is_whole", [False, True])
async def test_an_answer_that_a_renewal_breaks_off_is_told(peer: Peer, is_whole: bool) -> None:
    model = make(peer)
    await model.start()
    events = model.receive()
    item = {"id": "a1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    where = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
    await peer.say(
        created(),
        {"type": "response.output_item.added", "response_id": "r1", "output_index": 0, "item": item},
        {"type": "conversation.item.added", "previous_item_id": None, "item": item},
        {"type": "response.content_part.added", "part": {"type": "audio", "transcript": ""}, **where},
        {"type": "response.output_audio_transcript.delta", "delta": "Once upon a", **where},
        *([done()] if is_whole else []),
    )
    await take(events, 7 if is_whole else 5)
    asked: Any = {"role": "user", "content": [{"text": "A story"}]}
    filled: Any = {
        "role": "assistant",
        "content": [{"text": "[Transcript unavailable.]"}],
        "metadata": {"custom": {"bidi": {"kind": "transcript", "status": "incomplete"}}},
    }
    try:
        await model.restart("", [], [filled, asked])
        items = [event["item"] for event in await peer.got("conversation.item.create", 2 if is_whole else 3)]
        told = [(item["role"], item["content"][0]["text"]) for item in items]
        assert told[:-1] == [("user", "A story"), *([] if is_whole else [("assistant", "Once upon a")])]
        assert told[-1][0] == "system"
    finally:
        await events.aclose()
        await model.stop()


@pytest.mark.parametrize("begun_anew", [False, True])
async def test_stopped_while_it_is_renewed(peer: Peer, begun_anew: bool) -> None:
    model = make(peer)
    await model.start()
    peer.silent = True
    renewal = asyncio.create_task(model.restart())
    await peer.connected(2)
    await model.stop()
    peer.silent = False
    if begun_anew:
        await model.start()
    with pytest.raises(RealtimeError, match="stopped while its connection was renewed"):
        await asyncio.wait_for(renewal, 10)
    await asyncio.wait_for(peer.sockets[1].wait_closed(), 10)
    assert (model.session is not None) == begun_anew
    if begun_anew:
        await model.send(BidiMessage([TextBlock("Hello")]))
        await peer.got("response.create")
    await model.stop()


async def test_the_limit_of_a_connection(peer: Peer) -> None:
    model = make(peer)
    model.timeout_s = 0.05
    await model.start()
    with pytest.raises(ConnectionTimeoutError, match="limit"):
        await asyncio.wait_for(_drain(model), 10)
    await model.stop()


async def test_a_lost_connection_is_replaced_and_the_agent_need_not_know(peer: Peer) -> None:
    agent = BidiAgent(model=make(peer))
    await agent.start()
    events = agent.receive()
    try:
        assert (await take(events, 1))[0]["type"] == "bidi_connection_start"
        await agent.send("Remember this")
        await peer.got("conversation.item.create")
        peer.sockets[0].transport.abort()
        assert [type(event.event) for event in await take(events, 2)] == [Reconnecting, Reconnected]
        (item,) = await peer.got("conversation.item.create")
        assert item["item"]["content"] == [{"type": "input_text", "text": "Remember this"}]
        await peer.got("response.create")
    finally:
        await events.aclose()
        await agent.stop()


async def test_a_session_that_the_server_ended_is_renewed_by_the_agent(peer: Peer) -> None:
    agent = BidiAgent(model=make(peer))
    await agent.start()
    events = agent.receive()
    try:
        assert (await take(events, 1))[0]["type"] == "bidi_connection_start"
        await agent.send("Remember this")
        await peer.got("conversation.item.create")
        await peer.sockets[0].close(1000)
        restart, start = await take(events, 2)
        assert restart["type"] == "bidi_connection_restart"
        assert start["type"] == "bidi_connection_start"
        items = await peer.got("conversation.item.create", 2)
        assert items[0]["item"]["content"] == [{"type": "input_text", "text": "Remember this"}]
    finally:
        await events.aclose()
        await agent.stop()


async def _drain(model: BidiOpenAIRealtimeModel) -> None:
    async for _ in model.receive():
        pass


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


_any: Any = _Any()
