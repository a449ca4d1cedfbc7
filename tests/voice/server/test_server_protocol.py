"""The server's side of the protocol over real loopback sockets, with scripted ears, voice and mind."""

import asyncio
import base64
import json
from typing import Any

import pytest
from realtime_voice.server import Call, Fail, Say

CALCULATOR = {
    "type": "function",
    "name": "calculator",
    "description": "Calculates.",
    "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
}
USER_TEXT = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
LONG = Say("word " * 200)


def message(role: str, **part: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [part]}


async def test_session_created_comes_first_and_is_complete(client: Any) -> None:
    session = client.log[0]["session"]
    assert list(session) == [
        "type", "object", "id", "model", "output_modalities", "instructions", "tools", "tool_choice",
        "max_output_tokens", "tracing", "truncation", "prompt", "expires_at", "audio", "include",
    ]  # fmt: skip
    assert session["model"] == "gpt-realtime"
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200,
        "idle_timeout_ms": None, "create_response": True, "interrupt_response": True,
    }  # fmt: skip
    assert session["audio"]["input"]["transcription"] is None


async def test_update_merges_and_echoes_everything(client: Any) -> None:
    before = client.log[0]["session"]
    after = await client.update(instructions="Be kind.", tools=[CALCULATOR])
    assert after["tools"] == [CALCULATOR]
    assert after == {**before, "instructions": "Be kind.", "tools": [CALCULATOR]}

    detection = (await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}}))[
        "audio"
    ]["input"]["turn_detection"]
    assert detection == {**before["audio"]["input"]["turn_detection"], "threshold": 0.7}

    audio = (await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}}))["audio"]
    assert audio["input"]["turn_detection"] == detection
    assert audio["input"]["transcription"] == {"model": "whisper-1"}
    assert audio["output"] == before["audio"]["output"]

    audio = (await client.update(audio={"input": {"transcription": None, "turn_detection": None}}))["audio"]
    assert audio["input"]["transcription"] is None
    assert audio["input"]["turn_detection"] is None
    semantic = (await client.update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}}))["audio"]
    assert semantic["input"]["turn_detection"] == {
        "type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True,
    }  # fmt: skip
    cleared = await client.update(tools=[], instructions="")
    assert (cleared["tools"], cleared["instructions"]) == ([], "")


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "realtime", "xyz": 1}, "unknown_parameter", "session.xyz"),
        ({"type": "realtime", "audio": {"input": {"nose": 1}}}, "unknown_parameter", "session.audio.input.nose"),
        ({"type": "realtime", "output_modalities": ["audio", "text"]}, "invalid_value", "session.output_modalities"),
        ({"type": "realtime", "instructions": 7}, "invalid_type", "session.instructions"),
        ({"type": "realtime", "max_output_tokens": 5000}, "invalid_value", "session.max_output_tokens"),
        ({"type": "realtime", "tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
        ({"type": "realtime", "tool_choice": "maybe"}, "invalid_value", "session.tool_choice"),
        (
            {"type": "realtime", "audio": {"output": {"speed": 2.0}}},
            "invalid_value",
            "session.audio.output.speed",
        ),
        (
            {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 3}}}},
            "invalid_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}},
            "unknown_parameter",
            "session.audio.input.turn_detection.threshold",
        ),
    ],
)
async def test_wrong_update_is_refused_and_changes_nothing(client: Any, session: Any, code: str, param: str) -> None:
    before = client.log[0]["session"]
    error = await client.refused("session.update", session=session)
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert await client.update() == before


@pytest.mark.parametrize("depth", [100, 300, 600])
async def test_nesting_without_end_is_refused_and_the_session_goes_on(client: Any, depth: int) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    tools = [{"type": "function", "name": "f", "parameters": schema}]
    error = await client.refused("session.update", session={"type": "realtime", "tools": tools})
    assert (error["code"], error["param"]) == ("invalid_value", "session")
    assert (await client.refused("response.create", response={"tools": tools}))["param"] == "response"
    assert (await client.update())["tools"] == []


async def test_what_is_no_event_is_answered_and_the_session_goes_on(client: Any) -> None:
    for message in ("{", "[1]", '"text"', '{"no": "type"}', '{"type": 3}'):
        await client.socket.send(message)
        assert (await client.receive())["type"] == "error"
    await client.socket.send(b"\x00\x01")
    assert (await client.receive())["error"]["type"] == "invalid_request_error"
    error = await client.refused("conversation.item.dance")
    assert (error["code"], error["param"]) == ("invalid_value", "type")
    error = await client.refused("input_audio_buffer.append")
    assert (error["code"], error["param"]) == ("missing_required_parameter", "audio")
    error = await client.refused("input_audio_buffer.append", audio="no base64!")
    assert error["param"] == "audio"
    assert (await client.refused("output_audio_buffer.clear"))["code"] == "invalid_value"
    await client.nothing_more()


async def test_detected_turn_and_its_answer(client: Any, ears: Any, sounds: Any) -> None:
    ears.texts = ["good morning"]
    await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    client.forget()
    await client.append(sounds.silence(1000) + sounds.turn)
    done = await client.until("response.done")
    names = [name for name in client.names() if "transcription" not in name]
    assert names[:6] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert names[6:] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    started, stopped = client.log[0], client.log[1]
    assert started["audio_start_ms"] == 1000 - 300
    assert stopped["audio_end_ms"] == 1000 + 400 + 200
    transcript = next(event for event in client.log if event["type"].endswith("transcription.completed"))
    assert transcript["transcript"] == "good morning"
    assert transcript["item_id"] == started["item_id"]
    item = done["response"]["output"][0]
    assert item["content"] == [{"type": "output_audio", "transcript": "I heard good morning"}]
    assert len(client.checker.audio(item["id"])) == 4 * 100 * 48
    assert done["response"]["usage"]["output_token_details"]["audio_tokens"] == 8
    # The ears got the turn with its padding, resampled to 16 kHz.
    assert abs(len(ears.turns[0]) // 32 - (300 + 400 + 200)) <= 10


async def test_clock_of_the_turns_is_the_audio_not_its_pieces(client: Any, sounds: Any) -> None:
    marks = []
    for chunk_ms in (20, 500, 3300):
        client.forget()
        await client.append(sounds.silence(1200) + sounds.speech(500) + sounds.silence(1600), chunk_ms=chunk_ms)
        await client.until("response.done")
        marks += [event["audio_start_ms"] for event in client.log if event["type"].endswith("speech_started")]
        marks += [event["audio_end_ms"] for event in client.log if event["type"].endswith("speech_stopped")]
    assert marks == [at + 3300 * turn for turn in range(3) for at in (900, 1900)]


@pytest.mark.parametrize(
    ("model", "deltas", "segments"),
    [("whisper-1", ["good morning"], []), ("gpt-4o-transcribe", ["good", " morning"], []),
     ("gpt-4o-transcribe-diarize", ["good", " morning"], [("A", "good morning", 0.0)])],
)  # fmt: skip
async def test_transcripts_come_as_their_model_gives_them(  # noqa: PLR0917  # fixtures
    client: Any, ears: Any, sounds: Any, model: str, deltas: Any, segments: Any
) -> None:
    ears.texts = ["good morning"]
    await client.update(audio={"input": {"transcription": {"model": model}}})
    await client.append(sounds.turn)
    await client.until("conversation.item.input_audio_transcription.completed")
    await client.until("response.done")
    assert [event["delta"] for event in client.log if event["type"].endswith("transcription.delta")] == deltas
    found = [event for event in client.log if event["type"].endswith("transcription.segment")]
    assert [(event["speaker"], event["text"], event["start"]) for event in found] == segments


async def test_no_transcription_events_unless_asked_for(client: Any, sounds: Any) -> None:
    await client.append(sounds.turn)
    await client.until("response.done")
    assert not [name for name in client.names() if "transcription" in name]


async def test_failed_recognition_is_an_event_and_the_session_goes_on(client: Any, ears: Any, sounds: Any) -> None:
    ears.texts = [sounds.recognition_error, "again"]
    await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    await client.append(sounds.turn)
    failed = await client.until("conversation.item.input_audio_transcription.failed")
    assert failed["error"]["message"] == "no ears today"
    await client.until("response.done")
    await client.append(sounds.turn)
    done = await client.until("conversation.item.input_audio_transcription.completed")
    assert done["transcript"] == "again"


async def test_manual_turn(client: Any, ears: Any, sounds: Any) -> None:
    ears.texts = ["by hand"]
    await client.update(audio={"input": {"turn_detection": None}})
    error = await client.refused("input_audio_buffer.commit")
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert "only has 0.00ms" in error["message"]
    client.forget()
    await client.append(sounds.speech(300))
    await client.send("input_audio_buffer.commit")
    await client.until("conversation.item.done")
    assert client.names() == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
    await client.nothing_more()
    await client.send("response.create")
    done = await client.until("response.done")
    assert done["response"]["output"][0]["content"][0]["transcript"] == "I heard by hand"
    assert len(ears.turns[0]) == 300 * 32


async def test_commit_ends_a_detected_turn_and_clear_forgets_it(client: Any, ears: Any, sounds: Any) -> None:
    await client.append(sounds.silence(500) + sounds.speech(500))
    await client.until("input_audio_buffer.speech_started")
    await client.send("input_audio_buffer.commit")
    await client.until("conversation.item.done")
    await client.nothing_more()
    await client.append(sounds.speech(500))
    await client.until("input_audio_buffer.speech_started")
    await client.send("input_audio_buffer.clear")
    client.checker.speaking = None
    await client.until("input_audio_buffer.cleared")
    assert ears.cancelled == 1
    assert (await client.refused("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"


async def test_turn_without_response(client: Any, sounds: Any) -> None:
    await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    client.forget()
    await client.append(sounds.turn)
    await client.until("conversation.item.done")
    await client.nothing_more()


async def test_idle_timeout_commits_the_silence_and_responds(client: Any, sounds: Any) -> None:
    await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
    await client.append(sounds.turn)
    await client.until("response.done")
    client.forget()
    await client.append(sounds.silence(6000), chunk_ms=100)
    triggered = await client.until("input_audio_buffer.timeout_triggered")
    assert triggered["audio_end_ms"] - triggered["audio_start_ms"] == 5000
    await client.until("response.done")
    assert [name for name in client.names() if name.startswith("input")] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
    ]


async def test_tool_round(client: Any, mind: Any) -> None:
    mind.answers = [
        [Call("calculator", {"expression": "12 * 7"}), Call("calculator", {"expression": "1"})],
        [Say("84")],
    ]
    await client.update(tools=[CALCULATOR])
    await client.send("conversation.item.create", item=USER_TEXT)
    await client.until("conversation.item.done")
    client.forget()
    await client.send("response.create")
    done = await client.until("response.done")
    ladder = [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
    ]
    assert client.names() == ["response.created", *ladder, *ladder, "response.done"]
    call = done["response"]["output"][0]
    assert (call["name"], call["arguments"], call["status"]) == ("calculator", '{"expression":"12 * 7"}', "completed")
    added = client.log[1]["item"]
    assert (added["name"], added["call_id"], added["arguments"]) == ("calculator", call["call_id"], "")
    await client.until("rate_limits.updated")
    client.forget()
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": '[{"text": "84"}]'}
    await client.send("conversation.item.create", item=output)
    await client.until("conversation.item.done")
    await client.nothing_more()
    await client.send("response.create")
    done = await client.until("response.done")
    assert done["response"]["output"][0]["content"][0]["transcript"] == "84"
    assert [item.type for item in mind.contexts[1].items][-1] == "function_call_output"


async def test_speech_interrupts_the_answer(slow_client: Any, mind: Any, sounds: Any) -> None:
    client = slow_client
    mind.answers = [[LONG]]
    await client.append(sounds.turn)
    await client.until("response.output_audio.delta")
    client.forget()
    await client.append(sounds.turn)
    await client.until("input_audio_buffer.speech_started")
    client.forget()
    done = (await client.until("response.done"))["response"]
    assert client.names() == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert done["output"][0]["status"] == "incomplete"
    second = await client.until("response.done")
    assert second["response"]["status"] == "completed"


async def test_speech_before_anything_was_said_cancels_empty(client: Any, ears: Any, sounds: Any) -> None:
    ears.gate.clear()  # the ears are not done yet, the response waits for them
    await client.append(sounds.turn)
    await client.until("response.created")
    client.forget()
    await client.append(sounds.speech(300))
    done = (await client.until("response.done"))["response"]
    assert client.names() == ["input_audio_buffer.speech_started", "response.done"]
    assert (done["output"], done["usage"]["total_tokens"]) == ([], 0)
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    ears.gate.set()


async def test_no_interruption_when_switched_off(slow_client: Any, mind: Any, sounds: Any) -> None:
    client = slow_client
    mind.answers = [[Say("word " * 20)]]
    await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}})
    await client.append(sounds.turn)
    await client.until("response.output_audio.delta")
    await client.append(sounds.turn)
    done = await client.until("response.done")
    assert done["response"]["status"] == "completed"
    assert len([event for event in client.log if event["type"] == "response.created"]) == 1


async def test_cancel(slow_client: Any, mind: Any) -> None:
    client = slow_client
    assert (await client.refused("response.cancel"))["code"] == "response_cancel_not_active"
    mind.answers = [[LONG]]
    await client.send("response.create")
    created = await client.until("response.created")
    await client.until("response.output_audio.delta")
    await client.send("response.create", event_id="second")
    while (event := await client.receive())["type"] != "error":
        assert event["type"] == "response.output_audio.delta"
    assert event["error"]["code"] == "conversation_already_has_active_response"
    assert event["error"]["event_id"] == "second"
    await client.send("response.cancel", response_id=created["response"]["id"])
    done = (await client.until("response.done"))["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    await client.until("rate_limits.updated")
    await client.nothing_more()


async def test_truncate(client: Any, mind: Any) -> None:
    mind.answers = [[Say("one two three four five")]]
    await client.send("conversation.item.create", item={**USER_TEXT, "id": "mine"})
    await client.send("response.create")
    item_id = (await client.until("response.done"))["response"]["output"][0]["id"]
    await client.until("rate_limits.updated")

    def cut(item_id: str, ms: int, index: int = 0) -> dict[str, Any]:
        return {"item_id": item_id, "content_index": index, "audio_end_ms": ms}

    error = await client.refused("conversation.item.truncate", **cut(item_id, 501))
    assert (error["code"], error["message"]) == (
        "invalid_value", "Audio content of 500ms is already shorter than 501ms",
    )  # fmt: skip
    error = await client.refused("conversation.item.truncate", **cut("mine", 0))
    assert (error["code"], error["message"]) == (None, "Only model output audio messages can be truncated")
    error = await client.refused("conversation.item.truncate", **cut("nobody", 0))
    assert error["code"] == "item_truncate_invalid_item_id"
    assert (await client.refused("conversation.item.truncate", **cut(item_id, 0, 3)))["param"] == "content_index"
    assert (await client.refused("conversation.item.truncate", **cut(item_id, -1)))["param"] == "audio_end_ms"

    await client.send("conversation.item.truncate", **cut(item_id, 250))
    truncated = await client.until("conversation.item.truncated")
    assert {key: truncated[key] for key in cut("", 0)} == cut(item_id, 250)
    await client.send("conversation.item.retrieve", item_id=item_id)
    part = (await client.until("conversation.item.retrieved"))["item"]["content"][0]
    assert len(base64.b64decode(part["audio"])) == 250 * 48
    assert "transcript" not in part
    error = await client.refused("conversation.item.truncate", **cut(item_id, 300))
    assert error["message"] == "Audio content of 250ms is already shorter than 300ms"


async def test_items_are_inserted_retrieved_and_deleted(client: Any) -> None:
    async def create(**fields: Any) -> None:
        await client.send("conversation.item.create", **fields)
        await client.until("conversation.item.done")

    await create(item={**USER_TEXT, "id": "b"})
    await create(item={**USER_TEXT, "id": "a"}, previous_item_id="root")
    await create(item={**USER_TEXT, "id": "d"})
    await create(item={**USER_TEXT, "id": "c"}, previous_item_id="b")
    assert client.checker.items == ["a", "b", "c", "d"]
    error = await client.refused("conversation.item.create", item={**USER_TEXT, "id": "a"})
    assert error["code"] == "item_create_duplicate_item_id"
    error = await client.refused("conversation.item.create", item=USER_TEXT, previous_item_id="z")
    assert error["param"] == "previous_item_id"
    await client.send("conversation.item.delete", item_id="b")
    await client.until("conversation.item.deleted")
    assert (await client.refused("conversation.item.delete", item_id="b"))["code"] == "item_delete_invalid_item_id"
    assert (await client.refused("conversation.item.retrieve", item_id="b"))["code"] == "item_retrieve_invalid_item_id"
    await client.send("conversation.item.retrieve", item_id="c")
    item = (await client.until("conversation.item.retrieved"))["item"]
    assert item == {**USER_TEXT, "id": "c", "status": "completed"}


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "dance"}, "item.type"),
        ({"type": "message", "role": "user"}, "item.content"),
        ({"type": "message", "role": "judge", "content": []}, "item.role"),
        (
            {"type": "message", "role": "user", "content": [{"type": "output_text", "text": "x"}]},
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "audio": "AAAA"}]},
            "item.content[0].type",
        ),
        ({"type": "message", "role": "user", "content": [{"type": "input_text"}]}, "item.content[0].text"),
        ({"type": "function_call_output", "output": "x"}, "item.call_id"),
        (message("user", type="input_image", image_url="http://x/y.png"), "item.content[0].image_url"),
    ],
)
async def test_wrong_items_are_refused(client: Any, item: Any, param: str) -> None:
    assert (await client.refused("conversation.item.create", item=item))["param"] == param
    await client.nothing_more()


async def test_text_response_with_parameters(client: Any, mind: Any) -> None:
    client.forget()
    mind.answers = [[Say("First."), Say("Second.")]]
    await client.send(
        "response.create",
        response={"output_modalities": ["text"], "instructions": "Be brief.", "metadata": {"topic": "x"}},
    )
    done = (await client.until("response.done"))["response"]
    assert client.names() == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "First. Second."}]
    assert (done["metadata"], done["output_modalities"]) == ({"topic": "x"}, ["text"])
    assert mind.contexts[0].instructions == "Be brief."
    assert client.log[0]["response"]["metadata"] == {"topic": "x"}


async def test_out_of_band_response_leaves_the_conversation_alone(slow_client: Any, mind: Any, sounds: Any) -> None:
    client = slow_client
    mind.answers = [[LONG], [Say("aside")]]
    await client.send("response.create")
    await client.until("response.output_audio.delta")
    client.forget()
    await client.send(
        "response.create",
        response={"conversation": "none", "output_modalities": ["text"], "input": [], "metadata": {"side": "1"}},
    )
    done = (await client.until("response.done"))["response"]
    assert (done["conversation_id"], done["metadata"], done["status"]) == (None, {"side": "1"}, "completed")
    assert not [name for name in client.names() if name.startswith("conversation.item")]
    assert mind.contexts[1].items == []
    await client.append(sounds.speech(300))
    cut = (await client.until("response.done"))["response"]
    assert cut["status"] == "cancelled"


async def test_response_input_replaces_the_context(client: Any, mind: Any) -> None:
    await client.send("conversation.item.create", item={**USER_TEXT, "id": "kept"})
    other = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "other"}]}
    await client.send("conversation.item.create", item=other)
    await client.send("response.create", response={"input": [{"type": "item_reference", "id": "kept"}]})
    await client.until("response.done")
    assert [item.id for item in mind.contexts[0].items] == ["kept"]
    await client.until("rate_limits.updated")
    error = await client.refused("response.create", response={"input": [{"type": "item_reference", "id": "gone"}]})
    assert error["param"] == "response.input[0]"
    error = await client.refused("response.create", response={"metadata": {"k": "v" * 600}})
    assert error["param"] == "response.metadata.k"


async def test_token_limit_makes_a_response_incomplete(client: Any, mind: Any) -> None:
    mind.answers = [[LONG]]
    await client.send("response.create", response={"max_output_tokens": 300})
    done = (await client.until("response.done"))["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert done["output"][0]["status"] == "incomplete"
    assert done["usage"]["output_tokens"] >= 300


@pytest.mark.parametrize("step", [Fail("insufficient_quota", "No credit."), ValueError("a bug")])
async def test_failed_response_is_told_and_the_session_goes_on(
    client: Any, mind: Any, step: Any, caplog: pytest.LogCaptureFixture
) -> None:
    mind.answers = [[step], [Say("fine")]]
    await client.send("response.create")
    done = (await client.until("response.done"))["response"]
    assert (done["status"], done["status_details"]["type"]) == ("failed", "failed")
    expected = "insufficient_quota" if isinstance(step, Fail) else "server_error"
    assert done["status_details"]["error"]["code"] == expected
    assert "a bug" not in str(done)
    await client.send("response.create")
    assert (await client.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.parametrize(("kind", "size"), [("audio/pcmu", 8), ("audio/pcma", 8), ("audio/pcm", 48)])
async def test_wire_formats(client: Any, ears: Any, kind: str, size: int, sounds: Any) -> None:
    form = {"type": kind, "rate": 24000} if size == 48 else {"type": kind}
    audio = (await client.update(audio={"input": {"format": form}, "output": {"format": form}}))["audio"]
    assert (audio["input"]["format"], audio["output"]["format"]) == (form, form)
    loud = {"audio/pcmu": b"\x00" * 4 + b"\x80" * 4, "audio/pcma": b"\x2a" * 4 + b"\xaa" * 4}.get(kind)
    quiet = {"audio/pcmu": b"\xff", "audio/pcma": b"\xd5", "audio/pcm": b"\x00"}[kind]
    wire = (loud * 400 if loud else sounds.speech(400)) + quiet * (size * 700)
    await client.send("input_audio_buffer.append", audio=base64.b64encode(wire).decode())
    started = await client.until("input_audio_buffer.speech_started")
    item = (await client.until("response.done"))["response"]["output"][0]
    assert started["audio_start_ms"] == 0
    assert len(client.checker.audio(item["id"])) == 3 * 100 * size
    assert abs(len(ears.turns[0]) // 32 - 600) <= 10


async def test_user_audio_is_retrieved_as_it_came(client: Any, sounds: Any) -> None:
    wire = sounds.speech(400) + sounds.silence(200)
    await client.append(wire + sounds.silence(500))
    added = await client.until("conversation.item.added")
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    await client.until("rate_limits.updated")
    await client.send("conversation.item.retrieve", item_id=added["item"]["id"])
    part = (await client.until("conversation.item.retrieved"))["item"]["content"][0]
    assert base64.b64decode(part["audio"]) == wire


async def test_voice_is_locked_once_it_has_spoken(client: Any) -> None:
    assert (await client.update(audio={"output": {"voice": "coral"}}))["audio"]["output"]["voice"] == "coral"
    await client.send("response.create")
    await client.until("rate_limits.updated")
    update = {"type": "realtime", "instructions": "x", "audio": {"output": {"voice": "alloy"}}}
    assert (await client.refused("session.update", session=update))["code"] == "cannot_update_voice"
    session = await client.update(audio={"output": {"voice": "coral"}})
    assert session["instructions"] != "x"


async def test_model_in_an_update_is_accepted_and_ignored(client: Any) -> None:
    assert (await client.update(model="another"))["model"] == "gpt-realtime"


async def test_largest_append_is_taken_and_a_larger_one_refused(client: Any, sounds: Any) -> None:
    await client.update(audio={"input": {"turn_detection": None}})
    whole = base64.b64encode(bytes(15 * 1024 * 1024 - 1024 * 1024)).decode()
    await client.send("input_audio_buffer.append", audio=whole)
    await client.send("input_audio_buffer.commit")
    await client.until("conversation.item.done")
    larger = base64.b64encode(bytes(15 * 1024 * 1024 + 3)).decode()
    assert (await client.refused("input_audio_buffer.append", audio=larger))["param"] == "audio"


async def test_answers_are_paced(start: Any, connect: Any, mind: Any) -> None:
    """The clock is the loop's: audio of 2 s at 4 times real time takes at least 0.4 s of it."""
    mind.answers = [[Say("word " * 20)]]
    loop = asyncio.get_running_loop()
    async with start(pace=4) as server, connect(server) as client:
        await client.until("session.created")
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        began = loop.time()
        await client.until("response.output_audio.done")
        assert loop.time() - began >= (2.0 - 0.3) / 4 * 0.9


async def test_semantic_detection_waits_for_the_end_of_the_sentence(client: Any, ears: Any, sounds: Any) -> None:
    await client.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})
    ears.partials = ["what is twelve times", "what is twelve times seven"]
    await client.append(sounds.speech(400) + sounds.silence(1000))  # asked at 300 ms of silence: not finished
    await client.append(sounds.speech(400) + sounds.silence(320))
    stopped = await client.until("input_audio_buffer.speech_stopped")
    assert stopped["audio_end_ms"] in (400 + 1000 + 400 + 300, 400 + 1000 + 400 + 310, 400 + 1000 + 400 + 320)
    assert ears.partials == []
    await client.until("response.done")

    client.forget()
    ears.partials = ["and"]
    await client.append(sounds.silence(500) + sounds.speech(400) + sounds.silence(2500))
    started = await client.until("input_audio_buffer.speech_started")
    stopped = await client.until("input_audio_buffer.speech_stopped")
    assert stopped["audio_end_ms"] - started["audio_start_ms"] == 300 + 400 + 2000
    await client.until("response.done")


async def test_audio_in_a_created_item_is_understood(client: Any, ears: Any, sounds: Any) -> None:
    ears.texts = ["spoken in an item"]
    audio = base64.b64encode(sounds.speech(500)).decode()
    await client.send("conversation.item.create", item=message("user", type="input_audio", audio=audio))
    added = await client.until("conversation.item.done")
    assert "audio" not in added["item"]["content"][0]
    await client.send("response.create")
    done = (await client.until("response.done"))["response"]
    assert done["output"][0]["content"][0]["transcript"] == "I heard spoken in an item"
    assert abs(len(ears.turns[0]) // 32 - 500) <= 5
    broken = message("user", type="input_audio", audio="?")
    await client.until("rate_limits.updated")
    assert "base64" in (await client.refused("conversation.item.create", item=broken))["message"]


async def test_every_audio_part_of_an_item_is_kept_and_the_transcript_is_at_the_first(
    client: Any, ears: Any, mind: Any, sounds: Any
) -> None:
    await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    ears.texts = ["both parts"]
    pieces = [base64.b64encode(sounds.speech(ms)).decode() for ms in (200, 300)]
    content = [{"type": "input_text", "text": "listen"}, *({"type": "input_audio", "audio": piece} for piece in pieces)]
    item = {"id": "mixed", "type": "message", "role": "user", "content": content}
    await client.send("conversation.item.create", item=item)
    completed = await client.until("conversation.item.input_audio_transcription.completed")
    assert (completed["content_index"], completed["transcript"]) == (1, "both parts")
    assert abs(len(ears.turns[0]) // 32 - 500) <= 5
    await client.send("conversation.item.retrieve", item_id="mixed")
    text, *audio = (await client.until("conversation.item.retrieved"))["item"]["content"]
    assert text == content[0]
    assert [part["audio"] for part in audio] == pieces
    assert audio[0]["transcript"] == "both parts"
    await client.send("response.create")
    await client.until("response.done")
    assert [part.transcript for part in mind.contexts[0].items[0].content[1:]] == ["both parts", ""]


async def test_audio_in_a_responses_own_input_is_understood(client: Any, ears: Any, sounds: Any) -> None:
    await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    ears.texts = ["aside"]
    audio = base64.b64encode(sounds.speech(500)).decode()
    given = [message("user", type="input_audio", audio=audio)]
    await client.send("response.create", response={"conversation": "none", "input": given})
    done = (await client.until("response.done"))["response"]
    assert done["output"][0]["content"][0]["transcript"] == "I heard aside"
    assert not any(name.startswith("conversation.item.") for name in client.names())
    await client.until("rate_limits.updated")
    broken = [message("user", type="input_audio", audio="?")]
    error = await client.refused("response.create", response={"conversation": "none", "input": broken})
    assert error["param"] == "response.input[0].content[0].audio"


async def test_large_images_are_only_in_the_retrieved_item(client: Any) -> None:
    image = message("user", type="input_image", image_url="data:image/png;base64," + "A" * 2**20)
    await client.send("conversation.item.create", item=image)
    done = (await client.until("conversation.item.done"))["item"]
    assert all(len(json.dumps(event)) < 2**20 for event in client.log)
    await client.send("conversation.item.retrieve", item_id=done["id"])
    assert (await client.until("conversation.item.retrieved"))["item"]["content"] == image["content"]


@pytest.mark.parametrize("kind", ["session.update", "conversation.item.create"])
async def test_what_could_not_be_echoed_in_a_frame_is_refused(client: Any, kind: str) -> None:
    text = "x" * 300_000
    part = {"type": "input_text", "text": text}
    about: dict[str, Any] = {
        "session.update": {"session": {"type": "realtime", "instructions": text}},
        "conversation.item.create": {"item": {"type": "message", "role": "user", "content": [part]}},
    }[kind]
    error = await client.refused(kind, **about)
    assert (error["code"], error["param"]) == ("string_above_max_length", next(iter(about)))


async def test_images_are_accepted(client: Any, mind: Any) -> None:
    image = message("user", type="input_image", image_url="data:image/png;base64,AAAA", detail="low")
    await client.send("conversation.item.create", item=image)
    done = await client.until("conversation.item.done")
    assert done["item"]["content"] == image["content"]
