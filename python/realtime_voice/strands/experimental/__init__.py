"""The classes for Strands' first bidirectional releases: `strands.experimental.bidi`, 1.28 to 1.54."""

from realtime_voice.strands.experimental.audio_io import BidiAudioIO
from realtime_voice.strands.experimental.model import BidiOpenAIRealtimeModel
from realtime_voice.strands.experimental.names import BidiAgent
from realtime_voice.strands.experimental.text_io import BidiTextIO
from realtime_voice.strands.experimental.tool_results import observe_tool_results
from realtime_voice.strands.experimental.tools import stop_conversation

__all__ = [
    "BidiAgent",
    "BidiAudioIO",
    "BidiOpenAIRealtimeModel",
    "BidiTextIO",
    "observe_tool_results",
    "stop_conversation",
]
