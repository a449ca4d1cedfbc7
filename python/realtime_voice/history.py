"""What the server of a new connection is told of the conversation that began on another."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import msgspec

from realtime_voice.conversation import as_text
from realtime_voice.events import ContentPart, Item

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_voice.conversation import Conversation, Entry

    Audio = Callable[[int, int], bytes | None]

HISTORY_BYTES: Final = 4 * 1024 * 1024
"""How much of a conversation is told, the newest first; beyond it a server would truncate anyway."""


def history(conversation: Conversation, audio: Audio, *, settled: bool = False) -> list[Item]:
    """Return the items to tell, in order.

    Words stand for audio: what the user said and what was heard of the agent. What the user said is told by its audio
    where its text is not known; `audio` gives it from its samples, None where it is kept no longer, and then the item
    is left out. With `settled` the list ends before the first item that may still change.
    """
    items: list[Item] = []
    for entry in conversation.entries():
        if settled and (entry.awaits_text or entry.item.status == "in_progress"):
            break
        if (item := _told(entry, audio)) is not None:
            items.append(item)
    return _newest(items)


def _told(entry: Entry, audio: Audio) -> Item | None:
    item = entry.item
    match item.type:
        case "function_call":
            if item.status not in {None, "completed"}:
                return None
            return Item(
                id=item.id, type=item.type, name=item.name, call_id=item.call_id, arguments=item.arguments or "{}"
            )
        case "function_call_output":
            return Item(id=item.id, type=item.type, call_id=item.call_id, output=item.output or "")
    if entry.samples is not None and (heard := audio(*entry.samples)) is not None:
        part = ContentPart(type="input_audio", audio=base64.b64encode(heard).decode())
        return Item(id=item.id, type="message", role="user", content=[part])
    if any(part.image_url for part in item.content or ()):
        return Item(id=item.id, type="message", role=item.role, content=item.content)
    return as_text(entry)


def _newest(items: list[Item]) -> list[Item]:
    """Return the last items that HISTORY_BYTES holds, without the results of calls that are not among them."""
    size, kept = 0, []
    for item in reversed(items):
        size += len(msgspec.json.encode(item))
        if size > HISTORY_BYTES:
            break
        kept.append(item)
    kept.reverse()
    calls = {item.call_id for item in kept if item.type == "function_call"}
    return [item for item in kept if item.type != "function_call_output" or item.call_id in calls]
