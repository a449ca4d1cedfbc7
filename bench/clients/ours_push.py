"""realtime_voice for an application that brings its own audio, as the clients without a device side have it."""

from __future__ import annotations

import ours
from realtime_voice.audio import PushAudioIO
from world import BLOCK, BLOCK_MS, RATE, microphone


class Client(ours.Client):
    """What the microphone hears is pushed."""

    async def up(self, blocks: list[bytes]) -> int:
        socket, before = self._sockets[1], self._sockets[1].appended
        for block in blocks:
            sent = socket.next_append()
            self._speaker.push(block)
            await sent
        return socket.appended - before

    def _audio(self) -> PushAudioIO:
        return PushAudioIO(rate=RATE, chunk_ms=BLOCK_MS)

    async def converse(self, heard: bytes, begin: float) -> None:
        async for block in microphone(heard, begin):
            self._live.push(block)
            self._hear(self._live.pull(BLOCK))
