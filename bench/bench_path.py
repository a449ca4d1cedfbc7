"""The whole path, one second of audio: device block -> messages, and messages -> device blocks.

The peer is what strands-agents does with the same audio: its `AudioBuffer` between device and
agent, `base64` and `json` towards the server. It has no speech detection, no resampling, no levels
and no fades; ours does all of them in the same run. Hops between threads and tasks are left out on
both sides: they are the session's cost, which bench_clients.py shows, not the codecs'.
"""

import base64
import json

import numpy as np
import pytest
import soxr
from strands.bidi._audio.buffer import AudioBuffer

from realtime_core import DeltaDecoder, Duplex, Gate, Ring

APPEND = "input_audio_buffer.append"


def blocks_of(rate, ms):
    noise = (np.random.default_rng(0).normal(size=rate) * 300).astype(np.int16)
    frames = rate * ms // 1000
    return [noise[at : at + frames].tobytes() for at in range(0, rate, frames)]


def append_json(pcm):
    return json.dumps({"type": APPEND, "audio": base64.b64encode(pcm).decode()})


def ours_up(rate):
    device, gate = Duplex(rate, capture_capacity=rate, playout_capacity=rate), Gate(rate)

    def run(blocks):
        messages = []
        for block in blocks:
            frames = len(block) // 2
            device.process(block, frames)
            messages += [message for _, message in gate.push(device.capture.read(frames))]
        return messages

    return run


def strands_up(_rate):
    buffer = AudioBuffer()
    buffer.start()

    def run(blocks):
        messages = []
        for block in blocks:
            buffer.put(block)
            messages.append(append_json(buffer.get()))
        return messages

    return run


def strands_soxr_webrtcvad_up(rate):
    """Its pattern with the two stages it lacks."""
    vad = pytest.importorskip("webrtcvad").Vad(3)
    wire = soxr.ResampleStream(rate, 24000, 1, dtype="int16")
    buffer = AudioBuffer()
    buffer.start()

    def run(blocks):
        messages = []
        for block in blocks:
            buffer.put(block)
            pcm = buffer.get()
            vad.is_speech(pcm, rate)
            audio = wire.resample_chunk(np.frombuffer(pcm, np.int16)).tobytes()
            if audio:
                messages.append(append_json(audio))
        return messages

    return run


@pytest.mark.parametrize("make", [ours_up, strands_up])
def bench_up(benchmark, make):
    """20 ms device blocks at the wire's 24 kHz; ours detects speech too."""
    benchmark.group = "path up 24 kHz, 20 ms blocks"
    messages = benchmark(make(24000), blocks_of(24000, 20))
    assert {len(base64.b64decode(json.loads(message)["audio"])) for message in messages} == {960}


@pytest.mark.parametrize("make", [ours_up, strands_soxr_webrtcvad_up])
def bench_up_resampled(benchmark, make):
    """10 ms device blocks at 48 kHz, speech detection on both sides."""
    benchmark.group = "path up 48 kHz, 10 ms blocks"
    assert benchmark(make(48000), blocks_of(48000, 10))


def deltas_of(ms):
    return [
        json.dumps(
            {
                "type": "response.output_audio.delta",
                "event_id": f"event_{index}",
                "response_id": "resp_CCXGQ4e1ht4cOraEYcuR2",
                "item_id": "item_CCXGQ22EVLZ1kUcnhgOsB",
                "output_index": 0,
                "content_index": 0,
                "delta": base64.b64encode(pcm).decode(),
            }
        )
        for index, pcm in enumerate(blocks_of(24000, ms))
    ]


def ours_codec():
    ring = Ring(10 * 24000)
    decoder, out = DeltaDecoder(ring, 24000), bytearray(9600)

    def run(messages):
        for message in messages:
            decoder.feed(message)
            ring.read_into(out)
        return bytes(out)

    return run


def strands_codec():
    """The model's own conversion of a message, the speaker's of an event."""
    from strands.bidi.models.openai.realtime import OpenAIRealtimeModel
    from strands.bidi.types.events import BidiAudioDeltaEvent

    model = OpenAIRealtimeModel(model_id="gpt-realtime", transcription_model_id=None, api_key="sk-none")
    buffer = AudioBuffer()
    buffer.start()

    def run(messages):
        for message in messages:
            for event in model._convert_openai_event(json.loads(message)):
                if isinstance(event, BidiAudioDeltaEvent):
                    buffer.put(base64.b64decode(event["audio"]))
            out = buffer.get(9600)
        return out

    return run


@pytest.mark.parametrize("make", [ours_codec, strands_codec])
def bench_codec_down(benchmark, make):
    """A second in deltas of 200 ms: each from its message into the playout buffer and out of it in one piece."""
    benchmark.group = "codec down, 200 ms deltas"
    messages = deltas_of(200)
    assert benchmark(make(), messages) == base64.b64decode(json.loads(messages[-1])["delta"])


def ours_down(messages, blocks):
    device = Duplex(24000, capture_capacity=24000, playout_capacity=48000)
    decoder = DeltaDecoder(device.playout, 24000)

    def run():
        for message in messages:
            decoder.feed(message)
        return [device.process(None, 240) for _ in range(blocks)]

    return run


def strands_down(messages, blocks):
    buffer = AudioBuffer()
    buffer.start()

    def run():
        for message in messages:
            buffer.put(base64.b64decode(json.loads(message)["delta"]))
        return [buffer.get(480) for _ in range(blocks)]

    return run


@pytest.mark.parametrize("ms", [20, 100, 200])
@pytest.mark.parametrize("make", [ours_down, strands_down])
def bench_down(benchmark, make, ms):
    """Deltas of that length to 10 ms device blocks at 24 kHz."""
    benchmark.group = f"path down, {ms} ms deltas"
    played = benchmark(make(deltas_of(ms), 100))
    assert len(b"".join(played)) == 48000
