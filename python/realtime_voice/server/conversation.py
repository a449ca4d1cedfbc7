"""The items of one conversation, in order, with their audio. No I/O."""

from dataclasses import dataclass, field

import msgspec

from realtime_voice.events import ContentPart, Item
from realtime_voice.server.configuration import Refused

MAX_ITEMS = 4096
MAX_AUDIO_BYTES = 64 * 1024 * 1024
"""Audio kept for `conversation.item.retrieve`; beyond it the oldest is forgotten."""

MAX_SHOWN_IMAGES = 512 * 1024
"""Characters of images in one item that events carry; more comes only with `conversation.item.retrieved`."""


@dataclass(slots=True)
class Entry:
    """One item with what the wire does not show of it."""

    item: Item
    audio: bytearray = field(default_factory=bytearray)
    """Its audio in the wire format it came or went in."""
    audio_bytes: int = 0
    """Length of its audio, also when that has been forgotten."""
    bytes_per_ms: int = 48
    part_ends: list[int] = field(default_factory=list)
    """Where the audio of each part of a client's item ends; empty where one part has it all."""
    heard: str | None = None
    """What the recognizer understood of user audio; None until it is known."""


class Conversation:
    """An ordered list of items with unique ids."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def __contains__(self, item_id: object) -> bool:
        return any(entry.item.id == item_id for entry in self.entries)

    @property
    def last_id(self) -> str | None:
        """Id of the last item."""
        return self.entries[-1].item.id if self.entries else None

    def previous_id(self, item_id: str) -> str | None:
        """Return the id of the item before `item_id` (None for the first)."""
        index = self._index(item_id)
        return self.entries[index - 1].item.id if index else None

    def find(self, item_id: str | None) -> Entry | None:
        """Return the entry of `item_id`, None when there is none."""
        return next((entry for entry in self.entries if entry.item.id == item_id), None)

    def add(self, entry: Entry, previous_item_id: str | None = None) -> str | None:
        """Insert an item at the end, at the front ("root") or after `previous_item_id`.

        Returns:
            The id of the item before it.

        Raises:
            Refused: the id exists, the previous item does not, or the conversation is full.

        """
        if entry.item.id in self:
            raise Refused(
                f"Error adding item: an item with id '{entry.item.id}' already exists.",
                "item_create_duplicate_item_id",
                "item.id",
            )
        if len(self.entries) >= MAX_ITEMS:
            raise Refused(f"Error adding item: a conversation holds at most {MAX_ITEMS} items; delete some first.")
        if previous_item_id is None:
            index = len(self.entries)
        elif previous_item_id == "root":
            index = 0
        elif previous_item_id in self:
            index = self._index(previous_item_id) + 1
        else:
            raise Refused(
                f"Error adding item: the previous item with id '{previous_item_id}' does not exist.",
                "item_create_invalid_previous_item_id",
                "previous_item_id",
            )
        self.entries.insert(index, entry)
        return self.entries[index - 1].item.id if index else None

    def delete(self, item_id: str) -> None:
        """Remove an item. Raises Refused when there is none."""
        self.entries.remove(self._require(item_id, "deleting", "item_delete_invalid_item_id"))

    def retrieve(self, item_id: str) -> Entry:
        """Return an item. Raises Refused when there is none."""
        return self._require(item_id, "retrieving", "item_retrieve_invalid_item_id")

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Cut the audio of an agent's item to what was heard and drop its transcript.

        Raises:
            Refused: no such item or part, not the agent's audio, or shorter already.

        """
        entry = self._require(item_id, "truncating", "item_truncate_invalid_item_id")
        parts = entry.item.content or []
        if entry.item.role != "assistant" or not any(part.type == "output_audio" for part in parts):
            raise Refused("Only model output audio messages can be truncated", None, "item_id")
        if not 0 <= content_index < len(parts):
            raise Refused(f"Invalid content_index {content_index}: the item has {len(parts)}.", param="content_index")
        have_ms = entry.audio_bytes // entry.bytes_per_ms
        if not 0 <= audio_end_ms <= have_ms:
            raise Refused(
                f"Audio content of {have_ms}ms is already shorter than {audio_end_ms}ms"
                if audio_end_ms > have_ms
                else f"Invalid audio_end_ms {audio_end_ms}: expected 0 or more.",
                param="audio_end_ms",
            )
        entry.audio_bytes = audio_end_ms * entry.bytes_per_ms
        del entry.audio[entry.audio_bytes :]
        parts[content_index].transcript = msgspec.UNSET

    def limit_audio(self) -> None:
        """Forget the oldest audio beyond MAX_AUDIO_BYTES."""
        total = sum(len(entry.audio) for entry in self.entries)
        for entry in self.entries:
            if total <= MAX_AUDIO_BYTES:
                return
            total -= len(entry.audio)
            entry.audio.clear()

    def _index(self, item_id: str) -> int:
        return next(index for index, entry in enumerate(self.entries) if entry.item.id == item_id)

    def _require(self, item_id: str, doing: str, code: str) -> Entry:
        if (entry := self.find(item_id)) is None:
            raise Refused(f"Error {doing} item: the item with id '{item_id}' does not exist.", code, "item_id")
        return entry


_CONTENT = {
    "system": frozenset({"input_text"}),
    "user": frozenset({"input_text", "input_audio", "input_image"}),
    "assistant": frozenset({"output_text"}),
}
_REQUIRED = {
    "message": ("role", "content"),
    "function_call": ("name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "mcp_approval_response": ("approval_request_id", "approve"),
    "mcp_list_tools": ("server_label", "tools"),
    "mcp_call": ("server_label", "name", "arguments"),
    "mcp_approval_request": ("server_label", "name", "arguments"),
}
_FIELD = {"input_text": "text", "output_text": "text", "input_audio": "audio", "input_image": "image_url"}


def checked(item: Item, new_id: str, path: str = "item") -> Item:
    """Return a client's item as the conversation keeps it: with an id and a status.

    Raises:
        Refused: the kind is unknown, a required field is missing, or a part does not belong into it.

    """
    if item.type not in _REQUIRED:
        raise Refused(
            f"Invalid value: {item.type!r}. Supported values are: {', '.join(map(repr, _REQUIRED))}.",
            param=f"{path}.type",
        )
    for key in _REQUIRED[item.type]:
        if getattr(item, key) is None:
            raise Refused(f"Missing required parameter: '{path}.{key}'.", "missing_required_parameter", f"{path}.{key}")
    if item.type == "message":
        _check_message(item, path)
    return msgspec.structs.replace(
        item, id=item.id or new_id, object=None, status=None if item.type.startswith("mcp") else "completed"
    )


def _check_message(item: Item, path: str) -> None:
    if item.role not in _CONTENT:
        raise Refused(
            f"Invalid value: {item.role!r}. Supported values are: {', '.join(map(repr, _CONTENT))}.",
            param=f"{path}.role",
        )
    for index, part in enumerate(item.content or []):
        at = f"{path}.content[{index}]"
        if part.type not in _CONTENT[item.role]:
            supported = ", ".join(map(repr, sorted(_CONTENT[item.role])))
            raise Refused(f"Invalid value: {part.type!r}. Supported values are: {supported}.", param=f"{at}.type")
        name = _FIELD[part.type]
        if getattr(part, name) is None:
            raise Refused(f"Missing required parameter: '{at}.{name}'.", "missing_required_parameter", f"{at}.{name}")
        if part.type == "input_image" and not str(part.image_url).startswith("data:image/"):
            raise Refused("Invalid image_url: expected a data: URI of a PNG or JPEG image.", param=f"{at}.image_url")


def shown(item: Item) -> Item:
    """Return a copy of `item` as events show it: without audio data, and frozen against later changes."""
    if item.content is None:
        return msgspec.structs.replace(item)
    content = [msgspec.structs.replace(part, audio=None) for part in item.content]
    return msgspec.structs.replace(item, content=content)


def announced(item: Item) -> Item:
    """Return what `added` and `done` show of a client's item: large images are left out, for frames below 1 MiB."""
    if sum(len(part.image_url or "") for part in item.content or []) > MAX_SHOWN_IMAGES:
        return without_images(item)
    return shown(item)


def without_images(item: Item) -> Item:
    """Return an item without its audio and its images."""
    item = shown(item)
    for part in item.content or []:
        part.image_url = None
    return item


def text_of(part: ContentPart) -> str:
    """Return the words of a part, "" when it has none."""
    return part.text or (part.transcript if isinstance(part.transcript, str) else "") or ""
