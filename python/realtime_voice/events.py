"""Events of the OpenAI Realtime protocol, typed in both directions, and the events of a session above them.

Each of the 11 client and 46 server events is one msgspec struct, named like the event: `response.output_audio.delta`
is ResponseOutputAudioDelta. Decoding goes from bytes to struct in one step. What the protocol does not know yet is
kept: an unknown event becomes an UnknownEvent, unknown fields are in `extra_fields(event)`, and enumerations are plain
strings, so that a new value breaks nothing.

Three spellings of "no value" exist on the wire and are kept apart where they differ: in a session's configuration a
field that is absent (UNSET) stays as it is, and None switches it off. Elsewhere None stands for both.

Times are in milliseconds of audio unless the name says otherwise; audio is base64 text in the session's format.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, TypeVar, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from realtime_voice.errors import RemoteProtocolError

T = TypeVar("T")
Maybe: TypeAlias = T | UnsetType | None
"""A field that may be absent (UNSET), switched off (None) or set."""


# --- parts: configuration ---------------------------------------------------------------------------------------------


class AudioFormat(Struct, kw_only=True):
    """Wire format of one direction: audio/pcm (16 bit little endian mono at `rate` Hz), audio/pcmu or audio/pcma."""

    type: Maybe[str] = UNSET
    rate: Maybe[int] = UNSET


class Transcription(Struct, kw_only=True):
    """Transcription of what the user says."""

    model: Maybe[str] = UNSET
    language: Maybe[str] = UNSET
    languages: Maybe[list[str]] = UNSET
    prompt: Maybe[str] = UNSET
    keywords: Maybe[list[str]] = UNSET
    delay: Maybe[str] = UNSET


class NoiseReduction(Struct, kw_only=True):
    """Noise reduction at the server: near_field or far_field."""

    type: Maybe[str] = UNSET
    strength: Maybe[float] = UNSET


class TurnDetection(Struct, kw_only=True):
    """Turn detection at the server: server_vad or semantic_vad."""

    type: str
    threshold: Maybe[float] = UNSET
    prefix_padding_ms: Maybe[int] = UNSET
    silence_duration_ms: Maybe[int] = UNSET
    idle_timeout_ms: Maybe[int] = UNSET
    eagerness: Maybe[str] = UNSET
    create_response: Maybe[bool] = UNSET
    interrupt_response: Maybe[bool] = UNSET


class AudioInput(Struct, kw_only=True):
    """Configuration of the microphone's direction."""

    format: Maybe[AudioFormat] = UNSET
    transcription: Maybe[Transcription] = UNSET
    noise_reduction: Maybe[NoiseReduction] = UNSET
    turn_detection: Maybe[TurnDetection] = UNSET


class AudioOutput(Struct, kw_only=True):
    """Configuration of the speaker's direction. `voice` is a name or {"id": ...}; `speed` is 0.25 to 1.5."""

    format: Maybe[AudioFormat] = UNSET
    voice: Maybe[str | dict[str, Any]] = UNSET
    speed: Maybe[float] = UNSET


class Audio(Struct, kw_only=True):
    """Audio configuration of a session or a response."""

    input: Maybe[AudioInput] = UNSET
    output: Maybe[AudioOutput] = UNSET


_SECRET: Final = {"authorization", "headers"}


class Tool(Struct, kw_only=True):
    """A tool of the session: a function (`name`, `description`, `parameters`) or a hosted MCP server (the others)."""

    type: Maybe[str] = UNSET
    name: Maybe[str] = UNSET
    description: Maybe[str] = UNSET
    parameters: Any = UNSET
    server_label: Maybe[str] = UNSET
    server_url: Maybe[str] = UNSET
    server_description: Maybe[str] = UNSET
    connector_id: Maybe[str] = UNSET
    tunnel_id: Maybe[str] = UNSET
    authorization: Maybe[str] = UNSET
    headers: Maybe[dict[str, str]] = UNSET
    allowed_tools: Maybe[list[str] | dict[str, Any]] = UNSET
    allowed_callers: Maybe[list[str]] = UNSET
    require_approval: Maybe[str | dict[str, Any]] = UNSET
    defer_loading: Maybe[bool] = UNSET

    def __repr__(self) -> str:
        """Return what is set, without secrets."""
        fields = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}
        shown = (f"{name}={'...' if name in _SECRET else repr(value)}" for name, value in fields.items())
        return f"Tool({', '.join(shown)})"


class Prompt(Struct, kw_only=True):
    """A stored prompt."""

    id: str
    version: Maybe[str] = UNSET
    variables: Maybe[dict[str, Any]] = UNSET


class Reasoning(Struct, kw_only=True):
    """Reasoning effort: minimal, low, medium, high or xhigh."""

    effort: Maybe[str] = UNSET


class Session(Struct, kw_only=True):
    """A session's configuration: in session.update what shall change, in session.created and .updated all of it."""

    type: str
    object: Maybe[str] = UNSET
    id: Maybe[str] = UNSET
    model: Maybe[str] = UNSET
    output_modalities: Maybe[list[str]] = UNSET
    instructions: Maybe[str] = UNSET
    tools: Maybe[list[Tool]] = UNSET
    tool_choice: Maybe[str | dict[str, Any]] = UNSET
    parallel_tool_calls: Maybe[bool] = UNSET
    reasoning: Maybe[Reasoning] = UNSET
    max_output_tokens: Maybe[int | str] = UNSET
    tracing: Maybe[str | dict[str, Any]] = UNSET
    truncation: Maybe[str | dict[str, Any]] = UNSET
    prompt: Maybe[Prompt] = UNSET
    expires_at: Maybe[int] = UNSET
    audio: Maybe[Audio] = UNSET
    include: Maybe[list[str]] = UNSET


# --- parts: conversation ----------------------------------------------------------------------------------------------


class ContentPart(Struct, kw_only=True, omit_defaults=True):
    """One part of a message. In items: input_text, input_audio, input_image, output_text or output_audio; in
    response.content_part events: text or audio.
    """  # noqa: D205

    type: str | None = None
    text: str | None = None
    audio: str | None = None
    transcript: Maybe[str] = UNSET
    image_url: str | None = None
    detail: str | None = None


class McpError(Struct, kw_only=True, omit_defaults=True):
    """Why a hosted MCP call failed: protocol_error, tool_execution_error or http_error."""

    type: str
    message: str
    code: int | None = None


class Item(Struct, kw_only=True, omit_defaults=True):
    """One item of the conversation; `type` says which of the other fields it has.

    message: role, content. function_call: name, call_id, arguments (JSON text). function_call_output: call_id, output.
    mcp_list_tools: server_label, tools. mcp_call: server_label, name, arguments, output, error, approval_request_id.
    mcp_approval_request: server_label, name, arguments. mcp_approval_response: approval_request_id, approve, reason.
    item_reference (only in a response's input): id.
    """

    id: str | None = None
    object: str | None = None
    type: str
    status: str | None = None
    role: str | None = None
    content: list[ContentPart] | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: str | None = None
    output: str | None = None
    server_label: str | None = None
    tools: list[dict[str, Any]] | None = None
    error: McpError | None = None
    approval_request_id: str | None = None
    approve: bool | None = None
    reason: str | None = None


class Conversation(Struct, kw_only=True):
    """The default conversation."""

    id: str | None = None
    object: str | None = "realtime.conversation"


class ResponseParams(Struct, kw_only=True):
    """What one response does differently from its session."""

    conversation: Maybe[str] = UNSET
    input: Maybe[list[Item]] = UNSET
    instructions: Maybe[str] = UNSET
    output_modalities: Maybe[list[str]] = UNSET
    audio: Maybe[Audio] = UNSET
    tools: Maybe[list[Tool]] = UNSET
    tool_choice: Maybe[str | dict[str, Any]] = UNSET
    parallel_tool_calls: Maybe[bool] = UNSET
    reasoning: Maybe[Reasoning] = UNSET
    max_output_tokens: Maybe[int | str] = UNSET
    metadata: Maybe[dict[str, str]] = UNSET
    prompt: Maybe[Prompt] = UNSET


class ResponseFailure(Struct, kw_only=True, omit_defaults=True):
    """Why a response failed."""

    type: str | None = None
    code: str | None = None
    message: str | None = None


class StatusDetails(Struct, kw_only=True, omit_defaults=True):
    """Why a response ended as it did; `reason`: turn_detected, client_cancelled, max_output_tokens, content_filter."""

    type: str | None = None
    reason: str | None = None
    error: ResponseFailure | None = None


class CachedTokensDetails(Struct, kw_only=True, omit_defaults=True):
    """Cached input tokens by kind."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class InputTokenDetails(Struct, kw_only=True, omit_defaults=True):
    """Input tokens by kind; `cached_tokens` are a part of them."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None
    cached_tokens_details: CachedTokensDetails | None = None


class OutputTokenDetails(Struct, kw_only=True, omit_defaults=True):
    """Output tokens by kind."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


class ResponseUsage(Struct, kw_only=True, omit_defaults=True):
    """Tokens of one response."""

    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: InputTokenDetails | None = None
    output_token_details: OutputTokenDetails | None = None


class Response(Struct, kw_only=True):
    """A response. `status`: in_progress, completed, cancelled, incomplete or failed. On the wire every key is there."""

    object: str | None = "realtime.response"
    id: str | None = None
    status: str | None = None
    status_details: StatusDetails | None = None
    output: list[Item] | None = None
    conversation_id: str | None = None
    output_modalities: list[str] | None = None
    max_output_tokens: int | str | None = None
    audio: Audio | None = None
    usage: ResponseUsage | None = None
    metadata: dict[str, str] | None = None


class TranscriptionTokens(Struct, kw_only=True, omit_defaults=True):
    """Input tokens of a transcription by kind."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


class TranscriptionUsage(Struct, kw_only=True, omit_defaults=True):
    """Cost of a transcription: `type` "tokens" with the token fields, or "duration" with `seconds`."""

    type: str
    seconds: float | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: TranscriptionTokens | None = None


class TranscriptionFailure(Struct, kw_only=True):
    """Why a transcription failed."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None


class LogProb(Struct, kw_only=True):
    """Log probability of one transcribed token."""

    token: str
    logprob: float
    bytes: list[int]


class Language(Struct, kw_only=True):
    """A language found in a transcript."""

    code: str


class RateLimit(Struct, kw_only=True, omit_defaults=True):
    """One limit (`name`: requests or tokens) and when it is whole again."""

    name: str | None = None
    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None


class ErrorDetails(Struct, kw_only=True):
    """What an `error` event says; `event_id` is the client event it answers."""

    type: str
    code: str | None = None
    message: str
    param: str | None = None
    event_id: str | None = None


# --- events -----------------------------------------------------------------------------------------------------------


class WireEvent(Struct, kw_only=True, tag_field="type", dict=True):
    """Base of all events on the wire."""

    @property
    def type(self) -> str:
        """The event's name in the protocol."""
        return cast("str", self.__struct_config__.tag)

    @property
    def raw(self) -> bytes:
        """The message this event was decoded from; empty for an event made here."""
        return cast("bytes", self.__dict__.get("raw", b""))


class ClientWireEvent(WireEvent, kw_only=True, omit_defaults=True):
    """Base of the events that a client sends; only an `error` of the server returns the `event_id`."""

    event_id: str | None = None


class ServerWireEvent(WireEvent, kw_only=True):
    """Base of the events that a server sends."""

    event_id: str = ""


# Client events


class SessionUpdate(ClientWireEvent, tag="session.update", kw_only=True):
    """Change the session; answered by session.updated or error."""

    session: Session


class InputAudioBufferAppend(ClientWireEvent, tag="input_audio_buffer.append", kw_only=True):
    """User audio, base64, at most 15 MiB decoded; no answer."""

    audio: str


class InputAudioBufferCommit(ClientWireEvent, tag="input_audio_buffer.commit", kw_only=True):
    """End the user's turn; needs at least 100 ms of audio."""


class InputAudioBufferClear(ClientWireEvent, tag="input_audio_buffer.clear", kw_only=True):
    """Forget the user audio that is not committed."""


class ConversationItemCreate(ClientWireEvent, tag="conversation.item.create", kw_only=True):
    """Add an item after `previous_item_id` (None: at the end; "root": at the front)."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemRetrieve(ClientWireEvent, tag="conversation.item.retrieve", kw_only=True):
    """Ask for an item with its audio."""

    item_id: str


class ConversationItemTruncate(ClientWireEvent, tag="conversation.item.truncate", kw_only=True):
    """Tell how much of an agent's audio item was heard."""

    item_id: str
    content_index: int
    audio_end_ms: int


class ConversationItemDelete(ClientWireEvent, tag="conversation.item.delete", kw_only=True):
    """Remove an item."""

    item_id: str


class ResponseCreate(ClientWireEvent, tag="response.create", kw_only=True):
    """Ask for a response."""

    response: ResponseParams | None = None


class ResponseCancel(ClientWireEvent, tag="response.cancel", kw_only=True):
    """Stop a response (None: the active one)."""

    response_id: str | None = None


class OutputAudioBufferClear(ClientWireEvent, tag="output_audio_buffer.clear", kw_only=True):
    """Stop playing at the server's end; WebRTC and SIP only."""


# Server events


class Error(ServerWireEvent, tag="error", kw_only=True):
    """Something failed; most errors concern one request and the session goes on."""

    error: ErrorDetails


class SessionCreated(ServerWireEvent, tag="session.created", kw_only=True):
    """First event of every session."""

    session: Session


class SessionUpdated(ServerWireEvent, tag="session.updated", kw_only=True):
    """A session.update was accepted; the complete configuration."""

    session: Session


class ConversationCreated(ServerWireEvent, tag="conversation.created", kw_only=True):
    """The conversation exists; not sent by current servers."""

    conversation: Conversation


class ConversationItemCreated(ServerWireEvent, tag="conversation.item.created", kw_only=True):
    """An item was created; current servers send .added and .done."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemAdded(ServerWireEvent, tag="conversation.item.added", kw_only=True):
    """An item entered the conversation after `previous_item_id`."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemDone(ServerWireEvent, tag="conversation.item.done", kw_only=True):
    """An item is final."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemRetrieved(ServerWireEvent, tag="conversation.item.retrieved", kw_only=True):
    """The item that was asked for, with audio."""

    item: Item


class ConversationItemTruncated(ServerWireEvent, tag="conversation.item.truncated", kw_only=True):
    """An item was cut."""

    item_id: str
    content_index: int = 0
    audio_end_ms: int


class ConversationItemDeleted(ServerWireEvent, tag="conversation.item.deleted", kw_only=True):
    """An item was removed."""

    item_id: str


class ConversationItemInputAudioTranscriptionDelta(
    ServerWireEvent, tag="conversation.item.input_audio_transcription.delta", kw_only=True
):
    """A piece of what the user said."""

    item_id: str
    content_index: int | None = 0
    delta: str | None = ""
    logprobs: Maybe[list[LogProb]] = UNSET


class ConversationItemInputAudioTranscriptionSegment(
    ServerWireEvent, tag="conversation.item.input_audio_transcription.segment", kw_only=True
):
    """A stretch of what one speaker said; `start` and `end` in seconds."""

    item_id: str
    content_index: int = 0
    id: str
    speaker: str
    start: float
    end: float
    text: str


class ConversationItemInputAudioTranscriptionCompleted(
    ServerWireEvent, tag="conversation.item.input_audio_transcription.completed", kw_only=True
):
    """All the user said in an item."""

    item_id: str
    content_index: int = 0
    transcript: str
    usage: TranscriptionUsage | None = None
    languages: Maybe[list[Language]] = UNSET
    logprobs: Maybe[list[LogProb]] = UNSET


class ConversationItemInputAudioTranscriptionFailed(
    ServerWireEvent, tag="conversation.item.input_audio_transcription.failed", kw_only=True
):
    """An item could not be transcribed; the conversation goes on."""

    item_id: str
    content_index: int = 0
    error: TranscriptionFailure


class InputAudioBufferCommitted(ServerWireEvent, tag="input_audio_buffer.committed", kw_only=True):
    """The user's audio becomes item `item_id`."""

    item_id: str
    previous_item_id: str | None = None


class InputAudioBufferCleared(ServerWireEvent, tag="input_audio_buffer.cleared", kw_only=True):
    """The user's audio was forgotten."""


class InputAudioBufferSpeechStarted(ServerWireEvent, tag="input_audio_buffer.speech_started", kw_only=True):
    """The user speaks; `audio_start_ms` counts all audio ever appended."""

    item_id: str
    audio_start_ms: int


class InputAudioBufferSpeechStopped(ServerWireEvent, tag="input_audio_buffer.speech_stopped", kw_only=True):
    """The user has stopped; `audio_end_ms` counts all audio ever appended and includes the silence."""

    item_id: str
    audio_end_ms: int


class InputAudioBufferTimeoutTriggered(ServerWireEvent, tag="input_audio_buffer.timeout_triggered", kw_only=True):
    """Nobody spoke for the idle timeout."""

    item_id: str
    audio_start_ms: int
    audio_end_ms: int


class InputAudioBufferDtmfEventReceived(ServerWireEvent, tag="input_audio_buffer.dtmf_event_received", kw_only=True):
    """A key was pressed on a phone; SIP only. `received_at` in seconds since 1970."""

    event: str
    received_at: int


class OutputAudioBufferStarted(ServerWireEvent, tag="output_audio_buffer.started", kw_only=True):
    """The server starts to play; WebRTC and SIP only."""

    response_id: str


class OutputAudioBufferStopped(ServerWireEvent, tag="output_audio_buffer.stopped", kw_only=True):
    """The server has played all; WebRTC and SIP only."""

    response_id: str


class OutputAudioBufferCleared(ServerWireEvent, tag="output_audio_buffer.cleared", kw_only=True):
    """The server stopped playing; WebRTC and SIP only."""

    response_id: str


class ResponseCreated(ServerWireEvent, tag="response.created", kw_only=True):
    """A response begins."""

    response: Response


class ResponseDone(ServerWireEvent, tag="response.done", kw_only=True):
    """A response ended, however it did."""

    response: Response

    @property
    def status(self) -> str:
        """How it ended: completed, cancelled, incomplete or failed."""
        return self.response.status or "completed"

    @property
    def reason(self) -> str | None:
        """Why it was cancelled or is incomplete."""
        return self.response.status_details.reason if self.response.status_details else None

    @property
    def usage(self) -> ResponseUsage | None:
        """Its tokens."""
        return self.response.usage


class ResponseOutputItemAdded(ServerWireEvent, tag="response.output_item.added", kw_only=True):
    """A response begins an item."""

    response_id: str
    output_index: int = 0
    item: Item


class ResponseOutputItemDone(ServerWireEvent, tag="response.output_item.done", kw_only=True):
    """An item of a response is final."""

    response_id: str
    output_index: int = 0
    item: Item


class ResponsePartEvent(ServerWireEvent, kw_only=True):
    """Base of events about one content part of one item of a response."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0


class ResponseContentPartAdded(ResponsePartEvent, tag="response.content_part.added", kw_only=True):
    """An item begins a part."""

    part: ContentPart


class ResponseContentPartDone(ResponsePartEvent, tag="response.content_part.done", kw_only=True):
    """A part is final."""

    part: ContentPart


class ResponseOutputTextDelta(ResponsePartEvent, tag="response.output_text.delta", kw_only=True):
    """A piece of text."""

    delta: str
    obfuscation: Maybe[str] = UNSET


class ResponseOutputTextDone(ResponsePartEvent, tag="response.output_text.done", kw_only=True):
    """The whole text of a part."""

    text: str


class ResponseOutputAudioTranscriptDelta(ResponsePartEvent, tag="response.output_audio_transcript.delta", kw_only=True):
    """A piece of what the agent says; runs ahead of its audio."""

    delta: str
    obfuscation: Maybe[str] = UNSET


class ResponseOutputAudioTranscriptDone(ResponsePartEvent, tag="response.output_audio_transcript.done", kw_only=True):
    """The transcript of a part, as far as it was generated."""

    transcript: str


class ResponseOutputAudioDelta(ResponsePartEvent, tag="response.output_audio.delta", kw_only=True):
    """A piece of the agent's audio, base64."""

    delta: str
    obfuscation: Maybe[str] = UNSET


class ResponseOutputAudioDone(ResponsePartEvent, tag="response.output_audio.done", kw_only=True):
    """The audio of a part is complete (or was stopped)."""


class ResponseFunctionCallArgumentsDelta(ServerWireEvent, tag="response.function_call_arguments.delta", kw_only=True):
    """A piece of a call's arguments."""

    response_id: str
    item_id: str
    output_index: int = 0
    call_id: str
    delta: str
    obfuscation: Maybe[str] = UNSET


class ResponseFunctionCallArgumentsDone(ServerWireEvent, tag="response.function_call_arguments.done", kw_only=True):
    """A call's arguments, JSON text."""

    response_id: str
    item_id: str
    output_index: int = 0
    call_id: str
    name: str = ""
    arguments: str


class ResponseMcpCallArgumentsDelta(ServerWireEvent, tag="response.mcp_call_arguments.delta", kw_only=True):
    """A piece of a hosted MCP call's arguments."""

    response_id: str
    item_id: str
    output_index: int = 0
    delta: str
    obfuscation: Maybe[str] = UNSET


class ResponseMcpCallArgumentsDone(ServerWireEvent, tag="response.mcp_call_arguments.done", kw_only=True):
    """A hosted MCP call's arguments, JSON text."""

    response_id: str
    item_id: str
    output_index: int = 0
    arguments: str


class ResponseMcpCallInProgress(ServerWireEvent, tag="response.mcp_call.in_progress", kw_only=True):
    """A hosted MCP call runs."""

    item_id: str
    output_index: int = 0


class ResponseMcpCallCompleted(ServerWireEvent, tag="response.mcp_call.completed", kw_only=True):
    """A hosted MCP call succeeded."""

    item_id: str
    output_index: int = 0


class ResponseMcpCallFailed(ServerWireEvent, tag="response.mcp_call.failed", kw_only=True):
    """A hosted MCP call failed."""

    item_id: str
    output_index: int = 0


class McpListToolsInProgress(ServerWireEvent, tag="mcp_list_tools.in_progress", kw_only=True):
    """The tools of a hosted MCP server are being listed."""

    item_id: str


class McpListToolsCompleted(ServerWireEvent, tag="mcp_list_tools.completed", kw_only=True):
    """The tools of a hosted MCP server are known."""

    item_id: str


class McpListToolsFailed(ServerWireEvent, tag="mcp_list_tools.failed", kw_only=True):
    """The tools of a hosted MCP server could not be listed."""

    item_id: str


class RateLimitsUpdated(ServerWireEvent, tag="rate_limits.updated", kw_only=True):
    """What may still be asked for."""

    rate_limits: list[RateLimit]


class UnknownEvent(Struct, kw_only=True):
    """An event that this version does not know, or a known one in a shape it does not know: `data` is all of it."""

    type: str
    data: dict[str, Any]

    @property
    def event_id(self) -> str:
        """The event's id, or ""."""
        value = self.data.get("event_id")
        return value if isinstance(value, str) else ""


ClientEvent: TypeAlias = (
    SessionUpdate
    | InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | ConversationItemCreate
    | ConversationItemRetrieve
    | ConversationItemTruncate
    | ConversationItemDelete
    | ResponseCreate
    | ResponseCancel
    | OutputAudioBufferClear
)
ServerEvent: TypeAlias = (
    Error
    | SessionCreated
    | SessionUpdated
    | ConversationCreated
    | ConversationItemCreated
    | ConversationItemAdded
    | ConversationItemDone
    | ConversationItemRetrieved
    | ConversationItemTruncated
    | ConversationItemDeleted
    | ConversationItemInputAudioTranscriptionDelta
    | ConversationItemInputAudioTranscriptionSegment
    | ConversationItemInputAudioTranscriptionCompleted
    | ConversationItemInputAudioTranscriptionFailed
    | InputAudioBufferCommitted
    | InputAudioBufferCleared
    | InputAudioBufferSpeechStarted
    | InputAudioBufferSpeechStopped
    | InputAudioBufferTimeoutTriggered
    | InputAudioBufferDtmfEventReceived
    | OutputAudioBufferStarted
    | OutputAudioBufferStopped
    | OutputAudioBufferCleared
    | ResponseCreated
    | ResponseDone
    | ResponseOutputItemAdded
    | ResponseOutputItemDone
    | ResponseContentPartAdded
    | ResponseContentPartDone
    | ResponseOutputTextDelta
    | ResponseOutputTextDone
    | ResponseOutputAudioTranscriptDelta
    | ResponseOutputAudioTranscriptDone
    | ResponseOutputAudioDelta
    | ResponseOutputAudioDone
    | ResponseFunctionCallArgumentsDelta
    | ResponseFunctionCallArgumentsDone
    | ResponseMcpCallArgumentsDelta
    | ResponseMcpCallArgumentsDone
    | ResponseMcpCallInProgress
    | ResponseMcpCallCompleted
    | ResponseMcpCallFailed
    | McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
    | RateLimitsUpdated
)

# --- events of a session, above the wire ------------------------------------------------------------------------------


class UserTranscript(Struct, kw_only=True, frozen=True):
    """What the user said: `delta` is new, `text` all of the item so far; `final` ends the item.

    `audio_start_ms` is when the user began to speak, on the clock of all audio sent, where the server told it.
    """

    item_id: str
    delta: str
    text: str
    final: bool
    audio_start_ms: int | None = None


class AgentTranscript(Struct, kw_only=True, frozen=True):
    """What the agent says or writes: `delta` is new, `text` all of the part so far; `final` ends the part."""

    response_id: str
    item_id: str
    content_index: int
    delta: str
    text: str
    final: bool


class ToolCall(Struct, kw_only=True, frozen=True):
    """The agent calls a tool; `arguments` is the parsed object.

    A tool that was given as a schema only is answered with `session.send_tool_result(call_id, output)`.
    """

    call_id: str
    name: str
    arguments: dict[str, Any]
    item_id: str = ""
    response_id: str = ""


class ToolProgress(Struct, kw_only=True, frozen=True):
    """A tool that is a generator yielded a value; the model hears only of the last."""

    call_id: str
    name: str
    value: Any


class ToolResult(Struct, kw_only=True, frozen=True):
    """What a tool gave: `output` is the text that the model gets; with `is_error` it says what went wrong."""

    call_id: str
    name: str
    output: str
    is_error: bool = False
    duration_s: float = 0.0


class Interrupted(Struct, kw_only=True, frozen=True):
    """The user cut the agent short: `played_ms` of `received_ms` was heard; `heard` and `full` are the texts.

    `speech_to_silence_s`: from the beginning of the user's speech to where playout was silenced, without the device's
    own latency; None when no speech was the reason.
    """

    item_id: str
    content_index: int
    played_ms: int
    received_ms: int
    heard: str
    full: str
    speech_to_silence_s: float | None = None


class TurnLatency(Struct, kw_only=True, frozen=True):
    """How long the user waited, in seconds from the end of the user's speech.

    `speech_end_to_received_s`: until the first audio of the answer arrived; `speech_end_to_played_s`: until it came out
    of the speaker, None where nothing played it.
    """

    response_id: str
    item_id: str
    speech_end_to_received_s: float
    speech_end_to_played_s: float | None = None


class AnswerOverdue(Struct, kw_only=True, frozen=True):
    """The server is connected and silent although it owes an answer; it was asked again, once.

    Stays it silent, the connection is replaced.
    """

    owed: str
    waited_s: float


class Reconnecting(Struct, kw_only=True, frozen=True):
    """The connection is lost, for `reason`; attempt number `attempt` to replace it begins in `wait_s` seconds.

    Meanwhile everything can be said as before: it is delivered when the next connection stands.
    """

    reason: str
    attempt: int
    wait_s: float


class ConnectionChanged(Struct, kw_only=True, frozen=True):
    """A new connection goes on with the conversation, the session's `generation`th, after `attempts` attempts.

    reason: why the one before was lost; empty when it served to the end.
    incoming_gap_s: since the one before was lost, or gave its last sign of life; 0.0 when it served to the end.
    outgoing_gap_s: from the user's last audio that had reached the server, or that was sent to one that served to the
    end, to the first that was sent on the new connection.
    replayed_samples: of the user's audio, sent on the new connection because they were in no turn yet.
    lost_samples: of these, dropped before because more waited than is kept.
    items: how much of the conversation the new server was told.
    """

    generation: int
    attempts: int
    reason: str
    incoming_gap_s: float
    outgoing_gap_s: float
    replayed_samples: int
    lost_samples: int
    items: int


class Renewed(ConnectionChanged, kw_only=True, frozen=True):
    """The connection was replaced before its time was over, while it still served."""


class Reconnected(ConnectionChanged, kw_only=True, frozen=True):
    """The connection was lost and is replaced."""


class Usage(Struct, kw_only=True):
    """Totals of a session: tokens by kind, and the cost of transcriptions."""

    responses: int = 0
    total_tokens: int = 0
    input_tokens: int = 0
    input_text_tokens: int = 0
    input_audio_tokens: int = 0
    input_image_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    output_text_tokens: int = 0
    output_audio_tokens: int = 0
    transcription_tokens: int = 0
    transcription_seconds: float = 0.0

    def add_response(self, usage: ResponseUsage | None) -> None:
        """Count one response."""
        self.responses += 1
        if usage is None:
            return
        self.total_tokens += usage.total_tokens or 0
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0
        if details := usage.input_token_details:
            self.input_text_tokens += details.text_tokens or 0
            self.input_audio_tokens += details.audio_tokens or 0
            self.input_image_tokens += details.image_tokens or 0
            self.cached_tokens += details.cached_tokens or 0
        if output := usage.output_token_details:
            self.output_text_tokens += output.text_tokens or 0
            self.output_audio_tokens += output.audio_tokens or 0

    def add_transcription(self, usage: TranscriptionUsage | None) -> None:
        """Count one transcription of the user's speech."""
        if usage is not None:
            self.transcription_tokens += usage.total_tokens or 0
            self.transcription_seconds += usage.seconds or 0.0


SessionEvent: TypeAlias = (
    UserTranscript
    | AgentTranscript
    | ToolCall
    | ToolProgress
    | ToolResult
    | Interrupted
    | TurnLatency
    | AnswerOverdue
    | Reconnecting
    | Renewed
    | Reconnected
)


# --- JSON -------------------------------------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder()
_server_decoder: msgspec.json.Decoder[ServerEvent] = msgspec.json.Decoder(ServerEvent)
_client_decoder: msgspec.json.Decoder[ClientEvent] = msgspec.json.Decoder(ClientEvent)
_object_decoder: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
SERVER_EVENTS: dict[str, type[WireEvent]] = {str(c.__struct_config__.tag): c for c in ServerEvent.__args__}
"""Server events by their name on the wire."""
CLIENT_EVENTS: dict[str, type[WireEvent]] = {str(c.__struct_config__.tag): c for c in ClientEvent.__args__}
"""Client events by their name on the wire."""


def decode_server(message: bytes | str) -> ServerEvent | UnknownEvent:
    """Decode what a server sent. An event in an unknown shape becomes an UnknownEvent.

    Raises RemoteProtocolError when the message is not a JSON object with a `type`.
    """
    try:
        event = _server_decoder.decode(message)
    except msgspec.ValidationError:
        data = _decode_object(message)
        return UnknownEvent(type=data["type"], data=data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"not JSON: {error}") from None
    _keep_raw(event, message)
    return event


def decode_client(message: bytes | str) -> ClientEvent:
    """Decode what a client sent.

    Raises RemoteProtocolError whose code, param and event_id are those of the `error` event to answer with.
    """
    try:
        event = _client_decoder.decode(message)
    except msgspec.ValidationError as error:
        raise _refusal(_decode_object(message), error) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"not JSON: {error}") from None
    _keep_raw(event, message)
    return event


def encode(event: WireEvent | UnknownEvent | dict[str, Any]) -> bytes:
    """Encode an event (or its JSON object) as one message."""
    return _encoder.encode(event.data if isinstance(event, UnknownEvent) else event)


def extra_fields(event: WireEvent | UnknownEvent) -> dict[str, Any]:
    """Fields of a decoded event that its type does not have, by their path: {"session.audio.input.new": 1}."""
    extra: dict[str, Any] = {}
    if isinstance(event, WireEvent) and event.raw:
        _collect_extra(event, _object_decoder.decode(event.raw), "", extra)
        extra.pop("type", None)
    return extra


def _keep_raw(event: WireEvent, message: bytes | str) -> None:
    event.__dict__["raw"] = message.encode() if isinstance(message, str) else message


def _decode_object(message: bytes | str) -> dict[str, Any]:
    try:
        data = _object_decoder.decode(message)
    except msgspec.ValidationError:
        raise RemoteProtocolError("an event is a JSON object") from None
    except (msgspec.DecodeError, RecursionError) as error:  # a wrong value was found before the end of broken JSON
        raise RemoteProtocolError(f"not JSON: {error}") from None
    if not isinstance(data.get("type"), str):
        code = "invalid_type" if "type" in data else "missing_required_parameter"
        raise RemoteProtocolError("an event needs a string 'type'", code, "type", _event_id(data))
    return data


def _event_id(data: dict[str, Any]) -> str | None:
    value = data.get("event_id")
    return value if isinstance(value, str) else None


def _refusal(data: dict[str, Any], error: msgspec.ValidationError) -> RemoteProtocolError:
    """Turn msgspec's "Expected `int`, got `str` - at `$.session.audio`" into code, param and message."""
    if data["type"] not in CLIENT_EVENTS:
        return RemoteProtocolError(f"Unknown event type: {data['type']!r}.", "invalid_value", "type", _event_id(data))
    reason, _, path = str(error).partition(" - at `$")
    param = path.rstrip("`").lstrip(".")
    missing = "missing required field `"
    if missing in reason:
        name = reason.split(missing)[1].rstrip("`")
        param = f"{param}.{name}" if param else name
        return RemoteProtocolError(
            f"Missing required parameter: '{param}'.", "missing_required_parameter", param, _event_id(data)
        )
    return RemoteProtocolError(f"Invalid type for '{param}': {reason}.", "invalid_type", param, _event_id(data))


def _collect_extra(value: object, data: object, path: str, extra: dict[str, Any]) -> None:
    if isinstance(value, Struct) and isinstance(data, dict):
        for key, item in data.items():
            name = f"{path}.{key}" if path else key
            if key in value.__struct_fields__:
                _collect_extra(getattr(value, key), item, name, extra)
            else:
                extra[name] = item
    elif isinstance(value, list) and isinstance(data, list):
        for index, (inner, item) in enumerate(zip(value, data, strict=False)):
            _collect_extra(inner, item, f"{path}[{index}]", extra)
