"""JSON to typed events and back; one answer through the protocol."""

import json

import pytest
from realtime_voice import events
from realtime_voice.protocol import ClientProtocol

WHERE = {
    "response_id": "resp_CCXGQ4e1ht4cOraEYcuR2",
    "item_id": "item_CCXGQ22EVLZ1k",
    "output_index": 0,
    "content_index": 0,
}
DELTA = {
    "type": "response.output_audio_transcript.delta",
    "event_id": "event_CCXGRvtUVrax5SJAnNOWZ",
    **WHERE,
    "delta": "Hello ",
    "obfuscation": "aliEg9XbkrJ5Mp",
}
PART = {"type": "output_audio", "transcript": "Hello, how are you? " * 10}
ITEM = {"id": WHERE["item_id"], "type": "message", "status": "completed", "role": "assistant", "content": [PART]}
DONE = {
    "type": "response.done",
    "event_id": "event_CCXGRvtUVrax5SJAnNOWZ",
    "response": {
        "object": "realtime.response",
        "id": "resp_CCXGQ4e1ht4cOraEYcuR2",
        "status": "completed",
        "status_details": None,
        "output": [ITEM],
        "conversation_id": "conv_CCXGP9",
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"}},
        "usage": {
            "total_tokens": 253,
            "input_tokens": 132,
            "output_tokens": 121,
            "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64},
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        },
        "metadata": None,
    },
}
MESSAGES = {"transcript delta": json.dumps(DELTA).encode(), "response.done": json.dumps(DONE).encode()}


def ours():
    return events.decode_server


def json_loads():  # strands-agents
    return json.loads


def json_pydantic():  # openai-agents, pipecat
    from openai.types.realtime import RealtimeServerEvent
    from pydantic import TypeAdapter

    adapter = TypeAdapter(RealtimeServerEvent)
    return lambda message: adapter.validate_python(json.loads(message))


def pydantic_json():
    from openai.types.realtime import RealtimeServerEvent
    from pydantic import TypeAdapter

    return TypeAdapter(RealtimeServerEvent).validate_json


def openai_construct():  # the openai package
    from openai._models import construct_type_unchecked
    from openai.types.realtime import RealtimeServerEvent

    return lambda message: construct_type_unchecked(value=json.loads(message), type_=RealtimeServerEvent)


@pytest.mark.parametrize("name", list(MESSAGES))
@pytest.mark.parametrize("make", [ours, json_loads, openai_construct, json_pydantic, pydantic_json])
def bench_decode(benchmark, make, name):
    """From the text of the message to an event (json_loads: to a dict)."""
    benchmark.group = f"decode {name}"
    event = benchmark(make(), MESSAGES[name])
    kind = event["type"] if isinstance(event, dict) else event.type
    assert kind == json.loads(MESSAGES[name])["type"]


def bench_answer(benchmark):
    """An answer of 100 words through the protocol: 100 deltas, begin and end."""
    benchmark.group = "answer of 100 words"
    created = {**DONE, "type": "response.created", "response": {**DONE["response"], "status": "in_progress"}}
    messages = [json.dumps(created).encode(), *[MESSAGES["transcript delta"]] * 100, MESSAGES["response.done"]]

    def run():
        protocol = ClientProtocol()
        return sum(len(protocol.receive(message, 0.0)) for message in messages)

    assert benchmark(run) == 202
