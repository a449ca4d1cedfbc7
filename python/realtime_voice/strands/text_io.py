"""What is said, as text: a prompt to type at, and lines of what both sides say.

On a terminal, what is being said grows in one line that the finished line replaces. With a prompt open it grows below
the prompt, so that neither tears the other apart. Elsewhere (a file, a pipe) there are plain lines only. Here is what
does not depend on the generation of Strands; its events are read in `stable` and `experimental`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import ExitStack
from typing import Any, Protocol, TextIO

from realtime_voice.strands.model import follow

_SENTENCE_ENDS = (".", "!", "?", "。", "…")
_WAITING_LINES = 1_000
_CLEAR_LINE = "\r\x1b[2K"


class TextIOBase:
    """Type to the agent and read what is said.

    Args:
        input_prompt: Shown where the user types.
        stdin: Where text comes from; the process's own by default.
        stdout: Where text goes; the process's own by default.
    """

    def __init__(self, *, input_prompt: str = "", stdin: TextIO | None = None, stdout: TextIO | None = None) -> None:
        if not isinstance(input_prompt, str):
            raise ValueError(f"input_prompt must be a string, not {input_prompt!r}")  # noqa: TRY004 - a bad option
        self._prompt = input_prompt
        self._console = Console(sys.stdin if stdin is None else stdin, sys.stdout if stdout is None else stdout)


class Console:
    """What input and output share: the streams, and the screen that fits them."""

    def __init__(self, stdin: TextIO, stdout: TextIO) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.screen: _Screen = _LiveLine(stdout) if stdout.isatty() else _Lines(stdout)


class TextInputBase:
    """Reads lines, with a prompt on a terminal."""

    def __init__(self, console: Console, prompt: str) -> None:
        self._console = console
        self._prompt = prompt
        self._reader: _Reader | None = None

    async def start(self, agent: Any) -> None:
        """Begin to read."""
        follow(agent)
        console = self._console
        if console.stdin.isatty() and console.stdout.isatty():
            prompt = _Prompt(self._prompt)
            self._reader = console.screen = prompt
        else:
            self._reader = _LineReader(console.stdin)
            if self._prompt:
                console.screen.line(self._prompt.rstrip())
        self._reader.open()

    async def stop(self) -> None:
        """Give the terminal back."""
        if self._reader is not None:
            self._reader.close()

    async def __call__(self) -> str:
        """Return the next line that is not blank.

        At the end of a file or pipe it waits until it is cancelled: the conversation goes on by voice.

        Raises:
            EOFError: The user pressed Ctrl-D at the prompt.
            RuntimeError: `start` was not called.
        """
        if self._reader is None:
            raise RuntimeError("text input not started | call start before reading")
        while True:
            if text := (await self._reader.read()).strip():
                return text


class _Screen(Protocol):
    """Where text appears."""

    def line(self, text: str) -> None:
        """Print a line that stays."""

    def preview(self, text: str) -> None:
        """Show what is being said and not finished yet."""


class _Reader(Protocol):
    """Where typed lines come from."""

    def open(self) -> None:
        """Begin."""

    def close(self) -> None:
        """End."""

    async def read(self) -> str:
        """Return the next line."""
        ...


class _Lines:
    """Plain lines: a preview is one too, at the end of each sentence."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._previewed = ""

    def line(self, text: str) -> None:
        self._previewed = ""
        self._write(text + "\n")

    def preview(self, text: str) -> None:
        if text.rstrip().endswith(_SENTENCE_ENDS) and text.rstrip() != self._previewed:
            self._previewed = text.rstrip()
            self._write(f"Preview: {self._previewed}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class _LiveLine(_Lines):
    """A terminal nobody types at: the last line shows what is being said."""

    def line(self, text: str) -> None:
        self._write(f"{_CLEAR_LINE}{text}\n")

    def preview(self, text: str) -> None:
        self._write(_CLEAR_LINE + _last_columns(text))


class _Prompt:
    """A terminal with a prompt: finished lines go above it, what is being said below it."""

    def __init__(self, prompt: str) -> None:
        from prompt_toolkit import PromptSession

        self._preview = ""
        self._session: Any = PromptSession(prompt, bottom_toolbar=self._toolbar, erase_when_done=True)
        self._stack = ExitStack()

    def open(self) -> None:
        from prompt_toolkit.patch_stdout import patch_stdout

        self._stack.enter_context(patch_stdout())

    def close(self) -> None:
        self._stack.close()

    async def read(self) -> str:
        text: str = await self._session.prompt_async()
        if text.strip():
            self.line(f"you: {text.strip()}")
        return text

    def line(self, text: str) -> None:
        self._preview = ""
        # While a prompt is open, patch_stdout has put a stand-in there that prints above it.
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def preview(self, text: str) -> None:
        self._preview = text
        self._session.app.invalidate()

    def _toolbar(self) -> str | None:
        return _last_columns(self._preview) or None


class _LineReader:
    """Lines of a file or pipe, read by a thread of its own: a blocking read must not hold up the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._room = threading.Semaphore(_WAITING_LINES)
        self._closed = threading.Event()

    def open(self) -> None:
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, args=(loop,), name="typed text", daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        self._room.release()

    async def read(self) -> str:
        line = await self._lines.get()
        self._room.release()
        return line

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        for line in self._stream:
            self._room.acquire()
            if self._closed.is_set():
                return
            try:
                loop.call_soon_threadsafe(self._lines.put_nowait, line)
            except RuntimeError:  # the loop has closed
                return


def _last_columns(text: str) -> str:
    """Return the end of `text` that fits one line of the terminal."""
    import shutil

    columns = shutil.get_terminal_size().columns - 1
    text = text.replace("\n", " ")
    return text if len(text) <= columns else "…" + text[-(columns - 1) :]
