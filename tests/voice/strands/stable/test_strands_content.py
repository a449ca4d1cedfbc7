"""Strands content as conversation items."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from realtime_voice.strands.history import NOT_SHOWN, function_tool, history_items
from realtime_voice.strands.stable.content import message_items
from realtime_voice.tools import RESULT_BYTES
from strands.bidi.types import AudioDelta, BidiMessage
from strands.types.content import TextBlock
from strands.types.media import ImageBlock
from strands.types.tools import ToolResultBlock


def user(**block: Any) -> dict[str, Any]:
    return {"role": "user", "content": [block]}


def assistant(**block: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": [block]}


def call(call_id: str) -> dict[str, Any]:
    return assistant(toolUse={"toolUseId": call_id, "name": "f", "input": {"x": 1}})


def result(call_id: str, text: str, *, dispatch: bool = False) -> dict[str, Any]:
    kind = "tool_dispatch" if dispatch else "tool_result"
    message = user(toolResult={"toolUseId": call_id, "status": "success", "content": [{"text": text}]})
    return {**message, "metadata": {"custom": {"bidi": {"kind": kind}}}}


def test_text_and_images_are_one_message_in_order() -> None:
    image = ImageBlock(format="jpeg", source={"bytes": b"image"})
    (item,) = message_items(BidiMessage([TextBlock("Look:"), image, TextBlock("What is it?")]))
    assert len(item.pop("id")) == 32
    assert item == {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Look:"},
            {"type": "input_image", "image_url": "data:image/jpeg;base64,aW1hZ2U="},
            {"type": "input_text", "text": "What is it?"},
        ],
    }


def test_tool_results_keep_their_structure() -> None:
    content: list[Any] = [{"text": "Part 1"}, {"json": {"a": 1}}]
    blocks = [ToolResultBlock("c1", "success", content), ToolResultBlock("c2", "error", [{"text": "no"}])]
    items = message_items(BidiMessage(list(blocks)))
    assert [(item["type"], item["call_id"]) for item in items] == [
        ("function_call_output", "c1"),
        ("function_call_output", "c2"),
    ]
    assert json.loads(items[0]["output"]) == content


IMAGE: Any = {"image": {"format": "png", "source": {"bytes": b"image"}}}
ELSEWHERE: Any = {"image": {"format": "png", "source": {"location": {"type": "s3", "uri": "s3://bucket/a.png"}}}}


def test_images_of_a_result_are_shown_in_front_of_it() -> None:
    block = ToolResultBlock("c1", "success", [IMAGE, {"text": "Two views."}, IMAGE])
    shown, output = message_items(BidiMessage([block]))
    assert (shown["type"], shown["role"]) == ("message", "user")
    words, *images = shown["content"]
    assert "c1" in words["text"]
    assert images == 2 * [{"type": "input_image", "image_url": "data:image/png;base64,aW1hZ2U="}]
    first, text, second = json.loads(output["output"])
    assert (first["image"], second["image"]) == tuple(f"number {n} in the message before this result" for n in (1, 2))
    assert text == {"text": "Two views."}
    history = history_items([call("c1"), user(toolResult={"toolUseId": "c1", "status": "success", "content": [IMAGE]})])
    assert kinds(history) == ["function_call c1", "message user", "function_call_output c1"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            {"document": {"format": "csv", "name": "sums", "source": {"bytes": b"a,b\n1,2"}}},
            {"document": {"name": "sums", "format": "csv", "text": "a,b\n1,2"}},
        ),
        (
            {"document": {"format": "pdf", "name": "letter", "source": {"bytes": b"%PDF"}}},
            {"document": {"name": "letter", "format": "pdf", "content": NOT_SHOWN}},
        ),
        ({"document": {}}, {"document": {"content": NOT_SHOWN}}),
        ({"video": {"format": "mp4", "source": {"bytes": b"video"}}}, {"video": NOT_SHOWN}),
        (ELSEWHERE, {"image": NOT_SHOWN}),
    ],
)
def test_of_a_result_that_cannot_be_shown_the_model_is_told(content: Any, told: Any) -> None:
    (item,) = message_items(BidiMessage([ToolResultBlock("c1", "success", [content])]))
    assert json.loads(item["output"]) == [told]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"json": {"a": object()}}, "not JSON: Object of type object"),
        ({"text": "x" * RESULT_BYTES}, f"more than the {RESULT_BYTES} allowed"),
    ],
)
def test_a_result_that_cannot_be_told_is_told_as_a_failure(
    content: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        (item,) = message_items(BidiMessage([ToolResultBlock("c1", "success", [content])]))
    assert item["call_id"] == "c1"
    assert words in json.loads(item["output"])["error"]
    assert words in caplog.text


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (ImageBlock(format="png", source={}), "image source must contain bytes"),
        (AudioDelta(format="mp3", source={"bytes": b"x"}), "content not supported"),
    ],
)
def test_what_the_model_does_not_take(block: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        message_items(BidiMessage([TextBlock("Hello"), block]))


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(ValueError, match="the message has no content"):
        message_items(BidiMessage([]))


@pytest.mark.parametrize("as_text", [True, False])
def test_function_tool(as_text: bool) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    spec: Any = {"name": "f", "description": "d", "inputSchema": {"json": json.dumps(schema) if as_text else schema}}
    assert function_tool(spec) == {"type": "function", "name": "f", "description": "d", "parameters": schema}
    assert function_tool({**spec, "inputSchema": schema})["parameters"] == schema


def kinds(items: list[dict[str, Any]]) -> list[str]:
    return [f"{item['type']} {item.get('call_id', item.get('role', ''))}" for item in items]


def test_history_in_order() -> None:
    image = {"format": "png", "source": {"bytes": b"x"}}
    items = history_items(
        [
            user(text="Hi"),
            assistant(text="Hello"),
            user(image=image),
            assistant(reasoningContent={"reasoningText": {"text": "hm"}}),
            {"role": "user", "content": []},
            user(text=""),
            call("c1"),
            result("c1", "42"),
        ]
    )
    assert kinds(items) == [
        "message user",
        "message assistant",
        "message user",
        "function_call c1",
        "function_call_output c1",
    ]
    assert items[0]["content"] == [{"type": "input_text", "text": "Hi"}]
    assert items[1]["content"] == [{"type": "output_text", "text": "Hello"}]
    assert items[2]["content"][0]["type"] == "input_image"
    assert json.loads(items[3]["arguments"]) == {"x": 1}
    assert json.loads(items[4]["output"]) == [{"text": "42"}]


def test_of_an_interrupted_answer_what_was_heard() -> None:
    messages = [assistant(text="One two three."), user(text="One two three."), assistant(text="Never heard.")]
    items = history_items(messages, heard={"One two three.": "One two", "Never heard.": ""})
    assert [item["content"][0]["text"] for item in items] == ["One two", "One two three."]


def test_each_call_and_each_result_once() -> None:
    dispatched = [call("c1"), result("c1", "started", dispatch=True)]
    finished = [*dispatched, assistant(text="Wait."), call("c1"), result("c1", "42")]
    items = history_items(finished)
    assert kinds(items) == ["function_call c1", "message assistant", "function_call_output c1"]
    assert json.loads(items[-1]["output"]) == [{"text": "42"}]
    assert kinds(history_items(dispatched, pending={"c1"})) == ["function_call c1"]
    assert json.loads(history_items(dispatched)[-1]["output"]) == [{"text": "started"}]
    assert history_items([result("orphan", "42")]) == []


def test_long_call_ids_are_cut_alike() -> None:
    items = history_items([call("c" * 40), result("c" * 40, "42")])
    assert {item["call_id"] for item in items} == {"c" * 32}
    live = message_items(BidiMessage([ToolResultBlock("c" * 40, "success", [{"text": "42"}])]))
    assert live[0]["call_id"] == "c" * 40  # the peer's own id comes back as it was
