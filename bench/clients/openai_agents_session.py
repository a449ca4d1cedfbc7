"""openai-agents: a `RealtimeSession` as its documentation uses it: the application sends blocks and takes audio events.

It has no device side: the microphone's callback and the speaker's are left out, which spares it both.
"""

from __future__ import annotations

import asyncio

from agents.realtime import RealtimeAgent, RealtimeRunner, openai_realtime
from world import RATE, Socket, microphone, until


class Client:
    """One session for both ways."""

    async def start(self, url: str | None = None) -> None:
        self._played = bytearray()
        self.played_s = 0.0
        if url is None:
            self._socket = Socket()

            async def connect(*_: object, **__: object) -> Socket:
                return self._socket

            openai_realtime.websockets.connect = connect
        endpoint = {} if url is None else {"url": f"{url}?model=gpt-realtime"}
        runner = RealtimeRunner(RealtimeAgent(name="agent"))
        self._session = await runner.run(model_config={"api_key": "sk-none", **endpoint})
        await self._session.enter()
        self._playing = asyncio.ensure_future(self._play())

    async def _play(self) -> None:
        async for event in self._session:
            if event.type == "audio":
                self._played += event.audio.data
                self.played_s += len(event.audio.data) / 2 / RATE

    async def up(self, blocks: list[bytes]) -> int:
        before = self._socket.appended
        for block in blocks:
            await self._session.send_audio(block)
        return self._socket.appended - before

    async def down(self, messages: list[str], seconds: int) -> int:
        self._played.clear()
        self._socket.hand(messages)
        await until(lambda: len(self._played) >= 2 * RATE * seconds)
        return len(self._played)

    async def converse(self, heard: bytes, begin: float) -> None:
        async for block in microphone(heard, begin):
            await self._session.send_audio(block)
            self._played.clear()

    async def stop(self) -> None:
        self._playing.cancel()
        await self._session.close()
