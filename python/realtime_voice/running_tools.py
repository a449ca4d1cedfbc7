"""The tools that run while a conversation goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from realtime_voice import events as ev
from realtime_voice.errors import ToolError
from realtime_voice.protocol import tool_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_voice.tools import Toolbox

TOOLS_AT_ONCE: Final = 64


class RunningTools:
    """The calls that a session's tools have not answered yet.

    `tell` takes what happens. `answer` takes a result for the server, and whether the agent is to go on by it (None:
    unless the user has interrupted it since). `fill`, if there is one, is called when a tool has run `fill_after_s`.
    """

    def __init__(
        self,
        toolbox: Toolbox,
        *,
        tell: Callable[[ev.ToolProgress | ev.ToolResult], None],
        answer: Callable[[str, str, bool | None], None],
        fill: Callable[[], None] | None,
        fill_after_s: float,
    ) -> None:
        self._toolbox = toolbox
        self._tell, self._answer = tell, answer
        self._fill, self._fill_after_s = fill, fill_after_s
        self._tasks: dict[str, tuple[ev.ToolCall, asyncio.Task[None]]] = {}

    def begin(self, call: ev.ToolCall, group: asyncio.TaskGroup) -> None:
        """Run the tool that is called, unless its calls are left to the application."""
        if self._toolbox.leaves(call.name):
            return
        if len(self._tasks) >= TOOLS_AT_ONCE:
            self._end(call, tool_error(f"{TOOLS_AT_ONCE} tools are still running"), is_error=True)
            return
        self._tasks[call.call_id] = call, group.create_task(self._run(call), name=f"tool {call.name}")

    def interrupt(self) -> None:
        """Cancel the tools that want it when the user interrupts."""
        for call_id, (call, task) in list(self._tasks.items()):
            if call.name in self._toolbox and self._toolbox[call.name].on_interrupt == "cancel":
                del self._tasks[call_id]
                task.cancel()
                self._end(call, tool_error("cancelled: the user interrupted"), is_error=True, respond=False)

    async def _run(self, call: ev.ToolCall) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        filler = None if self._fill is None else loop.call_later(self._fill_after_s, self._fill)
        try:
            output = await self._toolbox.call(call.name, call.arguments, lambda value: self._progress(call, value))
            is_error = False
        except ToolError as error:
            output, is_error = tool_error(str(error)), True
        finally:
            if filler is not None:
                filler.cancel()
        if self._tasks.pop(call.call_id, None) is not None:
            self._end(call, output, is_error=is_error, duration_s=loop.time() - started)

    def _progress(self, call: ev.ToolCall, value: object) -> None:
        if call.call_id in self._tasks:
            self._tell(ev.ToolProgress(call_id=call.call_id, name=call.name, value=value))

    def _end(
        self, call: ev.ToolCall, output: str, *, is_error: bool, duration_s: float = 0.0, respond: bool | None = None
    ) -> None:
        self._tell(
            ev.ToolResult(call_id=call.call_id, name=call.name, output=output, is_error=is_error, duration_s=duration_s)
        )
        self._answer(call.call_id, output, respond)
