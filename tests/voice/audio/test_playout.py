"""Playout: order, backlog, cuts and an exact account of what was heard, on a virtual device."""

import base64
import json

import pytest
from realtime_voice.audio import Heard, PlayoutDrained, PlayoutStarted, Wire
from realtime_voice.audio.playout import Playout

from realtime_core.duplex import Duplex

RATE = 24000
BLOCK = 240


class Device:
    """A duplex driven by hand: each block is 10 ms of device time."""

    def __init__(self, *, latency_s=0.0, ring_s=10.0, rate=RATE, wire=None, backlog_bytes=1 << 25):
        self.rate = rate
        self.time = 0.0
        self.out = b""
        self.duplex = Duplex(rate, capture_capacity=rate, playout_capacity=round(ring_s * rate))
        self.playout = Playout(
            self.duplex,
            rate,
            wire or Wire(),
            clock=lambda: self.time,
            latency_s=latency_s,
            backlog_bytes=backlog_bytes,
        )

    def run(self, ms):
        for _ in range(ms // 10):
            self.out += self.duplex.process(None, self.rate // 100)
            self.time += 0.01
            self.playout.pump()


def delta(item, pcm, *, content_index=0):
    return json.dumps(
        {
            "type": "response.output_audio.delta",
            "event_id": "event_1",
            "response_id": "resp_1",
            "item_id": item,
            "output_index": 0,
            "content_index": content_index,
            "delta": base64.b64encode(pcm).decode(),
        }
    ).encode()


def tone(ms, level=1000, rate=RATE):
    return int.to_bytes(level, 2, "little") * (rate * ms // 1000)


FADE = 2 * 5 * 24  # bytes of the 5 ms in which the device leads an end to silence


def test_what_is_fed_is_what_is_played():
    device = Device()
    device.playout.feed(delta("a", tone(100, 7)))
    device.playout.feed(delta("a", tone(100, 8)))
    device.run(250)
    assert device.out[: 2 * 200 * 24] == tone(100, 7) + tone(100, 8)
    assert not any(device.out[2 * 200 * 24 + FADE :])


def test_a_message_that_is_no_audio_is_not_taken():
    assert Device().playout.feed(b'{"type":"response.done","response":{}}') is None


def test_a_malformed_delta_is_a_value_error():
    with pytest.raises(ValueError, match=r"."):
        Device().playout.feed(delta("a", b"").replace(b'"delta": ""', b'"delta": "#"'))


def test_played_position_follows_the_device():
    device = Device()
    device.playout.feed(delta("a", tone(1000)))
    device.playout.feed(delta("b", tone(1000)))
    assert device.playout.played_ms("a") == 0
    device.run(500)
    assert (device.playout.played_ms("a"), device.playout.played_ms("b")) == (500, 0)
    device.run(700)
    assert (device.playout.played_ms("a"), device.playout.played_ms("b")) == (1000, 200)
    assert device.playout.played_ms("unknown") == 0


def test_latency_of_the_device_is_not_counted_as_heard():
    device = Device(latency_s=0.06)
    device.run(100)
    device.playout.feed(delta("a", tone(1000)))
    device.run(50)
    assert device.playout.played_ms("a") == 0
    device.run(450)
    assert device.playout.played_ms("a") == 440
    device.run(520)
    assert device.playout.active
    assert device.playout.played_ms("a") == 960
    device.run(60)
    assert not device.playout.active


def test_latency_is_right_across_a_gap_in_the_audio():
    device = Device(latency_s=0.05)
    device.playout.feed(delta("a", tone(200)))
    device.run(500)
    assert device.playout.played_ms("a") == 200
    device.playout.feed(delta("a", tone(200)))
    device.run(100)
    assert device.playout.played_ms("a") == 250


def test_a_flush_tells_what_was_heard_of_each_unfinished_item_in_order():
    device = Device()
    device.playout.feed(delta("done", tone(100)))
    device.playout.end_item("done")
    device.playout.feed(delta("now", tone(1000), content_index=1))
    device.playout.feed(delta("next", tone(500)))
    device.run(400)
    assert device.playout.flush() == [Heard("now", 1, 300, 1000), Heard("next", 0, 0, 500)]
    assert device.playout.flush() == []


def test_after_a_flush_the_speaker_is_silent_within_5_ms():
    device = Device()
    device.playout.feed(delta("a", tone(1000)))
    device.run(100)
    device.playout.flush()
    device.out = b""
    device.run(50)
    assert max(device.out[FADE::2]) < 10
    assert not any(device.out[2 * FADE :])
    assert not device.playout.active
    assert 100 <= device.playout.played_ms("a") <= 105


def test_late_deltas_of_a_cut_item_are_returned_and_not_played():
    device = Device()
    device.playout.feed(delta("a", tone(1000)))
    device.run(100)
    device.playout.flush()
    device.run(10)
    late = device.playout.feed(delta("a", tone(300)))
    assert late is not None
    assert late.item_id == "a"
    assert device.playout.late == 1
    device.playout.feed(delta("b", tone(100, 5)))
    device.playout.feed(delta("a", tone(300)))
    device.playout.end_item("a")
    device.playout.feed(delta("b", tone(100, 6)))
    device.out = b""
    device.run(250)
    assert device.out[FADE : 2 * 200 * 24] == (tone(100, 5) + tone(100, 6))[FADE:]
    assert not any(device.out[2 * 200 * 24 + FADE :])
    assert device.playout.played_ms("b") == 200
    assert device.playout.late == 2


def test_what_the_ring_cannot_hold_waits_and_plays_in_order():
    device = Device(ring_s=0.1)
    said = b"".join(tone(100, level) for level in range(1, 31))
    for start in range(0, len(said), 4800):
        device.playout.feed(delta("a", said[start : start + 4800]))
    device.playout.end_item("a")
    assert device.playout.active
    device.run(3000)
    assert device.out == said
    assert device.playout.played_ms("a") == 3000
    assert not device.playout.active


def test_a_flush_drops_the_backlog_too():
    device = Device(ring_s=0.1)
    device.playout.feed(delta("a", tone(3000)))
    device.run(500)
    (heard,) = device.playout.flush()
    assert (heard.played_ms, heard.received_ms) == (500, 3000)
    device.out = b""
    device.run(500)
    assert not any(device.out[2 * FADE :])


def test_the_backlog_is_bounded_and_says_when_it_is_full():
    device = Device(ring_s=0.1, backlog_bytes=48000)
    for _ in range(20):
        if device.playout.full:
            break
        device.playout.feed(delta("a", tone(100)))
    assert device.playout.full
    device.run(1000)
    assert not device.playout.full
    for _ in range(100):  # a host that does not listen
        device.playout.feed(delta("a", tone(100)))
    assert device.playout.dropped > 0
    device.run(5000)
    assert not device.playout.active


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_positions_are_right_at_any_device_rate(rate):
    device = Device(rate=rate)
    device.playout.feed(delta("a", tone(1000)))
    device.playout.end_item("a")
    device.run(500)
    assert device.playout.played_ms("a") == 500
    device.run(600)
    assert device.playout.played_ms("a") == 1000
    assert not device.playout.active


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_g711_counts_its_own_samples(encoding):
    device = Device(rate=48000, wire=Wire(encoding, 8000))
    device.playout.feed(delta("a", b"\x55" * 8000))
    device.run(400)
    (heard,) = device.playout.flush()
    assert (heard.played_ms, heard.received_ms) == (400, 1000)


def test_base64_alone_is_accounted_for_the_same_way():
    device = Device()
    for item in ("a", "a", "b"):
        device.playout.feed_audio(item, base64.b64encode(tone(50, 9)).decode())
    device.run(120)
    assert device.playout.flush() == [Heard("b", 0, 20, 50)]
    assert device.out == tone(120, 9)


def test_start_and_end_of_an_item_are_told_with_the_moment_they_were_heard():
    device = Device(latency_s=0.03)
    device.run(100)
    device.playout.feed(delta("a", tone(205)))
    device.playout.end_item("a")
    device.run(300)
    started, drained = device.playout.events()
    assert started == PlayoutStarted("a", pytest.approx(0.13))
    assert drained == PlayoutDrained("a", pytest.approx(0.335))
    assert device.playout.events() == []


def test_a_cut_item_drains_where_it_was_cut_and_one_never_heard_says_nothing():
    device = Device()
    device.playout.feed(delta("a", tone(1000)))
    device.playout.feed(delta("b", tone(1000)))
    device.run(300)
    device.playout.flush()
    device.run(100)
    started, drained = device.playout.events()
    assert started == PlayoutStarted("a", pytest.approx(0.0))
    assert drained.item_id == "a"
    assert 0.3 <= drained.time <= 0.3051


def test_closing_tells_the_end_of_what_had_begun():
    device = Device(latency_s=0.05)
    for item in ("over", "open", "never"):
        device.playout.feed(delta(item, tone(200)))
    device.run(370)
    device.playout.events()
    device.playout.close()
    device.playout.close()
    assert device.playout.events() == [PlayoutDrained("open", pytest.approx(0.37))]


def test_an_item_with_several_audio_parts_goes_on_after_its_first_end():
    device = Device()
    device.playout.feed(delta("a", tone(100)))
    device.playout.end_item("a")
    device.playout.feed(delta("a", tone(100), content_index=1))
    device.playout.end_item("a")
    device.run(300)
    assert device.playout.played_ms("a") == 200


def test_an_underrun_counts_only_while_more_is_to_come():
    device = Device()
    device.playout.feed(delta("a", tone(100)))
    device.run(150)
    assert device.duplex.stats()["underruns"] == 50 * 24
    device.playout.end_item("a")
    device.run(150)
    assert device.duplex.stats()["underruns"] == 50 * 24


def test_hundreds_of_items_are_forgotten_in_the_end():
    device = Device()
    for number in range(600):
        device.playout.feed(delta(f"item_{number}", tone(10)))
        device.run(10)
    assert device.playout.played_ms("item_0") == 0
    assert device.playout.played_ms("item_599") == 10
