"""A Strands bidirectional agent on realtime-core: its model, its microphone and speaker, its text.

Needs the extra ``strands``: ``pip install 'realtime-core[strands]'``.
"""

try:
    from strands.bidi import BidiAgent
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("strands"):
        raise
    raise ImportError(
        "realtime_voice.strands needs strands-agents 1.58 or newer: pip install 'realtime-core[strands]'"
    ) from error

from realtime_voice.strands.audio_io import BidiAudioIO
from realtime_voice.strands.model import BidiOpenAIRealtimeModel
from realtime_voice.strands.text_io import BidiTextIO
from realtime_voice.strands.tools import stop_conversation
from realtime_voice.strands.translate import BidiSessionEvent

__all__ = [
    "BidiAgent",
    "BidiAudioIO",
    "BidiOpenAIRealtimeModel",
    "BidiSessionEvent",
    "BidiTextIO",
    "stop_conversation",
]
