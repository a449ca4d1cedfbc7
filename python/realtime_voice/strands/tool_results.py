"""What an agent's tools gave, told as the project's own event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from strands.hooks import AfterToolCallEvent, BeforeToolCallEvent

from realtime_voice.events import ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from strands.bidi import BidiAgent


def observe_tool_results(agent: BidiAgent, observer: Callable[[ToolResult], object]) -> None:
    """Have `observer` called with the result of each tool that the agent runs. Call it on the event loop."""
    loop = asyncio.get_running_loop()
    started: dict[str, float] = {}

    def before(event: BeforeToolCallEvent) -> None:
        started[event.tool_use["toolUseId"]] = loop.time()

    def after(event: AfterToolCallEvent) -> None:
        call_id = event.tool_use["toolUseId"]
        parts = (part.get("text") or str(part.get("json", "")) for part in event.result["content"])
        observer(
            ToolResult(
                call_id=call_id,
                name=event.tool_use["name"],
                output=" ".join(filter(None, parts)),
                is_error=event.result["status"] == "error",
                duration_s=loop.time() - started.pop(call_id, loop.time()),
            )
        )

    agent.add_hook(before, BeforeToolCallEvent)
    agent.add_hook(after, AfterToolCallEvent)
