"""What Strands has no event for reaches the outputs of both generations."""

from __future__ import annotations

from importlib import import_module
from typing import Any, get_args

import pytest
from realtime_voice import audio, events
from realtime_voice.strands import BidiSessionEvent
from realtime_voice.strands.convert import FromWire
from realtime_voice.strands.generation import installed

AUDIO_EVENTS = [
    audio.SpeechStarted(sample=0, time=0.0),
    audio.SpeechStopped(sample=9, time=0.1),
    audio.PlayoutStarted(item_id="a1", time=0.2),
    audio.PlayoutDrained(item_id="a1", time=0.3),
    audio.BargeIn(action="ducked", time=0.4, after_s=0.02, probability=0.9),
    audio.DeviceLost(reason="unplugged", time=0.5),
    audio.DeviceRestored(microphone="a", speaker="b", missed_ms=300, time=0.8),
    audio.MicrophoneSilent(microphone="a", time=3.0),
]


@pytest.mark.parametrize("event", [*AUDIO_EVENTS, events.Reconnecting(reason="gone", attempt=1, wait_s=0.0)])
def test_outputs_get_it(event: Any) -> None:
    translator: Any = import_module(f"realtime_voice.strands.{installed()}.translate").Translator
    stream = {"format": "pcm", "sample_rate": 24000, "channels": 1}
    assert translator(stream, FromWire(audio.Wire(), 24000, 1)).translate(event) == [BidiSessionEvent(event)]


def test_no_event_of_the_audio_side_is_left_out() -> None:
    assert {type(event) for event in AUDIO_EVENTS} == set(get_args(audio.AudioEvent))
