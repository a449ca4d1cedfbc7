"""Framing against json and base64."""

import base64
import json
import random
from array import array

import pytest

from realtime_core import Ring, append_from_ring, append_from_ring_into, append_message, append_message_into


def pcm_of(samples: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(samples * 2)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 31, 32, 33, 960, 48_001])
def test_append_message_is_what_json_reads(size):
    audio = random.Random(size).randbytes(size)
    event = json.loads(append_message(audio))
    assert list(event) == ["type", "audio"]
    assert event["type"] == "input_audio_buffer.append"
    assert base64.b64decode(event["audio"], validate=True) == audio


@pytest.mark.parametrize("event_id", ["", "event_1", 'quote " backslash \\', "\x00\x1f\n\t", "zwölf 🎧", "x" * 512])
def test_event_id_is_escaped(event_id):
    assert json.loads(append_message(b"ab", event_id))["event_id"] == event_id


def test_event_id_is_bounded_and_valid():
    with pytest.raises(ValueError, match="at most 512"):
        append_message(b"", "x" * 513)
    with pytest.raises(ValueError, match="surrogates"):
        append_message(b"", "\ud800")


def test_append_message_takes_any_buffer():
    samples = array("h", [1, 2, 3])
    assert append_message(samples) == append_message(samples.tobytes()) == append_message(memoryview(samples))
    with pytest.raises(TypeError):
        append_message("text")
    with pytest.raises(BufferError):
        append_message(memoryview(b"abcdef")[::2])


@pytest.mark.parametrize("event_id", [None, "", 'event "1"'])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 960])
def test_append_into_a_buffer(size, event_id):
    audio = random.Random(size).randbytes(size)
    message = append_message(audio, event_id)
    out = bytearray(b"." * (len(message) + 1))
    assert append_message_into(out, audio, event_id) == len(message)
    assert out == message + b"."
    assert append_message_into(memoryview(out)[:-1], audio, event_id) == len(message)
    before = bytes(out)
    with pytest.raises(ValueError, match=f"takes {len(message)} bytes, `out` has {len(message) - 1}"):
        append_message_into(memoryview(out)[:-2], audio, event_id)
    assert out == before
    out.append(0)  # no view is left on it


def test_what_the_documented_size_holds():
    for size in range(10):
        assert len(append_message(bytes(size))) == 47 + (size + 2) // 3 * 4
        assert len(append_message(bytes(size), "abc")) == 47 + (size + 2) // 3 * 4 + 14 + 3


@pytest.mark.parametrize("event_id", [None, "event_1"])
@pytest.mark.parametrize("gap", range(8))
def test_append_from_a_ring_that_wraps(gap, event_id):
    ring = Ring(1024)
    ring.write(bytes(2 * (1024 - gap)))
    ring.read(1024 - gap)
    pcm = pcm_of(700, gap)
    ring.write(pcm)
    out = bytearray(2000)
    assert append_from_ring(ring, 301, event_id) == append_message(pcm[:602], event_id)
    size = append_from_ring_into(out, ring, 302, event_id)
    assert out[:size] == append_message(pcm[602:1206], event_id)
    assert append_from_ring(ring, 98, event_id) is None  # 97 are left
    assert append_from_ring_into(out, ring, 98, event_id) == 0
    assert append_from_ring(ring, 0, event_id) == append_message(b"", event_id)
    assert append_from_ring(ring, 97, event_id) == append_message(pcm[1206:], event_id)
    assert (ring.readable, ring.tail, ring.underruns) == (0, 1024 - gap + 700, 0)


def test_append_from_a_ring_takes_nothing_in_vain():
    ring = Ring(64)
    ring.write(pcm_of(64))
    with pytest.raises(ValueError, match="takes 175 bytes, `out` has 174"):
        append_from_ring_into(bytearray(174), ring, 48)
    with pytest.raises(ValueError, match="negative"):
        append_from_ring(ring, -1)
    with pytest.raises(ValueError, match="at most 512"):
        append_from_ring(ring, 48, "x" * 513)
    with pytest.raises(TypeError):
        append_from_ring(None, 48)
    for read_only in (bytes(200), memoryview(bytes(200))):
        with pytest.raises(BufferError):
            append_from_ring_into(read_only, ring, 48)
        with pytest.raises(BufferError):
            append_message_into(read_only, b"")
    assert (ring.tail, ring.readable) == (0, 64)
    ring.flush_to(40)
    assert append_from_ring(ring, 25) is None
    assert append_from_ring(ring, 24) == append_message(pcm_of(64)[80:])
