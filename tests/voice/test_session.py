"""Sessions against a real WebSocket peer on loopback, with a real audio side that the test pushes and pulls."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from realtime_voice import (
    AgentTranscript,
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ConnectionClosed,
    Heard,
    Interrupted,
    LocalProtocolError,
    PlayoutStarted,
    ServerError,
    Session,
    SessionTimeout,
    SpeechStarted,
    ToolCall,
    ToolProgress,
    ToolResult,
    TurnLatency,
    UserTranscript,
    Wire,
    connect,
    queues,
    tool,
)
from realtime_voice import events as ev
from realtime_voice import session as module
from realtime_voice._socket import Socket
from realtime_voice.audio.push import PushAudioIO
from realtime_voice.audio.wire import BargeIn
from realtime_voice.configuration import session_config
from websockets.exceptions import ConnectionClosed as WebSocketClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

KEY = "sk-never-shown"
MS = 24
"""Frames in a millisecond at 24 kHz."""


def open_session(peer: Any, **options: Any) -> Session:
    return connect(base_url=peer.url, **options)


async def next_event(session: Session, kind: type, where: Callable[[Any], bool] = lambda _: True) -> Any:
    async with asyncio.timeout(10):
        async for event in session:
            if isinstance(event, kind) and where(event):
                return event
    raise AssertionError(f"the session ended without {kind.__name__}")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.001)


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def ends(session: Session) -> None:
    async with asyncio.timeout(10):
        async for _ in session:
            pass


# --- start ---


async def test_start_waits_for_the_configuration(peer: Any) -> None:
    session = open_session(peer, instructions="Be brief.", voice="coral", api_key=KEY, organization="org-1")
    assert not session.is_running
    async with session:
        assert session.id == "sess_1"
        assert session.config["instructions"] == "Be brief."
        assert session.is_running
    assert not session.is_running
    sent = peer.received[0]["session"]
    assert sent["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "coral"}
    assert sent["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert peer.paths == ["/v1/realtime?model=gpt-realtime"]
    assert peer.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert peer.headers[0]["OpenAI-Organization"] == "org-1"
    assert "Sec-WebSocket-Extensions" not in peer.headers[0]


def test_configuration_is_merged_last_and_deeply() -> None:
    config = session_config(
        voice="coral",
        tools=[{"type": "function", "name": "a"}],
        wire_in=Wire("pcmu", 8000),
        config={
            "audio": {"input": {"turn_detection": None, "transcription": None}, "output": {"speed": 1.2}},
            "tool_choice": "none",
        },
    )
    assert config == {
        "type": "realtime",
        "audio": {
            "input": {"format": {"type": "audio/pcmu"}, "transcription": None, "turn_detection": None},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "coral", "speed": 1.2},
        },
        "tools": [{"type": "function", "name": "a"}],
        "tool_choice": "none",
    }


async def test_transcription_session(peer: Any) -> None:
    async with open_session(peer, config={"type": "transcription"}):
        pass
    assert peer.paths == ["/v1/realtime?intent=transcription"], "a model's session could not become one"
    session = peer.received[0]["session"]
    assert session["type"] == "transcription"
    assert set(session["audio"]) == {"input"}


async def test_refused_configuration_names_the_field(peer: Any) -> None:
    peer.configure = False
    session = open_session(peer, voice="nobody")
    start = asyncio.create_task(session.start())
    update = await peer.expect("session.update")
    await peer.send("session.created", session={"type": "realtime"})
    error = {"type": "invalid_request_error", "code": "invalid_value", "message": "No voice 'nobody'."}
    await peer.send("error", error={**error, "param": "session.audio.output.voice", "event_id": update["event_id"]})
    with pytest.raises(ConfigurationError, match="No voice 'nobody'") as refused:
        await start
    assert refused.value.param == "session.audio.output.voice"
    assert not session.is_running


async def test_refused_key(peer: Any) -> None:
    peer.configure = False
    session = open_session(peer, api_key=KEY)
    start = asyncio.create_task(session.start())
    await peer.expect("session.update")
    error = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "Incorrect API key provided."}
    await peer.send("error", error=error)
    await peer.close(3000, "invalid_request_error.invalid_api_key")
    with pytest.raises(AuthenticationError, match="Incorrect API key"):
        await start


async def test_close_code_of_a_refused_key_is_enough(peer: Any) -> None:
    peer.configure = False
    start = asyncio.create_task(open_session(peer, api_key=KEY).start())
    await peer.expect("session.update")
    await peer.close(3000, "invalid_request_error.invalid_api_key")
    with pytest.raises(AuthenticationError, match="invalid_api_key"):
        await start


@pytest.mark.parametrize(
    ("audio", "given"), [("mic", "str"), (PushAudioIO, "the class PushAudioIO: call it"), (object(), "object")]
)
async def test_what_is_no_audio_side_is_refused_at_the_call(audio: Any, given: str) -> None:
    with pytest.raises(TypeError, match=rf"^audio must be an AudioIO, such as DeviceAudioIO\(\), not {given}$"):
        connect(base_url="ws://127.0.0.1:9/v1", audio=audio)


async def test_an_audio_side_of_the_applications_own_need_not_be_of_ours(peer: Any) -> None:
    class Own:
        """No subclass, and no `listener`."""

        def __init__(self) -> None:
            self._side = PushAudioIO()
            for method in ("start", "stop", "captured", "take", "events"):
                setattr(self, method, getattr(self._side, method))

        @property
        def playout(self) -> Any:
            return self._side.playout  # raises before `start`

    own: Any = Own()
    async with open_session(peer, audio=own) as session:
        assert session.audio is own


async def test_a_text_is_no_parameters_of_a_response(peer: Any) -> None:
    text: Any = "two plus two"
    async with open_session(peer) as session:
        for request in (session.ask(text), session.create_response(text)):
            with pytest.raises(TypeError, match=r'a mapping, such as {"instructions": "..."}, not str; say\(\) speaks'):
                await request


async def test_unreachable() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(
        ConnectError,
        match=rf"cannot reach ws://127\.0\.0\.1:{port}/v1/realtime: .*refused; is `realtime serve --port {port}`",
    ):
        await connect(base_url=f"ws://127.0.0.1:{port}/v1").start()
    with pytest.raises(ConnectError, match=rf": Connection refused; is `realtime serve --port {port}` running\?$"):
        await connect(base_url=f"ws://localhost:{port}/v1").start()  # a name, maybe of two addresses


@pytest.mark.parametrize(("path", "hint"), [("", "; the path is usually /v1/realtime"), ("/v1", "")])
async def test_a_path_that_nobody_serves(path: str, hint: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectError, match=rf"HTTP 404{hint}$"):
            await connect(base_url=f"ws://127.0.0.1:{port}{path}").start()


async def test_tls_to_a_plain_server() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectError, match=r"it does not speak TLS; is ws:// meant instead of wss://\?$"):
            await connect(base_url=f"wss://127.0.0.1:{port}/v1").start()


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", AuthenticationError, "HTTP 401"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ConnectError, "HTTP 404"),
        (b"SSH-2.0-OpenSSH\r\n", ConnectError, "does not speak WebSocket"),
        (b"", ConnectError, "does not speak WebSocket"),
    ],
)
async def test_endpoint_that_is_something_else(answer: bytes, error: type[Exception], match: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(error, match=match):
            await connect(base_url=f"ws://127.0.0.1:{port}/v1").start()


async def test_endpoint_that_never_answers_the_handshake() -> None:
    release = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectError, match=r"did not answer within 0\.1 s"):
            await connect(base_url=f"ws://127.0.0.1:{port}/v1", connect_timeout_s=0.1).start()
        release.set()


async def test_silent_peer_raises(mute_peer: Any) -> None:
    session = open_session(mute_peer, configure_timeout_s=0.1)
    with pytest.raises(SessionTimeout, match=r"has not answered the configuration within 0\.1 s") as silence:
        await session.start()
    assert isinstance(silence.value, TimeoutError)


async def test_silent_peer_may_be_let_be(peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    peer.configure = False
    async with open_session(peer, configure_timeout_s=0.1, silent_peer="warn") as session:
        assert "has not answered the configuration" in caplog.text
        await peer.expect("session.update")
        await session.send_text("Anybody?")
        await peer.expect("conversation.item.create")
        await peer.expect("response.create")


def test_wrong_arguments_are_found_before_anything_connects() -> None:
    url = "ws://127.0.0.1:1/v1"
    with pytest.raises(ValueError, match="configure_timeout_s"):
        connect(base_url=url, configure_timeout_s=0)
    with pytest.raises(ValueError, match="connect_timeout_s"):
        connect(base_url=url, connect_timeout_s=0)
    with pytest.raises(ValueError, match="silent_peer"):
        connect(base_url=url, silent_peer="shout")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tool_timeout_s"):
        connect(base_url=url, tool_timeout_s=0)
    with pytest.raises(ValueError, match="unencrypted"):
        connect(base_url="ws://host.example/v1", api_key=KEY)


async def test_audio_side_that_does_not_open_ends_the_start(peer: Any) -> None:
    class Broken(PushAudioIO):
        async def _open(self) -> None:
            raise OSError("no microphone")

    with pytest.raises(OSError, match="no microphone"):
        await open_session(peer, audio=Broken()).start()
    assert peer.received == []


# --- talking ---


async def test_text_in_transcript_out_and_usage(peer: Any) -> None:
    async with open_session(peer) as session:
        await session.send_text("Hello")
        item = (await peer.expect("conversation.item.create"))["item"]
        assert item["content"] == [{"type": "input_text", "text": "Hello"}]
        await peer.expect("response.create")
        await peer.begin_response()
        await peer.speak("Hello to you", 100)
        usage = {"total_tokens": 5, "input_tokens": 2, "output_tokens": 3}
        await peer.end_response(usage=usage)
        final = await next_event(session, AgentTranscript, lambda event: event.final)
        assert final.text == "Hello to you"
        done = await next_event(session, ev.ResponseDone)
        assert done.status == "completed"
        assert session.usage.total_tokens == 5


async def test_raw_audio_reaches_who_has_no_speaker(peer: Any) -> None:
    async with open_session(peer) as session:
        await peer.begin_response()
        await peer.speak("Hi", 20)
        delta = await next_event(session, ev.ResponseOutputAudioDelta)
        assert delta.item_id == "item_a"


async def test_images(peer: Any) -> None:
    async with open_session(peer) as session:
        await session.send_image(b"\x89PNG\r\n\x1a\nrest", text="What is it?", detail="low", respond=False)
        content = (await peer.expect("conversation.item.create"))["item"]["content"]
        assert content[0] == {
            "type": "input_image",
            "image_url": "data:image/png;base64,iVBORw0KGgpyZXN0",
            "detail": "low",
        }
        assert content[1] == {"type": "input_text", "text": "What is it?"}
        for wrong in (b"GIF89a", "https://example.org/x.png"):
            with pytest.raises(ValueError, match=r"PNG|data:"):
                await session.send_image(wrong)
        await peer.nothing()


async def test_audio_that_the_application_sends(peer: Any) -> None:
    async with open_session(peer, config={"audio": {"input": {"turn_detection": None}}}) as session:
        await session.send_audio(bytes(9600))
        await session.commit_audio()
        append = await peer.expect("input_audio_buffer.append")
        assert append["audio"] == "A" * 12800
        await peer.expect("input_audio_buffer.commit")
        await peer.expect("response.create")
        await session.clear_audio()
        await peer.expect("input_audio_buffer.clear")
        with pytest.raises(ValueError, match="more than"):
            await session.send_audio(bytes(module.APPEND_BYTES + 1))


async def test_ask_beside_the_conversation(peer: Any) -> None:
    async with open_session(peer) as session:
        await peer.begin_response("resp_main")
        question = asyncio.create_task(session.ask({"conversation": "none", "output_modalities": ["text"]}))
        create = await peer.expect("response.create")
        metadata = create["response"]["metadata"]
        await peer.begin_response("resp_side", metadata=metadata, conversation_id=None)
        message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "42"}]}
        await peer.end_response("resp_side", output=[message], metadata=metadata, conversation_id=None)
        answer = await question
        assert answer.output is not None
        assert answer.output[0].content == [ev.ContentPart(type="output_text", text="42")]


async def test_refused_question_raises_where_it_was_asked(peer: Any) -> None:
    async with open_session(peer) as session:
        question = asyncio.create_task(session.ask({"instructions": "?"}))
        create = await peer.expect("response.create")
        await peer.refuse(create, "invalid_value", "no")
        with pytest.raises(ServerError, match="no"):
            await question
        await session.send_text("still here")
        await peer.expect("conversation.item.create")


async def test_question_without_an_answer_ends_with_the_session(peer: Any) -> None:
    session = open_session(peer)
    await session.start()
    question = asyncio.create_task(session.ask({"instructions": "?"}))
    await peer.expect("response.create")
    await session.stop()
    with pytest.raises(ConnectionClosed, match="has ended"):
        await question


async def test_changing_the_session(peer: Any) -> None:
    async with open_session(peer) as session:
        config = await session.update({"instructions": "New.", "audio": {"output": {"speed": 1.1}}})
        assert config["instructions"] == session.config["instructions"] == "New."
        peer.configure = False
        change = asyncio.create_task(session.update({"audio": {"output": {"voice": "late"}}}))
        update = await peer.expect("session.update")
        assert update["session"] == {"type": "realtime", "audio": {"output": {"voice": "late"}}}
        await peer.refuse(update, "cannot_update_voice", "Cannot update a conversation's voice.")
        with pytest.raises(ConfigurationError, match="voice"):
            await change
        assert session.is_running


async def test_a_change_is_not_taken_for_the_one_before(peer: Any) -> None:
    async with open_session(peer) as session:
        peer.configure = False
        before = asyncio.create_task(session.update({"instructions": "one"}))
        first = await peer.expect("session.update")
        before.cancel()
        after = asyncio.create_task(session.update({"instructions": "two"}))
        second = await peer.expect("session.update")
        await peer.send("session.updated", session=first["session"])
        await peer.refuse(second, "invalid_value", "not that")
        with pytest.raises(ConfigurationError, match="not that"):
            await after


async def test_a_change_by_a_typed_event_is_for_the_next_connection_too(peer: Any) -> None:
    async with open_session(peer) as session:
        await session.send(ev.SessionUpdate(session=ev.Session(type="realtime", instructions="Be brief.")))
        await until(lambda: (session.protocol.requested or {}).get("instructions") == "Be brief.")
        assert "format" in session.protocol.requested["audio"]["input"], "and what was asked for before"


async def test_a_longer_result_of_a_tool_than_allowed_is_an_error_to_the_model(peer: Any) -> None:
    def long() -> str:
        return "x" * 200

    async with open_session(peer, tools=[long], tool_result_bytes=100) as session:
        await peer.begin_response()
        await peer.call("long", "{}")
        await peer.end_response()
        assert (await next_event(session, ev.ToolResult)).is_error
    with pytest.raises(ValueError, match="tool_result_bytes"):
        open_session(peer, tool_result_bytes=0)


async def test_items_are_placed_retrieved_and_removed(peer: Any) -> None:
    async with open_session(peer) as session:
        text = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Now."}]}
        await session.send_item(text, previous_item_id="root")
        assert (await peer.expect("conversation.item.create"))["previous_item_id"] == "root"
        with pytest.raises(ValueError, match="type"):
            await session.send_item({"role": "user"})
        with pytest.raises(ValueError, match="object"):
            await session.send_item(["message"])
        item_id = await session.send_item({**text, "phase": "commentary"})
        item = (await peer.expect("conversation.item.create"))["item"]
        assert item == {**text, "phase": "commentary", "id": item_id}, "also what this package does not know"

        question = asyncio.create_task(session.retrieve("item_u"))
        await peer.expect("conversation.item.retrieve")
        item = {
            "id": "item_u",
            "type": "message",
            "role": "user",
            "content": [{"type": "input_audio", "audio": "AAAA"}],
        }
        await peer.send("conversation.item.retrieved", item=item)
        content = (await question).content
        assert content is not None
        assert content[0].audio == "AAAA"

        question = asyncio.create_task(session.retrieve("gone"))
        await peer.refuse(await peer.expect("conversation.item.retrieve"), "item_retrieve_invalid_item_id", "no item")
        with pytest.raises(ServerError, match="no item"):
            await question

        removal = asyncio.create_task(session.delete("gone"))
        await peer.refuse(await peer.expect("conversation.item.delete"), "item_delete_invalid_item_id", "no such item")
        with pytest.raises(ServerError, match="no such item"):
            await removal

        removal = asyncio.create_task(session.delete("item_u"))
        await peer.expect("conversation.item.delete")
        await peer.send("conversation.item.deleted", item_id="item_u")
        await removal


async def test_unanswered_request_does_not_wait_for_ever(peer: Any) -> None:
    async with open_session(peer) as session:
        with pytest.raises(SessionTimeout, match="has not answered a request"):
            await session._answer_of(session._waiter("event_x", lambda _: False), timeout_s=0.01)
        assert session._waiters == {}


async def test_hosted_mcp_tools_and_approvals(peer: Any) -> None:
    mcp = {"type": "mcp", "server_label": "docs", "server_url": "https://mcp.example/sse", "require_approval": "always"}
    async with open_session(peer, tools=[mcp]) as session:
        assert peer.received[0]["session"]["tools"] == [mcp]
        item = {
            "id": "mcpr_1",
            "type": "mcp_approval_request",
            "server_label": "docs",
            "name": "find",
            "arguments": "{}",
        }
        await peer.begin_response()
        await peer.send("response.output_item.done", response_id="resp_1", output_index=0, item=item)
        asked = await next_event(session, ev.ResponseOutputItemDone)
        await session.approve(asked.item.id, approve=False, reason="not today")
        answer = (await peer.expect("conversation.item.create"))["item"]
        assert (answer["type"], answer["approve"], answer["reason"]) == ("mcp_approval_response", False, "not today")
        await peer.send("rate_limits.updated", rate_limits=[{"name": "tokens", "remaining": 7}])
        await next_event(session, ev.RateLimitsUpdated)
        assert session.rate_limits[0].remaining == 7


async def test_broken_messages_end_nothing(peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with open_session(peer, audio=PushAudioIO()) as session:
        await peer.send_raw("this is not JSON")
        await peer.send_raw("[1, 2]")
        await peer.send_raw('{"type": "response.output_audio.delta", "item_id": "x", "delta": "!!"}')
        await peer.send("hologram.started", depth=3)
        unknown = await next_event(session, ev.UnknownEvent)
        assert unknown.data["depth"] == 3
        assert caplog.text.count("was not understood") == 3


async def test_failed_transcription_and_request_errors_end_nothing(peer: Any) -> None:
    async with open_session(peer) as session:
        kind = "conversation.item.input_audio_transcription.failed"
        await peer.send(kind, item_id="u", content_index=0, error={"message": "unclear"})
        await peer.send("error", error={"type": "invalid_request_error", "code": "odd", "message": "odd"})
        assert (await next_event(session, ev.ConversationItemInputAudioTranscriptionFailed)).error.message == "unclear"
        assert (await next_event(session, ev.Error)).error.code == "odd"
        assert session.is_running


# --- audio side, barge-in, latency ---


class Talk:
    """A session with an audio side at the wire's own rate: the test is microphone and speaker."""

    def __init__(self, peer: Any, **options: Any) -> None:
        self.peer = peer
        self.audio = PushAudioIO(rate=24000)
        self.session = open_session(peer, audio=self.audio, **options)

    def listen(self, ms: int) -> None:
        for _ in range(ms // 10):
            self.audio.pull(10 * MS)

    async def received(self, ms: int) -> None:
        """Wait until so much of the agent's audio is in the ring."""
        await until(lambda: self.audio.playout.received_ms("item_a") >= ms)


async def test_microphone_goes_out_and_answers_come_in(peer: Any) -> None:
    talk = Talk(peer)
    async with talk.session as session:
        talk.audio.push(bytes(2 * 40 * MS))
        for _ in range(2):
            append = await peer.expect("input_audio_buffer.append")
            assert len(append["audio"]) == 1280  # 20 ms
        await peer.begin_response()
        await peer.speak("Hello", 200)
        await next_event(session, AgentTranscript, lambda event: event.final)
        assert talk.audio.playout.received_ms("item_a") == 200
        talk.listen(50)
        assert (await next_event(session, PlayoutStarted)).item_id == "item_a"


async def test_a_chunk_leaves_in_the_turn_of_the_loop_in_which_it_was_heard(
    peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio, left, send_now = PushAudioIO(rate=24000, chunk_ms=20), [], Socket.send_now

    def spy(socket: Socket, message: bytes) -> bool:
        left.append(message)
        return send_now(socket, message)

    async with open_session(peer, audio=audio):
        await asyncio.sleep(0)
        monkeypatch.setattr(Socket, "send_now", spy)
        audio.push(b"\1\0" * 960)
        assert [b"input_audio_buffer.append" in message for message in left] == [True, True]
        assert audio.take() == []
        assert len((await peer.expect("input_audio_buffer.append"))["audio"]) == 1280


class Microphone:
    """An audio side of an application's own that has no listener."""

    __slots__ = ("_io", "captured", "events", "playout", "stop")

    def __init__(self, io: PushAudioIO) -> None:
        self._io, self.captured, self.events, self.stop = io, io.captured, io.events, io.stop

    async def start(self, *wires: Wire, framed: bool) -> None:
        await self._io.start(*wires, framed=framed)
        self.playout = self._io.playout


async def test_an_audio_side_without_a_listener_is_heard_too(peer: Any) -> None:
    io = PushAudioIO(rate=24000)
    async with open_session(peer, audio=Microphone(io)) as session:
        io.push(b"\1\0" * 480)
        await peer.expect("input_audio_buffer.append")
        await session.stop()
        assert not session.is_running


async def test_a_message_is_heard_in_the_turn_of_the_loop_that_read_it(
    peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_session(peer) as session:
        await session.send_text("Hello", respond=False)
        await until(lambda: session._link._current._socket._connection.waiting == 0)  # what came before
        fetched, receive = [], Socket.receive

        async def spy(socket: Socket) -> bytes:
            fetched.append(message := await receive(socket))
            return message

        monkeypatch.setattr(Socket, "receive", spy)
        await peer.added({"id": "item_x", "type": "message", "role": "user", "content": []})
        await next_event(session, ev.ConversationItemDone)
        assert fetched == []


async def test_what_the_application_has_no_room_for_waits_and_keeps_its_order(
    peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_voice.queues.EVENTS_KEPT", 5)
    async with open_session(peer) as session:
        await anext(session)  # somebody reads
        for number in range(60):
            await peer.send("conversation.item.deleted", item_id=f"item_{number}")
        await until(lambda: session._link._current._socket._connection.waiting > 10)
        assert len(session._events) <= 10
        seen = [(await next_event(session, ev.ConversationItemDeleted)).item_id for _ in range(60)]
    assert seen == [f"item_{number}" for number in range(60)]


async def test_a_failure_of_ours_while_a_message_is_heard_ends_the_session_with_it(
    peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_session(peer) as session:

        def fail(*_: Any) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(session._link, "_receive", fail)
        await peer.send("conversation.item.deleted", item_id="item_1")
        with pytest.raises(RuntimeError, match="a bug"):
            await asyncio.wait_for(session.wait(), 10)


@pytest.mark.parametrize("unread", [False, True])
async def test_a_peer_that_goes_on_talking_is_closed_in_order(
    peer: Any, monkeypatch: pytest.MonkeyPatch, *, unread: bool
) -> None:
    monkeypatch.setattr("realtime_voice._socket.CLOSE_TIMEOUT_S", 30.0)
    monkeypatch.setattr("realtime_voice.queues.EVENTS_KEPT", 5)

    async def talk() -> None:
        with contextlib.suppress(WebSocketClosed):
            while True:
                await peer.send("conversation.item.deleted", item_id="item_1")

    async with open_session(peer) as session:
        connection = session._link._current._socket._connection
        talking = asyncio.create_task(talk())
        await next_event(session, ev.ConversationItemDeleted)
        if unread:
            await until(lambda: connection.recv_messages.paused)
    await until(lambda: connection.close_code is not None)
    assert connection.close_code == 1000
    await talking


async def test_messages_keep_their_order_around_a_peer_that_takes_none_for_a_while(
    peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{number} " + "x" * 200_000 for number in range(80)]  # more than the system holds for a peer
    waited = []
    async with open_session(peer) as session:
        reads, read = asyncio.Event(), peer._connection.recv_messages.get

        async def wait(*arguments: Any) -> Any:
            await reads.wait()
            return await read(*arguments)

        async def say() -> None:
            for text in texts:
                await session.send_text(text, respond=False)
                waited.append(len(session._link._current.outgoing) > 0)

        monkeypatch.setattr(peer._connection.recv_messages, "get", wait)
        saying = asyncio.create_task(say())
        try:
            await until(lambda: True in waited)
        finally:
            reads.set()
        await saying
        said = [(await peer.expect("conversation.item.create"))["item"]["content"][0]["text"] for _ in texts]
    assert said == texts
    assert False in waited


async def test_a_socket_that_takes_nothing_bounds_what_waits_and_what_is_lost_is_counted(
    peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_voice.queues.MESSAGE_BYTES", 20_000)
    monkeypatch.setattr("realtime_voice.audio.push.PushAudioIO._behind", property(lambda self: len(self._chunks) >= 20))
    opens, send = asyncio.Event(), Socket.send

    async def wait(socket: Socket, message: bytes) -> None:
        await opens.wait()
        await send(socket, message)

    audio = PushAudioIO(rate=24000)
    async with open_session(peer, audio=audio) as session:
        monkeypatch.setattr(Socket, "send_now", lambda *_: False)
        monkeypatch.setattr(Socket, "send", wait)
        for _ in range(300):
            audio.push(b"\1\0" * 480)
            await asyncio.sleep(0)
        lost = audio.overruns
        assert 0 < lost < 300 * 960
        waiting = session._link._current.outgoing._size
        assert waiting < 20_000 + 20 * 2000
        opens.set()
        await until(lambda: session._link._current.outgoing._size == 0)
        audio.push(b"\1\0" * 480)
        assert audio.overruns == lost, "there is room again"


async def test_barge_in_after_the_answer_is_complete_on_the_wire(peer: Any) -> None:
    talk = Talk(peer)
    async with talk.session as session:
        await peer.begin_response()
        await peer.speak("one two three four five six seven eight nine ten", 1000)
        await peer.end_response()
        await next_event(session, ev.ResponseDone)
        talk.listen(500)
        await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
        cut = await next_event(session, Interrupted)
        assert (cut.item_id, cut.played_ms, cut.received_ms) == ("item_a", 500, 1000)
        assert cut.heard == "one two three four five"
        truncate = await peer.expect("conversation.item.truncate")
        assert (truncate["item_id"], truncate["audio_end_ms"]) == ("item_a", 500)
        talk.listen(20)  # the fade
        assert not any(talk.audio.pull(100 * MS))
        await peer.nothing()  # neither cancel nor a second truncate
        assert session.conversation()[0].content == [ev.ContentPart(type="output_text", text=cut.heard)]


async def test_barge_in_while_the_answer_is_generated(peer: Any) -> None:
    talk = Talk(peer)
    async with talk.session as session:
        await peer.begin_response()
        await peer.speak("one two three four", 400, done=False)
        await next_event(session, AgentTranscript)
        await talk.received(400)
        talk.listen(100)
        await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
        truncate = await peer.expect("conversation.item.truncate")
        assert truncate["audio_end_ms"] == 100
        await peer.speak("late", 400, done=False)  # on its way already
        await peer.end_response(status="cancelled", status_details={"type": "cancelled", "reason": "turn_detected"})
        done = await next_event(session, ev.ResponseDone)
        assert done.reason == "turn_detected"
        assert not any(talk.audio.pull(400 * MS)[2 * 20 * MS :])
        await peer.nothing()


async def test_barge_in_where_the_server_does_not_interrupt_cancels(peer: Any) -> None:
    peer.turn_detection["interrupt_response"] = False
    talk = Talk(peer)
    async with talk.session as session:
        await peer.begin_response("resp_7")
        await peer.speak("one two three four", 400, response="resp_7", done=False)
        await next_event(session, AgentTranscript)
        await talk.received(400)
        talk.listen(200)
        await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
        assert (await peer.expect("response.cancel"))["response_id"] == "resp_7"
        assert (await peer.expect("conversation.item.truncate"))["audio_end_ms"] == 200


async def test_nothing_heard_is_deleted_and_refused_truncates_are_corrected(peer: Any) -> None:
    talk = Talk(peer)
    async with talk.session as session:
        await peer.begin_response()
        await peer.speak("never heard", 300)
        await peer.end_response()
        await next_event(session, ev.ResponseDone)
        await session.interrupt()
        assert (await peer.expect("conversation.item.delete"))["item_id"] == "item_a"
        await peer.begin_response("resp_2")
        await peer.speak("half heard", 300, response="resp_2", item="item_b")
        await peer.end_response("resp_2")
        await next_event(session, ev.ResponseDone)
        talk.listen(200)
        (cut,) = await session.interrupt()
        assert cut.heard == "half"
        refused = await peer.expect("conversation.item.truncate")
        message = f"Audio content of 150ms is already shorter than {refused['audio_end_ms']}ms"
        await peer.refuse(refused, "invalid_value", message)
        assert (await peer.expect("conversation.item.truncate"))["audio_end_ms"] == 150
        assert session.is_running


async def test_interruptions_can_be_switched_off(peer: Any) -> None:
    talk = Talk(peer)
    async with talk.session as session:
        session.allow_interruptions = False
        await peer.begin_response()
        await peer.speak("hear me out", 300)
        await next_event(session, AgentTranscript, lambda event: event.final)
        await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
        await next_event(session, ev.InputAudioBufferSpeechStarted)
        await peer.nothing()
        assert talk.audio.playout.active


async def test_local_speech_interrupts_where_asked(peer: Any) -> None:
    talk = Talk(peer, local_barge_in=True)
    async with talk.session as session:
        await peer.begin_response("resp_3")
        await peer.speak("one two three four", 400, response="resp_3", done=False)
        await talk.received(400)
        talk.listen(200)
        session.audio_event(SpeechStarted(sample=0, time=0.0))
        assert (await peer.expect("response.cancel"))["response_id"] == "resp_3"
        assert (await peer.expect("conversation.item.truncate"))["audio_end_ms"] == 200
        await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
        await next_event(session, ev.InputAudioBufferSpeechStarted)
        await peer.nothing()  # the server's word comes second and changes nothing


async def test_a_cut_by_the_device_is_told_to_the_server(peer: Any) -> None:
    talk = Talk(peer)
    async with talk.session as session:
        await peer.begin_response("resp_3")
        await peer.speak("one two three four", 400, response="resp_3")
        await next_event(session, AgentTranscript, lambda event: event.final)
        heard = Heard("item_a", 0, 200, 400)
        session.audio_event(BargeIn("ducked", time=0.0, after_s=0.01, probability=0.9))
        session.audio_event(BargeIn("cut", time=0.1, after_s=0.12, probability=0.9, heard=(heard,)))
        assert (await peer.expect("response.cancel"))["response_id"] == "resp_3"
        assert (await peer.expect("conversation.item.truncate"))["audio_end_ms"] == 200
        assert (await next_event(session, BargeIn)).action == "ducked"
        assert (await next_event(session, Interrupted)).heard == "one two"


class Listening(PushAudioIO):
    """The callback hears the user, too; the test is the device."""

    async def _open(self) -> None:
        self._assemble(self.rate)

    def hear(self, ms: int, pcm: bytes = b"") -> None:
        """Let the device run while Python does nothing else."""
        for at in range(0, ms, 10):
            self.duplex.process(pcm[48 * at : 48 * (at + 10)].ljust(480, b"\0"), 240)


async def test_a_cut_while_python_slept_comes_before_the_messages_that_waited(peer: Any) -> None:
    audio = Listening(rate=24000, barge_in="local", headset=True, confirm_ms=50, confirm_probability=0.0)
    async with open_session(peer, audio=audio) as session:
        audio.playout.interruptible = False
        await peer.begin_response("resp_1")
        await peer.speak("one two three four", 400, response="resp_1")
        await peer.end_response("resp_1")
        await next_event(session, ev.ResponseDone)
        audio.hear(150)
        audio.playout.interruptible = True  # any sound is speech from here on
        audio.hear(2000)
        assert audio.duplex.generation == 1
        await peer.begin_response("resp_2")
        await peer.speak("five six", 200, response="resp_2", item="item_b")
        assert (await peer.expect("conversation.item.truncate"))["audio_end_ms"] == 204  # and 5 ms of fade
        await until(lambda: audio.playout.received_ms("item_b") >= 200)
        await peer.nothing()  # the answer that runs now was not meant
        audio.playout.interruptible = False
        audio.hear(300)
        assert (audio.playout.played_ms("item_a"), audio.playout.played_ms("item_b")) == (204, 200)


async def test_the_policy_of_the_audio_side_is_heeded(peer: Any) -> None:
    audio = Listening(rate=24000, barge_in="local")
    async with open_session(peer, audio=audio) as session:
        await peer.begin_response("resp_1")
        await peer.speak("one two three four", 400, response="resp_1")
        await until(lambda: audio.playout.received_ms("item_a") >= 400)
        await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
        await next_event(session, ev.InputAudioBufferSpeechStarted)
        await peer.nothing()
        assert audio.playout.active
        session.allow_interruptions = False
        assert not audio.playout.interruptible
        session.allow_interruptions = True
        assert audio.playout.interruptible


async def test_latency_of_a_turn(peer: Any) -> None:
    talk = Talk(peer)
    async with talk.session as session:
        await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
        await peer.send("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=900)
        await peer.send("input_audio_buffer.committed", item_id="u", previous_item_id=None)
        kind = "conversation.item.input_audio_transcription.completed"
        await peer.send(
            kind, item_id="u", content_index=0, transcript="Well?", usage={"type": "duration", "seconds": 1}
        )
        assert (await next_event(session, UserTranscript)).text == "Well?"
        await peer.begin_response()
        await peer.speak("Well", 200)
        await next_event(session, AgentTranscript, lambda event: event.final)
        talk.listen(20)
        latency = await next_event(session, TurnLatency)
        assert latency.item_id == "item_a"
        assert latency.speech_end_to_received_s >= 0.2  # the server's silence is part of the wait
        assert latency.speech_end_to_played_s is not None
        assert session.latencies.speech_end_to_received.last_s == latency.speech_end_to_received_s
        assert session.latencies.speech_end_to_played.longest_s == latency.speech_end_to_played_s
        assert session.latencies.speech_to_silence.count == 0


async def test_how_long_the_user_spoke_until_the_agent_was_silent(peer: Any) -> None:
    peer.turn_detection = {"type": "server_vad", "prefix_padding_ms": 300}  # the turn begins before the speech
    talk = Talk(peer)
    async with talk.session as session:
        talk.audio.push(bytes(2 * 980 * MS))  # in short chunks: a second has to pass in silence before they are longer
        await until(lambda: session._link._uplink.end == 980 * MS)
        await peer.begin_response()
        await peer.speak("one two three four", 400)
        await next_event(session, AgentTranscript, lambda event: event.final)
        talk.listen(100)
        await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=450)
        assert (await next_event(session, Interrupted)).speech_to_silence_s == pytest.approx(0.23)
        await peer.expect("conversation.item.truncate")
        await peer.speak("one two three four", 400, item="item_b")
        await next_event(session, AgentTranscript, lambda event: event.final)
        heard = (Heard("item_b", 0, 200, 400), Heard("item_c", 0, 0, 400))
        session.audio_event(BargeIn("cut", time=0.1, after_s=0.15, probability=0.9, heard=heard))
        assert (await next_event(session, Interrupted)).speech_to_silence_s == 0.15
        await peer.speak("one two three four", 400, response="resp_2", item="item_d")
        await next_event(session, AgentTranscript, lambda event: event.final)
        (cut,) = await session.interrupt()
        assert cut.speech_to_silence_s is None
        silence = session.latencies.speech_to_silence
        assert (silence.count, silence.last_s, silence.longest_s) == (2, 0.15, pytest.approx(0.23))
        assert silence.mean_s == pytest.approx(0.19)


async def test_playout_of_another_host(peer: Any) -> None:
    audio = PushAudioIO(rate=24000)
    await audio.start(Wire(), Wire())
    async with open_session(peer) as session:
        session.attach_playout(audio.playout)
        await peer.begin_response()
        await peer.speak("one two three four", 400)
        await next_event(session, AgentTranscript, lambda event: event.final)
        audio.pull(200 * MS)
        for event in audio.events():
            session.audio_event(event)
        assert (await next_event(session, PlayoutStarted)).item_id == "item_a"
        await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
        assert (await next_event(session, Interrupted)).heard == "one two"
        assert (await peer.expect("conversation.item.truncate"))["audio_end_ms"] == 200
    await audio.stop()


async def test_when_the_input_ends_the_answer_still_plays(peer: Any) -> None:
    talk = Talk(peer)
    async with talk.session as session:
        talk.audio.push(bytes(2 * 30 * MS))
        talk.audio.end()
        await peer.expect("input_audio_buffer.append")
        await peer.begin_response()
        await peer.speak("still here", 100)
        await peer.end_response()
        await next_event(session, ev.ResponseDone)
        talk.listen(50)
        assert (await next_event(session, PlayoutStarted)).item_id == "item_a"


# --- tools ---


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def output_of(peer: Any) -> Any:
    item = (await peer.expect("conversation.item.create"))["item"]
    assert item["type"] == "function_call_output"
    return item


async def test_tool_round(peer: Any) -> None:
    async with open_session(peer, tools=[add]) as session:
        assert peer.received[0]["session"]["tools"] == [add.config]
        await peer.begin_response()
        await peer.call("add", '{"a": 2, "b": 3}')
        call = await next_event(session, ToolCall)
        assert (call.name, call.arguments) == ("add", {"a": 2, "b": 3})
        result = await next_event(session, ToolResult)
        assert (result.call_id, result.output, result.is_error) == ("call_1", "5", False)
        assert (await output_of(peer))["output"] == "5"
        await peer.nothing()  # the response still runs
        await peer.end_response()
        await peer.expect("response.create")


async def test_two_tools_one_response(peer: Any) -> None:
    release = asyncio.Event()

    async def slow() -> str:
        await release.wait()
        return "done"

    async with open_session(peer, tools=[add, slow]) as session:
        await peer.begin_response()
        await peer.call("slow", "{}", call_id="call_1")
        await peer.call("add", '{"a": 1, "b": 1}', call_id="call_2", index=1)
        await peer.end_response()
        assert (await output_of(peer))["call_id"] == "call_2"
        await next_event(session, ToolResult)
        await peer.nothing()
        release.set()
        assert (await output_of(peer))["call_id"] == "call_1"
        await peer.expect("response.create")
        await peer.nothing()


async def test_everything_that_goes_wrong_in_a_tool_is_told_to_the_model(peer: Any) -> None:
    def raises() -> None:
        raise RuntimeError("no fuel")

    def odd() -> object:
        return object()

    async def never() -> None:
        await asyncio.Event().wait()

    def huge() -> str:
        return "x" * 100_000

    async with open_session(peer, tools=[add, raises, odd, never, huge], tool_timeout_s=0.1) as session:
        await peer.begin_response()
        expected = {
            "raises": "RuntimeError: no fuel",
            "odd": "not JSON",
            "never": "did not return within 0.1 seconds",
            "huge": "more than the 65536 allowed",
            "unknown": "no tool named 'unknown'",
            "add": "missing required field `a`",
        }
        for name, reason in expected.items():
            await peer.call(name, "{}", call_id=f"call_{name}")
            result = await next_event(session, ToolResult)
            assert result.is_error
            assert reason in result.output
            assert reason in json.loads((await output_of(peer))["output"])["error"]
        await peer.call("add", '{"a": 1', call_id="call_json")
        assert "JSON object" in json.loads((await output_of(peer))["output"])["error"]
        await peer.end_response()
        await peer.expect("response.create")
        assert session.is_running


async def test_progress_of_a_tool(peer: Any) -> None:
    async def counts() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async with open_session(peer, tools=[counts]) as session:
        await peer.begin_response()
        await peer.call("counts", "{}")
        assert [(await next_event(session, ToolProgress)).value for _ in range(3)] == [0, 1, 2]
        assert (await output_of(peer))["output"] == "2"


async def test_filler_breaks_the_silence_of_a_long_tool_once(peer: Any) -> None:
    release = asyncio.Event()

    async def slow(key: int) -> int:
        await release.wait()
        return key

    async with open_session(peer, tools=[slow], filler="One moment.", filler_after_s=0.02) as session:
        await peer.begin_response()
        await peer.call("slow", '{"key": 1}', call_id="call_1")
        await peer.call("slow", '{"key": 2}', call_id="call_2")
        await peer.end_response()
        create = await peer.expect("response.create")
        assert create["response"]["conversation"] == "none"
        assert create["response"]["instructions"].endswith("“One moment.”")
        await peer.nothing()  # one filler for both
        metadata = create["response"]["metadata"]
        await peer.begin_response("resp_side", conversation_id=None, metadata=metadata)
        release.set()
        assert {(await output_of(peer))["output"], (await output_of(peer))["output"]} == {"1", "2"}
        await peer.nothing()  # the filler is not talked over
        await peer.end_response("resp_side", conversation_id=None, metadata=metadata)
        assert "response" not in await peer.expect("response.create")
        await next_event(session, ToolResult)


async def test_quick_tool_needs_no_filler(peer: Any) -> None:
    async with open_session(peer, tools=[add], filler="One moment.", filler_after_s=0.05):
        await peer.begin_response()
        await peer.call("add", '{"a": 1, "b": 2}')
        await output_of(peer)
        await peer.nothing()
        await peer.end_response()
        assert "response" not in await peer.expect("response.create")


async def test_schema_without_a_function_is_for_the_application(peer: Any) -> None:
    schema = {"type": "function", "name": "lookup", "parameters": {"type": "object", "properties": {}}}
    async with open_session(peer, tools=[schema]) as session:
        await peer.begin_response()
        await peer.call("lookup", '{"key": "x"}')
        await peer.end_response()
        call = await next_event(session, ToolCall)
        await peer.nothing()
        await session.send_tool_result(call.call_id, "found")
        assert (await output_of(peer))["output"] == "found"
        await peer.expect("response.create")


async def test_tool_and_interruption(peer: Any) -> None:
    release, ended = asyncio.Event(), asyncio.Event()

    async def finishes() -> str:
        await release.wait()
        return "kept"

    @tool(on_interrupt="cancel")
    async def gives_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    talk = Talk(peer, tools=[finishes, gives_up])
    async with talk.session as session:
        await peer.begin_response()
        await peer.speak("let me look that up", 400)
        await peer.call("finishes", "{}", call_id="call_1")
        await peer.call("gives_up", "{}", call_id="call_2")
        await peer.end_response()
        await next_event(session, ev.ResponseDone)
        talk.listen(100)
        await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
        await peer.expect("conversation.item.truncate")
        assert (await output_of(peer))["call_id"] == "call_2"
        async with asyncio.timeout(5):
            await ended.wait()
        release.set()
        item = await output_of(peer)
        assert (item["call_id"], item["output"]) == ("call_1", "kept")
        await peer.nothing()  # delivered, but nobody asked the agent to speak


# --- the end ---


async def test_stop_is_idempotent_and_ends_iteration(peer: Any) -> None:
    session = open_session(peer)
    await session.start()
    reading = asyncio.create_task(ends(session))
    await asyncio.sleep(0)
    await asyncio.gather(session.stop(), session.stop())
    await session.stop()
    await reading
    for call in (session.send_text("x"), session.interrupt(), session.send_audio(b"")):
        with pytest.raises(LocalProtocolError, match="not running"):
            await call
    with pytest.raises(LocalProtocolError, match="started once"):
        await session.start()


async def test_stop_before_start() -> None:
    session = connect(base_url="ws://127.0.0.1:1/v1")
    await session.stop()
    with pytest.raises(LocalProtocolError):
        await session.start()


async def test_stop_is_bounded_when_the_peer_never_answers_close(mute_peer: Any) -> None:
    session = open_session(mute_peer, configure_timeout_s=0.05, silent_peer="warn")
    await session.start()
    async with asyncio.timeout(5):
        await session.stop()
    assert b"\x88" in mute_peer.received  # a CLOSE frame was sent
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("realtime")] == []


async def test_cancelled_start_leaves_nothing_behind(mute_peer: Any) -> None:
    session = open_session(mute_peer)
    start = asyncio.create_task(session.start())
    await until(lambda: bool(mute_peer.received))
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not session.is_running
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("realtime")] == []


async def test_cancelled_iteration_loses_nothing(peer: Any) -> None:
    async with open_session(peer) as session:
        await next_event(session, ev.SessionUpdated)
        for number in range(20):
            waiting = asyncio.create_task(anext(session))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await peer.send("test.event", number=number)
            async with asyncio.timeout(5):
                event = await anext(session)
            assert isinstance(event, ev.UnknownEvent)
            assert event.data["number"] == number


@pytest.mark.parametrize("steps", range(4))
async def test_every_call_can_be_cancelled(peer: Any, steps: int) -> None:
    """Wherever it is cut, the session goes on and still answers."""
    async with open_session(peer, audio=PushAudioIO()) as session:
        calls: list[Callable[[], Coroutine[Any, Any, object]]] = [
            lambda: session.send_text("x"),
            lambda: session.send_image(b"\xff\xd8\xff"),
            lambda: session.send_item({"type": "message", "role": "user", "content": []}),
            lambda: session.send_audio(bytes(960)),
            session.commit_audio,
            session.clear_audio,
            lambda: session.send_tool_result("call_x", "y"),
            session.create_response,
            lambda: session.ask({"instructions": "z"}),
            lambda: session.update({"instructions": "z"}),
            lambda: session.retrieve("i"),
            lambda: session.delete("i"),
            lambda: session.approve("a"),
            lambda: session.send({"type": "input_audio_buffer.clear"}),
            session.cancel_response,
            session.interrupt,
            session.wait,
        ]
        for call in calls:
            task = asyncio.create_task(call())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
        assert session._waiters == {}
        await session.update({"instructions": "still here"})
        assert session.config["instructions"] == "still here"


async def test_cancelled_stop_still_stops(peer: Any) -> None:
    session = open_session(peer)
    await session.start()
    stop = asyncio.create_task(session.stop())
    await asyncio.sleep(0)
    stop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stop
    await until(lambda: not session.is_running)
    await session.stop()


async def test_last_words_are_sent_before_the_end(peer: Any) -> None:
    session = open_session(peer)
    await session.start()
    await session.send_text("goodbye", respond=False)
    await session.stop()
    assert (await peer.expect("conversation.item.create"))["item"]["content"][0]["text"] == "goodbye"


@pytest.mark.parametrize(("code", "reason"), [(1001, "going away"), (1011, ""), (4004, "gone")])
async def test_end_by_the_peer_raises_after_the_events_before_it(peer: Any, code: int, reason: str) -> None:
    session = open_session(peer, reconnect=None)
    await session.start()
    await peer.send("test.last")
    await peer.close(code, reason)
    last = await next_event(session, ev.UnknownEvent)
    assert last.type == "test.last"
    with pytest.raises(ConnectionClosed, match=str(code)) as closed:
        await ends(session)
    assert (closed.value.code, closed.value.reason) == (code, reason)
    with pytest.raises(ConnectionClosed):
        await session.send_text("anyone?")
    await session.stop()


@pytest.mark.parametrize("code", [1002, 1008, 3001, 4004])
async def test_end_that_another_connection_would_meet_too(peer: Any, code: int) -> None:
    async with open_session(peer) as session:
        await peer.close(code)
        with pytest.raises(ConnectionClosed, match=str(code)):
            await ends(session)
    assert len(peer.paths) == 1


async def test_orderly_end_by_the_peer_is_no_error(peer: Any) -> None:
    async with open_session(peer) as session:
        await peer.close(1000)
        await ends(session)
        await session.wait()
        assert not session.is_running


@pytest.mark.parametrize(("code", "options"), [("insufficient_quota", {}), ("session_expired", {"reconnect": None})])
async def test_fatal_error_ends_the_session_with_its_code(peer: Any, code: str, options: dict[str, Any]) -> None:
    session = open_session(peer, **options)
    await session.start()
    await peer.send("error", error={"type": "invalid_request_error", "code": code, "message": "It is over."})
    with pytest.raises(ServerError, match="over") as end:
        await ends(session)
    assert end.value.code == code
    await session.stop()


async def test_unread_error_is_raised_by_the_context_manager(peer: Any) -> None:
    async def body() -> None:
        async with open_session(peer, reconnect=None) as session:
            await peer.close(1011)
            await until(lambda: not session.is_running)

    with pytest.raises(ConnectionClosed, match="1011"):
        await body()


async def test_a_tool_may_end_the_session(peer: Any) -> None:
    sessions: list[Session] = []

    async def stop() -> str:
        await sessions[0].stop()
        return "never told"

    async with open_session(peer, tools=[stop]) as session:
        sessions.append(session)
        await peer.begin_response()
        await peer.call("stop", "{}")
        await ends(session)
    assert not session.is_running


async def test_events_nobody_takes_are_bounded(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "EVENTS_KEPT", 10)
    async with open_session(peer) as session:
        for number in range(50):
            await peer.send("test.event", number=number)
        await session.send_text("mark")
        await peer.expect("conversation.item.create")
        await until(lambda: session.dropped_events >= 42)
        assert len(session._events) == 10
        first = await anext(session)
        assert isinstance(first, ev.UnknownEvent)
        assert first.data["number"] == 40


async def test_slow_reader_slows_the_server_and_loses_nothing(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "EVENTS_KEPT", 10)
    async with open_session(peer) as session:
        await next_event(session, ev.SessionUpdated)
        for number in range(200):
            await peer.send("test.event", number=number)
        await asyncio.sleep(0.05)
        assert len(session._events) <= 20
        for number in range(200):
            event = await anext(session)
            assert isinstance(event, ev.UnknownEvent)
            assert event.data["number"] == number
        assert session.dropped_events == 0


async def test_reader_that_went_away_stops_nothing(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "EVENTS_KEPT", 10)
    monkeypatch.setattr(queues, "SLOW_READER_S", 0.01)
    async with open_session(peer, tools=[add]) as session:
        await next_event(session, ev.SessionUpdated)
        for number in range(50):
            await peer.send("test.event", number=number)
        await peer.begin_response()
        await peer.call("add", '{"a": 1, "b": 2}')
        assert (await output_of(peer))["output"] == "3"


async def test_sessions_leave_nothing_behind(peer: Any) -> None:
    sessions: weakref.WeakSet[Session] = weakref.WeakSet()

    async def talk() -> None:
        audio = PushAudioIO(rate=24000)
        async with open_session(peer, audio=audio, tools=[add]) as session:
            sessions.add(session)
            audio.push(bytes(2 * 40 * MS))
            await session.send_text("hello")
            await next_event(session, ev.SessionUpdated)

    await talk()
    gc.collect()
    tasks, threads, descriptors = len(asyncio.all_tasks()), threading.active_count(), open_files()
    for _ in range(20):
        await talk()
    await asyncio.gather(*(talk() for _ in range(20)))
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    assert threading.active_count() <= threads
    await until(lambda: open_files() <= descriptors)
    gc.collect()
    assert len(sessions) == 0


async def test_key_and_audio_are_never_logged(peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_session(peer, api_key=KEY) as session:
        assert KEY not in repr(session.endpoint)
        await session.send_audio(bytes(range(256)) * 10)
        await session.send_text("private words")
        await peer.expect("conversation.item.create")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("realtime_voice")]
    assert any("session.updated" in line for line in ours)
    assert not any(secret in line for line in ours for secret in (KEY, "private words", "AAECAwQF"))


async def test_the_socket_logs_no_headers_even_where_asked_to(peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "realtime_voice.socket")
    async with open_session(peer, api_key=KEY) as session:
        await session.send_text("private words")
        await peer.expect("conversation.item.create")
    assert KEY not in caplog.text
    assert "private words" not in caplog.text


async def test_a_refusal_is_logged_by_its_code_not_its_words(peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "realtime_voice")
    async with open_session(peer) as session:
        await session.send_text("private words", respond=False)
        await peer.refuse(await peer.expect("conversation.item.create"), "invalid_value", "no: 'private words'")
        await next_event(session, ev.Error)
    assert "server error invalid_value" in caplog.text
    assert "private words" not in caplog.text


async def test_what_is_no_event_is_refused(peer: Any) -> None:
    async with open_session(peer) as session:
        with pytest.raises(ValueError, match="needs a 'type'"):
            await session.send({"audio": ""})


def test_importing_the_package_loads_next_to_nothing() -> None:
    code = "import sys, realtime_voice; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(done.stdout.split())
    assert not loaded & {"asyncio", "websockets", "msgspec", "realtime_core", "numpy", "ssl"}


def test_exports_are_all_there() -> None:
    import realtime_voice

    for name in realtime_voice.__all__:
        assert getattr(realtime_voice, name) is not None
    assert set(realtime_voice.__all__) <= set(dir(realtime_voice))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = realtime_voice.nothing
