"""Sound cards: PortAudio, as sounddevice brings it, calls the core's own callback."""

import sys
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from typing_extensions import Unpack

from realtime_core.duplex import Duplex
from realtime_voice.audio.clock import Clock
from realtime_voice.audio.engine import GateOptions
from realtime_voice.audio.ticked import TickedAudioIO
from realtime_voice.errors import AudioDeviceError

LINUX: Final = sys.platform.startswith("linux")
BLOCK_S: Final = 0.02 if LINUX else 0.01
"""On Linux a normal-priority callback thread must survive a busy machine."""
BLOCKS_OF_LATENCY: Final = 3
"""On Linux: a third of the latency is the length that PortAudio and ALSA run in. Blocks of another are packed anew,
and a stream of both sides then begins with a click of stale memory."""
RATES: Final = (48000, 44100, 24000, 16000, 32000, 96000, 22050, 8000)
HOPS_PER_CHECK: Final = 20
DELAYS_AVERAGED: Final = 10
INSTEAD: Final = "or use files: --input FILE --output FILE (in a program: FileAudioIO)"

ADVICE: Final = f"`realtime devices` lists what there is, {INSTEAD}"


class Device(msgspec.Struct, frozen=True):
    """A sound device as PortAudio lists it."""

    index: int
    name: str
    host_api: str
    input_channels: int
    output_channels: int
    rate: int
    """The rate it prefers, samples per second."""
    input_latency_ms: float
    """The lowest it offers."""
    output_latency_ms: float
    """The lowest it offers."""
    default_input: bool
    default_output: bool


def devices() -> list[Device]:
    """List the sound devices there are, maybe none. Raises AudioDeviceError without PortAudio."""
    sounddevice = _sounddevice()
    host_apis = sounddevice.query_hostapis()
    default_input, default_output = sounddevice.default.device
    if default_input < 0 and default_output < 0 and host_apis:
        default_input = host_apis[0]["default_input_device"]
        default_output = host_apis[0]["default_output_device"]
    return [
        Device(
            index=index,
            name=device["name"],
            host_api=host_apis[device["hostapi"]]["name"],
            input_channels=device["max_input_channels"],
            output_channels=device["max_output_channels"],
            rate=int(device["default_samplerate"]),
            input_latency_ms=device["default_low_input_latency"] * 1000.0,
            output_latency_ms=device["default_low_output_latency"] * 1000.0,
            default_input=index == default_input,
            default_output=index == default_output,
        )
        for index, device in enumerate(sounddevice.query_devices())
    ]


def _sounddevice() -> Any:
    try:
        import sounddevice  # type: ignore[import-untyped]
    except OSError as error:  # the package is there, the library it loads is not
        raise AudioDeviceError(
            "PortAudio is not installed: apt-get install libportaudio2 (Debian, Ubuntu), "
            f"dnf install portaudio (Fedora), brew install portaudio (macOS); {INSTEAD}"
        ) from error
    except ImportError as error:
        raise AudioDeviceError(f"sounddevice is not installed: pip install sounddevice; {INSTEAD}") from error
    return sounddevice


class DeviceAudioIO(TickedAudioIO):
    """Microphone and speaker of this machine as one duplex stream, opened when the session starts.

    The stream calls the C core, which never waits for Python. Each side is chosen by index, by part of
    its name, or None for the default; False leaves it out. The device runs at a rate of its own, in
    blocks of `block_s` seconds; `latency` is seconds, "low" or "high" for the device's own idea of it, or None
    for three blocks on Linux and "low" elsewhere.
    """

    def __init__(
        self,
        *,
        input_device: int | str | Literal[False] | None = None,
        output_device: int | str | Literal[False] | None = None,
        latency: float | Literal["low", "high"] | None = None,
        block_s: float = BLOCK_S,
        record: str | Path | None = None,
        clock: Clock | None = None,
        **gate: Unpack[GateOptions],
    ) -> None:
        if input_device is False and output_device is False:
            raise ValueError("input_device and output_device are both left out: one of them must be a device")
        if not 0.001 <= block_s <= 1.0:
            raise ValueError(f"block_s must be 0.001 to 1.0 seconds, got {block_s}")
        super().__init__(record=record, clock=clock, **gate)
        self._devices = input_device, output_device
        self._latency = latency or (BLOCKS_OF_LATENCY * block_s if LINUX else "low")
        self._block_s = block_s
        self._stream: Any = None
        self._hops = 0
        self._output_delay_s = 0.0

    def _open(self) -> None:
        sounddevice = _sounddevice()
        rate, channels = self._settle(sounddevice)
        capture_channels, playout_channels = channels
        duplex = self._assemble(rate, capture_channels=capture_channels or 1, playout_channels=playout_channels or 1)
        try:
            self._stream = self._open_stream(sounddevice, duplex, rate, channels)
            self._stream.start()
        except sounddevice.PortAudioError as error:
            self._close()
            raise self._refusal(error) from error
        latency = self._stream.latency
        both = latency if isinstance(latency, tuple) else (latency, latency)
        # A block's first sample sounds one latency after the device took it: count from its middle.
        self._input_latency_s, self.playout.latency_s = both[0], both[1] + self._block_s / 2
        self._output_delay_s = 0.0

    def _open_stream(self, sounddevice: Any, duplex: Duplex, rate: int, channels: tuple[int, int]) -> Any:
        from cffi import FFI  # type: ignore[import-untyped]  # comes with sounddevice

        sides = [(device, count) for device, count in zip(self._devices, channels, strict=True) if device is not False]
        kind = "duplex" if len(sides) == 2 else "input" if channels[0] else "output"
        device, count = sides[0] if len(sides) == 1 else tuple(zip(*sides, strict=True))
        # Documented by sounddevice for this very use; the only underscored name, and in this one place.
        return sounddevice._StreamBase(  # noqa: SLF001
            kind=kind,
            samplerate=rate,
            blocksize=round(rate * self._block_s),
            device=device,
            channels=count,
            dtype="int16",
            latency=self._latency,
            callback=FFI().cast("void *", duplex.callback_address),
            userdata=FFI().cast("void *", duplex.state_address),
        )

    def _settle(self, sounddevice: Any) -> tuple[int, tuple[int, int]]:
        """Find a rate and channel counts both devices accept; a side left out has 0 channels."""
        sides = []
        for device, kind, check in zip(
            self._devices,
            ("input", "output"),
            (sounddevice.check_input_settings, sounddevice.check_output_settings),
            strict=True,
        ):
            if device is False:
                continue
            try:
                info = sounddevice.query_devices(device, kind)
            except (sounddevice.PortAudioError, ValueError) as error:
                raise self._missing(kind, device, error) from error
            sides.append((kind, device, check, info))
        preferred = [int(info["default_samplerate"]) for *_, info in reversed(sides)]
        failure: Exception | None = None
        for rate in dict.fromkeys([*preferred, *RATES]):
            counts = {"input": 0, "output": 0}
            for kind, device, check, info in sides:
                for channels in (1, 2, info[f"max_{kind}_channels"]):
                    try:
                        check(device=device, channels=channels, dtype="int16", samplerate=rate)
                    except (sounddevice.PortAudioError, ValueError) as error:
                        failure = error
                    else:
                        counts[kind] = channels
                        break
            if all(counts[kind] for kind, *_ in sides) and rate % 100 == 0:
                return rate, (counts["input"], counts["output"])
        raise self._refusal(failure)

    def _missing(self, kind: str, device: int | str | None, error: Exception) -> AudioDeviceError:
        side = "microphone" if kind == "input" else "speaker"
        which = f"no {side}" if device is None else f"no {side} {device!r} ({_reason(error)})"
        return AudioDeviceError(f"there is {which}; {ADVICE}")

    def _refusal(self, error: Exception | None) -> AudioDeviceError:
        names = " and ".join(
            f"{side} {'(default)' if device is None else repr(device)}"
            for side, device in zip(("microphone", "speaker"), self._devices, strict=True)
            if device is not False
        )
        return AudioDeviceError(
            f"cannot open {names}: {_reason(error)}; `realtime devices` lists what there is, {INSTEAD}"
        )

    def _close(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)  # from here on nobody calls into the duplex

    def _hop(self) -> None:
        super()._hop()
        self._follow_delay()
        self._hops += 1
        if self._hops % HOPS_PER_CHECK == 0 and not self._stream.active:
            raise AudioDeviceError("the sound device stopped: it was unplugged or its sound server ended")

    def _follow_delay(self) -> None:
        """Believe what the device measures more than what it promised; a stream of both sides may be blocks off."""
        measured = float(self.duplex.stats()["output_delay_s"])
        if not measured:
            return
        self._output_delay_s += (measured - self._output_delay_s) / (DELAYS_AVERAGED if self._output_delay_s else 1)
        if not self.playout.active:  # while something sounds its account goes forward only
            self.playout.latency_s = self._output_delay_s + self._block_s / 2


def _reason(error: Exception | None) -> str:
    return str(error).partition("[")[0].strip().rstrip(":") or "unknown reason"
