"""How long the user waited, as OpenTelemetry spans beside those of Strands, and as attributes of its session span.

Strands' spans keep their names. It ends a response's span as soon as the response is generated, before the answer is
heard, so a wait is a span of its own, a child of ``bidi_session``; ``gen_ai.response.id`` names the response.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from realtime_voice.events import Interrupted, Reconnected, Renewed, TurnLatency

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from realtime_voice.latency import Latencies
    from realtime_voice.strands.session_event import Event

_NS: Final = 1_000_000_000


class Telemetry:
    """Tells one model's waits to the tracer that the application has set up; to none, at next to no cost.

    Spans: ``realtime_turn`` from the end of the user's speech to the first audio heard, ``realtime_barge_in`` from the
    beginning of the speech that interrupts to silence, ``realtime_renewal`` and ``realtime_reconnection`` of the
    connection's gap.
    """

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("realtime_voice")
        self._agent: Any = None

    def follow(self, agent: Any) -> None:
        """Put the spans into this agent's session from now on; without one, into whatever span is current."""
        self._agent = agent

    def tell(self, event: Event, latencies: Latencies) -> None:
        """Record what an event tells of a wait that has just ended; others are passed over."""
        about: dict[str, AttributeValue]
        match event:
            case TurnLatency(speech_end_to_received_s=received_s, speech_end_to_played_s=played_s):
                waits = {
                    "realtime.speech_end_to_audio_received_s": received_s,
                    "realtime.speech_end_to_audio_played_s": played_s,
                }
                name, lasted_s = "realtime_turn", received_s if played_s is None else played_s
                about = {"gen_ai.response.id": event.response_id, "realtime.item_id": event.item_id}
            case Interrupted(speech_to_silence_s=silence_s):
                waits = {"realtime.barge_in_to_silence_s": silence_s}
                name, lasted_s = "realtime_barge_in", silence_s or 0.0
                about = {
                    "realtime.item_id": event.item_id,
                    "realtime.played_ms": event.played_ms,
                    "realtime.received_ms": event.received_ms,
                }
            case Renewed() | Reconnected():
                waits = {
                    "realtime.incoming_gap_s": event.incoming_gap_s,
                    "realtime.outgoing_gap_s": event.outgoing_gap_s,
                }
                name = "realtime_renewal" if isinstance(event, Renewed) else "realtime_reconnection"
                lasted_s = max(event.incoming_gap_s, event.outgoing_gap_s)
                about = {"realtime.attempts": event.attempts, "realtime.reason": event.reason}
            case _:
                return
        session = self._session_span()
        self._record(session, name, lasted_s, {**about, **{key: s for key, s in waits.items() if s is not None}})
        if session is not None:
            session.set_attributes(_summary(latencies))

    def _session_span(self) -> Span | None:
        """Return Strands' span of the conversation; None in releases that have none, or for an agent not known."""
        span: Span | None = getattr(getattr(self._agent, "_loop", None), "_session_span", None)
        return span

    def _record(self, parent: Span | None, name: str, lasted_s: float, attributes: dict[str, AttributeValue]) -> None:
        end = time.time_ns()
        context = None if parent is None else trace.set_span_in_context(parent)
        start = end - round(lasted_s * _NS)
        self._tracer.start_span(name, context=context, attributes=attributes, start_time=start).end(end)


def _summary(latencies: Latencies) -> dict[str, AttributeValue]:
    """Return the session's waits so far as attributes."""
    waits = {
        "speech_end_to_audio_received": latencies.speech_end_to_received,
        "speech_end_to_audio_played": latencies.speech_end_to_played,
        "barge_in_to_silence": latencies.speech_to_silence,
        "renewal": latencies.renewal,
        "reconnection": latencies.reconnection,
    }
    summary: dict[str, AttributeValue] = {}
    for name, wait in waits.items():
        if wait.count:
            summary[f"realtime.{name}.count"] = wait.count
            summary[f"realtime.{name}.mean_s"] = wait.mean_s
            summary[f"realtime.{name}.max_s"] = wait.longest_s
    return summary
