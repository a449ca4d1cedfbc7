"""A Strands bidirectional agent on realtime-core: its model, its microphone and speaker, its text.

Needs the extra ``strands``: ``pip install 'realtime-core[strands]'``. The same names for both generations of Strands'
bidirectional agents: ``strands.bidi`` (1.58 and newer) and ``strands.experimental.bidi`` (1.28 to 1.54); which one is
installed decides.
"""

from typing import TYPE_CHECKING

from realtime_voice.strands.generation import SUPPORTED, installed

if TYPE_CHECKING or installed() == "stable":
    from realtime_voice.strands.stable import (
        BidiAgent,
        BidiAudioIO,
        BidiOpenAIRealtimeModel,
        BidiTextIO,
        observe_tool_results,
        stop_conversation,
    )
else:
    from realtime_voice.strands.experimental import (
        BidiAgent,
        BidiAudioIO,
        BidiOpenAIRealtimeModel,
        BidiTextIO,
        observe_tool_results,
        stop_conversation,
    )

from realtime_voice.strands.session_event import BidiSessionEvent

__all__ = [
    "SUPPORTED",
    "BidiAgent",
    "BidiAudioIO",
    "BidiOpenAIRealtimeModel",
    "BidiSessionEvent",
    "BidiTextIO",
    "observe_tool_results",
    "stop_conversation",
]
