"""Text in and out: plain lines, a terminal's live line, and the end of a pipe."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from typing import Any
from unittest.mock import MagicMock

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from realtime_voice.strands import BidiTextIO
from strands.bidi.types import (
    BidiBargeInEvent,
    BidiConnectionRestartEvent,
    BidiConnectionStopEvent,
    BidiConnectionWarningEvent,
    BidiResponseStopEvent,
    BidiTextBlockEvent,
    BidiTextDeltaEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptBlockEvent,
    BidiTranscriptDeltaEvent,
)

AGENT: Any = MagicMock()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def show(stream: io.StringIO, *events: Any) -> str:
    output = BidiTextIO(stdin=io.StringIO(), stdout=stream).output()
    await output.start(AGENT)
    for event in events:
        await output(event)
    await output.stop()
    return stream.getvalue()


async def test_plain_lines() -> None:
    shown = await show(
        io.StringIO(),
        BidiTranscriptDeltaEvent("What is six", "user", "u1"),
        BidiTranscriptDeltaEvent(" times seven?", "user", "u1"),
        BidiTranscriptBlockEvent("What is six times seven?", "user", "u1"),
        BidiToolUseBlocksEvent([{"toolUseId": "c", "name": "calculator", "input": {"expression": "6*7"}}]),
        BidiTranscriptDeltaEvent("It is.", "assistant", "r1"),
        BidiBargeInEvent(),
        BidiTranscriptBlockEvent("It is.", "assistant", "r1"),
        BidiTextDeltaEvent("Forty two", "r2:text"),
        BidiTextBlockEvent("Forty two.", "r2:text"),
        BidiResponseStopEvent("r2"),
        BidiConnectionWarningEvent(10),
        BidiConnectionRestartEvent("scheduled"),
        BidiConnectionStopEvent("c", "user_request"),
    )
    assert shown.splitlines() == [
        "Preview: user: What is six times seven?",
        "user: What is six times seven?",
        "tool: calculator(expression='6*7')",
        "Preview: agent: It is.",
        "interrupted",
        "agent: It is.",
        "agent: Forty two.",
        "the connection is renewed in 10 s",
        "the connection is renewed",
        "the conversation has ended",
    ]


async def test_what_was_being_said_at_the_end_is_kept() -> None:
    shown = await show(io.StringIO(), BidiTranscriptDeltaEvent("Unfinished", "assistant", "r1"))
    assert shown == "agent: Unfinished\n"


async def test_a_terminal_shows_one_growing_line() -> None:
    shown = await show(
        Terminal(),
        BidiTranscriptDeltaEvent("Forty", "assistant", "r1"),
        BidiTranscriptDeltaEvent(" two", "assistant", "r1"),
        BidiTranscriptBlockEvent("Forty two", "assistant", "r1"),
    )
    clear = "\r\x1b[2K"
    assert shown == f"{clear}agent: Forty{clear}agent: Forty two{clear}agent: Forty two\n"


async def test_a_long_live_line_does_not_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    shown = await show(Terminal(), BidiTranscriptDeltaEvent("word " * 50 + "end", "assistant", "r1"))
    live = shown.split("\r\x1b[2K")[1]
    assert len(live) == 19
    assert live.endswith("word end")


async def test_lines_of_a_pipe_and_its_end() -> None:
    text = BidiTextIO(stdin=io.StringIO("Hello\n\n  there \n"), stdout=io.StringIO(), input_prompt="> ")
    source = text.input()
    await source.start(AGENT)
    assert await source() == "Hello"
    assert await source() == "there"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(source(), 0.05)  # a pipe that has ended does not end the conversation
    await source.stop()


async def test_stop_does_not_wait_for_a_blocked_read() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as stream, os.fdopen(write_end, "w") as writer:
        source = BidiTextIO(stdin=stream, stdout=io.StringIO()).input()
        await source.start(AGENT)
        await asyncio.wait_for(source.stop(), 1)
        writer.write("too late\n")
    # The thread ends with the pipe; nothing is read any more.


async def test_stop_before_start_and_options() -> None:
    await BidiTextIO(stdin=io.StringIO(), stdout=io.StringIO()).input().stop()
    with pytest.raises(ValueError, match="input_prompt must be a string"):
        BidiTextIO(input_prompt=7)  # type: ignore[arg-type]


async def test_a_prompt_on_a_terminal() -> None:
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        text = BidiTextIO(stdin=Terminal(), stdout=Terminal(), input_prompt="> ")
        source, output = text.input(), text.output()
        await source.start(AGENT)
        try:
            await output(BidiTranscriptDeltaEvent("Forty", "assistant", "r1"))
            keys.send_text("\rHello agent\r")
            assert await asyncio.wait_for(source(), 5) == "Hello agent"
            keys.send_text("\x04")
            with pytest.raises(EOFError):
                await asyncio.wait_for(source(), 5)
        finally:
            await source.stop()


def test_prompt_toolkit_is_loaded_for_a_terminal_only() -> None:
    code = (
        "import sys, io, asyncio; from unittest.mock import MagicMock; from realtime_voice.strands import BidiTextIO\n"
        "async def main():\n"
        "    source = BidiTextIO(stdin=io.StringIO('x')).input(); await source.start(MagicMock()); await source()\n"
        "asyncio.run(main()); print('prompt_toolkit' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False"
