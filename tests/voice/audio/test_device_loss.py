"""Devices that come and go: noticed in time, opened again, nothing lost without being told."""

import asyncio
import base64
import json
import threading

import numpy as np
import pytest
from realtime_voice.audio import DeviceAudioIO, DeviceLost, DeviceRestored, MicrophoneSilent, Wire, device, read_wav
from realtime_voice.audio.portaudio import in_thread
from realtime_voice.errors import AudioDeviceError

WIRE = Wire()
LOUD = b"\x00\x10" * 480


def delta(seconds, item="a"):
    pcm = b"\x00\x08" * round(24000 * seconds)
    return json.dumps(
        {"type": "response.output_audio.delta", "item_id": item, "delta": base64.b64encode(pcm).decode()}
    ).encode()


def told(audio, kind):
    return [event for event in audio.events() if isinstance(event, kind)]


async def captured(audio):
    return np.frombuffer(b"".join(chunk for _, chunk in await audio.captured()), "<i2")


async def drained(audio):
    while await audio.captured() is not None:
        pass


@pytest.fixture
async def opened(card, clock):
    audio = DeviceAudioIO(block_s=0.01, clock=clock, echo_control=None)
    audio.seen = []
    audio.observer = audio.seen.append
    await audio.start(WIRE, WIRE, framed=False)
    card.microphone = LOUD
    yield audio
    await audio.stop()
    assert not card.open


async def test_a_device_that_was_unplugged_gives_way_to_the_new_default(card, clock, opened):
    opened.playout.feed(delta(3.0))
    played = bytearray()
    await card.run(1.0, played)
    duplex, position = opened.duplex, opened.duplex.played
    card.plug("monitor")
    card.unplug("headset")
    lost_at = clock.now
    await card.run(0.5, played)
    (lost,) = [event for event in opened.seen if isinstance(event, DeviceLost)]
    assert lost.time - lost_at <= 0.11
    assert "unplugged" in lost.reason
    (restored,) = [event for event in opened.seen if isinstance(event, DeviceRestored)]
    assert (restored.microphone, restored.speaker) == ("monitor", "monitor")
    assert restored.time - lost_at <= 0.5
    assert card.rescans == 1
    # The same rings go on: what waited is played from where it stopped.
    assert opened.duplex is duplex
    assert duplex.played >= position
    await card.run(2.5, played)
    heard = np.frombuffer(played, "<i2")
    assert np.count_nonzero(heard > 0x780) == pytest.approx(3.0 * 48000, abs=1000)
    assert opened.playout.played_ms("a") == 3000
    assert opened.missed_s == pytest.approx(restored.missed_ms / 1000, abs=0.001)


async def test_time_goes_on_while_there_is_no_device(card, clock, opened):
    await card.run(1.0)
    before = len(await captured(opened))
    opened.playout.feed(delta(1.0))
    await card.run(0.2)
    position = opened.duplex.played
    card.unplug("headset")
    for name in ("mic", "speaker"):
        card.unplug(name)
    await card.run(5.0)
    silent = await captured(opened)
    # The microphone counts as silent, so that the server's turn can end; the speaker stands still.
    assert len(silent) == pytest.approx(24000 * 5.2, abs=1500)
    assert not silent[24000:].any()
    assert before == pytest.approx(24000, abs=1500)
    assert opened.duplex.played <= position + 480
    assert not told(opened, DeviceRestored)
    # Looked for again and again, less and less often.
    assert 4 <= card.rescans <= 6
    card.plug("headset")
    await card.run(2.1)
    (restored,) = told(opened, DeviceRestored)
    assert restored.missed_ms == pytest.approx((restored.time - 101.2) * 1000, abs=200)
    assert opened.missed_s > 5.0
    await card.run(1.0)
    assert (await captured(opened))[-2400:] == pytest.approx(0x1000, abs=2)
    assert opened.playout.played_ms("a") >= 900


async def test_a_stream_without_a_sign_of_life_is_opened_again(card, clock, opened):
    await card.run(1.0)
    (stream,) = card.streams
    stream.stalled = True
    stalled_at = clock.now
    await card.run(0.5)
    (lost,) = told(opened, DeviceLost)
    assert lost.time - stalled_at <= 0.5
    assert "no sign of life" in lost.reason
    assert stream.closed
    assert len(card.open) == 1
    await card.run(0.5)
    assert (await captured(opened))[-2400:] == pytest.approx(0x1000, abs=2)


async def test_a_microphone_of_its_own_that_stops_is_noticed(card, clock):
    audio = DeviceAudioIO(input_device="mic", output_device="speaker", block_s=0.01, clock=clock)
    await audio.start(WIRE, WIRE, framed=False)
    card.rates = (48000, 44100)
    await card.run(1.0)
    microphone, speaker = card.streams
    microphone.stalled = True
    await card.run(0.5)
    assert len(told(audio, DeviceLost)) == 1
    assert microphone.closed
    assert speaker.closed
    assert {name for stream in card.open for name in stream.devices} == {"mic", "speaker"}
    await audio.stop()


async def test_a_slow_start_and_a_late_loop_are_no_death(card, clock, opened):
    (stream,) = card.streams
    stream.stalled = True
    await card.run(1.5)  # a headset by radio
    stream.stalled = False
    await card.run(0.1)
    clock.now += 5.0  # the machine slept, or the loop was blocked
    await card.run(0.2)
    assert not told(opened, DeviceLost)
    assert card.open == [stream]


async def test_a_device_whose_rate_has_changed_goes_on_through_the_same_rings(card, clock, opened):
    opened.playout.feed(delta(2.0))
    await card.run(0.5)
    duplex = opened.duplex
    card.streams[0].stalled = True
    card.rates = (44100,)  # what it was opened at is refused now
    played = bytearray()
    await card.run(0.6, played)
    assert card.open[0].options["samplerate"] == 44100
    assert opened.duplex is duplex
    assert duplex.rate == 48000
    await card.run(2.0, played)
    heard = np.frombuffer(played, "<i2")
    assert np.count_nonzero(heard > 0x780) == pytest.approx(1.5 * 44100, abs=1500)
    await captured(opened)
    await card.run(1.0)
    assert len(await captured(opened)) == pytest.approx(24000, abs=500)


async def test_a_chosen_device_is_found_again_by_its_name(card, clock):
    audio = DeviceAudioIO(input_device=0, output_device=0, block_s=0.01, clock=clock)
    await audio.start(WIRE, WIRE)
    await card.run(0.5)
    card.plug("monitor")  # takes its number
    card.streams[0].stalled = True
    await card.run(0.5)
    (restored,) = told(audio, DeviceRestored)
    assert restored.speaker == "headset"
    card.unplug("headset")
    await card.run(0.5)
    (restored,) = told(audio, DeviceRestored)
    assert restored.speaker == "monitor"  # the default in its place
    await audio.stop()


async def test_another_default_is_taken_when_the_application_says_so(card, clock, opened):
    await card.run(0.5)
    card.plug("monitor")
    opened.reopen()
    await card.run(0.2)
    (restored,) = told(opened, DeviceRestored)
    assert restored.speaker == "monitor"
    assert restored.missed_ms <= 50


async def test_a_device_that_comes_back_without_a_sound_is_not_restored_yet(card, clock, opened):
    await card.run(1.0)
    card.unplug("headset")
    card.plug("headset")
    card.stalled = True
    await card.run(1.5)
    assert not told(opened, DeviceRestored)
    card.stalled = False
    await card.run(0.2)
    (restored,) = told(opened, DeviceRestored)
    assert restored.missed_ms == pytest.approx(1500, abs=50)
    assert len(await captured(opened)) == pytest.approx(2.7 * 24000, abs=1000)  # no time is missing
    card.stalled = True
    await card.run(6.0)
    assert len(told(opened, DeviceLost)) == 1  # though it was tried again
    assert len(card.streams) >= 4


async def test_a_rescan_never_ends_another_stream(card, clock, opened):
    other = DeviceAudioIO(input_device=False, output_device="speaker", block_s=0.01, clock=clock)
    await other.start(WIRE, WIRE)
    await card.run(0.2)
    card.streams[0].stalled = True
    await card.run(0.5)  # Card._terminate would say so
    assert card.rescans == 0
    assert len(told(opened, DeviceRestored)) == 1
    await other.stop()


async def test_patience_ends(card, clock):
    audio = DeviceAudioIO(patience_s=3.0, clock=clock)
    await audio.start(WIRE, WIRE)
    await card.run(0.2)
    for name in ("headset", "mic", "speaker"):
        card.unplug(name)
    await card.run(2.9)
    assert await audio.captured() is not None
    await card.run(0.5)
    with pytest.raises(AudioDeviceError, match="none came back within 3 s; `realtime devices`"):
        await drained(audio)
    await audio.stop()


async def test_stopping_while_there_is_no_device(card, clock):
    audio = DeviceAudioIO(clock=clock)
    await audio.start(WIRE, WIRE)
    for name in ("headset", "mic", "speaker"):
        card.unplug(name)
    await card.run(1.0)
    await audio.stop()
    await card.run(3.0)
    assert not card.open
    assert card.rescans <= 3


@pytest.fixture
def opening(card, monkeypatch):
    """Streams open in PortAudio's thread, as they do, and not before the test lets them."""
    make, begun, go_on = card._StreamBase, threading.Event(), threading.Event()

    def make_slowly(**options):
        begun.set()
        assert go_on.wait(10)
        return make(**options)

    monkeypatch.setattr(card, "_StreamBase", make_slowly)
    monkeypatch.setattr(device, "in_thread", in_thread)
    return begun, go_on


async def test_a_start_that_is_called_off_leaves_nothing_open(card, clock, opening):
    begun, go_on = opening
    start = asyncio.create_task(DeviceAudioIO(clock=clock).start(WIRE, WIRE))
    assert await asyncio.to_thread(begun.wait, 10)
    start.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert len(card.streams) == 1
    assert not card.open


async def test_stopping_while_a_device_is_opened_again_leaves_nothing_open(card, opened, opening):
    begun, go_on = opening
    opened.reopen()
    assert await asyncio.to_thread(begun.wait, 10)
    stop = asyncio.create_task(opened.stop())
    await asyncio.sleep(0)
    go_on.set()
    await stop
    assert len(card.streams) == 2
    assert not card.open


async def test_a_long_latency_is_asked_for_in_long_periods(card, clock):
    audio = DeviceAudioIO(latency=2000, clock=clock, echo_control=None)
    seen = []
    audio.observer = seen.append
    await audio.start(WIRE, WIRE)
    for _ in range(4):
        await clock.run(0.66)
        card.open[0].run(LOUD * 2, 33)
    assert not [event for event in seen if isinstance(event, DeviceLost)]
    await clock.run(2.1)
    assert [event for event in seen if isinstance(event, DeviceLost)]
    await audio.stop()


async def test_a_recording_goes_on_in_time(card, clock, tmp_path):
    audio = DeviceAudioIO(record=tmp_path / "both.wav", block_s=0.01, clock=clock)
    await audio.start(WIRE, WIRE)
    await card.run(1.0)
    card.unplug("headset")
    card.plug("headset")
    card.busy = True
    await card.run(2.0)
    card.busy = False
    await card.run(3.0)
    await audio.stop()
    pcm, rate = read_wav(tmp_path / "both.wav")
    assert len(pcm) / 2 / rate == pytest.approx(6.0, abs=0.1)


async def test_a_microphone_that_gives_only_zeros_is_told(card, clock, opened):
    card.microphone = b""
    await card.run(2.0)
    assert not told(opened, MicrophoneSilent)
    await card.run(1.0)
    (silent,) = told(opened, MicrophoneSilent)
    assert silent.microphone == "headset"
    assert silent.time - 100.0 <= 3.0
    await card.run(5.0)
    assert not told(opened, MicrophoneSilent)


async def test_a_microphone_that_rustled_once_is_not_silent(card, clock, opened):
    card.microphone = b"\x01\x00"
    await card.run(0.1)
    card.microphone = b""
    await card.run(5.0)
    assert not told(opened, MicrophoneSilent)
