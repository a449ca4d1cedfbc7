"""The gate: chunks, modes, events, and that no partition of the input changes any of it."""

import base64
import json
import random
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr

from realtime_core import Gate, Resampler, Vad, g711

SENTENCE = Path(__file__).parents[1] / "data" / "speech_slt.wav"  # flite, voice slt, 16 kHz
SPOKEN_AT = [2.0, 6.0]  # seconds at which the sentence begins
WIRE_RATE = {"pcm": 24000, "pcmu": 8000, "pcma": 8000}


def scene(rate: int) -> np.ndarray:
    """Nine seconds of faint noise with the sentence said twice."""
    with wave.open(str(SENTENCE)) as file:
        speech = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    pcm = np.random.default_rng(0).normal(size=9 * 16000) * 3
    for at in SPOKEN_AT:
        pcm[int(at * 16000) :][: len(speech)] += speech
    pcm = np.clip(pcm, -32768, 32767).astype(np.int16)
    return pcm if rate == 16000 else soxr.resample(pcm, 16000, rate)


def speech_edges() -> tuple[float, float]:
    """Where the sentence is loud, in seconds from its beginning."""
    with wave.open(str(SENTENCE)) as file:
        speech = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    loud = np.flatnonzero(np.abs(speech) > 300)
    return loud[0] / 16000, loud[-1] / 16000


def run(gate: Gate, pcm: np.ndarray, sizes=None) -> tuple[list, list]:
    chunks, events, at = [], [], 0
    while at < len(pcm):
        size = next(sizes) if sizes else len(pcm)
        chunks += gate.push(pcm[at : at + size])
        events += gate.events()
        at += size
    chunks += gate.flush()
    return chunks, events + gate.events()


def random_sizes(seed: int):
    rng = random.Random(seed)
    while True:
        yield rng.choice([0, 1, 3, 79, 80, 160, 441, 480, 481, 4000, 20000])


def wire_audio(rate: int, wire_format: str, pcm: np.ndarray) -> bytes:
    wire_rate = WIRE_RATE[wire_format]
    if rate != wire_rate:
        resampler = Resampler(rate, wire_rate)
        pcm = resampler.process(pcm) + resampler.flush()
    encode = {"pcm": bytes, "pcmu": g711.encode_ulaw, "pcma": g711.encode_alaw}[wire_format]
    return encode(pcm)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("wire_format", ["pcm", "pcmu", "pcma"])
def test_open_lets_everything_leave(rate, wire_format):
    pcm = scene(rate)[: 4 * rate]
    gate = Gate(rate, wire_format=wire_format, framed=False)
    chunks, _ = run(gate, pcm, random_sizes(rate))
    width = 2 if wire_format == "pcm" else 1
    assert b"".join(audio for _, audio in chunks) == wire_audio(rate, wire_format, pcm)
    assert gate.wire_rate == WIRE_RATE[wire_format]
    size = gate.wire_rate // 50
    assert [position for position, _ in chunks] == list(range(0, gate.position, size))
    assert all(len(audio) == size * width for _, audio in chunks[:-1])


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 48000])
def test_in_silence_chunks_are_few_and_where_speech_may_be_they_are_short(rate):
    pcm = np.concatenate([scene(rate), np.zeros(3 * rate, np.int16)])
    gate = Gate(rate, framed=False, quiet_chunk_ms=100)
    chunks, events = run(gate, pcm, random_sizes(1))
    assert b"".join(audio for _, audio in chunks) == wire_audio(rate, "pcm", pcm), "everything leaves"
    ms = [(position / 24, len(audio) / 48) for position, audio in chunks]
    assert all(length <= 100 for _, length in ms)
    (first, second), last = [position / 24 for kind, position in events if kind == "speech_started"], events[-1][1] / 24
    for start in (first, second):
        assert {length for at, length in ms if start + 100 <= at <= start + 1000} == {20.0}
    assert {length for at, length in ms[:-1] if at > last + 1500} == {100.0}
    assert len(chunks) < 0.75 * len(run(Gate(rate), pcm)[0])


def test_what_silence_has_left_leaves_with_the_first_hop_that_may_be_speech():
    gate = Gate(24000, framed=False, quiet_chunk_ms=200)
    pcm = scene(24000)
    for at in range(0, len(pcm), 240):
        chunks = gate.push(pcm[at : at + 240])
        if at > 1.5 * 24000 and gate.probability >= 0.35:
            break
        assert all(len(audio) == 2 * 4800 for position, audio in chunks if position > 1.5 * 24000)
    ((position, audio),) = chunks
    assert position + len(audio) // 2 == at + 240


def test_framed_chunks_are_append_messages():
    pcm = scene(48000)[:100_000]
    framed, _ = run(Gate(48000), pcm)
    bare, _ = run(Gate(48000, framed=False), pcm)
    assert [position for position, _ in framed] == [position for position, _ in bare]
    for (_, message), (_, audio) in zip(framed, bare, strict=True):
        event = json.loads(message)
        assert event == {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}


@pytest.mark.parametrize(
    ("mode", "quiet_chunk_ms"), [("open", None), ("open", 25), ("open", 100), ("open", 1000), ("gated", None)]
)
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 24000, 44100, 48000])
def test_any_partition_gives_the_same(mode, quiet_chunk_ms, rate):
    pcm = scene(rate)
    whole = run(Gate(rate, mode=mode, quiet_chunk_ms=quiet_chunk_ms), pcm)
    assert [kind for kind, _ in whole[1]] == ["speech_started", "speech_stopped"] * 2
    for seed in range(3):
        assert run(Gate(rate, mode=mode, quiet_chunk_ms=quiet_chunk_ms), pcm, random_sizes(seed)) == whole


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("pre_roll_ms", [100, 300, 1000])
def test_gated_sends_the_speech_with_its_margins_and_little_else(rate, pre_roll_ms):
    gate = Gate(rate, mode="gated", framed=False, pre_roll_ms=pre_roll_ms)
    pcm = scene(rate)
    chunks, events = run(gate, pcm)
    everything = wire_audio(rate, "pcm", pcm)
    sent = np.zeros(len(everything) // 2, bool)
    for position, audio in chunks:
        assert audio == everything[2 * position :][: len(audio)]
        assert not sent[position : position + len(audio) // 2].any()
        sent[position : position + len(audio) // 2] = True
    begin, end = speech_edges()
    for at in SPOKEN_AT:  # 50 ms of grace where the pre-roll is shorter than the detector's own delay
        assert sent[int((at + begin + (0.05 if pre_roll_ms < 200 else 0)) * 24000) : int((at + end) * 24000)].all()
    assert not sent[: int(1.0 * 24000) - 24 * pre_roll_ms].any()
    assert sent.sum() < 2 * 24 * (1000 * (end - begin) + pre_roll_ms + 300 + 200)
    starts = [position for kind, position in events if kind == "speech_started"]
    for start, at in zip(starts, SPOKEN_AT, strict=True):
        assert abs(start / 24000 - (at + begin)) < 0.12
        assert sent[start - 24 * pre_roll_ms + 24 : start].all()


def test_open_and_gated_tell_the_same_events():
    pcm = scene(48000)
    thresholds = {"open_threshold": 0.5, "close_threshold": 0.3}
    assert run(Gate(48000, **thresholds), pcm)[1] == run(Gate(48000, mode="gated", **thresholds), pcm)[1]


def test_push_to_talk_sends_while_the_key_is_down():
    pcm = scene(48000)
    gate = Gate(48000, mode="push_to_talk", framed=False)
    everything = wire_audio(48000, "pcm", pcm)
    assert gate.push(pcm[:50_001]) == []
    gate.talking = True
    assert gate.speaking
    start = gate.position
    chunks = gate.push(pcm[50_001:70_000])
    gate.talking = False
    end = gate.position
    chunks += gate.push(pcm[70_000:90_000])
    assert b"".join(audio for _, audio in chunks) == everything[2 * start : 2 * end]
    assert [position for position, _ in chunks] == list(range(start, end, 480))
    assert gate.events() == [("speech_started", start), ("speech_stopped", end)]
    assert gate.flush() == []


def test_a_key_pressed_again_before_the_next_push_goes_on():
    gate = Gate(24000, mode="push_to_talk", framed=False)
    gate.talking = True
    chunks = gate.push(bytes(2 * 700))
    gate.talking = False
    gate.talking = True
    chunks += gate.push(bytes(2 * 260))
    assert [(position, len(audio) // 2) for position, audio in chunks] == [(0, 480), (480, 480)]


def test_muted_sends_zeros():
    pcm = scene(24000)
    gate = Gate(24000, framed=False)
    gate.push(pcm[:48_000])
    gate.muted = True
    assert gate.muted
    muted = gate.push(pcm[48_000:96_000])
    gate.muted = False
    after = gate.push(pcm[96_000:])
    assert b"".join(audio for _, audio in muted) == bytes(96_000)
    assert b"".join(audio for _, audio in after) == pcm[96_000:].tobytes()
    assert gate.events()[0][1] > 96_000  # the first sentence was not heard


def test_flush_ends_the_stretch_and_speech():
    pcm = scene(16000)[: int(2.8 * 16000)]  # ends in the middle of the sentence
    gate = Gate(16000, framed=False, mode="gated")
    chunks, events = run(gate, pcm)
    assert [kind for kind, _ in events] == ["speech_started", "speech_stopped"]
    assert events[1][1] == gate.position
    assert not gate.speaking
    position, audio = chunks[-1]
    assert position + len(audio) // 2 == gate.position
    more = gate.push(scene(16000)[int(2.8 * 16000) :])
    assert [kind for kind, _ in gate.events()] == ["speech_started", "speech_stopped"] * 2
    assert more[0][0] >= position


@pytest.mark.parametrize("rate", [16000, 24000, 48000])
def test_flush_without_anything_new_sends_nothing(rate):
    gate = Gate(rate, framed=False)
    assert gate.flush() == []
    gate.push(bytes(2 * (rate // 10 + 1)))
    assert gate.flush()
    position = gate.position
    assert gate.flush() == []
    assert gate.position == position
    gate.push(bytes(2))
    assert gate.flush()[0][0] == position


def test_a_stream_that_begins_with_speech_is_sent_from_its_beginning():
    pcm = scene(16000)[int((SPOKEN_AT[0] + speech_edges()[0]) * 16000) :]
    chunks, _ = run(Gate(16000, mode="gated", pre_roll_ms=0), pcm)
    assert chunks[0][0] == 0


def test_reset_is_as_new():
    pcm = scene(44100)
    gate = Gate(44100, mode="gated")
    gate.push(pcm[:200_000])
    gate.muted = True
    gate.reset()
    assert gate.muted
    gate.muted = False
    assert gate.position == 0
    assert gate.events() == []
    assert run(gate, pcm) == run(Gate(44100, mode="gated"), pcm)


def test_events_are_bounded():
    gate = Gate(24000, mode="push_to_talk")
    for _ in range(100):
        gate.talking = True
        gate.push(bytes(480))
        gate.talking = False
        gate.push(bytes(480))
    events = gate.events()
    assert len(events) == 64
    assert events[-1] == ("speech_stopped", gate.position - 240)
    assert gate.events() == []


def test_probability_is_the_detector_s():
    pcm = scene(16000)
    gate, vad = Gate(16000), Vad(16000)
    for at in range(0, len(pcm) - 160, 160):
        gate.push(pcm[at : at + 160])
        assert gate.probability == vad.process(pcm[at : at + 160])[0]


@pytest.mark.parametrize(
    "arguments",
    [
        {"rate": 7999}, {"rate": 192001}, {"wire_format": "opus"}, {"mode": "half"}, {"chunk_ms": 9},
        {"chunk_ms": 1001}, {"quiet_chunk_ms": 19}, {"quiet_chunk_ms": 1001}, {"pre_roll_ms": -1},
        {"pre_roll_ms": 5001}, {"hangover_ms": 0}, {"min_speech_ms": 0},
        {"open_threshold": 1.1}, {"close_threshold": 0.7}, {"close_threshold": -0.1}, {"open_threshold": float("nan")},
    ],
)  # fmt: skip
def test_arguments_are_checked(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments)).split("_")[0]):
        Gate(**({"rate": 16000} | arguments))


def test_what_is_not_pcm_is_refused():
    gate = Gate(16000)
    with pytest.raises(ValueError, match="even number"):
        gate.push(b"abc")
    with pytest.raises(TypeError):
        gate.push("text")
    assert gate.push(b"") == []
