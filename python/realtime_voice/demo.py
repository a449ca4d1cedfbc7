"""A recorded conversation with the agent at real-time pace: no key, no sound hardware, no network.

The user asks a sum, has the agent count and speaks over it, and ends the conversation. Afterwards what the
user heard is listened to: the demo succeeds only when the numbers in it are right.
"""

from __future__ import annotations

import asyncio
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Final

import msgspec

from realtime_voice.audio import PlayoutStarted, VirtualAudioIO, WavWriter, read_wav
from realtime_voice.console import Console
from realtime_voice.events import Interrupted, SessionUpdated, ToolCall, ToolResult
from realtime_voice.talk import (
    HANGOVER_MS,
    Agent,
    Conversation,
    TalkOptions,
    converse,
    default_agent,
    local_server,
    need_server,
    until_first,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RATE: Final = 48000
PAUSE_S: Final = 0.6
"""The user's pause after an answer."""
ANSWER_S: Final = 20.0
"""Longest wait for an answer before the demo gives up."""
OVER_S: Final = 2.2
"""How long the user listens before speaking over the answer."""


class Line(msgspec.Struct, frozen=True):
    """One thing the user says."""

    file: str
    """Recording under data/speech."""
    over: bool = False
    """Said over the answer to the line before."""
    last: bool = False
    """The agent ends the conversation on it."""
    expression: str | None = None
    """What the calculator must be asked."""
    result: int | None = None
    """What it must give, and what the user must hear."""


SCRIPT: Final = (
    Line("what_is_twelve_times_seven", expression="12*7", result=84),
    Line("count_to_thirty"),
    Line("what_is_twenty_plus_five", over=True, expression="20+5", result=25),
    Line("stop_conversation", last=True),
)


class DemoFailure(Exception):  # noqa: N818 - an outcome more than an error
    """The conversation did not go as it must; the message says where."""


class _Course:
    """What has happened so far, and waiting for what must happen next."""

    def __init__(self, conversation: Conversation, audio: VirtualAudioIO) -> None:
        self.conversation = conversation
        self.audio = audio
        self.calls: list[tuple[str, str]] = []
        self.results: list[str] = []
        self.interruptions: list[Interrupted] = []
        self.answers = 0
        self.ready = False
        conversation.watchers.append(self._watch)

    def _watch(self, event: object) -> None:
        match event:
            case SessionUpdated():
                self.ready = True
            case ToolCall(name=name, arguments=arguments):
                self.calls.append((name, str(arguments.get("expression", "")).replace(" ", "")))
            case ToolResult(output=output):
                self.results.append(output)
            case Interrupted():
                self.interruptions.append(event)
            case PlayoutStarted():
                self.answers += 1

    async def until(self, what: str, happened: Callable[[], bool]) -> None:
        """Wait for something. Raises DemoFailure, naming it, after a while."""
        try:
            async with asyncio.timeout(ANSWER_S):
                while not happened():  # noqa: ASYNC110 - a condition over several sources
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise DemoFailure(f"{what} did not happen within {ANSWER_S:.0f} s") from None

    def _more_cuts_than(self, cuts: int) -> bool:
        return len(self.interruptions) > cuts

    def _more_answers_than(self, answers: int) -> bool:
        return self.answers > answers

    async def play(self) -> None:
        """Be the user."""
        await self.until("the start of the session", lambda: self.ready)
        await asyncio.sleep(PAUSE_S)
        for line in SCRIPT:
            answers, cuts = self.answers, len(self.interruptions)
            self.audio.say(*_speech(line.file))
            await self.audio.silence()
            if line.over:
                await self.until("the cut of the answer", partial(self._more_cuts_than, cuts))
            if line.last:
                return
            await self.until(f"an answer to {_words(line.file)}", partial(self._more_answers_than, answers))
            following = SCRIPT[SCRIPT.index(line) + 1]
            if following.over:
                await asyncio.sleep(OVER_S)
            else:
                await self.conversation.quiet(PAUSE_S)


async def demo(directory: Path, *, agent: Agent | None = None, stop: asyncio.Event | None = None) -> int:
    """Hold the conversation and leave `answer.wav` and `timeline.svg` in `directory`; returns the exit status.

    Raises RealtimeError, OSError or ImportError for what cannot be done.
    """
    from realtime_voice.server import recognize_numbers

    need_server()
    agent = agent or default_agent()
    answer, picture = directory / "answer.wav", directory / "timeline.svg"
    directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything runs
    console = Console()
    console.line("", f"agent: {agent}; a recorded user and the local server; everything stays on this machine")
    failures: list[str] = []
    async with local_server() as url:  # before any file: nothing is left behind where it cannot start
        with WavWriter(answer, RATE) as heard:
            audio = VirtualAudioIO(rate=RATE, heard=heard.write, hangover_ms=HANGOVER_MS)
            conversation = Conversation(audio, console, f"realtime demo: {agent}")
            course = _Course(conversation, audio)
            try:
                await _hold(agent, url, course, stop or asyncio.Event())
            except DemoFailure as failure:
                failures.append(str(failure))
            finally:
                console.close()
                picture.write_text(conversation.builder.timeline.svg(), encoding="utf-8")
    if stop is not None and stop.is_set():
        return 130
    numbers = await asyncio.to_thread(recognize_numbers, answer)
    failures += _checks(course, numbers, answer, console)
    console.line("", conversation.summary())
    console.line("", f"what the user heard: {answer}")
    console.line("", f"what happened when: {picture}")
    for words in failures:
        console.line("error", words)
    return 1 if failures else 0


async def _hold(agent: Agent, url: str, course: _Course, stop: asyncio.Event) -> None:
    conversation = course.conversation
    ended = asyncio.Event()

    async def run() -> None:
        await converse(agent, TalkOptions(input="none", output="none"), url, [], conversation)
        ended.set()

    async def play() -> None:
        await course.play()
        await course.until("the end of the conversation", ended.is_set)

    levels = asyncio.create_task(conversation.watch_levels(lambda: ""))
    try:
        await until_first(run(), play, stop.wait)
    finally:
        levels.cancel()
    if not ended.is_set() and not stop.is_set():
        raise DemoFailure("the agent ended before the conversation did")


def _checks(course: _Course, numbers: list[int], answer: Path, console: Console) -> list[str]:
    """Compare with what must have happened; returns what is wrong."""
    failures = []
    sums = [line for line in SCRIPT if line.expression is not None]
    asked = [expression for _, expression in course.calls if expression]
    if asked != [line.expression for line in sums]:
        failures.append(f"the calculator was asked {asked}, not {[line.expression for line in sums]}")
    failures += [
        f"no tool gave {line.result} for {line.expression}"
        for line in sums
        if not any(str(line.result) in output for output in course.results)
    ]
    rest: Iterator[int | None] = iter(numbers)
    if not all(line.result in rest for line in sums):  # in this order
        failures.append(f"{[line.result for line in sums]} are not the numbers in the answer, which are {numbers}")
    if not any(0 < cut.played_ms < cut.received_ms for cut in course.interruptions):
        failures.append("no answer was cut short")
    if not failures:
        results = " and ".join(str(line.result) for line in sums)
        console.line("", f"the calculator was asked {' and '.join(asked)}; in {answer.name} is heard {results}")
    return failures


def _speech(name: str) -> tuple[bytes, int]:
    path = resources.files("realtime_voice") / "data" / "speech" / f"{name}.wav"
    with resources.as_file(path) as file:
        return read_wav(file)


def _words(name: str) -> str:
    return f"“{name.replace('_', ' ')}”"
