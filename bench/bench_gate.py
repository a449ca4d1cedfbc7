"""The whole uplink codec: a device block of 10 ms at 48 kHz to append messages, speech detection included."""

import base64
import json

import numpy as np
import pytest
import soxr

from realtime_core import Gate

BLOCK = 480
PCM = (np.random.default_rng(0).normal(size=48000) * 300).astype(np.int16)
BLOCKS = [PCM[at : at + BLOCK] for at in range(0, len(PCM), BLOCK)]


def ours(mode, vad="light"):
    gate = Gate(48000, mode=mode, vad=vad)

    def run():
        messages = []
        for block in BLOCKS:
            messages += gate.push(block)
        return messages

    return run


def ours_open():
    return ours("open")


def ours_gated():
    return ours("gated")


def ours_open_neural():
    return ours("open", "neural")


def soxr_webrtcvad_json():
    """The same stages out of the usual parts."""
    vad = pytest.importorskip("webrtcvad").Vad(3)
    wire = soxr.ResampleStream(48000, 24000, 1, dtype="int16")

    def run():
        messages = []
        for block in BLOCKS:
            vad.is_speech(block.tobytes(), 48000)
            audio = wire.resample_chunk(block).tobytes()
            if audio:
                text = base64.b64encode(audio).decode()
                messages.append(json.dumps({"type": "input_audio_buffer.append", "audio": text}))
        return messages

    return run


@pytest.mark.parametrize("make", [ours_open, ours_gated, ours_open_neural, soxr_webrtcvad_json])
def bench_gate(benchmark, make):
    """One second of audio."""
    benchmark.group = "uplink, 1 s at 48 kHz in 10 ms blocks"
    benchmark(make())
