"""realtime_voice for an application that brings its own audio, as the clients without a device side have it."""

from __future__ import annotations

import ours


class Client(ours.Client):
    """What the microphone hears is pushed."""

    async def up(self, blocks: list[bytes]) -> int:
        socket, before = self._sockets[1], self._sockets[1].appended
        for block in blocks:
            sent = socket.next_append()
            self._speaker.push(block)
            await sent
        return socket.appended - before
