"""Realtime voice agents on the C audio core: session, tools, Strands glue and a local server.

The names below are loaded when they are first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realtime_voice.audio.wire import (
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
    from realtime_voice.errors import (
        AudioDeviceError,
        AuthenticationError,
        ConfigurationError,
        ConnectError,
        ConnectionClosed,
        LocalProtocolError,
        RealtimeError,
        RemoteProtocolError,
        ServerError,
        SessionTimeout,
        ToolError,
    )
    from realtime_voice.events import (
        AgentTranscript,
        AnswerOverdue,
        Error,
        Interrupted,
        Reconnected,
        Reconnecting,
        Renewed,
        ResponseDone,
        ToolCall,
        ToolProgress,
        ToolResult,
        TurnLatency,
        UnknownEvent,
        Usage,
        UserTranscript,
    )
    from realtime_voice.latency import Durations, Latencies
    from realtime_voice.reconnect import ReconnectPolicy
    from realtime_voice.session import Event, Session, connect
    from realtime_voice.tools import Tool, tool

__all__ = [
    "AgentTranscript",
    "AnswerOverdue",
    "AudioDeviceError",
    "AuthenticationError",
    "BargeIn",
    "ConfigurationError",
    "ConnectError",
    "ConnectionClosed",
    "DeviceLost",
    "DeviceRestored",
    "Durations",
    "Error",
    "Event",
    "Heard",
    "Interrupted",
    "Latencies",
    "LocalProtocolError",
    "MicrophoneSilent",
    "PlayoutDrained",
    "PlayoutStarted",
    "RealtimeError",
    "ReconnectPolicy",
    "Reconnected",
    "Reconnecting",
    "RemoteProtocolError",
    "Renewed",
    "ResponseDone",
    "ServerError",
    "Session",
    "SessionTimeout",
    "SpeechStarted",
    "SpeechStopped",
    "Tool",
    "ToolCall",
    "ToolError",
    "ToolProgress",
    "ToolResult",
    "TurnLatency",
    "UnknownEvent",
    "Usage",
    "UserTranscript",
    "Wire",
    "connect",
    "tool",
]
_HOMES = ("errors", "events", "tools", "audio.wire", "latency", "reconnect", "session")


def __getattr__(name: str) -> object:
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"{__name__}.{home}")
            if hasattr(module, name):
                value = globals()[name] = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
