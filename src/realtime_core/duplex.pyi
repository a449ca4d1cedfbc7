from typing import Literal, Self, final

from typing_extensions import Buffer

from realtime_core.ring import Ring

@final
class DuplexEvent:
    """One thing that happened in the callback. Frames count through all blocks, positions through the playout ring."""

    @property
    def kind(self) -> Literal["started", "drained", "flushed", "cut", "ducked", "restored"]:
        """What happened.

        started: from `frame` on the ring's samples from `position` on are played, one per frame. drained: the ring
        ran dry; flushed, cut: it was flushed, or cut by a barge-in, and goes on at `jumped_to`; `position` and
        `frame` are where playing stopped. ducked, restored: from `frame` on it is quieter, or no longer.
        """

    @property
    def frame(self) -> int:
        """Frame at which it happened."""

    @property
    def position(self) -> int:
        """Playout position."""

    @property
    def jumped_to(self) -> int:
        """Where playing goes on: flushed and cut."""

    @property
    def speech(self) -> int:
        """Frame at which the speech was captured first: ducked, cut and restored."""

    @property
    def probability(self) -> float:
        """Speech probability of the hop that decided: ducked, cut and restored."""

@final
class Duplex:
    """A sound device's other half: the stream callback in C and the rings behind it.

    `callback_address` and `state_address` go to a PortAudio stream of int16 samples as callback
    and user data; a virtual device calls `process`, which runs the very same function. The
    callback never waits, allocates or touches Python. Close the stream before the last reference
    to the Duplex goes; its rings may outlive it.

    Nothing that begins or ends in mid-air clicks, a short underrun is concealed, and with
    `detects_speech` the callback can let the user barge in (`listen`); with `checks_echo` it
    does not take what the microphone hears of the speaker for the user (`EchoCheck`).

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
        detects_speech: bool = False,
        checks_echo: bool = False,
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
    def detects_speech(self) -> bool:
        """Whether there is a detector for `listen`."""

    @property
    def checks_echo(self) -> bool:
        """Whether what is played is told from the user."""

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

    def restart(self) -> None:
        """Say that a stream is about to start: its first callback asks once for real-time priority (see `priority`)."""

    def flush(self) -> int:
        """Stop what is queued: the next block fades it out within 5 ms and jumps to what is written from now on.

        Returns the position jumped to. Playout writer's thread.
        """

    def events(self) -> list[DuplexEvent]:
        """Take what happened since the last call, in order; at most 256 are kept. One thread.

        Events of all the frames that `frames` counted before are among them.
        """

    def listen(
        self,
        *,
        confirm_ms: int,
        confirm_probability: float = 0.5,
        onset_probability: float = 0.5,
        duck_db: float = -12.0,
    ) -> None:
        """Let captured speech interrupt what is played, decided in the callback. Any thread.

        A 10 ms hop at `onset_probability` ducks by `duck_db` (-120 to 0) within 5 ms. `confirm_ms` (10 to 10000) of
        hops at `confirm_probability`, less those below, cut; when they come to none playing is restored within
        100 ms. A cut jumps over all that is queued, and everything written until `accept` is called is dropped.
        Raises ValueError out of range, and without `detects_speech`.
        """

    def ignore(self) -> None:
        """Stop listening; a duck under way ends. Any thread."""

    @property
    def generation(self) -> int:
        """Cuts by barge-in so far; the event of the last is there to be taken. Any thread."""

    def accept(self, generation: int, /) -> None:
        """Say that what is written from now on belongs to `generation`, the latest: it is played again.

        What was written before is dropped. Playout writer's thread.
        """

    @property
    def frames(self) -> int:
        """Frames so far. Any thread."""

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
    def prefill(self) -> int:
        """Samples to be queued before playing begins after silence while more is expected. Any thread.

        It waits no longer than these samples last. ValueError outside 0 to 2**30.
        """

    @prefill.setter
    def prefill(self, value: int) -> None: ...
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
        """Peak of what is captured, in dBFS; it falls by full scale in 300 ms. Any thread."""

    @property
    def playout_level(self) -> float:
        """Peak of what is played, in dBFS; it falls by full scale in 300 ms. Any thread."""

    @property
    def priority(self) -> Literal["unasked", "granted", "refused", "returned"]:
        """Whether the stream's thread became a real-time one. Any thread.

        "returned": it did, took more than half of a processor, and is an ordinary one again.
        """

    def timing(self) -> tuple[int, float, float, float] | None:
        """The latest block's place in time; None before the first. Any thread.

        Frames before the block; seconds since the device asked for it; seconds between that and the sounding at the
        microphone of its first captured sample, and at the speaker of its first played one, by the device's clock,
        0.0 where it does not tell.
        """

    def stats(self) -> dict[str, int | float]:
        """Counters since creation. Any thread.

        blocks, frames; overruns: captured frames lost; tap_overruns: pairs lost; underruns: frames
        with nothing to play while audio was expected; prefilled: frames that queued audio waited for its prefill;
        discarded: samples dropped because they were written before a cut was accepted; lost_events;
        device_underflows, device_overflows: blocks so flagged by the device; mean_callback_us, p99_callback_us
        (the power of two above it), max_callback_us: time spent in the callback; max_interval_ms: longest time
        between two callbacks of a stream; input_delay_s, output_delay_s: those of `timing`; echo_reduction_db: how well
        the check knows the echo, see `EchoCheck.reduction_db`.
        """
