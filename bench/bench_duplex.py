"""The device callback: a second of 10 ms blocks at 48 kHz, both ways, alone and with what it decides."""

import numpy as np
import pytest

from realtime_core import Duplex

RATE = 48000
BLOCK = RATE // 100
RANDOM = np.random.default_rng(0)
SPOKEN = (RANDOM.normal(size=RATE) * 300).astype(np.int16)
BLOCKS = [SPOKEN[at : at + BLOCK].tobytes() for at in range(0, RATE, BLOCK)]
ANSWER = (6000 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)).astype("<i2").tobytes()


def ours():
    return Duplex(RATE, capture_capacity=RATE, playout_capacity=2 * RATE)


def ours_with_tap():
    return Duplex(RATE, capture_capacity=RATE, playout_capacity=2 * RATE, tap_capacity=RATE)


def ours_listening(checks_echo=False):
    duplex = Duplex(
        RATE, capture_capacity=RATE, playout_capacity=2 * RATE, detects_speech=True, checks_echo=checks_echo
    )
    duplex.listen(confirm_ms=10_000)
    return duplex


def ours_checking_echo():
    return ours_listening(checks_echo=True)


def starving():
    duplex = ours()
    duplex.expecting = True
    return duplex


def second_of(duplex, answer=ANSWER):
    def run():
        duplex.playout.write(answer)
        for block in BLOCKS:
            duplex.process(block, BLOCK)
        duplex.capture.read(RATE)
        if duplex.tap is not None:
            duplex.tap.read(2 * RATE)

    return run


@pytest.mark.parametrize("make", [ours, ours_with_tap, ours_listening, ours_checking_echo])
def bench_callback(benchmark, make):
    benchmark.group = "device callback, 100 blocks of 10 ms"
    benchmark(second_of(make()))


def bench_concealment(benchmark):
    """Every second block runs dry in its middle: the period is looked for 100 times."""
    benchmark.group = "device callback, 100 underruns concealed"
    duplex, piece = starving(), ANSWER[:BLOCK]

    def run():
        for block in BLOCKS:
            duplex.playout.write(piece)
            duplex.process(block, BLOCK)
        duplex.capture.read(RATE)

    benchmark(run)
