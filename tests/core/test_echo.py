"""The echo check in synthetic rooms, with the sentence of tests/data as both voices."""

import random
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr

from realtime_core import EchoCheck, Vad

SENTENCE = Path(__file__).parents[1] / "data" / "speech_slt.wav"  # flite, voice slt, 16 kHz
RATE = 16000


def sentence() -> np.ndarray:
    with wave.open(str(SENTENCE)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)


def answer(seconds: float) -> np.ndarray:
    """The sentence, over and over: what the speaker plays."""
    return np.tile(sentence(), 1 + int(seconds * RATE / len(sentence())))[: int(seconds * RATE)]


def room(delay_s: float, gain_db: float, seed: int = 0) -> np.ndarray:
    """Impulse response: a delay, a direct path and 0.3 s of reverberation, of that energy in all."""
    tail = np.random.default_rng(seed).normal(size=int(0.3 * RATE)) * 10 ** (-3 * np.arange(int(0.3 * RATE)) / 4800)
    tail[0] += np.sqrt(np.square(tail).sum())
    response = np.concatenate([np.zeros(int(delay_s * RATE)), tail])
    return response * 10 ** (gain_db / 20) / np.sqrt(np.square(response).sum())


def pcm(signal: np.ndarray) -> np.ndarray:
    return np.clip(np.round(signal), -32768, 32767).astype(np.int16)


def echo(played: np.ndarray, delay_s: float, gain_db: float) -> np.ndarray:
    response = room(delay_s, gain_db)
    size = len(played) + len(response)
    full = np.fft.irfft(np.fft.rfft(played, size) * np.fft.rfft(response, size), size)
    return full[: len(played)] + np.random.default_rng(1).normal(size=len(played)) * 10


def higher(signal: np.ndarray) -> np.ndarray:
    """Another speaker: everything a fifth quicker and higher."""
    return soxr.resample(signal, 6, 5)


@pytest.mark.parametrize(("delay_s", "gain_db"), [(0.0, -6), (0.06, -12), (0.15, -20), (0.29, -6)])
def test_its_own_voice_is_nobody_and_another_one_over_it_is(delay_s, gain_db):
    played = answer(12)
    captured = echo(played, delay_s, gain_db)
    check = EchoCheck()
    alone = np.array(check.process(pcm(captured), pcm(played)))
    assert len(alone) == 1200
    assert alone.max() < 0.5
    assert check.reduction_db > 10
    voice = higher(sentence())
    voice *= np.sqrt(np.square(captured).mean() / np.square(voice).mean())  # as loud as the echo
    start = 7 * RATE
    captured[start : start + len(voice)] += voice
    both = np.array(EchoCheck().process(pcm(captured), pcm(played)))
    assert both[:700].max() < 0.5
    speech = np.array(Vad().process(pcm(captured)))
    assert np.sum((both > 0.5) & (speech > 0.5)) > 20
    assert (both[700:760] > 0.5).any()


@pytest.mark.parametrize(("before_s", "after_s"), [(0.04, 0.2), (0.15, 0.17), (0.2, 0.1)])
def test_a_new_delay_is_learned(before_s, after_s):
    played = answer(16)
    captured = np.concatenate([echo(played, before_s, -10)[: 8 * RATE], echo(played, after_s, -10)[8 * RATE :]])
    check = EchoCheck()
    somebody = np.array(check.process(pcm(captured), pcm(played)))
    assert somebody[:800].max() < 0.5
    assert np.sum(somebody[800:900] > 0.5) < 40
    assert somebody[900:].max() < 0.5
    assert check.reduction_db > 10


def test_silence_is_nobody_and_while_nothing_is_played_any_sound_is_somebody():
    nothing = np.zeros(3 * RATE, np.int16)
    assert max(EchoCheck().process(nothing, nothing)) < 0.5
    speech = np.concatenate([nothing[:RATE], pcm(sentence())])
    somebody = np.array(EchoCheck().process(speech, np.zeros(len(speech), np.int16)))
    assert somebody[:100].max() < 0.5
    assert np.mean(somebody[100:] > 0.5) > 0.5


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
def test_any_partition_gives_the_same(rate):
    played = answer(4)
    captured = echo(played, 0.05, -8)
    both = [pcm(signal if rate == RATE else soxr.resample(signal, RATE, rate)) for signal in (captured, played)]
    whole = EchoCheck(rate).process(*both)
    rng = random.Random(rate)
    check, vad, pieces, at = EchoCheck(rate), Vad(rate), [], 0
    while at < len(both[0]):
        size = rng.choice([0, 1, 2, 159, 160, 161, 480, 5000])
        somebody = check.process(both[0][at : at + size], both[1][at : at + size])
        assert len(somebody) == len(vad.process(both[0][at : at + size]))
        pieces += somebody
        at += size
    assert pieces == whole


@pytest.mark.parametrize("rate", [8000, 24000, 48000])
def test_rates_agree(rate):
    played = answer(8)
    captured = echo(played, 0.1, -10)
    both = [pcm(soxr.resample(signal, RATE, rate)) for signal in (captured, played)]
    check = EchoCheck(rate)
    assert max(check.process(*both)) < 0.5
    assert check.reduction_db > 10


def test_reset_is_as_new():
    played = answer(3)
    captured = pcm(echo(played, 0.05, -8))
    check = EchoCheck(48000)
    first = check.process(captured, pcm(played))
    check.process(captured[:77], captured[:77])
    check.reset()
    assert check.reduction_db == 0
    assert check.process(captured, pcm(played)) == first


@pytest.mark.parametrize("rate", [7999, 192001, 0, -1])
def test_rate_is_checked(rate):
    with pytest.raises(ValueError, match="8000 to 192000"):
        EchoCheck(rate)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match="equally long, got 2 and 3"):
        EchoCheck().process(b"abcd", b"abcdef")
    with pytest.raises(ValueError, match="even number"):
        EchoCheck().process(b"abc", b"abc")
    with pytest.raises(TypeError):
        EchoCheck().process(np.zeros(160, np.int16), np.zeros(160, np.float32))
    assert EchoCheck().process(b"", b"") == []
