"""What one connection's protocol hands to the next: history, requests, audio and what is owed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from realtime_voice import events as ev
from realtime_voice.history import HISTORY_BYTES, history
from realtime_voice.protocol import ANSWER_TIMEOUT_S, CONTINUE, PATIENCE_S, REQUEST_TAG, ClientProtocol
from realtime_voice.states import AGAIN, Again, ResponseState, SessionState, TurnState

from tests.voice.test_protocol import VAD, Heard, Server, only

MS = 24
TRANSCRIBED: dict[str, Any] = {
    "type": "realtime",
    "id": "sess_1",
    "instructions": "Be brief.",
    "audio": {"input": {"turn_detection": VAD, "transcription": {"model": "m"}}},
}


def audio(start: int, end: int) -> list[bytes]:
    """Stand for the append messages of a range of samples."""
    return [json.dumps({"type": "input_audio_buffer.append", "audio": f"{start}-{end}"}).encode()]


def nothing_kept(_start: int, _end: int) -> bytes | None:
    return None


def begin(config: dict[str, Any] = TRANSCRIBED, before: Server | None = None) -> Server:
    server = Server(ready=False)
    server.session = config
    server.protocol = ClientProtocol("n_" if before else "t_", before=before.protocol if before else None)
    server.protocol.configure(before.protocol.requested if before else {"instructions": "Be brief."})
    server.sent()
    server.say("session.created", session=config)
    server.say("session.updated", session=config)
    return server


def go_on(before: Server, start: int = 0) -> Server:
    """Lose a connection and go on with the next."""
    before.protocol.lose()
    after = begin(before.session, before)
    after.protocol.tell(history(before.protocol.conversation, nothing_kept))
    after.protocol.take_over(before.protocol, start, audio)
    return after


def said(server: Server) -> list[tuple[str, str]]:
    """What the server is sent, in short."""
    out = []
    for message in (json.loads(data) for data in server.protocol.data_to_send()):
        match message:
            case {"type": "conversation.item.create", "item": {"type": "message", "role": role, "content": [part]}}:
                out.append((role, part["text"]))
            case {"type": "conversation.item.create", "item": {"type": kind, "call_id": call_id}}:
                out.append((kind, call_id))
            case {"type": "input_audio_buffer.append", "audio": text}:
                out.append(("audio", text))
            case {"type": "response.create", "response": {"instructions": instructions}}:
                out.append(("response.create", instructions))
            case {"type": kind}:
                out.append((kind, message.get("item_id", "")))
    return out


def talked() -> Server:
    """A question and its answer."""
    server = begin()
    server.turn("item_u")
    server.item("item_u", "user", None)
    kind = "conversation.item.input_audio_transcription.completed"
    server.say(kind, item_id="item_u", content_index=0, transcript="Who is there?")
    server.begin()
    server.item("item_a", "assistant", "item_u")
    server.speak("Only me")
    server.end()
    return server


CONVERSATION = [("user", "Who is there?"), ("assistant", "Only me")]


# --- history ---


def test_the_next_server_is_told_the_conversation_in_order() -> None:
    after = go_on(talked())
    assert said(after) == CONVERSATION
    out = after.say("conversation.item.added", item={"id": "item_u", "type": "message", "role": "user"})
    assert out == []  # no news
    assert [item.id for item in after.protocol.conversation.items()] == ["item_u", "item_a"]


def test_what_was_told_before_the_switch_is_not_told_again() -> None:
    before = talked()
    after = begin(before=before)
    after.protocol.tell(history(before.protocol.conversation, nothing_kept, settled=True))
    assert said(after) == CONVERSATION
    before.item("item_v", "user", "item_a", content=[{"type": "input_text", "text": "And now?"}])
    before.say("conversation.item.deleted", item_id="item_u")
    before.protocol.lose()
    after.protocol.tell(history(before.protocol.conversation, nothing_kept))
    after.protocol.take_over(before.protocol, 0, audio)
    assert said(after) == [("conversation.item.delete", "item_u"), ("user", "And now?")]
    assert after.say("conversation.item.deleted", item_id="item_u") == []


def test_history_ends_before_what_may_still_change() -> None:
    server = talked()
    server.turn("item_v")
    server.item("item_v", "user", "item_a", status="completed")
    assert [item.id for item in history(server.protocol.conversation, nothing_kept, settled=True)] == [
        "item_u",
        "item_a",
    ]
    server.say("conversation.item.input_audio_transcription.failed", item_id="item_v", content_index=0, error={})
    heard = history(server.protocol.conversation, lambda start, end: bytes(end - start), settled=True)
    assert heard[-1].id == "item_v"


def test_what_is_not_written_down_is_told_by_its_sound() -> None:
    server = begin()
    server.turn("item_u", start_ms=100)  # to 1000 ms
    server.item("item_u", "user", None, content=[{"type": "input_audio", "transcript": None}])
    asked = []

    def kept(start: int, end: int) -> bytes:
        asked.append((start, end))
        return b"sound"

    (item,) = history(server.protocol.conversation, kept)
    assert asked == [(100 * MS, 1000 * MS)]
    assert item.content == [ev.ContentPart(type="input_audio", audio=base64.b64encode(b"sound").decode())]
    assert history(server.protocol.conversation, nothing_kept) == []


def test_images_are_told_as_they_were_shown() -> None:
    server = begin()
    parts = [ev.ContentPart(type="input_image", image_url="data:image/png;base64,AAAA")]
    item_id = server.protocol.add_item(ev.Item(type="message", role="user", content=parts))
    server.sent()
    server.item(item_id, "user", None, content=[{"type": "input_image"}])
    (item,) = history(server.protocol.conversation, nothing_kept)
    assert item.content == parts


def test_history_is_bounded_and_tells_no_result_without_its_call() -> None:
    server = begin()
    large = "x" * (HISTORY_BYTES // 2)
    call = {"id": "fc", "type": "function_call", "name": "f", "call_id": "call_1", "arguments": large}
    server.say("conversation.item.added", item={**call, "status": "completed"}, previous_item_id=None)
    output = {"id": "fo", "type": "function_call_output", "call_id": "call_1", "output": "y"}
    server.say("conversation.item.added", item=output, previous_item_id="fc")
    assert len(history(server.protocol.conversation, nothing_kept)) == 2
    server.item("item_u", "user", "fo", content=[{"type": "input_text", "text": large}])
    assert [item.id for item in history(server.protocol.conversation, nothing_kept)] == ["item_u"]


def test_refused_history_is_no_news_and_leaves_the_rest() -> None:
    before = talked()
    before.protocol.lose()
    after = begin(before=before)
    after.protocol.tell(history(before.protocol.conversation, nothing_kept))
    first, _ = after.messages()
    assert after.error("item_create_invalid", event_id=first["event_id"]) == []
    assert after.protocol.failure is None


# --- requests ---


def test_every_client_event_has_its_row() -> None:
    assert set(AGAIN) == set(ev.CLIENT_EVENTS)
    assert set(AGAIN.values()) == set(Again)


def test_unanswered_requests_are_sent_again_and_answered_ones_are_not() -> None:
    before = talked()
    for place in range(2):
        before.protocol.add_item(
            ev.Item(id=f"mine_{place}", type="message", role="user", content=[ev.ContentPart(text="Hm")])
        )
    before.item("mine_0", "user", "item_a", content=[{"type": "input_text", "text": "Hm"}])
    event_id = before.protocol.send(ev.ConversationItemRetrieve(item_id="item_a"))
    before.protocol.send(ev.ConversationItemTruncate(item_id="item_a", content_index=0, audio_end_ms=1))
    before.protocol.send(ev.InputAudioBufferClear())
    before.protocol.configure({"instructions": "Be long."})
    after = go_on(before)
    messages = after.messages()
    kinds = [message["type"] for message in messages]
    assert kinds == [*["conversation.item.create"] * 4, "conversation.item.retrieve", "session.update"]
    assert [message["item"]["id"] for message in messages[:4]] == ["item_u", "item_a", "mine_0", "mine_1"]
    assert messages[4]["event_id"] == event_id
    assert messages[5]["session"]["instructions"] == "Be long."


def test_what_is_said_without_a_connection_waits_for_the_next() -> None:
    before = talked()
    before.protocol.lose()
    before.protocol.add_item(
        ev.Item(type="message", role="user", content=[ev.ContentPart(type="input_text", text="Still there?")]),
        respond=True,
    )
    assert before.protocol.data_to_send() == []
    assert said(go_on(before)) == [*CONVERSATION, ("user", "Still there?"), ("response.create", "")]


def test_the_next_connection_is_configured_as_the_last_was() -> None:
    before = begin()
    before.protocol.configure({"audio": {"output": {"speed": 1.2}}})
    before.say("session.updated", session=TRANSCRIBED)
    refused = before.protocol.configure({"audio": {"output": {"voice": "x"}}})
    before.error("cannot_update_voice", event_id=refused)
    assert before.protocol.requested == {
        "type": "realtime",
        "instructions": "Be brief.",
        "audio": {"output": {"speed": 1.2}},
    }
    after = begin(before=before)
    before.protocol.configure({"instructions": "Changed beside."})
    before.say("session.updated", session=TRANSCRIBED)
    before.protocol.lose()
    after.protocol.take_over(before.protocol, 0, audio)
    (update,) = after.messages()
    assert update["session"]["instructions"] == "Changed beside."


def test_results_after_the_switch_are_delivered_and_answered_once() -> None:
    before = talked()
    before.begin("resp_2")
    for call_id in ("call_1", "call_2"):
        item = {"id": f"fc_{call_id}", "type": "function_call", "name": "f", "call_id": call_id, "status": "completed"}
        before.say("conversation.item.added", item={**item, "arguments": "{}"}, previous_item_id=None)
        assert only(before.call("f", "{}", call_id, "resp_2"), ev.ToolCall)
    before.protocol.send_tool_result("call_1", "one")  # on its way when the connection was lost
    after = go_on(before)
    calls = [("function_call", "call_1"), ("function_call", "call_2")]
    assert said(after) == [*CONVERSATION, *calls, ("function_call_output", "call_1")]
    after.protocol.send_tool_result("call_2", "two")
    assert said(after) == [("function_call_output", "call_2"), ("response.create", "")]
    assert only(after.call("f", "{}", "call_1", "resp_9"), ev.ToolCall) == []  # known


# --- audio ---


@pytest.mark.parametrize(
    ("detection", "delivered", "needed"),
    [
        (VAD, 1500 * MS, 1000 * MS),  # since the last turn
        (VAD, 9000 * MS, 6000 * MS),  # the rest is silence to the server
        (None, 9000 * MS, 1000 * MS),  # nobody listens
    ],
)
def test_what_is_needed_of_the_audio(detection: dict[str, Any] | None, delivered: int, needed: int) -> None:
    server = begin({**TRANSCRIBED, "audio": {"input": {"turn_detection": detection}}})
    server.turn("item_u", start_ms=100)  # to 1000 ms
    assert server.protocol.needed_from(delivered) == needed
    if detection is not None:
        server.say("input_audio_buffer.speech_started", item_id="v", audio_start_ms=8000)
        assert server.protocol.needed_from(delivered) == 8000 * MS


def test_speech_is_not_needed_twice() -> None:
    server = begin()
    server.turn("item_u", start_ms=100)  # to 1000 ms
    server.say("input_audio_buffer.speech_started", item_id="v", audio_start_ms=900)  # with its padding
    assert server.protocol.needed_from(0) == 1000 * MS


def test_positions_are_the_sessions_on_every_connection() -> None:
    after = go_on(talked(), start=5000 * MS)
    assert after.protocol.needed_from(0) == 5000 * MS
    after.turn("item_v", start_ms=200)  # to 1100 ms
    kind = "conversation.item.input_audio_transcription.completed"
    (heard,) = only(after.say(kind, item_id="item_v", content_index=0, transcript="Hm"), ev.UserTranscript)
    assert heard.audio_start_ms == 5200
    assert after.protocol.needed_from(0) == 6100 * MS


def test_commits_are_sent_again_behind_their_audio() -> None:
    server = begin({**TRANSCRIBED, "audio": {"input": {"turn_detection": None}}})
    server.protocol.audio.sent = 1000
    server.protocol.send(ev.InputAudioBufferCommit())
    server.say("input_audio_buffer.committed", item_id="u", previous_item_id=None)
    server.protocol.audio.sent = 2000
    server.protocol.send(ev.InputAudioBufferCommit())
    server.protocol.request_response()
    server.protocol.audio.sent = 2500
    after = go_on(server, server.protocol.needed_from(0))
    assert said(after) == [
        ("audio", "1000-2000"),
        ("input_audio_buffer.commit", ""),
        ("audio", "2000-2500"),
        ("response.create", ""),
    ]


def test_what_was_cleared_is_not_sent_again() -> None:
    server = begin({**TRANSCRIBED, "audio": {"input": {"turn_detection": None}}})
    server.protocol.audio.sent = 1000
    server.protocol.send(ev.InputAudioBufferClear())
    assert server.protocol.needed_from(0) == 1000


def test_a_turn_that_the_next_server_hears_again_is_waited_for_but_not_for_ever() -> None:
    before = talked()
    before.say("input_audio_buffer.speech_started", item_id="v", audio_start_ms=2000)
    before.protocol.request_response()
    after = go_on(before, before.protocol.needed_from(0))
    assert said(after) == CONVERSATION
    assert after.protocol.turn is TurnState.ENDING
    after.protocol.tick(ANSWER_TIMEOUT_S + 1)
    assert said(after) == [("response.create", "")]


# --- what is owed ---


def test_answer_to_a_committed_turn_is_asked_for() -> None:
    before = talked()
    before.turn("item_v")
    assert said(go_on(before))[-1] == ("response.create", "")


def test_request_without_an_answer_is_repeated() -> None:
    before = talked()
    before.protocol.request_response()
    before.sent()
    assert said(go_on(before))[-1] == ("response.create", "")


@pytest.mark.parametrize("out_of_band", [True, False])
@pytest.mark.parametrize("has_begun", [True, False])
def test_question_is_asked_again_until_it_is_done(*, out_of_band: bool, has_begun: bool) -> None:
    before = talked()
    params = {"instructions": "Say 42.", **({"conversation": "none"} if out_of_band else {})}
    tag = before.protocol.request_response(params)
    (create,) = before.messages()
    if has_begun:
        before.begin("resp_2", metadata=create["response"]["metadata"])
    after = go_on(before)
    again = after.messages()[-1]
    assert (again["event_id"], again["response"]) == (tag, create["response"])
    after.begin("resp_3", metadata=create["response"]["metadata"])
    after.end("resp_3", metadata=create["response"]["metadata"])
    assert said(go_on(after)) == CONVERSATION  # done


def test_filler_is_not_said_again() -> None:
    before = talked()
    before.protocol.request_response({"conversation": "none"}, again=False)
    assert said(go_on(before)) == CONVERSATION


def test_answer_that_broke_off_is_gone_on_with() -> None:
    before = talked()
    before.begin("resp_2")
    before.item("item_b", "assistant", "item_a", status="in_progress")
    before.speak("one two three four", item="item_b", response="resp_2", done=False)
    before.protocol.audio_received("resp_2", "item_b", 0.0, 600.0)  # about half of what is written
    (last,) = before.protocol.lose()
    assert (last.item_id, last.final, last.text) == ("item_b", True, "one two")
    told = said(go_on(before))
    assert told == [*CONVERSATION, ("assistant", "one two"), ("response.create", f"Be brief.\n\n{CONTINUE}")]


@pytest.mark.parametrize(("text", "ms"), [("", 0.0), ("one", 0.0)])
def test_answer_of_which_nothing_was_heard_is_begun_again(text: str, ms: float) -> None:
    before = talked()
    before.begin("resp_2")
    before.item("item_b", "assistant", "item_a", status="in_progress")
    if text:
        where = {"response_id": "resp_2", "item_id": "item_b", "output_index": 0, "content_index": 0}
        before.say("response.output_audio_transcript.delta", **where, delta=text)
    before.protocol.audio_received("resp_2", "item_b", 0.0, ms)
    assert said(go_on(before)) == [*CONVERSATION, ("response.create", "")]


def test_written_answer_that_broke_off_keeps_its_words() -> None:
    before = talked()
    before.begin("resp_2")
    before.item("item_b", "assistant", "item_a", status="in_progress")
    where = {"response_id": "resp_2", "item_id": "item_b", "output_index": 0, "content_index": 0}
    before.say("response.output_text.delta", **where, delta="one two thr")
    assert said(go_on(before))[2] == ("assistant", "one two thr")


def test_answer_that_the_user_interrupts_is_not_gone_on_with() -> None:
    before = talked()
    before.begin("resp_2")
    before.item("item_b", "assistant", "item_a", status="in_progress")
    before.speak("one two", item="item_b", response="resp_2", done=False)
    before.protocol.audio_received("resp_2", "item_b", 0.0, 2000.0)
    before.say("input_audio_buffer.speech_started", item_id="v", audio_start_ms=5000)
    assert said(go_on(before)) == [*CONVERSATION, ("assistant", "one two ")]


def test_cancelled_answer_is_not_gone_on_with() -> None:
    before = talked()
    before.begin("resp_2")
    before.speak("one two", item="item_b", response="resp_2", done=False)
    before.protocol.cancel_response()
    assert "response.create" not in [kind for kind, _ in said(go_on(before))]


# --- interruption of what was told ---


def test_told_item_is_replaced_by_what_was_heard() -> None:
    after = go_on(talked())
    after.sent()
    (cut,) = after.protocol.interrupt([Heard("item_a", 0, 700, 1000)], by_server=True)
    assert cut.heard == "Only"
    delete, create = after.messages()
    assert (delete["type"], delete["item_id"]) == ("conversation.item.delete", "item_a")
    assert (create["previous_item_id"], create["item"]["content"][0]["text"]) == ("item_u", "Only")
    assert create["item"]["id"] != "item_a"
    texts = [item.content[0].text for item in after.protocol.conversation.items() if item.content]
    assert texts == ["Who is there?", "Only"]
    assert said(go_on(after)) == [("user", "Who is there?"), ("assistant", "Only")]


def test_told_item_of_which_nothing_was_heard_is_removed() -> None:
    after = go_on(talked())
    after.sent()
    after.protocol.interrupt([Heard("item_a", 0, 0, 1000)], by_server=True)
    assert said(after) == [("conversation.item.delete", "item_a")]
    assert [item.id for item in after.protocol.conversation.items()] == ["item_u"]


# --- the end of a connection ---


def test_expired_session_ends_its_connection_only() -> None:
    server = begin()
    server.error("session_expired", "60 minutes")
    assert server.protocol.failure is None
    assert server.protocol.expired is not None
    assert server.protocol.expired.code == "session_expired"


def test_lost_connection_takes_nothing_any_more() -> None:
    server = begin()
    server.protocol.lose()
    assert server.protocol.session is SessionState.LOST
    server.protocol.send(ev.ConversationItemDelete(item_id="x"))
    assert server.protocol.data_to_send() == []


# --- when a renewal may switch ---


def test_settled_is_when_nothing_is_to_come() -> None:
    server = talked()
    assert server.protocol.is_settled
    server.protocol.add_item(ev.Item(id="mine", type="message", role="user", content=[]))
    assert not server.protocol.is_settled
    server.item("mine", "user", "item_a")
    assert server.protocol.is_settled
    server.turn("item_v")
    server.begin("resp_2")
    server.end("resp_2")
    assert not server.protocol.is_settled  # its transcript
    server.say("conversation.item.input_audio_transcription.failed", item_id="item_v", content_index=0, error={})
    assert server.protocol.is_settled
    tag = server.protocol.request_response({"conversation": "none", "output_modalities": ["text"]})
    assert not server.protocol.is_settled
    server.begin("resp_3", metadata={REQUEST_TAG: tag})
    server.end("resp_3", metadata={REQUEST_TAG: tag})
    assert server.protocol.is_settled
    server.begin("resp_4")
    server.call("f", "{}", "call_1", "resp_4")
    server.end("resp_4")
    assert not server.protocol.is_settled  # its result


def test_what_a_server_never_answers_does_not_unsettle_for_ever() -> None:
    server = talked()
    server.protocol.send(ev.ConversationItemTruncate(item_id="item_a", content_index=0, audio_end_ms=1))
    server.turn("item_v")
    server.begin("resp_2")
    server.end("resp_2")
    assert not server.protocol.is_settled
    server.protocol.tick(ANSWER_TIMEOUT_S + 1)
    assert server.protocol.is_settled


# --- the watchdog ---


def test_owed_answer_is_asked_for_again_once_and_then_overdue() -> None:
    server = talked()
    server.turn("item_v")
    assert server.protocol.tick(ANSWER_TIMEOUT_S - 1) == []
    (overdue,) = server.protocol.tick(ANSWER_TIMEOUT_S + 1)
    assert isinstance(overdue, ev.AnswerOverdue)
    assert server.sent() == ["response.create"]
    assert server.protocol.overdue is None
    assert server.protocol.tick(2 * ANSWER_TIMEOUT_S + 2) == []
    assert "asked for again" in str(server.protocol.overdue)
    assert isinstance(server.protocol.overdue, TimeoutError)
    assert said(go_on(server))[-1] == ("response.create", "")  # the next server owes it too


def test_overdue_answer_that_is_forgiven_blocks_no_other() -> None:
    server = talked()
    server.protocol.request_response()
    server.protocol.tick(ANSWER_TIMEOUT_S + 1)
    server.protocol.tick(2 * ANSWER_TIMEOUT_S + 2)
    server.sent()
    server.protocol.forgive()
    assert server.protocol.overdue is None
    server.protocol.request_response()
    assert server.sent() == ["response.create"]


def test_question_that_is_not_answered_is_asked_again_with_its_parameters() -> None:
    server = talked()
    server.protocol.request_response({"instructions": "Say 42."})
    (first,) = server.messages()
    assert server.protocol.tick(ANSWER_TIMEOUT_S + 1)
    (second,) = server.messages()
    assert second == first
    server.begin("resp_2", metadata=first["response"]["metadata"])
    server.end("resp_2", metadata=first["response"]["metadata"])
    assert server.protocol.tick(9 * ANSWER_TIMEOUT_S) == []
    assert server.protocol.overdue is None


def test_response_that_stands_still_is_overdue() -> None:
    server = talked()
    server.begin("resp_2")
    server.now = PATIENCE_S - 1
    server.speak("still", item="item_b", response="resp_2", done=False)
    server.protocol.tick(2 * PATIENCE_S - 2)
    assert server.protocol.overdue is None
    server.protocol.tick(2 * PATIENCE_S)
    assert server.protocol.overdue is not None


def test_silence_that_owes_nothing_is_none() -> None:
    server = talked()
    assert server.protocol.tick(1e6) == []
    assert server.protocol.overdue is None
    assert server.protocol.response is ResponseState.IDLE
