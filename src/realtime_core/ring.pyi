from typing import Self, final

from typing_extensions import Buffer

@final
class Ring:
    """Wait-free ring of 16-bit mono samples: one thread writes, one thread reads.

    Positions are sample counts since creation and only grow. Raises ValueError for a capacity
    outside 1..2**31, TypeError for a buffer that does not hold int16 or bytes, ValueError for
    an odd number of bytes.
    """

    def __new__(cls, capacity: int) -> Self:
        """Hold at least `capacity` samples (rounded up to a power of two)."""

    @property
    def capacity(self) -> int:
        """Samples the ring holds."""

    @property
    def readable(self) -> int:
        """Samples ready now; exact for the reader. Reader's thread."""

    @property
    def writable(self) -> int:
        """Samples that fit now; exact for the writer. Writer's thread."""

    @property
    def head(self) -> int:
        """Samples written since creation. Any thread."""

    @property
    def tail(self) -> int:
        """Samples read or skipped since creation. Any thread."""

    @property
    def overruns(self) -> int:
        """Samples refused by `write` because the ring was full. Any thread."""

    @property
    def underruns(self) -> int:
        """Samples missed by `read` and `read_into` because the ring was empty. Any thread."""

    def write(self, pcm: Buffer, /) -> int:
        """Write what fits and return the number of samples; the rest counts as overrun. Writer's thread."""

    def write_entire(self, pcm: Buffer, /) -> bool:
        """Write all or nothing; True when written. Writer's thread."""

    def read(self, samples: int, /) -> bytes:
        """Up to `samples` samples as PCM16 bytes; the rest counts as underrun. Reader's thread."""

    def read_into(self, out: Buffer, /) -> int:
        """Fill `out` as far as samples are ready and return their number; the rest counts as underrun."""

    def read_entire(self, samples: int, /) -> bytes | None:
        """Exactly `samples` samples, or None and nothing is taken. Reader's thread."""

    def flush_to(self, position: int, /) -> None:
        """Have the reader skip everything before `position` (at most the head). Writer's thread."""

    def mark(self, generation: int, /) -> bool:
        """Let what is written from now on belong to `generation` (0 to 2**32 - 1; 0 before the first mark).

        False, and nothing changes, while 64 marks are needed: that of the tail and those ahead. Writer's thread.
        """

    def generation(self, position: int = 0, /) -> int:
        """Generation of the sample at `position`; before the tail, as by default, that of the next one read.

        Reader's thread.
        """
