from typing import Self, final

from typing_extensions import Buffer

def encode_ulaw(pcm: Buffer, /) -> bytes:
    """Samples as ITU-T G.711 mu-law, one byte each. Any thread."""

def decode_ulaw(data: Buffer, /) -> bytes:
    """Mu-law bytes as PCM16. Any thread."""

def encode_alaw(pcm: Buffer, /) -> bytes:
    """Samples as ITU-T G.711 A-law, one byte each. Any thread."""

def decode_alaw(data: Buffer, /) -> bytes:
    """A-law bytes as PCM16. Any thread."""

@final
class Decoder:
    """A telephone's G.711 bytes at 8 kHz as PCM16 at another rate, expanded and resampled in one call.

    `law` is "ulaw" or "alaw", `rate` 8000 to 192000 Hz, `grade` a `Resampler`'s. A stream: any
    partition of the input gives the same output, that of `decode_ulaw` and `Resampler` one after
    the other. Raises ValueError for an argument out of range. One thread at a time.
    """

    def __new__(cls, law: str, rate: int = 24000, grade: str = "fast") -> Self: ...
    @property
    def law(self) -> str:
        """Law of the codes: "ulaw" or "alaw"."""

    @property
    def rate(self) -> int:
        """Rate of the samples in Hz."""

    @property
    def delay(self) -> float:
        """How far output lags input, in seconds."""

    def process(self, data: Buffer, /) -> bytes:
        """Decode a piece of the stream of any size (at most 2**26 bytes)."""

    def flush(self) -> bytes:
        """What the delay still holds; the stream then starts anew."""

    def reset(self) -> None:
        """Forget all input."""

@final
class Encoder:
    """PCM16 at another rate as a telephone's G.711 bytes at 8 kHz, resampled and compressed in one call.

    The way back of `Decoder`, with the same arguments. Raises ValueError for an argument out of
    range. One thread at a time.
    """

    def __new__(cls, law: str, rate: int = 24000, grade: str = "fast") -> Self: ...
    @property
    def law(self) -> str:
        """Law of the codes: "ulaw" or "alaw"."""

    @property
    def rate(self) -> int:
        """Rate of the samples in Hz."""

    @property
    def delay(self) -> float:
        """How far output lags input, in seconds."""

    def process(self, pcm: Buffer, /) -> bytes:
        """Encode a piece of the stream of any size (at most 2**26 samples)."""

    def flush(self) -> bytes:
        """What the delay still holds; the stream then starts anew."""

    def reset(self) -> None:
        """Forget all input."""
