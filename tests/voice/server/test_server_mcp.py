"""Hosted MCP tools from scripted servers: listing, calls, approval, failures, and what the mind sees of them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from realtime_voice.server import Call, McpFailure, McpTool, Say, Scripted
from realtime_voice.server.mcp import as_calls, needs_approval

SCHEMA = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}


async def search(arguments: Any) -> str:
    await asyncio.sleep(0)
    return f"Nothing about {arguments['query']}."


def broken(arguments: Any) -> str:
    raise LookupError(arguments["query"])


SERVERS = {
    "docs": [
        McpTool("search", search, "Searches.", SCHEMA),
        McpTool("broken", broken, input_schema=SCHEMA),
        McpTool("gone", McpFailure("Not found.", "http_error", 404)),
        McpTool("slow", "late", delay_s=30),
    ]
}
DOCS = {"type": "mcp", "server_label": "docs", "server_url": "http://docs", "require_approval": "never"}
LADDER = [
    "response.output_item.added", "conversation.item.added", "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done", "response.mcp_call.in_progress",
]  # fmt: skip
END = ["conversation.item.done", "response.output_item.done"]


@pytest.fixture
async def client(start: Any, connect: Any) -> Any:
    async with start(mcp=SERVERS) as server, connect(server) as opened:
        await opened.until("session.created")
        yield opened


async def test_tools_are_listed_once_and_again_when_changed(client: Any) -> None:
    await client.update(tools=[DOCS])
    done = await client.until("conversation.item.done")
    assert client.names()[2:] == [
        "conversation.item.added", "mcp_list_tools.in_progress", "mcp_list_tools.completed", "conversation.item.done",
    ]  # fmt: skip
    assert [tool["name"] for tool in done["item"]["tools"]] == ["search", "broken", "gone", "slow"]
    assert done["item"]["tools"][0] == {"name": "search", "description": "Searches.", "input_schema": SCHEMA}
    await client.update(instructions="x")
    await client.nothing_more()
    await client.update(tools=[{**DOCS, "allowed_tools": {"tool_names": ["gone"]}}])
    done = await client.until("conversation.item.done")
    assert [tool["name"] for tool in done["item"]["tools"]] == ["gone"]


async def test_server_that_is_not_there(client: Any) -> None:
    await client.update(tools=[{**DOCS, "server_label": "other"}])
    await client.until("mcp_list_tools.failed")
    assert (await client.until("conversation.item.done"))["item"]["tools"] == []


async def test_call_and_the_answer_the_client_asks_for(client: Any, mind: Any) -> None:
    mind.answers = [[Say("One moment."), Call("search", {"query": "rain"})], [Say("Nothing.")]]
    await client.update(tools=[DOCS])
    await client.until("conversation.item.done")
    await client.send("response.create", response={"output_modalities": ["text"]})
    await client.until("response.output_item.done")
    client.forget()
    _, call = (await client.until("response.done"))["response"]["output"]
    assert client.names() == [*LADDER, "response.mcp_call.completed", *END, "response.done"]
    assert (call["name"], call["server_label"], call["arguments"]) == ("search", "docs", '{"query":"rain"}')
    assert call["output"] == "Nothing about rain."
    assert client.log[0]["item"]["arguments"] == ""
    assert mind.contexts[0].tools[0]["parameters"] == SCHEMA, "the mind sees functions"
    await client.until("rate_limits.updated")
    await client.nothing_more()
    await client.send("response.create")
    await client.until("response.done")
    assert [item.type for item in mind.contexts[1].items[-2:]] == ["function_call", "function_call_output"]
    assert mind.contexts[1].items[-1].output == "Nothing about rain."


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("broken", {"type": "tool_execution_error", "message": "LookupError: x"}),
        ("gone", {"type": "http_error", "message": "Not found.", "code": 404}),
    ],
)
async def test_calls_that_fail(client: Any, mind: Any, name: str, error: Any) -> None:
    mind.answers = [[Call(name, {"query": "x"})]]
    await client.update(tools=[DOCS])
    await client.send("response.create")
    await client.until("response.mcp_call.failed")
    call = (await client.until("response.done"))["response"]["output"][0]
    assert call["error"] == error
    assert "output" not in call
    assert [item.output for item in list(as_calls(client_item(call)))[1:]] == [f"Error: {error['message']}"]


def client_item(call: Any) -> Any:
    from msgspec import convert
    from realtime_voice.events import Item

    return convert(call, Item)


async def test_interruption_ends_a_running_call(client: Any, mind: Any) -> None:
    mind.answers = [[Call("slow")]]
    await client.update(tools=[DOCS])
    await client.send("response.create")
    await client.until("response.mcp_call.in_progress")
    await client.send("response.cancel")
    await client.until("response.mcp_call.failed")
    done = (await client.until("response.done"))["response"]
    assert done["status"] == "cancelled"
    assert done["output"][0]["error"]["message"] == "The response was cut."


@pytest.mark.parametrize("approve", [True, False])
async def test_approval(client: Any, mind: Any, approve: bool) -> None:
    mind.answers = [[Call("search", {"query": "rain"})]]
    await client.update(tools=[{**DOCS, "require_approval": "always"}])
    await client.until("conversation.item.done")
    client.forget()
    await client.send("response.create")
    request = (await client.until("response.done"))["response"]["output"][0]
    assert client.names() == [
        "response.created", "response.output_item.added", "conversation.item.added", *END, "response.done",
    ]  # fmt: skip
    assert (request["type"], request["name"]) == ("mcp_approval_request", "search")
    await client.until("rate_limits.updated")
    client.forget()
    answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": approve}
    await client.send("conversation.item.create", item=answer)
    await client.until("conversation.item.done")
    if approve:
        call = (await client.until("conversation.item.done"))["item"]
        assert client.names()[2:] == [
            "conversation.item.added", "response.mcp_call.in_progress", "response.mcp_call.completed",
            "conversation.item.done",
        ]  # fmt: skip
        assert (call["output"], call["approval_request_id"]) == ("Nothing about rain.", request["id"])
    await client.nothing_more()
    error = await client.refused("conversation.item.create", item={**answer, "approval_request_id": "nobody"})
    assert error["param"] == "item.approval_request_id"


@pytest.mark.parametrize(
    ("key", "value", "param"),
    [
        ("require_approval", "sometimes", "require_approval"),
        ("require_approval", {"never": {"tool_names": "f"}}, "require_approval.never.tool_names"),
        ("allowed_tools", [1], ""),
        ("allowed_tools", {"tool_names": [1]}, "allowed_tools.tool_names"),
        ("allowed_callers", ["me"], "allowed_callers[0]"),
        ("connector_id", "connector_x", "connector_id"),
    ],
)
async def test_wrong_settings_are_refused(client: Any, key: str, value: Any, param: str) -> None:
    error = await client.refused("session.update", session={"type": "realtime", "tools": [{**DOCS, key: value}]})
    assert error["code"] in {"invalid_value", "invalid_type"}
    assert param in (error["param"] or "")
    await client.nothing_more()


async def test_approval_of_what_a_client_made_up(client: Any) -> None:
    await client.update(tools=[DOCS])
    await client.until("conversation.item.done")
    request = {"type": "mcp_approval_request", "id": "mine", "server_label": "docs", "name": "search", "arguments": "{"}
    await client.send("conversation.item.create", item=request)
    await client.until("conversation.item.done")
    answer = {"type": "mcp_approval_response", "approval_request_id": "mine", "approve": True}
    assert "no JSON object" in (await client.refused("conversation.item.create", item=answer))["message"]
    await client.nothing_more()


@pytest.mark.parametrize(
    ("wanted", "needed"),
    [(None, True), ("always", True), ("never", False), ({"never": {"tool_names": ["f"]}}, False),
     ({"never": {"tool_names": ["g"]}}, True), ({"always": {"tool_names": ["g"]}}, False)],
)  # fmt: skip
def test_which_calls_need_approval(wanted: Any, needed: bool) -> None:
    assert needs_approval({"require_approval": wanted}, "f") is needed


async def test_functions_come_before_hosted_tools(client: Any, mind: Any) -> None:
    mind.answers = [[Call("search", {"query": "x"})]]
    await client.update(tools=[DOCS, {"type": "function", "name": "search"}])
    await client.send("response.create")
    assert (await client.until("response.done"))["response"]["output"][0]["type"] == "function_call"


async def test_servers_of_a_script(start: Any, connect: Any, tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    tools = [{"name": "search", "output": "sunny"}, {"name": "gone", "fail": {"message": "no", "type": "http_error"}}]
    rules = [
        {"result": "search", "do": [{"say": "It is {result}."}]},
        {"starts": True, "do": [{"call": "search"}, {"call": "gone"}]},
    ]
    await asyncio.to_thread(path.write_text, json.dumps({"rules": rules, "mcp": {"docs": tools}}))
    async with start(brain=Scripted.load(path)) as server, connect(server) as client:
        await client.until("session.created")
        await client.update(tools=[DOCS])
        await client.send("response.create", response={"input": []})
        first, second = (await client.until("response.done"))["response"]["output"]
        assert (first["output"], second["error"]["message"]) == ("sunny", "no")
        await client.until("rate_limits.updated")
        reference = {"type": "item_reference", "id": first["id"]}
        await client.send("response.create", response={"input": [reference], "output_modalities": ["text"]})
        said = (await client.until("response.done"))["response"]["output"][0]
        assert said["content"][0]["text"] == "It is sunny."
