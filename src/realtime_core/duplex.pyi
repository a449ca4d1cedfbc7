from typing import Self, final

from typing_extensions import Buffer

from realtime_core.ring import Ring

@final
class Duplex:
    """A sound device's other half: the stream callback in C and the rings behind it.

    `callback_address` and `state_address` go to a PortAudio stream of int16 samples as callback
    and user data; a virtual device calls `process`, which runs the very same function. The
    callback never waits, allocates or touches Python. Close the stream before the last reference
    to the Duplex goes; its rings may outlive it.

    Capture is mixed down to one channel, playout is given to every channel. Raises ValueError for
    a rate outside 8000 to 192000 Hz, channels outside 1 to 32 and capacities (in samples, of the
    tap in pairs) outside 1 to 2**30.
    """

    def __new__(
        cls,
        rate: int,
        *,
        capture_channels: int = 1,
        playout_channels: int = 1,
        capture_capacity: int,
        playout_capacity: int,
        tap_capacity: int = 0,
    ) -> Self: ...
    @property
    def rate(self) -> int:
        """Rate of both sides in Hz."""

    @property
    def capture_channels(self) -> int:
        """Channels of the blocks handed in."""

    @property
    def playout_channels(self) -> int:
        """Channels of the blocks given out."""

    @property
    def capture(self) -> Ring:
        """What was captured, mono. Its reader may be any one thread."""

    @property
    def playout(self) -> Ring:
        """What is to be played, mono. Its writer may be any one thread."""

    @property
    def tap(self) -> Ring | None:
        """Interleaved (captured, played) pairs, sample by sample; None when not asked for."""

    @property
    def callback_address(self) -> int:
        """Address of the PaStreamCallback."""

    @property
    def state_address(self) -> int:
        """Address of its user data."""

    def process(self, captured: Buffer | None, frames: int, *, flags: int = 0) -> bytes:
        """Run the callback for one block and return what it plays.

        `captured` holds `frames` frames of `capture_channels` interleaved samples (None: the device
        captures nothing), `flags` are PortAudio's. Raises ValueError for another size.
        """

    def flush(self) -> int:
        """Stop what is queued: the next block fades it out within 5 ms and jumps to what is written from now on.

        Returns the position jumped to. Playout writer's thread.
        """

    def flushes(self) -> list[tuple[int, int]]:
        """Flushes carried out since the last call: (position where playing stopped, position jumped to).

        At most 64 are kept. One thread.
        """

    @property
    def played(self) -> int:
        """Playout position handed to the device so far. Any thread."""

    @property
    def expecting(self) -> bool:
        """Whether more audio is to follow what is queued. Any thread.

        Only while True an empty ring counts as underrun, and audio after the gap is faded in.
        """

    @expecting.setter
    def expecting(self, value: bool) -> None: ...
    @property
    def capture_gain(self) -> float:
        """Factor from 0 to 16, ValueError otherwise; changes are ramped. Any thread."""

    @capture_gain.setter
    def capture_gain(self, value: float) -> None: ...
    @property
    def playout_gain(self) -> float:
        """Factor from 0 to 16, ValueError otherwise; changes are ramped. Any thread."""

    @playout_gain.setter
    def playout_gain(self, value: float) -> None: ...
    @property
    def muted(self) -> bool:
        """Whether zeros are captured instead of audio. Any thread."""

    @muted.setter
    def muted(self, value: bool) -> None: ...
    @property
    def capture_level(self) -> float:
        """Peak of the last block captured, in dBFS. Any thread."""

    @property
    def playout_level(self) -> float:
        """Peak of the last block played, in dBFS. Any thread."""

    def stats(self) -> dict[str, int | float]:
        """Counters since creation. Any thread.

        blocks, frames; overruns: captured frames lost; tap_overruns: pairs lost; underruns: frames
        of silence played while audio was expected; device_underflows, device_overflows: blocks so
        flagged by the device; mean_callback_us, max_callback_us: time spent in the callback;
        output_delay_s: from the last block's callback to the sounding of its first sample, by the
        device's clock, 0.0 where it does not tell.
        """
