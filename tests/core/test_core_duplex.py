import ctypes
import gc
import random
import sys
import threading
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr

from realtime_core import Duplex, Vad

RATE = 24000
BLOCK = 240


def int16(data):
    return np.frombuffer(data, np.int16)


def tone(count, amplitude=20000):
    return (amplitude * np.cos(2 * np.pi * 200 * np.arange(count) / RATE)).astype(np.int16)


def duplex(**changes):
    return Duplex(RATE, **{"capture_capacity": 16384, "playout_capacity": 65536, **changes})


def sentence(rate=RATE):
    """Half a second of faint noise, a synthesized sentence, half a second of noise."""
    with wave.open(str(Path(__file__).parents[1] / "data" / "speech_slt.wav")) as file:
        speech = soxr.resample(int16(file.readframes(file.getnframes())), file.getframerate(), rate)
    silence = np.zeros(rate // 2, np.int16)
    pcm = np.concatenate([silence, speech, silence])
    return pcm + np.random.default_rng(0).integers(-10, 11, len(pcm)).astype(np.int16)


def steps(samples):
    return np.abs(np.diff(samples.astype(int))).max()


def test_a_block_passes_both_ways():
    device = duplex(playout_channels=2, tap_capacity=4096)
    captured, played = tone(BLOCK, 1000), tone(BLOCK)
    device.playout.write(played)
    out = int16(device.process(captured, BLOCK)).reshape(-1, 2)
    assert (out[:, 0] == played).all()
    assert (out[:, 1] == played).all()
    assert device.capture.read(BLOCK) == captured.tobytes()
    assert (int16(device.tap.read(2 * BLOCK)).reshape(-1, 2) == np.stack([captured, played], 1)).all()
    assert device.played == BLOCK
    assert device.capture_level == pytest.approx(-30.3, abs=0.1)
    assert device.playout_level == pytest.approx(-4.3, abs=0.1)


def test_capture_is_mixed_down():
    device = duplex(capture_channels=2)
    device.process(np.array([10, 20, -4, -6], np.int16), 2)
    assert int16(device.capture.read(2)).tolist() == [15, -5]
    assert device.tap is None


def test_any_partition_into_blocks_plays_the_same():
    source, samples = random.Random(3), tone(20000)
    whole = duplex()
    whole.playout.write(samples)
    expected = whole.process(None, 21000)
    device = duplex()
    device.playout.write(samples)
    out, left = b"", 21000
    while left:
        frames = min(source.choice([1, 16, 240, 480, 1000]), left)
        out += device.process(None, frames)
        left -= frames
    assert out == expected
    assert device.stats()["underruns"] == 0  # nothing more was expected


@pytest.mark.parametrize("block", [1, 64, 240, 1024])
def test_flush_fades_within_5_ms_and_the_next_item_follows(block):
    device = duplex()
    samples = tone(24000)
    device.playout.write(samples)
    before = np.concatenate([int16(device.process(None, block)) for _ in range(2400 // block + 1)])
    assert device.flush() == 24000
    assert [event.kind for event in device.events()] == ["started"]
    after = np.concatenate([int16(device.process(None, block)) for _ in range(480 // block + 1)])
    (event,) = device.events()
    assert (event.kind, event.frame, event.position) == ("flushed", *2 * [len(before) + RATE // 200])
    assert event.jumped_to == device.played == 24000
    assert not after[2 * RATE // 200 :].any()
    device.playout.write(samples[:2400])
    more = np.concatenate([int16(device.process(None, block)) for _ in range(2400 // block)])
    assert steps(np.concatenate([before, after, more])) < 2 * steps(samples)
    assert more.any()


def test_underruns_count_only_while_audio_is_expected():
    device = duplex()
    device.process(None, BLOCK)
    assert device.stats()["underruns"] == 0
    device.expecting = True
    assert device.expecting
    device.playout.write(tone(100))
    device.process(None, BLOCK)
    assert device.stats()["underruns"] == BLOCK - 100
    device.expecting = False
    device.process(None, BLOCK)
    assert device.stats()["underruns"] == BLOCK - 100


def test_an_underrun_does_not_click():
    device = duplex()
    device.expecting = True
    samples, out = tone(24000), []
    for start, end in ((0, 1000), (1000, 1010), (1010, 4000), (4000, 9000)):
        device.playout.write(samples[start:end])
        out += [int16(device.process(None, BLOCK)) for _ in range((end - start) // BLOCK + 2)]
    assert steps(np.concatenate(out)) < 2 * steps(samples)


def test_gain_and_mute_are_ramped():
    device = duplex()
    flat = np.full(BLOCK, 10000, np.int16)
    device.playout.write(flat)
    device.playout_gain, device.muted = 0.5, True
    played = int16(device.process(flat, BLOCK))
    captured = int16(device.capture.read(BLOCK))
    assert (played[0], captured[0]) == (10000, 10000)
    assert abs(int(played[-1]) - 5000) < 50
    assert abs(int(captured[-1])) < 50
    assert steps(played) < 200
    assert steps(captured) < 200
    assert (device.playout_gain, device.capture_gain, device.muted) == (0.5, 1.0, True)


def test_overruns_and_device_flags_are_counted():
    device = duplex(capture_capacity=256)
    device.process(bytes(2 * BLOCK), BLOCK, flags=2)
    device.process(bytes(2 * BLOCK), BLOCK, flags=4)
    stats = device.stats()
    assert stats["overruns"] == 2 * BLOCK - 256
    assert (stats["blocks"], stats["frames"]) == (2, 2 * BLOCK)
    assert (stats["device_overflows"], stats["device_underflows"]) == (1, 1)
    assert 0 < stats["mean_callback_us"] <= stats["max_callback_us"]


def test_the_beginning_waits_for_its_prefill():
    device = duplex()
    device.expecting, device.prefill = True, 300
    device.playout.write(tone(BLOCK))
    assert not any(device.process(None, BLOCK))
    assert device.process(None, BLOCK)[:120] == bytes(120)
    assert (device.played, device.stats()["prefilled"]) == (180, 300)
    assert device.prefill == 300
    with pytest.raises(ValueError, match="prefill must be"):
        device.prefill = -1


def speak(device, pcm, block=BLOCK, at=0):
    """Have the microphone hear `pcm`; return what the speaker plays meanwhile."""
    starts = range(at, len(pcm) - block + 1, block)
    return np.concatenate([int16(device.process(pcm[start : start + block], block)) for start in starts])


def onset_and_cut(pcm, rate, hops, threshold=0.5):
    """The frames behind the hops that duck and cut, by the definition and a detector of one's own."""
    vad, ends, probabilities = Vad(rate), [], []
    for frame in range(len(pcm)):
        for probability in vad.process(pcm[frame : frame + 1]):
            probabilities.append(probability)
            ends.append(frame + 1)
    first = next(n for n, probability in enumerate(probabilities) if probability >= threshold)
    score = 0
    for n in range(first, len(ends)):
        score += 1 if probabilities[n] >= threshold else -1
        assert score > 0
        if score == hops:
            return ends[first], ends[n]
    raise AssertionError("not enough speech")


@pytest.mark.parametrize("rate", [16000, 24000, 48000])
@pytest.mark.parametrize("block", [80, 480, 1024])
def test_speech_ducks_at_once_and_cuts_after_the_confirm_time(rate, block):
    pcm = sentence(rate)
    ducked, cut = onset_and_cut(pcm, rate, 12)
    device = Duplex(rate, capture_capacity=8 * rate, playout_capacity=8 * rate, detects_speech=True)
    device.listen(confirm_ms=120, duck_db=-20.0)
    device.playout.write(np.full(8 * rate, 10000, np.int16))
    out = speak(device, pcm, block)
    fade = rate // 200
    assert (out[:ducked] == 10000).all()
    assert (out[ducked + fade : cut] == 1000).all()
    assert not out[cut + fade :].any()  # and what the device has not asked for yet comes within a block
    assert steps(out) < 3 * 10000 / fade
    started, duck, stop = device.events()
    assert (started.kind, duck.kind, stop.kind) == ("started", "ducked", "cut")
    assert (duck.frame, stop.frame, stop.position) == (ducked, cut + fade, cut + fade)
    assert 0 < ducked - duck.speech <= 0.015 * rate
    assert (stop.speech, device.generation) == (duck.speech, 1)
    assert stop.probability >= 0.5
    assert "kind='cut'" in repr(stop)


def test_a_late_writer_is_dropped_until_it_accepts_the_cut():
    device = duplex(detects_speech=True, playout_capacity=1 << 18)
    device.listen(confirm_ms=60)
    device.expecting = True
    pcm = sentence()
    device.playout.write(tone(RATE))
    speak(device, pcm[:RATE])
    assert device.generation == 1
    for _ in range(50):  # two seconds later it still writes what was cut
        device.playout.write(tone(BLOCK))
        assert not any(device.process(None, BLOCK))
    assert device.stats()["discarded"] == 50 * BLOCK
    assert device.stats()["underruns"] == 0
    device.playout.write(tone(BLOCK))
    device.accept(1)
    answer = (1 + np.arange(RATE // 10)).astype(np.int16)
    device.playout.write(answer)
    out = int16(device.process(None, len(answer)))
    assert (out[RATE // 200 :] == answer[RATE // 200 :]).all()
    assert device.events()[-1].position == device.playout.head - len(answer)


def test_what_does_not_last_is_restored_without_a_gap():
    device = duplex(detects_speech=True)
    device.listen(confirm_ms=10_000)
    device.playout.write(np.full(65000, 10000, np.int16))
    out = speak(device, sentence()[: RATE + RATE // 2])
    out = np.concatenate([out, speak(device, np.zeros(RATE, np.int16))])
    kinds = [event.kind for event in device.events()]
    assert kinds[:2] == ["started", "ducked"]
    assert "cut" not in kinds
    device.ignore()
    out = np.concatenate([out, speak(device, np.zeros(2400, np.int16))])
    assert out.min() == pytest.approx(2512, abs=1)
    assert out[-1] == 10000
    assert (device.played, device.generation) == (len(out), 0)


def test_listening_needs_a_detector_and_sense():
    with pytest.raises(ValueError, match="detects_speech"):
        duplex().listen(confirm_ms=100)
    device = duplex(detects_speech=True)
    assert device.detects_speech
    for wrong in ({"confirm_ms": 9}, {"confirm_ms": 100, "duck_db": 1.0}, {"confirm_ms": 100, "onset_probability": 1.5},
                  {"confirm_ms": 100, "confirm_probability": -0.1}):  # fmt: skip
        with pytest.raises(ValueError, match="must be"):
            device.listen(**wrong)


def test_timing_of_the_latest_block():
    device = duplex()
    assert device.timing() is None
    device.process(None, BLOCK)
    device.process(None, BLOCK)
    frames, age, *delays = device.timing()
    assert (frames, delays) == (BLOCK, [0.0, 0.0])
    assert 0.0 < age < device.timing()[1]
    assert device.frames == 2 * BLOCK
    assert device.stats()["p99_callback_us"] >= 1
    assert device.stats()["max_interval_ms"] > 0.0


def test_real_time_priority_is_asked_for_in_the_streams_thread():
    device = duplex()
    device.process(None, BLOCK)
    assert device.priority == "unasked"

    def stream():
        device.restart()
        device.process(None, BLOCK)

    thread = threading.Thread(target=stream)
    thread.start()
    thread.join()
    expected = {"granted", "refused"} if sys.platform == "linux" else {"unasked"}
    assert device.priority in expected


def test_the_address_is_the_callback():
    device = duplex()
    device.playout.write(tone(BLOCK))
    prototype = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p
    )
    out = (ctypes.c_int16 * BLOCK)()
    assert prototype(device.callback_address)(None, out, BLOCK, None, 0, device.state_address) == 0
    assert bytes(out) == tone(BLOCK).tobytes()


def test_rings_outlive_the_duplex():
    device = duplex()
    playout = device.playout
    del device
    gc.collect()
    assert playout.write(tone(100)) == 100
    assert playout.read(100) == tone(100).tobytes()


@pytest.mark.parametrize(
    ("name", "value"),
    [("rate", 7999), ("capture_channels", 0), ("playout_channels", 33), ("capture_capacity", 0),
     ("playout_capacity", 2**30 + 1), ("tap_capacity", -1)],
)  # fmt: skip
def test_configuration_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        Duplex(**{"rate": RATE, "capture_capacity": 10, "playout_capacity": 10, name: value})


def test_wrong_blocks_and_gains_are_refused():
    device = duplex(capture_channels=2)
    with pytest.raises(ValueError, match="are 4 samples, got 2"):
        device.process(bytes(4), 2)
    with pytest.raises(ValueError, match="frames must be"):
        device.process(None, -1)
    for gain in (-0.1, 16.5, float("nan")):
        with pytest.raises(ValueError, match="gain must be"):
            device.playout_gain = gain


def test_rings_in_a_reference_cycle_are_not_freed_twice():
    for _ in range(3):
        duplex = Duplex(24000, capture_capacity=1000, playout_capacity=1000)
        cycle: list[object] = [duplex.playout, duplex.capture]
        cycle.append(cycle)
        del duplex, cycle
        gc.collect()
