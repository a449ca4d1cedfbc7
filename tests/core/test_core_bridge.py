"""The binding of the bridge; what it does is tested in C."""

import numpy as np
import pytest

from realtime_core.bridge import Bridge
from realtime_core.duplex import Duplex


def new_duplex(rate=48000, channels=1):
    return Duplex(rate, capture_channels=channels, capture_capacity=rate, playout_capacity=rate)


def test_a_device_of_another_rate_and_other_channels_is_bridged():
    duplex = new_duplex(24000)
    bridge = Bridge(duplex, capture_rate=48000, playout_rate=48000, capture_channels=2, playout_channels=2,
                    capture_channel=1)  # fmt: skip
    assert duplex.playout.write_entire(b"\x00\x08" * 4800)
    left_only = np.zeros((4800, 2), "<i2")
    left_only[:, 0] = 0x1000
    played = np.frombuffer(bridge.process(left_only.tobytes(), 4800), "<i2").reshape(-1, 2)
    captured = np.frombuffer(duplex.capture.read(24000), "<i2")
    assert len(captured) == pytest.approx(2400, abs=4)
    assert captured[1200] == pytest.approx(0x1000, rel=0.01)
    assert played[2400, 0] == played[2400, 1] == pytest.approx(0x800, rel=0.01)
    assert bridge.stats()["starved"] == 0
    assert bridge.duplex is duplex
    assert len(bridge.process(None, 480)) == 480 * 4


def test_addresses_are_those_of_callbacks_and_state():
    bridge = Bridge(new_duplex(), capture_rate=16000, playout_rate=48000, capture_block=160, playout_block=480)
    addresses = {bridge.callback_address, bridge.capture_callback_address, bridge.state_address}
    assert len(addresses) == 3
    assert 0 not in addresses
    assert not any(bridge.process(None, 480, time=1.0))
    assert bridge.stats()["target_s"] == pytest.approx(0.025)
    assert bridge.stats()["starved"] == 480


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"capture_rate": 7999}, "capture_rate must be 8000 to 192000, got 7999"),
        ({"capture_channels": 2, "capture_channel": 3}, "capture_channel must be 0 to 2, got 3"),
        ({"playout_channels": 33}, "playout_channels must be 1 to 32"),
        ({"capture_block": 480}, "belong together"),
    ],
)
def test_what_cannot_be_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Bridge(new_duplex(), **{"capture_rate": 48000, "playout_rate": 48000, **options})


def test_a_duplex_of_more_channels_and_blocks_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="one channel each way"):
        Bridge(new_duplex(channels=2), capture_rate=48000, playout_rate=48000)
    bridge = Bridge(new_duplex(), capture_rate=48000, playout_rate=48000)
    with pytest.raises(ValueError, match="480 frames of 1 channels are 480 samples, got 100"):
        bridge.process(bytes(200), 480)
