"""What is said, as text, for Strands' present releases, `strands.bidi`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strands.bidi.types import (
    BidiBargeInEvent,
    BidiConnectionRestartEvent,
    BidiConnectionStopEvent,
    BidiConnectionWarningEvent,
    BidiTextBlockEvent,
    BidiTextDeltaEvent,
    BidiToolUseBlocksEvent,
    BidiTranscriptBlockEvent,
    BidiTranscriptDeltaEvent,
)

from realtime_voice.strands.model import follow
from realtime_voice.strands.stable.stopping import heed_stop_requests
from realtime_voice.strands.text_io import Console, TextInputBase, TextIOBase

if TYPE_CHECKING:
    from strands.bidi import BidiAgent
    from strands.bidi.types import BidiOutputEvent


class BidiTextIO(TextIOBase):
    """Type to the agent and read what is said; its options are `TextIOBase`'s."""

    def input(self) -> TextInput:
        """Return the input: each line typed is one message of the user's."""
        return TextInput(self._console, self._prompt)

    def output(self) -> TextOutput:
        """Return the output: what is said, called and interrupted, line by line."""
        return TextOutput(self._console)


class TextInput(TextInputBase):
    """Reads lines, with a prompt on a terminal."""

    async def start(self, agent: BidiAgent) -> None:
        """Begin to read, and heed a tool's wish to end the conversation."""
        heed_stop_requests(agent)
        await super().start(agent)


class TextOutput:
    """Prints the events that are text."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}

    async def start(self, agent: BidiAgent) -> None:
        """Heed a tool's wish to end the conversation, and tell the model its agent; the screen is there already."""
        heed_stop_requests(agent)
        follow(agent)

    async def stop(self) -> None:
        """Leave the screen whole: what was being said is printed as far as it got."""
        for text in self._said.values():
            self._console.screen.line(text)
        self._said.clear()

    async def __call__(self, event: BidiOutputEvent) -> None:
        """Print `event` if it is something to read."""
        screen = self._console.screen
        match event:
            case BidiTranscriptDeltaEvent() | BidiTextDeltaEvent():
                who = "user" if isinstance(event, BidiTranscriptDeltaEvent) and event.role == "user" else "agent"
                text = self._said.get(event.content_id, f"{who}: ") + event.delta
                self._said[event.content_id] = text
                screen.preview(text)
            case BidiTranscriptBlockEvent():
                self._said.pop(event.content_id, None)
                who = "user" if event.role == "user" else "agent"
                screen.line(f"{who}: {event.transcript.strip()}")
            case BidiTextBlockEvent():
                self._said.pop(event.content_id, None)
                screen.line(f"agent: {event.text.strip()}")
            case BidiToolUseBlocksEvent():
                for use in event.tool_uses:
                    arguments = ", ".join(f"{name}={value!r}" for name, value in use["input"].items())
                    screen.line(f"tool: {use['name']}({arguments})")
            case BidiBargeInEvent():
                screen.line("interrupted")
            case BidiConnectionWarningEvent():
                screen.line(f"the connection is renewed in {event.time_left_s:.0f} s")
            case BidiConnectionRestartEvent():
                screen.line("the connection is renewed")
            case BidiConnectionStopEvent():
                screen.line("the conversation has ended")
            case _:
                pass
