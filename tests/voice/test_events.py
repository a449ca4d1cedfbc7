"""Events against the openai package's own models, which are the protocol's public definition."""

from __future__ import annotations

import json
import types
import typing
from typing import Any, Literal, Union

import msgspec
import pytest
from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter
from realtime_voice import events
from realtime_voice.errors import RemoteProtocolError


def _strip(annotation: Any) -> Any:
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _variants(annotation: Any, depth: int) -> list[Any]:
    """Every shape of a value that the annotation allows: each member of a union, each model sparse and full."""
    annotation = _strip(annotation)
    origin = typing.get_origin(annotation)
    if origin in (Union, types.UnionType):
        return [value for member in typing.get_args(annotation) for value in _variants(member, depth)]
    if origin is Literal:
        return list(typing.get_args(annotation))
    if origin is list:
        inner = _variants(typing.get_args(annotation)[0], depth)
        return [[], inner]
    if origin is dict:
        return [{}, {"key": _variants(typing.get_args(annotation)[1], depth)[0]}]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _models(annotation, depth + 1)
    scalars: dict[Any, list[Any]] = {
        str: ["text"],
        int: [7],
        float: [0.5, 2],
        bool: [True, False],
        type(None): [None],
        object: [{"any": [1, "x", None]}],
        typing.Any: [{"any": 1}],
    }
    return scalars[annotation]


def _models(model: type[BaseModel], depth: int = 0) -> list[dict[str, Any]]:
    """The sparsest instance, and one for each variant of each field with all others set to their first variant."""
    fields = {(field.alias or name): _variants(field.annotation, depth) for name, field in model.model_fields.items()}
    required = {(f.alias or n) for n, f in model.model_fields.items() if f.is_required()}
    first = {name: values[0] for name, values in fields.items()}
    found = [{name: value for name, value in first.items() if name in required}]
    for index in range(max(map(len, fields.values())) if depth < 6 else 1):
        sample = {name: values[index] if index < len(values) else values[0] for name, values in fields.items()}
        found.append(sample)
    return found


def _members(union: Any) -> dict[str, type[BaseModel]]:
    members = typing.get_args(_strip(union))
    return {typing.get_args(member.model_fields["type"].annotation)[0]: member for member in members}


SERVER = _members(RealtimeServerEvent)
CLIENT = _members(RealtimeClientEvent)
server_adapter: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
client_adapter: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def _holds(value: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(key in value and _holds(value[key], item) for key, item in part.items())
    if isinstance(part, list):
        return len(value) == len(part) and all(map(_holds, value, part))
    return bool(value == part)


def test_all_events_of_the_protocol_are_here() -> None:
    assert set(events.SERVER_EVENTS) == set(SERVER)
    assert set(events.CLIENT_EVENTS) == set(CLIENT)
    assert len(SERVER) == 46
    assert len(CLIENT) == 11


def test_classes_are_named_like_their_events() -> None:
    for name, event in {**events.SERVER_EVENTS, **events.CLIENT_EVENTS}.items():
        assert event.__name__.lower() == name.replace(".", "").replace("_", "")


@pytest.mark.parametrize("name", sorted(SERVER))
def test_server_event_keeps_all_that_the_openai_models_accept(name: str) -> None:
    for sample in _models(SERVER[name]):
        server_adapter.validate_python(sample)  # the sample itself is right
        event = events.decode_server(json.dumps(sample))
        assert type(event) is events.SERVER_EVENTS[name], sample
        assert events.extra_fields(event) == {}
        again = json.loads(events.encode(event))
        server_adapter.validate_python(again)
        assert _holds(_without_none(again), _without_none(sample))


@pytest.mark.parametrize("name", sorted(CLIENT))
def test_client_event_keeps_all_that_the_openai_models_accept(name: str) -> None:
    for sample in _models(CLIENT[name]):
        client_adapter.validate_python(sample)
        event = events.decode_client(json.dumps(sample))
        assert type(event) is events.CLIENT_EVENTS[name]
        assert events.extra_fields(event) == {}
        again = json.loads(events.encode(event))
        client_adapter.validate_python(again)
        assert _without_none(again) == _without_none(sample)


def test_configuration_tells_absent_from_null() -> None:
    message = b'{"type":"session.update","session":{"type":"realtime","audio":{"input":{"turn_detection":null}}}}'
    event = events.decode_client(message)
    assert isinstance(event, events.SessionUpdate)
    assert event.session.audio.input.turn_detection is None
    assert event.session.audio.input.transcription is msgspec.UNSET
    assert events.encode(event) == message


def test_null_previous_item_is_sent_and_absent_client_fields_are_not() -> None:
    item = events.Item(type="message", role="user", content=[events.ContentPart(type="input_audio", transcript=None)])
    added = json.loads(events.encode(events.ConversationItemAdded(event_id="event_1", item=item)))
    assert added["previous_item_id"] is None
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert events.encode(events.ResponseCreate()) == b'{"type":"response.create"}'
    done = json.loads(events.encode(events.ResponseDone(response=events.Response(id="resp_1", status="completed"))))
    assert done["response"]["status_details"] is None


def test_unknown_event_passes_through() -> None:
    event = events.decode_server(b'{"type":"response.hologram.delta","event_id":"event_9","deep":{"a":[1]}}')
    assert event == events.UnknownEvent(
        type="response.hologram.delta",
        data={"type": "response.hologram.delta", "event_id": "event_9", "deep": {"a": [1]}},
    )
    assert event.event_id == "event_9"
    assert json.loads(events.encode(event))["deep"] == {"a": [1]}


def test_known_event_in_an_unknown_shape_passes_through() -> None:
    event = events.decode_server(b'{"type":"response.done","response":"later"}')
    assert isinstance(event, events.UnknownEvent)
    assert event.data["response"] == "later"


def test_unknown_fields_are_kept() -> None:
    message = (
        b'{"type":"session.updated","event_id":"e","trace":1,"session":{"type":"realtime","mood":"calm",'
        b'"audio":{"input":{"turn_detection":{"type":"hyper_vad","depth":3}}},"tools":[{"type":"function","x":{}}]}}'
    )
    event = events.decode_server(message)
    assert isinstance(event, events.SessionUpdated)
    assert event.session.audio.input.turn_detection.type == "hyper_vad"
    assert event.raw == message
    assert events.extra_fields(event) == {
        "trace": 1,
        "session.mood": "calm",
        "session.audio.input.turn_detection.depth": 3,
        "session.tools[0].x": {},
    }


@pytest.mark.parametrize(
    "message", [b"", b"{", b"[]", b'"text"', b"17", b"{}", b'{"type":3}', b"\xff\xfe", b'{"type":null}']
)
def test_what_is_no_event_is_refused(message: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        events.decode_server(message)
    with pytest.raises(RemoteProtocolError):
        events.decode_client(message)


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
        (
            {"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"speed": "fast"}}}},
            "invalid_type",
            "session.audio.output.speed",
        ),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "content": [3]}},
            "invalid_type",
            "item.content[0]",
        ),
        ({"type": "session.hologram"}, "invalid_value", "type"),
        ({"type": 3}, "invalid_type", "type"),
        ({"no": 1}, "missing_required_parameter", "type"),
    ],
)
def test_refused_client_event_says_what_an_error_event_needs(message: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        events.decode_client(json.dumps({**message, "event_id": "mine"}))
    assert (refused.value.code, refused.value.param, refused.value.event_id) == (code, param, "mine")


def test_usage_adds_up() -> None:
    usage = events.Usage()
    response = msgspec.convert(
        {
            "total_tokens": 30,
            "input_tokens": 20,
            "output_tokens": 10,
            "input_token_details": {"text_tokens": 5, "audio_tokens": 15, "cached_tokens": 4},
            "output_token_details": {"audio_tokens": 8, "text_tokens": 2},
        },
        events.ResponseUsage,
    )
    usage.add_response(response)
    usage.add_response(response)
    usage.add_response(None)
    usage.add_transcription(events.TranscriptionUsage(type="duration", seconds=3.0))
    usage.add_transcription(events.TranscriptionUsage(type="tokens", total_tokens=9))
    assert usage == events.Usage(
        responses=3,
        total_tokens=60,
        input_tokens=40,
        input_text_tokens=10,
        input_audio_tokens=30,
        cached_tokens=8,
        output_tokens=20,
        output_text_tokens=4,
        output_audio_tokens=16,
        transcription_tokens=9,
        transcription_seconds=3.0,
    )


@pytest.mark.parametrize("decode", [events.decode_client, events.decode_server])
def test_deep_nesting_is_the_peers_error(decode) -> None:
    deep = '{"type":"session.update","session":' + '{"a":' * 50_000 + "1" + "}" * 50_001
    with pytest.raises(RemoteProtocolError, match="not JSON"):
        decode(deep)


def test_secrets_of_hosted_tools_are_not_shown() -> None:
    tool = events.Tool(type="mcp", server_label="shop", authorization="s3cret", headers={"X-Key": "s3cret"})
    assert repr(events.Session(type="realtime", tools=[tool])).count("s3cret") == 0
    assert "server_label='shop', authorization=..." in repr(tool)
