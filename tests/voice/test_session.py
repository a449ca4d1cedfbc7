"""Sessions against a real WebSocket peer on loopback."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING, Any

import pytest
from realtime_voice import (
    AgentTranscript,
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ConnectionClosed,
    Interrupted,
    LocalProtocolError,
    ServerError,
    Session,
    SessionTimeout,
    ToolCall,
    ToolResult,
    TurnLatency,
    UserTranscript,
    connect,
    tool,
)
from realtime_voice import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "sk-never-shown"


def open_session(peer: Any, **options: Any) -> Session:
    return connect(base_url=peer.url, **options)


async def next_event(session: Session, kind: type, where: Callable[[Any], bool] = lambda _: True) -> Any:
    async with asyncio.timeout(10):
        async for event in session:
            if isinstance(event, kind) and where(event):
                return event
    raise AssertionError(f"the session ended without {kind.__name__}")


async def test_start_waits_for_the_configuration(peer: Any) -> None:
    session = open_session(peer, instructions="Be brief.", voice="coral", api_key=KEY, organization="org-1")
    async with session:
        assert session.id == "sess_1"
        assert session.config["instructions"] == "Be brief."
        assert session.is_running
    assert not session.is_running
    sent = peer.received[0]["session"]
    assert sent["type"] == "realtime"
    assert sent["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "coral"}
    assert sent["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert peer.paths == ["/v1/realtime?model=gpt-realtime"]
    assert peer.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert peer.headers[0]["OpenAI-Organization"] == "org-1"
    assert "Sec-WebSocket-Extensions" not in peer.headers[0]


async def test_text_goes_in_and_a_transcript_comes_out(peer: Any) -> None:
    async with open_session(peer) as session:
        await session.send_text("Hello")
        item = (await peer.expect("conversation.item.create"))["item"]
        assert item["content"] == [{"type": "input_text", "text": "Hello"}]
        await peer.expect("response.create")
        await peer.begin_response()
        await peer.speak("Hello to you", 100)
        final = await next_event(session, AgentTranscript, lambda event: event.final)
        assert final.text == "Hello to you"
