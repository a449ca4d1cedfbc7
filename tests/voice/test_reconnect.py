"""When connections are replaced, and how patiently."""

from __future__ import annotations

import pytest
from realtime_voice.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ConnectionClosed,
    ServerError,
    SessionTimeout,
)
from realtime_voice.reconnect import LINK, Backoff, LinkState, ReconnectPolicy, is_replaceable, renew_after_s


def test_waits_grow_are_half_random_and_bounded() -> None:
    policy = ReconnectPolicy(first_wait_s=0.5, longest_wait_s=8.0)
    for share, expected in ((0.0, [0.25, 0.5, 1, 2, 4, 4]), (1.0, [0.5, 1, 2, 4, 8, 8])):
        backoff = Backoff(policy, lambda share=share: share)  # type: ignore[misc]
        assert backoff.next_wait_s() == 0.0  # the first at once
        assert [backoff.next_wait_s() for _ in range(6)] == expected
        backoff.reset()
        assert backoff.next_wait_s() == 0.0


def test_attempts_end() -> None:
    backoff = Backoff(ReconnectPolicy(attempts=2))
    assert not backoff.is_exhausted
    backoff.next_wait_s()
    backoff.next_wait_s()
    assert backoff.is_exhausted


@pytest.mark.parametrize(("life_s", "begin_s"), [(3600.0, 3300.0), (1500.0, 1200.0), (1000.0, 800.0), (60.0, 48.0)])
def test_renewal_begins_at_the_later_of_both(life_s: float, begin_s: float) -> None:
    assert renew_after_s(life_s) == pytest.approx(begin_s)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((ConnectionClosed("", code), True) for code in (1001, 1005, 1006, 1009, 1011, 1012, 1013)),
        *((ConnectionClosed("", code), False) for code in (1000, 1002, 1003, 1007, 1008, 3000, 4000, 4004)),
        *((ConnectError("", status), True) for status in (None, 408, 425, 429, 500, 502, 503)),
        *((ConnectError("", status), False) for status in (301, 400, 404)),
        (SessionTimeout(""), True),
        (ServerError("", "session_expired"), True),
        (ServerError("", "insufficient_quota"), False),
        (ServerError("", None), False),
        (AuthenticationError("", "invalid_api_key"), False),
        (ConfigurationError("", "invalid_value"), False),
        (ValueError(), False),
    ],
)
def test_which_ends_are_survived(error: Exception, *, expected: bool) -> None:
    assert is_replaceable(error) is expected


@pytest.mark.parametrize("name", ["attempts", "first_wait_s", "longest_wait_s", "healthy_s", "silent_s", "keep_s"])
def test_what_cannot_be_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be above 0"):
        ReconnectPolicy(**{name: 0})


def test_every_state_of_the_link_is_reached_and_only_the_end_is_final() -> None:
    reached = {LinkState.CONNECTING} | {state for row in LINK.values() for state in row.values()}
    assert reached == set(LinkState) == set(LINK)
    assert [state for state, row in LINK.items() if not row] == [LinkState.ENDED]
