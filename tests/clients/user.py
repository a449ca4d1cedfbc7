"""The user of every client here: speaks recorded sentences at real-time pace, interrupts once, waits for answers.

Standard library alone: it runs in the environment of each client.
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

URL = os.environ["CLIENT_URL"]
"""WebSocket URL of the server, e.g. ws://127.0.0.1:8765/v1/realtime."""
BASE_URL = os.environ["CLIENT_BASE_URL"]
SPEECH = Path(os.environ["CLIENT_SPEECH"])
"""Folder with the sentences as 24 kHz PCM16."""
MODEL = "gpt-realtime"
INSTRUCTIONS = "Be brief."
CHUNK_MS = 20
RATE = 24_000
PATIENCE_S = 60.0


def calculate(expression: str) -> str:
    """Work out "12 * 7" or "20 + 5"."""
    left, sign, right = expression.split()
    return str(int(left) * int(right) if sign == "*" else int(left) + int(right))


class User:
    """Sends a microphone's audio without pause through `send`; is told of the agent's audio by `hear`."""

    def __init__(self, send: Callable[[bytes], Awaitable[object]]) -> None:
        self._send = send
        self._microphone = b""
        self._ends = 0.0  # when all audio heard so far has been played
        self._last = 0.0
        self.heard_ms = 0.0
        self.stopped = False
        """The client's player was told to stop."""

    def hear(self, pcm: bytes) -> None:
        """Take audio of the agent: PCM16 at 24 kHz."""
        ms = len(pcm) / (2 * RATE / 1000)
        self.heard_ms += ms
        self._last = time.monotonic()
        self._ends = max(self._ends, self._last) + ms / 1000

    def stop_playing(self) -> None:
        """Note that the client stopped its player."""
        self.stopped = True
        self._ends = 0.0

    async def converse(self) -> None:
        """Hold the conversation, then print what was noticed of it."""
        streaming = asyncio.ensure_future(self._stream())
        try:
            await asyncio.sleep(1.0)
            await self._ask("what_is_twelve_times_seven")
            await self._answered()
            await self._ask("count_to_thirty")
            await self._until(lambda: self._ends > time.monotonic() + 1)
            await asyncio.sleep(1.5)
            self.stopped = False
            heard = self.heard_ms
            await self._ask("what_is_twenty_plus_five")
            await self._until(lambda: self.heard_ms > heard + 500)
            await self._answered()
        finally:
            streaming.cancel()
            print(json.dumps({"heard_ms": round(self.heard_ms), "stopped": self.stopped}), flush=True)

    async def _ask(self, name: str) -> None:
        self._microphone = (SPEECH / f"{name}.pcm").read_bytes()
        await self._until(lambda: not self._microphone)

    async def _answered(self) -> None:
        """Wait until an answer has begun, has come whole, and has been played."""
        heard = self.heard_ms
        await self._until(lambda: self.heard_ms > heard)
        await self._until(lambda: time.monotonic() > max(self._ends, self._last + 1.0))

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.02)

    async def _stream(self) -> None:
        size = CHUNK_MS * RATE * 2 // 1000
        due = time.monotonic()
        while True:
            chunk, self._microphone = self._microphone[:size], self._microphone[size:]
            await self._send(chunk.ljust(size, b"\0"))
            due += CHUNK_MS / 1000
            await asyncio.sleep(max(0.0, due - time.monotonic()))
