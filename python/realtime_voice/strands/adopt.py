"""Functions and the project's own tools as tools of a Strands agent, which leaves out what it does not know."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from strands.tools import PythonAgentTool
from strands.tools.loader import load_tools_from_module
from strands.types.tools import AgentTool

from realtime_voice.errors import ToolError
from realtime_voice.tools import Tool, Toolbox

if TYPE_CHECKING:
    from strands.types.tools import ToolResult, ToolUse


def adopt(tool: Any) -> AgentTool | ModuleType:
    """Make a tool that a Strands agent takes: its own (modules of tools too) as they are, functions and Tools wrapped.

    A wrapped tool keeps the rules of Toolbox: arguments are checked, time and result are bounded, and whatever goes
    wrong is a result with the status "error". Raises TypeError or ValueError for what is no tool.
    """
    if isinstance(tool, AgentTool):
        return tool
    if isinstance(tool, ModuleType):
        try:
            load_tools_from_module(tool, tool.__name__.rpartition(".")[2])
        except AttributeError:
            raise TypeError(f"the module {tool.__name__} has no Strands tools") from None
        return tool
    if not callable(tool):
        raise TypeError(f"a tool is a function, a Tool or a Strands tool, not {type(tool).__name__}")
    own = tool if isinstance(tool, Tool) else Tool(tool)
    toolbox = Toolbox([own])

    async def call(tool_use: ToolUse, **_invocation_state: Any) -> ToolResult:
        try:
            text = await toolbox.call(own.name, tool_use["input"])
        except ToolError as error:
            return {"toolUseId": tool_use["toolUseId"], "status": "error", "content": [{"text": str(error)}]}
        return {"toolUseId": tool_use["toolUseId"], "status": "success", "content": [{"text": text}]}

    return PythonAgentTool(
        own.name,
        {"name": own.name, "description": own.description or own.name, "inputSchema": {"json": own.parameters}},
        call,
    )
