"""Messages of Strands' present releases as items of a Realtime conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strands.types.content import TextBlock
from strands.types.media import ImageBlock
from strands.types.tools import ToolResultBlock

from realtime_voice.strands.history import image_part, new_id, output_items

if TYPE_CHECKING:
    from strands.bidi.types import BidiMessage


def message_items(message: BidiMessage) -> list[dict[str, Any]]:
    """Return the items of one message: its tool results, then its text and images as one user message.

    Raises:
        ValueError: A block that the Realtime API does not take, or none at all.
    """
    if not message.content:
        raise ValueError("the message has no content: send text, images or tool results")
    items: list[dict[str, Any]] = []
    content: list[dict[str, Any]] = []
    for block in message.content:
        if isinstance(block, TextBlock):
            content.append({"type": "input_text", "text": block.text})
        elif isinstance(block, ImageBlock):
            content.append(image_part(block.format, block.source.get("bytes")))
        elif isinstance(block, ToolResultBlock):
            items += output_items(block.tool_use_id, block.content)
        else:
            raise ValueError(  # noqa: TRY004 - the model's contract: content it cannot send is a ValueError
                f"content_type=<{type(block).__name__}> | content not supported by the Realtime API: "
                "send text, images or tool results"
            )
    if content:
        items.append({"id": new_id(), "type": "message", "role": "user", "content": content})
    return items
