"""Whatever a client sends, the server's side answers with valid events and goes on."""

import base64
import itertools
import json
import random
import typing
from typing import Any

import pytest
from openai.types.realtime import RealtimeServerEvent
from realtime_voice import events
from realtime_voice.server import Heard, McpFailure, McpTool, protocol

MODELS = {
    typing.get_args(model.model_fields["type"].annotation)[0]: model
    for model in typing.get_args(typing.get_args(RealtimeServerEvent)[0])
}
PCM = base64.b64encode(bytes([0, 64, 0, 64] * 6 + [0, 192] * 12) * 600).decode()
SILENCE = base64.b64encode(bytes(48 * 600)).decode()
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
MCP = {"type": "mcp", "server_label": "docs", "allowed_tools": ["search"], "require_approval": "always"}
SEEDS: list[dict[str, Any]] = [
    {
        "type": "session.update",
        "session": {
            "type": "realtime", "instructions": "x", "tools": [FUNCTION], "tool_choice": "auto", "tracing": "auto",
            "output_modalities": ["text"], "max_output_tokens": 100, "include": None, "prompt": {"id": "p"},
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "whisper-1"},
                    "noise_reduction": {"type": "near_field"},
                    "turn_detection": {"type": "server_vad", "silence_duration_ms": 200, "idle_timeout_ms": 6000},
                },
                "output": {"format": {"type": "audio/pcmu"}, "voice": "alloy", "speed": 1.0},
            },
        },
    },
    {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}},
    {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}},
    },
    {"type": "session.update", "session": {"type": "realtime", "tools": [MCP, FUNCTION]}},
    {
        "type": "conversation.item.create",
        "item": {"type": "mcp_approval_response", "approval_request_id": "i", "approve": True},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "mcp_approval_request", "server_label": "docs", "name": "search", "arguments": "{"},
    },
    {"type": "input_audio_buffer.append", "audio": PCM},
    {"type": "input_audio_buffer.append", "audio": SILENCE},
    {"type": "input_audio_buffer.append", "audio": "AAA="},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {
        "type": "conversation.item.create", "previous_item_id": "root",
        "item": {"id": "i", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": PCM}]},
    },
    {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "c", "output": "o"}},
    {"type": "conversation.item.retrieve", "item_id": "i"},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 0},
    {"type": "conversation.item.delete", "item_id": "i"},
    {"type": "response.create"},
    {
        "type": "response.create",
        "response": {
            "conversation": "none", "metadata": {"a": "b"}, "max_output_tokens": "inf", "tools": [FUNCTION],
            "input": [{"type": "item_reference", "id": "i"}], "audio": {"output": {"voice": "ash"}},
        },
    },
    {"type": "response.cancel"},
    {"type": "response.cancel", "response_id": "r"},
    {"type": "output_audio_buffer.clear"},
]  # fmt: skip
ODD = [None, True, False, 0, -1, 1.5, 10**18, "", "x", "root", "inf", "auto", [], {}, [None], {"type": "x"}, ["audio"]]


class Loud:
    """Speech where the sound is."""

    def process(self, pcm: bytes, /) -> list[float]:
        return [1.0 if any(pcm[at : at + 320]) else 0.0 for at in range(0, len(pcm) - 319, 320)]


def mutated(value: Any, generator: random.Random) -> Any:
    """Return a copy of `value` in which something may be odd, missing or new."""
    if generator.random() < 0.03:
        return generator.choice(ODD)
    if isinstance(value, dict):
        result = {key: mutated(item, generator) for key, item in value.items() if generator.random() > 0.02}
        return {**result, "odd": generator.choice(ODD)} if generator.random() < 0.02 else result
    if isinstance(value, list):
        return [mutated(item, generator) for item in value]
    return value


def serve_actions(session: protocol.ServerProtocol, generator: random.Random, open_responses: list[Any]) -> None:
    """Do what the session asks for, some of it late."""
    for action in session.actions():
        if isinstance(action, protocol.Understand):
            session.heard(action.item_id, Heard("hello") if generator.random() < 0.8 else None)
        elif isinstance(action, protocol.Host):
            session.hosted(
                action.item_id, "found" if generator.random() < 0.5 else McpFailure("gone", "http_error", 404)
            )
        elif isinstance(action, protocol.Respond):
            open_responses.append(action.response)
    for response in list(open_responses):
        chance = generator.random()
        if chance < 0.3:
            response.say("some words")
            response.audio(bytes(480))
        elif chance < 0.35:
            response.call("f", {"a": 1})
        elif chance < 0.4:
            response.ask_approval("docs", "search", {"query": "x"})
            response.begin_hosted("docs", "search", {"query": "x"})
            if generator.random() < 0.8:
                response.end_hosted("found")
        elif chance < 0.6:
            open_responses.remove(response)
            session.finished(response, ("server_error", "broken") if chance < 0.45 else None)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_is_answered_with_valid_events(seed: int) -> None:
    generator = random.Random(seed)
    count = itertools.count()
    session = protocol.ServerProtocol(
        model="m",
        now=0.0,
        new_id=lambda kind: f"{kind}_{next(count)}",
        make_detector=Loud,
        mcp={"docs": [McpTool("search")]},
    )
    known = ["i"]
    open_responses: list[Any] = []
    for _ in range(250):
        event = json.loads(json.dumps(generator.choice(SEEDS)).replace('"i"', json.dumps(generator.choice(known))))
        message = json.dumps(mutated(event, generator))
        if generator.random() < 0.02:
            message = message[: generator.randrange(len(message))]
        session.receive(message)
        serve_actions(session, generator, open_responses)
        for answer in session.take():
            encoded = events.encode(answer)
            MODELS[answer.type].model_validate_json(encoded)
            item = json.loads(encoded).get("item")
            if item:
                known.append(item["id"])
    items = [entry.item.id for entry in session.conversation.entries]
    assert len(items) == len(set(items))
