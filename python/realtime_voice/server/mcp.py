"""Hosted MCP servers as the session sees them: which tools they list, which need approval, what a call gives. No I/O.

The real service reaches them over the network; here they are scripted (RealtimeServer's `mcp`).
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from realtime_voice.events import Item
from realtime_voice.server.interfaces import Json


@dataclass(frozen=True, slots=True)
class McpFailure:
    """A call that fails."""

    message: str
    type: Literal["tool_execution_error", "protocol_error", "http_error"] = "tool_execution_error"
    code: int = 0
    """Of a protocol or an HTTP error."""


McpOutput = str | McpFailure


@dataclass(frozen=True, slots=True)
class McpTool:
    """A tool of a scripted MCP server: its output, or a function (plain or async) that makes it from the arguments."""

    name: str
    output: McpOutput | Callable[[Mapping[str, Any]], McpOutput | Awaitable[McpOutput]] = ""
    description: str = ""
    input_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    delay_s: float = 0.0

    @property
    def listed(self) -> dict[str, Any]:
        """The tool as mcp_list_tools shows it."""
        return {"name": self.name, "description": self.description, "input_schema": dict(self.input_schema)}

    @property
    def function(self) -> dict[str, Any]:
        """The tool as a brain and the ears see it: a function as any other."""
        return {
            "type": "function", "name": self.name, "description": self.description,
            "parameters": dict(self.input_schema),
        }  # fmt: skip


McpServers = Mapping[str, Sequence[McpTool]]
"""Scripted MCP servers by their label."""


def allowed(config: Json, servers: McpServers) -> list[McpTool] | None:
    """Return the tools that a session's `mcp` tool opens to the model; None when there is no such server."""
    tools = servers.get(str(config.get("server_label")))
    if tools is None:
        return None
    names = _names(config.get("allowed_tools"))
    return [tool for tool in tools if names is None or tool.name in names]


def needs_approval(config: Json, name: str) -> bool:
    """Return whether the client must approve a call; it must where the session does not say otherwise."""
    wanted = config.get("require_approval")
    if isinstance(wanted, Mapping):
        never, always = _names(wanted.get("never")), _names(wanted.get("always"))
        return name not in (never or ()) if never is not None else name in (always or ())
    return wanted != "never"


def _names(of: Any) -> list[str] | None:
    if isinstance(of, Mapping):
        of = of.get("tool_names")
    return [str(name) for name in of] if isinstance(of, list | tuple) else None


def find(name: str, tools: Sequence[Json], servers: McpServers) -> tuple[Json, McpTool] | None:
    """Return the MCP tool called `name` and the session's `mcp` tool it belongs to; functions come first."""
    if any(tool.get("type", "function") == "function" and tool.get("name") == name for tool in tools):
        return None
    found = (
        (config, tool)
        for config in tools
        if config.get("type") == "mcp"
        for tool in allowed(config, servers) or ()
        if tool.name == name
    )
    return next(found, None)


def as_functions(tools: Sequence[Json], servers: McpServers) -> list[Json]:
    """Return the session's tools with those of MCP servers as functions, for brain and ears."""
    return [function for tool in tools for function in _functions(tool, servers)]


def _functions(tool: Json, servers: McpServers) -> list[Json]:
    if tool.get("type") != "mcp":
        return [tool]
    return [each.function for each in allowed(tool, servers) or ()]


def as_calls(item: Item) -> Iterator[Item]:
    """Yield an item as a brain sees it: a hosted call is a function call and its output; more of MCP is not seen."""
    if item.type == "mcp_call":
        yield Item(type="function_call", call_id=item.id, name=item.name, arguments=item.arguments)
        output = item.output if item.error is None else f"Error: {item.error.message}"
        if output is not None:
            yield Item(type="function_call_output", call_id=item.id, output=output)
    elif not item.type.startswith("mcp_"):
        yield item
