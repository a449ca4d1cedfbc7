"""Names of `strands.experimental.bidi`, in one place: type checkers see present releases, which have them no more."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_bidi: Any = import_module("strands.experimental.bidi")
_events: Any = import_module("strands.experimental.bidi.types.events")
_models: Any = import_module("strands.experimental.bidi.models")
_hooks: Any = import_module("strands.experimental.hooks.events")
_tools: Any = import_module("strands.types._events")

BidiAgent: Any = _bidi.BidiAgent
BidiModelTimeoutError: Any = _models.BidiModelTimeoutError

BidiAudioInputEvent: Any = _events.BidiAudioInputEvent
BidiImageInputEvent: Any = _events.BidiImageInputEvent
BidiTextInputEvent: Any = _events.BidiTextInputEvent
ToolResultEvent: Any = _tools.ToolResultEvent

BidiAudioStreamEvent: Any = _events.BidiAudioStreamEvent
BidiConnectionCloseEvent: Any = _events.BidiConnectionCloseEvent
BidiConnectionRestartEvent: Any = _events.BidiConnectionRestartEvent
BidiConnectionStartEvent: Any = _events.BidiConnectionStartEvent
BidiInterruptionEvent: Any = _events.BidiInterruptionEvent
BidiResponseCompleteEvent: Any = _events.BidiResponseCompleteEvent
BidiResponseStartEvent: Any = _events.BidiResponseStartEvent
BidiTranscriptStreamEvent: Any = _events.BidiTranscriptStreamEvent
BidiUsageEvent: Any = _events.BidiUsageEvent
ToolUseStreamEvent: Any = _tools.ToolUseStreamEvent

BidiAfterToolCallEvent: Any = _hooks.BidiAfterToolCallEvent
BidiBeforeToolCallEvent: Any = _hooks.BidiBeforeToolCallEvent
