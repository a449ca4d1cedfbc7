"""Runs one client and answers: each line in is `up SECONDS` or `down SECONDS DELTA_MS`, each line out CPU seconds.

    python bench/clients/run.py NAME

The CPU is that of the whole process, all threads, while the client carries the audio as fast as it
can: a block is handed to the microphone when the one before has left as a message (up); all messages
of an answer lie ready on the socket (down).
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import world

LIMIT_S = 60


async def serve(name: str, answers: int) -> None:
    client = importlib.import_module(name).Client()
    await client.start()
    loop = asyncio.get_running_loop()
    os.write(answers, b"ready\n")
    number = 0
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        way, seconds, *delta_ms = line.split()
        number += 1
        blocks, messages = world.blocks(int(seconds)), []
        if way == "down":
            messages = world.answer(number, int(seconds), int(delta_ms[0]))
            if name.startswith("ours"):
                messages = [message.encode() for message in messages]  # as our socket hands them over
        async with asyncio.timeout(LIMIT_S):
            start = time.process_time()
            moved = await (client.up(blocks) if way == "up" else client.down(messages, int(seconds)))
            spent = time.process_time() - start
        least = int(seconds) * world.RATE * 2 * (4 / 3 if way == "up" else 1)
        if moved < least:
            raise SystemExit(f"{name} moved {moved} of {least:.0f} bytes")
        os.write(answers, f"{spent}\n".encode())
    await client.stop()


if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # clients print
    asyncio.run(serve(sys.argv[1], answers))
