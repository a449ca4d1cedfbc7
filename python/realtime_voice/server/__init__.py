"""The local Realtime server: the protocol's other side with ears, voice and mind that work without a network.

    async with serve() as server:
        print(server.url)

It needs the extra `local` (aiohttp, pocketsphinx, espeakng-loader).
"""

from realtime_voice.server.app import RealtimeServer, serve
from realtime_voice.server.interfaces import (
    Brain,
    Call,
    Context,
    Fail,
    Heard,
    Hearing,
    RecognitionError,
    Recognizer,
    Say,
    Speech,
    SynthesisError,
    Synthesizer,
)
from realtime_voice.server.listening import recognize_file, recognize_numbers

__all__ = [
    "Brain",
    "Call",
    "Context",
    "Fail",
    "Heard",
    "Hearing",
    "RealtimeServer",
    "RecognitionError",
    "Recognizer",
    "Say",
    "Speech",
    "SynthesisError",
    "Synthesizer",
    "recognize_file",
    "recognize_numbers",
    "serve",
]
