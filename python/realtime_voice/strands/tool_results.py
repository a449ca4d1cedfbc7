"""What an agent's tools gave, told as the project's own event, from the hooks of either generation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from realtime_voice.events import ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable


class ToolObserver:
    """Hooks for before and after a tool's call; make it on the event loop."""

    def __init__(self, observer: Callable[[ToolResult], object]) -> None:
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._started: dict[str, float] = {}

    def before(self, event: Any) -> None:
        """Note when the call began."""
        self._started[event.tool_use["toolUseId"]] = self._loop.time()

    def after(self, event: Any) -> None:
        """Tell what it gave, and how long it took."""
        call_id = event.tool_use["toolUseId"]
        now = self._loop.time()
        parts = (part.get("text") or str(part.get("json", "")) for part in event.result["content"])
        self._observer(
            ToolResult(
                call_id=call_id,
                name=event.tool_use["name"],
                output=" ".join(filter(None, parts)),
                is_error=event.result["status"] == "error",
                duration_s=now - self._started.pop(call_id, now),
            )
        )
