"""What a session says, as the events of a Strands agent.

A pure state machine: one event in, the Strands events it makes out. It knows no socket and no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from strands.bidi.types import (
    BidiAudioDeltaEvent,
    BidiAudioStartEvent,
    BidiAudioStopEvent,
    BidiBargeInEvent,
    BidiResponseStartEvent,
    BidiResponseStopEvent,
    BidiTextDeltaEvent,
    BidiTextStartEvent,
    BidiTextStopEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptDeltaEvent,
    BidiTranscriptStartEvent,
    BidiTranscriptStopEvent,
    BidiUsageEvent,
)

from realtime_voice import events as wire
from realtime_voice.audio import AudioEvent
from realtime_voice.strands.session_event import BidiSessionEvent, Event

if TYPE_CHECKING:
    from strands.bidi.models import AudioStreamConfig
    from strands.bidi.types import BidiOutputEvent, Role, TokenDetails

    from realtime_voice.strands.convert import FromWire

PART_SEPARATOR = "\n\n"
"""Between two parts of one response's text or transcript, which Strands knows as one."""


class Translator:
    """Turns one connection's events into Strands' events, with every stream opened and closed exactly once.

    Args:
        stream: Format of the audio the agent's outputs get.
        transcription: Whether the session writes down what the user says.
        server_interrupts: Whether the server cancels its response by itself when it hears the user.
        converter: Turns the wire's audio into the format `stream`.
    """

    barge_in: ClassVar[type] = BidiBargeInEvent

    def __init__(
        self,
        stream: AudioStreamConfig,
        converter: FromWire,
        *,
        transcription: bool = True,
        server_interrupts: bool = True,
    ) -> None:
        self.active_responses: set[str] = set()
        """Ids of the responses that have been created and are not done."""
        self.responses_done = 0
        """How many responses have ended."""
        self.spoke = False
        """Whether the response that ended last had any audio."""
        self._stream = stream
        self._transcription = transcription
        self._server_interrupts = server_interrupts
        self._converter = converter
        self._responses: dict[str, _Response] = {}
        self._speeches: dict[str, bool] = {}  # user transcripts that are open -> whether any text came
        self._is_server_hearing = False  # the user, and so it cancels the active response by itself
        self._cut_told = False

    def translate(self, event: Event) -> list[BidiOutputEvent]:
        """Return the Strands events that `event` makes, in their order; mostly none."""
        match event:
            case wire.ResponseOutputAudioDelta():
                return self._audio_delta(event)
            case wire.ResponseOutputAudioTranscriptDelta():
                transcript = self._response(event.response_id).transcript
                return transcript.write(event.item_id, event.content_index, event.delta)
            case wire.ResponseOutputTextDelta():
                text = self._response(event.response_id).text
                return text.write(event.item_id, event.content_index, event.delta)
            case wire.InputAudioBufferSpeechStarted():
                self._is_server_hearing = self._server_interrupts
                return self._open_speech(event.item_id)
            case wire.InputAudioBufferCommitted():
                self._is_server_hearing = False
                return self._open_speech(event.item_id)
            case wire.ConversationItemAdded():
                return self._item_added(event.item)
            case wire.ConversationItemInputAudioTranscriptionDelta():
                return self._speech_text(event.item_id, event.delta or "")
            case wire.ConversationItemInputAudioTranscriptionSegment():
                return self._speech_text(event.item_id, event.text)
            case wire.ConversationItemInputAudioTranscriptionCompleted():
                text_so_far = self._speeches.get(event.item_id)
                return self._close_speech(event.item_id, "" if text_so_far else event.transcript)
            case wire.ConversationItemInputAudioTranscriptionFailed():
                closed = self._close_speech(event.item_id, "") if event.item_id in self._speeches else []
                return [*closed, _passed_on(event)]
            case wire.ResponseCreated():
                return self._response_created(event.response)
            case wire.ResponseContentPartAdded():
                spoken = event.part.type == "audio"
                return self._response(event.response_id).open_audio(event.item_id) if spoken else []
            case wire.ResponseOutputAudioDone():
                return self._close_audio(self._response(event.response_id), event.item_id)
            case wire.ResponseDone():
                return self._response_done(event)
            case wire.ToolCall():
                call: Any = {"toolUseId": event.call_id, "name": event.name, "input": event.arguments}
                return [BidiToolUseBlocksEvent([call])]
            case wire.Interrupted():
                return self._interrupted(event)
            case wire.Reconnecting() | wire.Reconnected() | wire.Renewed():
                return [*self._broken_off(), _passed_on(event)]
            case wire.TurnLatency() | wire.Error():
                return [_passed_on(event)]
            case _:
                return [_passed_on(event)] if isinstance(event, AudioEvent) else []

    # The user

    def _item_added(self, item: wire.Item) -> list[BidiOutputEvent]:
        spoken = item.role == "user" and any(part.type == "input_audio" for part in item.content or ())
        return self._open_speech(item.id) if spoken and item.id else []

    def _open_speech(self, item_id: str) -> list[BidiOutputEvent]:
        if not self._transcription or item_id in self._speeches:
            return []
        self._speeches[item_id] = False
        return [BidiTranscriptStartEvent("user", item_id)]

    def _speech_text(self, item_id: str, text: str) -> list[BidiOutputEvent]:
        if not text:
            return []
        opened: list[BidiOutputEvent] = []
        if item_id not in self._speeches:
            opened.append(BidiTranscriptStartEvent("user", item_id))
        self._speeches[item_id] = True
        return [*opened, BidiTranscriptDeltaEvent(text, "user", item_id)]

    def _close_speech(self, item_id: str, text: str) -> list[BidiOutputEvent]:
        events = self._speech_text(item_id, text)
        if item_id not in self._speeches:
            events.append(BidiTranscriptStartEvent("user", item_id))
        self._speeches.pop(item_id, None)
        return [*events, BidiTranscriptStopEvent("user", item_id)]

    # The agent

    def _response_created(self, response: wire.Response) -> list[BidiOutputEvent]:
        response_id = response.id or ""
        if response_id in self.active_responses:
            return []
        self.active_responses.add(response_id)
        self._cut_told = False
        return [BidiResponseStartEvent(response_id)]

    def _audio_delta(self, event: wire.ResponseOutputAudioDelta) -> list[BidiOutputEvent]:
        response = self._response(event.response_id)
        return [
            *response.open_audio(event.item_id),
            self._audio_event(response.audio_id, self._converter.convert(event.delta)),
        ]

    def _close_audio(self, response: _Response, item_id: str | None = None) -> list[BidiOutputEvent]:
        closed = response.close_audio(item_id)
        if closed and (rest := self._converter.flush()):
            closed.insert(0, self._audio_event(response.audio_id, rest))
        return closed

    def _audio_event(self, content_id: str, audio: str) -> BidiAudioDeltaEvent:
        return BidiAudioDeltaEvent(audio=audio, content_id=content_id, **self._stream)

    def _response_done(self, event: wire.ResponseDone) -> list[BidiOutputEvent]:
        response_id = event.response.id or ""
        if response_id not in self.active_responses:
            return []
        self.active_responses.discard(response_id)
        response = self._response(response_id)
        del self._responses[response_id]
        self.responses_done += 1
        self.spoke = bool(response.audio_id)
        events: list[BidiOutputEvent] = []
        if event.status == "cancelled" and event.reason == "turn_detected":
            events += self._barged_in()
        parts = [
            part
            for item in event.response.output or ()
            if item.type == "message" and item.role == "assistant"
            for part in item.content or ()
        ]
        transcripts = [part.transcript or "" for part in parts if part.type == "output_audio"]
        texts = [part.text or "" for part in parts if part.type == "output_text"]
        events += self._close_audio(response)
        events += response.transcript.close(transcripts)
        events += response.text.close(texts)
        if event.usage is not None:
            events.append(_usage(event))
        return [*events, BidiResponseStopEvent(response_id)]

    def _broken_off(self) -> list[BidiOutputEvent]:
        """Close what the connection that is lost will not close."""
        events: list[BidiOutputEvent] = []
        for response_id in sorted(self.active_responses):
            response = self._response(response_id)
            events += self._close_audio(response)
            events += response.transcript.close([])
            events += response.text.close([])
            events.append(BidiResponseStopEvent(response_id))
            del self._responses[response_id]
            self.responses_done += 1
        self.active_responses.clear()
        self._is_server_hearing = False
        for item_id in list(self._speeches):
            events += self._close_speech(item_id, "")
        return events

    def _response(self, response_id: str) -> _Response:
        if response_id not in self._responses:
            self._responses[response_id] = _Response(response_id)
        return self._responses[response_id]

    def _interrupted(self, event: wire.Interrupted) -> list[BidiOutputEvent]:
        """Tell of a cut at once, unless it is the server's, of an active response: then `response.done` tells of it.

        That is Strands' order. An answer may be complete, only not yet heard, or this side be who cuts: by a key, or
        because its own detector heard the user.
        """
        told = [] if self.active_responses and self._is_server_hearing else self._barged_in()
        return [*told, _passed_on(event)]

    def _barged_in(self) -> list[BidiOutputEvent]:
        """Tell outputs to be silent, once for each response."""
        told, self._cut_told = self._cut_told, True
        return [] if told else [BidiBargeInEvent()]


class _Response:
    """The streams of one response."""

    def __init__(self, response_id: str) -> None:
        self.transcript = _Text(_Spoken(response_id))
        self.text = _Text(_Written(f"{response_id}:text"))
        self.audio_id = ""
        self._id = response_id
        self._streams = 0
        self._open_items: set[str] = set()

    def open_audio(self, item_id: str) -> list[BidiOutputEvent]:
        """Note that audio of `item_id` comes; a stream starts unless one is open."""
        already = bool(self._open_items)
        self._open_items.add(item_id)
        if already:
            return []
        self._streams += 1
        self.audio_id = f"{self._id}:audio:{self._streams}"
        return [BidiAudioStartEvent(self.audio_id)]

    def close_audio(self, item_id: str | None = None) -> list[BidiOutputEvent]:
        """Note that `item_id` (None: every item) has no more audio; the stream stops with its last open item."""
        if not self._open_items:
            return []
        if item_id is None:
            self._open_items.clear()
        else:
            self._open_items.discard(item_id)
        return [] if self._open_items else [BidiAudioStopEvent(self.audio_id)]


class _Spoken:
    """Makes the events of an agent's transcript."""

    def __init__(self, content_id: str) -> None:
        self._content_id = content_id
        self._role: Role = "assistant"

    def start(self) -> BidiOutputEvent:
        return BidiTranscriptStartEvent(self._role, self._content_id)

    def delta(self, text: str) -> BidiOutputEvent:
        return BidiTranscriptDeltaEvent(text, self._role, self._content_id)

    def stop(self) -> BidiOutputEvent:
        return BidiTranscriptStopEvent(self._role, self._content_id)


class _Written:
    """Makes the events of an agent's text."""

    def __init__(self, content_id: str) -> None:
        self._content_id = content_id

    def start(self) -> BidiOutputEvent:
        return BidiTextStartEvent(self._content_id)

    def delta(self, text: str) -> BidiOutputEvent:
        return BidiTextDeltaEvent(text, self._content_id)

    def stop(self) -> BidiOutputEvent:
        return BidiTextStopEvent(self._content_id)


class _Text:
    """One response's transcript or text: its parts as one stream."""

    def __init__(self, kind: _Spoken | _Written) -> None:
        self._kind = kind
        self._part: tuple[str, int] | None = None

    def write(self, item_id: str, content_index: int, text: str) -> list[BidiOutputEvent]:
        """Add `text` of one part; the first text opens the stream, another part begins a new paragraph."""
        if not text:
            return []
        part = (item_id, content_index)
        opened = [self._kind.start()] if self._part is None else []
        if self._part not in (None, part):
            text = PART_SEPARATOR + text
        self._part = part
        return [*opened, self._kind.delta(text)]

    def close(self, parts: list[str]) -> list[BidiOutputEvent]:
        """End the stream; `parts` are the final texts, told whole where no delta came."""
        events = [] if self._part is not None else self.write("", 0, PART_SEPARATOR.join(parts))
        if self._part is None and parts:
            events.append(self._kind.start())
        return [*events, self._kind.stop()] if self._part is not None or parts else []


def _passed_on(event: Event) -> BidiOutputEvent:
    # The agent's loop hands every event on, known to it or not; the union of its type does not say so.
    return cast("BidiOutputEvent", BidiSessionEvent(event))


def _usage(event: wire.ResponseDone) -> BidiUsageEvent:
    usage = event.response.usage or wire.ResponseUsage()
    return BidiUsageEvent(
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        total_tokens=usage.total_tokens or 0,
        input_token_details=_details(usage.input_token_details),
        output_token_details=_details(usage.output_token_details),
    )


_TOKENS = {
    "text_tokens": "text",
    "audio_tokens": "audio",
    "image_tokens": "image",
    "cached_tokens": "cache_read",
    "reasoning_tokens": "reasoning",
}


def _details(details: wire.InputTokenDetails | wire.OutputTokenDetails | None) -> TokenDetails | None:
    counts = {name: count for field, name in _TOKENS.items() if (count := getattr(details, field, None)) is not None}
    return cast("TokenDetails", counts) or None
