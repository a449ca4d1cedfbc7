"""Threads for an agent's tools that the end of a process does not wait for."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 64
"""So many threads may run at once; more work is refused."""


class DaemonThreads(ThreadPoolExecutor):
    """An executor for an event loop's default, where Strands runs tools: one daemon thread for each piece of work.

    A pool's threads are joined when the loop closes and again when the interpreter ends: a tool that never returns
    would keep the process for ever.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # the pool itself starts no thread
        self._free = threading.BoundedSemaphore(THREADS)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a thread that runs the function. Raises RuntimeError when `THREADS` are running."""
        if not self._free.acquire(blocking=False):
            raise RuntimeError(f"{THREADS} threads are still running")
        future: Future[T] = Future()

        def run() -> None:
            try:
                if future.set_running_or_notify_cancel():
                    try:
                        result = function(*args, **kwargs)
                    except BaseException as error:  # noqa: BLE001 - it goes to who waits
                        future.set_exception(error)
                    else:
                        future.set_result(result)
            finally:
                self._free.release()

        threading.Thread(target=run, name="agent tool", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for nothing: threads that still run end with the process."""
        del wait, cancel_futures
        super().shutdown(wait=False)
