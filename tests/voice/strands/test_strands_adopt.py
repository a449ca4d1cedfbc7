"""Functions and the project's own tools as tools of a Strands agent."""

from __future__ import annotations

import json
from typing import Any

import pytest
import strands
import strands_tools.calculator
from realtime_voice import tool
from realtime_voice.strands.adopt import adopt
from strands.tools.registry import ToolRegistry


def double(x: int) -> int:
    """Double a number."""
    if x > 100:
        raise OverflowError("too large")
    return 2 * x


async def called(adopted: Any, **arguments: Any) -> dict[str, Any]:
    use = {"toolUseId": "u", "name": adopted.tool_name, "input": arguments}
    (event,) = [event async for event in adopted.stream(use, {"agent": None})]
    return dict(event.tool_result)


@pytest.mark.parametrize("own", [double, tool(double)])
async def test_functions_and_tools_are_taken_with_their_schema(own: Any) -> None:
    adopted = adopt(own)
    registry = ToolRegistry()
    assert registry.process_tools([adopted]) == ["double"]
    specification = registry.get_all_tools_config()["double"]
    assert specification["description"] == "Double a number."
    assert specification["inputSchema"]["json"]["properties"]["x"]["type"] == "integer"
    assert specification["inputSchema"]["json"]["required"] == ["x"]
    assert json.dumps(specification)
    assert await called(adopted, x=21) == {"toolUseId": "u", "status": "success", "content": [{"text": "42"}]}


@pytest.mark.parametrize(("x", "words"), [("many", "wrong arguments for double"), (101, "OverflowError: too large")])
async def test_errors_are_results(x: object, words: str) -> None:
    result = await called(adopt(double), x=x)
    assert result["status"] == "error"
    assert words in result["content"][0]["text"]


@pytest.mark.parametrize("own", [strands.tool(double), strands_tools.calculator])
def test_tools_of_strands_stay_as_they_are(own: Any) -> None:
    assert adopt(own) is own


@pytest.mark.parametrize("other", [3, "f", {"name": "f"}, json.decoder])
def test_what_is_no_tool_is_refused(other: object) -> None:
    with pytest.raises(TypeError, match="tool"):
        adopt(other)
