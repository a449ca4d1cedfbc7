"""Streaming resampling in chunks of 20 ms: ours against what clients use."""

import numpy as np
import pytest
import samplerate
import soxr

from realtime_core import Resampler

PAIRS = [(48000, 24000), (24000, 48000), (44100, 24000), (24000, 44100), (16000, 24000), (24000, 16000),
         (8000, 24000), (24000, 8000)]  # fmt: skip


def ours_fast(rate_in, rate_out):
    return Resampler(rate_in, rate_out, "fast").process


def ours_best(rate_in, rate_out):
    return Resampler(rate_in, rate_out, "best").process


def ours_fast_adjusted(rate_in, rate_out):
    resampler = Resampler(rate_in, rate_out, "fast")
    resampler.adjust(50.0)
    return resampler.process


def ours_best_adjusted(rate_in, rate_out):
    resampler = Resampler(rate_in, rate_out, "best")
    resampler.adjust(50.0)
    return resampler.process


def soxr_hq(rate_in, rate_out):
    return soxr.ResampleStream(rate_in, rate_out, 1, dtype="int16", quality="HQ").resample_chunk


def soxr_qq(rate_in, rate_out):
    return soxr.ResampleStream(rate_in, rate_out, 1, dtype="int16", quality="QQ").resample_chunk


def libsamplerate_fastest(rate_in, rate_out):
    resampler = samplerate.Resampler("sinc_fastest")
    return lambda samples: resampler.process(samples, rate_out / rate_in)


def livekit_high(rate_in, rate_out):
    rtc = pytest.importorskip("livekit.rtc")
    resampler = rtc.AudioResampler(rate_in, rate_out, quality=rtc.AudioResamplerQuality.HIGH)
    return lambda samples: resampler.push(bytearray(samples.tobytes()))


def numpy_interp(rate_in, rate_out):
    def process(samples):
        size = len(samples) * rate_out // rate_in
        at = np.linspace(0, len(samples), size, endpoint=False)
        return np.interp(at, np.arange(len(samples)), samples).astype(np.int16)

    return process


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
@pytest.mark.parametrize(
    "make",
    [
        ours_fast,
        ours_best,
        ours_fast_adjusted,
        ours_best_adjusted,
        soxr_hq,
        soxr_qq,
        libsamplerate_fastest,
        livekit_high,
        numpy_interp,
    ],
)
def bench_resample(benchmark, make, rate_in, rate_out):
    """Noise of 20 ms, as each takes it: bytes for ours, floats for libsamplerate, else an int16 array."""
    benchmark.group = f"resample {rate_in} -> {rate_out}"
    samples = (np.random.default_rng(0).standard_normal(rate_in // 50) * 5000).astype(np.int16)
    if make.__name__.startswith("ours"):
        samples = samples.tobytes()
    elif make is libsamplerate_fastest:
        samples = samples.astype(np.float32) / 32768
    process = make(rate_in, rate_out)
    for _ in range(20):  # past the delay of those that begin with nothing
        process(samples)
    assert benchmark(process, samples) is not None
