"""Two clocks: a source in real time and a speaker that is faster or slower. Hours on a clock of the test's."""

import base64
import json
import logging
import os
import random

import pytest
from realtime_voice.audio import Playout, Wire
from realtime_voice.audio.pace import Pace

from realtime_core.duplex import Duplex

RATE = 8000
BLOCK_S = 0.05
DELTA_S = 0.1
HOURS = float(os.environ.get("REALTIME_PACE_HOURS", "0.5"))
"""Ten, told: REALTIME_PACE_HOURS=10 pytest tests/voice/audio/test_pace.py --log-cli-level INFO"""


class Line:
    """A relayed call into a playout ring: one endless item, a delta every 100 ms, each late by up to `jitter_s`."""

    def __init__(self, ppm, *, jitter_s=0.02):
        self.now = 0.0
        self.period = BLOCK_S * (1 + ppm * 1e-6)  # the speaker's blocks by the source's clock
        self.jitter_s = jitter_s
        self.random = random.Random(1)
        self.duplex = Duplex(RATE, capture_capacity=RATE, playout_capacity=10 * RATE)
        self.playout = Playout(self.duplex, RATE, Wire(), clock=lambda: self.now)
        pcm = b"\x00\x08" * round(24000 * DELTA_S)
        audio = base64.b64encode(pcm).decode()
        self.delta = json.dumps({"type": "response.output_audio.delta", "item_id": "call", "delta": audio}).encode()
        self.blocks = self.deltas = 0
        self.arrival = 0.0

    @property
    def fill(self):
        return (self.duplex.playout.head - self.duplex.played) / RATE

    def run(self, seconds):
        """Returns the least and the most that waited after a block."""
        end, least, most = self.now + seconds, 1e9, 0.0
        while self.now < end:
            block = 0.3 + (self.blocks + 1) * self.period  # the speaker begins later: its prefill
            if self.arrival <= block:
                self.now = self.arrival
                self.playout.feed(self.delta)
                self.deltas += 1
                self.arrival = self.deltas * DELTA_S + self.random.uniform(0, self.jitter_s)
            else:
                self.now = block
                self.duplex.process(None, round(RATE * BLOCK_S))
                self.blocks += 1
                self.playout.pump()
                least, most = min(least, self.fill), max(most, self.fill)
        return least, most


@pytest.mark.timeout(60 + 60 * HOURS)
@pytest.mark.parametrize("ppm", [500, -500])
def test_what_waits_is_bounded_for_hours(ppm):
    line = Line(ppm)
    line.run(60.0)
    settling = line.run(600.0)
    least, most = line.run(3600.0 * HOURS)
    logging.getLogger(__name__).info(
        "%+d ppm, %g h: %.0f to %.0f ms wait, taken for %+.0f",
        ppm,
        HOURS,
        least * 1e3,
        most * 1e3,
        line.playout.pace_ppm,
    )
    assert line.duplex.stats()["underruns"] == 0
    assert most < 0.45
    assert least > 0.05
    assert settling[1] < 0.5
    assert line.playout.pace_ppm * ppm > 0


def test_without_the_correction_the_ring_would_run_over_or_dry(monkeypatch):
    monkeypatch.setattr(Pace, "observe", lambda *_, **__: 0.0)
    line = Line(-500)
    line.run(1500.0)
    assert line.duplex.stats()["underruns"] > 0
    line = Line(500)
    assert line.run(1500.0)[1] > 0.8


def test_bursts_have_no_pace():
    pace = Pace()
    for step in range(1000):
        assert pace.observe(step * 0.01, 3.0 - step * 0.003, streaming=True) == pytest.approx(0.0, abs=1e-9)
        if step > 600:
            break
    assert pace.observe(20.0, 0.5, streaming=False) == 0.0


def test_an_underrun_finds_another_level():
    pace = Pace()
    now = 0.0

    def wait(seconds, fill_s):
        nonlocal now
        for _ in range(round(seconds * 100)):
            now += 0.01
            pace.observe(now, fill_s, streaming=True)
        return pace.ppm

    wait(10.0, 0.1)
    assert wait(10.0, 0.15) > 0.0
    wait(5.0, 0.0)
    wait(5.0, 0.0)
    wait(10.0, 0.3)
    assert wait(30.0, 0.3) == wait(30.0, 0.3)  # nothing to correct
    assert abs(wait(60.0, 0.9)) <= 1000.0
