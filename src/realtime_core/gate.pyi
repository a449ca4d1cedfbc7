from typing import Self, final

from typing_extensions import Buffer

from realtime_core.vad import Network

@final
class Gate:
    """Captured PCM at any rate in, finished chunks for the wire out, with speech events at exact samples.

    `rate` is the input's in Hz, 8000 to 192000. The wire carries "pcm" (16 bit, 24 kHz), "pcmu" or
    "pcma" (G.711, 8 kHz). Positions count samples at the wire's rate since creation or `reset`.

    Mode "open": everything leaves; events tell of speech. "gated": speech leaves, from
    `pre_roll_ms` (0 to 5000) before its onset (or the stream's beginning, when that is less than
    1.5 s before) to `hangover_ms` (10 to 5000) after its end.
    "push_to_talk": what is captured while `talking` is set leaves, and the key makes the events.
    Speech starts once `min_speech_ms` (10 to 1000) were at `open_threshold` or above, and stops
    after `hangover_ms` below `close_threshold`. They are 0.6 and 0.35 unless given, when gated 0.4
    and 0.2 (light: 0.15 and 0.08): audio held back is lost, a false event is not. `vad` and `network`
    choose the detector, as the grade of `Vad` does.

    Chunks last `chunk_ms` (10 to 1000); the last of a stretch may be shorter. Those of an open gate last
    `quiet_chunk_ms` (`chunk_ms` to 1000) while nobody might be speaking, if that is given: the first hop
    at `close_threshold` or above lets what waits leave, and chunks stay short for a second after the
    last. Any partition of the input gives the same chunks and events. Raises ValueError that names what
    is out of range. One thread at a time.
    """

    def __new__(
        cls,
        rate: int,
        *,
        wire_format: str = "pcm",
        mode: str = "open",
        framed: bool = True,
        chunk_ms: int = 20,
        quiet_chunk_ms: int | None = None,
        pre_roll_ms: int = 300,
        hangover_ms: int = 300,
        min_speech_ms: int = 60,
        open_threshold: float | None = None,
        close_threshold: float | None = None,
        vad: str = "light",
        network: Network | None = None,
    ) -> Self: ...
    def push(self, pcm: Buffer, /) -> list[tuple[int, bytes]]:
        """Take samples; return the chunks they finish, each with the position of its first sample.

        A chunk is a whole append message, or the bare wire audio when not `framed`. Raises
        TypeError for a buffer that does not hold int16 or bytes, ValueError for an odd number of
        bytes.
        """

    def flush(self) -> list[tuple[int, bytes]]:
        """End a stretch of input: return what is under way, the last chunk as short as it is; speech stops."""

    def events(self) -> list[tuple[str, int]]:
        """Return and forget ("speech_started" or "speech_stopped", position) since the last call, at most 64."""

    def reset(self) -> None:
        """Start anew, at position 0 and without learned noise; `talking` and `muted` stay."""

    talking: bool
    """The push-to-talk key. What was said before its release leaves with the next `push` or `flush`."""
    muted: bool
    """Whether zeros stand for the input."""

    @property
    def wire_rate(self) -> int:
        """Sample rate of the chunks in Hz."""

    @property
    def position(self) -> int:
        """Wire samples seen so far."""

    @property
    def speaking(self) -> bool:
        """Whether speech has started and not stopped, or the key is down."""

    @property
    def probability(self) -> float:
        """Speech probability of the latest 10 ms."""
