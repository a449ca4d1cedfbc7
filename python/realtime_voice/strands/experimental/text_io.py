"""What is said, as text, for Strands' first bidirectional releases, `strands.experimental.bidi`."""

from __future__ import annotations

from typing import Any

from realtime_voice.strands.experimental.names import (
    BidiConnectionCloseEvent,
    BidiConnectionRestartEvent,
    BidiInterruptionEvent,
    BidiTranscriptStreamEvent,
    ToolUseStreamEvent,
)
from realtime_voice.strands.model import follow
from realtime_voice.strands.text_io import Console, TextInputBase, TextIOBase


class BidiTextIO(TextIOBase):
    """Type to the agent and read what is said; its options are `TextIOBase`'s."""

    def input(self) -> TextInputBase:
        """Return the input: each line typed is one message of the user's."""
        return TextInputBase(self._console, self._prompt)

    def output(self) -> TextOutput:
        """Return the output: what is said, called and interrupted, line by line."""
        return TextOutput(self._console)


class TextOutput:
    """Prints the events that are text."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}

    async def start(self, agent: Any) -> None:
        """Tell the model its agent; the screen is there already."""
        follow(agent)

    async def stop(self) -> None:
        """Leave the screen whole: what was being said is printed as far as it got."""
        for role, text in self._said.items():
            self._console.screen.line(f"{role}: {text}")
        self._said.clear()

    async def __call__(self, event: Any) -> None:
        """Print `event` if it is something to read."""
        screen = self._console.screen
        if isinstance(event, BidiTranscriptStreamEvent):
            who = "user" if event.role == "user" else "agent"
            if event.is_final:
                self._said.pop(who, None)
                screen.line(f"{who}: {event.text.strip()}")
            else:
                self._said[who] = event.current_transcript or event.text
                screen.preview(f"{who}: {self._said[who]}")
        elif isinstance(event, ToolUseStreamEvent):
            use = event["current_tool_use"]
            arguments = ", ".join(f"{name}={value!r}" for name, value in use["input"].items())
            screen.line(f"tool: {use['name']}({arguments})")
        elif isinstance(event, BidiInterruptionEvent):
            screen.line("interrupted")
        elif isinstance(event, BidiConnectionRestartEvent):
            screen.line("the connection is renewed")
        elif isinstance(event, BidiConnectionCloseEvent):
            screen.line("the conversation has ended")
