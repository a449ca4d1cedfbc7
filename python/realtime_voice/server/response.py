"""One response: what is said and called becomes the protocol's ladder of events, whatever its end. No I/O."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from realtime_core import base64
from realtime_voice import events
from realtime_voice.events import ContentPart, Item
from realtime_voice.server.conversation import Conversation, Entry, shown, text_of
from realtime_voice.server.mcp import McpFailure, McpOutput
from realtime_voice.server.wire import bytes_per_ms

AUDIO_TOKENS_PER_S = 20
USER_AUDIO_TOKENS_PER_S = 10
CHARACTERS_PER_TOKEN = 4
_PIECES = re.compile(r"\s*\S+")


class Response:
    """The life of one response from response.created to response.done.

    `say`, `audio` and `call` may be used until `active` is False; after `finish` or `cut` they do nothing, so that a
    producer that has not noticed yet does no harm.
    """

    def __init__(
        self,
        response_id: str,
        settings: Mapping[str, Any],
        *,
        conversation: Conversation,
        conversation_id: str | None,
        metadata: dict[str, str] | None,
        context: list[Entry],
        emit: Callable[[events.ServerEvent], None],
        new_id: Callable[[str], str],
    ) -> None:
        self.id = response_id
        self.settings = settings
        self.context = context
        self.active = True
        self.audio_ms = 0.0
        self._conversation = conversation if conversation_id is not None else None
        self._emit = emit
        self._new_id = new_id
        self._output: list[Item] = []
        self._message: Entry | None = None
        self._hosted: Item | None = None
        self._said = ""
        self._text_characters = 0
        self._wire: dict[str, Any] = {
            "id": response_id,
            "conversation_id": conversation_id,
            "output_modalities": list(settings["output_modalities"]),
            "max_output_tokens": settings["max_output_tokens"],
            "audio": msgspec.convert({"output": _spoken_form(settings)}, events.Audio),
            "metadata": metadata,
        }
        emit(events.ResponseCreated(response=events.Response(status="in_progress", output=[], **self._wire)))

    @property
    def modality(self) -> str:
        """What it consists of: audio (with its transcript) or text."""
        modality: str = self.settings["output_modalities"][0]
        return modality

    @property
    def wire_format(self) -> str:
        """Format of the audio to give."""
        kind: str = self.settings["audio"]["output"]["format"]["type"]
        return kind

    @property
    def in_conversation(self) -> bool:
        """Whether its items enter the default conversation."""
        return self._conversation is not None

    @property
    def exhausted(self) -> bool:
        """Whether max_output_tokens is reached."""
        limit: int | str = self.settings["max_output_tokens"]
        return isinstance(limit, int) and self._output_tokens() >= limit

    def say(self, text: str) -> None:
        """Say (or write) `text`; in an audio response, its audio follows with `audio`."""
        if not self.active or not text:
            return
        part = (self._open_message().item.content or [])[0]
        delta = (
            events.ResponseOutputAudioTranscriptDelta if self.modality == "audio" else events.ResponseOutputTextDelta
        )
        for piece in words(f" {text}" if self._said else text):
            self._said += piece
            self._emit(delta(delta=piece, **self._place()))
            self._text_characters += len(piece)
        if self.modality == "text":
            part.text = self._said
        elif part.transcript is not msgspec.UNSET:  # a truncated item keeps no transcript
            part.transcript = self._said

    def audio(self, audio: bytes) -> None:
        """Give the next audio in the response's wire format."""
        if not self.active or not audio:
            return
        entry = self._open_message()
        entry.audio += audio
        entry.audio_bytes += len(audio)
        self.audio_ms += len(audio) / entry.bytes_per_ms
        self._emit(events.ResponseOutputAudioDelta(delta=base64.encode(audio).decode("ascii"), **self._place()))

    def call(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Call a function of the session."""
        if not self.active:
            return
        self._close_message("completed")
        text = msgspec.json.encode(arguments).decode()
        item = Item(
            id=self._new_id("item"), type="function_call", status="in_progress",
            name=name, call_id=self._new_id("call"), arguments="",
        )  # fmt: skip
        self._begin(Entry(item))
        place: dict[str, Any] = {
            "response_id": self.id, "item_id": item.id, "output_index": len(self._output) - 1, "call_id": item.call_id,
        }  # fmt: skip
        self._emit(events.ResponseFunctionCallArgumentsDelta(delta=text, **place))
        self._text_characters += len(text)
        item.arguments = text
        self._emit(events.ResponseFunctionCallArgumentsDone(arguments=text, name=name, **place))
        self._end(item, "completed")

    def ask_approval(self, server_label: str, name: str, arguments: Mapping[str, Any]) -> None:
        """Ask the client whether a hosted MCP tool may be called."""
        if not self.active:
            return
        self._close_message("completed")
        text = msgspec.json.encode(arguments).decode()
        item = Item(
            id=self._new_id("mcpr"), type="mcp_approval_request", server_label=server_label, name=name, arguments=text
        )
        self._begin(Entry(item))
        self._end(item, None)

    def begin_hosted(self, server_label: str, name: str, arguments: Mapping[str, Any]) -> None:
        """Call a hosted MCP tool; `end_hosted` follows."""
        if not self.active:
            return
        self._close_message("completed")
        text = msgspec.json.encode(arguments).decode()
        item = Item(id=self._new_id("mcp"), type="mcp_call", server_label=server_label, name=name, arguments="")
        self._hosted = item
        self._begin(Entry(item))
        place: dict[str, Any] = {"item_id": item.id, "output_index": len(self._output) - 1}
        self._emit(events.ResponseMcpCallArgumentsDelta(response_id=self.id, delta=text, **place))
        item.arguments = text
        self._text_characters += len(text)
        self._emit(events.ResponseMcpCallArgumentsDone(response_id=self.id, arguments=text, **place))
        self._emit(events.ResponseMcpCallInProgress(**place))

    def end_hosted(self, output: McpOutput) -> None:
        """Give what the hosted MCP tool gave."""
        item, self._hosted = self._hosted, None
        if item is not None:
            self._emit(hosted_result(item, output, len(self._output) - 1))
            self._end(item, None)

    def finish(self, *, failure: tuple[str, str] | None = None) -> None:
        """End as completed; as incomplete when max_output_tokens was reached; as failed with a (code, message)."""
        if failure is not None:
            error = events.ResponseFailure(type="server_error", code=failure[0], message=failure[1])
            self._done("failed", events.StatusDetails(type="failed", error=error), "incomplete")
        elif self.exhausted:
            details = events.StatusDetails(type="incomplete", reason="max_output_tokens")
            self._done("incomplete", details, "incomplete")
        else:
            self._done("completed", None, "completed")

    def cut(self, reason: str) -> None:
        """End as cancelled: "turn_detected" or "client_cancelled"."""
        self._done("cancelled", events.StatusDetails(type="cancelled", reason=reason), "incomplete")

    def _done(self, status: str, details: events.StatusDetails | None, item_status: str) -> None:
        if not self.active:
            return
        self.end_hosted(McpFailure("The response was cut."))
        self._close_message(item_status)
        self.active = False
        self._emit(
            events.ResponseDone(
                response=events.Response(
                    status=status,
                    status_details=details,
                    output=[shown(item) for item in self._output],
                    usage=self._usage(),
                    **self._wire,
                )
            )
        )

    def _open_message(self) -> Entry:
        if self._message is None:
            item = Item(id=self._new_id("item"), type="message", status="in_progress", role="assistant", content=[])
            self._message = Entry(item, bytes_per_ms=bytes_per_ms(self.wire_format))
            self._begin(self._message)
            kind = "output_audio" if self.modality == "audio" else "output_text"
            empty = {"transcript": ""} if self.modality == "audio" else {"text": ""}
            item.content = [ContentPart(type=kind, **empty)]
            part = ContentPart(type=self.modality, **empty)
            self._emit(events.ResponseContentPartAdded(part=part, **self._place()))
        return self._message

    def _close_message(self, status: str) -> None:
        if self._message is None:
            return
        item, place, text = self._message.item, self._place(), self._said
        if self.modality == "audio":
            self._emit(events.ResponseOutputAudioDone(**place))
            self._emit(events.ResponseOutputAudioTranscriptDone(transcript=text, **place))
            done = ContentPart(type="audio", transcript=text)
        else:
            self._emit(events.ResponseOutputTextDone(text=text, **place))
            done = ContentPart(type="text", text=text)
        self._emit(events.ResponseContentPartDone(part=done, **place))
        self._end(item, status)
        self._message = None
        self._said = ""

    def _begin(self, entry: Entry) -> None:
        self._output.append(entry.item)
        index = len(self._output) - 1
        self._emit(events.ResponseOutputItemAdded(response_id=self.id, output_index=index, item=shown(entry.item)))
        if self._conversation is not None:
            previous = self._conversation.add(entry)
            self._emit(events.ConversationItemAdded(item=shown(entry.item), previous_item_id=previous))

    def _end(self, item: Item, status: str | None) -> None:
        item.status = status
        if self._conversation is not None and item.id in self._conversation:
            previous = self._conversation.previous_id(str(item.id))
            self._emit(events.ConversationItemDone(item=shown(item), previous_item_id=previous))
        index = len(self._output) - 1
        self._emit(events.ResponseOutputItemDone(response_id=self.id, output_index=index, item=shown(item)))

    def _place(self) -> dict[str, Any]:
        item_id = self._message.item.id if self._message else None
        return {
            "response_id": self.id, "item_id": item_id, "output_index": len(self._output) - 1, "content_index": 0,
        }  # fmt: skip

    def _output_tokens(self) -> int:
        return self._text_tokens() + self._audio_tokens()

    def _text_tokens(self) -> int:
        return -(-self._text_characters // CHARACTERS_PER_TOKEN)

    def _audio_tokens(self) -> int:
        return round(self.audio_ms * AUDIO_TOKENS_PER_S / 1000)

    def _usage(self) -> events.ResponseUsage:
        if not self._output:
            text, audio = 0, 0
        else:
            text, audio = input_tokens(self.context, str(self.settings["instructions"] or ""))
        return events.ResponseUsage(
            total_tokens=text + audio + self._output_tokens(),
            input_tokens=text + audio,
            output_tokens=self._output_tokens(),
            input_token_details=events.InputTokenDetails(
                text_tokens=text,
                audio_tokens=audio,
                image_tokens=0,
                cached_tokens=0,
                cached_tokens_details=events.CachedTokensDetails(text_tokens=0, audio_tokens=0, image_tokens=0),
            ),
            output_token_details=events.OutputTokenDetails(
                text_tokens=self._text_tokens(), audio_tokens=self._audio_tokens()
            ),
        )


def words(text: str) -> list[str]:
    """Split text into its words, the blanks before each with it."""
    return _PIECES.findall(text)


def hosted_result(item: Item, output: McpOutput, output_index: int) -> events.ServerEvent:
    """Put the output of a hosted MCP call into its item; return the event that tells how it went."""
    place: dict[str, Any] = {"item_id": item.id, "output_index": output_index}
    if isinstance(output, McpFailure):
        code = None if output.type == "tool_execution_error" else output.code
        item.error = events.McpError(type=output.type, message=output.message, code=code)
        return events.ResponseMcpCallFailed(**place)
    item.output = output
    return events.ResponseMcpCallCompleted(**place)


def input_tokens(context: list[Entry], instructions: str) -> tuple[int, int]:
    """Return the text and the audio tokens of what a response is made from."""
    characters, audio = len(instructions), 0.0
    for entry in context:
        seconds = entry.audio_bytes / entry.bytes_per_ms / 1000
        audio += seconds * (USER_AUDIO_TOKENS_PER_S if entry.item.role == "user" else AUDIO_TOKENS_PER_S)
        texts = [text_of(part) for part in entry.item.content or []]
        characters += sum(map(len, texts)) + len(entry.item.arguments or "") + len(entry.item.output or "")
    return -(-characters // CHARACTERS_PER_TOKEN), round(audio)


def _spoken_form(settings: Mapping[str, Any]) -> dict[str, Any]:
    output = settings["audio"]["output"]
    return {"format": output["format"], "voice": output["voice"]}
