"""How much of an answer is collected before it sounds."""

from typing import Final, Literal, TypeAlias

PrefillChoice: TypeAlias = Literal["quick", "steady"] | int

BOUNDS: Final = {"quick": (0.0, 0.3), "steady": (0.12, 0.6)}
"""Seconds, least and most."""
SHRINK: Final = 0.125
"""The part of what an answer did not need that the next one does without."""


class Prefill:
    """Follows the arrival of deltas: what would have carried over the longest wait for one of them.

    "quick" begins with nothing collected and allows for 300 ms at most, "steady" for 120 to 600 ms; a number is
    milliseconds that stay. It grows at once when it did not suffice, and shrinks over several answers that did not
    need it. Time is an argument. Raises ValueError for another choice.
    """

    def __init__(self, choice: PrefillChoice = "quick") -> None:
        if isinstance(choice, str):
            if choice not in BOUNDS:
                raise ValueError(f"prefill must be {', '.join(map(repr, BOUNDS))} or milliseconds, got {choice!r}")
            self._least, self._most = BOUNDS[choice]
        else:
            if not 0 <= choice <= 5000:
                raise ValueError(f"prefill must be 0 to 5000 milliseconds, got {choice}")
            self._least = self._most = choice / 1000.0
        self.seconds = self._least
        """To be collected before playing begins."""
        self._needed = 0.0  # by this answer so far
        self._lasts_until = 0.0  # what has arrived, played without a wait from its beginning

    def arrived(self, now: float, seconds: float, *, begins: bool) -> None:
        """Note audio of an answer's beginning or of the rest of it."""
        late = now - self._lasts_until
        if begins and late >= 0.0:
            self._needed = 0.0
        elif late > 0.0:
            self._needed += late
            self.seconds = min(max(self.seconds, self._needed), self._most)
        self._lasts_until = max(now, self._lasts_until) + seconds

    def ended(self) -> None:
        """Note that an answer has arrived to its end."""
        unneeded = self.seconds - max(self._needed, self._least)
        if unneeded > 0.0:
            self.seconds -= SHRINK * unneeded
