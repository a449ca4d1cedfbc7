from typing import Self, final

from typing_extensions import Buffer

from realtime_core.duplex import Duplex

@final
class Bridge:
    """Stands between sound devices and a duplex where rates, channels or clocks differ.

    One device: `callback_address` and `state_address` go to its PortAudio stream of int16 samples. Two
    devices: they go to the speaker's stream, `capture_callback_address` and the same state to the
    microphone's, and `capture_block` and `playout_block` are the frames in a block of each; the microphone's
    clock is then followed and its audio resampled to the speaker's.

    Rates in Hz, 8000 to 192000; 1 to 32 channels. `capture_channel` and `playout_channel` choose one, from 1;
    0 mixes all captured channels down and plays on each. The duplex has one channel each way and is kept alive.
    Close the streams before the last reference to the bridge goes. Raises ValueError that names what is wrong.
    """

    def __new__(
        cls,
        duplex: Duplex,
        *,
        capture_rate: int,
        playout_rate: int,
        capture_channels: int = 1,
        playout_channels: int = 1,
        capture_channel: int = 0,
        playout_channel: int = 0,
        capture_block: int = 0,
        playout_block: int = 0,
    ) -> Self: ...
    @property
    def duplex(self) -> Duplex:
        """The duplex behind it."""

    @property
    def capture_channels(self) -> int:
        """Channels of the blocks handed in."""

    @property
    def playout_channels(self) -> int:
        """Channels of the blocks given out."""

    @property
    def callback_address(self) -> int:
        """Address of the PaStreamCallback of both sides, of either alone, or of the speaker's stream of two."""

    @property
    def capture_callback_address(self) -> int:
        """Address of the PaStreamCallback of the microphone's stream of two."""

    @property
    def state_address(self) -> int:
        """Address of their user data."""

    def process(self, captured: Buffer | None, frames: int, *, time: float = 0.0) -> bytes:
        """Run the callback for one block and return what it plays.

        `captured` holds `frames` frames of `capture_channels` interleaved samples (None: the device captures
        nothing), `time` is the moment of the block in seconds of the device's clock, 0.0 where it does not tell.
        Raises ValueError for another size.
        """

    def stats(self) -> dict[str, int | float]:
        """What happened so far, in samples at the duplex's rate and seconds. Any thread.

        capture_blocks: of the microphone's own stream; starved: silence captured because that stream was late or
        has stopped; dropped: captured samples thrown away because the speaker's was; fill_s and target_s: what
        waits between both; ppm: how much faster than the speaker's the microphone's clock is taken to be.
        """
