"""The input audio buffer and its turns, on the clock of all audio ever appended. No I/O and no wall clock."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from realtime_core.resample import Resampler
from realtime_voice.server.configuration import Refused
from realtime_voice.server.interfaces import HEARING_RATE
from realtime_voice.server.wire import SAMPLE_BYTES, WIRE_RATES, bytes_per_ms, to_pcm

HOP_MS = 10
ONSET_HOPS = 4
"""Hops of speech in a row that begin a turn."""
HYSTERESIS = 0.15
"""Speech goes on until its probability is this far below the threshold."""
IDLE_KEPT_MS = 10_000
"""Audio kept while turns are detected and nobody speaks; a commit by hand finds it."""
MAX_TURN_MS = 600_000
"""Longest detected turn (it is ended here), and most audio kept without turn detection; two of the longest appends."""
SEMANTIC_PAUSE_MS: Mapping[str, int] = {"low": 800, "medium": 500, "auto": 500, "high": 300}
"""Silence after which semantic turn detection asks what was said."""
SEMANTIC_WAIT_MS: Mapping[str, int] = {"low": 8000, "medium": 4000, "auto": 4000, "high": 2000}
"""Silence that ends a turn whatever was said."""
UNFINISHED = frozenset(
    {
        "a", "about", "an", "and", "are", "at", "because", "but", "by", "can", "could", "divided", "do", "for",
        "from", "have", "how", "i", "if", "in", "is", "it's", "minus", "multiplied", "my", "of", "on", "or",
        "over", "plus", "point", "please", "so", "square", "that", "the", "then", "times", "to", "uh", "um",
        "want", "was", "what", "what's", "when", "where", "which", "who", "with", "would", "your",
    }
)  # fmt: skip
"""Words after which a sentence goes on."""
MIN_COMMIT_MS = 100
"""Least audio that a client may commit."""
_PCM_BYTES_PER_MS = 2 * HEARING_RATE // 1000


class SpeechDetector(Protocol):
    """Speech probability per 10 ms hop of 16 kHz PCM."""

    def process(self, pcm: bytes, /) -> list[float]:
        """Return the probabilities of the hops that `pcm` completes."""


@dataclass(frozen=True, slots=True)
class Started:
    """The user began to speak at `ms`, padding included."""

    ms: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """More audio of the turn, as 16 kHz PCM."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Paused:
    """The user is silent: ask what was said, and `end_pause` when that is a whole sentence."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The turn ended at `ms`, silence included."""

    ms: int


@dataclass(frozen=True, slots=True)
class Idle:
    """Nobody spoke from `start_ms` to `end_ms`: the idle timeout."""

    start_ms: int
    end_ms: int


Happening = Started | Spoken | Paused | Stopped | Idle


@dataclass(frozen=True, slots=True)
class Turn:
    """Committed audio: in the wire format, and the part of it that no Spoken has carried, as 16 kHz PCM."""

    wire: bytes
    pcm: bytes


class InputBuffer:
    """User audio since the last commit, and turn detection over it.

    Times are whole milliseconds of audio ever appended; `clear` and `commit` do not turn the clock back.
    """

    def __init__(self, make_detector: Callable[[], SpeechDetector]) -> None:
        self._make_detector = make_detector
        self._detection: Mapping[str, Any] | None = None
        self._base_ms = 0  # the clock when the format was set
        self._samples = 0  # appended since then
        self._hop_end_ms = 0  # judged until here
        self._start_ms = 0  # where the buffer begins
        self._handed_ms = 0  # handed out as Spoken until here
        self._turn_ms: int | None = None  # where the running turn began
        self._ended_ms: int | None = None  # where it ended, until it is committed
        self._loud_hops = 0
        self._quiet_hops = 0
        self._paused = False
        self._idle_from_ms: int | None = None
        self._partial = b""
        self._lead = 0  # bytes that the resampler is late by; the detector does without them, so that its hops fit
        self._wire, self._pcm = bytearray(), bytearray()
        self._set_format("audio/pcm")

    def configure(self, wire_format: str, detection: Mapping[str, Any] | None) -> None:
        """Set the wire format and the turn detection (None: the client commits). A new format empties the buffer."""
        if wire_format != self.format:
            self._base_ms = self.elapsed_ms
            self._set_format(wire_format)
        if detection is None or self._detection is None or detection["type"] != self._detection["type"]:
            self._end_turn()
        if detection is not None and self._detection is None:  # without detection nobody listens for speech
            self._detector = self._make_detector()
            self._hop_end_ms = self.elapsed_ms
        self._detection = detection

    @property
    def speaking(self) -> bool:
        """Whether a detected turn is running."""
        return self._turn_ms is not None

    @property
    def elapsed_ms(self) -> int:
        """Audio ever appended."""
        return self._base_ms + self._samples * 1000 // WIRE_RATES[self.format]

    @property
    def buffered_ms(self) -> float:
        """Audio a commit would take."""
        return len(self._wire) / self.bytes_per_ms

    def expect_speech(self, from_ms: int | None) -> None:
        """Start the idle timeout at `from_ms` on the audio clock, or stop it."""
        self._idle_from_ms = from_ms

    def append(self, wire: bytes) -> Iterator[Happening]:
        """Take the next audio in the wire format; yield what it brings about, in order.

        The caller commits when it gets Stopped or Idle, before it asks for the next.

        Raises:
            Refused: without turn detection, the buffer is full; the audio is not taken.

        """
        audio = self._partial + wire
        whole = len(audio) - len(audio) % SAMPLE_BYTES[self.format]
        if self._detection is None and self.buffered_ms + whole / self.bytes_per_ms > MAX_TURN_MS:
            raise Refused(f"The input audio buffer is full ({MAX_TURN_MS // 1000} s): commit or clear it first.")
        audio, self._partial = audio[:whole], audio[whole:]
        pcm = self._resampler.process(to_pcm(audio, self.format))
        self._wire += audio
        self._pcm += pcm
        self._samples += whole // SAMPLE_BYTES[self.format]
        lead, self._lead = self._lead, max(0, self._lead - len(pcm))
        if self._detection is None:
            return self._spoken_until(self.elapsed_ms)
        return self._detect(self._detector.process(pcm[lead:]))

    def end_pause(self) -> Iterator[Happening]:
        """End the turn at the pause that Paused told of; nothing when the user has gone on."""
        if self._turn_ms is not None and self._paused:
            yield from self._stop()

    def commit(self) -> Turn:
        """Take the turn out of the buffer; without a detected turn, all of it. Later audio stays."""
        ended = self._ended_ms if self._ended_ms is not None else self.elapsed_ms
        turn = Turn(
            bytes(self._wire[: (ended - self._start_ms) * self.bytes_per_ms]),
            bytes(self._pcm[self._pcm_offset(self._handed_ms) : self._pcm_offset(ended)]),
        )
        self._forget_until(ended)
        self._handed_ms = ended
        self._end_turn()
        return turn

    def insert(self, wire: bytes) -> tuple[int, int, bytes]:
        """Let audio pass by the clock that nobody detects speech in; what was in the buffer is forgotten.

        Returns:
            Where it begins and ends, in ms, and the audio: silence is added to make the hops whole.

        """
        self.clear()
        hop = HOP_MS * self.bytes_per_ms
        wire += bytes(-len(wire) % hop)
        start_ms = self.elapsed_ms
        self._samples += len(wire) // SAMPLE_BYTES[self.format]
        self._hop_end_ms += self.elapsed_ms - start_ms
        self.clear()
        return start_ms, self.elapsed_ms, wire

    def clear(self) -> None:
        """Forget the audio and end a running turn."""
        self._wire.clear()
        self._pcm.clear()
        self._start_ms = self._handed_ms = self.elapsed_ms
        self._end_turn()

    def _set_format(self, wire_format: str) -> None:
        self.format = wire_format
        self.bytes_per_ms = bytes_per_ms(wire_format)
        self._resampler = Resampler(WIRE_RATES[wire_format], HEARING_RATE)
        self._lead = 2 * round(self._resampler.delay_out)
        self._detector = self._make_detector()
        self._partial = b""
        self._samples = 0
        self._hop_end_ms = self._base_ms
        self._wire.clear()
        self._pcm.clear()
        self._start_ms = self._handed_ms = self._base_ms
        self._end_turn()

    def _end_turn(self) -> None:
        self._turn_ms = None
        self._ended_ms = None
        self._loud_hops = 0
        self._quiet_hops = 0
        self._paused = False

    def _detect(self, probabilities: list[float]) -> Iterator[Happening]:
        for probability in probabilities:
            self._hop_end_ms += HOP_MS
            detection = self._detection
            if detection is None:  # the caller switched it off meanwhile
                return
            if self._turn_ms is None:
                yield from self._before_turn(probability, detection)
            else:
                yield from self._in_turn(probability, detection)
        if self._turn_ms is not None:
            yield from self._spoken_until(self._hop_end_ms)
        else:
            self._forget_until(self._hop_end_ms - IDLE_KEPT_MS)

    def _before_turn(self, probability: float, detection: Mapping[str, Any]) -> Iterator[Happening]:
        self._loud_hops = self._loud_hops + 1 if probability >= detection.get("threshold", 0.5) else 0
        idle_ms = detection.get("idle_timeout_ms")
        if self._loud_hops >= ONSET_HOPS:
            onset_ms = self._hop_end_ms - self._loud_hops * HOP_MS
            self._turn_ms = max(self._start_ms, onset_ms - detection.get("prefix_padding_ms", 300))
            self._forget_until(self._turn_ms)
            self._handed_ms = self._turn_ms
            self._quiet_hops = 0
            self._idle_from_ms = None
            yield Started(self._turn_ms)
        elif idle_ms and self._idle_from_ms is not None and self._hop_end_ms >= self._idle_from_ms + idle_ms:
            start_ms, self._idle_from_ms = self._idle_from_ms, None
            self._ended_ms = self._hop_end_ms
            yield Idle(start_ms, self._hop_end_ms)

    def _in_turn(self, probability: float, detection: Mapping[str, Any]) -> Iterator[Happening]:
        floor = max(detection.get("threshold", 0.5) - HYSTERESIS, 0.05)
        self._quiet_hops = self._quiet_hops + 1 if probability < floor else 0
        self._paused = self._paused and self._quiet_hops > 0
        quiet_ms = self._quiet_hops * HOP_MS
        eagerness = detection.get("eagerness", "auto")
        silence_ms = detection.get("silence_duration_ms", SEMANTIC_WAIT_MS[eagerness])
        too_long = self._hop_end_ms - (self._turn_ms or 0) >= MAX_TURN_MS
        if too_long or (quiet_ms and quiet_ms >= silence_ms):
            yield from self._stop()
        elif detection["type"] == "semantic_vad" and quiet_ms == SEMANTIC_PAUSE_MS[eagerness]:
            self._paused = True
            yield from self._spoken_until(self._hop_end_ms)
            yield Paused()

    def _stop(self) -> Iterator[Happening]:
        yield from self._spoken_until(self._hop_end_ms)
        self._ended_ms = self._hop_end_ms
        yield Stopped(self._hop_end_ms)

    def _spoken_until(self, ms: int) -> Iterator[Spoken]:
        pcm = bytes(self._pcm[self._pcm_offset(self._handed_ms) : self._pcm_offset(ms)])
        if pcm:
            self._handed_ms = ms
            yield Spoken(pcm)

    def _forget_until(self, ms: int) -> None:
        if ms > self._start_ms:
            del self._wire[: (ms - self._start_ms) * self.bytes_per_ms]
            del self._pcm[: self._pcm_offset(ms)]
            self._start_ms = ms
            self._handed_ms = max(self._handed_ms, ms)

    def _pcm_offset(self, ms: int) -> int:
        return (ms - self._start_ms) * _PCM_BYTES_PER_MS


def is_unfinished(text: str) -> bool:
    """Whether a sentence that has come this far goes on: it is empty or ends with a word that wants another."""
    words = text.lower().rstrip(" .,").split()
    return not words or words[-1] in UNFINISHED
