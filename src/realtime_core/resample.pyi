from typing import Self, final

from typing_extensions import Buffer

@final
class Resampler:
    """Streaming resampler for 16-bit mono between any two rates from 8 to 192 kHz.

    After n input samples exactly ceil(n * rate_out / rate_in) output samples have been given,
    whatever the pieces; any partition of the input gives the same output. Output lags by a short
    constant delay. Grade "fast": flat to 0.9, 80 dB down from 1.1 of the narrower Nyquist
    frequency, 1.1 ms at 48 -> 24 kHz; "best": 100 dB down from 1.0 of it, 3.0 ms.

    Raises ValueError for a rate or grade out of range. One thread at a time.
    """

    def __new__(cls, rate_in: int, rate_out: int, grade: str = "fast") -> Self: ...
    @property
    def rate_in(self) -> int:
        """Input rate in Hz."""

    @property
    def rate_out(self) -> int:
        """Output rate in Hz."""

    @property
    def grade(self) -> str:
        """Grade of the filter: "fast" or "best"."""

    @property
    def delay_in(self) -> float:
        """How far output lags input, in input samples."""

    @property
    def delay_out(self) -> float:
        """How far output lags input, in output samples."""

    @property
    def clipped(self) -> int:
        """Output samples limited to 16 bits since creation or `reset`."""

    def adjust(self, ppm: float, /) -> None:
        """From now on take the true input rate to be `rate_in * (1 + ppm / 1e6)`, against clock drift.

        Nothing clicks; an output sample then costs two to five times as much. Raises ValueError beyond
        +-10000. Survives `flush`, is taken back by `reset`.
        """

    def process(self, pcm: Buffer, /) -> bytes:
        """Resample a piece of the stream of any size (at most 2**26 samples).

        Raises TypeError for a buffer that does not hold int16 or bytes, ValueError for an odd
        number of bytes.
        """

    def flush(self) -> bytes:
        """What the delay still holds; the stream then starts anew."""

    def reset(self) -> None:
        """Forget all input and the clipping count."""
