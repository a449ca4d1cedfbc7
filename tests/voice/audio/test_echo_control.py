"""Echo control: what is played leaves what is captured, and no sample moves."""

import asyncio
import base64
import importlib.util
import json
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr
from realtime_voice.audio import DeviceAudioIO, SpeechStarted, VirtualAudioIO, Wire
from realtime_voice.audio import echo as echo_module
from realtime_voice.audio.echo import WebrtcEchoControl, open_echo_control

WIRE = Wire()
SENTENCE = Path(__file__).parents[2] / "data" / "speech_slt.wav"


def sentence(rate, seconds):
    with wave.open(str(SENTENCE)) as file:
        speech = soxr.resample(np.frombuffer(file.readframes(file.getnframes()), "<i2"), 16000, rate)
    return np.tile(speech, 1 + int(seconds * rate / len(speech)))[: int(seconds * rate)]


def delta(item, pcm):
    audio = base64.b64encode(pcm.tobytes()).decode()
    return json.dumps({"type": "response.output_audio.delta", "item_id": item, "delta": audio}).encode()


def power_db(pcm):
    return 10 * np.log10(np.square(np.frombuffer(pcm, "<i2").astype(float)).mean() + 1e-9)


def pairs(captured, played):
    return np.stack([captured, played], 1).astype("<i2").tobytes()


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize("level", [None, "low"])
def test_sample_n_out_is_sample_n_in(rate, level):
    control = WebrtcEchoControl(rate, noise_suppression=level)
    captured = sentence(rate, 2.0)
    clean = b""
    for at in range(0, len(captured), 1234):
        piece = captured[at : at + 1234]
        clean += control.process(pairs(piece, np.zeros_like(piece)))
    clean += control.flush()
    assert len(clean) == 2 * len(captured)
    # differences: a high-pass filter in there turns the phase of what is low
    out = np.diff(np.frombuffer(clean, "<i2").astype(float))
    part = np.diff(captured.astype(float))[rate // 2 : rate]
    shifts = range(-rate // 100, rate // 100)
    best = max(shifts, key=lambda shift: float(part @ out[rate // 2 + shift : rate + shift]))
    assert abs(best) <= rate // 2000  # half a millisecond


def test_any_partition_gives_the_same_and_reset_is_as_new():
    captured, played = sentence(16000, 1.0), np.roll(sentence(16000, 1.0), 3000)
    control = WebrtcEchoControl(16000)
    whole = control.process(pairs(captured, played)) + control.flush()
    split = [control.process(pairs(captured[at : at + 333], played[at : at + 333])) for at in range(0, 16000, 333)]
    assert b"".join(split) + control.flush() == whole
    control.process(pairs(played, captured))
    control.reset()
    assert control.process(pairs(captured, played)) + control.flush() == whole
    control.close()


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("level", [None, "low"])
def test_a_microphone_that_gives_zeros_stays_silent(rate, level):
    voice, played = sentence(rate, 1.0), sentence(rate, 4.0)
    captured = np.concatenate([np.zeros(2 * rate, np.int16), voice, np.zeros(rate, np.int16)])
    control = WebrtcEchoControl(rate, noise_suppression=level)
    clean = np.frombuffer(control.process(pairs(captured, played)) + control.flush(), "<i2")
    assert not clean[: 2 * rate - rate // 20].any()
    assert clean[2 * rate : 3 * rate].any()
    assert not clean[3 * rate + rate // 20 :].any()


class Room(VirtualAudioIO):
    """A virtual device whose microphone hears its speaker, 10 ms later and quieter by half."""

    def __init__(self, **options):
        super().__init__(heard=self._reflect, **options)
        self.voice = np.zeros(0, np.int16)

    def _reflect(self, played):
        echo = np.frombuffer(played, "<i2") // 2
        voice, self.voice = self.voice[: len(echo)], self.voice[len(echo) :]
        echo[: len(voice)] += voice
        self.say(echo, self.rate)


async def converse(clock, answer, seconds, **options):
    """Play an answer into the room; return what leaves for the server and the speech heard."""
    room = Room(rate=16000, clock=clock, **options)
    await room.start(WIRE, WIRE, framed=False)
    sent, events = [], []

    async def listen():
        while (chunks := await room.captured()) is not None:
            sent.extend(chunks)
            events.extend(event for event in room.events() if isinstance(event, SpeechStarted))

    listener = asyncio.create_task(listen())
    room.playout.feed(delta("answer", soxr.resample(answer, 16000, 24000)))
    await clock.run(seconds)
    room.echo_at_end = room.echo_stats()
    await room.stop()
    await listener
    return sent, events, room


async def test_an_answer_is_not_sent_back(clock):
    answer = sentence(16000, 6.0) // 2
    with_echo, heard, room = await converse(clock, answer, 6.0)
    assert heard
    assert not room.echo_controlled
    clean, _, room = await converse(clock, answer, 6.0, echo_control="webrtc")
    assert room.echo_controlled
    last = slice(2 * 24000 * 2, 2 * 24000 * 6)  # after two seconds it has learned the room
    before, after = (b"".join(audio for _, audio in chunks)[last] for chunks in (with_echo, clean))
    assert power_db(before) - power_db(after) > 20
    assert room.echo_at_end["control_db"] > 15
    assert room.echo_at_end["check_db"] > 8


async def test_positions_stay_those_of_the_capture(clock):
    counted = []
    for echo_control in (None, "webrtc"):
        sent, _, room = await converse(clock, sentence(16000, 1.0), 2.0, echo_control=echo_control)
        position = 0
        for start, audio in sent:
            assert start == position
            position += len(audio) // 2
        assert position == room.gate.position
        counted.append(position)
    assert counted[0] == counted[1] > 1.9 * 24000


async def test_recorder_and_echo_control_share_the_tap(clock, tmp_path):
    path = tmp_path / "both.wav"
    answer = sentence(16000, 2.0)
    await converse(clock, answer, 2.0, echo_control="webrtc", record=path)
    with wave.open(str(path)) as file:
        recorded = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert len(recorded) > 1.9 * 16000
    echo, played = recorded[160:, 0].astype(float), recorded[:-160, 1].astype(float)
    assert np.corrcoef(echo, played)[0, 1] > 0.99  # as the microphone heard it


async def test_a_late_loop_catches_up_second_by_second(clock):
    room = Room(rate=16000, clock=clock, echo_control="webrtc")
    await room.start(WIRE, WIRE, framed=False)
    for _ in range(250):
        room.duplex.process(bytes(320), 160)
    taken = [len(room._read_tap(16000)) // 4 for _ in range(3)]
    assert taken == [16000, 16000, 8000]
    await room.stop()


def test_options_are_checked():
    for options, message in (
        ({"echo_control": "speex"}, 'must be "auto", "webrtc" or None'),
        ({"echo_control": "webrtc", "noise_suppression": "total"}, "low, moderate, high, very high"),
        ({"noise_suppression": "low"}, "belong to echo control"),
        ({"gain_control": True}, "belong to echo control"),
    ):
        with pytest.raises(ValueError, match=message):
            VirtualAudioIO(**options)
    with pytest.raises(ValueError, match="needs both sides"):
        DeviceAudioIO(output_device=False, echo_control="webrtc")
    with pytest.raises(ValueError, match="multiple of 100"):
        WebrtcEchoControl(22051)


def test_a_missing_extra_is_named_and_auto_goes_without(monkeypatch):
    assert open_echo_control(16000, {"echo_control": "auto"}) is not None
    assert open_echo_control(16000, {}) is None
    monkeypatch.setattr(
        echo_module, "find_spec", lambda name: None if name == "pywebrtc_audio" else importlib.util.find_spec(name)
    )
    assert open_echo_control(16000, {"echo_control": "auto"}) is None
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'realtime-core\[aec\]'"):
        DeviceAudioIO(echo_control="webrtc")


def test_an_extra_that_does_not_load_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pywebrtc_audio", None)
    with pytest.raises(ModuleNotFoundError, match=r"realtime-core\[aec\]"):
        WebrtcEchoControl(16000)
