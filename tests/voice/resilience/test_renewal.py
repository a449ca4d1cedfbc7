"""A session outlives its connections: renewal, loss, and what the application and the server see of it."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from realtime_voice import (
    AnswerOverdue,
    ConnectError,
    ConnectionClosed,
    Interrupted,
    Reconnected,
    Reconnecting,
    ReconnectPolicy,
    Renewed,
    ServerError,
    SessionTimeout,
    UserTranscript,
)
from realtime_voice.reconnect import LinkState

from tests.voice.resilience.scripted_peer import WORDS, Script
from tests.voice.resilience.talk import Talk, policy

MS = 24


async def renewal(talk: Talk) -> Renewed:
    await talk.until(lambda: talk.happened(Renewed))
    (renewed,) = talk.happened(Renewed)
    return renewed  # type: ignore[no-any-return]


async def reconnection(talk: Talk) -> Reconnected:
    await talk.until(lambda: talk.happened(Reconnected))
    return talk.happened(Reconnected)[-1]  # type: ignore[no-any-return]


def readers() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "realtime receive"]


# --- renewal ---


@pytest.mark.parametrize("options", [{"timeout_s": 1000.0}, {}])
async def test_renewal_before_the_limit_loses_and_doubles_nothing(options: dict[str, Any]) -> None:
    """By `timeout_s`, and by what the server says."""
    async with Talk(Script(life_s=1000), **options) as talk:
        await talk.start()
        await talk.turn()
        talk.clock.step(798.0)
        talk.hear(500, loud=False)
        await talk.until(lambda: len(talk.peer.line.heard) >= MS * 980)
        assert talk.session.generation == 1
        talk.clock.step(3.0)
        renewed = await renewal(talk)
        await talk.turn()
        assert talk.account() == (0, 0, 0, 0)
        assert (renewed.generation, renewed.reason, renewed.incoming_gap_s) == (2, "", 0.0)
        assert (renewed.lost_samples, renewed.items) == (0, 2)
        assert len(talk.peer.lines) == 2
        assert talk.session.link is LinkState.OPEN
        assert talk.happened(Reconnecting) == []
        latencies = talk.session.latencies
        assert (latencies.renewal.count, latencies.renewal.last_s) == (1, renewed.outgoing_gap_s)
        assert latencies.reconnection.count == 0


@pytest.mark.parametrize("life_s", [-5, 30])
async def test_without_a_credible_word_of_the_server_a_connection_lives_an_hour(life_s: int) -> None:
    async with Talk(Script(life_s=life_s)) as talk:
        await talk.start()
        talk.clock.step(3290.0)
        await asyncio.sleep(0.05)
        assert talk.session.link is LinkState.OPEN
        talk.clock.step(15.0)
        await renewal(talk)


async def test_switch_waits_until_nobody_speaks() -> None:
    async with Talk(timeout_s=1000.0) as talk:
        await talk.start()
        talk.begin_turn()
        await talk.arrived()
        talk.clock.step(801.0)
        await talk.until(lambda: len(talk.peer.lines) == 2 and "session.update" in talk.peer.line.received)
        assert talk.session.link is LinkState.RENEWING
        talk.end_turn()
        await talk.answer(words=WORDS - 1)
        assert talk.session.generation == 1  # the speaker has not come to its end
        await talk.answer()
        await renewal(talk)
        first, second = talk.peer.lines
        assert len(first.turns) == 1
        await talk.until(lambda: len(second.items) >= 2)  # what was told is still on its way when the switch is
        assert second.turns == []
        assert [item["role"] for item in second.items] == ["user", "assistant"]
        await talk.turn()
        assert talk.account() == (0, 0, 0, 0)


async def test_when_no_time_is_left_the_turn_goes_on_over_the_switch() -> None:
    async with Talk(timeout_s=1000.0) as talk:
        await talk.start()
        await talk.turn()
        talk.begin_turn()
        await talk.arrived()
        talk.clock.step(801.0)
        await talk.until(lambda: len(talk.peer.lines) == 2 and "session.update" in talk.peer.line.received)
        talk.clock.step(190.0)
        await renewal(talk)
        talk.end_turn()
        await talk.answer()
        assert talk.account() == (0, 0, 0, 0)
        assert talk.peer.lines[1].turns


async def test_renewal_that_fails_is_tried_again_while_the_connection_serves() -> None:
    async with Talk(timeout_s=1000.0, reconnect=policy()) as talk:
        await talk.start()
        talk.proxy.refusals = 3
        talk.clock.step(801.0)
        await renewal(talk)
        assert talk.proxy.refusals == 0
        assert talk.happened(Reconnecting) == []
        await talk.turn()
        assert talk.account() == (0, 0, 0, 0)


async def test_old_socket_is_closed_within_a_second_by_a_server_that_never_answers() -> None:
    async with Talk(timeout_s=1000.0) as talk:
        await talk.start()
        talk.proxy.answers_close = False
        talk.clock.step(801.0)
        await renewal(talk)
        assert len(readers()) == 2
        await talk.turn()  # the conversation goes on meanwhile
        async with asyncio.timeout(10):
            while len(readers()) > 1:  # noqa: ASYNC110  what is waited for has no event
                await asyncio.sleep(0.01)
        assert talk.account() == (0, 0, 0, 0)


async def test_a_conversation_of_many_renewals() -> None:
    async with Talk(timeout_s=100.0) as talk:
        await talk.start()
        for number in range(8):
            await talk.turn()
            talk.listen(500)
            talk.clock.step(81.0)
            await talk.until(lambda number=number: talk.session.generation == number + 2)  # type: ignore[misc]
        await talk.until(lambda: len(talk.peer.line.said) == 8)
        assert talk.account() == (0, 0, 0, 0)
        assert talk.is_in_order
        assert [renewed.lost_samples for renewed in talk.happened(Renewed)] == [0] * 8
        texts = [text.text for text in talk.happened(UserTranscript) if text.final]
        assert len(texts) == 8
        said = [item.content[0].text for item in talk.session.conversation() if item.content and item.role == "user"]
        assert said == texts


# --- loss ---


async def test_application_is_told_and_waited_for() -> None:
    async with Talk(reconnect=policy(first_wait_s=1.0)) as talk:
        await talk.start()
        talk.proxy.refusals = 3
        talk.proxy.link.cut()
        back = await reconnection(talk)
        attempts = talk.happened(Reconnecting)
        assert [event.attempt for event in attempts] == [1, 2, 3, 4]
        assert attempts[0].wait_s == 0.0
        assert all(0.5 * 2**n <= event.wait_s <= 2.0**n for n, event in enumerate(attempts[1:]))
        assert attempts[0].reason == back.reason
        assert back.attempts == 4
        assert back.incoming_gap_s >= sum(event.wait_s for event in attempts)
        assert talk.session.latencies.reconnection.longest_s == back.incoming_gap_s
        assert talk.session.link is LinkState.OPEN


async def test_when_all_attempts_fail_the_last_failure_ends_the_session() -> None:
    async with Talk(reconnect=policy(attempts=3)) as talk:
        await talk.start()
        talk.proxy.link.swallows = True
        answer = asyncio.create_task(talk.session.retrieve("item_x"))
        await asyncio.sleep(0.02)
        talk.proxy.refusals = 100
        talk.proxy.link.cut()
        with pytest.raises(ConnectError):
            await talk.ended()
        assert len(talk.happened(Reconnecting)) == 3
        with pytest.raises(ConnectError):
            await answer
        with pytest.raises(ConnectError):
            await talk.session.send_text("anyone?")
        assert talk.session.link is LinkState.ENDED


async def test_attempts_are_forgotten_only_after_healthy_traffic() -> None:
    """Connections that are lost as soon as they stand are no success."""
    async with Talk(reconnect=policy(attempts=3, healthy_s=10.0)) as talk:
        await talk.start()
        for generation in (2, 3, 4):
            talk.proxy.link.cut()
            await talk.until(lambda generation=generation: talk.session.generation == generation)  # type: ignore[misc]
        talk.proxy.link.cut()
        with pytest.raises(ConnectionClosed):
            await talk.ended()
    async with Talk(reconnect=policy(attempts=3, healthy_s=10.0)) as talk:
        await talk.start()
        for generation in (2, 3, 4, 5, 6):
            talk.proxy.link.cut()
            await talk.until(lambda generation=generation: talk.session.generation == generation)  # type: ignore[misc]
            for _ in range(30):
                talk.clock.step(0.5)
                await asyncio.sleep(0.005)


async def test_slow_network_is_no_loss() -> None:
    """A large message takes longer than `silent_s`, and its bytes come all the time."""
    async with Talk(Script(), reconnect=policy(silent_s=2.0)) as talk:
        await talk.start()
        talk.proxy.bytes_per_s = 1_000_000
        talk.script.padding = 800_000
        talk.begin_turn()
        talk.end_turn()
        socket = talk.session._link._current._socket
        assert socket is not None
        for _ in range(10):
            arrived = socket.received_bytes
            await talk.until(lambda arrived=arrived: socket.received_bytes > arrived)  # type: ignore[misc]
            talk.clock.step(1.0)
        assert socket.received_bytes < 800_000  # still under way
        assert talk.session.generation == 1
        await talk.answer()
        assert talk.account() == (0, 0, 0, 0)


async def test_blocked_loop_is_no_loss() -> None:
    async with Talk(reconnect=policy(silent_s=2.0)) as talk:
        await talk.start()
        for _ in range(5):
            talk.clock.step(100.0)  # nobody ran in that time
            await asyncio.sleep(0.02)
        assert talk.session.generation == 1


async def test_without_reconnection_a_silent_connection_is_lost_too() -> None:
    async with Talk(reconnect=None) as talk:
        await talk.start()
        talk.proxy.link.swallows = True
        talk.fall_silent()
        with pytest.raises(ConnectionClosed, match="nothing has come for 15 s"):
            await talk.ended()


async def test_nothing_of_a_dead_connection_is_heard() -> None:
    """What the server said on the old connection arrives when the new one stands, and finds nobody."""
    async with Talk(Script(hold_after={2: 3}), reconnect=policy()) as talk:
        await talk.start()
        await talk.turn()
        old = talk.proxy.link
        old.held = []
        talk.begin_turn()
        talk.end_turn()
        await talk.until(lambda: 2 in talk.peer.held)  # three words are on their way
        old.server.close()
        talk.fall_silent()
        await reconnection(talk)
        old.release()
        talk.script.go_on.set()
        await talk.answer()
        assert talk.account() == (0, 0, 0, 0)
        assert talk.is_in_order


# --- what is awaited while the connection is lost ---


async def test_every_call_is_answered_over_a_loss() -> None:
    async with Talk(reconnect=policy()) as talk:
        await talk.start()
        await talk.turn()
        talk.proxy.link.swallows = True  # asked, and never heard
        talk.fall_silent()
        session = talk.session
        update = asyncio.create_task(session.update({"instructions": "New."}))
        ask = asyncio.create_task(session.ask({"instructions": "Who?"}))
        retrieve = asyncio.create_task(session.retrieve("item_0_u0"))
        await session.send_text("Hello?", respond=False)
        await reconnection(talk)
        assert (await update)["instructions"] == session.config["instructions"] == "New."
        assert (await ask).status == "completed"
        assert (await retrieve).id == "item_0_u0"
        texts = [item["content"][0].get("text") for item in talk.peer.line.items if item["type"] == "message"]
        assert texts.count("Hello?") == 1


async def test_every_call_ends_with_a_session_that_may_not_reconnect() -> None:
    async with Talk(reconnect=None) as talk:
        await talk.start()
        talk.proxy.link.swallows = True
        session = talk.session
        calls = [
            asyncio.create_task(call)
            for call in (session.update({"instructions": "x"}), session.ask({}), session.retrieve("a"), session.wait())
        ]
        await asyncio.sleep(0.02)
        talk.proxy.link.cut()
        for call in calls:
            with pytest.raises(ConnectionClosed):
                await call


async def test_stop_while_reconnecting_is_bounded() -> None:
    async with Talk(reconnect=policy(first_wait_s=5.0)) as talk:
        await talk.start()
        talk.proxy.refusals = 1000
        talk.proxy.link.cut()
        await talk.until(lambda: len(talk.happened(Reconnecting)) > 1)
        async with asyncio.timeout(10):
            await talk.session.stop()
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("realtime")] == []


# --- audio ---


async def test_what_the_user_says_while_there_is_no_connection_is_heard() -> None:
    async with Talk(reconnect=policy()) as talk:
        await talk.start()
        await talk.turn()
        talk.proxy.refusals = 5
        talk.proxy.link.cut()
        await talk.until(lambda: talk.session.link is LinkState.RECONNECTING)
        talk.begin_turn()
        talk.end_turn()
        await talk.answer()
        assert talk.account() == (0, 0, 0, 0)


async def test_audio_that_is_too_much_to_keep_is_told() -> None:
    async with Talk(reconnect=policy(keep_s=1.0)) as talk:
        await talk.start()
        await talk.turn()
        talk.proxy.refusals = 5
        talk.proxy.link.cut()
        await talk.until(lambda: talk.session.link is LinkState.RECONNECTING)
        for _ in range(20):
            talk.hear(100, loud=False)
            await asyncio.sleep(0.001)
        back = await reconnection(talk)
        assert back.lost_samples >= MS * 900
        assert back.replayed_samples <= MS * 1100


async def test_push_to_talk_over_a_loss() -> None:
    config = {"audio": {"input": {"turn_detection": None}}}
    async with Talk(Script(transcribe=False), audio=None, config=config, reconnect=policy()) as talk:
        await talk.start()
        first, second = bytes(2 * 200 * MS), b"\1\0" * 300 * MS
        await talk.session.send_audio(first)
        await talk.until(lambda: len(talk.peer.line.heard) == 200 * MS)
        talk.proxy.link.swallows = True
        talk.fall_silent()
        await talk.session.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(second).decode()})
        await talk.session.commit_audio()
        await reconnection(talk)
        await talk.until(lambda: talk.peer.line.turns)
        assert talk.peer.line.turns == [[0] * 200 * MS + [1] * 300 * MS]
        await talk.until(lambda: "response.create" in talk.peer.line.received)
        with pytest.raises(ValueError, match="whole samples"):
            await talk.session.send_audio(b"odd")


async def test_turn_that_is_not_written_down_is_told_by_its_sound() -> None:
    async with Talk(Script(transcribe=False), reconnect=policy()) as talk:
        await talk.start()
        await talk.turn()
        talk.proxy.link.cut()
        await reconnection(talk)
        await talk.until(lambda: talk.peer.line.items)
        part = talk.peer.line.items[0]["content"][0]
        assert part["type"] == "input_audio"
        assert talk.peer.line.said == [talk.spoken[0][0]]


async def test_user_interrupts_what_was_said_before_the_loss() -> None:
    """The answer came whole on the old connection; on the new one it is a text, which is replaced by what was heard."""
    async with Talk(reconnect=policy()) as talk:
        await talk.start()
        talk.begin_turn()
        talk.end_turn()
        await talk.answer(words=2)
        talk.proxy.link.cut()
        await reconnection(talk)
        talk.cut.add(1)
        talk.begin_turn()
        await talk.until(lambda: talk.happened(Interrupted))
        talk.end_turn()
        await talk.answer()
        (cut,) = talk.happened(Interrupted)
        texts = [item["content"][0].get("text") for item in talk.peer.line.items if item.get("role") == "assistant"]
        assert texts[0] == cut.heard != cut.full
        assert 1 <= len(cut.heard.split()) < WORDS
        assert talk.account() == (0, 0, 0, 0)


# --- errors and the watchdog ---


async def test_refused_key_ends_a_reconnection_at_once() -> None:
    async with Talk(reconnect=policy()) as talk:
        await talk.start()
        talk.script.refuse = "invalid_api_key"
        talk.proxy.link.cut()
        with pytest.raises(ServerError) as refused:
            await talk.ended()
        assert refused.value.code == "invalid_api_key"
        assert len(talk.happened(Reconnecting)) == 1


async def test_connected_and_silent_is_asked_again_and_then_replaced() -> None:
    async with Talk(Script(), reconnect=policy()) as talk:
        await talk.start()
        talk.script.mute = True
        await talk.session.send_text("Hello?")
        await talk.until(lambda: "response.create" in talk.peer.line.received)
        for _ in range(25):
            talk.clock.step(0.5)
            await asyncio.sleep(0.005)
        (overdue,) = talk.happened(AnswerOverdue)
        assert overdue.owed == "response.create was not answered"
        assert talk.peer.line.received.count("response.create") == 2
        for _ in range(21):
            talk.clock.step(0.5)
            await asyncio.sleep(0.005)
        talk.script.mute = False
        back = await reconnection(talk)
        assert "connected and silent" in back.reason
        await talk.until(lambda: "response.create" in talk.peer.line.received)


async def test_connected_and_silent_for_ever_ends_the_session() -> None:
    async with Talk(Script(mute=True), reconnect=policy(attempts=1, healthy_s=1e6)) as talk:
        await talk.start()
        await talk.session.send_text("Hello?")
        async with asyncio.timeout(20):
            while talk.error is None:
                talk.clock.step(0.5)
                await asyncio.sleep(0.005)
        with pytest.raises(SessionTimeout, match="connected and silent"):
            await talk.ended()


def test_policy_is_an_option() -> None:
    with pytest.raises(ValueError, match="timeout_s"):
        Talk(timeout_s=0.0).connect("ws://127.0.0.1:1/v1")
    assert Talk(reconnect=ReconnectPolicy(attempts=1)).connect("ws://127.0.0.1:1/v1").link is LinkState.CONNECTING
