"""Sound devices, on a stand-in for sounddevice whose stream calls the core's real callback."""

import base64
import builtins
import json
import sys

import numpy as np
import pytest
from realtime_voice.audio import DeviceAudioIO, PlayoutStarted, Wire, devices
from realtime_voice.audio import device as module
from realtime_voice.errors import AudioDeviceError

WIRE = Wire()


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
    assert (options["channels"], options["dtype"], options["device"]) == ((1, 1), "int16", (0, 0))
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
    # The last block began at 490 ms, less 30 ms of latency; it is at most one block old.
    assert 460 <= audio.playout.played_ms("a") <= 470
    (started,) = [event for event in audio.events() if isinstance(event, PlayoutStarted)]
    assert started.time == pytest.approx(100.0 + 0.035, abs=0.016)
    await audio.stop()


async def test_the_delay_that_the_device_measures_at_each_block_is_believed(card, clock):
    audio = DeviceAudioIO(block_s=0.01, clock=clock)
    await audio.start(WIRE, WIRE)
    (stream,) = card.streams
    audio.playout.feed(delta(bytes(96000)))
    heard = []
    for delay in (0.1, 0.1, 0.05, 0.07, 0.4):
        stream.output_delay = delay
        for _ in range(30):
            stream.run()
            heard.append(audio.playout.played_ms("a"))
            await clock.run(0.01)
        # Counted from the beginning of the block that was asked for up to 10 ms ago.
        bound = 0.06 if delay == 0.05 else delay + 0.011
        assert delay - 0.001 <= audio.playout.latency_s <= bound
    assert heard[:120] == sorted(heard[:120])  # what was heard only grows, unless the device was starved
    assert heard[-1] == pytest.approx(1490 - 400, abs=11)
    await audio.stop()


@pytest.mark.parametrize(
    ("linux", "options", "latency", "block_s"),
    [
        (True, {}, 0.06, 0.02),
        (True, {"block_s": 0.01}, 0.03, 0.01),
        (True, {"latency": "safe"}, 0.06, 0.02),
        (True, {"latency": "low"}, "low", 0.01),
        (False, {}, "low", 0.01),
        (False, {"latency": "safe"}, "high", 0.02),
        (False, {"latency": 30}, 0.03, 0.01),
        (True, {"latency": 200}, 0.2, 0.02),
        (True, {"latency": 90, "block_s": 0.03}, 0.09, 0.03),
    ],
)
def test_latency_and_block_are_chosen_by_name_or_milliseconds(monkeypatch, linux, options, latency, block_s):
    monkeypatch.setattr(module, "LINUX", linux)
    audio = DeviceAudioIO(**options)
    assert audio._latency == (latency if isinstance(latency, str) else pytest.approx(latency))
    assert audio._block_s == pytest.approx(block_s)


async def test_two_devices_are_two_streams_at_rates_of_their_own(card, clock):
    card.rates = (48000, 44100, 16000)
    card.listed[1]["default_samplerate"] = 16000.0
    audio = DeviceAudioIO(input_device="mic", output_device="speaker", block_s=0.01, clock=clock, echo_control=None)
    await audio.start(WIRE, WIRE, framed=False)
    microphone, speaker = card.streams
    assert (microphone.options["kind"], microphone.options["samplerate"], microphone.options["device"]) == (
        "input", 16000, 1,
    )  # fmt: skip
    assert (speaker.options["kind"], speaker.options["samplerate"], speaker.options["device"]) == ("output", 48000, 2)
    card.microphone = b"\x00\x10" * 160
    card.ppm = {"input": 400.0}
    audio.playout.feed(delta(b"\x00\x08" * 24000))
    played = bytearray()
    await card.run(1.0, played)
    captured = np.frombuffer(b"".join(chunk for _, chunk in await audio.captured()), "<i2")
    assert len(captured) == pytest.approx(24000, abs=1000)
    assert captured[-4800:] == pytest.approx(0x1000, abs=2)
    assert np.frombuffer(played, "<i2")[24000] == pytest.approx(0x800, abs=2)
    before = audio.bridged()
    await card.run(120.0)
    after = audio.bridged()
    assert 0.0 < after["ppm"] < 1000.0
    assert after["fill_s"] == pytest.approx(after["target_s"], abs=0.012)
    assert (after["starved"], after["dropped"]) == (before["starved"], before["dropped"])  # 48 ms would have been
    await audio.stop()
    assert not card.open


async def test_one_channel_of_many_may_be_chosen(card, clock):
    audio = DeviceAudioIO(input_channel=2, output_channel=1, block_s=0.01, clock=clock)
    await audio.start(WIRE, WIRE)
    (stream,) = card.streams
    audio.playout.feed(delta(b"\x00\x08" * 4800))
    played = np.frombuffer(stream.run(b"\x00\x10\x00\x20" * 480, blocks=10), "<i2").reshape(-1, 2)
    assert played[-1].tolist() == pytest.approx([0x800, 0], abs=4)
    assert np.frombuffer(audio.duplex.capture.read(4800), "<i2")[-1] == 0x2000
    await audio.stop()
    assert "'headset' has 2 channels: there is no channel 3" in await refused(
        DeviceAudioIO(input_channel=3, clock=clock)
    )


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
    (stream,) = card.streams
    assert stream.options["channels"] == (2, 2)
    audio.playout.feed(delta(b"\x00\x08" * 4800))
    played = np.frombuffer(stream.run(b"\x00\x10\x00\x20" * 960, blocks=5), "<i2").reshape(-1, 2)
    assert (played[:, 0] == played[:, 1]).all()
    assert played[-1, 0] == pytest.approx(0x800, abs=4)
    assert np.frombuffer(audio.duplex.capture.read(4800), "<i2")[-1] == 0x1800
    await audio.stop()


@pytest.mark.parametrize(
    ("options", "kind"), [({"output_device": False}, "input"), ({"input_device": False}, "output")]
)
async def test_one_side_may_be_left_out(card, clock, options, kind):
    audio = DeviceAudioIO(clock=clock, **options)
    await audio.start(WIRE, WIRE, framed=False)
    (stream,) = card.streams
    assert (stream.options["kind"], stream.options["channels"], stream.options["device"]) == (kind, 1, 0)
    stream.run(captured=b"\x00\x10" * 480, blocks=10)
    await clock.run(0.1)
    assert bool(await audio.captured()) == (kind == "input")
    await audio.stop()


async def test_devices_are_chosen_by_number_and_name(card, clock):
    audio = DeviceAudioIO(input_device="headset", output_device=0, latency="low", block_s=0.02, clock=clock)
    await audio.start(WIRE, WIRE)
    options = card.streams[0].options
    assert (options["device"], options["latency"], options["blocksize"]) == ((0, 0), "low", 960)
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
    card.there = card.listed = []
    assert "there is no microphone;" in await refused(DeviceAudioIO(clock=clock))


async def test_a_device_in_use_or_without_a_common_rate_is_refused(card, clock):
    card.busy = True
    assert "cannot open microphone 'headset' and speaker 'headset': Error starting stream" in await refused(
        DeviceAudioIO(output_device=0, clock=clock)
    )
    assert card.streams[0].closed
    card.rates = ()
    assert "Invalid sample rate" in await refused(DeviceAudioIO(clock=clock))


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="both left out"):
        DeviceAudioIO(input_device=False, output_device=False)
    with pytest.raises(ValueError, match="block_s"):
        DeviceAudioIO(block_s=0.0)
    for latency in ("high", 0.06, 3, True):
        with pytest.raises(ValueError, match="latency must be 'low', 'safe' or 5 to 2000 milliseconds"):
            DeviceAudioIO(latency=latency)
    with pytest.raises(ValueError, match="input_channel must be"):
        DeviceAudioIO(input_channel=33)
    for patience in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=r"patience_s must be 0\.0 or more"):
            DeviceAudioIO(patience_s=patience)


def test_devices_are_listed_with_what_they_can(card):
    headset, mic, speaker = devices()
    assert (speaker.name, speaker.host_api, speaker.output_channels, speaker.rate) == ("speaker", "Test", 2, 48000)
    assert (headset.default_output, headset.default_input, mic.default_input) == (True, True, False)
    assert (speaker.output_latency_ms, speaker.safe_output_latency_ms) == (pytest.approx(10.0), pytest.approx(50.0))
    card.default.device = (1, 2)
    assert (devices()[1].default_input, devices()[0].default_input) == (True, False)
    card.default.device = (-1, -1)  # sounddevice leaves it to the host
    assert devices()[0].default_input


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


async def test_what_a_session_does_not_take_in_time_is_dropped_oldest_first(card, clock):
    audio = DeviceAudioIO(clock=clock, echo_control=None, block_s=0.1, quiet_chunk_ms=20)
    await audio.start(WIRE, WIRE, framed=False)
    (stream,) = card.streams
    for _ in range(120):
        stream.run(captured=b"\x00\x10" * 4800, blocks=1)
        await clock.run(0.1)
    chunks = await audio.captured()
    assert len(chunks) == 500
    assert audio.dropped_chunks == pytest.approx(100, abs=2)
    assert chunks[-1][0] - chunks[0][0] == 499 * 480  # whole chunks, with the place each had
    await audio.stop()


async def test_little_that_was_said_long_ago_is_not_dropped(card, clock):
    audio = DeviceAudioIO(clock=clock, echo_control=None, block_s=0.1, mode="push_to_talk")
    await audio.start(WIRE, WIRE, framed=False)
    (stream,) = card.streams
    for block in range(240):
        audio.talking = block % 120 < 10
        stream.run(captured=b"\x00\x10" * 4800, blocks=1)
        await clock.run(0.1)
    chunks = await audio.captured()
    assert audio.dropped_chunks == 0
    assert sum(len(chunk) for _, chunk in chunks) == pytest.approx(2 * 48000, rel=0.1)
    assert chunks[-1][0] - chunks[0][0] > 240_000
    await audio.stop()
