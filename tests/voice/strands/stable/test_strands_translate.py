"""What a session says, as Strands events: golden streams, in order, each opened and closed once."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from realtime_voice import events as wire
from realtime_voice.audio import Wire
from realtime_voice.strands.convert import FromWire
from realtime_voice.strands.session_event import BidiSessionEvent
from realtime_voice.strands.stable.translate import Translator
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

PCM = {"format": "pcm", "sample_rate": 24000, "channels": 1}


def translator(*, rate: int = 24000, **options: bool) -> Translator:
    stream: Any = {**PCM, "sample_rate": rate}
    return Translator(stream, FromWire(Wire(), rate, 1), **options)


def run(machine: Translator, *events: dict[str, Any]) -> list[Any]:
    decoded = [wire.decode_server(json.dumps({"event_id": "e", **event})) for event in events]
    return [out for event in decoded for out in machine.translate(event)]


def created(response_id: str = "r1") -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": response_id, "status": "in_progress"}}


def done(response_id: str = "r1", status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": response_id, "status": status, **fields}}


def part(kind: str, item: str = "a1", index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response_id": "r1", "item_id": item, "content_index": index, **fields}


def message(*content: dict[str, Any], item: str = "a1") -> dict[str, Any]:
    return {"id": item, "type": "message", "role": "assistant", "content": list(content)}


def speech(kind: str, item: str = "u1", **fields: Any) -> dict[str, Any]:
    return {"type": f"input_audio_buffer.{kind}", "item_id": item, **fields}


def transcription(kind: str, item: str = "u1", **fields: Any) -> dict[str, Any]:
    return {"type": f"conversation.item.input_audio_transcription.{kind}", "item_id": item, **fields}


def test_a_spoken_turn() -> None:
    usage = {
        "total_tokens": 30,
        "input_tokens": 10,
        "output_tokens": 20,
        "input_token_details": {"text_tokens": 2, "audio_tokens": 8, "cached_tokens": 4},
        "output_token_details": {"text_tokens": 5, "audio_tokens": 15},
    }
    events = run(
        translator(),
        speech("speech_started", audio_start_ms=0),
        speech("speech_stopped", audio_end_ms=900),
        speech("committed"),
        {
            "type": "conversation.item.added",
            "item": {"id": "u1", "type": "message", "role": "user", "content": [{"type": "input_audio"}]},
        },
        created(),
        transcription("delta", delta="What is "),
        transcription("delta", delta="it?"),
        transcription("completed", transcript="What is it?"),
        part("content_part.added", part={"type": "audio", "transcript": ""}),
        part("output_audio_transcript.delta", delta="Forty"),
        part("output_audio.delta", delta="AAAA"),
        part("output_audio_transcript.delta", delta=" two."),
        part("output_audio.delta", delta="BBBB"),
        part("output_audio.done"),
        part("output_audio_transcript.done", transcript="Forty two."),
        done(output=[message({"type": "output_audio", "transcript": "Forty two."})], usage=usage),
    )
    assert events == [
        BidiTranscriptStartEvent("user", "u1"),
        BidiResponseStartEvent("r1"),
        BidiTranscriptDeltaEvent("What is ", "user", "u1"),
        BidiTranscriptDeltaEvent("it?", "user", "u1"),
        BidiTranscriptStopEvent("user", "u1"),
        BidiAudioStartEvent("r1:audio:1"),
        BidiTranscriptStartEvent("assistant", "r1"),
        BidiTranscriptDeltaEvent("Forty", "assistant", "r1"),
        BidiAudioDeltaEvent("AAAA", "pcm", 24000, 1, "r1:audio:1"),
        BidiTranscriptDeltaEvent(" two.", "assistant", "r1"),
        BidiAudioDeltaEvent("BBBB", "pcm", 24000, 1, "r1:audio:1"),
        BidiAudioStopEvent("r1:audio:1"),
        BidiTranscriptStopEvent("assistant", "r1"),
        BidiUsageEvent(10, 20, 30, {"text": 2, "audio": 8, "cache_read": 4}, {"text": 5, "audio": 15}),
        BidiResponseStopEvent("r1"),
    ]


def test_repeated_boundaries_make_one_response() -> None:
    events = run(translator(), created(), created(), done(), done())
    assert events == [BidiResponseStartEvent("r1"), BidiResponseStopEvent("r1")]


@pytest.mark.parametrize(
    ("status", "details", "told"),
    [
        ("cancelled", {"type": "cancelled", "reason": "turn_detected"}, True),
        ("cancelled", {"type": "cancelled", "reason": "client_cancelled"}, False),
        ("cancelled", None, False),
        ("completed", None, False),
        ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, False),
        ("failed", {"type": "failed", "error": {"code": "server_error"}}, False),
    ],
)
def test_a_cut_response_is_a_barge_in_before_its_streams_stop(status: str, details: Any, told: bool) -> None:
    events = run(
        translator(),
        created(),
        part("output_audio.delta", delta="AAAA"),
        speech("speech_started", audio_start_ms=0),
        done(status=status, status_details=details),
    )
    assert events == [
        BidiResponseStartEvent("r1"),
        BidiAudioStartEvent("r1:audio:1"),
        BidiAudioDeltaEvent("AAAA", "pcm", 24000, 1, "r1:audio:1"),
        BidiTranscriptStartEvent("user", "u1"),
        *([BidiBargeInEvent()] if told else []),
        BidiAudioStopEvent("r1:audio:1"),
        BidiResponseStopEvent("r1"),
    ]


def cut() -> wire.Interrupted:
    return wire.Interrupted(item_id="a1", content_index=0, played_ms=500, received_ms=2000, heard="So", full="So it is")


def test_a_cut_after_the_response_was_complete_is_a_barge_in_too() -> None:
    machine = translator()
    run(machine, created(), part("output_audio.delta", delta="AAAA"), done())
    run(machine, speech("speech_started", audio_start_ms=0))
    assert machine.translate(cut()) == [BidiBargeInEvent(), BidiSessionEvent(cut())]
    assert machine.translate(cut()) == [BidiSessionEvent(cut())]
    run(machine, created("r2"), done("r2"), speech("speech_started", "u2", audio_start_ms=9))
    assert machine.translate(cut())[0] == BidiBargeInEvent()


def test_a_cut_of_a_running_response_is_told_by_its_end_alone() -> None:
    machine = translator()
    run(machine, created(), part("output_audio.delta", delta="AAAA"), speech("speech_started", audio_start_ms=0))
    assert machine.translate(cut()) == [BidiSessionEvent(cut())]
    ended = run(machine, done(status="cancelled", status_details={"type": "cancelled", "reason": "turn_detected"}))
    assert ended.count(BidiBargeInEvent()) == 1


@pytest.mark.parametrize("reason", ["client_cancelled", "turn_detected"])
def test_a_cut_by_a_key_or_the_detector_here_is_told_at_once(reason: str) -> None:
    machine = translator()
    run(machine, created(), part("output_audio.delta", delta="AAAA"))
    assert machine.translate(cut()) == [BidiBargeInEvent(), BidiSessionEvent(cut())]
    details = {"type": "cancelled", "reason": reason}
    ended = run(machine, speech("speech_started", audio_start_ms=0), done(status="cancelled", status_details=details))
    assert BidiBargeInEvent() not in ended


def test_a_cut_of_a_server_that_leaves_it_to_this_side_is_told_at_once() -> None:
    machine = translator(server_interrupts=False)
    run(machine, created(), part("output_audio.delta", delta="AAAA"), speech("speech_started", audio_start_ms=0))
    assert machine.translate(cut()) == [BidiBargeInEvent(), BidiSessionEvent(cut())]


def test_items_of_one_response_that_overlap_are_one_audio_stream() -> None:
    events = run(
        translator(),
        created(),
        part("output_audio.delta", "a1", delta="AAAA"),
        part("output_audio.delta", "a2", delta="BBBB"),
        part("output_audio.done", "a1"),
        part("output_audio.delta", "a2", delta="CCCC"),
        part("output_audio.done", "a2"),
        part("output_audio.delta", "a3", delta="DDDD"),
        done(),
    )
    kinds = [(type(event).__name__, event.get("content_id")) for event in events[1:-1]]
    assert kinds == [
        ("BidiAudioStartEvent", "r1:audio:1"),
        ("BidiAudioDeltaEvent", "r1:audio:1"),
        ("BidiAudioDeltaEvent", "r1:audio:1"),
        ("BidiAudioDeltaEvent", "r1:audio:1"),
        ("BidiAudioStopEvent", "r1:audio:1"),
        ("BidiAudioStartEvent", "r1:audio:2"),
        ("BidiAudioDeltaEvent", "r1:audio:2"),
        ("BidiAudioStopEvent", "r1:audio:2"),
    ]


def test_resampled_audio_keeps_its_end() -> None:
    samples = bytes(range(256)) * 20
    delta = base64.b64encode(samples).decode()
    events = run(translator(rate=48000), created(), part("output_audio.delta", delta=delta), done())
    audio = b"".join(base64.b64decode(event.audio) for event in events if isinstance(event, BidiAudioDeltaEvent))
    assert len(audio) >= 2 * len(samples)
    assert all(event.sample_rate == 48000 for event in events if isinstance(event, BidiAudioDeltaEvent))
    assert isinstance(events[-2], BidiAudioStopEvent)


@pytest.mark.parametrize("kind", ["output_audio_transcript", "output_text"])
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("second", [("a2", 0), ("a1", 1)])
def test_parts_of_a_response_are_paragraphs_of_one_stream(kind: str, streamed: bool, second: tuple[str, int]) -> None:
    spoken = kind == "output_audio_transcript"
    content = {"type": "output_audio", "transcript": "%s"} if spoken else {"type": "output_text", "text": "%s"}
    field = "transcript" if spoken else "text"
    output = [message({**content, field: "One."}), message({**content, field: "Two."}, item="a2")]
    deltas = [part(f"{kind}.delta", delta="One."), part(f"{kind}.delta", *second, delta="Two.")] if streamed else []
    events = run(translator(), created(), *deltas, done(output=output))
    text = "".join(event.get("delta", "") for event in events)
    assert text == "One.\n\nTwo."
    names = [type(event).__name__.removeprefix("Bidi").removesuffix("Event") for event in events]
    name = "Transcript" if spoken else "Text"
    assert names == [
        "ResponseStart",
        f"{name}Start",
        *[f"{name}Delta"] * (2 if streamed else 1),
        f"{name}Stop",
        "ResponseStop",
    ]


def test_text_and_transcript_are_two_streams() -> None:
    events = run(
        translator(),
        created(),
        part("output_text.delta", delta="Written"),
        part("output_audio_transcript.delta", index=1, delta="Spoken"),
        part("output_text.delta", delta=" more"),
        done(output=[message({"type": "output_text", "text": "x"}, {"type": "output_audio", "transcript": "y"})]),
    )
    assert events[1:-1] == [
        BidiTextStartEvent("r1:text"),
        BidiTextDeltaEvent("Written", "r1:text"),
        BidiTranscriptStartEvent("assistant", "r1"),
        BidiTranscriptDeltaEvent("Spoken", "assistant", "r1"),
        BidiTextDeltaEvent(" more", "r1:text"),
        BidiTranscriptStopEvent("assistant", "r1"),
        BidiTextStopEvent("r1:text"),
    ]


def test_an_empty_transcript_is_still_a_stream() -> None:
    events = run(translator(), created(), done(output=[message({"type": "output_audio", "transcript": ""})]))
    assert events[1:-1] == [
        BidiTranscriptStartEvent("assistant", "r1"),
        BidiTranscriptStopEvent("assistant", "r1"),
    ]


def test_user_transcripts() -> None:
    whole = run(translator(), transcription("completed", transcript="Hi"))
    assert whole == [
        BidiTranscriptStartEvent("user", "u1"),
        BidiTranscriptDeltaEvent("Hi", "user", "u1"),
        BidiTranscriptStopEvent("user", "u1"),
    ]
    silent = run(translator(), speech("speech_started", audio_start_ms=0), transcription("completed", transcript=""))
    assert silent == [BidiTranscriptStartEvent("user", "u1"), BidiTranscriptStopEvent("user", "u1")]
    late = run(
        translator(),
        speech("committed", "u1"),
        speech("committed", "u2"),
        transcription("completed", "u2", transcript="Two"),
        transcription("completed", "u1", transcript="One"),
    )
    assert [event["content_id"] for event in late] == ["u1", "u2", "u2", "u2", "u1", "u1"]
    segment = {"id": "s", "content_index": 0, "speaker": "A", "start": 0.0, "end": 1.0, "text": "Hi"}
    assert run(translator(), transcription("segment", **segment))[1] == BidiTranscriptDeltaEvent("Hi", "user", "u1")


def test_without_transcription_speech_opens_nothing() -> None:
    spoken = {"id": "u1", "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
    events = run(
        translator(transcription=False),
        speech("speech_started", audio_start_ms=0),
        speech("committed"),
        {"type": "conversation.item.added", "item": spoken},
    )
    assert events == []


@pytest.mark.parametrize("known", [True, False])
def test_a_failed_transcription_is_told_and_ends_nothing(known: bool) -> None:
    machine = translator()
    if known:
        run(machine, speech("committed"))
    events = run(machine, transcription("failed", content_index=0, error={"message": "too quiet"}))
    assert isinstance(events[-1], BidiSessionEvent)
    assert events[-1].event.error.message == "too quiet"
    assert events[:-1] == ([BidiTranscriptStopEvent("user", "u1")] if known else [])
    assert run(machine, created()) == [BidiResponseStartEvent("r1")]


def test_what_a_lost_connection_leaves_open_is_closed() -> None:
    machine = translator()
    speech = {"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0}
    spoken = part("output_audio_transcript.delta", delta="So it")
    run(machine, speech, created(), part("content_part.added", part={"type": "audio"}), spoken)
    lost = wire.Reconnecting(reason="gone", attempt=1, wait_s=0.0)
    assert machine.translate(lost) == [
        BidiAudioStopEvent("r1:audio:1"),
        BidiTranscriptStopEvent("assistant", "r1"),
        BidiResponseStopEvent("r1"),
        BidiTranscriptStopEvent("user", "u1"),
        BidiSessionEvent(lost),
    ]
    assert not machine.active_responses
    assert machine.translate(lost) == [BidiSessionEvent(lost)]
    assert run(machine, done()) == []


def test_tool_calls_and_notices() -> None:
    machine = translator()
    call = wire.ToolCall(call_id="c1", name="calculator", arguments={"expression": "2+2"})
    assert machine.translate(call) == [
        BidiToolUseBlocksEvent([{"toolUseId": "c1", "name": "calculator", "input": {"expression": "2+2"}}])
    ]
    latency = wire.TurnLatency(response_id="r1", item_id="a1", speech_end_to_received_s=0.4)
    assert machine.translate(latency) == [BidiSessionEvent(latency)]
    error = run(machine, {"type": "error", "error": {"type": "server_error", "message": "busy"}})
    assert error[0].event.error.message == "busy"


def test_what_strands_has_no_word_for_is_passed_over() -> None:
    silent = [
        {"type": "response.output_item.added", "response_id": "r1", "item": {"type": "message"}},
        part("content_part.added", part={"type": "text", "text": ""}),
        {"type": "rate_limits.updated", "rate_limits": []},
        {"type": "response.new_event", "x": 1},
        {
            "type": "conversation.item.added",
            "item": {"id": "t", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        },
    ]
    assert run(translator(), *silent) == []
