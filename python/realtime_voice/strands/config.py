"""Options of the Strands model: checked before anything connects, turned into one ``session.update``.

Pure functions and values: no socket, no clock, no import of strands. Whatever is wrong with an option, its type too, is
a ValueError: that is what Strands' models raise.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from realtime_voice.audio import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from realtime_voice.endpoint import Key

MAX_TIMEOUT_S = 3000
"""A connection is replaced by then: OpenAI ends sessions after 60 minutes, without a warning."""

RESTART_MARGIN_S = 300
"""A planned restart comes this much before the connection's limit, so that it can wait for the end of a turn."""

DEFAULT_MODEL = "gpt-realtime"
DEFAULT_VOICE = "alloy"
DEFAULT_TRANSCRIPTION = "gpt-4o-transcribe"
DEFAULT_INSTRUCTIONS = "You are a helpful voice assistant. Answer in the user's language, clearly and in few words."

Encoding = Literal["pcm", "pcmu", "pcma"]


class AudioOptions(msgspec.Struct, frozen=True):
    """The application's side of the audio and the wire's encoding.

    Attributes:
        input_rate: Sample rate in Hz of the PCM16 the application sends; None is the wire's own.
        output_rate: Sample rate in Hz of the PCM16 the application receives; None is the wire's own.
        channels: Channels of the application's audio, both ways; the wire is mono.
        format: Encoding on the wire: ``pcm`` at 24 kHz, ``pcmu`` or ``pcma`` at 8 kHz.
        voice: The voice's name, or ``{"id": ...}`` of a voice of one's own.
    """

    input_rate: int | None = None
    output_rate: int | None = None
    channels: Literal[1, 2] = 1
    format: Encoding = "pcm"
    voice: str | dict[str, Any] = DEFAULT_VOICE


class ClientOptions(msgspec.Struct, frozen=True):
    """Who connects, and where to; what is None comes from the environment.

    Attributes:
        api_key: The key of the endpoint, or a function (plain or async) that is asked for it at every connection.
        organization: OpenAI's organization.
        project: OpenAI's project.
        timeout_s: Longest life of one connection in seconds.
        base_url: The endpoint, as ws(s) or http(s) URL.
    """

    api_key: Key | None = None
    organization: str | None = None
    project: str | None = None
    timeout_s: float = MAX_TIMEOUT_S
    base_url: str | None = None

    def __repr__(self) -> str:
        """Return the options without the key and without the URL, which may hold one."""
        key, url = (None if value is None else "***" for value in (self.api_key, self.base_url))
        return f"ClientOptions(api_key={key}, timeout_s={self.timeout_s}, base_url={url})"


class _Rule(msgspec.Struct, frozen=True):
    """What a field may be: a test and the words for it."""

    accepts: Callable[[Any], bool]
    allowed: str


def _number(low: float, high: float, *, whole: bool) -> Callable[[Any], bool]:
    kinds = (int,) if whole else (int, float)
    return lambda value: isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _optional_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


_RATE = _Rule(_number(8_000, 192_000, whole=True), "a whole number of Hz from 8000 to 192000")
_OPTIONAL_TEXT = _Rule(_optional_text, "a string or None")
_MAPPING = _Rule(lambda value: isinstance(value, dict), "a dict")

_AUDIO = {
    "input_rate": _RATE,
    "output_rate": _RATE,
    "channels": _Rule(lambda value: type(value) is int and value in (1, 2), "1 or 2"),
    "format": _Rule(lambda value: value in ("pcm", "pcmu", "pcma"), "'pcm', 'pcmu' or 'pcma'"),
    "voice": _Rule(
        lambda value: _text(value) or (isinstance(value, dict) and _text(value.get("id"))),
        "the name of a voice or {'id': 'voice_...'}",
    ),
}
_PROVIDER = {"audio": _MAPPING, "inference": _MAPPING}
_CLIENT = {
    "api_key": _Rule(
        lambda value: _optional_text(value) or callable(value), "a string, a function that returns one or None"
    ),
    "organization": _OPTIONAL_TEXT,
    "project": _OPTIONAL_TEXT,
    "timeout_s": _Rule(_number(1, MAX_TIMEOUT_S, whole=False), f"a number of seconds from 1 to {MAX_TIMEOUT_S}"),
    "base_url": _OPTIONAL_TEXT,
}


def _check(name: str, config: Any, rules: Mapping[str, _Rule]) -> dict[str, Any]:
    """Return a copy of `config`, None being empty, after every key and value was held against its rule.

    Raises:
        ValueError: A key is unknown or a value is not allowed; the message names the field and what is allowed.
    """
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        raise ValueError(f"{name} must be a dict with the keys {_names(rules)}, not {type(config).__name__}")  # noqa: TRY004
    for key, value in config.items():
        if key not in rules:
            raise ValueError(f"{name} has no field {key!r}; allowed are {_names(rules)}")
        if not rules[key].accepts(value):
            shown = "" if key == "api_key" else f", not {value!r}"
            raise ValueError(f"{name}[{key!r}] must be {rules[key].allowed}{shown}")
    return dict(config)


def _names(rules: Mapping[str, _Rule]) -> str:
    return ", ".join(rules)


def provider_config(config: Any) -> dict[str, Any]:
    """Return a copy of `provider_config` whose fields are of the right kind. Raises ValueError, see `_check`."""
    return _check("provider_config", config, _PROVIDER)


def client_config(config: Any) -> dict[str, Any]:
    """Return a copy of `client_config` whose fields are right. Raises ValueError, see `_check`."""
    return _check("client_config", config, _CLIENT)


def provider_options(config: Mapping[str, Any] | None) -> tuple[AudioOptions, dict[str, Any]]:
    """Check `provider_config`: the audio options, and the fields of the session's configuration.

    Raises:
        ValueError: See `_check`; also for a field of ``inference`` whose name is no string or whose value is no JSON.
    """
    checked = provider_config(config)
    audio = AudioOptions(**_check("provider_config['audio']", checked.get("audio", {}), _AUDIO))
    return audio, session_fields("provider_config['inference']", checked.get("inference", {}))


def client_options(config: Mapping[str, Any] | None) -> ClientOptions:
    """Check `client_config`.

    Raises:
        ValueError: See `_check`.
    """
    return ClientOptions(**client_config(config))


def session_fields(name: str, fields: Any) -> dict[str, Any]:
    """Check fields for ``session.update`` as far as their meaning is not the server's to judge; return a copy.

    Raises:
        ValueError: No dict with string keys, not JSON, another audio format than the wire knows, or a ``type`` other
            than ``realtime``.
    """
    if fields is None:
        return {}
    if not isinstance(fields, dict) or not all(isinstance(key, str) for key in fields):
        raise ValueError(f"{name} must be a dict of session.update fields, not {fields!r}")
    try:
        json.dumps(fields, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be JSON: {error}") from error
    if fields.get("type", "realtime") != "realtime":
        raise ValueError(f"{name}['type'] must be 'realtime', not {fields['type']!r}")
    for path in _OBJECTS:
        value: Any = fields
        for depth, key in enumerate(path, 1):
            value = value.get(key, {})
            if not isinstance(value, dict):
                raise ValueError(f"{name}{_index(path[:depth])} must be a dict, not {value!r}")  # noqa: TRY004
    return copy.deepcopy(fields)


_OBJECTS = (("audio", "input", "format"), ("audio", "output", "format"))


def _index(path: Sequence[str]) -> str:
    return "".join(f"[{key!r}]" for key in path)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` merged into it at every depth; what `over` sets to None is None."""
    merged = copy.deepcopy(dict(base))
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else copy.deepcopy(value)
    return merged


def session_config(
    audio: AudioOptions,
    transcription: str | None,
    instructions: str | None,
    tools: Sequence[Mapping[str, Any]] | None,
    fields: Mapping[str, Any],
) -> dict[str, Any]:
    """Build the ``session`` of ``session.update``: defaults, then the options, then `fields` at every depth.

    Args:
        audio: The audio options.
        transcription: The model that writes down what the user says, or None for no transcripts.
        instructions: The system prompt.
        tools: Function tools in the wire's shape.
        fields: What the caller sets in the session itself; wins over all else, explicit None kept.
    """
    config: dict[str, Any] = {
        "type": "realtime",
        "instructions": instructions or DEFAULT_INSTRUCTIONS,
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": _wire_format(audio.format),
                "transcription": None if transcription is None else {"model": transcription},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                },
            },
            "output": {"format": _wire_format(audio.format), "voice": copy.deepcopy(audio.voice)},
        },
    }
    if tools:
        config["tools"] = [dict(tool) for tool in tools]
    # A default that belongs to another variant than the one chosen would be refused: it does not mix with it.
    for direction in ("input", "output"):
        stream = config["audio"][direction]
        chosen = fields.get("audio", {}).get(direction, {})
        if chosen.get("format", {}).get("type", stream["format"]["type"]) != stream["format"]["type"]:
            stream["format"] = {}
        detection = chosen.get("turn_detection")
        if isinstance(detection, dict) and detection.get("type", "server_vad") != "server_vad":
            stream["turn_detection"] = {}
    return merge(config, fields)


def server_interrupts(fields: Mapping[str, Any]) -> bool:
    """Return whether the server cancels its response by itself when it hears the user."""
    detection = fields.get("audio", {}).get("input", {}).get("turn_detection", {})
    return detection is not None and detection.get("interrupt_response", True) is not False


def wires(audio: AudioOptions, fields: Mapping[str, Any]) -> tuple[Wire, Wire]:
    """Return the encodings of audio sent and received, from the options and what `fields` override.

    Raises:
        ValueError: An audio format that the Realtime API does not have, naming the field.
    """
    return _wire("input", audio, fields), _wire("output", audio, fields)


def _wire(direction: Literal["input", "output"], audio: AudioOptions, fields: Mapping[str, Any]) -> Wire:
    chosen = session_config(audio, None, None, None, fields)["audio"][direction]["format"]
    name = f"audio.{direction}.format"
    kind = str(chosen.get("type", "")).removeprefix("audio/")
    if kind not in ("pcm", "pcmu", "pcma"):
        raise ValueError(
            f"Unsupported audio format in {name}: {chosen.get('type')!r}. Expected audio/pcm, audio/pcmu or audio/pcma."
        )
    if kind == "pcm" and chosen.get("rate", 24_000) != 24_000:
        raise ValueError(f"Unsupported sample rate in {name}: {chosen.get('rate')!r}. Expected 24000.")
    return Wire(encoding=cast("Encoding", kind), rate=24_000 if kind == "pcm" else 8_000)


def _wire_format(encoding: Encoding) -> dict[str, Any]:
    return {"type": "audio/pcm", "rate": 24_000} if encoding == "pcm" else {"type": f"audio/{encoding}"}
