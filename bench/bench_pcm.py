"""Levels, gain and mixing of 20 ms at 24 kHz, and the device callback: ours against numpy."""

import numpy as np
import pytest

from realtime_core import Duplex, pcm

SAMPLES = np.random.default_rng(0).integers(-8000, 8000, 480).astype(np.int16)
STEREO = np.random.default_rng(1).integers(-8000, 8000, 960).astype(np.int16)
RAMP = np.linspace(0.5, 1.0, 480, endpoint=False, dtype=np.float32)


def numpy_level(samples):
    floats = samples.astype(np.float32)
    peak, rms = np.abs(floats).max(), np.sqrt(np.mean(floats * floats))
    return 20 * np.log10(peak / 32768), 20 * np.log10(rms / 32768)


def numpy_gain(samples):
    np.copyto(samples, np.clip(np.rint(samples * RAMP), -32768, 32767), casting="unsafe")


def numpy_mix_down(samples):
    return samples.reshape(-1, 2).mean(axis=1).astype(np.int16).tobytes()


def our_gain(samples):
    pcm.apply_gain(samples, 0.5, 1.0)


def our_mix_down(samples):
    return pcm.mix_down(samples, 2)


@pytest.mark.parametrize("level", [pcm.level, numpy_level], ids=["ours", "numpy"])
def bench_level(benchmark, level):
    benchmark.group = "level 20 ms"
    assert benchmark(level, SAMPLES) == pytest.approx(numpy_level(SAMPLES), abs=0.01)


@pytest.mark.parametrize("gain", [our_gain, numpy_gain], ids=["ours", "numpy"])
def bench_gain(benchmark, gain):
    benchmark.group = "gain ramp 20 ms"
    benchmark(gain, SAMPLES.copy())


@pytest.mark.parametrize("mix_down", [our_mix_down, numpy_mix_down], ids=["ours", "numpy"])
def bench_mix_down(benchmark, mix_down):
    benchmark.group = "stereo to mono 20 ms"
    assert len(benchmark(mix_down, STEREO)) == 960


FLOATS = SAMPLES.astype(np.float32) / 32768


def numpy_level_f32(samples):
    return 20 * np.log10(np.abs(samples).max()), 20 * np.log10(np.sqrt(np.mean(samples * samples)))


def numpy_gain_f32(samples):
    np.multiply(samples, RAMP, out=samples)


@pytest.mark.parametrize("level", [pcm.level, numpy_level_f32], ids=["ours", "numpy"])
def bench_level_f32(benchmark, level):
    benchmark.group = "level 20 ms, float"
    assert benchmark(level, FLOATS) == pytest.approx(numpy_level_f32(FLOATS), abs=0.01)


@pytest.mark.parametrize("gain", [our_gain, numpy_gain_f32], ids=["ours", "numpy"])
def bench_gain_f32(benchmark, gain):
    benchmark.group = "gain ramp 20 ms, float"
    benchmark(gain, np.zeros(480, np.float32))  # zeros stay zeros however often


def numpy_mix(samples, more):
    np.copyto(samples, np.clip(samples.astype(np.int32) + more, -32768, 32767), casting="unsafe")


@pytest.mark.parametrize("mix", [pcm.mix, numpy_mix], ids=["ours", "numpy"])
def bench_mix(benchmark, mix):
    benchmark.group = "mix 20 ms"
    benchmark(mix, SAMPLES.copy(), SAMPLES)


def bench_device_block(benchmark):
    """One callback of 10 ms at 48 kHz both ways, rings, fades and levels included."""
    benchmark.group = "device block 10 ms"
    device = Duplex(48000, capture_capacity=48000, playout_capacity=48000)
    block = bytes(960)

    def turn():
        device.playout.write(block)
        played = device.process(block, 480)
        device.capture.read(480)
        return played

    assert benchmark(turn) == block
