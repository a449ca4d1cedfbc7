"""What was said: the items of a conversation in their order, with the texts of both sides."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field, structs

from realtime_voice.events import (
    AgentTranscript,
    ContentPart,
    Item,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    UserTranscript,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_voice.events import ResponsePartEvent

REMEMBERED: Final = 1024
"""How many items, requests and calls are remembered; older ones are forgotten."""
MS_PER_CHARACTER: Final = 65
"""Pace of speech, for a text that runs ahead of its audio."""


class Entry(Struct):
    """One item: its texts by part, whether its audio is complete, and what was heard of it when it was cut."""

    item: Item
    texts: dict[int, str] = field(default_factory=dict)
    is_spoken: bool = False
    """The texts are those of its audio."""
    audio_done: bool = False
    received_ms: float = 0.0
    heard: str | None = None
    audio_start_ms: int | None = None
    samples: tuple[int, int] | None = None
    """Where the audio of what the user said lies in all that was sent in the session; None once its text is known."""
    awaits_text: bool = False
    """A transcript is still to come."""


class Conversation:
    """The items the server told of, ordered by `previous_item_id`, whenever their events and transcripts came."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._order: list[str] = []
        self._speech_starts: OrderedDict[str, int] = OrderedDict()

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._entries

    def get(self, item_id: str) -> Entry | None:
        """Return what is known of an item."""
        return self._entries.get(item_id)

    def speech_started(self, item_id: str, audio_start_ms: int) -> None:
        """Note when the user began to speak an item that is still to come."""
        self._speech_starts[item_id] = audio_start_ms
        bound(self._speech_starts)

    def update(self, item: Item) -> None:
        """Note an item's content; where it belongs is told by `place`."""
        if item.id is not None:
            self._entry(item.id, item).item = item

    def entries(self) -> Iterator[Entry]:
        """Iterate over the items in order."""
        return (entry for item_id in self._order if (entry := self._entries.get(item_id)) is not None)

    def previous(self, item_id: str) -> str:
        """Return the id of the item before, or "root"."""
        place = self._order.index(item_id) if item_id in self._order else 0
        return self._order[place - 1] if place else "root"

    def rename(self, item_id: str, new_id: str) -> None:
        """Give an item another id."""
        if entry := self._entries.pop(item_id, None):
            entry.item = structs.replace(entry.item, id=new_id)
            self._entries[new_id] = entry
            self._order = [new_id if known == item_id else known for known in self._order]

    def spoken(self, item_id: str, samples: tuple[int, int], *, awaits_text: bool) -> None:
        """Note where the audio of what the user said lies, and whether a transcript will follow."""
        entry = self._entry(item_id, Item(id=item_id, type="message", role="user"))
        if not entry.texts:
            entry.samples, entry.awaits_text = samples, awaits_text

    def transcription_failed(self, item_id: str) -> None:
        """Note that what the user said will have no text."""
        if entry := self._entries.get(item_id):
            entry.awaits_text = False

    def received(self, item_id: str, ms: float) -> None:
        """Note that audio of an item arrived."""
        if entry := self._entries.get(item_id):
            entry.received_ms += ms

    def break_off(self, item_id: str) -> dict[int, str]:
        """Note that no more of an item will come; returns its texts, cut to the audio that has arrived."""
        entry = self._entries.get(item_id)
        if entry is None:
            return {}
        if entry.is_spoken and not entry.audio_done:
            for index, text in entry.texts.items():
                length_ms = max(round(entry.received_ms), len(text) * MS_PER_CHARACTER)
                entry.texts[index] = cut_text(text, round(entry.received_ms), length_ms)
        entry.audio_done = True
        entry.item = structs.replace(entry.item, status="incomplete")
        return entry.texts

    def place(self, item: Item, previous_item_id: str | None) -> None:
        """Note an item and its place; behind everything if its predecessor is unknown."""
        self.update(item)
        if item.id is None or item.id in self._order:
            return
        if previous_item_id == "root":
            self._order.insert(0, item.id)
        elif previous_item_id in self._order:
            self._order.insert(self._order.index(previous_item_id) + 1, item.id)
        else:
            self._order.append(item.id)
        if len(self._order) > REMEMBERED:
            self._entries.pop(self._order.pop(0), None)

    def delete(self, item_id: str) -> None:
        """Forget an item."""
        self._entries.pop(item_id, None)
        if item_id in self._order:
            self._order.remove(item_id)

    def user_text(self, item_id: str, index: int, delta: str, final: str | None) -> UserTranscript:
        """Note more of what the user said, or with `final` all of it."""
        entry = self._entry(item_id, Item(id=item_id, type="message", role="user"))
        delta = _extend(entry, index, delta, final)
        if final is not None:
            entry.samples, entry.awaits_text = None, False
        return UserTranscript(
            item_id=item_id,
            delta=delta,
            text=entry.texts[index],
            final=final is not None,
            audio_start_ms=entry.audio_start_ms,
        )

    def agent_text(self, event: ResponsePartEvent, delta: str, final: str | None) -> AgentTranscript | None:
        """Note more of what the agent says, or with `final` all of it; None when it was cut: nobody hears the rest."""
        entry = self._entry(event.item_id, Item(id=event.item_id, type="message", role="assistant"))
        entry.is_spoken |= isinstance(event, ResponseOutputAudioTranscriptDelta | ResponseOutputAudioTranscriptDone)
        delta = _extend(entry, event.content_index, delta, final)
        if entry.heard is not None:
            return None
        return AgentTranscript(
            response_id=event.response_id,
            item_id=event.item_id,
            content_index=event.content_index,
            delta=delta,
            text=entry.texts[event.content_index],
            final=final is not None,
        )

    def audio_done(self, item_id: str) -> None:
        """Note that no more audio of an item comes."""
        if entry := self._entries.get(item_id):
            entry.audio_done = True

    def cut(self, item_id: str, index: int, played_ms: int, received_ms: int) -> tuple[str, str] | None:
        """Note how much of an item was heard; returns the heard and the full text, or None if all of it was."""
        entry = self._entries.get(item_id)
        if entry is None:
            return "", ""
        if entry.audio_done and played_ms >= received_ms:
            return None
        full = entry.texts.get(index, "")
        length_ms = received_ms if entry.audio_done else max(received_ms, len(full) * MS_PER_CHARACTER)
        earlier = [text for part, text in sorted(entry.texts.items()) if part < index]
        heard = cut_text(full, played_ms, length_ms)
        entry.heard = "\n\n".join(filter(None, [*earlier, heard]))
        return heard, full

    def items(self) -> list[Item]:
        """Items in order, with texts in place of audio: what the user said, and what was heard of the agent.

        Such a list can be added to a new session. Items without a known text are left out.
        """
        return [item for entry in self.entries() if (item := as_text(entry)) is not None]

    def _entry(self, item_id: str, item: Item) -> Entry:
        entry = self._entries.get(item_id)
        if entry is None:
            start = self._speech_starts.pop(item_id, None)
            entry = self._entries[item_id] = Entry(item, audio_start_ms=start)
            bound(self._entries)
        return entry


def cut_text(text: str, played_ms: int, length_ms: int) -> str:
    """Return the part of a text that was heard, by the share of its audio that was, ending with a whole word."""
    if played_ms >= length_ms:
        return text
    end = len(text) * max(0, played_ms) // length_ms
    head = text[:end]
    if end < len(text) and not text[end].isspace() and any(map(str.isspace, text)):
        head = head[: max((index for index, letter in enumerate(head) if letter.isspace()), default=0)]
    return head.rstrip()


def bound(remembered: OrderedDict[str, Any]) -> None:
    """Forget the oldest beyond REMEMBERED."""
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)


def _extend(entry: Entry, index: int, delta: str, final: str | None) -> str:
    """Add to a part's text, or set it; returns what is new in it."""
    before = entry.texts.get(index, "")
    entry.texts[index] = before + delta if final is None else final
    return final[len(before) :] if final is not None and final.startswith(before) else delta


def as_text(entry: Entry) -> Item | None:
    """Return an item with its texts in place of audio, or None where there is nothing to say."""
    item = entry.item
    if item.type != "message":
        return item if item.type in {"function_call", "function_call_output"} else None
    if entry.heard is not None:
        text = entry.heard
    elif entry.texts:
        text = "\n\n".join(filter(None, (text for _, text in sorted(entry.texts.items()))))
    else:
        parts = (part.text or part.transcript for part in item.content or [])
        text = "\n\n".join(part for part in parts if isinstance(part, str) and part)
    if not text:
        return None
    kind = "output_text" if item.role == "assistant" else "input_text"
    return Item(id=item.id, type="message", role=item.role, content=[ContentPart(type=kind, text=text)])
