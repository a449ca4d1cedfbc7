"""A whole agent in conversation: Strands' loop, our model, our audio side, the local server."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from realtime_voice.audio import VirtualAudioIO
from realtime_voice.strands import BidiAgent, BidiAudioIO, BidiOpenAIRealtimeModel, BidiSessionEvent
from strands.bidi.types import BidiTranscriptBlockEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PATIENCE_S = 30
SPEED = 4.0


def noise(rate: int, ms: int) -> bytes:
    return random.Random(0).randbytes(2 * rate * ms // 1000)


class Collector:
    """An output that keeps every event and tells who waits for one."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._news = asyncio.Event()

    async def __call__(self, event: Any) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, kind: type) -> list[Any]:
        sessions = [event.event for event in self.events if isinstance(event, BidiSessionEvent)]
        return [event for event in [*self.events, *sessions] if isinstance(event, kind)]

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not met():
                self._news.clear()
                await self._news.wait()

    def said(self, role: str) -> list[str]:
        return [event.transcript for event in self.of(BidiTranscriptBlockEvent) if event.role == role]


class Conversation:
    """A running agent, its microphone and speaker, and what its outputs got."""

    def __init__(self, url: str, tools: list[Any], console: Any = None, **options: Any) -> None:
        self.heard = bytearray()
        self.audio = VirtualAudioIO(rate=24000, speed=SPEED, heard=self.heard.extend)
        self.model = BidiOpenAIRealtimeModel(client_config={"base_url": url})
        self.agent = BidiAgent(model=self.model, tools=tools, **options)
        self.outputs = Collector()
        side = BidiAudioIO(audio=self.audio, console=console)
        self.run = asyncio.create_task(
            self.agent.run(inputs=[side.input()], outputs=[side.output(), self.outputs])  # type: ignore[list-item]
        )

    def say_something(self) -> None:
        self.audio.say(noise(24000, 500), 24000)

    async def ended(self) -> None:
        await asyncio.wait_for(self.run, PATIENCE_S)


@pytest.fixture
def conversation(local_server: Any) -> Any:
    @asynccontextmanager
    async def hold(*sentences: str, tools: list[Any], pace: float = 0, **options: Any) -> AsyncIterator[Conversation]:
        async with local_server(*sentences, pace=pace) as server:
            talk = Conversation(server.url, tools, **options)
            try:
                yield talk
            finally:
                talk.run.cancel()
                await asyncio.wait([talk.run])

    return hold
