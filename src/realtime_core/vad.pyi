from typing import Self, final

from typing_extensions import Buffer

@final
class Vad:
    """Speech probability of every 10 ms of 16-bit mono at `rate` Hz, 8000 to 192000, in pieces of any size.

    Decides without looking ahead, whatever the level of the microphone. Raises ValueError for a
    rate out of range. One thread at a time.
    """

    def __new__(cls, rate: int = 16000) -> Self: ...
    @property
    def rate(self) -> int:
        """Input rate in Hz."""

    def process(self, pcm: Buffer, /) -> list[float]:
        """Return the probability, 0 to 1, of each 10 ms that `pcm` completes.

        Raises TypeError for a buffer that does not hold int16 or bytes, ValueError for an odd
        number of bytes. Any partition of a stream gives the same values.
        """

    def reset(self) -> None:
        """Start anew; the noise learned so far is forgotten, too."""
