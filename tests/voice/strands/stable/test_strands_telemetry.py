"""How long the user waited, beside the spans of Strands."""

from __future__ import annotations

import io
from typing import Any

import pytest
from opentelemetry import trace
from realtime_voice.audio import PlayoutDrained
from realtime_voice.events import Interrupted, Reconnected, TurnLatency


def named(spans: Any, name: str) -> list[Any]:
    return [span for span in spans.get_finished_spans() if span.name.startswith(name)]


def lasted_s(span: Any) -> float:
    return float((span.end_time - span.start_time) / 1e9)


async def test_waits_are_spans_of_the_agents_session(conversation: Any, spans: Any) -> None:
    async with conversation("what is twelve times fifteen", "tell me a story", "hello", tools=[]) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(PlayoutDrained)))
        talk.say_something()
        await talk.outputs.until(lambda: len(talk.outputs.said("assistant")) == 2)
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(Interrupted)))
        await talk.outputs.until(lambda: len(talk.outputs.of(TurnLatency)) == 3)
        told, (cut,) = talk.outputs.of(TurnLatency), talk.outputs.of(Interrupted)
        latencies = talk.model.latencies
    (session,) = named(spans, "bidi_session")
    turns, (barge_in,), responses = (named(spans, name) for name in ("realtime_turn", "realtime_barge_in", "bidi_resp"))
    assert {span.parent.span_id for span in [*turns, barge_in, *responses]} == {session.context.span_id}
    received, played = "realtime.speech_end_to_audio_received_s", "realtime.speech_end_to_audio_played_s"
    assert [(span.attributes[received], span.attributes[played]) for span in turns] == [
        (turn.speech_end_to_received_s, turn.speech_end_to_played_s) for turn in told
    ]
    assert lasted_s(turns[0]) == pytest.approx(told[0].speech_end_to_played_s)
    ids = [span.attributes["gen_ai.response.id"] for span in responses]
    assert [span.attributes["gen_ai.response.id"] for span in turns] == ids
    assert barge_in.attributes["realtime.barge_in_to_silence_s"] == cut.speech_to_silence_s
    assert barge_in.attributes["realtime.played_ms"] == cut.played_ms
    assert lasted_s(barge_in) == pytest.approx(cut.speech_to_silence_s)
    assert session.attributes["realtime.speech_end_to_audio_received.count"] == 3
    longest = max(turn.speech_end_to_played_s for turn in told)
    assert session.attributes["realtime.speech_end_to_audio_played.max_s"] == longest
    assert session.attributes["realtime.barge_in_to_silence.mean_s"] == cut.speech_to_silence_s
    assert latencies.speech_end_to_received.count == 3
    assert latencies.speech_end_to_played.longest_s == longest


async def test_a_change_of_connections_is_told_and_measured(conversation: Any, spans: Any) -> None:
    async with conversation("hello", "hello", tools=[]) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(PlayoutDrained)))
        talk.model._connection.expire()
        await talk.outputs.until(lambda: bool(talk.outputs.of(Reconnected)))
        (change,) = talk.outputs.of(Reconnected)
        assert (change.generation, change.attempts, change.items) == (2, 1, 2)
        assert "limit" in change.reason
        assert 0 < change.incoming_gap_s < change.outgoing_gap_s
        talk.say_something()
        await talk.outputs.until(lambda: len(talk.outputs.of(TurnLatency)) == 2)
        assert talk.model.latencies.reconnection.last_s == change.incoming_gap_s
        assert talk.model.latencies.speech_end_to_received.count == 2
    (session,), (restart,) = named(spans, "bidi_session"), named(spans, "bidi_connection_restart")
    (span,) = named(spans, "realtime_reconnection")
    assert span.parent.span_id == restart.parent.span_id == session.context.span_id
    assert span.attributes["realtime.incoming_gap_s"] == change.incoming_gap_s
    assert session.attributes["realtime.reconnection.max_s"] == change.incoming_gap_s


async def test_without_an_audio_side_of_ours_the_waits_are_in_the_current_span(peer: Any, spans: Any) -> None:
    from realtime_voice.strands import BidiOpenAIRealtimeModel

    model = BidiOpenAIRealtimeModel(client_config={"base_url": peer.url})
    with trace.get_tracer("application").start_as_current_span("call") as call:
        await model.start()
        await model.restart()
        events = model.receive()
        await anext(events)
        renewed = (await anext(events)).event
        assert (renewed.generation, renewed.incoming_gap_s, renewed.reason) == (2, 0.0, "")
        await events.aclose()
        await model.stop()
    (span,) = named(spans, "realtime_renewal")
    assert span.parent.span_id == call.get_span_context().span_id
    assert named(spans, "call")[0].attributes == {}


async def test_text_alone_tells_the_model_its_agent(peer: Any, spans: Any) -> None:
    from realtime_voice.strands import BidiAgent, BidiOpenAIRealtimeModel, BidiTextIO

    agent = BidiAgent(model=BidiOpenAIRealtimeModel(client_config={"base_url": peer.url}))
    await agent.start()
    await BidiTextIO(stdout=io.StringIO()).output().start(agent)
    await agent.model.restart()
    renewed = agent.model.receive()
    await anext(renewed)
    await anext(renewed)
    await renewed.aclose()
    await agent.stop()
    (session,), (renewal,) = named(spans, "bidi_session"), named(spans, "realtime_renewal")
    assert renewal.parent.span_id == session.context.span_id
