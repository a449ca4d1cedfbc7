"""When a tick looks for a block, on a device made of arrival times."""

import itertools
import random

import pytest
from realtime_voice.audio.cadence import ANEW_S, LATE_S, LEAST_S, LONGEST_S, SETTLE_S, Cadence


def look(block_s, arrivals, until):
    """Follow a device; returns the times of all looks, and how old each block was when it was found."""
    cadence, now, looks, ages, found = Cadence(block_s), arrivals[0], [], [], 0
    while now < until:
        come = sum(arrival <= now for arrival in arrivals)
        ages += [now - arrival for arrival in arrivals[found:come]]
        found = come
        looks.append(now)
        due = cadence.next(now, 480 * come, now - arrivals[come - 1])
        assert now < due <= now + LONGEST_S + SETTLE_S
        now = due
    return looks, ages


@pytest.mark.parametrize("block_s", [0.005, 0.01, 0.02])
def test_a_block_is_found_when_it_is_fresh_by_one_look_each(block_s):
    jitter = random.Random(1)
    arrivals = [1.0 + n * block_s + jitter.uniform(0, 1e-4) for n in range(400)]
    looks, ages = look(block_s, arrivals, arrivals[-1])
    assert max(ages[1:]) <= SETTLE_S + 1e-4 + 1e-9
    assert len(looks) <= len(arrivals) + 1


def test_blocks_that_come_in_pairs_are_looked_for_once_a_pair_but_when_asked_anew():
    arrivals = [1.0 + n * 0.02 for n in range(500) for _ in range(2)]
    looks, ages = look(0.01, arrivals, 11.0)
    assert max(ages) <= LATE_S * 2 + SETTLE_S
    assert 500 <= len(looks) <= 500 + 11 * 6


def test_one_late_block_is_not_taken_for_a_pair_for_longer_than_a_second():
    arrivals = [1.0 + n * 0.01 + (0.009 if n == 50 else 0.0) for n in range(400)]
    _, ages = look(0.01, arrivals, 5.0)
    later = ages[round((0.5 + ANEW_S + 0.1) * 100) :]
    assert max(later) <= SETTLE_S + 1e-9


def test_a_device_that_brings_nothing_costs_few_looks():
    looks, _ = look(0.01, [1.0], 2.0)
    assert len(looks) < 80


@pytest.mark.parametrize("block_s", [0.001, 0.0025, 0.003])
def test_short_blocks_are_looked_for_several_at_once(block_s):
    looks, ages = look(block_s, [1.0 + n * block_s for n in range(1000)], 1.0 + 1000 * block_s)
    assert min(b - a for a, b in itertools.pairwise(looks)) >= LEAST_S - 1e-9
    assert max(ages) <= 2 * LEAST_S + SETTLE_S


def test_long_blocks_do_not_keep_a_tick_away():
    looks, _ = look(0.1, [1.0 + n * 0.1 for n in range(20)], 3.0)
    assert max(b - a for a, b in itertools.pairwise(looks)) <= LONGEST_S + SETTLE_S
