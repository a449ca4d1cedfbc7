from typing import Self, final

from typing_extensions import Buffer

@final
class EchoCheck:
    """Whether the microphone hears somebody, or only what the speaker plays; every 10 ms.

    Both signals are 16-bit mono at `rate` Hz, 8000 to 192000 (ValueError otherwise), in pieces of any
    size that belong together sample by sample. Delay, loudness and room of the echo are learned, up to
    500 ms after it was played; until then, in the first second or two of playing, only what is
    clearly louder than an echo can be is somebody. It takes any sound for somebody: ask a `Vad`, too,
    whose values come with the same samples. One thread at a time.
    """

    def __new__(cls, rate: int = 16000) -> Self: ...
    @property
    def rate(self) -> int:
        """Rate of both signals in Hz."""

    def process(self, captured: Buffer, played: Buffer, /) -> list[float]:
        """Return the probability, 0 to 1, that somebody is heard in each 10 ms that is completed.

        Raises TypeError for a buffer that does not hold int16 or bytes, ValueError for lengths that
        differ and for an odd number of bytes. Any partition of the signals gives the same values.
        """

    def reset(self) -> None:
        """Start anew, as with a device opened anew: the room is forgotten, too."""

    @property
    def reduction_db(self) -> float:
        """How much of the echo is explained, dB: captured over what is left, lately, while only echo was heard."""
