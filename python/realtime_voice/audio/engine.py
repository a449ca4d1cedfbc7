"""What every audio side shares: duplex, gate, playout and recorder, between a source of blocks and a session."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final, Literal, TypedDict, cast

from typing_extensions import Buffer, Unpack

from realtime_core.duplex import Duplex
from realtime_core.gate import Gate
from realtime_voice.audio.barge_in import BargeInOptions, settle
from realtime_voice.audio.clock import Clock, LoopClock
from realtime_voice.audio.echo import EchoControl, EchoOptions, check_echo_options, open_echo_control
from realtime_voice.audio.playout import Playout
from realtime_voice.audio.prefill import Prefill, PrefillChoice
from realtime_voice.audio.recorder import Recorder
from realtime_voice.audio.wire import AudioEvent, SpeechStarted, SpeechStopped, Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RATE: Final = 24000  # any: options are checked with it
RING_SECONDS: Final = 10
CHUNK_MS: Final = 20  # the gate's own default
CHUNKS_WAITING: Final = 1000
QUIET_CHUNK_MS: Final = 100
LIVE_MS: Final = 10_000
"""What a live microphone has said and the session has not taken; beyond, the oldest whole chunks are dropped."""
EVENTS_WAITING: Final = 1000
_logger = logging.getLogger("realtime_voice.audio")

AT_ONCE_S: Final = 1
"""Most audio that one tick clears of echo, some 10 ms of work: a loop that was late catches up without stalling."""


class GateOptions(TypedDict, total=False):
    """How captured audio becomes chunks; what is left out is the gate's own default."""

    mode: Literal["open", "gated", "push_to_talk"]
    chunk_ms: int
    vad: Literal["light", "neural", "staggered"]
    """Which detector tells of speech and gates; "neural" and "staggered" want the extra `vad`. See docs/speech.md."""
    quiet_chunk_ms: int
    """Of chunks while nobody speaks: `chunk_ms` or, unless given, 100 ms if that is more."""
    pre_roll_ms: int
    hangover_ms: int
    min_speech_ms: int
    open_threshold: float
    close_threshold: float


class CaptureOptions(EchoOptions, GateOptions, BargeInOptions, total=False):
    """All that may happen to captured audio, and what it does to what is played."""

    prefill: PrefillChoice
    """How much of an answer is collected before it sounds: "quick" unless given, "steady", or milliseconds."""


class EngineAudioIO(ABC):
    """The part of an `AudioIO` that does not depend on where audio comes from and goes to.

    Options that it does not have raise TypeError, values that cannot be ValueError.

    A subclass opens its source in `_open`, which calls `_assemble`, hands captured audio to
    `_capture`, and calls `_wake` whenever a session may find something new.
    """

    def __init__(
        self, *, record: str | Path | None = None, clock: Clock | None = None, **options: Unpack[CaptureOptions]
    ) -> None:
        self._echo_options, self._barge_in_options, self._prefill, gate = _apart(options)
        check_echo_options(self._echo_options)
        settle(self._barge_in_options, echo_controlled=False)
        Prefill(self._prefill)
        self._record = record
        self._given_clock = clock
        self._speed = 1.0
        if unknown := gate.keys() - GateOptions.__annotations__:
            raise TypeError(f"{type(self).__name__} has no option {min(unknown)!r}")
        chunk_ms = gate.setdefault("chunk_ms", CHUNK_MS)
        gate.setdefault("quiet_chunk_ms", max(QUIET_CHUNK_MS, chunk_ms))
        Gate(RATE, **gate)
        self._gate_options = gate
        self._has_open_speaker = False  # that its microphone may hear
        self._muted = False
        self._talking = False
        self._volume = 1.0
        self._starting = asyncio.Lock()
        self._running = False
        self._ended = False
        self._failure: Exception | None = None
        self._awake = asyncio.Event()
        self._recorder: Recorder | None = None
        self._echo: EchoControl | None = None
        self._is_live = False  # its source does not wait
        self.dropped_chunks = 0
        """Of a live microphone: chunks that the session did not take in time, the oldest first."""
        self._behind_capture = 0  # samples that echo control has taken and not given back yet
        self._input_latency_s = 0.0
        self._heard_at = 0.0  # time of the last event of speech
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._events: deque[AudioEvent] = deque(maxlen=EVENTS_WAITING)
        self.observer: Callable[[AudioEvent], object] | None = None
        """Called with each event as it happens, whoever takes it from `events`; set it before `start`."""
        self.listener: Callable[[], object] | None = None
        """See `AudioIO.listener`."""

    # The AudioIO interface

    async def start(self, wire_in: Wire, wire_out: Wire, *, framed: bool = True) -> None:
        """Open both sides. Raises AudioDeviceError or AudioFileError; more calls while open do nothing."""
        async with self._starting:
            if self._running:
                return
            self._clock = self._given_clock or LoopClock(self._speed)
            self._wires = wire_in, wire_out, framed
            self._ended = False
            self._failure = None
            self._awake.clear()
            self._heard_at = 0.0
            self._chunks.clear()
            try:
                await self._open()
            except BaseException:
                self._close_stages()
                raise
            self._running = True
            self._begin()

    async def stop(self) -> None:
        """Close both sides, as soon as they are open; more calls do nothing."""
        async with self._starting:
            if not self._running:
                return
            self._running = False
            self._halt()
            try:
                self.playout.close()
                await self._close()
            finally:
                self._end()
                self._read_tap()
                self._close_stages()

    async def captured(self) -> list[tuple[int, bytes]] | None:
        """Wait for finished chunks (maybe none), each with its first wire sample; None when the input has ended."""
        await self._awake.wait()
        if not self._ended:
            self._awake.clear()
        elif not self._chunks:
            if self._failure is not None:
                raise self._failure
            return None
        return self.take()

    def take(self) -> list[tuple[int, bytes]]:
        """Take the chunks that are finished (maybe none), each with its first wire sample."""
        chunks = list(self._chunks)
        self._chunks.clear()
        return chunks

    def events(self) -> list[AudioEvent]:
        """Take what happened since the last call, in order of occurrence."""
        if not self._running and not self._events:
            return []
        self._events.extend(self.playout.events())
        events = sorted(self._events, key=lambda event: event.time)
        self._events.clear()
        return events

    @property
    def levels(self) -> tuple[float, float]:
        """Peaks of the last block captured and played, dBFS; -120.0 while not running."""
        return (self.duplex.capture_level, self.duplex.playout_level) if self._running else (-120.0, -120.0)

    @property
    def echo_controlled(self) -> bool:
        """What the speaker plays is taken out of what the microphone hears; known once started."""
        return self._echo is not None

    def echo_stats(self) -> dict[str, float]:
        """Tell what the callback's check explains of the echo and what echo control takes out of it, in dB, lately.

        0.0 where there is none, or nothing was played yet.
        """
        check = float(self.duplex.stats()["echo_reduction_db"]) if self._running else 0.0
        return {"check_db": check, "control_db": 0.0 if self._echo is None else self._echo.reduction_db}

    @property
    def silent(self) -> bool:
        """No recorded speech waits for the microphone."""
        return True

    @property
    def playing(self) -> bool:
        """Something is waiting, queued or still sounding."""
        return self._running and self.playout.active

    @property
    def muted(self) -> bool:
        """True: silence leaves instead of what the microphone hears."""
        return self._muted

    @muted.setter
    def muted(self, muted: bool) -> None:
        self._muted = muted
        if self._running:
            self.gate.muted = muted
            self.playout.attended = self._is_attended

    @property
    def talking(self) -> bool:
        """The push-to-talk key."""
        return self._talking

    @talking.setter
    def talking(self, talking: bool) -> None:
        self._talking = talking
        if self._running:
            self.gate.talking = talking
            self.playout.attended = self._is_attended

    @property
    def volume(self) -> float:
        """Linear gain of the speaker, 0.0 to 4.0; out of range raises ValueError."""
        return self._volume

    @volume.setter
    def volume(self, volume: float) -> None:
        if not 0.0 <= volume <= 4.0:
            raise ValueError(f"volume must be 0.0 to 4.0, got {volume}")
        self._volume = volume
        if self._running:
            self.duplex.playout_gain = volume

    # For subclasses

    @abstractmethod
    async def _open(self) -> None:
        """Open the source and sink and call `_assemble`."""

    @abstractmethod
    async def _close(self) -> None:
        """Close the source and sink."""

    def _begin(self) -> None:  # noqa: B027 - who is pushed has nothing to begin
        """Begin to work, both sides being open."""

    def _halt(self) -> None:  # noqa: B027
        """Cease to work, before both sides are closed."""

    def _assemble(
        self, rate: int, *, capture_channels: int = 1, playout_channels: int = 1, capture: bool = True
    ) -> Duplex:
        wire_in, wire_out, framed = self._wires
        self._echo = open_echo_control(rate, self._echo_options) if capture else None
        self._behind_capture = 0
        barge_in = settle(self._barge_in_options, echo_controlled=self._echo is not None)
        if barge_in.is_local and not capture:
            raise ValueError(f"barge_in={barge_in.policy!r} needs a microphone of the device that plays: use 'server'")
        if self._has_open_speaker and not barge_in.is_local and self._barge_in_options.get("barge_in") is None:
            _logger.info(
                "the server alone decides when the user interrupts: without echo control the microphone may hear the "
                "speaker (install the extra 'aec', or say headset=True, for interruptions without delay)"
            )
        tapped = self._echo is not None or self._record is not None
        self.duplex = Duplex(
            rate,
            capture_channels=capture_channels,
            playout_channels=playout_channels,
            capture_capacity=RING_SECONDS * rate if capture else rate // 100,
            playout_capacity=RING_SECONDS * rate,
            tap_capacity=RING_SECONDS * rate if tapped else 0,
            detects_speech=barge_in.is_local,
            checks_echo=not self._barge_in_options.get("headset", False),
        )
        self.duplex.playout_gain = self._volume
        self.gate = Gate(rate, wire_format=wire_in.encoding, framed=framed, **self._gate_options)
        self.gate.muted = self._muted
        self.gate.talking = self._talking
        self.playout = Playout(
            self.duplex,
            rate,
            wire_out,
            clock=self._clock.time,
            barge_in=barge_in,
            prefill=Prefill(self._prefill),
        )
        self.playout.attended = self._is_attended
        self.playout.observer = self.observer
        if self._record is not None:
            self._recorder = Recorder(self._record, rate)
        return self.duplex

    @property
    def _is_attended(self) -> bool:
        return not self._muted and (self._talking or self._gate_options.get("mode") != "push_to_talk")

    @property
    def _behind(self) -> bool:
        """The session has not taken what waits: leave audio where it is."""
        return len(self._chunks) >= CHUNKS_WAITING and not self._is_live

    def _take_captured(self) -> bytes:
        """Take what the microphone has heard, without the echo where that is controlled."""
        ring = self.duplex.capture
        if self._echo is None:
            captured = ring.read(ring.readable)
            self._notice(captured)
            return captured
        pairs = self._read_tap(AT_ONCE_S * self.duplex.rate)
        self._notice(ring.read(len(pairs) // 4))  # the same samples, with the echo
        clean = self._echo.process(pairs)
        self._behind_capture += len(pairs) // 4 - len(clean) // 2
        return clean

    def _notice(self, captured: bytes) -> None:  # noqa: B027 - most have nothing to notice
        """For subclasses: what the microphone heard, as it is."""

    def _capture(self, pcm: Buffer) -> None:
        self._chunks.extend(self.gate.push(pcm))
        if self._is_live:
            self._drop_old()
        captured_at = self._clock.time() - self._input_latency_s - self._behind_capture / self.duplex.rate
        for name, sample in self.gate.events():
            time = captured_at - (self.gate.position - sample) / self.gate.wire_rate
            self._heard_at = time = max(self._heard_at, time)  # in order, also faster than real time
            self._tell((SpeechStarted if name == "speech_started" else SpeechStopped)(sample, time))

    def _drop_old(self) -> None:
        is_open = self._gate_options.get("mode", "open") == "open"
        longest_ms = self._gate_options["quiet_chunk_ms" if is_open else "chunk_ms"]
        kept = LIVE_MS * self.gate.wire_rate // 1000
        while len(self._chunks) * longest_ms > LIVE_MS and self._chunks[-1][0] - self._chunks[0][0] >= kept:
            self._chunks.popleft()
            self.dropped_chunks += 1

    def _tell(self, event: AudioEvent) -> None:
        self._events.append(event)
        if self.observer is not None:
            self.observer(event)

    def _pump(self) -> None:
        self.playout.pump()
        if self._echo is None or self._ended:
            self._read_tap()

    def _read_tap(self, frames: int | None = None) -> bytes:
        """Take (captured, played) pairs, at most `frames` of them, and record them."""
        tap = self.duplex.tap
        if tap is None:
            return b""
        pairs = tap.read(tap.readable if frames is None else min(tap.readable, 2 * frames))
        if self._recorder is not None and pairs:
            self._recorder.write(pairs)
        return pairs

    def _close_stages(self) -> None:
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None
        if self._echo is not None:
            self._echo.close()

    @property
    def _has_news(self) -> bool:
        return bool(self._chunks or self._events) or self._ended or self.playout.has_events

    def _wake(self) -> None:
        if self.listener is not None and not self._ended:
            try:
                self.listener()
            except Exception as failure:  # noqa: BLE001  told by `captured`
                self._end(failure)
            if not self._has_news:
                return
        self._awake.set()

    def _end(self, failure: Exception | None = None) -> None:
        """No more input will come; what waits is still handed out."""
        if not self._ended:
            if self._echo is not None:
                self._capture(self._echo.flush())
            self._chunks.extend(self.gate.flush())
            self._ended = True
            self._failure = failure
        self._wake()


def _apart(options: CaptureOptions) -> tuple[EchoOptions, BargeInOptions, PrefillChoice, GateOptions]:
    def of(kind: type) -> dict[str, object]:
        return {name: value for name, value in options.items() if name in kind.__annotations__}

    rest = {*EchoOptions.__annotations__, *BargeInOptions.__annotations__, "prefill"}
    gate = {name: value for name, value in options.items() if name not in rest}
    return (
        cast("EchoOptions", of(EchoOptions)),
        cast("BargeInOptions", of(BargeInOptions)),
        options.get("prefill", "quick"),
        cast("GateOptions", gate),
    )
