"""No client: what the clock of the microphone costs alone."""

from __future__ import annotations

from world import microphone


class Client:
    played_s = 0.0

    async def start(self, _url: str) -> None: ...

    async def converse(self, heard: bytes, begin: float) -> None:
        async for _ in microphone(heard, begin):
            pass

    async def stop(self) -> None: ...
