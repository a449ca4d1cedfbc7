import ctypes
import gc
import random

import numpy as np
import pytest

from realtime_core import Duplex

RATE = 24000
BLOCK = 240


def int16(data):
    return np.frombuffer(data, np.int16)


def tone(count, amplitude=20000):
    return (amplitude * np.cos(2 * np.pi * 200 * np.arange(count) / RATE)).astype(np.int16)


def duplex(**changes):
    return Duplex(RATE, **{"capture_capacity": 16384, "playout_capacity": 65536, **changes})


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
    assert device.flushes() == []
    after = np.concatenate([int16(device.process(None, block)) for _ in range(480 // block + 1)])
    stopped_at, jumped_to = device.flushes()[0]
    assert stopped_at - len(before) == RATE // 200
    assert jumped_to == device.played == 24000
    assert device.flushes() == []
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
    for _ in range(20):
        duplex = Duplex(24000, capture_capacity=1000, playout_capacity=1000)
        cycle: list[object] = [duplex.playout, duplex.capture]
        cycle.append(cycle)
        del duplex, cycle
        gc.collect()
