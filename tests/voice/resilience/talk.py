"""A conversation with a scripted peer through a fault proxy, on a clock that moves only as far as something waits."""

from __future__ import annotations

import array
import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from realtime_voice import connect, tool
from realtime_voice.audio.push import PushAudioIO
from realtime_voice.reconnect import LinkState, ReconnectPolicy

from tests.voice.resilience.fault_proxy import FaultProxy
from tests.voice.resilience.scripted_peer import LABELS, RATE, WORD_MS, WORDS, Script, ScriptedPeer, level
from tests.voice.stepped_clock import SteppedClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_voice import Session

PATIENCE_S = 45.0
FADE_MS = 5
"""Behind a gap in the playout the speaker fades in; that much of a word is not loud, and not lost."""
STEP_S = 0.1


class Talk:
    """Session, microphone, speaker, network and server of one conversation."""

    def __init__(self, script: Script | None = None, **options: Any) -> None:
        self.script = script or Script()
        self.peer = ScriptedPeer(self.script)
        self.clock = SteppedClock()
        self.audio = PushAudioIO(rate=RATE)
        self.events: list[Any] = []
        self.error: BaseException | None = None
        self.spoken: list[list[int]] = []
        """Samples of each thing the user said."""
        self.cut: set[int] = set()
        """Turns whose answer the user cut short."""
        self.tool_began, self.tool_may_end = asyncio.Event(), asyncio.Event()
        self.tool_runs = 0
        self._options = options
        self._silent_generation = 0
        self._label = 0
        self._heard: Counter[int] = Counter()
        self._order: list[int] = []
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.peer)
        self.proxy = await self._stack.enter_async_context(FaultProxy(self.peer.port))
        self.session = self.connect(self.proxy.url)
        return self

    def connect(self, url: str) -> Session:
        """Prepare the session."""

        @tool
        async def add(a: int, b: int) -> int:
            """Add two numbers."""
            self.tool_runs += 1
            self.tool_began.set()
            await self.tool_may_end.wait()
            return a + b

        options = {"clock": self.clock, "tools": [add], "audio": self.audio, **self._options}
        return connect(base_url=url, **options)

    async def __aexit__(self, *_: object) -> None:
        await self.session.stop()
        await self._stack.aclose()

    async def start(self) -> None:
        await self.session.start()
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for event in self.session:
                self.events.append(event)
        except Exception as error:  # noqa: BLE001  judged by the test
            self.error = error

    def fall_silent(self) -> None:
        """The present connection is silent: time has to pass until that is noticed."""
        self._silent_generation = self.session.generation

    def happened(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    # --- microphone ---

    def hear(self, ms: int, *, loud: bool) -> None:
        """Let the microphone hear speech or silence."""
        samples = array.array("h")
        for _ in range(ms * RATE // 1000):
            self._label = self._label % LABELS + 1
            samples.append(self._label if loud else -self._label)
        if loud:
            self.spoken[-1].extend(samples)
        self.audio.push(samples)

    def begin_turn(self) -> None:
        self.spoken.append([])
        self.hear(120, loud=True)

    def end_turn(self) -> None:
        self.hear(120, loud=True)
        self.hear(240, loud=False)

    async def turn(self) -> None:
        """Say something and listen to the whole answer."""
        self.begin_turn()
        self.end_turn()
        await self.answer()

    # --- speaker ---

    def listen(self, ms: int) -> None:
        for _ in range(ms // 10):
            for value, count in Counter(array.array("h", self.audio.pull(RATE // 100))).items():
                self._heard[value] += count
                if count > RATE // 1000 and value:  # no sample of a fade
                    self._order.append(value)

    def heard_ms(self, turn: int, number: int) -> float:
        return self._heard[level(turn, number)] * 1000 / RATE

    async def answer(self, words: int = WORDS) -> None:
        """Listen until so many words of the last turn's answer were heard."""
        turn = len(self.spoken)
        last = level(turn, words - 1)

        def is_heard() -> bool:
            self.listen(50)
            return self._heard[last] * 1000 // RATE >= WORD_MS

        await self.until(is_heard)

    # --- time ---

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something; the clock moves while the session waits for time to pass."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        while not condition():
            if self.error is not None:
                raise self.error
            if loop.time() > deadline:
                raise AssertionError("waited in vain")
            if self._silent_generation == self.session.generation or self.session.link is not LinkState.OPEN:
                self.clock.step(STEP_S)
            await asyncio.sleep(0.001)

    async def ended(self) -> None:
        """Wait until the session has ended and raise why."""
        await self.until(lambda: self.error is not None or self.reader.done())
        if self.error is not None:
            raise self.error

    async def arrived(self) -> None:
        """Wait until the server has heard the microphone so far."""
        loud = sum(map(len, self.spoken))
        await self.until(lambda: sum(value > 0 for line in self.peer.lines for value in line.heard) >= loud)

    # --- account ---

    def account(self) -> tuple[int, int, int, int]:
        """Milliseconds said and lost, said and doubled, heard too little, heard twice."""
        final = self.peer.line
        said_lost = said_doubled = 0
        for samples in self.spoken:
            commits = [[value for value in turn if value > 0] for line in self.peer.lines for turn in line.turns]
            whole = samples in commits or final.said.count(samples[0])
            told = final.said.count(samples[0])
            said_lost += 0 if whole and told else len(samples)
            said_doubled += max(0, told - 1) * len(samples)
        heard_lost = heard_doubled = 0.0
        for turn in range(1, len(self.spoken) + 1):
            lengths = [self.heard_ms(turn, number) for number in range(WORDS)]
            heard_doubled += sum(max(0.0, length - WORD_MS - 1) for length in lengths)  # fades cross levels
            if turn in self.cut:  # a beginning of it was heard
                lengths = lengths[: max((n + 1 for n, length in enumerate(lengths) if length > 1), default=0)][:-1]
            heard_lost += sum(max(0.0, WORD_MS - FADE_MS - length) for length in lengths)
        return said_lost * 1000 // RATE, said_doubled * 1000 // RATE, round(heard_lost), round(heard_doubled)

    @property
    def is_in_order(self) -> bool:
        """No answer was heard before an earlier one, no word before its predecessor."""
        return self._order == sorted(self._order)


def policy(**options: Any) -> ReconnectPolicy:
    return ReconnectPolicy(**{"first_wait_s": 0.1, **options})
