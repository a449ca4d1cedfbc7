"""What an application makes a session do: say, greet, let finish, push to talk, fill silences, tell what matters."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from realtime_voice import AgentTranscript, LocalProtocolError, ServerError, Session, ToolResult, connect
from realtime_voice import events as ev
from realtime_voice.audio.push import PushAudioIO
from realtime_voice.errors import AudioFileError, ConfigurationError, SessionTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

PATIENCE_S = 10
MS = 24
"""Frames in a millisecond at 24 kHz."""
SENTENCE = Path(__file__).parents[1] / "data" / "speech_slt.wav"  # flite, voice slt, 16 kHz
NO_TURNS = {"audio": {"input": {"turn_detection": None}}}


def open_session(peer: Any, **options: Any) -> Session:
    return connect(base_url=peer.url, **options)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not met():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def answer(peer: Any, create: dict[str, Any], ms: int = 200) -> None:
    """Generate what was asked for."""
    metadata = create["response"].get("metadata")
    await peer.begin_response(metadata=metadata)
    await peer.speak("Good morning.", ms)
    await peer.end_response(metadata=metadata)


# Saying


async def test_say_is_part_of_the_conversation(peer: Any) -> None:
    async with open_session(peer) as session:
        saying = asyncio.create_task(session.say("Good morning."))
        create = await peer.expect("response.create")
        assert create["response"]["instructions"].endswith(": “Good morning.”")
        assert create["response"]["tool_choice"] == "none"
        assert "conversation" not in create["response"]
        await answer(peer, create)
        assert (await saying).status == "completed"
        assert "Good morning." in str(session.conversation())


async def test_a_response_that_never_ends_is_not_waited_for_for_ever(peer: Any) -> None:
    async with open_session(peer) as session:
        asking = asyncio.create_task(session.ask({"conversation": "none"}, timeout_s=0.05))
        await peer.expect("response.create")
        with pytest.raises(SessionTimeout, match=r"within 0\.05 s"):
            await asking


async def test_the_greeting_comes_first(peer: Any) -> None:
    async with open_session(peer, greeting="Welcome!") as session:
        create = await peer.expect("response.create")
        assert create["response"]["instructions"].endswith(": “Welcome!”")
        await answer(peer, create)
        async with asyncio.timeout(PATIENCE_S):
            async for event in session:
                if isinstance(event, AgentTranscript) and event.final:
                    break
        await peer.nothing()


async def test_what_must_be_heard_is_not_interrupted(peer: Any) -> None:
    audio = PushAudioIO(rate=24000)
    async with open_session(peer, audio=audio) as session:
        saying = asyncio.create_task(session.say("Good morning.", interruptible=False))
        create = await peer.expect("response.create")
        detection = session.config["audio"]["input"]["turn_detection"]
        assert detection["interrupt_response"] is False
        assert detection["silence_duration_ms"] == 200, "the rest of it stays"
        await answer(peer, create, 500)
        await until(lambda: audio.playout.received_ms("item_a") == 500)
        await peer.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
        for _ in range(20):
            audio.pull(10 * MS)
            await asyncio.sleep(0)
        assert audio.playout.active, "the user's speech changes nothing"
        assert not saying.done(), "it has not been heard yet"
        for _ in range(40):
            audio.pull(10 * MS)
        async with asyncio.timeout(PATIENCE_S):
            await saying
        await until(lambda: session.config["audio"]["input"]["turn_detection"]["interrupt_response"])
        assert session.allow_interruptions
        await peer.nothing()  # neither cancelled nor truncated


async def test_a_cancelled_wait_restores_interruptions(peer: Any) -> None:
    async with open_session(peer) as session:
        saying = asyncio.create_task(session.say("Good morning.", interruptible=False))
        await peer.expect("response.create")
        saying.cancel()
        await asyncio.wait({saying})
        assert session.allow_interruptions
        await until(lambda: session.config["audio"]["input"]["turn_detection"]["interrupt_response"])


async def test_a_server_that_refuses_to_let_finish_is_told(peer: Any) -> None:
    async with open_session(peer) as session:
        peer.configure = False
        saying = asyncio.create_task(session.say("Good morning.", interruptible=False))
        await peer.refuse(await peer.expect("session.update"), "invalid_value", "no")
        with pytest.raises(ConfigurationError, match="no"):
            await saying
        assert session.allow_interruptions


async def test_blocks_that_overlap_are_one(peer: Any) -> None:
    async with open_session(peer) as session:
        first, second = session.uninterrupted(), session.uninterrupted()
        await first.__aenter__()
        await second.__aenter__()
        await first.__aexit__(None, None, None)
        assert not session.allow_interruptions
        assert not session.protocol.server_interrupts
        await second.__aexit__(None, None, None)
        assert session.allow_interruptions
        await until(lambda: session.protocol.server_interrupts)


async def test_a_block_behind_another_is_one_too(peer: Any) -> None:
    async with open_session(peer) as session:
        async with session.uninterrupted():
            pass
        async with session.uninterrupted():
            await session.update({"instructions": "Be brief."})  # behind all that was said before
            assert not session.protocol.server_interrupts
        await until(lambda: session.protocol.server_interrupts)


async def test_what_a_block_finds_changed_it_leaves_so(peer: Any) -> None:
    async with open_session(peer) as session:
        async with session.uninterrupted():
            detection = {**session.protocol.turn_detection, "silence_duration_ms": 900}
            await session.update({"audio": {"input": {"turn_detection": detection}}})
            session.allow_interruptions = False
        assert not session.allow_interruptions
        await until(lambda: session.protocol.server_interrupts)
        assert session.protocol.turn_detection["silence_duration_ms"] == 900


async def test_played_waits_for_the_last_word(peer: Any) -> None:
    audio = PushAudioIO(rate=24000)
    async with open_session(peer, audio=audio) as session:
        async with asyncio.timeout(PATIENCE_S):
            await session.played()  # nothing was said
        await answer(peer, {"response": {}}, 300)
        await until(lambda: audio.playout.received_ms("item_a") == 300)
        waiting = asyncio.create_task(session.played())
        for _ in range(29):
            audio.pull(10 * MS)
        await asyncio.sleep(0.05)
        assert not waiting.done()
        audio.pull(20 * MS)
        async with asyncio.timeout(PATIENCE_S):
            await waiting


# Push-to-talk


async def test_what_is_said_while_the_key_is_down_is_committed_and_answered(peer: Any) -> None:
    peer.turn_detection = None
    audio = PushAudioIO(rate=24000, mode="push_to_talk", pre_roll_ms=0)
    assert open_session(peer).audio is None
    async with open_session(peer, audio=audio, config=NO_TURNS) as session:
        assert session.audio is audio
        audio.push(bytes(2 * 200 * MS))
        await session.press()
        audio.push(b"\x01\x00" * 150 * MS)
        await session.release()
        audio.push(bytes(2 * 200 * MS))
        sent = 0
        while True:
            event = await asyncio.wait_for(peer._queue.get(), PATIENCE_S)
            if event["type"] != "input_audio_buffer.append":
                break
            sent += len(event["audio"]) * 3 // 4 // 2
        assert event["type"] == "input_audio_buffer.commit", "behind all that was said, and before anything else"
        assert 150 * MS <= sent <= 170 * MS
        await peer.expect("response.create")
        await session.press()
        audio.push(bytes(2 * 50 * MS))
        await session.release()
        audio.push(bytes(2 * 50 * MS))
        await peer.expect("input_audio_buffer.clear")
        await peer.nothing()  # a tap is no question


async def test_what_is_said_while_the_session_fails_hides_no_reason(peer: Any) -> None:
    peer.turn_detection = None
    audio = PushAudioIO(rate=24000, mode="push_to_talk")
    session = open_session(peer, audio=audio, config=NO_TURNS)
    await session.start()
    await session.press()
    await peer.send("error", error={"type": "invalid_request_error", "code": "insufficient_quota", "message": "No."})
    async with asyncio.timeout(PATIENCE_S):
        while session.is_running:
            audio.talking = not audio.talking  # a turn to commit at every other push
            audio.push(b"\x01\x00" * 150 * MS)
            await asyncio.sleep(0)
    sent = session._link._uplink.end
    audio.push(b"\x01\x00" * 150 * MS)
    assert session._link._uplink.end == sent, "nothing is taken any more"
    with pytest.raises(ServerError, match="No"):
        await session.wait()
    await session.stop()


async def test_what_the_detector_here_takes_for_speech_is_a_turn(peer: Any) -> None:
    peer.turn_detection = None
    audio = PushAudioIO(rate=16000, mode="gated")
    async with open_session(peer, audio=audio, config=NO_TURNS, local_turns=True):
        with wave.open(str(SENTENCE)) as file:
            sentence = file.readframes(file.getnframes())
        for _ in range(2):
            audio.push(bytes(4 * 16000) + sentence + bytes(4 * 16000))
            sent = 0
            while True:
                event = await asyncio.wait_for(peer._queue.get(), PATIENCE_S)
                if event["type"] != "input_audio_buffer.append":
                    break
                sent += len(event["audio"]) * 3 // 4 // 2
            assert event["type"] == "input_audio_buffer.commit", "behind all that was said, and before anything else"
            assert abs(sent / 24000 - len(sentence) / 32000) < 0.7  # what is around it, not four seconds of silence
            await peer.expect("response.create")
            await peer.begin_response()
            await peer.end_response()


def test_a_server_that_looks_for_turns_needs_no_other() -> None:
    with pytest.raises(ValueError, match="turn_detection"):
        connect(api_key="k", local_turns=True)


async def test_a_tap_just_before_costs_nothing_of_what_is_said(peer: Any) -> None:
    peer.turn_detection = None
    audio = PushAudioIO(rate=24000, mode="push_to_talk", pre_roll_ms=0)
    async with open_session(peer, audio=audio, config=NO_TURNS) as session:
        await session.press()
        await session.release()
        await session.press()
        audio.push(b"\x01\x00" * 150 * MS)
        await session.release()
        audio.push(bytes(2 * 200 * MS))
        await peer.expect("input_audio_buffer.commit")
        await peer.expect("response.create")


async def test_the_key_silences_the_agent(peer: Any) -> None:
    peer.turn_detection = None
    audio = PushAudioIO(rate=24000, mode="push_to_talk")
    async with open_session(peer, audio=audio, config=NO_TURNS) as session:
        await answer(peer, {"response": {}}, 500)
        await until(lambda: session.protocol.is_quiet and audio.playout.received_ms("item_a") == 500)
        for _ in range(20):
            audio.pull(10 * MS)
        await session.press()
        assert (await peer.expect("conversation.item.truncate"))["audio_end_ms"] == 200


async def test_the_key_with_audio_of_the_application(peer: Any) -> None:
    peer.turn_detection = None
    async with open_session(peer, config=NO_TURNS) as session:
        await session.press()
        await peer.expect("input_audio_buffer.clear")
        await session.send_audio(bytes(2 * 200 * MS))
        await session.release()
        await peer.expect("input_audio_buffer.commit")
        await peer.expect("response.create")


async def test_the_key_needs_a_server_that_does_not_look_for_turns(peer: Any) -> None:
    async with open_session(peer) as session:
        for call in (session.press(), session.release()):
            with pytest.raises(LocalProtocolError, match="turn_detection"):
                await call


# Fillers


def write_wav(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\x00\x20" * int(8000 * seconds))
    return path


async def test_a_sound_fills_the_silence_until_the_agent_speaks(peer: Any, tmp_path: Path) -> None:
    release = asyncio.Event()

    async def slow() -> str:
        await release.wait()
        return "done"

    audio = PushAudioIO(rate=24000)
    sound = write_wav(tmp_path / "tone.wav", 1.0)
    async with open_session(peer, audio=audio, tools=[slow], filler=sound, filler_after_s=0.02):
        await peer.begin_response()
        await peer.call("slow", "{}")
        await peer.end_response()
        await until(lambda: audio.playout.active)
        played = b"".join(audio.pull(10 * MS) for _ in range(20))
        assert max(memoryview(played).cast("h")) > 8000
        release.set()
        await peer.expect("conversation.item.create")
        await peer.expect("response.create")
        await peer.begin_response("resp_2")
        await until(lambda: not audio.playout.active or not any(audio.pull(10 * MS)))
        await peer.speak("It is done.", 100, response="resp_2", item="item_b")
        await until(lambda: audio.playout.received_ms("item_b") == 100)
        await peer.nothing()  # the server hears nothing of the sound


@pytest.mark.parametrize("call", ["add", "missing"])
async def test_a_filler_that_is_no_sound(tmp_path: Path, call: str) -> None:
    path = tmp_path / "x.wav"
    if call == "add":
        path.write_bytes(b"no sound")
    with pytest.raises(AudioFileError, match=r"x\.wav"):
        connect(base_url="ws://127.0.0.1:1", filler=path)


def test_a_filler_that_never_ends(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="longer than 10 s"):
        connect(base_url="ws://127.0.0.1:1", filler=write_wav(tmp_path / "long.wav", 10.5))


# Events


async def test_events_are_those_of_the_conversation(peer: Any) -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    async with open_session(peer, tools=[add]) as session:
        await peer.begin_response()
        await peer.speak("Four.", 20)
        await peer.call("add", '{"a": 1, "b": 3}')
        await peer.end_response()
        kinds = []
        async with asyncio.timeout(PATIENCE_S):
            async for event in session.events():
                kinds.append(type(event))
                if isinstance(event, ToolResult):
                    break
    assert kinds == [AgentTranscript, AgentTranscript, ev.ToolCall, ToolResult]


async def test_a_cancelled_wait_for_an_event_ends_no_iteration(peer: Any) -> None:
    async with open_session(peer) as session:
        events = session.events()
        for number in range(3):
            waiting = asyncio.create_task(anext(events))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await peer.begin_response(f"resp_{number}")
            await peer.speak("Four.", 20, response=f"resp_{number}", item=f"item_{number}")
            await peer.end_response(f"resp_{number}")
            async with asyncio.timeout(PATIENCE_S):
                while not (event := await anext(events)).final:
                    pass
            assert event.item_id == f"item_{number}"


# Cancelling


@pytest.mark.parametrize("steps", [*range(6), 20])
async def test_every_control_can_be_cancelled(peer: Any, steps: int) -> None:
    """Wherever it is cut, the session goes on, may be interrupted, and still answers."""
    audio = PushAudioIO()
    async with open_session(peer, audio=audio) as session:
        await answer(peer, {"response": {}})
        await until(lambda: session.protocol.is_quiet and audio.playout.active)

        async def block() -> None:
            async with session.uninterrupted():
                await asyncio.Event().wait()

        events = session.events()
        for call in (
            lambda: session.say("x"),
            lambda: session.say("x", interruptible=False),
            block,
            session.played,
            lambda: anext(events),
            lambda: anext(session),
        ):
            await cut(call(), steps)
        assert session.allow_interruptions
        await session.update({"instructions": "still here"})
        assert session.config["instructions"] == "still here"
        await until(lambda: session.protocol.server_interrupts and not session._waiters)


@pytest.mark.parametrize("steps", range(4))
async def test_the_key_can_be_cancelled(peer: Any, steps: int) -> None:
    peer.turn_detection = None
    audio = PushAudioIO(rate=24000, mode="push_to_talk", pre_roll_ms=0)
    async with open_session(peer, audio=audio, config=NO_TURNS) as session:
        await cut(session.press(), steps)
        await cut(session.release(), steps)
        await session.press()
        audio.push(b"\x01\x00" * 150 * MS)
        await session.release()
        audio.push(bytes(2 * 200 * MS))
        await until(lambda: any(event["type"] == "input_audio_buffer.commit" for event in peer.received))


async def cut(call: Coroutine[Any, Any, object], steps: int) -> None:
    """Cancel it after as many turns of the loop."""
    task = asyncio.create_task(call)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
