"""Devices that come and go for real: the sound server loses its sinks, stops, and is looked at by the doctor."""

import asyncio
import base64
import contextlib
import subprocess

import pytest
from realtime_voice import cli, doctor
from realtime_voice.audio import DeviceAudioIO, DeviceLost, DeviceRestored, MicrophoneSilent
from virtual_card import PATIENCE_S, SETTLE_S, WIRE, Recording, sine, sounding, speaking, until

pytestmark = [pytest.mark.card, pytest.mark.usefixtures("card")]


def pactl(*arguments):
    return subprocess.run(["pactl", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@contextlib.asynccontextmanager
async def opened(**options):
    audio = DeviceAudioIO(echo_control=None, **options)
    audio.seen = []
    audio.observer = audio.seen.append
    await audio.start(WIRE, WIRE, framed=False)
    taking = asyncio.create_task(taken(audio))
    await asyncio.sleep(SETTLE_S)
    try:
        yield audio
    finally:
        taking.cancel()
        await audio.stop()


async def taken(audio):
    audio.heard = 0
    while (chunks := await audio.captured()) is not None:
        audio.heard += sum(len(chunk) // 2 for _, chunk in chunks)


def seen(audio, kind):
    return [event for event in audio.seen if isinstance(event, kind)]


@pytest.fixture
def held():
    """Hold the card's clock: neither side moves until `resume` is called."""
    held = [("suspend-sink", "speaker"), ("suspend-sink", "micfeed")]

    def suspend(state):
        for what, name in held:
            pactl(what, name, state)

    yield suspend
    suspend("0")


async def test_a_card_that_stops_is_noticed_and_played_on_once_it_is_back(held):
    with Recording() as recording:
        async with opened() as audio:
            loop = asyncio.get_running_loop()
            audio.playout.feed_audio("tone", base64.b64encode(sine(500, 4.0)).decode())
            audio.playout.end_item("tone")
            await until(lambda: audio.playout.played_ms("tone") > 500)
            duplex, begun, heard = audio.duplex, loop.time(), audio.heard
            held("1")
            await until(lambda: seen(audio, DeviceLost))
            stands_at = audio.playout.played_ms("tone")
            await asyncio.sleep(1.0)
            assert audio.playout.played_ms("tone") - stands_at <= 100  # what nobody hears is not played
            assert not seen(audio, DeviceRestored)
            held("0")
            await until(lambda: seen(audio, DeviceRestored))
            await until(lambda: not audio.playing)
            passed = loop.time() - begun
            (restored,) = seen(audio, DeviceRestored)
            assert audio.duplex is duplex
            assert audio.playout.played_ms("tone") == 4000
            assert restored.missed_ms >= 1000
            # For the server time has gone on: as much was sent as has passed, silence included.
            assert (audio.heard - heard) / WIRE.rate == pytest.approx(passed, abs=0.5)
        await recording.silence()
        received = recording.samples()
    tone = received[sounding(received)]
    assert (abs(tone.astype(int)) > 100).sum() / 48000 > 3.0  # all but what lay in the device's buffer


async def test_a_microphone_that_nobody_speaks_into_is_told_within_three_seconds():
    async with opened() as audio:
        begun = asyncio.get_running_loop().time() - SETTLE_S
        await until(lambda: seen(audio, MicrophoneSilent))
        assert seen(audio, MicrophoneSilent)[0].time - begun < 3.0 + PATIENCE_S / 10


def test_the_doctor_hears_silence_and_sound(tmp_path):
    lines = []
    assert not doctor.check_sound(lines.append)
    assert lines[0] == "ok  sound: 1 microphones, 1 speakers"
    assert "speaker: default opens" in lines[1]
    assert "NO  microphone: default gives nothing but zeros: unmute it" in lines[2]
    from realtime_voice.audio import WavWriter

    with WavWriter(tmp_path / "hum.wav", WIRE.rate) as file:
        file.write(sine(200, 3.0))
    with speaking(tmp_path / "hum.wav"):
        lines.clear()
        assert doctor.check_sound(lines.append)
    assert "ok  microphone: default gives -" in lines[2]


def test_devices_are_listed_for_people_and_for_programs(capsys):
    assert cli.main(["devices"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("<>   0  default  ALSA")
    assert cli.main(["devices", "--json"]) == 0
    assert '"host_api": "ALSA"' in capsys.readouterr().out
