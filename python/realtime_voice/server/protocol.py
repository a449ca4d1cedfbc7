"""The server's side of the Realtime protocol as one object without I/O.

`receive` takes what the client sent, `take` gives the events to send and `actions` what its host has to do with ears,
voice and mind; the host reports back through `heard` and through the Response objects. Time is an argument.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from realtime_core import base64
from realtime_core.resample import Resampler
from realtime_voice import events
from realtime_voice.errors import RemoteProtocolError
from realtime_voice.events import ContentPart, Item
from realtime_voice.server import turns
from realtime_voice.server.configuration import (
    SESSION_LIMIT_S,
    Configuration,
    Refused,
    check_response,
    check_size,
    refuse_unknown,
)
from realtime_voice.server.conversation import Conversation, Entry, announced, checked, shown, without_images
from realtime_voice.server.interfaces import HEARING_RATE, Heard
from realtime_voice.server.mcp import McpOutput, McpServers, McpTool, allowed, as_functions, find
from realtime_voice.server.response import USER_AUDIO_TOKENS_PER_S, Response, hosted_result, words
from realtime_voice.server.wire import SAMPLE_BYTES, WIRE_RATES, bytes_per_ms, to_pcm

MAX_APPEND_BYTES = 15 * 1024 * 1024
"""Audio in one input_audio_buffer.append."""
MAX_RESPONSES = 16
"""Responses at once, those outside the conversation included."""
TOKENS_A_MINUTE = 40_000


class Identifiers(Protocol):
    """Makes ids."""

    def __call__(self, kind: str) -> str:
        """Return a fresh id of a kind: "event", "item", "resp", "sess", "conv", "call"."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Begin to listen to the user's item."""

    item_id: str
    tools: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Hear:
    """More of the user's item: 16 kHz PCM."""

    item_id: str
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Consider:
    """The user pauses: report what was said so far with `considered`."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Understand:
    """The user's item is complete: report `heard`."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The user's item will not be: stop listening to it."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Respond:
    """Fill the response, then report `finished`."""

    response: Response


@dataclass(frozen=True, slots=True)
class Abandon:
    """A response was cut: stop filling it."""

    response: Response


@dataclass(frozen=True, slots=True)
class Host:
    """A hosted MCP call was approved: run it, and report `hosted`."""

    item_id: str
    tool: McpTool
    arguments: Mapping[str, Any]


Action = Listen | Hear | Consider | Understand | Forget | Respond | Abandon | Host


class ServerProtocol:
    """One session: configuration, conversation, turns and responses. One thread at a time."""

    def __init__(
        self,
        *,
        model: str,
        now: float,
        new_id: Identifiers,
        make_detector: Callable[[], turns.SpeechDetector],
        initial: Mapping[str, Any] | None = None,
        limit_s: float = SESSION_LIMIT_S,
        mcp: McpServers | None = None,
    ) -> None:
        """Begin a session; the first event is ready to be taken.

        Args:
            model: the model's name from the URL.
            now: seconds since 1970.
            new_id: makes ids.
            make_detector: makes the speech detector for one audio format.
            initial: a checked session object that overrides defaults (a client secret's).
            limit_s: how long the session may last; only reported here, its host ends it.
            mcp: scripted MCP servers by label.

        """
        self._new_id = new_id
        self.mcp: McpServers = mcp or {}
        self._mcp_listed: dict[str, Mapping[str, Any]] = {}
        self._conversation_id = new_id("conv")
        self.configuration = Configuration(new_id("sess"), model, int(now + limit_s), initial)
        self.conversation = Conversation()
        self._input = turns.InputBuffer(make_detector)
        self._configure_input()
        self._user_item: str | None = None
        self._responses: dict[str, Response] = {}
        self._active: Response | None = None
        self._aside: dict[str, Entry] = {}
        self._spoke = False
        self._tokens_left = TOKENS_A_MINUTE
        self._outgoing: deque[events.ServerEvent] = deque()
        self._actions: deque[Action] = deque()
        self._handlers: dict[type[events.WireEvent], Callable[[Any], None]] = {
            events.SessionUpdate: self._on_session_update,
            events.InputAudioBufferAppend: self._on_append,
            events.InputAudioBufferCommit: self._on_commit,
            events.InputAudioBufferClear: self._on_clear,
            events.ConversationItemCreate: self._on_item_create,
            events.ConversationItemRetrieve: self._on_item_retrieve,
            events.ConversationItemTruncate: self._on_item_truncate,
            events.ConversationItemDelete: self._on_item_delete,
            events.ResponseCreate: self._on_response_create,
            events.ResponseCancel: self._on_response_cancel,
            events.OutputAudioBufferClear: self._on_output_clear,
        }
        self._emit(events.SessionCreated(session=self.configuration.event_session()))
        self._list_hosted_tools()

    # --- what the host asks for ---

    def receive(self, message: str | bytes) -> None:
        """Take one text message of the client; whatever is wrong with it becomes an `error` event."""
        event_id: str | None = None
        try:
            event = events.decode_client(message)
            event_id = event.event_id
            self._handlers[type(event)](event)
        except RemoteProtocolError as error:
            code = error.code or "invalid_event"
            self._refuse(Refused(str(error), code, error.param), error.event_id)
        except Refused as refused:
            self._refuse(refused, event_id)

    def receive_binary(self) -> None:
        """Answer a binary message, which the protocol does not have."""
        self._refuse(Refused("Binary messages are not supported: send JSON text.", "invalid_event"), None)

    def take(self) -> list[events.ServerEvent]:
        """Return the events to send, in order; each is returned once."""
        outgoing = list(self._outgoing)
        self._outgoing.clear()
        return outgoing

    def actions(self) -> list[Action]:
        """Return what the host has to do, in order; each is returned once."""
        actions = list(self._actions)
        self._actions.clear()
        return actions

    def considered(self, item_id: str, text: str) -> None:
        """Report what was said before the pause; a whole sentence ends the turn."""
        if item_id == self._user_item and not turns.is_unfinished(text):
            for happening in self._input.end_pause():
                self._on_happening(happening)

    def heard(self, item_id: str, heard: Heard | None, failure: str | None = None) -> None:
        """Report what was understood of a user item; None with a `failure` when the recognizer broke."""
        aside = self._aside.pop(item_id, None)
        if aside is not None:  # of a response's own input: nobody is told, its mind knows
            aside.heard = heard.text if heard is not None else ""
            return
        entry = self.conversation.find(item_id)
        content = (entry.item.content if entry is not None else None) or []
        content_index = next((at for at, part in enumerate(content) if part.type == "input_audio"), None)
        if entry is None or content_index is None:  # deleted meanwhile
            return
        place: dict[str, Any] = {"item_id": item_id, "content_index": content_index}
        entry.heard = heard.text if heard is not None else ""
        if self.configuration.input["transcription"] is None:
            return
        if heard is None:
            error = events.TranscriptionFailure(
                type="server_error", code="transcription_failed", message=failure or "The recognizer failed."
            )
            self._emit(events.ConversationItemInputAudioTranscriptionFailed(error=error, **place))
            return
        content[content_index].transcript = heard.text
        seconds = entry.audio_bytes / entry.bytes_per_ms / 1000
        self._transcribe(place, heard.text, seconds)
        audio, text = math.ceil(seconds * USER_AUDIO_TOKENS_PER_S), len(heard.text.split())
        self._emit(
            events.ConversationItemInputAudioTranscriptionCompleted(
                **place,
                transcript=heard.text,
                usage=events.TranscriptionUsage(
                    type="tokens",
                    input_tokens=audio,
                    output_tokens=text,
                    total_tokens=audio + text,
                    input_token_details=events.TranscriptionTokens(text_tokens=0, audio_tokens=audio),
                ),
            )
        )

    def _transcribe(self, place: Mapping[str, Any], text: str, seconds: float) -> None:
        """Give a transcript as its model does: whole (whisper), by speakers (one is known here), or word by word."""
        model = str(self.configuration.input["transcription"].get("model"))
        pieces = [text] if model.startswith("whisper") else words(text)
        for piece in filter(None, pieces):
            self._emit(events.ConversationItemInputAudioTranscriptionDelta(delta=piece, **place))
        if text and model.endswith("diarize"):
            self._emit(
                events.ConversationItemInputAudioTranscriptionSegment(
                    id=self._new_id("seg"), text=text, speaker="A", start=0.0, end=round(seconds, 3), **place
                )
            )

    def finished(self, response: Response, failure: tuple[str, str] | None = None) -> None:
        """End a response that has been filled, or has failed with a (code, message). No-op when it was cut."""
        if response.active:
            response.finish(failure=failure)
            self._ended(response)

    def say(self, text: str, wire: bytes) -> None:
        """Have the user say `text`: a turn with the audio `wire` (in the input's format) that was understood so.

        A turn that is being detected is forgotten. Without turn detection no answer follows of itself.
        """
        detection = self.configuration.turn_detection
        self._forget_turn()
        item_id = self._new_id("item")
        start_ms, end_ms, wire = self._input.insert(wire)
        if detection is not None:
            self._emit(events.InputAudioBufferSpeechStarted(item_id=item_id, audio_start_ms=start_ms))
            if self._active is not None and detection.get("interrupt_response", True):
                self._cut(self._active, "turn_detected")
            self._emit(events.InputAudioBufferSpeechStopped(item_id=item_id, audio_end_ms=end_ms))
        self._add_turn(item_id, wire)
        self.heard(item_id, Heard(text))
        self._answer_turn()

    # --- client events ---

    def _on_session_update(self, event: events.SessionUpdate) -> None:
        speaking = self._active is not None and self._active.audio_ms > 0
        self.configuration.update(event, voice_locked=self._spoke or speaking, speaking=self._active is not None)
        self._configure_input()
        self._emit(events.SessionUpdated(session=self.configuration.event_session()))
        self._list_hosted_tools()

    def _on_append(self, event: events.InputAudioBufferAppend) -> None:
        try:
            audio = base64.decode(event.audio)
        except ValueError as error:
            raise Refused(f"Invalid 'audio': expected base64 ({error}).", param="audio") from None
        if len(audio) > MAX_APPEND_BYTES:
            raise Refused("Invalid 'audio': at most 15 MiB of audio are allowed in one event.", param="audio")
        for happening in self._input.append(audio):
            self._on_happening(happening)

    def _on_happening(self, happening: turns.Happening) -> None:
        if isinstance(happening, turns.Started):
            self._listen()
            item_id = self._user_item or ""
            self._emit(events.InputAudioBufferSpeechStarted(item_id=item_id, audio_start_ms=happening.ms))
            detection = self.configuration.turn_detection or {}
            if self._active is not None and detection.get("interrupt_response", True):
                self._cut(self._active, "turn_detected")
        elif isinstance(happening, turns.Spoken):
            if self._user_item is None:
                self._listen()
            self._actions.append(Hear(self._user_item or "", happening.pcm))
        elif isinstance(happening, turns.Paused):
            self._actions.append(Consider(self._user_item or ""))
        elif isinstance(happening, turns.Stopped):
            item_id = self._user_item or ""
            self._emit(events.InputAudioBufferSpeechStopped(item_id=item_id, audio_end_ms=happening.ms))
            self._commit(respond=True)
        else:
            self._listen()
            self._emit(
                events.InputAudioBufferTimeoutTriggered(
                    item_id=self._user_item or "", audio_start_ms=happening.start_ms, audio_end_ms=happening.end_ms
                )
            )
            self._commit(respond=True)

    def _on_commit(self, _event: events.InputAudioBufferCommit) -> None:
        buffered = self._input.buffered_ms
        if buffered < turns.MIN_COMMIT_MS:
            raise Refused(
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{turns.MIN_COMMIT_MS}ms of audio, but buffer only has {buffered:.2f}ms of audio.",
                "input_audio_buffer_commit_empty",
            )
        self._commit(respond=False)

    def _on_clear(self, _event: events.InputAudioBufferClear) -> None:
        self._forget_turn()
        self._input.clear()
        self._emit(events.InputAudioBufferCleared())

    def _on_item_create(self, event: events.ConversationItemCreate) -> None:
        refuse_unknown(event)
        item = checked(event.item, self._new_id("item"))
        check_size(without_images(item), "item")
        approved = self._approved(item)
        entry = Entry(item, bytes_per_ms=bytes_per_ms(self.configuration.input["format"]["type"]))
        self._keep_client_audio(entry)
        previous = self.conversation.add(entry, event.previous_item_id)
        self._announce(entry, previous)
        if approved is not None:
            self._host(*approved)
        if entry.audio and entry.item.role == "user":
            self._listen_to(entry)

    def _on_item_retrieve(self, event: events.ConversationItemRetrieve) -> None:
        entry = self.conversation.retrieve(event.item_id)
        item = shown(entry.item)
        parts = [part for part in item.content or [] if part.type in {"input_audio", "output_audio"}]
        begin = 0
        for part, end in zip(parts, [*entry.part_ends, len(entry.audio)], strict=False):
            if entry.audio:
                part.audio = base64.encode(bytes(entry.audio[begin:end])).decode("ascii")
            begin = end
        self._emit(events.ConversationItemRetrieved(item=item))

    def _on_item_truncate(self, event: events.ConversationItemTruncate) -> None:
        self.conversation.truncate(event.item_id, event.content_index, event.audio_end_ms)
        self._emit(
            events.ConversationItemTruncated(
                item_id=event.item_id, content_index=event.content_index, audio_end_ms=event.audio_end_ms
            )
        )

    def _on_item_delete(self, event: events.ConversationItemDelete) -> None:
        self.conversation.delete(event.item_id)
        self._emit(events.ConversationItemDeleted(item_id=event.item_id))

    def _on_response_create(self, event: events.ResponseCreate) -> None:
        if self.configuration.transcribes_only:
            raise Refused("A transcription session has no responses.", param="type")
        refuse_unknown(event)
        params: dict[str, Any] = msgspec.to_builtins(event.response) if event.response is not None else {}
        check_response(params, "response")
        given = event.response.input if event.response is not None else None
        context = list(self.conversation.entries) if not isinstance(given, list) else self._given_context(given)
        self._respond(params, context)

    def _on_response_cancel(self, event: events.ResponseCancel) -> None:
        response = self._active if event.response_id is None else self._responses.get(event.response_id)
        if response is None:
            raise Refused("Cancellation failed: no active response found", "response_cancel_not_active")
        self._cut(response, "client_cancelled")

    def _on_output_clear(self, _event: events.OutputAudioBufferClear) -> None:
        raise Refused("output_audio_buffer.clear is for WebRTC and SIP; over WebSocket the client plays.", param="type")

    # --- turns ---

    def _configure_input(self) -> None:
        wire_format, detection = self.configuration.input["format"]["type"], self.configuration.turn_detection
        if wire_format != self._input.format or (detection is None and self._input.speaking):
            self._forget_turn()
        self._input.configure(wire_format, detection)

    def _listen(self) -> None:
        self._user_item = self._new_id("item")
        self._actions.append(Listen(self._user_item, self._heard_tools()))

    def _heard_tools(self) -> list[Mapping[str, Any]]:
        return as_functions(self.configuration.effective.get("tools") or [], self.mcp)

    def _forget_turn(self) -> None:
        if self._user_item is not None:
            self._actions.append(Forget(self._user_item))
            self._user_item = None

    def _commit(self, *, respond: bool) -> None:
        """Turn the buffer into a user item; after a detected turn, answer it."""
        turn = self._input.commit()
        if self._user_item is None:
            self._listen()
        item_id, self._user_item = str(self._user_item), None
        if turn.pcm:
            self._actions.append(Hear(item_id, turn.pcm))
        self._actions.append(Understand(item_id))
        self._add_turn(item_id, turn.wire)
        if respond:
            self._answer_turn()

    def _add_turn(self, item_id: str, wire: bytes) -> None:
        self._emit(events.InputAudioBufferCommitted(item_id=item_id, previous_item_id=self.conversation.last_id))
        part = ContentPart(type="input_audio", transcript=None)
        item = Item(id=item_id, type="message", status="completed", role="user", content=[part])
        entry = Entry(item, bytearray(wire), len(wire), self._input.bytes_per_ms)
        self._announce(entry, self.conversation.add(entry))

    def _answer_turn(self) -> None:
        detection = self.configuration.turn_detection
        answers = detection is not None and detection["create_response"] and not self.configuration.transcribes_only
        if answers and self._active is None:
            self._respond({}, list(self.conversation.entries))

    def _keep_client_audio(self, entry: Entry, path: str = "item") -> None:
        for index, part in enumerate(entry.item.content or []):
            if part.type == "input_audio" and part.audio is not None:
                at = f"{path}.content[{index}].audio"
                try:
                    entry.audio += base64.decode(part.audio)
                except ValueError as error:
                    raise Refused(f"Invalid '{at}': expected base64 ({error}).", param=at) from None
                entry.audio_bytes = len(entry.audio)
                entry.part_ends.append(len(entry.audio))
                part.audio = None

    def _listen_to(self, entry: Entry) -> None:
        """Have the audio understood that a client has put into a user item."""
        item_id, wire_format = str(entry.item.id), self.configuration.input["format"]["type"]
        whole = len(entry.audio) - len(entry.audio) % SAMPLE_BYTES[wire_format]
        resampler = Resampler(WIRE_RATES[wire_format], HEARING_RATE)
        pcm = resampler.process(to_pcm(bytes(entry.audio[:whole]), wire_format)) + resampler.flush()
        self._actions.extend((Listen(item_id, self._heard_tools()), Hear(item_id, pcm), Understand(item_id)))

    def _announce(self, entry: Entry, previous: str | None) -> None:
        self.conversation.limit_audio()
        self._emit(events.ConversationItemAdded(item=announced(entry.item), previous_item_id=previous))
        self._emit(events.ConversationItemDone(item=announced(entry.item), previous_item_id=previous))

    # --- hosted MCP tools ---

    def _list_hosted_tools(self) -> None:
        """Tell which tools the session's MCP servers have; once for each, and again when its settings change."""
        configs = [tool for tool in self.configuration.effective.get("tools") or [] if tool.get("type") == "mcp"]
        before, self._mcp_listed = self._mcp_listed, {str(config["server_label"]): config for config in configs}
        for label, config in self._mcp_listed.items():
            if before.get(label) == config:
                continue
            tools = allowed(config, self.mcp)
            item = Item(id=self._new_id("mcpl"), type="mcp_list_tools", server_label=label, tools=[])
            previous = self.conversation.add(Entry(item))
            item_id = str(item.id)
            self._emit(events.ConversationItemAdded(item=shown(item), previous_item_id=previous))
            self._emit(events.McpListToolsInProgress(item_id=item_id))
            if tools is None:
                self._emit(events.McpListToolsFailed(item_id=item_id))
            else:
                item.tools = [tool.listed for tool in tools]
                self._emit(events.McpListToolsCompleted(item_id=item_id))
            self._emit(events.ConversationItemDone(item=shown(item), previous_item_id=previous))

    def _approved(self, item: Item) -> tuple[Item, McpTool, Mapping[str, Any]] | None:
        """Return what an approval lets run. Raises Refused for an approval of nothing."""
        if item.type != "mcp_approval_response":
            return None
        asked = self.conversation.find(item.approval_request_id)
        if asked is None or asked.item.type != "mcp_approval_request":
            raise Refused(
                f"Error adding item: the approval request with id '{item.approval_request_id}' does not exist.",
                param="item.approval_request_id",
            )
        found = find(str(asked.item.name), self.configuration.effective.get("tools") or [], self.mcp)
        if not item.approve or found is None:
            return None
        try:
            arguments = msgspec.json.decode(asked.item.arguments or "{}", type=dict[str, Any])
        except msgspec.DecodeError as error:  # a client may have put the request there itself
            raise Refused(f"The arguments of the approval request are no JSON object: {error}.") from None
        return asked.item, found[1], arguments

    def _host(self, asked: Item, tool: McpTool, arguments: Mapping[str, Any]) -> None:
        item = Item(
            id=self._new_id("mcp"), type="mcp_call", server_label=asked.server_label, name=asked.name,
            arguments=asked.arguments, approval_request_id=asked.id,
        )  # fmt: skip
        previous = self.conversation.add(Entry(item))
        self._emit(events.ConversationItemAdded(item=shown(item), previous_item_id=previous))
        self._emit(events.ResponseMcpCallInProgress(item_id=str(item.id)))
        self._actions.append(Host(str(item.id), tool, arguments))

    def hosted(self, item_id: str, output: McpOutput) -> None:
        """Report what an approved hosted call gave. No-op when its item has been deleted."""
        entry = self.conversation.find(item_id)
        if entry is not None:
            self._emit(hosted_result(entry.item, output, 0))
            previous = self.conversation.previous_id(item_id)
            self._emit(events.ConversationItemDone(item=shown(entry.item), previous_item_id=previous))

    # --- responses ---

    def _given_context(self, given: Sequence[Item]) -> list[Entry]:
        context = []
        for index, item in enumerate(given):
            if item.type == "item_reference":
                entry = self.conversation.find(item.id)
                if entry is None:
                    at = f"response.input[{index}]"
                    raise Refused(f"Invalid '{at}': the item with id '{item.id}' does not exist.", param=at)
                context.append(entry)
            else:
                context.append(self._given_entry(item, f"response.input[{index}]"))
        return context

    def _given_entry(self, given: Item, path: str) -> Entry:
        """Return an item of a response's own input. Its id is none of the conversation, for it is heard."""
        item_id = self._new_id("item")
        item = msgspec.structs.replace(checked(given, item_id, path), id=item_id)
        entry = Entry(item, bytes_per_ms=bytes_per_ms(self.configuration.input["format"]["type"]))
        self._keep_client_audio(entry, path)
        if entry.audio and item.role == "user":
            self._aside[item_id] = entry
            self._listen_to(entry)
        return entry

    def _respond(self, params: Mapping[str, Any], context: list[Entry]) -> None:
        in_conversation = params.get("conversation") != "none"
        if in_conversation and self._active is not None:
            raise Refused(
                f"Conversation already has an active response in progress: {self._active.id}. "
                "Wait until the response is finished before creating a new one.",
                "conversation_already_has_active_response",
            )
        if len(self._responses) >= MAX_RESPONSES:
            raise Refused(f"At most {MAX_RESPONSES} responses may be in progress at once.")
        self._input.expect_speech(None)
        response = Response(
            self._new_id("resp"),
            self.configuration.for_response(params),
            conversation=self.conversation,
            conversation_id=self._conversation_id if in_conversation else None,
            metadata=params.get("metadata"),
            context=context,
            emit=self._emit,
            new_id=self._new_id,
        )
        self._responses[response.id] = response
        if in_conversation:
            self._active = response
        self._actions.append(Respond(response))

    def _cut(self, response: Response, reason: str) -> None:
        response.cut(reason)
        self._actions.append(Abandon(response))
        self._ended(response)

    def _ended(self, response: Response) -> None:
        del self._responses[response.id]
        if response is self._active:
            self._active = None
            self._input.expect_speech(self._input.elapsed_ms + int(response.audio_ms))
        self._spoke = self._spoke or response.audio_ms > 0
        self.conversation.limit_audio()
        limit = events.RateLimit(name="tokens", limit=TOKENS_A_MINUTE, remaining=self._tokens_left, reset_seconds=0.0)
        self._emit(events.RateLimitsUpdated(rate_limits=[limit]))

    # --- events out ---

    def _emit(self, event: events.ServerEvent) -> None:
        event.event_id = self._new_id("event")
        self._outgoing.append(event)

    def _refuse(self, refused: Refused, answered: str | None) -> None:
        self._outgoing.append(refused.event(self._new_id("event"), answered))
