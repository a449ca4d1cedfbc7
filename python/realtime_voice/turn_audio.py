"""Which of the user's audio is in the conversation already, and which a next connection would have to hear."""

from __future__ import annotations

from collections import deque
from typing import Final

JUDGED_S: Final = 3.0
"""Audio that has reached the server for so long without a speech_started is silence to it."""


class TurnAudio:
    """Where one connection's turns begin and end in the audio that the session's user side has sent.

    Everything is in samples from the session's first; a server tells milliseconds from its connection's first.
    """

    def __init__(self, rate: int) -> None:
        self.first = 0
        """With which sample the connection's audio begins."""
        self.sent = 0
        """Behind the last sample that was sent."""
        self.heard = 0
        """Up to here all is in an item, or was cleared."""
        self.commits: deque[tuple[str, int]] = deque()
        """Commits that are not answered: the event's id, and how much was sent before."""
        self._rate = rate
        self._speech: tuple[int, int | None] | None = None  # where the turn's speech begins, and ends

    def begin(self, first: int) -> None:
        """Begin with a sample that is not the session's first."""
        self.first = self.sent = self.heard = first

    def session_ms(self, ms: int) -> int:
        """Convert the server's milliseconds to the session's."""
        return self.first * 1000 // self._rate + ms

    def speech_started(self, ms: int) -> None:
        """Note where the server heard the user begin."""
        self._speech = (max(self.heard, self._sample(ms)), None)

    def sent_since_s(self, ms: int) -> float:
        """Seconds of audio sent after one of the server's milliseconds; of live audio, how long ago that was."""
        return max(0, self.sent - self._sample(ms)) / self._rate

    def speech_stopped(self, ms: int) -> None:
        """Note where the server heard the user end."""
        if self._speech is not None:
            self._speech = (self._speech[0], self._sample(ms))

    def clear(self) -> None:
        """Note that what was sent so far is to be forgotten."""
        self.heard, self._speech = self.sent, None

    def refused(self, event_id: str | None) -> None:
        """Note that there was nothing to commit."""
        self.commits = deque(commit for commit in self.commits if commit[0] != event_id)

    def committed(self) -> tuple[str | None, tuple[int, int]]:
        """Note that a turn is in the conversation; returns the commit that asked for it, if any, and its samples."""
        start, end = self._speech or (self.heard, None)
        event_id = None
        if self.commits:
            event_id, end = self.commits.popleft()
        self._speech = None
        self.heard = max(self.heard, self.sent if end is None else end)
        return event_id, (start, self.heard)

    def needed_from(self, delivered: int, *, server_listens: bool) -> int:
        """First sample that a next connection has to be sent, where all before `delivered` has arrived.

        It is what came after the last turn; where the server listens, without what it has taken for silence.
        """
        if self._speech is not None:
            return self._speech[0]
        return max(self.heard, delivered - int(JUDGED_S * self._rate)) if server_listens else self.heard

    def _sample(self, ms: int) -> int:
        return self.first + ms * self._rate // 1000
