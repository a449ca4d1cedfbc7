"""When a session's connection is replaced, and how patiently.

The table LINK says what a session does about its connection; ERRORS and `is_replaceable` say which ends are survived.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from realtime_voice.errors import ConnectError, ConnectionClosed, ServerError, SessionTimeout
from realtime_voice.states import ERRORS, Reach

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_voice.states import Table

LIFE_S: Final = 3600.0
"""How long a connection lives where its server does not say."""
SHORTEST_LIFE_S: Final = 60.0
"""An end that is nearer is a wrong clock here or there, and not believed."""
RENEWAL_MARGIN_S: Final = 300.0
RENEWAL_SHARE: Final = 0.8
LAST_MOMENT_S: Final = 10.0
"""So long before a connection's end its successor takes over even in the middle of a turn."""
TRANSIENT_STATUS: Final = frozenset({408, 425, 429})
"""HTTP answers to the handshake that another attempt may change, with those from 500 on."""
FINAL_CLOSE_CODES: Final = frozenset({1000, 1002, 1003, 1007, 1008, 1010})
"""WebSocket close codes that a new connection would meet again, with those from 3000 on; 1000 is the orderly end."""


class LinkState(enum.Enum):
    """What a session does about its connection."""

    CONNECTING = "connecting"
    OPEN = "open"
    RENEWING = "renewing"
    RECONNECTING = "reconnecting"
    ENDED = "ended"


LINK: Table[LinkState] = {
    LinkState.CONNECTING: {"configured": LinkState.OPEN, "end": LinkState.ENDED},
    LinkState.OPEN: {
        "renewal due": LinkState.RENEWING,
        "connection lost": LinkState.RECONNECTING,
        "end": LinkState.ENDED,
    },
    LinkState.RENEWING: {
        "successor takes over": LinkState.OPEN,
        "connection lost": LinkState.RECONNECTING,
        "end": LinkState.ENDED,
    },
    LinkState.RECONNECTING: {"successor takes over": LinkState.OPEN, "end": LinkState.ENDED},
    LinkState.ENDED: {},
}


@dataclass(frozen=True, kw_only=True)
class ReconnectPolicy:
    """How a session keeps its connection. Raises ValueError for what cannot be.

    attempts: how often in a row a new connection is tried before the session ends with the last failure.
    first_wait_s, longest_wait_s: before the second attempt, doubled before each further one up to the longest; half of
    each wait is random, so that many clients of one server do not come back at once. The first attempt does not wait.
    healthy_s: attempts are forgotten once a connection has carried traffic for so long.
    silent_s: a connection over which not a byte comes for so long, pings unanswered, is lost.
    keep_s: how much of the user's audio is kept to be sent again.
    """

    attempts: int = 10
    first_wait_s: float = 0.5
    longest_wait_s: float = 8.0
    healthy_s: float = 10.0
    silent_s: float = 15.0
    keep_s: float = 30.0

    def __post_init__(self) -> None:
        for name in ("attempts", "first_wait_s", "longest_wait_s", "healthy_s", "silent_s", "keep_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


class Backoff:
    """Counts the attempts in a row. `random` returns numbers from 0 to 1."""

    def __init__(self, policy: ReconnectPolicy, random: Callable[[], float] = random.random) -> None:
        self.attempts = 0
        """Attempts since the last healthy connection."""
        self._policy = policy
        self._random = random

    @property
    def is_exhausted(self) -> bool:
        """No further attempt is allowed."""
        return self.attempts >= self._policy.attempts

    def next_wait_s(self) -> float:
        """Count an attempt; returns how long to wait before it."""
        self.attempts += 1
        if self.attempts == 1:
            return 0.0
        longest = min(self._policy.longest_wait_s, self._policy.first_wait_s * 2.0 ** min(self.attempts - 2, 32))
        return longest * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """Forget the attempts: a connection is healthy."""
        self.attempts = 0


def renew_after_s(life_s: float) -> float:
    """When to begin with a connection's successor: at 0.8 of its life, or 300 s before its end if that is later."""
    return max(RENEWAL_SHARE * life_s, life_s - RENEWAL_MARGIN_S)


def is_replaceable(error: BaseException) -> bool:
    """Whether a new connection may succeed where one ended for this reason."""
    match error:
        case ConnectionClosed(code=code):
            return code not in FINAL_CLOSE_CODES and code < 3000
        case ConnectError(status=status):
            return status is None or status in TRANSIENT_STATUS or status >= 500
        case ServerError(code=code):
            return ERRORS.get(code or "") is Reach.CONNECTION
        case _:
            return isinstance(error, SessionTimeout)
