"""The user's audio by sample: any part of what is kept comes back, once and exactly."""

from __future__ import annotations

import base64
import json
import random

import pytest
from realtime_voice.audio.wire import Wire
from realtime_voice.uplink import Uplink

from realtime_core.frame import append_message


def audio_of(messages: list[bytes]) -> bytes:
    return b"".join(base64.b64decode(json.loads(message)["audio"]) for message in messages)


@pytest.mark.parametrize("wire", [Wire(), Wire("pcmu", 8000)])
def test_any_range_of_any_chunks_comes_back_exactly(wire: Wire) -> None:
    rng = random.Random(1)
    for _ in range(30):
        uplink = Uplink(wire, 10.0)
        size = uplink.sample_bytes
        whole = rng.randbytes(size * 4000)
        position = 0
        while position < 4000:
            samples = min(rng.randrange(1, 700), 4000 - position)
            chunk = whole[position * size : (position + samples) * size]
            assert uplink.add(append_message(chunk, rng.choice([None, "event_1"]))) == samples
            position += samples
        assert (uplink.start, uplink.end) == (0, 4000)
        for _ in range(20):
            start, end = sorted(rng.sample(range(4001), 2))
            assert audio_of(uplink.since(start, end)) == whole[start * size : end * size]
            assert uplink.audio(start, end) == whole[start * size : end * size]
        assert audio_of(uplink.since(1234)) == whole[1234 * size :]


def test_whole_chunks_are_sent_as_they_are() -> None:
    uplink = Uplink(Wire(), 1.0)
    messages = [append_message(bytes(960)) for _ in range(3)]
    for message in messages:
        uplink.add(message)
    again = uplink.since(480)
    assert all(one is other for one, other in zip(again, messages[1:], strict=True))


def test_the_oldest_go_first_and_an_index_stays_true() -> None:
    uplink = Uplink(Wire(), 0.1)
    for number in range(20):
        uplink.add(append_message(number.to_bytes(2, "little") * 480))
        assert uplink.end - uplink.start <= 2400 + 480
    assert uplink.end == 9600
    assert audio_of(uplink.since(9120)) == (19).to_bytes(2, "little") * 480
    assert uplink.audio(0, 480) is None
    uplink.forget(9600)
    assert uplink.start == uplink.end == 9600
    assert uplink.since(0) == []
    assert uplink.audio(9600, 9600) is None


def test_empty_chunks_and_one_larger_than_the_bound() -> None:
    uplink = Uplink(Wire(), 0.01)
    assert uplink.add(append_message(b"")) == 0
    uplink.add(append_message(bytes(2 * 24000)))
    assert uplink.audio(0, 24000) is not None
