"""When a device's next block can be expected, so that a tick finds it fresh."""

import math
from typing import Final

SETTLE_S: Final = 0.0005
"""So long after a block is due it is looked for."""
LATE_S: Final = 0.002
"""So long later again, while it has not come; more when it has not come for long."""
LEAST_S: Final = 0.005
"""Shorter blocks are looked for several at once."""
LONGEST_S: Final = 0.02
"""A tick is never further off."""
ANEW_S: Final = 1.0
"""How often the device is asked anew whether it brings its blocks one at a time."""


class Cadence:
    """Learns in which steps a device brings its blocks: one by one, or several at once.

    A block that was late, or a tick that was, looks like several at once: so that is believed for a second only.
    """

    def __init__(self, block_s: float) -> None:
        self._block_s = min(block_s * max(1, math.ceil(LEAST_S / block_s)), LONGEST_S)
        self._step_s = self._block_s
        self._anew_at = 0.0
        self._frames = -1
        self._arrived = 0.0
        self._has_missed = False

    def next(self, now: float, frames: int, age_s: float) -> float:
        """Return when to look next. At `now`, `frames` have come so far, the last block `age_s` ago; all in seconds."""
        arrived = now - age_s
        if frames == self._frames:
            self._has_missed = True
            return now + min(max(LATE_S, (now - self._arrived) / 4), LONGEST_S)
        if now >= self._anew_at:
            self._anew_at, self._step_s = now + ANEW_S, self._block_s
        elif self._has_missed:
            self._step_s = min(max(arrived - self._arrived, self._block_s), LONGEST_S)
        self._frames, self._arrived, self._has_missed = frames, arrived, False
        return max(arrived + self._step_s, now) + SETTLE_S
