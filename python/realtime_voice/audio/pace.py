"""A source that speaks in real time by another clock than the speaker's."""

from typing import Final

BURST_S: Final = 1.0
"""More than this waits only when a source is faster than real time, as servers are: there is no pace to keep then."""
WINDOW_S: Final = 4.0
"""The least that waits in so long is what jitter leaves: the one figure that only the clocks change."""
W: Final = 0.01
"""Natural frequency of the control loop, rad/s; its damping is 1 (Gardner, Phaselock Techniques, ch. 2). Clocks
that differ by 500 ppm change the fill by 18 ms until they are followed."""
MAX_CORRECTION: Final = 1e-3
"""1000 ppm are 1.7 cents: not to be heard."""


class Pace:
    """Says how much faster than the speaker's clock that of the source runs, so that what waits neither grows nor ends.

    A remote source in real time, such as a relayed call, fills a ring that the speaker empties by its own clock: at
    500 ppm it would be full, or empty, of a second in half an hour. The level to keep is the one found.
    """

    def __init__(self) -> None:
        self.ppm = 0.0
        """How much faster, in parts per million; 0.0 for a source that sends in bursts."""
        self._target_s: float | None = None
        self._integral = 0.0
        self._since: float | None = None
        self._least_s = 0.0

    def observe(self, now: float, fill_s: float, *, streaming: bool) -> float:
        """Take what waits at a moment, both in seconds, while audio is `streaming` in; returns `ppm`."""
        if fill_s > BURST_S:
            self._target_s = self._since = None
            self.ppm = 0.0
        elif not streaming:
            self._target_s = self._since = None
        elif self._since is None:
            self._since, self._least_s = now, fill_s
        else:
            self._least_s = min(self._least_s, fill_s)
            if now - self._since >= WINDOW_S:
                self._follow(self._least_s, now - self._since)
                self._since, self._least_s = now, fill_s
        return self.ppm

    def _follow(self, least_s: float, seconds: float) -> None:
        if self._target_s is None or least_s <= 0.0:  # after an underrun another level is found
            self._target_s = least_s if least_s > 0.0 else None
            return
        error = least_s - self._target_s
        integral = self._integral + W * W * error * seconds
        correction = integral + 2 * W * error
        if abs(correction) < MAX_CORRECTION:
            self._integral = integral  # at its limit it does not wind up
        self.ppm = max(-MAX_CORRECTION, min(MAX_CORRECTION, correction)) * 1e6
