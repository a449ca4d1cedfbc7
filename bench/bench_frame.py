"""Framing audio as one append message: ours against what clients do today."""

import base64
import json
import random

import orjson
import pybase64
import pytest

from realtime_core import append_message

EVENT = "input_audio_buffer.append"


def json_base64(pcm):  # strands-agents, livekit-agents, openai-agents
    return json.dumps({"type": EVENT, "audio": base64.b64encode(pcm).decode()})


def orjson_base64(pcm):
    return orjson.dumps({"type": EVENT, "audio": base64.b64encode(pcm).decode()})


def orjson_pybase64(pcm):
    return orjson.dumps({"type": EVENT, "audio": pybase64.b64encode_as_string(pcm)})


def fstring_pybase64(pcm):
    return f'{{"type":"{EVENT}","audio":"{pybase64.b64encode_as_string(pcm)}"}}'


@pytest.mark.parametrize("ms", [20, 100, 1000])
@pytest.mark.parametrize(
    "frame",
    [pytest.param(append_message, id="ours"), fstring_pybase64, orjson_pybase64, orjson_base64, json_base64],
)
def bench_frame(benchmark, frame, ms):
    """24 kHz PCM16 of that length."""
    benchmark.group = f"frame {ms} ms"
    pcm = random.Random(0).randbytes(48 * ms)
    message = benchmark(frame, pcm)
    assert base64.b64decode(json.loads(message)["audio"]) == pcm
