"""What a session asks its server for: the `session` of session.update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from realtime_voice.audio.wire import Wire
from realtime_voice.protocol import merge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TRANSCRIPTION_MODEL: Final = "gpt-4o-mini-transcribe"


def session_config(
    *,
    instructions: str | None = None,
    voice: str | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
    wire_in: Wire = Wire(),  # noqa: B008  frozen
    wire_out: Wire = Wire(),  # noqa: B008  frozen
    config: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the `session` of a session.update, with `config` merged last."""
    heard: dict[str, Any] = {"format": _format(wire_in), "transcription": {"model": TRANSCRIPTION_MODEL}}
    spoken: dict[str, Any] = {"format": _format(wire_out)}
    if voice is not None:
        spoken["voice"] = voice
    session: dict[str, Any] = {"type": "realtime", "audio": {"input": heard, "output": spoken}}
    if instructions is not None:
        session["instructions"] = instructions
    if tools:
        session["tools"] = list(tools)
    if config is None:
        return session
    if config.get("type") == "transcription":  # knows nothing of answers
        session = {"audio": {"input": heard}}
    return merge(session, config)


def finds_no_turns(config: Mapping[str, Any] | None) -> bool:
    """Whether a configuration tells the server not to look for turns."""
    heard = ((config or {}).get("audio") or {}).get("input") or {}
    return "turn_detection" in heard and heard["turn_detection"] is None


def _format(wire: Wire) -> dict[str, Any]:
    return {"type": "audio/pcm", "rate": wire.rate} if wire.encoding == "pcm" else {"type": f"audio/{wire.encoding}"}
