"""The classes for Strands' present releases: `strands.bidi`, 1.58 and newer."""

from strands.bidi import BidiAgent

from realtime_voice.strands.stable.audio_io import BidiAudioIO
from realtime_voice.strands.stable.model import BidiOpenAIRealtimeModel
from realtime_voice.strands.stable.text_io import BidiTextIO
from realtime_voice.strands.stable.tool_results import observe_tool_results
from realtime_voice.strands.stable.tools import stop_conversation

__all__ = [
    "BidiAgent",
    "BidiAudioIO",
    "BidiOpenAIRealtimeModel",
    "BidiTextIO",
    "observe_tool_results",
    "stop_conversation",
]
