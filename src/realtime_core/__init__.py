"""The audio core of realtime voice: rings, resampling, VAD, echo check, gate, framing and the device callback, in C.

Every buffer of samples is signed 16-bit little-endian PCM unless a name says otherwise; anything
with a contiguous buffer will do (bytes, bytearray, memoryview, array, numpy). The package imports
nothing: no asyncio, no numpy, no sockets.
"""

from realtime_core.delta import Delta, DeltaDecoder
from realtime_core.duplex import Duplex, DuplexEvent
from realtime_core.echo import EchoCheck
from realtime_core.frame import (
    append_from_ring,
    append_from_ring_into,
    append_message,
    append_message_into,
)
from realtime_core.gate import Gate
from realtime_core.resample import Resampler
from realtime_core.ring import Ring
from realtime_core.vad import Network, Vad

__all__ = [
    "Delta",
    "DeltaDecoder",
    "Duplex",
    "DuplexEvent",
    "EchoCheck",
    "Gate",
    "Network",
    "Resampler",
    "Ring",
    "Vad",
    "append_from_ring",
    "append_from_ring_into",
    "append_message",
    "append_message_into",
]
