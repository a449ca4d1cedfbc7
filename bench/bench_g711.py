"""G.711, 20 ms at 8 kHz: ours against a numpy table and, where Python still has it, audioop."""

import warnings

import numpy as np
import pytest
import soxr

from realtime_core import Resampler, g711

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import audioop
    except ModuleNotFoundError:
        audioop = None

SAMPLES = np.random.default_rng(0).integers(-32768, 32768, 160).astype(np.int16)
ENCODE_TABLE = np.frombuffer(g711.encode_ulaw(np.arange(65536).astype(np.uint16).view(np.int16)), np.uint8)
DECODE_TABLE = np.frombuffer(g711.decode_ulaw(bytes(range(256))), np.int16)

ENCODERS = {
    "ours": g711.encode_ulaw,
    "numpy table": lambda pcm: ENCODE_TABLE[np.frombuffer(pcm, np.uint16)].tobytes(),
}
DECODERS = {
    "ours": g711.decode_ulaw,
    "numpy table": lambda codes: DECODE_TABLE[np.frombuffer(codes, np.uint8)].tobytes(),
}
if audioop is not None:
    ENCODERS["audioop"] = lambda pcm: audioop.lin2ulaw(pcm, 2)
    DECODERS["audioop"] = lambda codes: audioop.ulaw2lin(codes, 2)


@pytest.mark.parametrize("encoder", ENCODERS)
def bench_encode_ulaw(benchmark, encoder):
    benchmark.group = "mu-law encode 20 ms"
    assert len(benchmark(ENCODERS[encoder], SAMPLES.tobytes())) == 160


@pytest.mark.parametrize("decoder", DECODERS)
def bench_decode_ulaw(benchmark, decoder):
    benchmark.group = "mu-law decode 20 ms"
    codes = g711.encode_ulaw(SAMPLES)
    assert benchmark(DECODERS[decoder], codes) == g711.decode_ulaw(codes)


def ours_from_phone():
    return g711.Decoder("ulaw").process


def two_calls_from_phone():
    resample = Resampler(8000, 24000).process
    return lambda codes: resample(g711.decode_ulaw(codes))


def numpy_soxr_from_phone():
    resample = soxr.ResampleStream(8000, 24000, 1, dtype="int16").resample_chunk
    return lambda codes: resample(DECODE_TABLE[np.frombuffer(codes, np.uint8)]).tobytes()


@pytest.mark.parametrize("make", [ours_from_phone, two_calls_from_phone, numpy_soxr_from_phone])
def bench_from_phone(benchmark, make):
    benchmark.group = "mu-law to 24 kHz 20 ms"
    process = make()
    for _ in range(20):  # past the delay
        process(g711.encode_ulaw(SAMPLES))
    assert isinstance(benchmark(process, g711.encode_ulaw(SAMPLES)), bytes)


def ours_to_phone():
    return g711.Encoder("ulaw").process


def two_calls_to_phone():
    resample = Resampler(24000, 8000).process
    return lambda pcm: g711.encode_ulaw(resample(pcm))


def numpy_soxr_to_phone():
    resample = soxr.ResampleStream(24000, 8000, 1, dtype="int16").resample_chunk
    return lambda pcm: ENCODE_TABLE[resample(np.frombuffer(pcm, np.int16)).view(np.uint16)].tobytes()


@pytest.mark.parametrize("make", [ours_to_phone, two_calls_to_phone, numpy_soxr_to_phone])
def bench_to_phone(benchmark, make):
    benchmark.group = "24 kHz to mu-law 20 ms"
    process, pcm = make(), np.tile(SAMPLES, 3).tobytes()
    for _ in range(20):
        process(pcm)
    assert isinstance(benchmark(process, pcm), bytes)
