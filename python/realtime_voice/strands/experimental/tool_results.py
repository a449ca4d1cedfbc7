"""What an agent's tools gave, told as the project's own event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from realtime_voice.strands.experimental.names import BidiAfterToolCallEvent, BidiBeforeToolCallEvent
from realtime_voice.strands.tool_results import ToolObserver

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_voice.events import ToolResult


def observe_tool_results(agent: Any, observer: Callable[[ToolResult], object]) -> None:
    """Have `observer` called with the result of each tool that the agent runs. Call it on the event loop."""
    watch = ToolObserver(observer)
    agent.hooks.add_callback(BidiBeforeToolCallEvent, watch.before)
    agent.hooks.add_callback(BidiAfterToolCallEvent, watch.after)
