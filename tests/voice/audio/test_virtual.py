"""The virtual device: what is said is captured, what is fed is heard, on a clock of the test's."""

import asyncio
import base64
import json
import wave

import numpy as np
import pytest
from realtime_voice.audio import (
    DeviceAudioIO,
    FileAudioIO,
    PlayoutDrained,
    PlayoutStarted,
    PushAudioIO,
    SpeechStarted,
    SpeechStopped,
    SplitAudioIO,
    VirtualAudioIO,
    Wire,
)
from realtime_voice.audio.engine import CHUNKS_WAITING
from realtime_voice.errors import AudioFileError, LocalProtocolError

WIRE = Wire()


def tone(seconds, rate=24000, hz=440.0, level=0.3):
    samples = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.rint(samples * 32767).astype("<i2").tobytes()


def voice(seconds, rate=24000):
    """Something a speech detector takes for a vowel: a pulse train through three formants, slowly swelling."""
    n = np.arange(round(seconds * rate))
    pitch = 120 + 15 * np.sin(2 * np.pi * 3 * n / rate)
    pulses = (np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0) > 0).astype(float)
    out = np.zeros(len(n))
    for hz, width in ((700, 110), (1220, 120), (2600, 160)):
        r = np.exp(-np.pi * width / rate)
        a1, a2 = 2 * r * np.cos(2 * np.pi * hz / rate), -r * r
        y1 = y2 = 0.0
        for i, x in enumerate(pulses):
            y = x + a1 * y1 + a2 * y2
            out[i] += y
            y1, y2 = y, y1
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * n / rate) ** 2
    return np.rint(out * swell / np.abs(out).max() * 12000).astype("<i2").tobytes()


def delta(item, pcm):
    return json.dumps(
        {"type": "response.output_audio.delta", "item_id": item, "delta": base64.b64encode(pcm).decode()}
    ).encode()


async def take(audio):
    """All chunks waiting now, as one piece of wire audio."""
    chunks = await audio.captured()
    return b"".join(chunk for _, chunk in chunks or [])


async def drained(audio):
    while await audio.captured() is not None:
        pass


def band(pcm, rate, hz):
    """Share of the energy within 20 Hz of `hz`."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    return power[np.abs(frequencies - hz) < 20].sum() / power.sum()


@pytest.mark.parametrize("rate", [16000, 24000, 44100, 48000])
async def test_what_is_said_is_captured_at_the_wires_rate(clock, rate):
    audio = VirtualAudioIO(rate=rate, clock=clock)
    await audio.start(WIRE, WIRE, framed=False)
    audio.say(tone(1.0), 24000)
    assert not audio.silent
    await clock.run(1.5)
    captured = await take(audio)
    await audio.stop()
    assert audio.silent
    assert abs(len(captured) // 2 - 1.5 * 24000) <= 24 * 30
    assert band(captured[2 * 2400 : 2 * 20000], 24000, 440) > 0.99


async def test_chunks_say_at_which_sample_of_the_session_they_begin(clock):
    audio = VirtualAudioIO(clock=clock)
    await audio.start(WIRE, WIRE, framed=False)
    position = 0
    for _ in range(20):
        await clock.run(0.05)
        for sample, chunk in await audio.captured():
            assert sample == position
            position += len(chunk) // 2
    await audio.stop()
    assert position > 0.9 * 24000


async def test_framed_chunks_are_append_messages(clock):
    audio = VirtualAudioIO(clock=clock)
    await audio.start(WIRE, WIRE)
    await clock.run(0.1)
    (_, message), *_ = await audio.captured()
    await audio.stop()
    event = json.loads(message)
    assert event["type"] == "input_audio_buffer.append"
    assert len(base64.b64decode(event["audio"])) == 2 * 480


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
async def test_g711_both_ways(clock, encoding):
    heard = bytearray()
    audio = VirtualAudioIO(rate=48000, heard=heard.extend, clock=clock)
    wire = Wire(encoding, 8000)
    await audio.start(wire, wire, framed=False)
    audio.say(tone(0.5), 24000)
    await clock.run(0.6)
    captured = await take(audio)
    assert 8000 * 0.5 < len(captured) <= 8000 * 0.6
    audio.playout.feed(delta("a", captured))
    await clock.run(0.6)
    await audio.stop()
    assert band(bytes(heard)[2 * 30000 : 2 * 50000], 48000, 440) > 0.97


async def test_what_is_fed_is_heard_and_told(clock):
    heard = bytearray()
    audio = VirtualAudioIO(rate=48000, heard=heard.extend, clock=clock)
    await audio.start(WIRE, WIRE)
    seen = []
    audio.playout.observer = seen.append
    await clock.run(0.2)
    audio.playout.feed(delta("a", tone(0.5)))
    audio.playout.end_item("a")
    await clock.run(1.0)
    started, drained = audio.events()
    assert isinstance(started, PlayoutStarted)
    assert isinstance(drained, PlayoutDrained)
    assert started.time == pytest.approx(100.2, abs=0.011)
    assert drained.time == pytest.approx(started.time + 0.5, abs=0.005)
    assert seen == [started, drained]
    assert audio.events() == []
    await audio.stop()
    assert band(bytes(heard)[2 * 12000 : 2 * 30000], 48000, 440) > 0.99
    assert not any(heard[2 * 48000 :])


async def test_local_speech_is_told_with_the_moment_it_was_captured(clock):
    audio = VirtualAudioIO(clock=clock)
    seen = []
    audio.observer = seen.append
    await audio.start(WIRE, WIRE)
    await clock.run(1.0)
    audio.say(voice(1.0), 24000)
    await clock.run(2.5)
    events = audio.events()
    await audio.stop()
    assert [type(event) for event in events] == [SpeechStarted, SpeechStopped]
    assert seen == events
    started, stopped = events
    assert started.time == pytest.approx(101.0, abs=0.1)
    assert stopped.time == pytest.approx(102.0, abs=0.3)  # the detector holds on for a while
    assert started.sample == pytest.approx(24000, abs=2400)


async def test_muted_sends_silence_and_volume_changes_what_is_heard(clock):
    heard = bytearray()
    audio = VirtualAudioIO(rate=24000, heard=heard.extend, clock=clock)
    audio.muted = True
    audio.volume = 0.5
    await audio.start(WIRE, WIRE, framed=False)
    audio.say(tone(0.5), 24000)
    audio.playout.feed(delta("a", tone(0.5)))
    await clock.run(0.4)
    assert not any(await take(audio))
    audio.muted = False
    await clock.run(0.1)
    assert any(await take(audio))
    await audio.stop()
    peak = np.abs(np.frombuffer(bytes(heard)[2 * 2400 : 2 * 9600], "<i2")).max()
    assert peak == pytest.approx(0.15 * 32767, rel=0.02)
    with pytest.raises(ValueError, match="volume must be"):
        audio.volume = 5.0


async def test_time_stands_still_rather_than_audio_being_lost(clock):
    audio = VirtualAudioIO(clock=clock)
    await audio.start(WIRE, WIRE, framed=False)
    audio.say(tone(30.0), 24000)
    await clock.run(CHUNKS_WAITING * 0.02 + 5)
    total = len(await take(audio))
    for _ in range(40):
        await clock.run(1.0)
        total += len(await take(audio))
        if audio.silent:
            break
    await audio.stop()
    assert audio.duplex.stats()["overruns"] == 0
    assert total >= 2 * 24000 * 29.9


async def test_stop_ends_the_input_and_may_be_repeated(clock):
    audio = VirtualAudioIO(clock=clock)
    await audio.stop()
    await audio.start(WIRE, WIRE)
    waiting = asyncio.create_task(audio.captured())
    await audio.stop()
    await audio.stop()
    while (chunks := await waiting) is not None:
        assert all(len(chunk) == 2 for chunk in chunks)
        waiting = asyncio.create_task(audio.captured())
    assert await audio.captured() is None


async def test_a_stopped_side_starts_again(clock):
    audio = VirtualAudioIO(clock=clock)
    for _ in range(2):
        await audio.start(WIRE, WIRE, framed=False)
        await clock.run(0.1)
        assert await take(audio)
        await audio.stop()


async def ticking(clock):
    for _ in range(3):
        await asyncio.sleep(0)
    return sum(not future.done() for _, future in clock._waiting)


class Slow(VirtualAudioIO):
    """Opens when the test lets it."""

    def __init__(self, **options):
        super().__init__(**options)
        self.go_on = asyncio.Event()

    async def _open(self):
        await self.go_on.wait()
        await super()._open()


async def test_two_starts_at_once_are_one(clock):
    audio = Slow(clock=clock)
    starts = [asyncio.create_task(audio.start(WIRE, WIRE)) for _ in range(2)]
    await asyncio.sleep(0)
    audio.go_on.set()
    await asyncio.gather(*starts)
    assert await ticking(clock) == 1
    await asyncio.gather(audio.stop(), audio.stop())
    assert await ticking(clock) == 0


async def test_a_stop_during_a_start_ends_it(clock):
    audio = Slow(clock=clock)
    start = asyncio.create_task(audio.start(WIRE, WIRE))
    await asyncio.sleep(0)
    stop = asyncio.create_task(audio.stop())
    await asyncio.sleep(0)
    audio.go_on.set()
    await asyncio.gather(start, stop)
    assert await ticking(clock) == 0
    await drained(audio)


async def test_a_cancelled_captured_loses_nothing(clock):
    audio = VirtualAudioIO(clock=clock)
    await audio.start(WIRE, WIRE, framed=False)
    taken = 0
    for _ in range(5):
        await clock.run(0.1)
        taken += len(await take(audio))
        waiting = asyncio.create_task(audio.captured())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
    assert taken == pytest.approx(2 * 24000 * 0.5, abs=2 * 480)
    await audio.stop()


async def test_a_failure_of_the_tick_is_raised_by_captured(clock):
    def broken(_):
        raise AudioFileError("disk full")

    audio = VirtualAudioIO(heard=broken, clock=clock)
    await audio.start(WIRE, WIRE)
    await clock.run(0.05)
    with pytest.raises(AudioFileError, match="disk full"):
        await drained(audio)
    await audio.stop()


async def test_a_recording_has_both_sides_on_one_time_axis(clock, tmp_path):
    path = tmp_path / "both.wav"
    audio = VirtualAudioIO(rate=48000, record=path, clock=clock)
    await audio.start(WIRE, WIRE)
    await clock.run(0.5)
    audio.say(tone(0.5, hz=300), 24000)
    await clock.run(0.25)
    audio.playout.feed(delta("a", tone(0.5, hz=600)))
    await clock.run(1.0)
    await audio.stop()
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 48000)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert len(samples) == pytest.approx(1.75 * 48000, abs=960)
    user, agent = samples[:, 0], samples[:, 1]
    assert np.flatnonzero(np.abs(user) > 500)[0] == pytest.approx(0.5 * 48000, abs=600)
    assert np.flatnonzero(np.abs(agent) > 500)[0] == pytest.approx(0.75 * 48000, abs=600)
    assert band(user[28800:40000].tobytes(), 48000, 300) > 0.99
    assert band(agent[40000:52000].tobytes(), 48000, 600) > 0.99


async def test_a_file_is_spoken_and_the_answer_written(clock, tmp_path):
    with wave.open(str(tmp_path / "in.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        mono = np.frombuffer(tone(0.5, 44100), "<i2")
        file.writeframes(np.stack([mono, mono], axis=1).tobytes())
    audio = FileAudioIO(tmp_path / "in.wav", tmp_path / "out.wav", linger_s=1.0, clock=clock)
    await audio.start(WIRE, WIRE, framed=False)
    await clock.run(0.6)
    assert band((await take(audio))[4800:19200], 24000, 440) > 0.99
    audio.playout.feed(delta("a", tone(2.0, hz=800)))
    audio.playout.end_item("a")
    await clock.run(2.9)
    assert await audio.captured() is not None
    await clock.run(0.3)
    while await audio.captured() is not None:
        pass
    await audio.stop()
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert file.getframerate() == 48000
        assert band(file.readframes(file.getnframes())[2 * 48000 : 4 * 48000], 48000, 800) > 0.99


async def test_a_missing_file_is_told_before_anything_starts(tmp_path):
    with pytest.raises(AudioFileError, match=r"nowhere\.wav"):
        FileAudioIO(tmp_path / "nowhere.wav")


async def test_an_application_pushes_and_pulls(clock):
    audio = PushAudioIO(rate=16000, clock=clock)
    with pytest.raises(LocalProtocolError, match="started"):
        audio.push(b"")
    assert audio.pull(160) == b""
    await audio.start(WIRE, WIRE, framed=False)
    audio.push(tone(0.5, 16000))
    captured = await take(audio)
    assert len(captured) == pytest.approx(2 * 12000, abs=2 * 480)
    audio.playout.feed(delta("a", tone(0.5)))
    assert band(audio.pull(8000)[3200:], 16000, 440) > 0.99
    assert audio.playout.played_ms("a") == 500
    assert await audio.captured() == []
    audio.end()
    rest = 0
    while (chunks := await audio.captured()) is not None:
        rest += sum(len(chunk) for _, chunk in chunks)
    assert rest <= 2 * 480
    with pytest.raises(LocalProtocolError, match="ended"):
        audio.push(b"")
    await audio.stop()


async def test_stereo_applications_are_mixed_down_and_get_both_channels(clock):
    audio = PushAudioIO(rate=24000, channels=2, clock=clock)
    await audio.start(WIRE, WIRE, framed=False)
    audio.push(b"\x10\0\x30\0" * 480)
    assert (await take(audio))[100:102] == b"\x20\0"
    audio.playout.feed(delta("a", b"\5\0" * 480))
    assert audio.pull(480) == b"\5\0\5\0" * 480
    await audio.stop()


async def test_what_nobody_takes_is_counted_and_bounded(clock):
    audio = PushAudioIO(clock=clock, quiet_chunk_ms=20)
    await audio.start(WIRE, WIRE, framed=False)
    for _ in range(CHUNKS_WAITING + 200):
        audio.push(bytes(960))
    assert audio.overruns > 0
    assert len(await audio.captured()) <= CHUNKS_WAITING + 1
    await audio.stop()


async def test_microphone_and_speaker_may_be_of_two_kinds(clock):
    heard = bytearray()
    microphone = VirtualAudioIO(clock=clock)
    speaker = VirtualAudioIO(rate=24000, heard=heard.extend, clock=clock)
    audio = SplitAudioIO(microphone, speaker)
    seen = []
    audio.observer = seen.append
    await audio.start(WIRE, WIRE, framed=False)
    microphone.say(tone(0.2), 24000)
    audio.playout.feed(delta("a", tone(0.2)))
    audio.playout.end_item("a")
    audio.volume = 0.5
    await clock.run(0.4)
    assert any(await take(audio))
    assert any(heard)
    events = audio.events()
    assert [type(event) for event in events if hasattr(event, "item_id")] == [PlayoutStarted, PlayoutDrained]
    assert sorted(events, key=lambda event: event.time) == sorted(seen, key=lambda event: event.time)
    audio.muted = True
    assert (microphone.muted, audio.muted, audio.talking, audio.volume) == (True, True, False, 0.5)
    await audio.stop()
    while await audio.captured() is not None:
        pass


async def test_a_session_is_told_of_the_speaker_while_the_microphone_has_nothing_to_tell(clock):
    audio = SplitAudioIO(PushAudioIO(mode="gated", clock=clock), PushAudioIO(clock=clock))
    await audio.start(WIRE, WIRE, framed=False)
    seen = []
    audio.listener = lambda: seen.extend(audio.events())
    audio.playout.feed(delta("a", tone(0.2)))
    audio.playout.end_item("a")
    for _ in range(40):
        audio.microphone.push(bytes(960))
        audio.speaker.pull(480)
    assert [type(event) for event in seen] == [PlayoutStarted, PlayoutDrained]
    await audio.stop()


async def test_a_failure_of_the_listener_is_told_by_captured(clock):
    audio = PushAudioIO(clock=clock)
    await audio.start(WIRE, WIRE, framed=False)

    def listener():
        raise RuntimeError("a bug")

    audio.listener = listener
    audio.push(tone(0.1))
    assert len(await take(audio)) > 0
    with pytest.raises(RuntimeError, match="a bug"):
        await audio.captured()
    await audio.stop()


def test_wrong_formats_are_refused():
    with pytest.raises(ValueError, match="8000"):
        Wire("pcmu", 24000)
    with pytest.raises(ValueError, match="encoding"):
        Wire("mp3", 24000)
    with pytest.raises(ValueError, match="24000"):
        Wire("pcm", 16000)
    with pytest.raises(ValueError, match="rate"):
        VirtualAudioIO(rate=1000)
    with pytest.raises(ValueError, match="channels"):
        PushAudioIO(channels=3)


@pytest.mark.parametrize("kind", [VirtualAudioIO, PushAudioIO, DeviceAudioIO])
def test_options_are_checked_when_they_are_given(kind):
    with pytest.raises(TypeError, match=f"{kind.__name__} has no option 'pre_rol_ms'"):
        kind(pre_rol_ms=300)
    with pytest.raises(ValueError, match="pre_roll_ms must be 0 to 5000, got 9000"):
        kind(pre_roll_ms=9000)
    with pytest.raises(ValueError, match="mode must be"):
        kind(mode="half")
    kind(vad="neural")


async def test_blocks_may_be_longer(clock):
    heard = []
    audio = VirtualAudioIO(rate=24000, block_s=0.02, heard=heard.append, clock=clock)
    await audio.start(WIRE, WIRE, framed=False)
    audio.say(tone(0.1), 24000)
    await clock.run(0.1)
    assert b"".join(chunk for _, chunk in audio.take()) == bytes(tone(0.1))
    assert [len(block) for block in heard] == [960] * 5
    await audio.stop()
    for block_s in (0.009, 0.11, 0.0105):
        with pytest.raises(ValueError, match="block_s"):
            VirtualAudioIO(block_s=block_s)
