"""Microphones and speakers: devices, files, sockets and virtual ones, all with one interface.

The data's way: a source (`device`, `file`, `push`, `virtual`) -> `engine` with the gate -> session, and
session -> `playout` -> the same source's speaker, with `recorder` listening to both. `base` is what a session sees.
"""

from realtime_voice.audio.base import AudioIO
from realtime_voice.audio.clock import Clock, LoopClock
from realtime_voice.audio.device import DeviceAudioIO
from realtime_voice.audio.file import FileAudioIO
from realtime_voice.audio.playout import Playout
from realtime_voice.audio.portaudio import Device, devices
from realtime_voice.audio.push import PushAudioIO
from realtime_voice.audio.split import SplitAudioIO
from realtime_voice.audio.virtual import VirtualAudioIO
from realtime_voice.audio.wav import WavWriter, read_wav
from realtime_voice.audio.wire import (
    AudioEvent,
    BargeIn,
    DeviceLost,
    DeviceRestored,
    Heard,
    MicrophoneSilent,
    PlayoutDrained,
    PlayoutStarted,
    SpeechStarted,
    SpeechStopped,
    Wire,
)

__all__ = [
    "AudioEvent",
    "AudioIO",
    "BargeIn",
    "Clock",
    "Device",
    "DeviceAudioIO",
    "DeviceLost",
    "DeviceRestored",
    "FileAudioIO",
    "Heard",
    "LoopClock",
    "MicrophoneSilent",
    "Playout",
    "PlayoutDrained",
    "PlayoutStarted",
    "PushAudioIO",
    "SpeechStarted",
    "SpeechStopped",
    "SplitAudioIO",
    "VirtualAudioIO",
    "WavWriter",
    "Wire",
    "devices",
    "read_wav",
]
