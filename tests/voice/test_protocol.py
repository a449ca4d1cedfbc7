"""The protocol without a socket: what goes in, what comes out, what is remembered."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from openai.types.realtime import RealtimeClientEvent
from pydantic import TypeAdapter
from realtime_voice import events as ev
from realtime_voice.conversation import REMEMBERED, cut_text
from realtime_voice.errors import AuthenticationError, ConfigurationError, LocalProtocolError, RemoteProtocolError
from realtime_voice.protocol import ANSWER_TIMEOUT_S, PATIENCE_S, REQUEST_TAG, ClientProtocol
from realtime_voice.states import (
    ERRORS,
    RESPONSE,
    SESSION,
    TURN,
    Reach,
    ResponseState,
    SessionState,
    TurnState,
)

if TYPE_CHECKING:
    from collections.abc import Callable

client_events: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)
VAD = {"type": "server_vad", "silence_duration_ms": 200, "create_response": True, "interrupt_response": True}


class Heard(NamedTuple):
    item_id: str
    content_index: int
    played_ms: int
    received_ms: int


class Server:
    """Speaks to a ClientProtocol as a server would."""

    def __init__(
        self, turn_detection: dict[str, Any] | None = VAD, *, ready: bool = True, kind: str = "realtime"
    ) -> None:
        self.protocol = ClientProtocol("t_")
        self.now = 0.0
        self.session = {"type": kind, "id": "sess_1", "audio": {"input": {"turn_detection": turn_detection}}}
        if ready:
            self.protocol.configure({})
            assert self.sent() == ["session.update"]
            self.say("session.created", session=self.session)
            self.say("session.updated", session=self.session)

    def say(self, kind: str, **fields: Any) -> list[Any]:
        return self.protocol.receive(json.dumps({"type": kind, "event_id": "event_1", **fields}), self.now)

    def messages(self) -> list[dict[str, Any]]:
        found = [json.loads(message) for message in self.protocol.data_to_send()]
        for message in found:
            client_events.validate_python(message)
        return found

    def sent(self) -> list[str]:
        return [message["type"] for message in self.messages()]

    def error(self, code: str | None, message: str = "no", event_id: str | None = None, **more: Any) -> list[Any]:
        error = {"type": "invalid_request_error", "code": code, "message": message, "event_id": event_id, **more}
        return self.say("error", error=error)

    def begin(self, response: str = "resp_1", **fields: Any) -> list[Any]:
        fields = {"conversation_id": "conv_1", **fields}
        return self.say("response.created", response={"id": response, "status": "in_progress", **fields})

    def end(self, response: str = "resp_1", status: str = "completed", **fields: Any) -> list[Any]:
        fields = {"conversation_id": "conv_1", **fields}
        return self.say("response.done", response={"id": response, "status": status, **fields})

    def turn(self, item: str = "item_u", start_ms: int = 0) -> None:
        self.say("input_audio_buffer.speech_started", item_id=item, audio_start_ms=start_ms)
        self.say("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=start_ms + 900)
        self.say("input_audio_buffer.committed", item_id=item, previous_item_id=None)

    def item(self, item_id: str, role: str, previous: str | None, **fields: Any) -> None:
        item = {"id": item_id, "type": "message", "role": role, "content": [], **fields}
        self.say("conversation.item.added", item=item, previous_item_id=previous)

    def speak(self, text: str, *, item: str = "item_a", response: str = "resp_1", done: bool = True) -> list[Any]:
        where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        message = {"id": item, "type": "message", "role": "assistant", "content": []}
        out = self.say("response.output_item.added", response_id=response, output_index=0, item=message)
        for word in text.split(" "):
            out += self.say("response.output_audio_transcript.delta", **where, delta=f"{word} ")
        if done:
            out += self.say("response.output_audio.done", **where)
            out += self.say("response.output_audio_transcript.done", **where, transcript=text)
        return out

    def call(
        self, name: str, arguments: str, call_id: str = "call_1", response: str = "resp_1", **item: Any
    ) -> list[Any]:
        item = {"id": f"fc_{call_id}", "type": "function_call", "status": "completed", "name": name, **item}
        return self.say(
            "response.output_item.done",
            response_id=response,
            output_index=0,
            item={**item, "call_id": call_id, "arguments": arguments},
        )


def only(events: list[Any], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


# --- tables ---


def test_every_state_has_a_row_and_can_be_reached() -> None:
    for states, table in ((SessionState, SESSION), (ResponseState, RESPONSE), (TurnState, TURN)):
        assert set(table) == set(states)  # type: ignore[call-overload]
        reached = {next(iter(states))} | {state for row in table.values() for state in row.values()}
        assert reached == set(states)  # type: ignore[call-overload]


def test_only_the_lost_and_the_failed_connection_are_final() -> None:
    assert [state for state, row in SESSION.items() if not row] == [SessionState.LOST, SessionState.FAILED]
    assert all(RESPONSE.values())
    assert all(TURN.values())


def test_wire_names_in_the_tables_are_events() -> None:
    names = set(ev.SERVER_EVENTS) | set(ev.CLIENT_EVENTS)
    for table in (SESSION, RESPONSE, TURN):
        for row in table.values():
            for trigger in row:  # type: ignore[attr-defined]
                assert trigger in names or " " in trigger, trigger


# --- configuration ---


def test_configured() -> None:
    server = Server(ready=False)
    assert server.protocol.session is SessionState.CONNECTING
    server.protocol.configure({"instructions": "x"})
    assert server.messages()[0]["session"] == {"type": "realtime", "instructions": "x"}
    assert server.protocol.session is SessionState.CONFIGURING
    server.say("session.created", session=server.session)
    assert server.protocol.session is SessionState.CONFIGURING
    server.say("session.updated", session={**server.session, "mood": "calm"})
    assert server.protocol.session is SessionState.READY
    assert server.protocol.id == "sess_1"
    assert server.protocol.config["mood"] == "calm"


@pytest.mark.parametrize("with_id", [True, False])
def test_refused_configuration(*, with_id: bool) -> None:
    server = Server(ready=False)
    event_id = server.protocol.configure({"audio": {"output": {"voice": "none"}}})
    server.say("session.created", session=server.session)
    server.error("invalid_value", "no such voice", event_id if with_id else None, param="session.audio.output.voice")
    failure = server.protocol.failure
    assert isinstance(failure, ConfigurationError)
    assert (failure.code, failure.param) == ("invalid_value", "session.audio.output.voice")
    assert server.protocol.session is SessionState.FAILED
    with pytest.raises(LocalProtocolError, match="no such voice"):
        server.protocol.send(ev.InputAudioBufferClear())


def test_error_of_another_request_does_not_refuse_the_configuration() -> None:
    server = Server(ready=False)
    other = server.protocol.send(ev.ConversationItemDelete(item_id="x"))
    server.protocol.configure({})
    server.error("something", event_id=other)
    assert server.protocol.failure is None
    assert server.protocol.session is SessionState.CONFIGURING


def test_refused_key() -> None:
    server = Server(ready=False)
    server.protocol.configure({})
    server.error("invalid_api_key", "Incorrect API key")
    assert isinstance(server.protocol.failure, AuthenticationError)


def test_later_update_may_be_refused_without_harm() -> None:
    server = Server()
    event_id = server.protocol.configure({"audio": {"output": {"voice": "x"}}})
    assert only(server.error("cannot_update_voice", event_id=event_id), ev.Error)
    assert server.protocol.failure is None
    assert server.protocol.session is SessionState.READY


# --- response sequencer ---


def test_text_and_its_response() -> None:
    server = Server()
    server.protocol.add_item(ev.Item(type="message", role="user", content=[]), respond=True)
    item, create = server.messages()
    assert item["item"]["id"].startswith("item_t_")
    assert len(item["item"]["id"]) <= 32
    assert create["type"] == "response.create"


def test_never_two_responses_at_once() -> None:
    server = Server()
    server.protocol.request_response()
    assert server.sent() == ["response.create"]
    for _ in range(3):
        server.protocol.request_response()
        server.protocol.add_item(ev.Item(type="message", role="user", content=[]), respond=True)
    assert server.sent() == ["conversation.item.create"] * 3
    server.begin()
    assert server.sent() == []
    server.end()
    assert server.sent() == ["response.create"]  # one for all of them
    server.begin("resp_2")
    server.end("resp_2")
    assert server.sent() == []


def test_requests_with_parameters_keep_theirs_and_their_order() -> None:
    server = Server()
    first = server.protocol.request_response({"instructions": "one"})
    second = server.protocol.request_response({"instructions": "two", "metadata": {"mine": "kept"}})
    (create,) = server.messages()
    assert create["response"] == {"instructions": "one", "metadata": {REQUEST_TAG: first}}
    server.begin()
    server.end()
    (create,) = server.messages()
    assert create["response"] == {"instructions": "two", "metadata": {"mine": "kept", REQUEST_TAG: second}}


def test_raw_response_create_goes_through_the_sequencer() -> None:
    server = Server()
    server.begin()
    server.protocol.send({"type": "response.create"})
    server.protocol.send(ev.ResponseCreate(response=ev.ResponseParams(instructions="x")))
    assert server.sent() == []
    server.end()
    assert server.sent() == ["response.create"]
    server.begin("resp_2")
    server.end("resp_2")
    assert [m["response"]["instructions"] for m in server.messages()] == ["x"]


@pytest.mark.parametrize("params", [None, {"instructions": "again"}])
def test_response_asked_for_too_early_is_asked_for_again(params: dict[str, Any] | None) -> None:
    server = Server()
    server.protocol.request_response(params)
    (create,) = server.messages()
    assert server.error("conversation_already_has_active_response", event_id=create["event_id"]) == []
    assert server.sent() == []
    server.end("resp_of_the_server")
    (again,) = server.messages()
    assert again.get("response") == create.get("response")
    server.begin("resp_2")
    server.end("resp_2")
    assert server.sent() == []


def test_conflict_with_no_end_in_sight_is_tried_again_after_a_while() -> None:
    server = Server()
    server.protocol.request_response()
    server.sent()
    server.error("conversation_already_has_active_response")
    server.protocol.tick(ANSWER_TIMEOUT_S - 1)
    assert server.sent() == []
    server.protocol.tick(ANSWER_TIMEOUT_S + 1)
    assert server.sent() == ["response.create"]


def test_refused_response_leaves_the_way_free() -> None:
    server = Server()
    event_id = server.protocol.request_response({"instructions": "bad"})
    server.sent()
    assert only(server.error("invalid_value", event_id=event_id), ev.Error)
    server.protocol.request_response()
    assert server.sent() == ["response.create"]


def test_unanswered_response_does_not_block_for_ever() -> None:
    server = Server()
    server.protocol.request_response()
    server.sent()
    server.protocol.request_response()
    server.protocol.tick(ANSWER_TIMEOUT_S + 1)
    assert server.sent() == ["response.create"]


def test_no_response_is_asked_for_while_the_user_speaks() -> None:
    server = Server()
    server.say("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
    item_id = server.protocol.add_item(ev.Item(type="message", role="user", content=[]), respond=True)
    server.item(item_id, "user", None)
    assert server.sent() == ["conversation.item.create"]
    server.say("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=900)
    server.say("input_audio_buffer.committed", item_id="u", previous_item_id=None)
    server.begin()  # the server's own, which has seen the item
    server.end()
    assert server.sent() == []


def test_item_that_a_response_has_not_seen_gets_its_own() -> None:
    server = Server()
    server.turn()
    item_id = server.protocol.add_item(ev.Item(type="message", role="user", content=[]), respond=True)
    assert server.sent() == ["conversation.item.create"]
    server.begin()  # crossed the item on the wire
    server.item(item_id, "user", None)
    server.end()
    assert server.sent() == ["response.create"]


def test_without_automatic_responses_the_committed_turn_blocks_nothing() -> None:
    server = Server({**VAD, "create_response": False})
    server.turn()
    server.protocol.request_response()
    assert server.sent() == ["response.create"]


def test_push_to_talk() -> None:
    server = Server(turn_detection=None)
    server.protocol.send(ev.InputAudioBufferCommit())
    server.protocol.request_response()
    assert server.sent() == ["input_audio_buffer.commit", "response.create"]
    server.say("input_audio_buffer.committed", item_id="u", previous_item_id=None)
    server.begin()
    assert server.protocol.response is ResponseState.ACTIVE


def test_client_commit_under_server_vad_owes_no_answer() -> None:
    server = Server()
    server.protocol.send(ev.InputAudioBufferCommit())
    server.say("input_audio_buffer.committed", item_id="u", previous_item_id=None)
    server.protocol.request_response()
    assert server.sent() == ["input_audio_buffer.commit", "response.create"]


def test_turn_without_an_answer_does_not_block_for_ever() -> None:
    server = Server()
    server.turn()
    server.protocol.request_response()
    assert server.sent() == []
    server.protocol.tick(ANSWER_TIMEOUT_S + 1)
    assert server.sent() == ["response.create"]


def test_out_of_band_response_runs_beside() -> None:
    server = Server()
    server.begin("resp_main")
    tag = server.protocol.request_response({"conversation": "none", "output_modalities": ["text"]})
    (create,) = server.messages()
    assert create["event_id"] == tag
    server.begin("resp_side", conversation_id=None, metadata={REQUEST_TAG: tag})
    where = {"response_id": "resp_side", "item_id": "side", "output_index": 0, "content_index": 0}
    out = server.say("response.output_text.delta", **where, delta="secret")
    assert only(out, ev.AgentTranscript) == []
    assert server.protocol.response is ResponseState.ACTIVE
    server.end("resp_side", conversation_id=None, metadata={REQUEST_TAG: tag})
    assert server.protocol.response is ResponseState.ACTIVE  # the main one still runs
    server.end("resp_main")
    assert server.protocol.response is ResponseState.IDLE
    assert server.protocol.conversation.items() == []


def test_speech_beside_the_conversation_is_not_talked_over() -> None:
    server = Server()
    tag = server.protocol.request_response({"conversation": "none", "instructions": "Say: one moment."})
    server.protocol.request_response()
    assert len(server.sent()) == 1
    server.begin("resp_side", conversation_id=None, metadata={REQUEST_TAG: tag})
    assert server.sent() == []
    server.end("resp_side", conversation_id=None, metadata={REQUEST_TAG: tag})
    (create,) = server.messages()
    assert "response" not in create


def test_speech_beside_the_conversation_is_cancelled_by_the_user() -> None:
    server = Server()
    tag = server.protocol.request_response({"conversation": "none", "instructions": "Say: one moment."})
    server.begin("resp_side", conversation_id=None, metadata={REQUEST_TAG: tag})
    server.sent()
    server.protocol.interrupt([Heard("item_side", 0, 10, 500)], by_server=True)
    (cancel,) = server.messages()
    assert (cancel["type"], cancel["response_id"]) == ("response.cancel", "resp_side")
    server.protocol.interrupt([], by_server=True)
    assert server.sent() == []


def test_refused_speech_beside_blocks_nothing() -> None:
    server = Server()
    tag = server.protocol.request_response({"conversation": "none"})
    server.sent()
    assert only(server.error("invalid_value", event_id=tag), ev.Error)
    server.protocol.request_response()
    assert server.sent() == ["response.create"]


def test_repeated_and_foreign_ends_change_nothing() -> None:
    server = Server()
    server.begin("resp_2")
    server.end("resp_1")
    assert server.protocol.response is ResponseState.ACTIVE
    server.end("resp_2")
    server.end("resp_2")
    assert server.protocol.response is ResponseState.IDLE


# --- tools ---


def test_tool_call_comes_once_with_its_arguments() -> None:
    server = Server()
    server.begin()
    (call,) = only(server.call("add", '{"a": 1}'), ev.ToolCall)
    assert (call.call_id, call.name, call.arguments) == ("call_1", "add", {"a": 1})
    again = {"id": "fc", "type": "function_call", "name": "add", "call_id": "call_1", "arguments": "{}"}
    assert only(server.end(output=[again]), ev.ToolCall) == []


def test_tool_call_that_only_the_end_tells_is_found() -> None:
    server = Server()
    server.begin()
    item = {"id": "fc", "type": "function_call", "name": "add", "call_id": "c", "arguments": "", "status": "completed"}
    (call,) = only(server.end(output=[item]), ev.ToolCall)
    assert call.arguments == {}


def test_unfinished_call_is_none() -> None:
    server = Server()
    server.begin()
    assert only(server.call("add", '{"a"', status="incomplete"), ev.ToolCall) == []


def test_several_results_get_one_response() -> None:
    server = Server()
    server.begin()
    server.call("a", "{}", "call_1")
    server.call("b", "{}", "call_2")
    server.protocol.send_tool_result("call_1", "one")
    server.end()
    assert server.sent() == ["conversation.item.create"]
    server.protocol.send_tool_result("call_2", "two")
    assert server.sent() == ["conversation.item.create", "response.create"]


def test_call_that_is_never_answered_does_not_block_for_ever() -> None:
    server = Server()
    server.begin()
    server.call("a", "{}", "call_1")
    server.end()
    server.protocol.request_response()
    assert server.sent() == []
    server.protocol.tick(PATIENCE_S + 1)
    assert server.sent() == ["response.create"]


@pytest.mark.parametrize("arguments", ["{", "[1]", "7", "null"])
def test_wrong_arguments_are_answered_at_once(arguments: str) -> None:
    server = Server()
    server.begin()
    out = server.call("add", arguments)
    (result,) = only(out, ev.ToolResult)
    assert result.is_error
    assert only(out, ev.ToolCall) == []
    server.end()
    item, create = server.messages()
    assert "JSON object" in json.loads(item["item"]["output"])["error"]
    assert create["type"] == "response.create"


@pytest.mark.parametrize(("respond", "expected"), [(None, []), (False, []), (True, ["response.create"])])
def test_result_after_an_interruption_speaks_only_if_asked(*, respond: bool | None, expected: list[str]) -> None:
    server = Server()
    server.begin()
    server.call("slow", "{}")
    server.speak("Let me see", done=False)
    server.protocol.interrupt([Heard("item_a", 0, 100, 500)], by_server=True)
    server.end(status="cancelled")
    server.sent()
    server.protocol.send_tool_result("call_1", "done", respond=respond)
    assert server.sent() == ["conversation.item.create", *expected]


# --- interruption ---


def test_interruption_of_a_complete_answer_truncates_what_was_not_heard() -> None:
    server = Server()
    server.begin()
    server.speak("one two three four five six seven eight nine ten")
    server.end()
    (cut,) = server.protocol.interrupt([Heard("item_a", 0, 500, 1000)], by_server=True)
    assert (cut.played_ms, cut.received_ms) == (500, 1000)
    assert cut.heard == "one two three four five"
    assert cut.full == "one two three four five six seven eight nine ten"
    (truncate,) = server.messages()
    assert truncate["type"] == "conversation.item.truncate"
    assert (truncate["item_id"], truncate["content_index"], truncate["audio_end_ms"]) == ("item_a", 0, 500)


def test_words_behind_a_cut_are_told_by_nobody() -> None:
    server = Server()
    server.begin()
    server.speak("one two three four", done=False)
    server.protocol.interrupt([Heard("item_a", 0, 100, 400)], by_server=True)
    assert only(server.speak("five six"), ev.AgentTranscript) == []
    assert len(only(server.speak("seven", item="item_b"), ev.AgentTranscript)) == 2


def test_interruption_of_a_running_answer_is_left_to_a_server_that_does_it() -> None:
    server = Server()
    server.begin()
    server.speak("one two", done=False)
    server.protocol.interrupt([Heard("item_a", 0, 200, 300)], by_server=True)
    assert server.sent() == ["conversation.item.truncate"]


@pytest.mark.parametrize(
    ("detection", "by_server"), [({**VAD, "interrupt_response": False}, True), (None, False), (VAD, False)]
)
def test_interruption_cancels_where_the_server_does_not(*, detection: dict[str, Any] | None, by_server: bool) -> None:
    server = Server(detection)
    server.begin("resp_9")
    server.speak("one two", response="resp_9", done=False)
    server.protocol.interrupt([Heard("item_a", 0, 200, 300)], by_server=by_server)
    cancel, truncate = server.messages()
    assert (cancel["type"], cancel["response_id"]) == ("response.cancel", "resp_9")
    assert truncate["type"] == "conversation.item.truncate"
    server.protocol.interrupt([], by_server=by_server)
    assert server.sent() == []  # once is enough


def test_nothing_active_nothing_cancelled() -> None:
    server = Server(turn_detection=None)
    server.protocol.interrupt([])
    assert not server.protocol.cancel_response()
    assert server.sent() == []


def test_item_of_which_nothing_was_heard_is_deleted() -> None:
    server = Server()
    server.begin()
    server.speak("never heard")
    server.end()
    (cut,) = server.protocol.interrupt([Heard("item_a", 0, 0, 800)], by_server=True)
    assert (cut.heard, cut.full) == ("", "never heard")
    (delete,) = server.messages()
    assert (delete["type"], delete["item_id"]) == ("conversation.item.delete", "item_a")
    assert server.error("item_delete_invalid_item_id", event_id=delete["event_id"]) == []


def test_truncate_is_clamped_to_what_was_received() -> None:
    server = Server()
    server.begin()
    server.speak("one two three", done=False)
    server.protocol.interrupt([Heard("item_a", 0, 900, 600)], by_server=True)
    assert server.messages()[0]["audio_end_ms"] == 600


def test_item_heard_to_its_end_was_not_interrupted() -> None:
    server = Server()
    server.begin()
    server.speak("all of it")
    assert server.protocol.interrupt([Heard("item_a", 0, 600, 600)], by_server=True) == []
    assert server.sent() == []


def test_refused_truncate_is_corrected_once() -> None:
    server = Server()
    server.begin()
    server.speak("one two three")
    server.end()
    server.protocol.interrupt([Heard("item_a", 0, 500, 600)], by_server=True)
    (truncate,) = server.messages()
    message = "Audio content of 415ms is already shorter than 500ms"
    assert server.error("invalid_value", message, truncate["event_id"]) == []
    (second,) = server.messages()
    assert second["audio_end_ms"] == 415
    assert server.error("invalid_value", message, second["event_id"]) == []
    assert server.messages() == []
    assert server.protocol.failure is None


def test_truncate_refused_for_another_reason_is_let_go() -> None:
    server = Server()
    server.begin()
    server.speak("one two three")
    server.protocol.interrupt([Heard("item_a", 0, 500, 600)], by_server=True)
    (truncate,) = server.messages()
    assert server.error(None, "Only model output audio messages can be truncated", truncate["event_id"]) == []
    assert server.messages() == []


def test_pointless_cancel_is_no_news() -> None:
    server = Server(turn_detection=None)
    server.begin()
    assert server.protocol.cancel_response()
    (cancel,) = server.messages()
    assert server.error("response_cancel_not_active", event_id=cancel["event_id"]) == []
    assert server.protocol.response is ResponseState.IDLE


def test_cancelled_response_that_never_ends_does_not_block_for_ever() -> None:
    server = Server(turn_detection=None)
    server.begin()
    server.protocol.cancel_response()
    server.protocol.request_response()
    assert server.sent() == ["response.cancel"]
    server.protocol.tick(ANSWER_TIMEOUT_S + 1)
    assert server.sent() == ["response.create"]


def test_audio_beside_the_conversation_is_not_truncated_in_it() -> None:
    server = Server()
    (cut,) = server.protocol.interrupt([Heard("somewhere", 0, 100, 200)], by_server=True)
    assert cut.played_ms == 100
    assert server.sent() == []


@pytest.mark.parametrize(
    ("text", "played", "length", "heard"),
    [
        ("one two three", 100, 100, "one two three"),
        ("one two three", 0, 100, ""),
        ("one two three", 50, 100, "one"),
        ("one two three", 60, 100, "one two"),
        ("one two three", 99, 100, "one two"),
        ("", 5, 10, ""),
        ("", 0, 0, ""),
        ("word", 50, 100, "wo"),
        ("\u4f60\u597d\u4e16\u754c", 50, 100, "\u4f60\u597d"),
        ("one two", -5, 100, ""),
    ],
)
def test_cut_text(text: str, played: int, length: int, heard: str) -> None:
    assert cut_text(text, played, length) == heard


def test_heard_text_grows_with_the_time_heard() -> None:
    text = "The quick brown fox jumps over the lazy dog and runs away"
    heard = [cut_text(text, played, 1000) for played in range(0, 1001, 10)]
    assert heard == sorted(heard, key=len)
    assert all(text.startswith(part) for part in heard)
    assert heard[-1] == text


# --- conversation ---


def test_transcripts_of_both_sides() -> None:
    server = Server()
    server.turn("item_u", start_ms=320)
    server.item("item_u", "user", None)
    kind = "conversation.item.input_audio_transcription"
    (first,) = only(server.say(f"{kind}.delta", item_id="item_u", content_index=0, delta="What"), ev.UserTranscript)
    assert (first.delta, first.text, first.final, first.audio_start_ms) == ("What", "What", False, 320)
    usage = {"type": "duration", "seconds": 2}
    done = server.say(f"{kind}.completed", item_id="item_u", content_index=0, transcript="What now?", usage=usage)
    (last,) = only(done, ev.UserTranscript)
    assert (last.delta, last.text, last.final) == (" now?", "What now?", True)
    server.begin()
    agent = only(server.speak("Nothing at all"), ev.AgentTranscript)
    assert [event.text for event in agent] == ["Nothing ", "Nothing at ", "Nothing at all ", "Nothing at all"]
    assert [event.final for event in agent] == [False, False, False, True]
    assert server.protocol.usage.transcription_seconds == 2


def test_failed_transcription_is_an_event() -> None:
    server = Server()
    out = server.say(
        "conversation.item.input_audio_transcription.failed", item_id="u", content_index=0, error={"message": "no"}
    )
    assert [type(event) for event in out] == [ev.ConversationItemInputAudioTranscriptionFailed]
    assert server.protocol.failure is None


def test_items_are_ordered_by_their_predecessors_however_they_arrive() -> None:
    for seed in range(50):
        server = Server()
        random_order = random.Random(seed)
        chain = [f"item_{number}" for number in range(8)]
        transcripts = list(chain)
        random_order.shuffle(transcripts)
        for item_id, previous in zip(chain, [None, *chain], strict=False):
            if random_order.random() < 0.5 and transcripts:
                _transcribe(server, transcripts.pop())
            server.item(item_id, "user", previous)
        for item_id in transcripts:
            _transcribe(server, item_id)
        items = server.protocol.conversation.items()
        assert [item.id for item in items] == chain
        assert [item.content[0].text for item in items if item.content] == [f"said {item_id}" for item_id in chain]


def _transcribe(server: Server, item_id: str) -> None:
    kind = "conversation.item.input_audio_transcription.completed"
    server.say(kind, item_id=item_id, content_index=0, transcript=f"said {item_id}", usage=None)


def test_items_can_be_inserted_and_removed() -> None:
    server = Server()
    for item_id, previous in (("a", None), ("c", "a"), ("b", "a"), ("first", "root"), ("lost", "nobody")):
        server.item(item_id, "user", previous, content=[{"type": "input_text", "text": item_id}])
    server.say("conversation.item.deleted", item_id="c")
    assert [item.id for item in server.protocol.conversation.items()] == ["first", "a", "b", "lost"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "conversation.item.create", "item": {"id": "a", "type": "message", "role": "user", "content": "Hi"}},
        {"type": "session.update"},
    ],
)
def test_what_only_this_server_understands_hides_no_answer(event: dict[str, Any]) -> None:
    server = Server()
    event_id = server.protocol.send(event)
    server.item("a", "user", None, content=[{"type": "input_text", "text": "Hi"}])
    server.say("session.updated", session=server.session)
    assert [item.id for item in server.protocol.conversation.items()] == ["a"]
    assert not server.protocol.awaits(event_id)


def test_history_holds_what_was_heard_and_can_be_replayed() -> None:
    server = Server()
    server.item("u", "user", None, content=[{"type": "input_text", "text": "Hi"}])
    server.begin()
    server.item("item_a", "assistant", "u")
    server.speak("one two three four")
    server.end()
    server.protocol.interrupt([Heard("item_a", 0, 500, 1000)], by_server=True)
    server.sent()
    items = server.protocol.conversation.items()
    assert [(item.role, item.content[0].text) for item in items if item.content] == [
        ("user", "Hi"),
        ("assistant", "one two"),
    ]
    replay = Server()
    for item in items:
        replay.protocol.add_item(item)
    assert replay.sent() == ["conversation.item.create"] * 2


def test_memory_is_bounded() -> None:
    server = Server()
    for number in range(3 * REMEMBERED):
        server.item(f"item_{number}", "user", f"item_{number - 1}", content=[{"type": "input_text", "text": "x"}])
        server.protocol.send(ev.ConversationItemRetrieve(item_id="x"))
        _transcribe(server, f"stray_{number}")
        server.protocol.data_to_send()
    protocol = server.protocol
    assert len(protocol.conversation.items()) <= REMEMBERED
    assert len(protocol._requests) <= REMEMBERED
    assert len(protocol.conversation._entries) <= REMEMBERED


def test_memory_for_large_requests_is_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_voice.protocol.REQUEST_BYTES", 20_000)
    server = Server()
    for number in range(30):
        part = ev.ContentPart(type="input_text", text=str(number) * 3000)
        server.protocol.add_item(ev.Item(type="message", role="user", content=[part]))
    kept = [request["item"].content[0].text[0] for request in server.protocol._requests.values()]
    assert 1 < len(kept) < 7
    assert kept[-1] == "2", "the newest are kept"


# --- latency ---


def test_turn_latency_received_and_played() -> None:
    server = Server()
    server.protocol.latency.awaits_playout = True
    server.turn()
    server.protocol.latency.speech_stopped(1.0, local=True)
    assert server.protocol.audio_received("resp_1", "item_a", 1.4) == []
    assert server.protocol.audio_received("resp_1", "item_a", 1.5) == []
    latency = server.protocol.latency.played("item_a", 1.75)
    assert latency is not None
    assert latency.speech_end_to_received_s == pytest.approx(0.4)
    assert latency.speech_end_to_played_s == pytest.approx(0.75)
    assert server.protocol.latency.played("item_a", 2.0) is None


def test_turn_latency_from_the_server_alone() -> None:
    server = Server()
    server.now = 5.0
    server.turn()
    server.begin()
    server.now = 5.3
    where = {"response_id": "resp_1", "item_id": "item_a", "output_index": 0, "content_index": 0}
    (latency,) = only(server.say("response.output_audio.delta", **where, delta="AAAA"), ev.TurnLatency)
    assert latency.speech_end_to_received_s == pytest.approx(0.5)  # 0.2 s of silence and 0.3 s of waiting
    assert latency.speech_end_to_played_s is None


def test_answer_to_text_has_no_turn_latency() -> None:
    server = Server()
    server.protocol.latency.speech_stopped(1.0, local=True)
    assert server.protocol.audio_received("resp_1", "item_a", 1.4) == []


# --- errors and the rest ---


@pytest.mark.parametrize("code", [code for code, reach in ERRORS.items() if reach is Reach.FATAL])
def test_fatal_errors_end_the_session(code: str) -> None:
    server = Server()
    assert only(server.error(code, "over"), ev.Error)
    assert server.protocol.failure is not None
    assert server.protocol.failure.code == code


def test_fatal_error_of_a_response_ends_the_session() -> None:
    server = Server()
    server.begin()
    error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your quota."}
    server.end(status="failed", status_details={"type": "failed", "error": error})
    assert server.protocol.failure is not None
    assert "quota" in str(server.protocol.failure)


def test_failed_response_alone_ends_nothing() -> None:
    server = Server()
    server.begin()
    error = {"type": "server_error", "code": "inference_rate_limit_exceeded"}
    (done,) = only(server.end(status="failed", status_details={"type": "failed", "error": error}), ev.ResponseDone)
    assert done.status == "failed"
    assert server.protocol.failure is None


def test_unknown_error_is_told_and_ends_nothing() -> None:
    server = Server()
    assert only(server.error("brand_new_code"), ev.Error)
    assert server.protocol.session is SessionState.READY


def test_usage_and_rate_limits() -> None:
    server = Server()
    server.begin()
    server.end(usage={"total_tokens": 12, "input_tokens": 5, "output_tokens": 7})
    server.say(
        "rate_limits.updated", rate_limits=[{"name": "tokens", "limit": 10, "remaining": 3, "reset_seconds": 1.5}]
    )
    assert server.protocol.usage.total_tokens == 12
    assert server.protocol.rate_limits[0].remaining == 3


def test_what_is_no_event_raises_and_harms_nothing() -> None:
    server = Server()
    with pytest.raises(RemoteProtocolError):
        server.protocol.receive(b"not json", 0.0)
    assert [type(event) for event in server.say("never.heard.of")] == [ev.UnknownEvent]
    server.protocol.request_response()
    assert server.sent() == ["response.create"]


def _anything(server: Server, rng: random.Random) -> list[Callable[[], object]]:
    """What a server or an application may do next."""
    protocol, n = server.protocol, rng.randrange(3)
    code = rng.choice([None, "conversation_already_has_active_response", "response_cancel_not_active", "other"])
    item = ev.Item(type="message", role="user", content=[])
    return [
        lambda: server.begin(f"resp_{n}"),
        lambda: server.end(f"resp_{n}"),
        lambda: server.call("f", "{}", f"call_{rng.random()}", f"resp_{n}"),
        lambda: server.speak("one two", item=f"item_{n}", done=n > 1),
        lambda: server.turn(f"user_{n}"),
        lambda: server.say("conversation.item.deleted", item_id=f"item_{n}"),
        lambda: server.error(code),
        lambda: protocol.interrupt([Heard(f"item_{n}", 0, n * 10, 20)], by_server=n == 1),
        protocol.request_response,
        lambda: protocol.add_item(item, respond=True),
        lambda: [protocol.send_tool_result(call, "x") for call in protocol.pending_calls],
        lambda: protocol.tick(server.now),
        protocol.cancel_response,
        lambda: protocol.send(ev.InputAudioBufferCommit()),
    ]


def test_any_order_of_events_is_survived() -> None:
    """No exception, no end of the session, and never two responses asked for at once."""
    for seed in range(200):
        rng = random.Random(seed)
        server = Server(rng.choice([VAD, None, {**VAD, "create_response": False}]))
        for _ in range(120):
            server.now += rng.random() * 4
            rng.choice(_anything(server, rng))()
            asked = server.sent().count("response.create")
            assert asked <= 1
            if asked:
                assert server.protocol.response is ResponseState.REQUESTED
        assert server.protocol.failure is None


def test_documentation_shows_the_tables_as_they_are() -> None:
    path = Path(__file__).parents[2] / "docs" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate", path)
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    page = generate.PAGE.read_text()
    assert generate.render(page) == page, "run python docs/generate.py"
    assert page.count("stateDiagram-v2") == 4
