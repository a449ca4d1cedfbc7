"""What an agent's tools gave, told as the project's own event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strands.hooks import AfterToolCallEvent, BeforeToolCallEvent

from realtime_voice.strands.tool_results import ToolObserver

if TYPE_CHECKING:
    from collections.abc import Callable

    from strands.bidi import BidiAgent

    from realtime_voice.events import ToolResult


def observe_tool_results(agent: BidiAgent, observer: Callable[[ToolResult], object]) -> None:
    """Have `observer` called with the result of each tool that the agent runs. Call it on the event loop."""
    watch = ToolObserver(observer)
    agent.add_hook(watch.before, BeforeToolCallEvent)
    agent.add_hook(watch.after, AfterToolCallEvent)
