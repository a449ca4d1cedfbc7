"""Sound devices, on a stand-in for sounddevice whose stream calls the core's real callback."""

import base64
import builtins
import json
import sys

import pytest
from cffi import FFI
from realtime_voice.audio import DeviceAudioIO, PlayoutStarted, Wire, devices
from realtime_voice.audio import device as module
from realtime_voice.errors import AudioDeviceError

WIRE = Wire()


class PortAudioError(Exception):
    pass


class Stream:
    """Hands blocks to the callback it was given, as a sound card's thread would."""

    def __init__(self, card, options):
        self.card = card
        self.options = options
        self.latency = (0.02, 0.03) if options["kind"] == "duplex" else 0.03
        self.active = False
        self.closed = False
        self.output_delay = 0.0
        ffi = FFI()
        signature = "int(*)(const void *, void *, unsigned long, const void *, unsigned long, void *)"
        self._ffi = ffi
        self._callback = ffi.cast(signature, options["callback"])

    def start(self):
        if self.card.busy:
            raise PortAudioError("Error starting stream: Device unavailable [PaErrorCode -9985]")
        self.active = True

    def abort(self, *, ignore_errors):
        self.active = False

    def close(self, *, ignore_errors):
        self.closed = True

    def run(self, captured=b"", blocks=1):
        """Run blocks; returns what was played."""
        frames, played = self.options["blocksize"], b""
        out = self._ffi.new("char[]", 4 * frames)
        heard = self._ffi.new("char[]", captured.ljust(4 * frames, b"\0"))
        inputs = heard if self.options["kind"] != "output" else self._ffi.NULL
        outputs = out if self.options["kind"] != "input" else self._ffi.NULL
        times = self._ffi.new("double[]", [0.0, 100.0, 100.0 + self.output_delay])  # ADC, now, DAC
        for _ in range(blocks):
            assert self._callback(inputs, outputs, frames, times, 0, self.options["userdata"]) == 0
            played += bytes(self._ffi.buffer(out, 2 * frames))
        return played


class Card:
    """What DeviceAudioIO uses of sounddevice."""

    PortAudioError = PortAudioError

    def __init__(self):
        self.rates = (48000, 44100)
        self.mono = True
        self.busy = False
        self.streams = []
        self.listed = [self._device("speaker", 0, 2, 48000), self._device("mic", 2, 0, 44100)]
        self.default = type("Default", (), {"device": (1, 0)})

    @staticmethod
    def _device(name, inputs, outputs, rate):
        return {
            "name": name,
            "hostapi": 0,
            "max_input_channels": inputs,
            "max_output_channels": outputs,
            "default_samplerate": float(rate),
            "default_low_input_latency": 0.005,
            "default_low_output_latency": 0.010,
        }

    def query_hostapis(self):
        return ({"name": "Test", "default_input_device": 1, "default_output_device": 0},)

    def query_devices(self, device=None, kind=None):
        if kind is None:
            return self.listed
        fitting = [entry for entry in self.listed if entry[f"max_{kind}_channels"]]
        if isinstance(device, str):
            fitting = [entry for entry in fitting if device in entry["name"]]
            if not fitting:
                raise ValueError(f"No {kind} device matching {device!r}")
        elif device is not None:
            fitting = self.listed[device : device + 1]
        if not fitting:
            raise PortAudioError("Error querying device -1")
        return fitting[0]

    def _check(self, *, device, channels, dtype, samplerate):
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        if channels == 1 and not self.mono:
            raise PortAudioError("Invalid number of channels [PaErrorCode -9998]")

    check_input_settings = check_output_settings = _check

    def _StreamBase(self, **options):  # noqa: N802
        self.streams.append(Stream(self, options))
        return self.streams[-1]


@pytest.fixture
def card(monkeypatch):
    card = Card()
    monkeypatch.setattr(module, "_sounddevice", lambda: card)
    return card


def delta(pcm):
    return json.dumps(
        {"type": "response.output_audio.delta", "item_id": "a", "delta": base64.b64encode(pcm).decode()}
    ).encode()


async def test_the_callback_of_the_core_moves_audio_both_ways(card, clock):
    audio = DeviceAudioIO(block_s=0.01, clock=clock)
    await audio.start(WIRE, WIRE, framed=False)
    (stream,) = card.streams
    options = stream.options
    assert (options["kind"], options["samplerate"], options["blocksize"]) == ("duplex", 48000, 480)
    assert (options["channels"], options["dtype"], options["device"]) == ((1, 1), "int16", (None, None))
    audio.playout.feed(delta(b"\x00\x08" * 2400))
    played = stream.run(captured=b"\x00\x10" * 480, blocks=10)
    assert max(played) >= 8
    await clock.run(0.05)
    captured = b"".join(chunk for _, chunk in await audio.captured())
    assert len(captured) >= 2 * 24 * 60
    assert 0x10 in captured
    await audio.stop()
    assert stream.closed
    assert await audio.captured() is None or await audio.captured() is None


async def test_what_was_heard_allows_for_the_devices_latency(card, clock):
    audio = DeviceAudioIO(block_s=0.01, clock=clock)
    await audio.start(WIRE, WIRE)
    (stream,) = card.streams
    audio.playout.feed(delta(bytes(48000)))
    for _ in range(50):
        stream.run()
        await clock.run(0.01)
    assert audio.playout.played_ms("a") == pytest.approx(500 - 35, abs=1)
    (started,) = [event for event in audio.events() if isinstance(event, PlayoutStarted)]
    assert started.time == pytest.approx(100.0 + 0.035, abs=0.011)
    await audio.stop()


async def test_a_delay_that_the_device_measures_is_believed_once_nothing_sounds(card, clock):
    audio = DeviceAudioIO(block_s=0.01, clock=clock)
    await audio.start(WIRE, WIRE)
    (stream,) = card.streams
    audio.playout.feed(delta(bytes(9600)))
    audio.playout.end_item("a")
    stream.output_delay = 0.1
    for _ in range(10):
        stream.run()
        await clock.run(0.01)
    assert audio.playout.latency_s == pytest.approx(0.035)
    for _ in range(30):
        stream.run()
        await clock.run(0.01)
    assert audio.playout.latency_s == pytest.approx(0.105)
    stream.output_delay = 0.05
    for _ in range(100):
        stream.run()
        await clock.run(0.01)
    assert audio.playout.latency_s == pytest.approx(0.055, abs=0.001)
    await audio.stop()


@pytest.mark.parametrize(("linux", "latency"), [(True, pytest.approx(0.03)), (False, "low")])
async def test_the_latency_suits_the_block(card, clock, monkeypatch, linux, latency):
    monkeypatch.setattr(module, "LINUX", linux)
    audio = DeviceAudioIO(block_s=0.01, clock=clock)
    await audio.start(WIRE, WIRE)
    assert card.streams[0].options["latency"] == latency
    await audio.stop()


async def test_the_rate_is_one_that_both_sides_take(card, clock):
    card.rates = (44100,)
    audio = DeviceAudioIO(block_s=0.01, clock=clock)
    await audio.start(WIRE, WIRE)
    assert (card.streams[0].options["samplerate"], card.streams[0].options["blocksize"]) == (44100, 441)
    await audio.stop()


async def test_a_device_without_mono_gives_two_channels(card, clock):
    card.mono = False
    audio = DeviceAudioIO(clock=clock)
    await audio.start(WIRE, WIRE)
    assert card.streams[0].options["channels"] == (2, 2)
    assert (audio.duplex.capture_channels, audio.duplex.playout_channels) == (2, 2)
    await audio.stop()


@pytest.mark.parametrize(
    ("options", "kind"), [({"output_device": False}, "input"), ({"input_device": False}, "output")]
)
async def test_one_side_may_be_left_out(card, clock, options, kind):
    audio = DeviceAudioIO(clock=clock, **options)
    await audio.start(WIRE, WIRE, framed=False)
    (stream,) = card.streams
    assert (stream.options["kind"], stream.options["channels"], stream.options["device"]) == (kind, 1, None)
    stream.run(captured=b"\x00\x10" * 480, blocks=10)
    await clock.run(0.05)
    assert bool(await audio.captured()) == (kind == "input")
    await audio.stop()


async def test_devices_are_chosen_by_number_and_name(card, clock):
    audio = DeviceAudioIO(input_device="mic", output_device=0, latency="low", block_s=0.02, clock=clock)
    await audio.start(WIRE, WIRE)
    options = card.streams[0].options
    assert (options["device"], options["latency"], options["blocksize"]) == (("mic", 0), "low", 960)
    await audio.stop()


async def refused(audio):
    with pytest.raises(AudioDeviceError) as error:
        await audio.start(WIRE, WIRE)
    await audio.stop()
    return str(error.value)


async def test_a_missing_device_is_named_with_what_to_do(card, clock):
    message = await refused(DeviceAudioIO(input_device="banjo", clock=clock))
    for words in ("no microphone 'banjo'", "`realtime devices`", "--input FILE", "FileAudioIO"):
        assert words in message
    card.listed = []
    assert "there is no microphone;" in await refused(DeviceAudioIO(clock=clock))


async def test_a_device_in_use_or_without_a_common_rate_is_refused(card, clock):
    card.busy = True
    assert "cannot open microphone (default) and speaker 0: Error starting stream" in await refused(
        DeviceAudioIO(output_device=0, clock=clock)
    )
    assert card.streams[0].closed
    card.rates = ()
    assert "Invalid sample rate" in await refused(DeviceAudioIO(clock=clock))


async def test_a_device_that_dies_ends_the_input_with_an_error(card, clock):
    audio = DeviceAudioIO(clock=clock)
    await audio.start(WIRE, WIRE)
    card.streams[0].active = False
    await clock.run(0.3)
    with pytest.raises(AudioDeviceError, match="the sound device stopped"):
        await taken(audio)
    await audio.stop()


async def taken(audio):
    while await audio.captured() is not None:
        pass


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="both left out"):
        DeviceAudioIO(input_device=False, output_device=False)
    with pytest.raises(ValueError, match="block_s"):
        DeviceAudioIO(block_s=0.0)


def test_devices_are_listed_with_what_they_can(card):
    speaker, mic = devices()
    assert (speaker.name, speaker.host_api, speaker.output_channels, speaker.rate) == ("speaker", "Test", 2, 48000)
    assert (speaker.default_output, speaker.default_input, mic.default_input) == (True, False, True)
    assert speaker.output_latency_ms == pytest.approx(10.0)
    card.default.device = (-1, -1)  # sounddevice leaves it to the host
    assert devices()[1].default_input


@pytest.mark.parametrize(
    ("failure", "advice"),
    [
        (OSError("PortAudio library not found"), "apt-get install libportaudio2"),
        (ImportError(), "pip install sounddevice"),
    ],
)
def test_without_portaudio_the_error_says_what_to_install(monkeypatch, failure, advice):
    original = builtins.__import__

    def failing(name, *rest):
        if name == "sounddevice":
            raise failure
        return original(name, *rest)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", failing)
    with pytest.raises(AudioDeviceError, match=advice):
        devices()
