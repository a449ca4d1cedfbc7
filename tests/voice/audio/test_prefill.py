"""Prefill: quick at first, as much as late deltas teach, within bounds."""

import pytest
from realtime_voice.audio.prefill import Prefill


def answer(prefill, start, waits, seconds=0.1):
    """Deltas of 100 ms, each so much after the one before; return when the last came."""
    now = start
    prefill.arrived(now, seconds, begins=True)
    for wait in waits:
        now += wait
        prefill.arrived(now, seconds, begins=False)
    prefill.ended()
    return now


def test_answers_faster_than_real_time_need_none():
    prefill = Prefill()
    answer(prefill, 5.0, [0.02] * 50)
    assert prefill.seconds == 0.0


def test_it_grows_by_what_was_missing():
    prefill = Prefill()
    answer(prefill, 5.0, [0.1, 0.15, 0.1, 0.17])
    assert prefill.seconds == pytest.approx(0.12)


def test_jitter_that_was_made_up_for_before_costs_nothing():
    prefill = Prefill()
    answer(prefill, 5.0, [0.02, 0.02, 0.02, 0.3, 0.1])
    assert prefill.seconds == pytest.approx(0.0)


def test_it_is_bounded_and_shrinks_over_several_answers():
    prefill = Prefill("quick")
    now = answer(prefill, 5.0, [3.0])
    assert prefill.seconds == 0.3
    seen = [prefill.seconds]
    for _ in range(20):
        now = answer(prefill, now + 10.0, [0.05] * 10)
        seen.append(prefill.seconds)
    assert seen == sorted(seen, reverse=True)
    assert 0.2 < seen[2] < seen[1] < 0.3
    assert seen[-1] < 0.03


def test_steady_begins_with_some_and_keeps_it():
    prefill = Prefill("steady")
    assert prefill.seconds == 0.12
    now = answer(prefill, 1.0, [0.5])
    assert prefill.seconds == pytest.approx(0.4)
    for _ in range(100):
        now = answer(prefill, now + 10.0, [0.05] * 10)
    assert prefill.seconds == pytest.approx(0.12, abs=0.001)


def test_milliseconds_stay():
    prefill = Prefill(80)
    answer(prefill, 1.0, [0.5, 0.01, 0.02])
    assert prefill.seconds == 0.08


@pytest.mark.parametrize("choice", ["fast", -1, 5001])
def test_other_choices_are_refused(choice):
    with pytest.raises(ValueError, match="prefill must be"):
        Prefill(choice)
