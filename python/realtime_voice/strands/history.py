"""A Strands conversation as items of a Realtime one: tools, history, results, images.

Messages are dictionaries, the same in every generation of Strands. Pure functions; each checks everything before it
returns anything, so that nothing is half sent.
"""

from __future__ import annotations

import base64
import json
import logging
import uuid
from typing import TYPE_CHECKING, Any

from realtime_voice.protocol import tool_error
from realtime_voice.tools import RESULT_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

logger = logging.getLogger(__name__)

CALL_ID_LENGTH = 32
"""The Realtime API takes call ids of at most this many characters; other models' in a history may be longer."""

TEXT_FORMATS = ("txt", "md", "csv", "html")
"""Formats of documents whose bytes are text."""

NOT_SHOWN = "not shown: the Realtime API takes text and images only"
"""What the model is told in place of other content of a tool's result."""


def new_id() -> str:
    """Return an id for an item of our own: 32 characters, the longest the Realtime API takes."""
    return uuid.uuid4().hex


def function_tool(spec: Any) -> dict[str, Any]:
    """Return a Strands tool as a function tool of the session."""
    schema: Any = spec["inputSchema"]
    if "json" in schema:
        schema = json.loads(schema["json"]) if isinstance(schema["json"], str) else schema["json"]
    return {"type": "function", "name": spec["name"], "description": spec["description"], "parameters": schema}


def history_items(
    messages: Iterable[Any], pending: Collection[str] = (), heard: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return the items that tell a new session what was said before.

    Of an answer of the agent's that was interrupted, `heard` has what the user heard of it, by its full text. A tool's
    call appears once, where it was made. Its output is the tool's result; a result that is still to come (`pending` has
    its id) is left out, and of a call that never ended the note that it had started is told.

    Raises:
        ValueError: An image of the user's has no bytes.
    """
    messages = list(messages)
    finished = {
        block["toolResult"]["toolUseId"]
        for message in messages
        if not _is_dispatch(message)
        for block in message["content"]
        if "toolResult" in block
    }
    called: set[str] = set()
    answered: set[str] = set()
    items: list[dict[str, Any]] = []
    for message in messages:
        if _bidi(message).get("status") == "incomplete" and _bidi(message).get("kind") == "transcript":
            continue  # a placeholder: nobody said it
        content: list[dict[str, Any]] = []
        for block in message["content"]:
            if block.get("text"):
                if message["role"] == "user":
                    content.append({"type": "input_text", "text": block["text"]})
                elif text := (heard or {}).get(block["text"], block["text"]):
                    content.append({"type": "output_text", "text": text})
            elif "image" in block and message["role"] == "user":
                image = block["image"]
                content.append(image_part(image["format"], image["source"].get("bytes")))
            elif "toolUse" in block:
                use = block["toolUse"]
                call_id = use["toolUseId"]
                if call_id not in called:
                    called.add(call_id)
                    items.append(
                        {
                            "type": "function_call",
                            "call_id": call_id[:CALL_ID_LENGTH],
                            "name": use["name"],
                            "arguments": json.dumps(use["input"]),
                        }
                    )
            elif "toolResult" in block:
                result = block["toolResult"]
                call_id = result["toolUseId"]
                superseded = _is_dispatch(message) and (call_id in finished or call_id in pending)
                if call_id in called and call_id not in answered and not superseded:
                    answered.add(call_id)
                    for item in output_items(call_id[:CALL_ID_LENGTH], result.get("content", [])):
                        del item["id"]
                        items.append(item)
        if content:
            items.append({"type": "message", "role": message["role"], "content": content})
    return items


def _is_dispatch(message: Any) -> bool:
    """Whether the message only notes that its tools were started."""
    return bool(_bidi(message).get("kind") == "tool_dispatch")


def _bidi(message: Any) -> Mapping[str, Any]:
    """Return what Strands' bidirectional agent notes of a message."""
    custom: Any = message.get("metadata", {}).get("custom", {})
    noted: Any = custom.get("bidi", {}) if isinstance(custom, dict) else {}
    return noted if isinstance(noted, dict) else {}


def output_items(call_id: str, content: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the output of a call, and in front of it, as a message, the images that are in it: an output is text.

    Documents that are text are in the output; of what the API does not take, the model is told that it is not shown.
    """
    shown: list[Any] = []
    images: list[dict[str, Any]] = []
    for block in content:
        if "text" in block or "json" in block:
            shown.append(block)
        elif (data := _bytes(block, "image")) is not None:
            images.append(image_part(block["image"]["format"], data))
            shown.append({"image": f"number {len(images)} in the message before this result"})
        elif "document" in block:
            shown.append({"document": _document(block)})
        else:
            shown += [{kind: NOT_SHOWN} for kind in block]
    items: list[dict[str, Any]] = []
    if images:
        words = {"type": "input_text", "text": f"What the tool call {call_id} returned, to be shown with its result:"}
        items.append({"id": new_id(), "type": "message", "role": "user", "content": [words, *images]})
    output = {"type": "function_call_output", "call_id": call_id, "output": _output(call_id, shown)}
    return [*items, {"id": new_id(), **output}]


def _bytes(block: Any, kind: str) -> bytes | None:
    data: bytes | None = block.get(kind, {}).get("source", {}).get("bytes")
    return data


def _document(block: Any) -> dict[str, Any]:
    document, data = block["document"], _bytes(block, "document")
    about = {key: document[key] for key in ("name", "format") if key in document}
    is_text = data is not None and document.get("format") in TEXT_FORMATS
    return {**about, "text": data.decode(errors="replace")} if is_text and data else {**about, "content": NOT_SHOWN}


def _output(call_id: str, content: Sequence[Any]) -> str:
    """Return a result's content as JSON; what is no JSON or too long is a failure of the tool, told to the model."""
    try:
        output = json.dumps(list(content))
    except (TypeError, ValueError, RecursionError) as error:
        reason = f"the tool returned a result that is not JSON: {error}"
    else:
        if len(output) <= RESULT_BYTES:
            return output
        reason = f"the result of the tool has {len(output)} bytes, more than the {RESULT_BYTES} allowed"
    logger.warning("tool_use_id=<%s> | %s: the model is told so", call_id, reason)
    return tool_error(reason)


def image_part(kind: str, data: bytes | None) -> dict[str, Any]:
    """Return an image's bytes as a part of a message. Raises ValueError when there are none."""
    if data is None:
        raise ValueError("image source must contain bytes for the Realtime API; it takes no other source")
    return {"type": "input_image", "image_url": f"data:image/{kind};base64,{base64.b64encode(data).decode()}"}
