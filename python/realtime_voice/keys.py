"""Single keys from the terminal, and the terminal as it was afterwards."""

import asyncio
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class Keys:
    """While entered, calls `pressed` with each key typed; does nothing where stdin is no terminal.

    The terminal's settings come back on leaving, whatever the reason. Ctrl-C stays an interrupt.
    """

    def __init__(self, pressed: Callable[[str], object]) -> None:
        self._pressed = pressed
        self._settings: Any = None

    def __enter__(self) -> Self:
        if not sys.stdin.isatty() or sys.platform == "win32":
            return self
        import termios
        import tty

        descriptor = sys.stdin.fileno()
        self._settings = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor)
        asyncio.get_running_loop().add_reader(descriptor, self._read, descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._settings is None or sys.platform == "win32":
            return
        import termios

        descriptor = sys.stdin.fileno()
        asyncio.get_running_loop().remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, self._settings)
        self._settings = None

    def _read(self, descriptor: int) -> None:
        for key in os.read(descriptor, 64).decode(errors="ignore"):
            self._pressed(key)
