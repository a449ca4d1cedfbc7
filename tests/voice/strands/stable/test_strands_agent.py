"""Whole agents: Strands' loop, our model, our audio side, the local server with ears and a voice that take no time."""

from __future__ import annotations

from typing import Any

import pytest
from realtime_voice.audio import PlayoutDrained
from realtime_voice.events import Interrupted, Reconnected, TurnLatency
from realtime_voice.strands import stop_conversation
from strands import ToolContext, tool
from strands.bidi.types import (
    BidiAudioDeltaEvent,
    BidiBargeInEvent,
    BidiConnectionStopEvent,
    BidiResponseStartEvent,
    BidiResponseStopEvent,
)
from strands_tools import stop

MS_PER_CHARACTER = 20  # of the fixture's voice


@tool
def multiply(expression: str) -> str:
    """Calculates a product.

    Args:
        expression: Two numbers and a sign.
    """
    left, right = expression.split(" * ")
    return str(int(left) * int(right))


@tool(context=True)
async def finish(tool_context: ToolContext) -> str:
    """Stop the conversation."""
    tool_context.agent.cancel()
    return "done"


def loud_ms(played: bytes) -> int:
    """How long something sounded, of PCM16 at 24 kHz."""
    hops = range(0, len(played), 480)
    return 10 * sum(any(abs(sample) > 1000 for sample in memoryview(played[at : at + 480]).cast("h")) for at in hops)


async def test_a_question_a_tool_an_answer_and_the_end(conversation: Any) -> None:
    tools = [multiply, stop_conversation]
    async with conversation("what is twelve times fifteen", "stop conversation", tools=tools) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(PlayoutDrained)))
        talk.say_something()
        await talk.ended()
        assert talk.outputs.said("user") == ["what is twelve times fifteen", "stop conversation"]
        answer, goodbye = talk.outputs.said("assistant")
        assert "one hundred" in answer
        assert "bye" in goodbye.lower()
        blocks = [block for message in talk.agent.messages for block in message["content"]]
        uses = [block["toolUse"] for block in blocks if "toolUse" in block]
        assert uses[0]["name"] == "multiply"
        assert uses[0]["input"] == {"expression": "12 * 15"}
        assert any("180" in str(block) for block in blocks if "toolResult" in block)
        assert isinstance(talk.outputs.events[-1], BidiConnectionStopEvent)
        # Both the answer and the goodbye sounded to their end, and other outputs got their audio as events.
        assert loud_ms(bytes(talk.heard)) >= MS_PER_CHARACTER * (len(answer) + len(goodbye)) - 50
        assert talk.outputs.of(BidiAudioDeltaEvent)
        latency = talk.outputs.of(TurnLatency)[0]
        assert latency.speech_end_to_played_s is not None


async def test_an_answer_that_is_complete_on_the_wire_can_be_interrupted(conversation: Any) -> None:
    async with conversation("tell me a story", "hello", tools=[multiply]) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.said("assistant")))
        story = talk.outputs.said("assistant")[0]
        assert not talk.outputs.of(BidiBargeInEvent)
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(Interrupted)))
        cut = talk.outputs.of(Interrupted)[0]
        assert 0 < cut.played_ms < cut.received_ms
        assert story.startswith(cut.heard)
        assert len(cut.heard) < len(story) / 2
        assert len(talk.outputs.of(BidiBargeInEvent)) == 1
        await talk.outputs.until(lambda: len(talk.outputs.said("assistant")) == 2)
        assert "Hello" in talk.outputs.said("assistant")[1]


@pytest.mark.parametrize("pace", [1.0])
async def test_an_answer_on_its_way_can_be_interrupted(conversation: Any, pace: float) -> None:
    async with conversation("tell me a story", "hello", tools=[multiply], pace=pace) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: len(talk.outputs.of(BidiAudioDeltaEvent)) > 2)
        talk.say_something()
        await talk.outputs.until(lambda: len(talk.outputs.said("assistant")) == 2)
        assert len(talk.outputs.of(BidiBargeInEvent)) == 1
        assert len(talk.outputs.of(Interrupted)) == 1


async def test_an_answer_that_broke_off_goes_on(conversation: Any) -> None:
    async with conversation("tell me a story", "hello", tools=[multiply], pace=4.0) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: len(talk.outputs.of(BidiAudioDeltaEvent)) > 5)
        talk.model.session._link._current._opened._connection.transport.abort()
        await talk.outputs.until(lambda: len(talk.outputs.of(BidiResponseStopEvent)) == 2)
        assert len(talk.outputs.of(Reconnected)) == 1
        broken, whole = talk.outputs.said("assistant")
        assert whole.startswith(broken)
        assert whole.endswith("the end of the story.")
        talk.say_something()
        await talk.outputs.until(lambda: len(talk.outputs.said("assistant")) == 3)
        assert talk.outputs.said("user") == ["tell me a story", "hello"]
        responses = [talk.outputs.of(kind) for kind in (BidiResponseStartEvent, BidiResponseStopEvent)]
        started, stopped = ([event.response_id for event in events] for events in responses)
        assert stopped == started[: len(stopped)]


@pytest.mark.parametrize("ending", [stop, finish], ids=["strands_tools.stop", "agent.cancel"])
async def test_the_user_ends_the_conversation_by_voice(conversation: Any, ending: Any) -> None:
    async with conversation("stop conversation", tools=[ending]) as talk:
        talk.say_something()
        await talk.ended()
        assert isinstance(talk.outputs.events[-1], BidiConnectionStopEvent)


async def test_the_agents_own_way_to_end_it_lets_it_finish_speaking(conversation: Any) -> None:
    async with conversation("tell me a story", "stop conversation", tools=[finish]) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.said("assistant")))
        await talk.agent.send("stop conversation")
        await talk.ended()
        assert isinstance(talk.outputs.events[-1], BidiConnectionStopEvent)
        assert loud_ms(bytes(talk.heard)) >= 0.95 * MS_PER_CHARACTER * len(talk.outputs.said("assistant")[0])
