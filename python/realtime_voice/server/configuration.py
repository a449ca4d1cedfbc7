"""A session's effective configuration: defaults, what may be set to what, and how an update is merged into it.

No I/O. What is wrong raises Refused, which is the `error` event to answer with.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from realtime_voice import events
from realtime_voice.server.wire import WIRE_RATES

DEFAULT_INSTRUCTIONS = (
    "You are a helpful, friendly voice assistant that works without a network. Answer in one short spoken sentence."
)
SESSION_LIMIT_S = 3600.0
MODALITIES = (["audio"], ["text"])
CONNECTORS = (
    "dropbox", "gmail", "googlecalendar", "googledrive", "microsoftteams", "outlookcalendar", "outlookemail",
    "sharepoint",
)  # fmt: skip
EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
MAX_OUTPUT_TOKENS = 4096
MAX_METADATA_PAIRS = 16
MAX_SHOWN_BYTES = 256 * 1024
"""Of a change of the session, or of an item without audio and images: what is echoed stays in frames below 1 MiB."""
MAX_NESTING = 64
"""Objects and lists inside one another, in a session or a response's parameters."""
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512

TURN_DETECTION: Mapping[str, Mapping[str, Any]] = {
    "server_vad": {
        "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500, "idle_timeout_ms": None,
        "create_response": True, "interrupt_response": True,
    },
    "semantic_vad": {"eagerness": "auto", "create_response": True, "interrupt_response": True},
}  # fmt: skip
"""Keys that each kind of turn detection has, with their defaults."""
NULLABLE = frozenset(
    {"tracing", "prompt", "include", "transcription", "noise_reduction", "turn_detection", "idle_timeout_ms"}
)
"""What null switches off."""
INITIAL_SILENCE_MS = 200
"""What a new session starts with on the wire, unlike the documented default of 500."""


class Refused(Exception):  # noqa: N818  # it is an answer, not a fault
    """A request that is answered with an `error` event; the session goes on."""

    def __init__(
        self, message: str, code: str | None = "invalid_value", param: str | None = None,
        *, kind: str = "invalid_request_error",
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind

    def event(self, event_id: str, answered: str | None) -> events.Error:
        """Return the `error` event; `answered` is the client event's id."""
        details = events.ErrorDetails(
            type=self.kind, code=self.code, message=self.message, param=self.param, event_id=answered
        )
        return events.Error(event_id=event_id, error=details)


class Configuration:
    """The effective configuration of one session, as the JSON object that session.created and .updated carry."""

    def __init__(self, session_id: str, model: str, expires_at: int, initial: Mapping[str, Any] | None = None) -> None:
        self.effective: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model,
            "output_modalities": ["audio"],
            "instructions": DEFAULT_INSTRUCTIONS,
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "expires_at": expires_at,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": WIRE_RATES["audio/pcm"]},
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": {
                        "type": "server_vad", **TURN_DETECTION["server_vad"],
                        "silence_duration_ms": INITIAL_SILENCE_MS,
                    },
                },
                "output": {
                    "format": {"type": "audio/pcm", "rate": WIRE_RATES["audio/pcm"]},
                    "voice": "alloy",
                    "speed": 1.0,
                },
            },
            "include": None,
        }  # fmt: skip
        if initial is not None and initial.get("type") == "transcription":
            self._become_transcription()
        self.effective = merge(self.effective, initial or {})

    def _become_transcription(self) -> None:
        """Keep only what a transcription session has."""
        kept = {key: self.effective[key] for key in ("type", "object", "id", "expires_at", "include")}
        kept.update(object="realtime.transcription_session", audio={"input": self.input})
        self.effective = kept

    @property
    def transcribes_only(self) -> bool:
        """Whether this is a transcription session, which never answers."""
        return bool(self.effective["type"] == "transcription")

    def event_session(self) -> events.Session:
        """Return the complete configuration as events carry it."""
        return msgspec.convert(self.effective, events.Session)

    def update(self, event: events.SessionUpdate, *, voice_locked: bool, speaking: bool) -> None:
        """Merge a `session.update`: absent keys stay, None switches off. Nothing changes when it is refused.

        Args:
            event: the client's event.
            voice_locked: the session has spoken, its voice can no longer change.
            speaking: a response is in progress, the speed cannot change.

        Raises:
            Refused: a field is unknown or its value is not allowed.

        """
        refuse_unknown(event)
        change = msgspec.to_builtins(event.session)
        check_session(change, "session")
        if change.pop("type") != self.effective["type"]:
            raise Refused("Passing a different session type is not allowed.", param="session.type")
        if self.transcribes_only:
            self._refuse_speaking(change)
        for key in ("model", "id", "object", "expires_at"):
            change.pop(key, None)
        tracing = self.effective.get("tracing")
        if tracing is not None and change.get("tracing", tracing) != tracing:
            raise Refused("Tracing cannot be changed once it is enabled.", param="session.tracing")
        merged = merge(self.effective, change)
        before, after = self.effective["audio"].get("output", {}), merged["audio"].get("output", {})
        if voice_locked and before.get("voice") != after.get("voice"):
            raise Refused("Cannot update a conversation's voice if assistant audio is present.", "cannot_update_voice")
        if speaking and before.get("speed") != after.get("speed"):
            raise Refused("The speed can only be changed between turns.", param="session.audio.output.speed")
        self.effective = merged

    def _refuse_speaking(self, change: Mapping[str, Any]) -> None:
        wanted = [*change, *(f"audio.{key}" for key in change.get("audio") or {})]
        allowed = {*self.effective, "model", "audio.input"}
        for path in wanted:
            if path not in allowed:
                raise Refused(
                    f"Unknown parameter: 'session.{path}' of a transcription session.",
                    "unknown_parameter",
                    f"session.{path}",
                )

    def for_response(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration with the parameters of one response merged in."""
        keys = ("instructions", "output_modalities", "tools", "tool_choice", "max_output_tokens", "audio")
        return merge(self.effective, {key: params[key] for key in keys if params.get(key) is not None})

    @property
    def input(self) -> dict[str, Any]:
        """`audio.input` of the effective configuration."""
        result: dict[str, Any] = self.effective["audio"]["input"]
        return result

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        """`audio.input.turn_detection` of the effective configuration."""
        result: dict[str, Any] | None = self.input["turn_detection"]
        return result


def merge(current: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return `current` with `change` merged in: `audio` and what is in it key by key, everything else replaced.

    None switches off what can be off (NULLABLE) and leaves the rest as it is.
    """
    result = copy.deepcopy(dict(current))
    for key, value in change.items():
        if value is None and key not in NULLABLE:
            continue
        if key not in {"audio", "input", "output"} or not isinstance(value, dict):
            result[key] = copy.deepcopy(value)
        else:
            result[key] = merge(result.get(key) or {}, value)
    audio_input = result.get("turn_detection")
    if "turn_detection" in change and audio_input is not None:
        result["turn_detection"] = _merge_turn_detection(current.get("turn_detection"), audio_input)
    if change.get("format"):
        result["format"] = _whole_format(change["format"])
    return result


def _merge_turn_detection(current: Mapping[str, Any] | None, change: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of the current kind survive, those of another kind do not; missing keys get the documented defaults."""
    kind = change["type"]
    kept = current if current is not None and current["type"] == kind else {}
    known = TURN_DETECTION[kind].keys() & change.keys()
    set_keys = {key: change[key] for key in known if change[key] is not None or key in NULLABLE}
    return {"type": kind, **TURN_DETECTION[kind], **kept, **set_keys}


def _whole_format(wanted: Mapping[str, Any]) -> dict[str, Any]:
    kind = wanted["type"]
    return {"type": kind, "rate": WIRE_RATES[kind]} if kind == "audio/pcm" else {"type": kind}


# --- what may be set to what ------------------------------------------------------------------------------------------

Check = Callable[[Any, str], None]


def refuse_unknown(event: events.WireEvent) -> None:
    """Raise Refused for the first field of a decoded event that the protocol does not have."""
    for path in events.extra_fields(event):
        raise Refused(f"Unknown parameter: '{path}'.", "unknown_parameter", path)


def check_session(session: Mapping[str, Any], path: str) -> None:
    """Check the values of a (partial) session. Raises Refused naming the field and what is allowed."""
    _check_nesting(session, path)
    check_size(session, path)
    _check(session, path, _SESSION)


def check_response(params: Mapping[str, Any], path: str) -> None:
    """Check the values of a response's parameters. Raises Refused naming the field and what is allowed."""
    _check_nesting(params, path)
    _check(params, path, _RESPONSE)


def check_size(value: object, path: str) -> None:
    """Refuse what is too long to be echoed."""
    size = len(msgspec.json.encode(value))
    if size > MAX_SHOWN_BYTES:
        message = f"Invalid '{path}': {size} bytes of JSON are more than {MAX_SHOWN_BYTES}."
        raise Refused(message, "string_above_max_length", path)


def _check_nesting(value: Mapping[str, Any], path: str) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_NESTING):
        level = [
            item
            for holder in level
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise Refused(f"Invalid '{path}': at most {MAX_NESTING} levels of objects and lists are allowed.", param=path)


def _check(value: Mapping[str, Any], path: str, checks: Mapping[str, Check]) -> None:
    for key, check in checks.items():
        if value.get(key) is not None:
            check(value[key], f"{path}.{key}")


def _one_of(*allowed: Any) -> Check:
    def check(value: Any, path: str) -> None:
        if value not in allowed:
            supported = ", ".join(map(repr, allowed))
            raise Refused(f"Invalid value: {value!r}. Supported values are: {supported}.", param=path)

    return check


def _number(low: float, high: float) -> Check:
    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise Refused(f"Invalid value: {value!r}. Expected a number from {low} to {high}.", param=path)

    return check


def _object(required: tuple[str, ...] = (), /, **checks: Check) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise Refused(f"Invalid type for '{path}': expected an object.", "invalid_type", path)
        for key in required:
            if value.get(key) is None:
                raise Refused(
                    f"Missing required parameter: '{path}.{key}'.", "missing_required_parameter", f"{path}.{key}"
                )
        _check(value, path, checks)

    return check


def _text(value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise Refused(f"Invalid type for '{path}': expected a string.", "invalid_type", path)


def _turn_detection(value: Any, path: str) -> None:
    _object(("type",), type=_one_of(*TURN_DETECTION))(value, path)
    for key in value:
        if key != "type" and value[key] is not None and key not in TURN_DETECTION[value["type"]]:
            raise Refused(
                f"Unknown parameter: '{path}.{key}' for {value['type']}.", "unknown_parameter", f"{path}.{key}"
            )
    _check(
        value,
        path,
        {
            "threshold": _number(0, 1),
            "prefix_padding_ms": _number(0, 5_000),
            "silence_duration_ms": _number(0, 10_000),
            "idle_timeout_ms": _number(5_000, 30_000),
            "eagerness": _one_of("low", "medium", "high", "auto"),
            "create_response": _one_of(True, False),
            "interrupt_response": _one_of(True, False),
        },
    )


def _tools(value: Any, path: str) -> None:
    for index, tool in enumerate(value or []):
        at = f"{path}[{index}]"
        _object(("type",), type=_one_of("function", "mcp"))(tool, at)
        required = ("name",) if tool["type"] == "function" else ("server_label",)
        _object(required, parameters=_object(), **_HOSTED)(tool, at)


def _names(value: Any, path: str) -> None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise Refused(f"Invalid type for '{path}': expected a list of strings.", "invalid_type", path)


def _filter(value: Any, path: str) -> None:
    _object(tool_names=_names, read_only=_one_of(True, False))(value, path)


def _allowed_tools(value: Any, path: str) -> None:
    (_names if isinstance(value, list) else _filter)(value, path)


def _require_approval(value: Any, path: str) -> None:
    if isinstance(value, dict):
        _object(always=_filter, never=_filter)(value, path)
    else:
        _one_of("always", "never")(value, path)


def _callers(value: Any, path: str) -> None:
    for index, caller in enumerate(value):
        _one_of("direct", "programmatic")(caller, f"{path}[{index}]")


def _connector(value: Any, path: str) -> None:
    _one_of(*(f"connector_{name}" for name in CONNECTORS))(value, path)


_HOSTED: dict[str, Check] = {
    "allowed_tools": _allowed_tools,
    "require_approval": _require_approval,
    "allowed_callers": _callers,
    "connector_id": _connector,
}


def _tool_choice(value: Any, path: str) -> None:
    if isinstance(value, dict):
        _object(("type",), type=_one_of("function", "mcp"))(value, path)
        _object(("name",) if value["type"] == "function" else ("server_label",))(value, path)
    else:
        _one_of("auto", "none", "required")(value, path)


def _max_output_tokens(value: Any, path: str) -> None:
    if value != "inf":
        _number(1, MAX_OUTPUT_TOKENS)(value, path)


def _voice(value: Any, path: str) -> None:
    if isinstance(value, dict):
        _object(("id",), id=_text)(value, path)
    elif not isinstance(value, str) or not value:
        raise Refused(f"Invalid value: {value!r}. Expected the name of a voice.", param=path)


def _truncation(value: Any, path: str) -> None:
    if isinstance(value, dict):
        _object(("type", "retention_ratio"), type=_one_of("retention_ratio"), retention_ratio=_number(0, 1))(
            value, path
        )
    else:
        _one_of("auto", "disabled")(value, path)


def _tracing(value: Any, path: str) -> None:
    if not isinstance(value, dict):
        _one_of("auto")(value, path)


def _metadata(value: Any, path: str) -> None:
    if len(value) > MAX_METADATA_PAIRS:
        raise Refused(f"Invalid '{path}': at most {MAX_METADATA_PAIRS} pairs are allowed.", param=path)
    for key, text in value.items():
        if len(key) > MAX_METADATA_KEY or len(text) > MAX_METADATA_VALUE:
            raise Refused(
                f"Invalid '{path}.{key}': keys are at most {MAX_METADATA_KEY} characters long, "
                f"values {MAX_METADATA_VALUE}.",
                param=f"{path}.{key}",
            )


def _format(value: Any, path: str) -> None:
    _object(("type",), type=_one_of(*WIRE_RATES))(value, path)
    if value["type"] == "audio/pcm":
        _check(value, path, {"rate": _one_of(WIRE_RATES["audio/pcm"])})


_OUTPUT = _object(format=_format, voice=_voice, speed=_number(0.25, 1.5))
_COMMON: dict[str, Check] = {
    "output_modalities": _one_of(*MODALITIES),
    "instructions": _text,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "max_output_tokens": _max_output_tokens,
    "reasoning": _object(effort=_one_of(*EFFORTS)),
}
_SESSION: dict[str, Check] = {
    "type": _one_of("realtime", "transcription"),
    **_COMMON,
    "truncation": _truncation,
    "tracing": _tracing,
    "include": _one_of([], ["item.input_audio_transcription.logprobs"]),
    "audio": _object(
        input=_object(
            format=_format,
            noise_reduction=_object(("type",), type=_one_of("near_field", "far_field")),
            turn_detection=_turn_detection,
        ),
        output=_OUTPUT,
    ),
}
_RESPONSE: dict[str, Check] = {
    **_COMMON,
    "conversation": _one_of("auto", "none"),
    "audio": _object(output=_OUTPUT),
    "metadata": _metadata,
}
