"""A clock that moves only when a test says so, and a sound card that keeps it."""

import pytest
from cffi import FFI
from realtime_voice.audio import device, portaudio

from tests.voice.stepped_clock import SteppedClock


@pytest.fixture
def clock():
    return SteppedClock()


class PortAudioError(Exception):
    pass


class Stream:
    """Hands blocks to the callback it was given, as a sound card's thread would."""

    SIGNATURE = "int(*)(const void *, void *, unsigned long, const void *, unsigned long, void *)"

    def __init__(self, card, options):
        self.card = card
        self.options = options
        self.latency = (0.02, 0.03) if options["kind"] == "duplex" else 0.03
        self.active = False
        self.closed = False
        self.stalled = False
        self.output_delay = 0.0
        self._ffi = FFI()
        self._callback = self._ffi.cast(self.SIGNATURE, options["callback"])
        self.frames = 0

    def start(self):
        if self.card.busy:
            raise PortAudioError("Error starting stream: Device unavailable [PaErrorCode -9985]")
        self.active = True
        self.started = self.card.clock.now

    def abort(self, *, ignore_errors):
        self.active = False

    def close(self, *, ignore_errors):
        self.closed = True

    @property
    def devices(self):
        """The devices it takes part with."""
        device = self.options["device"]
        return {self.card.listed[index]["name"] for index in (device if isinstance(device, tuple) else (device,))}

    def run(self, captured=b"", blocks=1):
        """Run blocks; returns what was played, channel by channel as it comes."""
        frames, played = self.options["blocksize"], b""
        channels = self.options["channels"]
        inputs, outputs = channels if isinstance(channels, tuple) else (channels, channels)
        out = self._ffi.new("char[]", 2 * frames * outputs)
        heard = self._ffi.new("char[]", captured.ljust(2 * frames * inputs, b"\0"))
        into = heard if self.options["kind"] != "output" else self._ffi.NULL
        out_of = out if self.options["kind"] != "input" else self._ffi.NULL
        for _ in range(blocks):
            now = self.card.clock.now
            times = self._ffi.new("double[]", [0.0, now, now + self.output_delay])  # ADC, now, DAC
            assert self._callback(into, out_of, frames, times, 0, self.options["userdata"]) == 0
            played += bytes(self._ffi.buffer(out, 2 * frames * outputs))
            self.frames += frames
        return played

    def keep_up(self):
        """Run the blocks that are due by now; returns what was played."""
        rate = self.options["samplerate"] * (1 + self.card.ppm.get(self.options["kind"], 0.0) * 1e-6)
        due = int((self.card.clock.now - self.started) * rate) - self.frames
        blocks = due // self.options["blocksize"]
        if not self.active or self.stalled or self.card.stalled:
            self.frames += blocks * self.options["blocksize"]
            return b""
        return self.run(self.card.microphone, blocks)


class Card:
    """What the package uses of sounddevice, on the test's clock. PortAudio sees changes of what is there only anew."""

    PortAudioError = PortAudioError

    def __init__(self, clock):
        self.clock = clock
        self.rates = (48000, 44100)
        self.mono = True
        self.busy = False
        self.streams = []
        self.rescans = 0
        self.ppm = {}
        self.stalled = False
        self.microphone = b""
        self.listed = [
            self._device("headset", 2, 2, 48000),
            self._device("mic", 2, 0, 44100),
            self._device("speaker", 0, 2, 48000),
        ]
        self.there = list(self.listed)
        self.default = type("Default", (), {"device": (0, 0)})

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
            "default_high_input_latency": 0.04,
            "default_high_output_latency": 0.05,
        }

    def unplug(self, name):
        """Take a device away: its streams stop."""
        for stream in self.streams:
            if not stream.closed and name in stream.devices:
                stream.active = False
        self.there = [entry for entry in self.there if entry["name"] != name]

    def plug(self, name, inputs=2, outputs=2, rate=48000):
        self.there.insert(0, self._device(name, inputs, outputs, rate))

    def _terminate(self):
        assert all(stream.closed for stream in self.streams), "this would kill a stream"

    def _initialize(self):
        self.rescans += 1
        self.listed = list(self.there)

    def query_hostapis(self):
        return ({"name": "Test", "default_input_device": 0, "default_output_device": 0},)

    def query_devices(self, device=None, kind=None):
        listed = [{**entry, "index": index} for index, entry in enumerate(self.listed)]
        if kind is None:
            return listed
        fitting = [entry for entry in listed if entry[f"max_{kind}_channels"]]
        if isinstance(device, str):
            fitting = [entry for entry in fitting if device in entry["name"]]
            if not fitting:
                raise ValueError(f"No {kind} device matching {device!r}")
        elif device is not None:
            fitting = listed[device : device + 1]
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

    @property
    def open(self):
        """The streams that are open."""
        return [stream for stream in self.streams if not stream.closed]

    async def run(self, seconds, played=None):
        """Let time pass for the devices and for the loop."""
        for _ in range(round(seconds * 100)):
            for stream in self.open:
                sounded = stream.keep_up()
                if played is not None:
                    played += sounded
            await self.clock.run(0.01)


@pytest.fixture
def card(monkeypatch, clock):
    async def at_once(function, *arguments):
        return function(*arguments)

    card = Card(clock)
    monkeypatch.setattr(portaudio, "_sounddevice", lambda: card)
    monkeypatch.setattr(device, "in_thread", at_once)
    yield card
    left_open = set(portaudio.Streams.open_ones)
    portaudio.Streams.open_ones.clear()
    assert not left_open
