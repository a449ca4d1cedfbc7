"""`response.output_audio.delta` messages to samples ready for the device, 24 kHz PCM16."""

import base64
import json
import random

import msgspec
import orjson
import pybase64
import pytest

from realtime_core import DeltaDecoder, Ring


def message_of(pcm: bytes, number: int) -> bytes:
    event = {
        "type": "response.output_audio.delta",
        "event_id": f"event_CCXGRvtUVrax5SJAn{number:04}",
        "response_id": "resp_CCXGQ4e1ht4cOraEYcuR2",
        "item_id": "item_CCXGQ22EVLZ1kUcnhgOsB",
        "output_index": 0,
        "content_index": 0,
        "delta": base64.b64encode(pcm).decode(),
    }
    return json.dumps(event).encode()


def ours(samples):
    ring = Ring(10 * 24000)
    decoder, out = DeltaDecoder(ring, 24000), bytearray(2 * samples)

    def run(messages):
        for message in messages:
            delta = decoder.feed(message)
            item_id = delta.item_id
            ring.read_into(out)
        return item_id, out

    return run


def json_base64(_samples):  # strands-agents, livekit-agents, openai-agents
    def run(messages):
        for message in messages:
            event = json.loads(message)
            item_id, audio = event["item_id"], base64.b64decode(event["delta"])
        return item_id, audio

    return run


def orjson_pybase64(_samples):
    def run(messages):
        for message in messages:
            event = orjson.loads(message)
            item_id, audio = event["item_id"], pybase64.b64decode(event["delta"])
        return item_id, audio

    return run


def msgspec_pybase64(_samples):
    class AudioDelta(msgspec.Struct):
        item_id: str
        delta: str

    decoder = msgspec.json.Decoder(AudioDelta)

    def run(messages):
        for message in messages:
            event = decoder.decode(message)
            item_id, audio = event.item_id, pybase64.b64decode(event.delta)
        return item_id, audio

    return run


@pytest.mark.parametrize("ms", [20, 100, 200, 1000])
@pytest.mark.parametrize("make", [ours, msgspec_pybase64, orjson_pybase64, json_base64])
def bench_delta(benchmark, make, ms):
    """A second of audio, each message another, from its text to PCM in a buffer; ours goes through the playout ring."""
    benchmark.group = f"delta {ms} ms"
    audio = [random.Random(number).randbytes(48 * ms) for number in range(1000 // ms)]
    messages = [message_of(pcm, number) for number, pcm in enumerate(audio)]
    item_id, last = benchmark(make(24 * ms), messages)
    assert (item_id, bytes(last)) == ("item_CCXGQ22EVLZ1kUcnhgOsB", audio[-1])


def skip_ours(_message):
    decoder = DeltaDecoder(Ring(16), 24000)
    return decoder.feed


def skip_json(_message):
    return json.loads


@pytest.mark.parametrize("make", [skip_ours, skip_json])
def bench_other_message(benchmark, make):
    """A transcript delta: recognized as not audio (ours), parsed (json)."""
    benchmark.group = "other message"
    message = b'{"type":"response.output_audio_transcript.delta","item_id":"item_1","delta":"Hello, how are you?"}'
    benchmark(make(message), message)
