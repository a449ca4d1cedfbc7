import math

import numpy as np
import pytest

from realtime_core import pcm

RANDOM = np.random.default_rng(1)


def int16(data):
    return np.frombuffer(data, np.int16)


def noise(count):
    return RANDOM.integers(-32768, 32768, count).astype(np.int16)


def test_level():
    tone = (np.sin(np.arange(48000) * 0.1) * 16384).astype(np.int16)
    peak, rms = pcm.level(tone)
    assert peak == pytest.approx(-6.02, abs=0.01)
    assert rms == pytest.approx(-9.03, abs=0.01)
    assert pcm.level(b"") == pcm.level(bytes(20)) == (-120.0, -120.0)
    assert pcm.level(np.full(3, -32768, np.int16)) == (0.0, 0.0)


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("frames", [0, 1, 15, 480])
def test_mix_down_is_the_rounded_mean(channels, frames):
    samples = noise(frames * channels)
    mean = samples.reshape(frames, channels).astype(float).mean(axis=1)
    assert np.abs(int16(pcm.mix_down(samples, channels)) - mean).max(initial=0) <= 0.5


def test_mix_down_wants_whole_frames():
    with pytest.raises(ValueError, match="whole number of frames"):
        pcm.mix_down(bytes(6), 2)
    for channels in (0, -1, 65):
        with pytest.raises(ValueError, match="channels must be"):
            pcm.mix_down(bytes(6), channels)


def test_interleave():
    left, right = noise(37), noise(37)
    assert int16(pcm.interleave(left, right)).reshape(-1, 2).T.tolist() == [left.tolist(), right.tolist()]
    with pytest.raises(ValueError, match="equally long"):
        pcm.interleave(left, right[:-1])


def test_gain_is_a_ramp_in_place_and_limited():
    samples = noise(1000)
    expected = np.clip(np.rint(samples * np.linspace(0.5, 2.0, 1000, endpoint=False)), -32768, 32767)
    pcm.apply_gain(samples, 0.5, 2.0)
    assert np.abs(samples - expected).max() <= 1
    with pytest.raises((BufferError, TypeError)):
        pcm.apply_gain(bytes(4), 0.0, 1.0)


def test_ramps_join():
    whole, pieces = np.full(480, 10000, np.int16), np.full(480, 10000, np.int16)
    pcm.apply_gain(whole, 0.0, 1.0)
    for start in range(0, 480, 120):
        pcm.apply_gain(pieces[start : start + 120], start / 480, (start + 120) / 480)
    assert np.abs(whole.astype(int) - pieces).max() <= 1


def test_floats_there_and_back():
    samples = np.arange(-32768, 32768).astype(np.int16)
    floats = np.frombuffer(pcm.s16_to_f32(samples), np.float32)
    assert (floats == samples / np.float32(32768)).all()
    assert pcm.f32_to_s16(floats) == samples.tobytes()
    assert pcm.f32_to_s16(floats.tobytes()) == samples.tobytes()


def test_floats_out_of_range_are_limited():
    assert int16(pcm.f32_to_s16(np.array([2, -2, math.inf, -math.inf, math.nan], np.float32))).tolist() == [
        32767, -32768, 32767, -32768, 0,
    ]  # fmt: skip
    with pytest.raises(TypeError, match="float32"):
        pcm.f32_to_s16(np.zeros(4))
    with pytest.raises(TypeError, match="float32"):
        pcm.f32_to_s16(bytes(6))
