"""Whole agents of Strands' first bidirectional releases on our model and audio side."""

from __future__ import annotations

import asyncio
import base64
import io
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from realtime_voice.audio import PlayoutDrained, VirtualAudioIO
from realtime_voice.errors import ConfigurationError, ConnectionClosed
from realtime_voice.events import Interrupted, Reconnected, Reconnecting, ToolResult, TurnLatency
from realtime_voice.strands import (
    BidiAgent,
    BidiAudioIO,
    BidiOpenAIRealtimeModel,
    BidiSessionEvent,
    BidiTextIO,
    observe_tool_results,
    stop_conversation,
)
from realtime_voice.strands.experimental import model as model_module
from realtime_voice.strands.experimental.names import (
    BidiAudioInputEvent,
    BidiAudioStreamEvent,
    BidiConnectionCloseEvent,
    BidiImageInputEvent,
    BidiInterruptionEvent,
    BidiModelTimeoutError,
    BidiResponseCompleteEvent,
    BidiResponseStartEvent,
    BidiTextInputEvent,
    BidiTranscriptStreamEvent,
    BidiUsageEvent,
    ToolResultEvent,
    ToolUseStreamEvent,
)
from strands import tool
from strands.session.file_session_manager import FileSessionManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

PATIENCE_S = 30
SPEED = 4.0


def noise(rate: int, ms: int) -> bytes:
    return random.Random(0).randbytes(2 * rate * ms // 1000)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not met():  # noqa: ASYNC110 - the device's clock sets no event
            await asyncio.sleep(0.01)


class Collector:
    """An output that keeps every event and tells who waits for one."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._news = asyncio.Event()

    async def start(self, agent: Any) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def __call__(self, event: Any) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, kind: type) -> list[Any]:
        sessions = [event.event for event in self.events if isinstance(event, BidiSessionEvent)]
        return [event for event in [*self.events, *sessions] if isinstance(event, kind)]

    def said(self, role: str) -> list[str]:
        return [event.text for event in self.of(BidiTranscriptStreamEvent) if event.is_final and event.role == role]

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not met():
                self._news.clear()
                await self._news.wait()


class Conversation:
    """A running agent, its microphone and speaker, and what its outputs got."""

    def __init__(self, url: str, tools: list[Any], **options: Any) -> None:
        self.audio = VirtualAudioIO(rate=24000, speed=SPEED)
        self.model = BidiOpenAIRealtimeModel(client_config={"base_url": url})
        self.agent = BidiAgent(model=self.model, tools=tools, **options)
        self.outputs = Collector()
        self.results: list[ToolResult] = []
        observe_tool_results(self.agent, self.results.append)
        side = BidiAudioIO(audio=self.audio)
        self.run = asyncio.create_task(self.agent.run(inputs=[side.input()], outputs=[side.output(), self.outputs]))

    def say_something(self) -> None:
        self.audio.say(noise(24000, 500), 24000)


@pytest.fixture
def conversation(local_server: Any) -> Any:
    @asynccontextmanager
    async def hold(*sentences: str, tools: list[Any], pace: float = 0, **options: Any) -> AsyncIterator[Conversation]:
        async with local_server(*sentences, pace=pace) as server:
            talk = Conversation(server.url, tools, **options)
            try:
                yield talk
            finally:
                talk.run.cancel()
                await asyncio.wait([talk.run])

    return hold


@tool
def multiply(expression: str) -> str:
    """Calculates a product.

    Args:
        expression: Two numbers and a sign.
    """
    left, right = expression.split(" * ")
    return str(int(left) * int(right))


async def test_a_question_a_tool_an_answer_and_the_end(conversation: Any) -> None:
    tools = [multiply, stop_conversation]
    async with conversation("what is twelve times fifteen", "stop conversation", tools=tools) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(PlayoutDrained)))
        talk.say_something()
        await asyncio.wait_for(talk.run, PATIENCE_S)
    outputs = talk.outputs
    assert outputs.said("user") == ["what is twelve times fifteen", "stop conversation"]
    assert outputs.said("assistant")[0] == "twelve times fifteen is one hundred eighty."
    assert [result.output for result in talk.results] == ["180", "The conversation ends now."]
    assert [event.reason for event in outputs.of(BidiConnectionCloseEvent)] == ["user_request"]
    assert outputs.of(TurnLatency)
    assert not talk.audio.playout.active
    roles = [message["role"] for message in talk.agent.messages]
    assert roles[:4] == ["user", "assistant", "user", "assistant"]
    started, done = outputs.of(BidiResponseStartEvent), outputs.of(BidiResponseCompleteEvent)
    assert [event.response_id for event in started] == [event.response_id for event in done]
    assert {event.stop_reason for event in done} == {"complete"}
    assert all(event.total_tokens > 0 for event in outputs.of(BidiUsageEvent))


async def test_a_session_that_is_kept_goes_on_with_what_was_said(conversation: Any, peer: Any, tmp_path: Path) -> None:
    def manager() -> FileSessionManager:
        return FileSessionManager("kept", storage_dir=str(tmp_path))

    async with conversation("hello", tools=[], session_manager=manager(), agent_id="a") as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(PlayoutDrained)))
        answer = talk.outputs.said("assistant")[0]
        await talk.agent.stop()
    agent = BidiAgent(model=model_at(peer.url), session_manager=manager(), agent_id="a")
    await agent.start()
    items = [event["item"] for event in await peer.got("conversation.item.create", 2)]
    await agent.stop()
    assert [item["role"] for item in items] == ["user", "assistant"]
    assert items[1]["content"] == [{"type": "output_text", "text": answer}]


async def test_waits_are_spans_of_the_agents_session_where_there_is_one(conversation: Any, spans: Any) -> None:
    async with conversation("hello", tools=[]) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(TurnLatency)))
        (told,) = talk.outputs.of(TurnLatency)
        await talk.agent.stop()
    finished = {span.name.split()[0]: span for span in spans.get_finished_spans()}
    turn, session = finished["realtime_turn"], finished.get("bidi_session")
    assert turn.attributes["realtime.speech_end_to_audio_received_s"] == told.speech_end_to_received_s
    assert turn.attributes["realtime.speech_end_to_audio_played_s"] == told.speech_end_to_played_s
    if session is None:  # before 1.54
        assert turn.parent is None
        return
    assert turn.parent.span_id == session.context.span_id
    assert session.attributes["realtime.speech_end_to_audio_played.max_s"] == told.speech_end_to_played_s


async def test_speech_silences_an_answer_that_is_complete_on_the_wire(conversation: Any) -> None:
    async with conversation("count to thirty", "hello", tools=[]) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(BidiResponseCompleteEvent)))
        assert talk.audio.playout.active
        assert not talk.outputs.of(BidiInterruptionEvent), "nothing was said that the first question could interrupt"
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(Interrupted)))
        cut = talk.outputs.of(Interrupted)[0]
        assert 0 < cut.played_ms < cut.received_ms
        assert len(talk.outputs.of(BidiInterruptionEvent)) == 1


async def test_text_is_shown(conversation: Any) -> None:
    shown = io.StringIO()
    async with conversation("what is twelve times fifteen", tools=[multiply]) as talk:
        output = BidiTextIO(stdin=io.StringIO(), stdout=shown).output()
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.said("assistant")))
        for event in [
            *talk.outputs.events,
            BidiInterruptionEvent("user_speech"),
            BidiConnectionCloseEvent("1", "error"),
        ]:
            await output(event)
        await output(BidiTranscriptStreamEvent({"text": "and"}, "and", "assistant", is_final=False))
        await output.stop()
    lines = shown.getvalue().splitlines()
    assert "user: what is twelve times fifteen" in lines
    assert "tool: multiply(expression='12 * 15')" in lines
    assert lines.index("agent: twelve times fifteen is one hundred eighty.") < lines.index("interrupted")
    assert lines[-2:] == ["the conversation has ended", "agent: and"]


# The model alone


def model_at(url: str, **settings: Any) -> Any:
    return BidiOpenAIRealtimeModel(client_config={"base_url": url}, **settings)


async def test_what_is_sent(peer: Any) -> None:
    model = model_at(peer.url, provider_config={"audio": {"input_rate": 48000, "output_rate": 16000, "voice": "coral"}})
    assert model.config["audio"] == {
        "input_rate": 48000, "output_rate": 16000, "channels": 1, "format": "pcm", "voice": "coral",
    }  # fmt: skip
    with pytest.raises(RuntimeError, match="not started"):
        await model.send(BidiTextInputEvent("hello"))
    await model.start("Be brief.", [], [{"role": "user", "content": [{"text": "before"}]}])
    with pytest.raises(RuntimeError, match="already started"):
        await model.start()
    await model.send(BidiTextInputEvent("hello"))
    await model.send(BidiImageInputEvent(base64.b64encode(b"png").decode(), "image/png"))
    for rate, channels, frames in ((48000, 1, 4800), (16000, 2, 1600)):
        audio = base64.b64encode(bytes(2 * channels * frames)).decode()
        await model.send(BidiAudioInputEvent(audio, "pcm", rate, channels))
    ready = base64.b64encode(b"\x01\x00" * 10).decode()
    await model.send(model_module.WireAudio(ready, "pcm", 24000, 1))
    with pytest.raises(ValueError, match="send a Bidi"):
        await model.send({"type": "bidi_text_input"})
    items = [event["item"] for event in await peer.got("conversation.item.create", 3)]
    assert [item["content"][0].get("text") for item in items] == ["before", "hello", None]
    assert items[2]["content"][0]["image_url"] == "data:image/png;base64,cG5n"
    appends = [base64.b64decode(event["audio"]) for event in await peer.got("input_audio_buffer.append", 3)]
    assert [len(audio) // 2 for audio in appends[:2]] == [2400, 2400]
    assert appends[2] == b"\x01\x00" * 10
    await model.stop()
    await model.stop()


async def test_a_refused_configuration_is_raised(peer: Any) -> None:
    peer.refusal = {"code": "invalid_value", "message": "no such voice", "param": "session.audio.output.voice"}
    with pytest.raises(ConfigurationError, match="no such voice"):
        await model_at(peer.url).start()


CALL = {
    "type": "response.output_item.done",
    "response_id": "r1",
    "output_index": 0,
    "item": {
        "id": "i1", "type": "function_call", "status": "completed", "name": "slow", "call_id": "call_1",
        "arguments": '{"city": "Bonn"}',
    },
}  # fmt: skip


def response(status: str, **fields: Any) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": "r1", "status": status, "output": [], **fields}}


async def test_a_lost_connection_is_replaced_and_a_slow_tool_answers_the_new_one(peer: Any) -> None:
    model = model_at(peer.url)
    await model.start()
    received = model.receive()
    await anext(received)
    await peer.say({"type": "response.created", "response": {"id": "r1", "status": "in_progress"}}, CALL)
    while not isinstance(await anext(received), ToolUseStreamEvent):
        pass
    await peer.sockets[-1].close(1011)
    complete, lost, back = [await anext(received) for _ in range(3)]
    assert (complete["type"], complete["stop_reason"]) == ("bidi_response_complete", "interrupted")
    assert (type(lost.event), type(back.event)) == (Reconnecting, Reconnected)
    await model.send(ToolResultEvent({"toolUseId": "call_1", "status": "success", "content": [{"text": "sunny"}]}))
    items = [event["item"] for event in await peer.got("conversation.item.create", 2)]
    assert [item["type"] for item in items] == ["function_call", "function_call_output"]
    await received.aclose()
    await model.stop()


async def test_an_ended_session_is_renewed_and_a_slow_tool_answers_the_new_one(peer: Any) -> None:
    model = model_at(peer.url)
    await model.start()
    received = model.receive()
    assert (await anext(received))["type"] == "bidi_connection_start"
    await peer.say({"type": "response.created", "response": {"id": "r1", "status": "in_progress"}}, CALL)
    while not isinstance(event := await anext(received), ToolUseStreamEvent):
        pass
    use = event["current_tool_use"]
    assert use == {"toolUseId": "call_1", "name": "slow", "input": {"city": "Bonn"}}
    audio = base64.b64encode(b"\x01\x00" * 2400).decode()
    await model.send(BidiAudioInputEvent(audio=audio, format="pcm", sample_rate=24000, channels=1))
    await peer.got("input_audio_buffer.append")
    await peer.sockets[-1].close(1000)
    with pytest.raises(BidiModelTimeoutError) as lost:
        async for _ in received:
            pass
    messages = [{"role": "user", "content": [{"text": "before"}]}, {"role": "assistant", "content": [{"toolUse": use}]}]
    await model.stop()
    await model.start("Be brief.", [], messages, **lost.value.restart_config)
    await peer.connected(2)
    assert (await peer.got("input_audio_buffer.append"))[0]["audio"] == audio  # of a turn that had not ended
    await model.send(ToolResultEvent({"toolUseId": "call_1", "status": "success", "content": [{"text": "sunny"}]}))
    items = [event["item"] for event in await peer.got("conversation.item.create", 4)]
    assert [item["type"] for item in items] == ["message", "function_call", "message", "function_call_output"]
    assert "sunny" in items[-1]["output"]
    image = {"image": {"format": "png", "source": {"bytes": b"image"}}}
    await model.send(ToolResultEvent({"toolUseId": "1", "status": "success", "content": [image]}))
    shown, output = [event["item"] for event in await peer.got("conversation.item.create", 6)][-2:]
    assert shown["content"][1]["image_url"] == "data:image/png;base64,aW1hZ2U="
    assert output["call_id"] == "1"
    await model.stop()


async def test_stopped_while_it_is_renewed(peer: Any) -> None:
    model = model_at(peer.url)
    await model.start()
    received = model.receive()
    await anext(received)
    await peer.sockets[-1].close(1000)
    with pytest.raises(BidiModelTimeoutError) as lost:
        async for _ in received:
            pass
    peer.silent = True
    await model.stop()
    renewal = asyncio.create_task(model.start(**lost.value.restart_config))
    await peer.connected(2)
    await model.stop()
    with pytest.raises(ConnectionClosed, match="stopped while its connection was renewed"):
        await asyncio.wait_for(renewal, PATIENCE_S)
    await asyncio.wait_for(peer.sockets[1].wait_closed(), PATIENCE_S)
    assert model.session is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [("completed", "complete"), ("cancelled", "interrupted"), ("incomplete", "interrupted"), ("failed", "error")],
)
async def test_how_a_response_ends(peer: Any, status: str, reason: str) -> None:
    usage = {
        "total_tokens": 9, "input_tokens": 5, "output_tokens": 4,
        "input_token_details": {"text_tokens": 1, "audio_tokens": 4, "cached_tokens": 2},
        "output_token_details": {"text_tokens": 0, "audio_tokens": 4},
    }  # fmt: skip
    model = model_at(peer.url)
    await model.start()
    received = model.receive()
    part = {"response_id": "r1", "item_id": "i", "output_index": 0, "content_index": 0}
    await peer.say(
        {"type": "response.created", "response": {"id": "r1", "status": "in_progress"}},
        {"type": "response.output_text.delta", **part, "delta": "so"},
        {"type": "response.output_text.delta", **part, "delta": " be it"},
        response(status, usage=usage),
    )  # fmt: skip
    events: list[Any] = []
    async with asyncio.timeout(PATIENCE_S):
        while not (events and isinstance(events[-1], BidiUsageEvent)):
            events.append(await anext(received))
    texts = [event for event in events if isinstance(event, BidiTranscriptStreamEvent)]
    assert [(event.text, event.current_transcript) for event in texts] == [("so", "so"), (" be it", "so be it")]
    done = next(event for event in events if isinstance(event, BidiResponseCompleteEvent))
    assert done.stop_reason == reason
    assert events[-1].modality_details == [
        {"modality": "text", "input_tokens": 1, "output_tokens": 0},
        {"modality": "audio", "input_tokens": 4, "output_tokens": 4},
    ]
    assert events[-1].cache_read_input_tokens == 2
    await model.stop()


# Other models


class OtherModel:
    """A model of Strands' own kind, at other rates."""

    def __init__(self) -> None:
        audio = {"input_rate": 16000, "output_rate": 16000, "channels": 1, "format": "pcm", "voice": "x"}
        self.config: dict[str, Any] = {"audio": audio}
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.heard: list[Any] = []

    async def start(self, *_: Any, **__: Any) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def receive(self) -> AsyncIterator[Any]:
        while True:
            yield await self.events.get()

    async def send(self, content: Any) -> None:
        self.heard.append(content)


async def test_any_model_speaks_and_hears_through_the_audio_side() -> None:
    model, heard = OtherModel(), bytearray()
    audio = VirtualAudioIO(rate=48000, speed=SPEED, heard=heard.extend)
    side, outputs = BidiAudioIO(audio=audio), Collector()
    agent = BidiAgent(model=model)
    run = asyncio.create_task(agent.run(inputs=[side.input()], outputs=[side.output(), outputs]))
    spoken = base64.b64encode(noise(16000, 2000)).decode()
    for event in (BidiResponseStartEvent("r"), BidiAudioStreamEvent(spoken, "pcm", 16000, 1)):
        model.events.put_nowait(event)
    await until(lambda: any(heard))
    assert audio.playout.active
    model.events.put_nowait(BidiInterruptionEvent("user_speech"))
    await until(lambda: not audio.playout.active and bool(model.heard))
    assert len(heard) < 2 * 48000 * 2
    assert {(event.format, event.sample_rate, event.channels) for event in model.heard} == {("pcm", 16000, 1)}
    model.events.put_nowait(BidiAudioStreamEvent(spoken, "pcm", 24000, 1))
    with pytest.raises(ValueError, match="does not match the playback format"):
        await asyncio.wait_for(run, PATIENCE_S)
