"""The speech detector on speech made here, on noise, and on a synthesized sentence."""

import random
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr

from realtime_core import Vad

SENTENCE = Path(__file__).parents[1] / "data" / "speech_slt.wav"  # flite, voice slt, 16 kHz


def sentence() -> np.ndarray:
    with wave.open(str(SENTENCE)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def noise(seconds: float, rms: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=int(seconds * 16000)) * rms).astype(np.int16)


def in_noise(rms: float = 3.0) -> tuple[np.ndarray, slice]:
    """Two seconds of noise, the sentence, two seconds of noise; and the hops of the sentence."""
    speech = sentence()
    pcm = noise(4 + len(speech) / 16000, rms).astype(int)
    pcm = pcm[: 64000 + len(speech)]
    pcm[32000 : 32000 + len(speech)] += speech
    return np.clip(pcm, -32768, 32767).astype(np.int16), slice(200, 200 + len(speech) // 160)


def test_hears_a_sentence_and_nothing_else():
    pcm, spoken = in_noise()
    probabilities = np.array(Vad().process(pcm))
    assert len(probabilities) == len(pcm) // 160
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert probabilities[50:200].max() < 0.3
    assert np.mean(probabilities[spoken] > 0.5) > 0.75
    assert probabilities[spoken.stop + 30 :].max() < 0.5


@pytest.mark.parametrize("gain", [0.02, 0.1, 0.5, 1.0])
def test_level_of_the_microphone_does_not_matter(gain):
    pcm, spoken = in_noise(rms=30)
    probabilities = np.array(Vad().process((pcm * gain).astype(np.int16)))
    assert np.mean(probabilities[spoken] > 0.5) > 0.7
    assert probabilities[100:200].max() < 0.4


def steady(kind: str) -> np.ndarray:
    t = np.arange(10 * 16000) / 16000
    rng = np.random.default_rng(4)
    if kind == "silence":
        return np.zeros(len(t), np.int16)
    if kind == "white":
        return noise(10, 1000)
    if kind == "brown":
        return np.clip(np.cumsum(rng.normal(size=len(t)) * 40) % 4000 - 2000, -32768, 32767).astype(np.int16)
    if kind == "hum":
        return sum(2000 / k * np.sin(2 * np.pi * 50 * k * t) for k in range(1, 6)).astype(np.int16)
    return np.where(rng.random(len(t)) < 0.0005, 20000, 0).astype(np.int16)  # clicks


@pytest.mark.parametrize("kind", ["silence", "white", "brown", "hum", "clicks"])
def test_steady_noise_is_not_speech(kind):
    probabilities = np.array(Vad().process(steady(kind)))
    assert np.mean(probabilities[100:] > 0.6) < 0.02


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
def test_any_partition_gives_the_same(rate):
    pcm, _ = in_noise()
    pcm = pcm if rate == 16000 else soxr.resample(pcm, 16000, rate)
    whole = Vad(rate).process(pcm)
    rng = random.Random(rate)
    vad, pieces, at = Vad(rate), [], 0
    while at < len(pcm):
        size = rng.choice([0, 1, 2, 159, 160, 161, 480, 5000])
        pieces += vad.process(pcm[at : at + size])
        at += size
    assert pieces == whole
    assert abs(len(whole) - len(pcm) * 100 // rate) <= 1


@pytest.mark.parametrize("rate", [8000, 24000, 44100, 48000])
def test_rates_agree(rate):
    pcm, spoken = in_noise()
    probabilities = np.array(Vad(rate).process(soxr.resample(pcm, 16000, rate)))
    assert np.mean(probabilities[spoken] > 0.5) > 0.6
    assert probabilities[60:200].max() < 0.4


def test_reset_is_as_new():
    pcm, _ = in_noise()
    vad = Vad(48000)
    first = vad.process(pcm)
    vad.process(pcm[:77])
    vad.reset()
    assert vad.process(pcm) == first


@pytest.mark.parametrize("rate", [7999, 192001, 0, -1])
def test_rate_is_checked(rate):
    with pytest.raises(ValueError, match="8000 to 192000"):
        Vad(rate)


def test_a_call_has_its_limit():
    with pytest.raises(ValueError, match="at most 67108864 samples"):
        Vad(48000).process(bytes((2 << 26) + 2))


def test_what_is_not_pcm_is_refused():
    with pytest.raises(ValueError, match="even number"):
        Vad().process(b"abc")
    with pytest.raises(TypeError):
        Vad().process(np.zeros(160, np.float32))
    assert Vad().process(b"") == []
