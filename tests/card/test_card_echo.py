"""An open speaker: the card's microphone hears what its speaker plays, a tenth of a second later."""

import asyncio
import base64
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr
from realtime_voice.audio import DeviceAudioIO, read_wav
from virtual_card import WIRE, until, urgent_threads

from realtime_core import EchoCheck, Vad

pytestmark = [pytest.mark.card, pytest.mark.usefixtures("card")]

SPEECH = Path(__file__).parents[1] / "data" / "speech_slt.wav"
LEARNED_S = 3.0


@pytest.fixture
def open_speaker():
    loopback = "pactl load-module module-loopback source=speaker.monitor sink=micfeed latency_msec=100"
    module = subprocess.run(loopback.split(), check=True, capture_output=True, text=True).stdout.strip()
    yield
    subprocess.run(["pactl", "unload-module", module], check=True)


def power_db(samples):
    return 10 * np.log10(np.square(samples.astype(float)).mean() + 1)


async def test_an_answer_is_not_sent_back_and_interrupts_nobody(open_speaker, tmp_path):
    pcm, rate = read_wav(SPEECH)
    sentence = soxr.resample(np.frombuffer(pcm, "<i2"), rate, WIRE.rate)
    answer = np.tile(sentence // 2, 5)
    audio = DeviceAudioIO(echo_control="webrtc", record=tmp_path / "both.wav")
    sent = bytearray()

    async def listen():
        while (chunks := await audio.captured()) is not None:
            sent.extend(b"".join(chunk for _, chunk in chunks))

    with urgent_threads():
        await audio.start(WIRE, WIRE, framed=False)
    listener = asyncio.create_task(listen())
    audio.playout.feed_audio("answer", base64.b64encode(answer.tobytes()).decode())
    audio.playout.end_item("answer")
    await until(lambda: not audio.playout.active, 30)
    stats = audio.duplex.stats()
    starved = stats["device_underflows"] + stats["device_overflows"]  # what is heard is then not what is played
    await audio.stop()
    await listener

    with wave.open(str(tmp_path / "both.wav")) as file:
        rate = file.getframerate()
        heard, played = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).T
    learned = slice(int(LEARNED_S * rate), None)
    left = np.frombuffer(bytes(sent), "<i2")[int(LEARNED_S * WIRE.rate) :]
    assert power_db(heard[learned]) - power_db(left) > 15 or starved
    check = EchoCheck(rate)
    somebody = np.array(check.process(np.ascontiguousarray(heard), np.ascontiguousarray(played)))
    speech = np.array(Vad(rate).process(np.ascontiguousarray(heard)))
    own_voice = speech[int(LEARNED_S * 100) :] > 0.5
    assert np.mean(own_voice) > 0.3
    # A sound server short of time shifts its echo now and then; each time the check has to learn anew.
    assert np.mean(somebody[int(LEARNED_S * 100) :][own_voice] > 0.5) < 0.25 or starved
