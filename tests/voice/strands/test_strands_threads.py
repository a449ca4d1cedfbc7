"""Threads that a process does not wait for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest
from realtime_voice.strands import threads
from realtime_voice.strands.threads import DaemonThreads

NEVER_RETURNS = """
import asyncio, threading
from realtime_voice.strands.threads import DaemonThreads

async def main():
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    started = threading.Event()
    tool = asyncio.create_task(asyncio.to_thread(lambda: (started.set(), threading.Event().wait())))
    while not started.is_set():
        await asyncio.sleep(0.01)
    print("ends")

asyncio.run(main())
"""


def test_a_process_ends_while_a_tool_never_returns() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", NEVER_RETURNS], capture_output=True, text=True, timeout=40, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ends\n", "")


async def test_results_and_errors_come_back() -> None:
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    assert await asyncio.to_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(divmod, 7, 0)


async def test_threads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "THREADS", 1)
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    release = threading.Event()
    first = asyncio.create_task(asyncio.to_thread(release.wait))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="1 threads are still running"):
        await asyncio.to_thread(int)
    release.set()
    assert await first
