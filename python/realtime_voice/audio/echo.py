"""Echo control: what the speaker plays is taken out of what the microphone hears, between capture and gate."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypedDict

if TYPE_CHECKING:
    from typing_extensions import Buffer

NoiseSuppression = Literal["low", "moderate", "high", "very high"]
LEVELS: Final[tuple[NoiseSuppression, ...]] = ("low", "moderate", "high", "very high")
MISSING: Final = "echo control needs pywebrtc-audio: pip install 'realtime-core[aec]'"
FRAMES_PER_SECOND: Final = 100
PROBED_FRAMES: Final = 8
FRAMES_AVERAGED: Final = 50


class EchoOptions(TypedDict, total=False):
    """What is done to captured audio before the gate; what is left out is off, or as the audio side says."""

    echo_control: Literal["auto", "webrtc"] | None
    """"webrtc" takes the speaker's sound out; "auto" does where the extra `aec` is installed; None does not."""
    noise_suppression: NoiseSuppression | None
    """Of echo control: how much steady noise is taken out as well. 6 ms more delay."""
    gain_control: bool
    """Of echo control: speech is brought to one level, and so is the echo that is left. Thresholds move with it."""


class EchoControl(Protocol):
    """A stage that takes what was played out of what was captured. One thread."""

    def process(self, pairs: Buffer, /) -> bytes:
        """Take (captured, played) pairs of int16; return what is clean so far, PCM16 mono.

        Sample n that comes out is captured sample n; the latest ones come with later calls.
        """

    def flush(self) -> bytes:
        """Return what has not come out yet."""

    @property
    def reduction_db(self) -> float:
        """What was captured over what came out, dB, while something was played lately; 0 at first."""

    def reset(self) -> None:
        """Begin anew, with a device opened anew: the room is forgotten, and what has not come out."""

    def close(self) -> None:
        """Let go of everything; more calls do nothing."""


def open_echo_control(rate: int, options: EchoOptions) -> EchoControl | None:
    """Return the chosen stage at `rate`, or None. Raises as `check_echo_options`."""
    check_echo_options(options)
    chosen = options.get("echo_control")
    if chosen is None or (chosen == "auto" and not installed()):
        return None
    return WebrtcEchoControl(
        rate,
        noise_suppression=options.get("noise_suppression"),
        gain_control=options.get("gain_control", False),
    )


def check_echo_options(options: EchoOptions) -> None:
    """Raise ValueError for a wrong option, ModuleNotFoundError when the stage asked for is not installed."""
    chosen, level = options.get("echo_control"), options.get("noise_suppression")
    if chosen not in {None, "auto", "webrtc"}:
        raise ValueError(f'echo_control must be "auto", "webrtc" or None, got {chosen!r}')
    if level is not None and level not in LEVELS:
        raise ValueError(f"noise_suppression must be None or one of {', '.join(LEVELS)}, got {level!r}")
    if chosen is None and (level is not None or options.get("gain_control")):
        raise ValueError("noise_suppression and gain_control belong to echo control: choose one by echo_control")
    if chosen == "webrtc" and not installed():
        raise ModuleNotFoundError(MISSING, name="pywebrtc_audio")


def installed() -> bool:
    """Whether the extra `aec` is there."""
    return find_spec("pywebrtc_audio") is not None


class WebrtcEchoControl:
    """WebRTC's AEC3, as pywebrtc-audio brings it. Any `rate` of a multiple of 100 Hz.

    It works in frames of 10 ms, about 0.1 ms of processor time each without the GIL, and its own delay (8 to
    10 ms) is taken out of the positions. Raises ModuleNotFoundError, which names the extra, when it is not installed.
    """

    def __init__(
        self,
        rate: int,
        *,
        noise_suppression: NoiseSuppression | None = None,
        gain_control: bool = False,
    ) -> None:
        if rate % FRAMES_PER_SECOND or not 8000 <= rate <= 192000:
            raise ValueError(f"rate must be a multiple of 100 from 8000 to 192000, got {rate}")
        try:
            import numpy as np
            from pywebrtc_audio import AudioProcessor
        except ImportError as error:
            raise ModuleNotFoundError(MISSING, name="pywebrtc_audio") from error
        self._np = np
        self._frame = rate // FRAMES_PER_SECOND

        def make(gain_control: bool) -> Any:
            return AudioProcessor(
                sample_rate=rate,
                echo_cancellation=True,
                noise_suppression=noise_suppression is not None,
                ns_level=LEVELS.index(noise_suppression or LEVELS[0]),
                auto_gain_control=gain_control,
            )

        self._delay = self._delay_of(make(False))
        self._processor = make(gain_control)
        self._powers = [0.0, 0.0]  # captured and out
        self._still = self._np.ones(1 - -self._delay // self._frame, bool)  # the latest frames were nothing but zeros
        self._waiting = bytearray()
        self._to_drop = self._delay

    def process(self, pairs: Buffer, /) -> bytes:
        """See `EchoControl`."""
        self._waiting += memoryview(pairs).cast("B")
        size = 4 * self._frame
        whole = len(self._waiting) // size * size
        if not whole:
            return b""
        frames = self._np.frombuffer(self._waiting[:whole], self._np.int16).reshape(-1, 2)
        del self._waiting[:whole]
        captured, played = self._np.ascontiguousarray(frames.T)
        out = self._keep_silence(captured, self._processor.process(captured, played))
        if played.any():
            self._measure(captured, out)
        clean: bytes = out.tobytes()
        if self._to_drop:
            dropped = min(self._to_drop, len(clean) // 2)
            self._to_drop -= dropped
            clean = clean[2 * dropped :]
        return clean

    def flush(self) -> bytes:
        """See `EchoControl`."""
        owed = len(self._waiting) // 4 + self._delay - self._to_drop
        silence = bytes(4 * (self._delay + self._frame))
        clean = self.process(silence)[: 2 * owed]
        self.reset()
        return clean

    def reset(self) -> None:
        """See `EchoControl`."""
        self._processor.reset()
        self._powers = [0.0, 0.0]
        self._still[:] = True
        self._waiting.clear()
        self._to_drop = self._delay

    def close(self) -> None:
        """See `EchoControl`."""
        self._waiting.clear()

    @property
    def reduction_db(self) -> float:
        """See `EchoControl`."""
        before, after = self._powers
        return 10 * math.log10((before + 1) / (after + 1))

    def _keep_silence(self, captured: Any, out: Any) -> Any:
        """Take out the comfort noise where the microphone, which may be muted, gave nothing but zeros."""
        still = self._np.concatenate([self._still, ~captured.reshape(-1, self._frame).any(axis=1)])
        reach = len(self._still) + 1  # frames that one which comes out is made of
        out.reshape(-1, self._frame)[self._np.lib.stride_tricks.sliding_window_view(still, reach).all(axis=1)] = 0
        self._still = still[1 - reach :]
        return out

    def _measure(self, captured: Any, out: Any) -> None:
        weight = min(1.0, len(captured) / (self._frame * FRAMES_AVERAGED))
        now = (float(self._np.square(side, dtype=self._np.float32).mean()) for side in (captured, out))
        self._powers = [old + weight * (new - old) for old, new in zip(self._powers, now, strict=True)]

    def _delay_of(self, processor: Any) -> int:
        """Return the samples from where a click goes in to where it comes out."""
        click = self._np.zeros(PROBED_FRAMES * self._frame, self._np.int16)
        click[0] = 20000
        heard = processor.process(click, self._np.zeros_like(click))
        return int(self._np.abs(heard.astype(self._np.int32)).argmax())
