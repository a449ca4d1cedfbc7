"""Tools of every kind, asked for by voice: the server hears, the model calls, Strands runs, the answer is spoken."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from mcp import StdioServerParameters, stdio_client
from strands import Agent, tool
from strands.models import Model
from strands.tools.mcp import MCPClient
from strands_tools import calculator, current_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Expert(Model):
    """A model of an agent of text, which knows one thing."""

    def update_config(self, **model_config: Any) -> None: ...

    def get_config(self) -> Any:
        return {}

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        question = messages[-1]["content"][0]["text"]
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockDelta": {"delta": {"text": f"{question} are mammals"}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn"}}


def of_python() -> Any:
    @tool
    def get_order(number: int) -> dict[str, Any]:
        """Find an order.

        Args:
            number: Which one.
        """
        return {"status": "success", "content": [{"json": {"order": number, "state": "shipped"}}]}

    return get_order


def of_mcp() -> Any:
    server = StdioServerParameters(command=sys.executable, args=[str(Path(__file__).with_name("weather_server.py"))])
    return MCPClient(lambda: stdio_client(server))


def of_an_agent() -> Any:
    return Agent(Expert(), callback_handler=None).as_tool(name="ask_expert", description="Ask who knows about animals.")


class Case(NamedTuple):
    make: Callable[[], Any]
    sentence: str
    name: str
    given: dict[str, Any]
    result: str
    spoken: str


CASES = {
    "calculator": Case(
        lambda: calculator, "what is six times seven", "calculator", {"expression": "6 * 7"}, "42", "forty two"
    ),
    "current_time": Case(lambda: current_time, "current time", "current_time", {}, "+00:00", "two thousand"),
    "tool": Case(of_python, "get order seven", "get_order", {"number": 7}, "shipped", "order seven state shipped"),
    "mcp": Case(
        of_mcp, "what is the weather in paris", "get_weather", {"city": "paris"}, "sunny in paris", "sunny in paris"
    ),
    "agent": Case(
        of_an_agent, "ask the expert about whales", "ask_expert", {"input": "whales"}, "mammals", "whales are mammals"
    ),
}


@pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning")  # strands_tools, of its own
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_a_tool_is_called_by_voice(conversation: Any, case: Case) -> None:
    async with conversation(case.sentence, tools=[case.make()]) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.said("assistant")))
        assert talk.outputs.said("user") == [case.sentence]
        blocks = [block for message in talk.agent.messages for block in message["content"]]
        uses = [block["toolUse"] for block in blocks if "toolUse" in block]
        results = [block["toolResult"] for block in blocks if "toolResult" in block]
        assert {use["name"] for use in uses} == {case.name}
        assert uses[-1]["input"] == case.given
        assert len({use["toolUseId"] for use in uses}) == 1
        assert results[-1]["status"] == "success"
        assert case.result in str(results[-1]["content"])
        assert case.spoken in talk.outputs.said("assistant")[0]
