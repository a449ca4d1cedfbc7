"""G.711, 20 ms at 8 kHz: ours against a numpy table and, where Python still has it, audioop."""

import warnings

import numpy as np
import pytest

from realtime_core import g711

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
