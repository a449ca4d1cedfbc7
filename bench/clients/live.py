"""Runs live sessions of one client, in a process of its own, and tells their CPU; orders come and go by lines.

    python bench/clients/live.py NAME FOLDER

`open URL COUNT` connects so many sessions, spread over the cycle of the conversation, and begins to talk; `measure
SECONDS` answers with the CPU seconds of the whole process in that time, all threads, and with the seconds of the
agents' speech that came out at the speakers; `close` ends them.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import world

CLOSE_S = 20


class Sessions:
    """Those that are open."""

    def __init__(self, heard: bytes) -> None:
        self._heard = heard
        self._clients: list = []
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, kind: type, url: str, count: int) -> None:
        self._clients = [kind() for _ in range(count)]
        for client in self._clients:
            await client.start(url)
        begin = asyncio.get_running_loop().time()
        apart = (world.CYCLE_S + world.BLOCK_MS / 1000) / count  # in the conversation, and between two blocks
        self._tasks = [
            asyncio.create_task(client.converse(self._heard, begin + index * apart))
            for index, client in enumerate(self._clients)
        ]

    @property
    def played_s(self) -> float:
        return sum(client.played_s for client in self._clients)

    async def measure(self, seconds: float) -> tuple[float, float]:
        played_s, cpu = self.played_s, time.process_time()
        await asyncio.sleep(seconds)
        cpu = time.process_time() - cpu
        for task in self._tasks:
            if task.done():
                task.result()
                raise RuntimeError("a conversation has ended")
        return cpu, self.played_s - played_s

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with asyncio.timeout(CLOSE_S):
            await asyncio.gather(*[client.stop() for client in self._clients])


async def serve(name: str, folder: Path, answers: int) -> None:
    kind = importlib.import_module(name).Client
    sessions = Sessions(world.conversation((folder / "speech.pcm").read_bytes()))
    loop, orders = asyncio.get_running_loop(), ThreadPoolExecutor(1)
    # Strands waits for a microphone in a thread of the default pool, whose size would be that of the machine.
    loop.set_default_executor(ThreadPoolExecutor(64))
    os.write(answers, b"ready\n")
    while line := await loop.run_in_executor(orders, sys.stdin.readline):
        answer = ""
        match line.split():
            case ["open", url, count]:
                await sessions.open(kind, url, int(count))
            case ["measure", seconds]:
                answer = "{} {}".format(*await sessions.measure(float(seconds)))
            case _:
                await sessions.close()
        os.write(answers, f"{answer}\n".encode())


if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # clients print
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2]), answers))
