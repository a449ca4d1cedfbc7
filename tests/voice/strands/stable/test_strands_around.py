"""What Strands puts around an agent, on our model: its console, sessions that are kept, hooks."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from realtime_voice.audio import PlayoutDrained
from realtime_voice.strands import BidiAgent, BidiOpenAIRealtimeModel
from strands import tool
from strands.bidi.hooks import BidiAgentStopEvent, BidiBargeInEvent, BidiResponseStopEvent
from strands.hooks import AfterToolCallEvent, HookProvider, MessageAddedEvent
from strands.session import SnapshotSessionManager
from strands.storage import LocalFileStorage

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@tool
def multiply(expression: str) -> str:
    """Calculates a product.

    Args:
        expression: Two numbers and a sign.
    """
    left, right = expression.split(" * ")
    return str(int(left) * int(right))


async def test_their_console_shows_what_is_said(conversation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from strands.bidi.io import ConsoleIO

    screen = io.StringIO()
    monkeypatch.setattr("sys.stdout", screen)
    async with conversation("what is six times seven", tools=[multiply], console=ConsoleIO()) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(PlayoutDrained)))
    shown = screen.getvalue()
    assert "what is six times seven" in shown
    assert "multiply" in shown
    assert "forty two" in shown


async def test_a_session_that_is_kept_goes_on_with_what_was_said(conversation: Any, peer: Any, tmp_path: Path) -> None:
    def manager() -> Any:
        return SnapshotSessionManager("kept", storage=LocalFileStorage(str(tmp_path)))

    async with conversation("what is six times seven", tools=[multiply], session_manager=manager()) as talk:
        talk.agent.state.set("turns", 1)
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(PlayoutDrained)))
        messages, answer = talk.agent.messages, talk.outputs.said("assistant")[0]
    model = BidiOpenAIRealtimeModel(client_config={"base_url": peer.url})
    agent = BidiAgent(model=model, tools=[multiply], session_manager=manager())
    assert agent.messages == messages
    assert agent.state.get("turns") == 1
    await agent.start()
    items = [event["item"] for event in await peer.got("conversation.item.create", 4)]
    await agent.stop()
    assert [item["type"] for item in items] == ["message", "function_call", "function_call_output", "message"]
    assert "42" in items[2]["output"]
    assert items[3]["content"] == [{"type": "output_text", "text": answer}]


async def test_hooks_are_told(conversation: Any) -> None:
    told: list[str] = []

    class Hooks(HookProvider):
        def register_hooks(self, registry: Any, **_: Any) -> None:
            for kind in (
                AfterToolCallEvent,
                BidiAgentStopEvent,
                BidiBargeInEvent,
                BidiResponseStopEvent,
                MessageAddedEvent,
            ):
                registry.add_callback(kind, lambda event: told.append(type(event).__name__))

    options: Any = {"tools": [multiply], "hooks": [Hooks()]}
    async with conversation("what is six times seven", "tell me a story", "hello", **options) as talk:
        talk.say_something()
        await talk.outputs.until(lambda: bool(talk.outputs.of(PlayoutDrained)))
        talk.say_something()
        await talk.outputs.until(lambda: len(talk.outputs.said("assistant")) == 2)
        talk.say_something()
        await talk.outputs.until(lambda: len(talk.outputs.said("assistant")) == 3)
    assert told.count("BidiResponseStopEvent") == 4  # the call, and three answers
    assert told.count("AfterToolCallEvent") == told.count("BidiBargeInEvent") == told.count("BidiAgentStopEvent") == 1
    assert told.count("MessageAddedEvent") == len(talk.agent.messages)
