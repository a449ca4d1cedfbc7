"""Playout: order, backlog, cuts and an exact account of what was heard, on a virtual device."""

import base64
import json

import pytest
from realtime_voice.audio import BargeIn, Heard, PlayoutDrained, PlayoutStarted, Wire
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
        self.duplex = Duplex(rate, capture_capacity=rate, playout_capacity=round(ring_s * rate), detects_speech=True)
        self.playout = Playout(
            self.duplex,
            rate,
            wire or Wire(),
            clock=lambda: self.time,
            latency_s=latency_s,
            backlog_bytes=backlog_bytes,
        )

    def run(self, ms, captured=None):
        for _ in range(ms // 10):
            self.block(captured)
            self.playout.pump()

    def block(self, captured=None):
        """Ten milliseconds of which Python does not learn."""
        frames = self.rate // 100
        self.out += self.duplex.process(captured and captured[: 2 * frames], frames)
        self.time += 0.01

    def interrupt(self, confirm_ms=50):
        """Let the user speak until the callback cuts, and Python know nothing."""
        self.duplex.listen(confirm_ms=confirm_ms, onset_probability=0.0, confirm_probability=0.0)
        blocks = -(-confirm_ms // 10) + 2
        for _ in range(blocks):
            self.block(bytes(self.rate // 50))
        self.duplex.ignore()
        return blocks


def delta(item, pcm, *, content_index=0, response=None):
    return json.dumps(
        {
            "type": "response.output_audio.delta",
            "event_id": "event_1",
            "response_id": response or f"resp_{item}",
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
    device.playout.end_item("a")
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
    device.playout.end_item("b")
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


def test_a_cut_by_the_callback_is_told_with_what_was_heard():
    device = Device(latency_s=0.02)
    for item in ("a", "b"):
        device.playout.feed(delta(item, tone(1000)))
    device.run(200)
    device.playout.events()
    device.interrupt(50)
    assert device.duplex.generation == 1
    ducked, cut = device.playout.events()
    assert ducked == BargeIn(
        "ducked", pytest.approx(0.23, abs=0.001), pytest.approx(0.01, abs=0.003), ducked.probability
    )
    assert (cut.action, cut.heard) == ("cut", (Heard("a", 0, 254, 1000), Heard("b", 0, 0, 1000)))
    assert cut.time == pytest.approx(0.275, abs=0.001)  # 50 ms of speech, 5 ms of fade, the device's own 20 ms
    assert cut.after_s == pytest.approx(0.055, abs=0.003)
    assert device.playout.flush() == []
    assert device.playout.active  # what the device holds
    device.run(50)
    assert not device.playout.active
    assert device.playout.played_ms("a") == 254
    assert [type(event) for event in device.playout.events()] == [PlayoutDrained]


@pytest.mark.parametrize("message", [True, False])
def test_what_arrives_of_a_cut_answer_while_python_knows_nothing_is_never_heard(message):
    def feed(item, pcm):
        if message:
            device.playout.feed(delta(item, pcm))
        else:
            device.playout.feed_audio(item, base64.b64encode(pcm).decode())

    device = Device()
    feed("a", tone(1000))
    device.run(100)
    device.interrupt()
    for _ in range(200):  # Python is blocked for two seconds
        device.block()
    device.out = b""
    for _ in range(5):  # and goes on with what lay in its socket
        feed("a", tone(400))
        device.block()
    device.playout.end_item("a")
    feed("b", tone(100, 5))
    feed("b", tone(100, 6))
    device.playout.end_item("b")
    assert not any(device.out)
    device.run(300)
    assert device.out.strip(b"\0")[:2] != b"\xe8\x03"
    start = 5 * 480
    assert device.out[start + FADE : start + 2 * 200 * 24] == (tone(100, 5) + tone(100, 6))[FADE:]
    assert device.playout.played_ms("b") == 200
    assert device.playout.late == 5
    assert device.duplex.stats()["discarded"] == 0


def test_what_is_written_in_the_moment_of_a_cut_is_dropped():
    device = Device()
    device.playout.feed(delta("a", tone(500)))
    device.run(100)
    device.interrupt()
    device.duplex.playout.write(tone(500))  # was on its way to the ring when the callback decided
    device.out = b""
    device.run(100)
    assert not any(device.out)
    device.playout.feed(delta("b", tone(100, 5)))
    device.playout.end_item("b")
    device.run(200)
    assert device.playout.played_ms("b") == 100
    assert device.out.count(b"\5\0" * 1000) == 2
    assert not device.playout.active


def test_a_cut_drops_the_backlog_and_the_rest_of_the_response():
    device = Device(ring_s=0.1)
    device.playout.feed(delta("a", tone(2000), response="resp_1"))
    device.playout.end_item("a")
    device.run(50)
    device.interrupt()
    device.playout.feed(delta("more", tone(500), response="resp_1"))  # another item of what was cut
    assert device.playout.late == 1
    device.out = b""
    device.run(200)
    assert not any(device.out)
    device.playout.feed(delta("next", tone(50, 7), response="resp_2"))
    device.run(100)
    assert (device.playout.played_ms("next"), device.playout.played_ms("more")) == (50, 0)


def test_a_duck_is_told_and_nothing_is_lost():
    device = Device()
    device.playout.feed(delta("a", tone(1000)))
    device.run(100)
    device.duplex.listen(confirm_ms=5000, onset_probability=0.0, confirm_probability=0.0)
    device.run(30, captured=bytes(480))
    device.duplex.listen(confirm_ms=5000, onset_probability=1.0, confirm_probability=1.0)
    device.run(870, captured=bytes(480))
    events = [event for event in device.playout.events() if isinstance(event, BargeIn)]
    assert [event.action for event in events] == ["ducked", "restored"]
    assert device.playout.played_ms("a") == 1000
    assert all(memoryview(device.out).cast("h"))


def test_the_end_of_an_item_is_told_to_the_sample():
    for samples in (1, 239, 241, 4801):
        device = Device(latency_s=0.013)
        device.run(50)
        device.playout.feed(delta("a", b"\1\0" * samples))
        device.playout.end_item("a")
        device.run(500)
        started, drained = device.playout.events()
        assert started.time == pytest.approx(0.063, abs=1e-9)
        assert drained.time == pytest.approx(0.063 + samples / RATE, abs=1e-9)


def test_a_gap_that_python_slept_through_is_no_part_of_what_was_heard():
    device = Device(latency_s=0.05)
    device.playout.feed(delta("a", tone(100)))
    for _ in range(50):
        device.block()
    device.playout.feed(delta("a", tone(100)))
    for _ in range(30):
        device.block()
    device.playout.end_item("a")
    device.run(10)
    started, drained = device.playout.events()
    assert started.time == pytest.approx(0.05)
    assert drained.time == pytest.approx(0.65)
    assert device.playout.played_ms("a") == 200
