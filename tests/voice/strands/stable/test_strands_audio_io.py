"""The microphone and speaker of an agent: any model that can speak, ours directly, and what is refused."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from realtime_voice.audio import Heard, PushAudioIO, VirtualAudioIO, Wire
from realtime_voice.audio import device as device_module
from realtime_voice.audio import echo as echo_module
from realtime_voice.errors import AudioDeviceError
from realtime_voice.events import ResponseOutputAudioDelta
from realtime_voice.strands import BidiAgent, BidiAudioIO, BidiOpenAIRealtimeModel
from realtime_voice.strands.assumed import AssumedPlayout
from strands.bidi.models import AudioCapable, BidiModel
from strands.bidi.types import (
    AudioDelta,
    BidiAudioDeltaEvent,
    BidiAudioStopEvent,
    BidiBargeInEvent,
    BidiConnectionStartEvent,
    BidiConnectionStopEvent,
    InputStream,
    OutputStream,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from conftest import Peer
    from realtime_voice.strands.stable.audio_io import AudioInput, AudioOutput


class OtherModel(BidiModel, AudioCapable):
    """A model of another provider: it keeps what it gets and says what it is told to."""

    def __init__(self, input_rate: int, output_rate: int, channels: int = 1, audio_format: str = "pcm") -> None:
        self.sent: list[AudioDelta] = []
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self._formats: Any = {
            "input": {"sample_rate": input_rate, "channels": channels, "format": audio_format},
            "output": {"sample_rate": output_rate, "channels": channels, "format": audio_format},
        }

    def get_audio_config(self) -> Any:
        return self._formats

    def get_config(self) -> Any:
        return {"model_id": "other"}

    def update_config(self, **config: Any) -> None:
        pass

    async def start(self, *args: Any, **kwargs: Any) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def send(self, content: Any) -> None:
        self.sent.append(content)

    async def receive(self) -> AsyncGenerator[Any, None]:
        yield BidiConnectionStartEvent("c", "other")
        while True:
            yield await self.events.get()

    def says(self, samples: bytes, content_id: str = "a", **changes: Any) -> BidiAudioDeltaEvent:
        return BidiAudioDeltaEvent(
            audio=base64.b64encode(samples).decode(), content_id=content_id, **{**self._formats["output"], **changes}
        )


def loud(frames: int, channels: int = 1) -> bytes:
    return (b"\x00\x20" * channels) * frames


def sounding(pcm: bytes) -> int:
    """How many samples are not silent."""
    return sum(sample != 0 for sample in memoryview(pcm).cast("h"))


async def open_output(model: BidiModel, rate: int = 24000) -> tuple[PushAudioIO, AudioOutput]:
    audio = PushAudioIO(rate=rate)
    output = BidiAudioIO(audio=audio).output()
    await output.start(BidiAgent(model=model))
    return audio, output


def test_the_streams_are_strands_streams() -> None:
    side = BidiAudioIO(audio=PushAudioIO())
    assert isinstance(side.input(), InputStream)
    assert isinstance(side.output(), OutputStream)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_device_index": -1}, "input_device_index must be a whole number from 0"),
        ({"output_frames_per_buffer": 0}, "output_frames_per_buffer must be a whole number from 1"),
        ({"input_buffer_size": 1.5}, "input_buffer_size must be a whole number"),
        ({"output_buffer_size": True}, "output_buffer_size must be a whole number"),
        ({"audio": PushAudioIO(), "input_device_index": 1}, "belong to the sound devices"),
    ],
)
def test_options_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BidiAudioIO(**options)


async def test_turns_are_found_here_only_for_a_server_that_does_not_look_for_them() -> None:
    audio = PushAudioIO()
    side = BidiAudioIO(audio=audio, local_turns=True)
    with pytest.raises(ValueError, match="needs BidiOpenAIRealtimeModel"):
        await side.input().start(BidiAgent(model=OtherModel(16000, 16000)))
    with pytest.raises(ValueError, match="turn_detection"):
        await side.input().start(BidiAgent(model=BidiOpenAIRealtimeModel(api_key="k")))
    assert not audio._running


@pytest.mark.parametrize("kind", ["input", "output"])
async def test_models_refused(kind: str) -> None:
    class Mute(BidiModel):
        get_config = update_config = start = stop = send = receive = None  # type: ignore[assignment]

    side = BidiAudioIO(audio=PushAudioIO())
    stream: AudioInput | AudioOutput = side.input() if kind == "input" else side.output()
    with pytest.raises(TypeError, match="requires a model that implements AudioCapable"):
        await stream.start(BidiAgent(model=Mute()))  # type: ignore[abstract]
    with pytest.raises(ValueError, match="requires signed 16-bit PCM"):
        await stream.start(BidiAgent(model=OtherModel(16000, 16000, audio_format="opus")))
    await stream.stop()


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (24000, 1), (8000, 2)])
async def test_another_models_microphone(rate: int, channels: int) -> None:
    audio = PushAudioIO(rate=48000)
    source = BidiAudioIO(audio=audio).input()
    with pytest.raises(RuntimeError, match="call start before reading"):
        await source()
    await source.start(BidiAgent(model=OtherModel(rate, 24000, channels)))
    audio.push(loud(48000))
    audio.end()
    heard = b""
    while len(heard) < 2 * channels * rate * 0.97:
        delta = await asyncio.wait_for(source(), 10)
        assert type(delta) is AudioDelta
        assert delta.format == "pcm"
        heard += delta.source["bytes"]
    assert len(heard) == pytest.approx(2 * channels * rate, rel=0.03)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(source(), 0.05)  # the input has ended, the conversation not
    await source.stop()
    await source.stop()


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (24000, 1), (24000, 2)])
async def test_another_models_speaker(rate: int, channels: int) -> None:
    model = OtherModel(16000, rate, channels)
    audio, output = await open_output(model, 48000)
    for at in range(10):
        await output(model.says(loud(rate // 100, channels), f"a{at // 5}"))
    await output(BidiAudioStopEvent("a1"))
    assert sounding(audio.pull(9600)) == pytest.approx(4800, abs=450)  # and 8 ms that lead it to silence
    await output.stop()
    assert audio.pull(480) == b""


async def test_another_models_barge_in_silences_the_speaker() -> None:
    model = OtherModel(16000, 24000)
    audio, output = await open_output(model)
    assert not audio.playout.interruptible  # by the device's callback: it could not be told
    await output(model.says(loud(24000)))
    assert sounding(audio.pull(2400)) == 2400
    await output(BidiBargeInEvent())
    assert sounding(audio.pull(24000)) < 240
    await output(model.says(loud(2400), "b"))
    assert sounding(audio.pull(4800)) >= 2300
    await output.stop()


@pytest.mark.parametrize("end", [BidiAudioStopEvent("a"), BidiBargeInEvent()], ids=["ended", "cut"])
async def test_nothing_of_an_answer_sounds_in_the_next(end: Any) -> None:
    model = OtherModel(16000, 16000)
    audio, output = await open_output(model)
    await output(model.says(loud(1600)))
    await output(end)
    heard = audio.pull(4800)
    if isinstance(end, BidiAudioStopEvent):
        assert any(heard[2 * 2400 : 2 * 2436])  # the resampler is behind by 36 samples
    await output(BidiAudioStopEvent("a"))
    await output(model.says(bytes(2 * 1600), "b"))
    assert not any(audio.pull(2400))
    assert audio.playout.late == 0
    await output.stop()


@pytest.mark.parametrize("changes", [{"format": "wav"}, {"sample_rate": 16000}, {"channels": 2}])
async def test_audio_of_another_format_is_refused(changes: dict[str, Any]) -> None:
    model = OtherModel(16000, 24000)
    audio, output = await open_output(model)
    with pytest.raises(ValueError, match="does not match the playback format"):
        await output(model.says(loud(240), **changes))
    assert sounding(audio.pull(480)) == 0
    await output.stop()


async def test_the_end_waits_for_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    model = OtherModel(16000, 24000)
    audio, output = await open_output(model)
    await output(model.says(loud(4800)))
    await output(BidiAudioStopEvent("a"))
    end = asyncio.create_task(output(BidiConnectionStopEvent("c", "user_request")))
    await asyncio.sleep(0.05)
    assert not end.done()
    audio.pull(9600)
    await asyncio.wait_for(end, 10)
    monkeypatch.setattr("realtime_voice.strands.audio_io.FAREWELL_S", 0.05)
    await output(model.says(loud(4800), "b"))
    await asyncio.wait_for(output(BidiConnectionStopEvent("c", "user_request")), 10)  # nobody pulls: bounded
    await output.stop()


async def test_strands_console_sees_what_the_speaker_gets() -> None:
    console = MagicMock()
    shown = console.output.return_value = AsyncMock()
    output = BidiAudioIO(audio=PushAudioIO(), console=console).output()
    model = OtherModel(16000, 24000)
    agent = BidiAgent(model=model)
    await output.start(agent)
    event = model.says(loud(240))
    await output(event)
    await output.stop()
    shown.start.assert_awaited_once_with(agent)
    shown.assert_awaited_once_with(event)
    shown.stop.assert_awaited_once()


async def test_one_audio_side_for_both_streams() -> None:
    audio = PushAudioIO()
    side = BidiAudioIO(audio=audio)
    source, output = side.input(), side.output()
    agent = BidiAgent(model=OtherModel(24000, 24000))
    await source.start(agent)
    await output.start(agent)
    await source.stop()
    assert audio.pull(240) != b""  # the output still has it
    await output.stop()
    assert audio.pull(240) == b""
    await source.start(agent)  # and it can be opened again
    assert audio.pull(240) != b""
    await source.stop()


async def test_what_waits_for_the_model_is_bounded_by_choice() -> None:
    audio = PushAudioIO(rate=24000)
    side = BidiAudioIO(audio=None, input_buffer_size=2, output_buffer_size=3, output_frames_per_buffer=240)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_module, "DeviceAudioIO", lambda **_: audio)
        source = side.input()
        await source.start(BidiAgent(model=OtherModel(24000, 24000)))
    audio.push(loud(24000))
    waiting = len(audio._chunks)
    assert len((await source()).source["bytes"]) <= 2 * 2 * 480
    assert side.dropped_chunks == waiting - 2 > 0
    assert audio.playout.backlog_bytes == 2 * 3 * 240
    await source.stop()
    assert side.dropped_chunks == waiting - 2


async def test_the_seed_options_reach_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []

    def make(**options: Any) -> PushAudioIO:
        opened.append(options)
        return PushAudioIO()

    monkeypatch.setattr(device_module, "DeviceAudioIO", make)
    side = BidiAudioIO(
        input_device_index=1, output_device_index=2, input_frames_per_buffer=480, output_frames_per_buffer=960
    )
    source = side.input()
    await source.start(BidiAgent(model=OtherModel(16000, 24000)))
    await source.stop()
    side = BidiAudioIO(input_device="jabra", latency="low")
    source = side.input()
    await source.start(BidiAgent(model=OtherModel(16000, 24000)))
    await source.stop()
    assert opened == [
        {"input_device": 1, "output_device": 2, "latency": None, "block_s": 0.03},
        {"input_device": "jabra", "output_device": None, "latency": "low", "block_s": None},
    ]
    with pytest.raises(ValueError, match="both choose the device"):
        BidiAudioIO(output_device="jabra", output_device_index=1)
    with pytest.raises(ValueError, match="latency belong to the sound devices"):
        BidiAudioIO(audio=PushAudioIO(), latency="low")


async def test_echo_options_reach_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []

    def make(**options: Any) -> PushAudioIO:
        opened.append(options)
        return PushAudioIO()

    monkeypatch.setattr(device_module, "DeviceAudioIO", make)
    source = BidiAudioIO(
        echo_control="webrtc", noise_suppression="low", gain_control=True, barge_in="local", headset=True
    ).input()
    await source.start(BidiAgent(model=OtherModel(16000, 24000)))
    await source.stop()
    chosen = {name: opened[0][name] for name in ("echo_control", "noise_suppression", "gain_control")}
    assert chosen == {"echo_control": "webrtc", "noise_suppression": "low", "gain_control": True}
    assert (opened[0]["barge_in"], opened[0]["headset"]) == ("local", True)
    with pytest.raises(ValueError, match="echo_control belong to the sound devices"):
        BidiAudioIO(audio=PushAudioIO(), echo_control=None)
    with pytest.raises(ValueError, match="barge_in, headset belong to the sound devices"):
        BidiAudioIO(audio=PushAudioIO(), barge_in="off", headset=True)
    with pytest.raises(ValueError, match="low, moderate, high"):
        BidiAudioIO(noise_suppression="total")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chosen", "options"),
    [
        (True, {"echo_control": "webrtc", "noise_suppression": "moderate", "gain_control": True}),
        ({"stream_delay_ms": 20}, {"echo_control": "webrtc", "noise_suppression": "moderate", "gain_control": True}),
        (False, {"echo_control": None}),
        (None, {}),
    ],
)
async def test_strands_words_for_echo_control(
    monkeypatch: pytest.MonkeyPatch, chosen: Any, options: dict[str, Any]
) -> None:
    opened: list[dict[str, Any]] = []

    def make(**options: Any) -> PushAudioIO:
        opened.append(options)
        return PushAudioIO()

    monkeypatch.setattr(device_module, "DeviceAudioIO", make)
    monkeypatch.setattr(echo_module, "installed", lambda: True)
    source = BidiAudioIO(audio_processor=chosen).input()
    await source.start(BidiAgent(model=OtherModel(16000, 24000)))
    await source.stop()
    given = {"echo_control", "noise_suppression", "gain_control"} & opened[0].keys()
    assert {name: opened[0][name] for name in given} == options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"audio_processor": "yes"}, "must be a bool or an AudioProcessorConfig"),
        ({"audio_processor": {"gain": 1}}, "has no .'gain'.: it takes echo_cancellation and stream_delay_ms"),
        ({"audio_processor": {"stream_delay_ms": 1001}}, "stream_delay_ms must be a whole number from 0 to 1000"),
        ({"audio_processor": {"echo_cancellation": False, "stream_delay_ms": 1}}, "requires echo cancellation"),
        ({"audio_processor": True, "echo_control": None}, "give audio_processor or echo_control, not both"),
    ],
)
def test_strands_words_for_echo_control_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BidiAudioIO(**options)


def test_noise_suppression_without_echo_control_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="come with echo control only"):
        BidiAudioIO(audio_processor={"echo_cancellation": False})


async def test_a_device_that_is_missing_ends_the_run(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    class Missing(PushAudioIO):
        async def start(self, *args: Any, **kwargs: Any) -> None:
            raise AudioDeviceError("no input device: use FileAudioIO")

    monkeypatch.setattr(device_module, "DeviceAudioIO", lambda **_: Missing())
    side = BidiAudioIO()
    agent = BidiAgent(model=BidiOpenAIRealtimeModel(client_config={"base_url": peer.url}))
    with pytest.raises(AudioDeviceError, match="use FileAudioIO"):
        await asyncio.wait_for(agent.run(inputs=[side.input()], outputs=[side.output()]), 10)
    await asyncio.wait_for(peer.sockets[0].wait_closed(), 10)


async def test_with_our_model_speech_cuts_and_the_server_is_told_what_was_heard(peer: Peer) -> None:
    """The answer is complete on the wire, half a second of two was heard when the user speaks."""
    audio = PushAudioIO(rate=24000)
    side = BidiAudioIO(audio=audio)
    agent = BidiAgent(model=BidiOpenAIRealtimeModel(client_config={"base_url": peer.url}))
    output = side.output()
    await agent.start()
    await output.start(agent)
    events = agent.receive()
    item = {"id": "a1", "type": "message", "role": "assistant", "status": "completed", "content": []}
    where = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
    text = "one two three four five six seven eight"
    delta = base64.b64encode(loud(24000)).decode()
    try:
        await peer.say(
            {"type": "response.created", "response": {"id": "r1"}},
            {"type": "response.output_item.added", "response_id": "r1", "output_index": 0, "item": item},
            {"type": "conversation.item.added", "item": item},
            {"type": "response.output_audio_transcript.delta", **where, "delta": text},
            {"type": "response.output_audio.delta", **where, "delta": delta},
            {"type": "response.output_audio.delta", **where, "delta": delta},
            {"type": "response.output_audio.done", **where},
            {"type": "response.done", "response": {"id": "r1", "status": "completed", "output": []}},
        )
        seen: list[Any] = []
        async with asyncio.timeout(10):
            while not seen or seen[-1]["type"] != "bidi_response_stop":
                seen.append(await anext(events))
                await output(seen[-1])
        assert [event.audio for event in seen if isinstance(event, BidiAudioDeltaEvent)] == [delta, delta]
        assert sounding(audio.pull(12000)) == 12000
        await peer.say({"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0})
        (truncate,) = await peer.got("conversation.item.truncate")
        assert (truncate["item_id"], truncate["content_index"], truncate["audio_end_ms"]) == ("a1", 0, 500)
        assert sounding(audio.pull(24000)) < 240
        async with asyncio.timeout(10):
            while not isinstance(event := await anext(events), BidiBargeInEvent):
                seen.append(event)
                await output(event)
        assert not [event for event in peer.received[0] if event["type"] == "response.cancel"]
    finally:
        await output.stop()
        await events.aclose()
        await agent.stop()


async def test_with_other_outputs_what_was_heard_is_told_by_time(peer: Peer) -> None:
    """Nobody tells what is played: an answer of ten seconds, just handed over, was not heard to its end."""
    agent = BidiAgent(model=BidiOpenAIRealtimeModel(client_config={"base_url": peer.url}))
    await agent.start()
    events = agent.receive()
    item = {"id": "a1", "type": "message", "role": "assistant", "status": "completed", "content": []}
    where = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}
    delta = base64.b64encode(loud(240000)).decode()
    try:
        await peer.say(
            {"type": "response.created", "response": {"id": "r1"}},
            {"type": "response.output_item.added", "response_id": "r1", "output_index": 0, "item": item},
            {"type": "conversation.item.added", "item": item},
            {"type": "response.output_audio_transcript.delta", **where, "delta": "A long story."},
            {"type": "response.output_audio.delta", **where, "delta": delta},
            {"type": "response.output_audio.done", **where},
            {"type": "response.done", "response": {"id": "r1", "status": "completed", "output": []}},
        )
        async with asyncio.timeout(10):
            while (await anext(events))["type"] != "bidi_response_stop":
                pass
            await asyncio.sleep(0.1)
            await peer.say({"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0})
            (truncate,) = await peer.got("conversation.item.truncate")
            assert 50 <= truncate["audio_end_ms"] < 9000
            while not isinstance(await anext(events), BidiBargeInEvent):
                pass
    finally:
        await events.aclose()
        await agent.stop()


async def test_the_microphone_goes_on_over_a_loss_that_outputs_hear_of_late(peer: Any) -> None:
    audio = VirtualAudioIO(rate=24000, speed=4.0)
    agent = BidiAgent(model=BidiOpenAIRealtimeModel(client_config={"base_url": peer.url}))

    async def slow(event: Any) -> None:
        await asyncio.sleep(0.05)

    side = BidiAudioIO(audio=audio)
    outputs: Any = [side.output(), slow]
    run = asyncio.create_task(agent.run(inputs=[side.input()], outputs=outputs))
    try:
        await peer.connected(1)
        await peer.got("input_audio_buffer.append")
        for number in range(6):
            await peer.say({"type": "response.created", "response": {"id": f"r{number}", "status": "in_progress"}})
        peer.sockets[0].transport.abort()
        await peer.connected(2)
        await peer.got("input_audio_buffer.append", 10)
        assert not run.done()
    finally:
        run.cancel()
        await asyncio.wait({run})


def test_assumed_playout() -> None:
    now = 100.0
    playout = AssumedPlayout(Wire(), lambda: now)
    second = base64.b64encode(bytes(48000)).decode()

    def hand_over(item: str) -> None:
        event = ResponseOutputAudioDelta(response_id="r", item_id=item, delta=second)
        playout.handed_over(event)

    assert playout.feed(b"") is None
    hand_over("a")
    hand_over("a")
    hand_over("b")
    now = 101.5
    assert playout.active
    assert playout.flush() == [Heard("a", 0, 1500, 2000), Heard("b", 0, 0, 1000)]
    assert playout.flush() == []
    hand_over("c")
    now = 103.0
    hand_over("c")  # late: half a second of silence between the two
    now = 103.25
    assert playout.flush() == [Heard("c", 0, 1250, 2000)]
    hand_over("d")
    now = 110.0
    playout.end_item("d")
    assert not playout.active
    assert playout.flush() == []
