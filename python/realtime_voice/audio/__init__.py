"""Microphones and speakers: devices, files, sockets and virtual ones, all with one interface.

The data's way: `wav`/`device`/`push` -> gate -> session (`base.AudioIO.captured`), and
session -> `playout` -> `device`/`wav`/`push`, tied together by `engine`.
"""

from realtime_voice.audio.base import AudioIO
from realtime_voice.audio.clock import Clock, LoopClock
from realtime_voice.audio.wire import (
    AudioEvent,
    Heard,
    PlayoutDrained,
    PlayoutStarted,
    SpeechStarted,
    SpeechStopped,
    Wire,
)

__all__ = [
    "AudioEvent",
    "AudioIO",
    "Clock",
    "Heard",
    "LoopClock",
    "PlayoutDrained",
    "PlayoutStarted",
    "SpeechStarted",
    "SpeechStopped",
    "Wire",
]
