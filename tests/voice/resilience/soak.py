"""Many sessions, one after another and at once: memory, tasks, threads and sockets before and after.

python -m tests.voice.resilience.soak [ONE_AFTER_ANOTHER] [AT_ONCE]
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import resource
import sys
import threading
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

from realtime_voice import connect
from realtime_voice.audio.push import PushAudioIO

from tests.voice.resilience.fault_proxy import FaultProxy
from tests.voice.resilience.scripted_peer import RATE, ScriptedPeer
from tests.voice.resilience.talk import policy

PATIENT = {"connect_timeout_s": 60.0, "configure_timeout_s": 60.0}
"""All of it runs in one thread."""


@dataclass
class Left:
    """What there is besides the test itself."""

    tasks: int
    threads: int
    descriptors: int
    traced_kib: float
    resident_mib: float

    def __str__(self) -> str:
        return (
            f"{self.tasks} tasks, {self.threads} threads, {self.descriptors} descriptors, "
            f"{self.traced_kib:.0f} KiB of Python objects, {self.resident_mib:.1f} MiB resident"
        )


def left() -> Left:
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what is free is not counted
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Left(
        len(asyncio.all_tasks()),
        threading.active_count(),
        len(list(Path("/proc/self/fd").iterdir())),
        tracemalloc.get_traced_memory()[0] / 1024,
        pages * resource.getpagesize() / 2**20,
    )


async def session(proxy: FaultProxy, *, is_cut: bool) -> None:
    """Hold a short conversation, with a loss of the connection in it or without."""
    audio = PushAudioIO(rate=RATE)
    async with connect(base_url=proxy.url, audio=audio, reconnect=policy(), **PATIENT) as talk:
        audio.push(b"\xff\xff" * (RATE // 10))
        await talk.send_text("Hello", respond=False)
        if is_cut:
            proxy.links[-1].cut()
            async with asyncio.timeout(60):
                while talk.generation == 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        await talk.update({"instructions": "Be brief."})
        audio.pull(RATE // 10)


async def soak(one_after_another: int, at_once: int) -> list[tuple[str, Left]]:
    """Run all sessions; returns what was left after the first few, after each hundred, and after those at once."""
    found: list[tuple[str, Left]] = []
    tracemalloc.start()
    async with ScriptedPeer() as peer, FaultProxy(peer.port) as proxy:

        async def settle() -> None:
            for _ in range(100):
                peer.lines.clear()
                proxy.links.clear()
                await asyncio.sleep(0.01)
                if len(asyncio.all_tasks()) <= 3:
                    return

        async def note(name: str) -> None:
            await settle()
            found.append((name, left()))

        for number in range(20):
            await session(proxy, is_cut=number % 4 == 3)
        await note("after 20 sessions")
        for number in range(one_after_another):
            await session(proxy, is_cut=number % 10 == 9)
            if number % 250 == 249:
                await note(f"{number + 1} more, one after another")
        for again in range(3):
            await asyncio.gather(*(session(proxy, is_cut=False) for _ in range(at_once)))
            await note(f"{at_once} at once{', again' * again}")
    tracemalloc.stop()
    return found


async def main(one_after_another: int = 1000, at_once: int = 200) -> None:
    """Print what is left."""
    began = time.perf_counter()
    for name, found in await soak(one_after_another, at_once):
        print(f"{name}: {found}")  # noqa: T201
    print(f"in {time.perf_counter() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
