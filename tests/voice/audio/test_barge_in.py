"""Barge-in through the audio sides: policies, events, what the speaker gives, and Python that sleeps meanwhile."""

import base64
import json
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr
from realtime_voice.audio import BargeIn, DeviceAudioIO, Heard, PushAudioIO, VirtualAudioIO, Wire
from realtime_voice.audio.barge_in import BargeInRule, settle

from realtime_core import Vad

WIRE = Wire()
RATE = 48000
BLOCK = RATE // 100
FADE_S = 0.005


def sentence():
    with wave.open(str(Path(__file__).parents[2] / "data" / "speech_slt.wav")) as file:
        speech = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return soxr.resample(speech, file.getframerate(), RATE).tobytes()


def delta(item, seconds, level=8000):
    audio = base64.b64encode(np.full(round(24000 * seconds), level, "<i2").tobytes()).decode()
    message = {"type": "response.output_audio.delta", "response_id": f"resp_{item}", "item_id": item, "delta": audio}
    return json.dumps(message).encode()


def samples(heard):
    return np.frombuffer(bytes(heard), "<i2").astype(int)


async def start(clock, **options):
    heard = bytearray()
    audio = VirtualAudioIO(rate=RATE, clock=clock, heard=heard.extend, **options)
    await audio.start(WIRE, WIRE)
    return audio, heard


def barge_ins(audio):
    return [event for event in audio.events() if isinstance(event, BargeIn)]


def expected(after_s, confirm_ms):
    """Seconds at which the callback has ducked and cut when the sentence begins at `after_s`: by the definition."""
    threshold = BargeInRule().confirm_probability
    pcm = bytes(2 * round(after_s * RATE)) + sentence()
    probabilities = Vad(RATE).process(pcm)
    onset = next(n for n, probability in enumerate(probabilities) if probability >= threshold)
    speech = 0
    for n in range(onset, len(probabilities)):
        speech += 1 if probabilities[n] >= threshold else -1
        if 10 * speech >= confirm_ms:
            return (onset + 1) / 100, (n + 1) / 100
    raise AssertionError("not enough speech")


@pytest.mark.parametrize("policy", ["local", "both"])
async def test_speech_ducks_and_cuts_what_plays(clock, policy):
    audio, heard = await start(clock, barge_in=policy, confirm_ms=200, duck_db=-20.0, headset=True)
    audio.playout.feed(delta("a", 5.0))
    await clock.run(0.5)
    begins_at = audio.duplex.frames / RATE
    audio.say(sentence(), RATE)
    await clock.run(2.0)
    ducked, cut = barge_ins(audio)
    assert (ducked.action, cut.action) == ("ducked", "cut")
    ducks_at, cuts_at = expected(begins_at, 200)
    out = samples(heard)
    late = 0.012 + FADE_S  # one block and the detector's own delay, then the fade
    assert (out[480 : round(begins_at * RATE)] == 8000).all()
    assert (out[round((ducks_at + late) * RATE) : round(cuts_at * RATE) - 10] == 800).all()
    assert not out[round((cuts_at + late) * RATE) :].any()
    (item,) = cut.heard
    assert item == Heard("a", 0, item.played_ms, 5000)
    assert item.played_ms / 1000 == pytest.approx(cuts_at, abs=late)
    assert cut.time - 100 == pytest.approx(cuts_at + 0.01, abs=late)
    assert 0.2 <= cut.after_s < 0.5
    audio.playout.feed(delta("a", 1.0))  # still on its way
    audio.playout.feed(delta("b", 0.2, 500))
    audio.playout.end_item("b")
    await clock.run(1.5)
    assert audio.playout.played_ms("b") == 200
    out = samples(heard)[len(out) :]
    assert out.max() < 600
    await audio.stop()


async def test_the_speaker_is_silent_while_python_sleeps(clock):
    """No line of Python but the device's own: the callback is called, and nothing else, for two seconds."""
    audio, _ = await start(clock, barge_in="local", confirm_ms=150, headset=True)
    audio.playout.feed(delta("a", 9.0))
    await clock.run(0.5)
    speech, begins_at = sentence(), audio.duplex.frames / RATE
    ducks_at, cuts_at = expected(begins_at, 150)
    out = []
    for block in range(200):
        piece = speech[2 * BLOCK * block : 2 * BLOCK * (block + 1)].ljust(2 * BLOCK, b"\0")
        out.append(audio.duplex.process(piece, BLOCK))
    out = samples(b"".join(out))
    silent_from = round((cuts_at - begins_at + 0.01 + 0.01) * RATE)  # a block and 10 ms after the confirm time
    assert not out[silent_from:].any()
    assert (out[: round((ducks_at - begins_at) * RATE) - 10] == 8000).all()
    for _ in range(5):  # and Python wakes with old deltas before it learns of anything
        audio.playout.feed(delta("a", 0.5))
        assert not any(audio.duplex.process(bytes(2 * BLOCK), BLOCK))
    assert [event.action for event in barge_ins(audio)] == ["ducked", "cut"]
    await audio.stop()


@pytest.mark.parametrize("options", [{}, {"barge_in": "server"}, {"barge_in": "off"}, {"headset": False}])
async def test_without_a_local_policy_speech_does_nothing_here(clock, options):
    audio, heard = await start(clock, **options)
    audio.playout.feed(delta("a", 3.0))
    audio.say(sentence(), RATE)
    await clock.run(2.0)
    assert barge_ins(audio) == []
    assert (samples(heard)[480:] == 8000).all()
    assert audio.playout.heeds_server == (options.get("barge_in") != "off")
    assert not audio.duplex.detects_speech
    await audio.stop()


@pytest.mark.parametrize("reason", ["muted", "key not held", "session"])
async def test_who_may_not_speak_interrupts_nobody(clock, reason):
    mode = "push_to_talk" if reason == "key not held" else "open"
    audio, heard = await start(clock, barge_in="both", mode=mode)
    if reason == "session":
        audio.playout.interruptible = False
        assert not audio.playout.heeds_server
    audio.muted = reason == "muted"
    audio.playout.feed(delta("a", 9.0))
    audio.say(sentence(), RATE)
    await clock.run(2.0)
    assert barge_ins(audio) == []
    assert (samples(heard)[480:] == 8000).all()
    audio.muted, audio.talking, audio.playout.interruptible = False, True, True
    audio.say(sentence(), RATE)
    await clock.run(2.0)
    assert barge_ins(audio)[-1].action == "cut"
    await audio.stop()


async def test_the_echo_of_the_answer_does_not_interrupt_it(clock):
    """The speaker's sound comes back 50 ms later at a third of its level, as it does on a table."""
    delay, spoken = 5, sentence()
    blocks = []

    def hear(block):
        blocks.append(block)
        echo = blocks[-delay] if len(blocks) >= delay else bytes(len(block))
        audio.say((samples(echo) // 3 + noise.integers(-5, 6, BLOCK)).astype("<i2"), RATE)

    noise = np.random.default_rng(1)
    audio = VirtualAudioIO(rate=RATE, clock=clock, heard=hear, barge_in="local")
    await audio.start(WIRE, WIRE)
    assert audio.duplex.checks_echo
    answer = soxr.resample(np.frombuffer(spoken, "<i2"), RATE, 24000)
    message = json.loads(delta("a", 0.1))
    message["delta"] = base64.b64encode(np.concatenate([answer] * 3).astype("<i2").tobytes()).decode()
    audio.playout.feed(json.dumps(message).encode())
    await clock.run(5.0)
    assert "cut" not in [event.action for event in barge_ins(audio)]
    await audio.stop()


def test_the_rule_that_options_make():
    assert settle({}, echo_controlled=False).policy == "server"
    assert settle({}, echo_controlled=True).policy == "both"
    assert settle({"headset": True}, echo_controlled=False).policy == "both"
    assert settle({"headset": True, "barge_in": "off"}, echo_controlled=True).policy == "off"
    rule = settle(
        {"barge_in": "local", "confirm_ms": 90, "confirm_probability": 0.7, "duck_db": -6.0}, echo_controlled=True
    )
    assert rule == BargeInRule("local", 90, 0.7, -6.0)
    assert (rule.is_local, rule.heeds_server) == (True, False)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"barge_in": "loud"}, "barge_in must be one of"), ({"confirm_ms": 5}, "confirm_ms must be"),
     ({"confirm_probability": 1.1}, "confirm_probability must be"), ({"duck_db": 3.0}, "duck_db must be"),
     ({"prefill": "never"}, "prefill must be")],
)  # fmt: skip
def test_wrong_options_are_told_before_anything_starts(options, message):
    with pytest.raises(ValueError, match=message):
        VirtualAudioIO(**options)


async def test_a_side_whose_microphone_is_elsewhere_cannot_decide(clock):
    with pytest.raises(ValueError, match="use 'server'"):
        await PushAudioIO(clock=clock, barge_in="local").start(WIRE, WIRE)
    with pytest.raises(ValueError, match="needs both sides"):
        DeviceAudioIO(input_device=False, barge_in="both")


async def test_late_deltas_make_the_next_answer_begin_later_and_whole(clock):
    async def answer(item):
        for last in (False, False, True):
            audio.playout.feed(delta(item, 0.05))
            if last:
                audio.playout.end_item(item)
            await clock.run(0.1)
        await clock.run(1.0)

    audio, heard = await start(clock, prefill="quick")
    await answer("a")
    assert audio.duplex.stats()["underruns"] > 0
    assert audio.duplex.prefill == pytest.approx(0.1 * RATE, rel=0.05)
    underruns, begun = audio.duplex.stats()["underruns"], len(heard)
    await answer("b")
    assert audio.duplex.stats()["underruns"] == underruns
    assert np.flatnonzero(samples(heard[begun:]))[0] == pytest.approx(0.1 * RATE, abs=0.011 * RATE)
    await audio.stop()


def test_the_echo_check_is_asked_for_less_confirmation():
    assert settle({}, echo_controlled=True) == BargeInRule("both", 60, 0.5, -12.0)
    assert settle({"headset": True}, echo_controlled=False) == BargeInRule("both", 150, 0.7, -12.0)
    assert settle({"confirm_ms": 90}, echo_controlled=True).confirm_ms == 90
