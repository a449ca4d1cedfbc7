"""What a session says, as the events of a Strands agent of the first generation.

A pure state machine: one event in, the Strands events it makes out. It knows no socket and no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from realtime_voice import events as wire
from realtime_voice.audio import AudioEvent
from realtime_voice.strands.experimental.names import (
    BidiAudioStreamEvent,
    BidiInterruptionEvent,
    BidiResponseCompleteEvent,
    BidiResponseStartEvent,
    BidiTranscriptStreamEvent,
    BidiUsageEvent,
    ToolUseStreamEvent,
)
from realtime_voice.strands.session_event import BidiSessionEvent

if TYPE_CHECKING:
    from realtime_voice.strands.convert import FromWire
    from realtime_voice.strands.model import Stream
    from realtime_voice.strands.session_event import Event

STOP_REASONS: Final = {
    "completed": "complete",
    "cancelled": "interrupted",
    "incomplete": "interrupted",
    "failed": "error",
}
"""Of a response's status; an unknown one counts as complete, as in Strands' own model."""


class Translator:
    """Turns one connection's events into Strands' events.

    Args:
        stream: Format of the audio the agent's outputs get.
        converter: Turns the wire's audio into the format `stream`.
    """

    barge_in: ClassVar[type] = BidiInterruptionEvent

    def __init__(self, stream: Stream, converter: FromWire) -> None:
        self.active_responses: set[str] = set()
        """Ids of the responses that have been created and are not done."""
        self.responses_done = 0
        """How many responses have ended."""
        self.spoke = False
        """Whether the response that ended last had any audio."""
        self._stream = stream
        self._converter = converter
        self._spoken: set[str] = set()  # active responses with audio
        self._said: dict[tuple[str, int], str] = {}  # text so far, by item and part
        self._cut_told = False

    def translate(self, event: Event) -> list[Any]:
        """Return the Strands events that `event` makes, in their order; mostly none."""
        match event:
            case wire.ResponseOutputAudioDelta():
                self._spoken.add(event.response_id)
                return [self._audio(self._converter.convert(event.delta))]
            case wire.ResponseOutputAudioDone():
                rest = self._converter.flush()
                return [self._audio(rest)] if rest else []
            case wire.ResponseOutputAudioTranscriptDelta() | wire.ResponseOutputTextDelta():
                return self._said_delta("assistant", event.item_id, event.content_index, event.delta)
            case wire.ResponseOutputAudioTranscriptDone():
                return self._said_whole("assistant", event.item_id, event.content_index, event.transcript)
            case wire.ResponseOutputTextDone():
                return self._said_whole("assistant", event.item_id, event.content_index, event.text)
            case wire.ConversationItemInputAudioTranscriptionDelta():
                return self._said_delta("user", event.item_id, event.content_index or 0, event.delta or "")
            case wire.ConversationItemInputAudioTranscriptionCompleted():
                return self._said_whole("user", event.item_id, event.content_index, event.transcript)
            case wire.InputAudioBufferSpeechStarted():
                self._cut_told = bool(self.active_responses)
                return [BidiInterruptionEvent("user_speech")] if self._cut_told else []
            case wire.Interrupted():
                return self._interrupted(event)
            case wire.ResponseCreated():
                return self._response_created(event.response)
            case wire.ResponseDone():
                return self._response_done(event)
            case wire.ToolCall():
                use: Any = {"toolUseId": event.call_id, "name": event.name, "input": event.arguments}
                return [ToolUseStreamEvent({"toolUse": use}, dict(use))]
            case wire.Reconnecting() | wire.Reconnected() | wire.Renewed():
                return [*self._broken_off(), BidiSessionEvent(event)]
            case wire.TurnLatency() | wire.Error() | wire.ConversationItemInputAudioTranscriptionFailed():
                return [BidiSessionEvent(event)]
            case _:
                return [BidiSessionEvent(event)] if isinstance(event, AudioEvent) else []

    def _audio(self, samples: str) -> Any:
        return BidiAudioStreamEvent(audio=samples, **self._stream)

    def _said_delta(self, role: str, item_id: str, content_index: int, text: str) -> list[Any]:
        if not text:
            return []
        part = (item_id, content_index)
        self._said[part] = self._said.get(part, "") + text
        return [
            BidiTranscriptStreamEvent({"text": text}, text, role, is_final=False, current_transcript=self._said[part])
        ]

    def _said_whole(self, role: str, item_id: str, content_index: int, text: str) -> list[Any]:
        self._said.pop((item_id, content_index), None)
        if not text.strip():
            return []
        return [BidiTranscriptStreamEvent({"text": text}, text, role, is_final=True, current_transcript=text)]

    def _interrupted(self, event: wire.Interrupted) -> list[Any]:
        """Tell of a cut that came without an active response: the answer was complete, only not yet heard."""
        events: list[Any] = [BidiSessionEvent(event)]
        if not self._cut_told:
            self._cut_told = True
            events.insert(0, BidiInterruptionEvent("user_speech"))
        return events

    def _response_created(self, response: wire.Response) -> list[Any]:
        response_id = response.id or ""
        if response_id in self.active_responses:
            return []
        self.active_responses.add(response_id)
        self._cut_told = False
        return [BidiResponseStartEvent(response_id)]

    def _response_done(self, event: wire.ResponseDone) -> list[Any]:
        response_id = event.response.id or ""
        if response_id not in self.active_responses:
            return []
        self.active_responses.discard(response_id)
        self.responses_done += 1
        self.spoke = response_id in self._spoken
        self._spoken.discard(response_id)
        for item in event.response.output or ():
            for part in [part for part in self._said if part[0] == item.id]:
                del self._said[part]
        events = [BidiResponseCompleteEvent(response_id, STOP_REASONS.get(event.status or "", "complete"))]
        usage = event.response.usage
        if usage is not None:
            events.append(_usage(usage))
        return events

    def _broken_off(self) -> list[Any]:
        """End what the connection that is lost will not end."""
        events: list[Any] = [BidiResponseCompleteEvent(id_, "interrupted") for id_ in sorted(self.active_responses)]
        self.responses_done += len(events)
        self.active_responses.clear()
        self._spoken.clear()
        self._said.clear()
        return events


def _usage(usage: wire.ResponseUsage) -> Any:
    heard, said = usage.input_token_details, usage.output_token_details
    details = []
    for modality in ("text", "audio", "image"):
        tokens_in = getattr(heard, f"{modality}_tokens", None) or 0
        tokens_out = getattr(said, f"{modality}_tokens", None) or 0
        if tokens_in or tokens_out:
            details.append({"modality": modality, "input_tokens": tokens_in, "output_tokens": tokens_out})
    return BidiUsageEvent(
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        usage.total_tokens or 0,
        modality_details=details or None,
        cache_read_input_tokens=getattr(heard, "cached_tokens", None) or None,
    )
