"""The options of the microphone and the speaker, in both generations."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from realtime_voice.audio import PushAudioIO
from realtime_voice.audio import device as device_module
from realtime_voice.strands import BidiAudioIO
from realtime_voice.strands.audio_io import AudioIOBase, AudioOptions
from realtime_voice.strands.model import Stream

STREAM = Stream(sample_rate=16000, channels=1, format="pcm")


def test_every_option_is_named_twice() -> None:
    assert set(AudioOptions.__annotations__) == inspect.signature(AudioIOBase).parameters.keys()


async def test_how_sure_the_callback_must_be_reaches_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[dict[str, Any]] = []

    def make(**options: Any) -> PushAudioIO:
        opened.append(options)
        return PushAudioIO()

    monkeypatch.setattr(device_module, "DeviceAudioIO", make)
    sure: Any = {"headset": True, "confirm_ms": 200, "confirm_probability": 0.9, "duck_db": -6.0}
    shared = BidiAudioIO(**sure)._shared
    await shared.open(object(), (STREAM, STREAM))
    await shared.close()
    assert {name: opened[0][name] for name in sure} == sure


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"confirm_ms": 5}, "confirm_ms must be 10 to 10000"),
        ({"confirm_probability": 2.0}, "confirm_probability must be"),
        ({"duck_db": 3.0}, "duck_db must be"),
        ({"audio": PushAudioIO(), "duck_db": -6.0}, "duck_db belong to the sound devices"),
    ],
)
def test_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BidiAudioIO(**options)


def test_what_is_no_audio_side_is_refused() -> None:
    side: Any = "mic"
    with pytest.raises(TypeError, match=r"audio must be an AudioIO, such as DeviceAudioIO\(\), not str"):
        BidiAudioIO(audio=side)
