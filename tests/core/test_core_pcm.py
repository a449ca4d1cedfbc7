import array
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


@pytest.mark.parametrize(("start", "end"), [(math.nan, 1), (1, math.inf), (-math.inf, -math.inf), (3e38, -3e38)])
def test_a_gain_that_is_not_finite_is_refused(start, end):
    samples = array.array("h", [1, 2])
    with pytest.raises(ValueError, match="finite"):
        pcm.apply_gain(samples, start, end)
    assert samples.tolist() == [1, 2]


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


@pytest.mark.parametrize("count", [0, 1, 15, 16, 480, 1001])
def test_floats_are_metered_and_faded_as_numpy_does(count):
    samples = np.random.default_rng(count).normal(size=count).astype(np.float32)
    peak, rms = (np.abs(samples).max(), np.sqrt(np.mean(samples.astype(float) ** 2))) if count else (0, 0)
    expected = [20 * np.log10(value) if value else -120 for value in (peak, rms)]
    assert pcm.level(samples) == pytest.approx(expected, abs=1e-4)
    faded = samples.copy()
    pcm.apply_gain(faded, 0.0, 1.0)
    assert faded == pytest.approx(samples * np.linspace(0, 1, count, endpoint=False), abs=1e-6)
    assert pcm.level(array.array("f", [0.5, -0.25]))[0] == pytest.approx(-6.0206, abs=1e-4)


def test_mix_is_limited_for_samples_and_not_for_floats():
    samples = array.array("h", [30000, -30000, 5])
    pcm.mix(samples, array.array("h", [10000, -10000, -7]))
    assert samples.tolist() == [32767, -32768, -2]
    pcm.mix(samples, bytes([1, 0, 0, 0, 2, 0]))
    assert samples.tolist() == [32767, -32768, 0]
    floats = array.array("f", [1.0, -0.5])
    pcm.mix(floats, array.array("f", [1.0, 0.25]))
    assert floats.tolist() == [2.0, -0.25]


def test_mix_refuses_sides_that_do_not_match():
    with pytest.raises(ValueError, match="equally long"):
        pcm.mix(bytearray(4), bytes(6))
    with pytest.raises(TypeError, match="both"):
        pcm.mix(bytearray(4), array.array("f", [1.0]))
    with pytest.raises(TypeError, match="16-bit"):
        pcm.mix(bytearray(8), array.array("d", [1.0]))
    with pytest.raises(BufferError):
        pcm.mix(bytes(4), bytes(4))
