"""The local Realtime server: the protocol's other side with ears, voice and mind that work without a network.

    async with serve() as server:
        print(server.url)

It needs the extra `local` (aiohttp, pocketsphinx, espeakng-loader).
"""

from realtime_voice.server.app import RealtimeServer, serve
from realtime_voice.server.assistant import Assistant
from realtime_voice.server.chat import ChatCompletions
from realtime_voice.server.faults import Faults
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
    Wait,
)
from realtime_voice.server.listening import recognize_file, recognize_numbers
from realtime_voice.server.mcp import McpFailure, McpTool
from realtime_voice.server.recording import Recording, Watcher
from realtime_voice.server.scripted import Rule, Scripted, Turn

__all__ = [
    "Assistant",
    "Brain",
    "Call",
    "ChatCompletions",
    "Context",
    "Fail",
    "Faults",
    "Heard",
    "Hearing",
    "McpFailure",
    "McpTool",
    "RealtimeServer",
    "RecognitionError",
    "Recognizer",
    "Recording",
    "Rule",
    "Say",
    "Scripted",
    "Speech",
    "SynthesisError",
    "Synthesizer",
    "Turn",
    "Wait",
    "Watcher",
    "recognize_file",
    "recognize_numbers",
    "serve",
]
