"""PortAudio, as sounddevice brings it: the sound devices there are, and streams that call the core's own callback."""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal, NamedTuple, TypeVar

import msgspec

from realtime_core.bridge import Bridge
from realtime_core.duplex import Duplex
from realtime_voice.errors import AudioDeviceError

T = TypeVar("T")
Side = Literal["input", "output"]
SIDES: Final[tuple[Side, Side]] = ("input", "output")

RATES: Final = (48000, 44100, 24000, 16000, 32000, 96000, 22050, 8000)
INSTEAD: Final = "or use files: --input FILE --output FILE (in a program: FileAudioIO)"
ADVICE: Final = f"`realtime devices` lists what there is, {INSTEAD}"
SILENT: Final = {
    "darwin": "let this terminal use it in System Settings, Privacy & Security, Microphone, or unmute it",
    "win32": "let desktop apps use it in Settings, Privacy & security, Microphone, or unmute it",
}.get(sys.platform, "unmute it (alsamixer, pavucontrol), plug it in, or choose another of `realtime devices`")
"""What to do about a microphone that gives only zeros."""
_NAMES: Final = {"input": "microphone", "output": "speaker"}


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
    safe_input_latency_ms: float
    """What it offers for a machine that is busy."""
    safe_output_latency_ms: float
    """What it offers for a machine that is busy."""
    default_input: bool
    default_output: bool


class Chosen(NamedTuple):
    """One side's device and how it is opened."""

    device: Device
    rate: int
    channels: int
    channel: int
    """The one that counts, from 1; 0: all."""


class Choice(NamedTuple):
    """Both sides; one may be left out."""

    microphone: Chosen | None
    speaker: Chosen | None

    @property
    def rate(self) -> int:
        """The rate of a duplex for them: the speaker's, for its clock leads."""
        leading = self.speaker or self.microphone
        assert leading is not None  # noqa: S101 - one side is always there
        return leading.rate if leading.rate % 100 == 0 else RATES[0]


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call what may block, with one such call at a time: PortAudio knows of no other thread."""
    return await asyncio.get_running_loop().run_in_executor(_thread(), function, *arguments)


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
            safe_input_latency_ms=device["default_high_input_latency"] * 1000.0,
            safe_output_latency_ms=device["default_high_output_latency"] * 1000.0,
            default_input=index == default_input,
            default_output=index == default_output,
        )
        for index, device in enumerate(sounddevice.query_devices())
    ]


def rescan() -> None:
    """Have PortAudio look for devices anew, which it does only when it begins; nothing while a stream of ours is open.

    A stream that the application itself opened with sounddevice ends by it.
    """
    sounddevice = _sounddevice()
    if not Streams.open_ones:
        sounddevice._terminate()  # noqa: SLF001 - sounddevice has no other name for it
        sounddevice._initialize()  # noqa: SLF001


def choose(wanted: int | str | None, side: Side, *, channel: int = 0) -> Chosen:
    """Find a device by its number, by part of its name or host API, or the default, and how to open it.

    Raises AudioDeviceError that says what there is and what to do.
    """
    sounddevice = _sounddevice()
    try:
        info = sounddevice.query_devices(wanted, side)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _missing(side, wanted, error) from error
    device = devices()[info["index"]]
    if channel > info[f"max_{side}_channels"]:
        raise AudioDeviceError(
            f"{_NAMES[side]} {device.name!r} has {info[f'max_{side}_channels']} channels: there is no channel {channel}"
        )
    rate, channels = _settle(device, side, channel)
    return Chosen(device, rate, channels, channel)


def _settle(device: Device, side: Side, channel: int, among: tuple[int, ...] | None = None) -> tuple[int, int]:
    """Find a rate and number of channels the device accepts, its own rate first."""
    sounddevice = _sounddevice()
    check = sounddevice.check_input_settings if side == "input" else sounddevice.check_output_settings
    most = device.input_channels if side == "input" else device.output_channels
    least = max(2, channel) if channel else 1  # a host may mix what is opened as one
    failure: Exception | None = None
    for rate in among or _rates(device):
        for channels in sorted({min(count, most) for count in (least, max(2, least), most)}):
            try:
                check(device=device.index, channels=channels, dtype="int16", samplerate=rate)
            except (sounddevice.PortAudioError, ValueError) as error:
                failure = error
            else:
                return rate, channels
    raise AudioDeviceError(f"cannot open {_NAMES[side]} {device.name!r}: {_reason(failure)}; {ADVICE}")


def _rates(device: Device) -> tuple[int, ...]:
    # PortAudio says 44100 of every ALSA device that can do it, whatever the device prefers.
    own = RATES[0] if device.host_api == "ALSA" and device.rate == 44100 else device.rate
    return tuple(rate for rate in dict.fromkeys((own, device.rate, *RATES)) if 8000 <= rate <= 192000)


def agree(microphone: Chosen | None, speaker: Chosen | None) -> Choice:
    """Give both sides of one device the same rate, for they are one stream. Raises AudioDeviceError."""
    if microphone is None or speaker is None or microphone.device.index != speaker.device.index:
        return Choice(microphone, speaker)
    failure = AudioDeviceError("")
    for rate in _rates(speaker.device):
        try:
            return Choice(
                *(
                    Chosen(chosen.device, *_settle(chosen.device, side, chosen.channel, (rate,)), chosen.channel)
                    for chosen, side in zip((microphone, speaker), SIDES, strict=True)
                )
            )
        except AudioDeviceError as error:
            failure = error
    raise failure


class Streams:
    """The open stream of a device, or the two of a microphone and a speaker that are two devices.

    It calls the core, which never waits for Python; rates, channels and clocks that differ are bridged there. Raises
    AudioDeviceError. `close` before the last reference goes.
    """

    open_ones: Final[set["Streams"]] = set()

    def __init__(
        self, duplex: Duplex, choice: Choice, *, latency: float | Literal["low", "high"], block_s: float
    ) -> None:
        self.choice = choice
        self.block_s = block_s
        self.input_latency_s = self.output_latency_s = 0.0
        self._latency = latency
        self.duplex = duplex
        self._streams: list[Any] = []
        microphone, speaker = choice
        self.apart = bool(microphone and speaker and microphone.device.index != speaker.device.index)
        self._bridge = self._bridged(duplex, choice)
        self.open_ones.add(self)
        try:
            if self.apart:
                self._open(self._bridge.capture_callback_address, microphone, None)
                self._open(self._bridge.callback_address, None, speaker)
            else:
                self._open(self._bridge.callback_address, microphone, speaker)
            duplex.restart()
            for stream in self._streams:
                stream.start()
        except _sounddevice().PortAudioError as error:
            self.close()
            names = " and ".join(
                f"{_NAMES[side]} {chosen.device.name!r}"
                for side, chosen in zip(SIDES, choice, strict=True)
                if chosen is not None
            )
            raise AudioDeviceError(f"cannot open {names}: {_reason(error)}; {ADVICE}") from error

    def _bridged(self, duplex: Duplex, choice: Choice) -> Bridge:
        microphone, speaker = choice
        into, out_of = microphone or speaker, speaker or microphone
        assert into is not None  # noqa: S101 - one side is always there
        assert out_of is not None  # noqa: S101
        return Bridge(
            duplex,
            capture_rate=into.rate,
            playout_rate=out_of.rate,
            capture_channels=into.channels,
            playout_channels=out_of.channels,
            capture_channel=microphone.channel if microphone else 0,
            playout_channel=speaker.channel if speaker else 0,
            capture_block=round(into.rate * self.block_s) if self.apart else 0,
            playout_block=round(out_of.rate * self.block_s) if self.apart else 0,
        )

    def _open(self, callback: int, microphone: Chosen | None, speaker: Chosen | None) -> None:
        from cffi import FFI  # type: ignore[import-untyped]  # comes with sounddevice

        sides = [chosen for chosen in (microphone, speaker) if chosen is not None]
        both = len(sides) == 2
        # Documented by sounddevice for this very use.
        stream = _sounddevice()._StreamBase(  # noqa: SLF001
            kind="duplex" if both else "input" if microphone else "output",
            samplerate=sides[0].rate,
            blocksize=round(sides[0].rate * self.block_s),
            device=tuple(side.device.index for side in sides) if both else sides[0].device.index,
            channels=tuple(side.channels for side in sides) if both else sides[0].channels,
            dtype="int16",
            latency=self._latency,
            callback=FFI().cast("void *", callback),
            userdata=FFI().cast("void *", self._bridge.state_address),
        )
        self._streams.append(stream)
        latencies = stream.latency if both else (stream.latency, stream.latency)
        if microphone:
            self.input_latency_s = latencies[0]
        if speaker:
            self.output_latency_s = latencies[1]

    @property
    def active(self) -> bool:
        """The device still takes part, as far as PortAudio knows."""
        return all(stream.active for stream in self._streams)

    @property
    def blocks(self) -> tuple[int, int]:
        """Callbacks so far of the stream that leads and of the microphone's own, which is the same unless apart."""
        leading = int(self.duplex.stats()["blocks"])
        return leading, int(self._bridge.stats()["capture_blocks"]) if self.apart else leading

    def stats(self) -> dict[str, int | float]:
        """Tell what the bridge between the devices counts."""
        return self._bridge.stats()

    def close(self) -> None:
        """Close, after which nobody calls into the duplex; more calls do nothing. It may block."""
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)
        self.open_ones.discard(self)


def close_streams(duplex: Duplex) -> None:
    """Close all streams that call this duplex. It may block."""
    for streams in [streams for streams in Streams.open_ones if streams.duplex is duplex]:
        streams.close()


_threads: list[ThreadPoolExecutor] = []


def _thread() -> ThreadPoolExecutor:
    if not _threads:
        _threads.append(ThreadPoolExecutor(1, thread_name_prefix="portaudio"))
    return _threads[0]


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


def _missing(side: Side, wanted: int | str | None, error: Exception) -> AudioDeviceError:
    name = _NAMES[side]
    which = f"no {name}" if wanted is None else f"no {name} {wanted!r} ({_reason(error)})"
    return AudioDeviceError(f"there is {which}; {ADVICE}")


def _reason(error: Exception | None) -> str:
    # sounddevice puts PortAudio's number in brackets and lists devices over several lines
    text = " ".join(str(error).partition(" [PaErrorCode")[0].split())
    return text.rstrip(":") or "unknown reason"
