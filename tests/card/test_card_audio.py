"""DeviceAudioIO on a sound card: what the card received and what it gave, sample by sample."""

import asyncio
import base64
import contextlib
import subprocess
from pathlib import Path

import numpy as np
import pytest
from realtime_voice.audio import DeviceAudioIO, PlayoutDrained, SpeechStarted, read_wav
from virtual_card import (
    RATE,
    SETTLE_S,
    WIRE,
    NativePlayer,
    Recording,
    SounddevicePlayer,
    barge_in,
    frequency,
    gaps,
    hold_interpreter,
    play_tone,
    repeated,
    sine,
    sink_lead_ms,
    sounding,
    speaking,
    until,
    urgent_threads,
)

pytestmark = [pytest.mark.card, pytest.mark.usefixtures("card")]

SPEECH = Path(__file__).parents[1] / "data" / "speech_slt.wav"
MUCH = 10
"""Times a delay's reckoning that is wrong on any machine."""


@contextlib.asynccontextmanager
async def opened(**options):
    audio = DeviceAudioIO(echo_control=None, **options)
    with urgent_threads():
        await audio.start(WIRE, WIRE, framed=False)
    await asyncio.sleep(SETTLE_S)
    try:
        yield audio
    finally:
        await audio.stop()


async def taken(audio, pcm):
    """Collect what the microphone hears; cancelled by its caller."""
    while (chunks := await audio.captured()) is not None:
        pcm += b"".join(chunk for _, chunk in chunks)


@contextlib.asynccontextmanager
async def taking(audio):
    pcm = bytearray()
    task = asyncio.create_task(taken(audio, pcm))
    try:
        yield pcm
    finally:
        task.cancel()


def samples(pcm):
    return np.frombuffer(bytes(pcm), "<i2")


def play(audio, pcm):
    audio.playout.feed_audio("tone", base64.b64encode(pcm).decode())
    audio.playout.end_item("tone")


def device_gaps(audio):
    """Count what PortAudio itself says of gaps, and a callback that came later than it allows for: the machine's."""
    stats = audio.duplex.stats()
    late = stats["max_interval_ms"] > 1000 * audio.playout.latency_s
    return stats["device_underflows"] + stats["device_overflows"] + late


@pytest.fixture
def echo():
    """The microphone hears the speaker."""
    loopback = "pactl load-module module-loopback source=speaker.monitor sink=micfeed latency_msec=100"
    module = subprocess.run(loopback.split(), check=True, capture_output=True, text=True).stdout.strip()
    yield
    subprocess.run(["pactl", "unload-module", module], check=True)


def test_the_card_is_listed_as_the_default_of_both_sides(card):
    (device,) = card
    assert device.default_input
    assert device.default_output
    assert device.host_api == "ALSA"


async def test_opening_makes_no_sound():
    with Recording() as recording:
        async with opened() as audio:
            starved = device_gaps(audio)
        assert sounding(recording.samples()) is None or starved


async def test_a_sine_goes_out_and_comes_back(echo):
    for _ in range(4):  # a machine that is starved for a while
        received, starved = await there_and_back()
        if abs(len(received) - RATE) < RATE / 100 and not gaps(received).count:
            return
    assert starved, (len(received), gaps(received))


async def there_and_back():
    """Play a second of a sine and hear it; returns what the card received of it, and starvation."""
    with Recording() as recording:
        async with opened() as audio, taking(audio) as heard:
            await until(lambda: heard)
            play(audio, sine(1000, 1.0))
            await until(lambda: not audio.playout.active)
            await recording.silence()
            await until(lambda: sounding(samples(heard)[-4800:]) is None)
            starved = device_gaps(audio)
        received = recording.samples()
    for pcm, rate in ((received, RATE), (samples(heard), WIRE.rate)):
        tone = pcm[sounding(pcm)]
        middle = tone[rate // 10 : -rate // 10]
        assert frequency(middle, rate) == pytest.approx(1000, abs=2)
        # Not the very peak: what a starved card leaves out is an edge, behind which a filter swings.
        assert np.percentile(np.abs(middle.astype(float)), 99) == pytest.approx(16384, rel=0.03)
    return received[sounding(received)], starved


async def test_speech_into_the_microphone_arrives_whole_and_in_time():
    pcm, _ = read_wav(SPEECH, WIRE.rate)
    said = samples(pcm)
    with Recording("mic") as recording:
        async with opened() as audio, taking(audio) as heard:
            await until(lambda: heard)
            with speaking(SPEECH):
                await until(lambda: sounding(recording.samples()) is not None)
                await until(lambda: sounding(samples(heard)) is not None)
                arrived = asyncio.get_running_loop().time()
            await recording.silence(500)
            await until(lambda: sounding(samples(heard)[-WIRE.rate // 2 :]) is None)
            started = [event for event in audio.events() if isinstance(event, SpeechStarted)]
            latency = audio._input_latency_s
        spoken = recording.time(sounding(recording.samples()).start)
    got = samples(heard).astype(float)
    at = np.fft.irfft(np.fft.rfft(got) * np.fft.rfft(said, len(got)).conj()).argmax()
    got = got[at : at + len(said)]
    likeness = got @ said / (np.linalg.norm(got) * np.linalg.norm(said.astype(float)))
    assert likeness > 0.95
    assert np.linalg.norm(got) == pytest.approx(np.linalg.norm(said.astype(float)), rel=0.1)
    assert 0 <= arrived - spoken + 0.02 < MUCH * (latency + 0.03)
    assert abs(started[0].time - spoken) < MUCH * (latency + 0.03)


async def test_a_flush_silences_the_card_and_tells_what_was_heard():
    with Recording() as recording:
        async with opened() as audio:
            play(audio, sine(500, 5.0))
            await until(lambda: audio.playout.played_ms("tone") > 400)
            loop = asyncio.get_running_loop()
            flushed = loop.time()
            (heard,) = audio.playout.flush()
            bound = MUCH * (audio.playout.latency_s + 0.01)
            await until(lambda: not audio.playing)
            await recording.silence()
            drained = [event for event in audio.events() if isinstance(event, PlayoutDrained)]
            played_ms = audio.playout.played_ms("tone")
            unexplained = device_gaps(audio) == 0
        received = recording.samples()
    tone = sounding(received)
    card_ms = (tone.stop - tone.start) * 1000 / RATE
    silent_after = recording.time(tone.stop) - flushed
    assert silent_after < bound < 4.0
    assert card_ms - heard.played_ms < 1000 * bound
    assert (heard.item_id, heard.received_ms) == ("tone", 5000)
    # Once all has sounded what is reported is what the card received, to the fade-out's last samples.
    if unexplained:
        assert played_ms == pytest.approx(card_ms, abs=10)
    assert len(drained) == 1


async def reported_position():
    """Play a tone; returns by how many milliseconds the positions reported were off in the middle, and starvation.

    This card's recording is ahead of the sounding by the block that its sink takes at once: that is allowed for.
    """
    reports = []
    with Recording() as recording:
        async with opened() as audio:
            lead = sink_lead_ms()
            loop = asyncio.get_running_loop()
            play(audio, sine(500, 1.5))
            while audio.playout.active:
                recording.look()
                reports.append((loop.time(), audio.playout.played_ms("tone")))
                await asyncio.sleep(0.005)
            await recording.silence()
            starved = device_gaps(audio)
            assert audio.playout.played_ms("tone") == 1500
        received = recording.samples()
    tone = sounding(received)
    start = recording.time(tone.start)
    errors = [ms - 1000 * (now - start) for now, ms in reports if 0 < ms < 1500]
    assert len(errors) > 10
    if not starved:
        assert [ms for _, ms in reports] == sorted(ms for _, ms in reports)
    return float(np.median(errors)) + lead, starved


async def test_the_position_reported_is_the_one_the_card_is_at():
    for _ in range(4):  # a machine that is starved for a while
        error_ms, starved = await reported_position()
        if abs(error_ms) < 5:
            return
    assert starved > 0, f"{error_ms:+.1f} ms off"


async def test_speech_silences_the_speaker_while_the_interpreter_is_held():
    """From speech at the card's microphone to silence at its speaker, with Python standing still for two seconds.

    The callback alone decides: confirm time, the device's latency both ways, a block and 10 ms.
    """
    for _ in range(4):  # a machine that is starved for a while
        found = await barge_in(SPEECH, hold_s=2.0, latency="low", block_s=0.01)
        assert found.heard.item_id == "tone"
        if found.took_s < found.bound_s:
            return
    assert found.starved > 0, found
    assert found.took_s < 1.8  # Python had not come back


async def test_no_gap_while_the_interpreter_is_held():
    """Python holds its lock for two thirds of the time; a callback in Python shows that this is to be heard."""

    def held():
        return repeated(lambda: hold_interpreter(0.2), pause=0.1)

    python = await play_tone(SounddevicePlayer(0.01), 1.5, held())
    assert python.gaps.count > 0
    for _ in range(4):  # a machine that is starved for a while
        control = await play_tone(NativePlayer(0.01), 1.5, contextlib.nullcontext())
        ours = await play_tone(NativePlayer(0.01), 1.5, held())
        if ours.gaps.count <= control.gaps.count:
            return
    # A machine that is starved for long: only what the device itself counts is excused, and never the lock.
    assert ours.underflows > 0
    assert ours.gaps.ms < python.gaps.ms / 4
