"""Each fault at each stage of a conversation: what is lost, what is doubled, or which exception ends it.

python -m tests.voice.resilience.matrix              # everything, as a table
python -m tests.voice.resilience.matrix --docs       # and into docs/session.md
python -m tests.voice.resilience.matrix FAULT STAGE  # one cell
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from realtime_voice import Interrupted, Reconnected, Renewed
from realtime_voice.errors import RealtimeError

from tests.voice.resilience.fault_proxy import CLIENT, SERVER
from tests.voice.resilience.scripted_peer import Script
from tests.voice.resilience.talk import Talk, policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PAGE: Final = Path(__file__).parents[3] / "docs" / "session.md"
_TABLE: Final = re.compile(r"(<!-- faults -->\n)(.*?)(<!-- end -->)", re.DOTALL)
MIB: Final = 1024 * 1024
LIFE_S: Final = 1000.0
"""How long a connection may live in these conversations."""


# --- faults: what is done to the connection that stands (or is next to stand) -----------------------------------------


async def reset(talk: Talk) -> None:
    talk.proxy.link.cut()


async def cut_in_a_server_frame(talk: Talk) -> None:
    talk.proxy.link.cut_after[SERVER] = 37


async def cut_in_a_client_frame(talk: Talk) -> None:
    talk.proxy.link.cut_after[CLIENT] = 101


async def black_hole(talk: Talk) -> None:
    talk.proxy.link.swallows = True
    talk.fall_silent()


async def half_open(talk: Talk) -> None:
    talk.proxy.link.half_open()
    talk.fall_silent()


async def delay(talk: Talk) -> None:
    talk.proxy.delay_s = 0.03


async def slow(talk: Talk) -> None:
    talk.proxy.bytes_per_s = 2_000_000


async def duplicate(talk: Talk) -> None:
    talk.proxy.link.duplicates = 1000


async def reorder(talk: Talk) -> None:
    """What the server still said on the lost connection arrives when the next one stands."""
    link = talk.proxy.link
    link.held = []
    link.server.write(b"")
    talk.proxy.on_link = lambda _: asyncio.get_running_loop().call_later(0.02, link.release)
    talk.fall_silent()


async def refuse(talk: Talk) -> None:
    talk.proxy.refusals = 3
    for link in talk.proxy.links:
        link.cut()


async def no_close_answer(talk: Talk) -> None:
    talk.proxy.answers_close = False


async def large_frame(talk: Talk) -> None:
    talk.script.padding = 3 * MIB // 2


async def too_large_frame(talk: Talk) -> None:
    talk.script.padding = 17 * MIB


def close(code: int) -> Callable[[Talk], Awaitable[None]]:
    async def strike(talk: Talk) -> None:
        await talk.peer.line.socket.close(code)

    return strike


async def expired(talk: Talk) -> None:
    message = "Your session hit the maximum duration of 60 minutes."
    error = {"type": "invalid_request_error", "code": "session_expired", "message": message}
    await talk.peer.line.say("error", error=error)
    await talk.peer.line.socket.close(1001)


FAULTS: Final[dict[str, Callable[[Talk], Awaitable[None]]]] = {
    "reset": reset,
    "cut in a server's frame": cut_in_a_server_frame,
    "cut in a client's frame": cut_in_a_client_frame,
    "black hole": black_hole,
    "half-open": half_open,
    "delay": delay,
    "slow": slow,
    "duplicate": duplicate,
    "reorder": reorder,
    "refuse": refuse,
    "no CLOSE answer": no_close_answer,
    "1.5 MiB frame": large_frame,
    "17 MiB frame": too_large_frame,
    "close 1001": close(1001),
    "close 1009": close(1009),
    "close 1011": close(1011),
    "expired": expired,
}
BEFORE_UPGRADE: Final = (
    reset,
    cut_in_a_server_frame,
    cut_in_a_client_frame,
    black_hole,
    half_open,
    delay,
    slow,
    refuse,
)
"""What can befall a connection that is no WebSocket yet."""


# --- stages: how far the conversation is when the fault strikes -------------------------------------------------------


async def connecting(talk: Talk, strike: Any) -> None:
    """On the first connection, before the upgrade."""
    struck: list[asyncio.Task[None]] = []

    def on_link(_: object) -> None:
        talk.proxy.on_link = None
        struck.append(asyncio.create_task(strike(talk)))

    if strike in {refuse, delay, slow}:
        await strike(talk)
    else:
        talk.proxy.on_link = on_link
    await talk.start()


async def configuring(talk: Talk, strike: Any) -> None:
    """When the server has the session.update and has not answered."""
    talk.script.accept = False
    starting = asyncio.create_task(talk.start())
    try:
        while not (talk.peer.lines and talk.peer.line.update):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await strike(talk)
        talk.script.accept = True
        await talk.peer.line.configure()
    finally:
        await starting


async def listening(talk: Talk, strike: Any) -> None:
    await talk.start()
    await talk.turn()
    talk.hear(200, loud=False)
    await strike(talk)
    talk.hear(200, loud=False)


async def speaking(talk: Talk, strike: Any) -> None:
    await talk.start()
    await talk.turn()
    talk.begin_turn()
    await talk.arrived()
    await strike(talk)
    talk.end_turn()
    await talk.answer()


async def tool_running(talk: Talk, strike: Any) -> None:
    talk.script.tool_turns = frozenset({2})
    await talk.start()
    await talk.turn()
    talk.begin_turn()
    talk.end_turn()
    await talk.until(talk.tool_began.is_set)
    await strike(talk)
    talk.tool_may_end.set()
    await talk.answer()
    assert (talk.tool_runs, talk.peer.calls) == (1, 1)
    outputs = [item["output"] for item in talk.peer.line.items if item["type"] == "function_call_output"]
    assert outputs == ["5"]


async def streaming(talk: Talk, strike: Any) -> None:
    talk.script.hold_after[2] = 3
    await talk.start()
    await talk.turn()
    talk.begin_turn()
    talk.end_turn()
    await talk.until(lambda: 2 in talk.peer.held)
    await talk.answer(words=2)
    await strike(talk)
    talk.script.go_on.set()
    await talk.answer()


async def barge_in(talk: Talk, strike: Any) -> None:
    await talk.start()
    await talk.turn()
    talk.begin_turn()
    talk.end_turn()
    await talk.answer(words=2)
    talk.cut.add(len(talk.spoken))
    talk.begin_turn()
    await strike(talk)
    await talk.until(lambda: talk.happened(Interrupted))
    talk.end_turn()
    await talk.answer()


async def renewing(talk: Talk, strike: Any) -> None:
    """When the successor has the session.update and has not answered, and the user speaks."""
    await talk.start()
    await talk.turn()
    talk.begin_turn()
    await talk.arrived()
    talk.script.accept = False
    talk.clock.step(0.8 * LIFE_S)
    await talk.until(lambda: len(talk.peer.lines) == 2 and talk.peer.line.update)
    talk.script.accept = True
    await strike(talk)
    await talk.peer.line.configure()
    talk.end_turn()
    await talk.answer()
    await talk.until(lambda: talk.session.generation > 1)


STAGES: Final[dict[str, Callable[[Talk, Any], Awaitable[None]]]] = {
    "connecting": connecting,
    "configuring": configuring,
    "listening": listening,
    "speaking": speaking,
    "tool running": tool_running,
    "response streaming": streaming,
    "barge-in": barge_in,
    "renewing": renewing,
}


@dataclasses.dataclass
class Outcome:
    """What became of a conversation."""

    error: BaseException | None
    account: tuple[int, int, int, int]
    generation: int
    gap_ms: float
    in_order: bool

    @property
    def is_whole(self) -> bool:
        """Nothing was lost or doubled, and nobody heard anything out of order."""
        return self.error is None and self.account == (0, 0, 0, 0) and self.in_order

    def __str__(self) -> str:
        if self.error is not None:
            return type(self.error).__name__
        if self.is_whole:
            return "unharmed" if self.generation == 1 else "recovered"
        return "lost or doubled: " + "/".join(map(str, self.account))


def can_strike(fault: str, stage: str) -> bool:
    """Whether there is such a fault at the stage."""
    return stage != "connecting" or FAULTS[fault] in BEFORE_UPGRADE


async def run(fault: str, stage: str) -> Outcome:
    """Hold a conversation in which the fault strikes at the stage, and another turn after it."""
    is_start = stage in {"connecting", "configuring"} and FAULTS[fault] in {black_hole, half_open, reorder}
    limits = {"connect_timeout_s": 0.3, "configure_timeout_s": 0.3} if is_start else {}
    error: BaseException | None = None
    async with Talk(Script(), reconnect=policy(), timeout_s=LIFE_S, **limits) as talk:
        try:
            await STAGES[stage](talk, FAULTS[fault])
            await talk.turn()
        except RealtimeError as ended:
            error = ended
        account = talk.account() if error is None else (0, 0, 0, 0)
        changed = talk.happened(Reconnected) + talk.happened(Renewed)
        gap_s = max((event.incoming_gap_s for event in changed), default=0.0)
        return Outcome(error, account, talk.session.generation, gap_s * 1000, talk.is_in_order)


def documented() -> dict[tuple[str, str], str]:
    """Return the outcomes that docs/session.md tells."""
    table = _TABLE.search(PAGE.read_text())
    assert table is not None
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table[2].splitlines()]
    return {(row[0], stage): cell for row in rows[2:] for stage, cell in zip(rows[0][1:], row[1:], strict=True)}


async def table() -> str:
    """Run everything; return the table in Markdown."""
    lines = ["| fault | " + " | ".join(STAGES) + " |", "| --- |" + " --- |" * len(STAGES)]
    for fault in FAULTS:
        cells = []
        for stage in STAGES:
            try:
                cells.append(str(await run(fault, stage)) if can_strike(fault, stage) else "-")
            except AssertionError as error:
                cells.append(f"FAILED {error}")
        lines.append(f"| {fault} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)  # noqa: T201
    return "\n".join(lines) + "\n"


async def main(*arguments: str) -> None:
    """Run everything, or one cell."""
    if len(arguments) == 2:
        print(await run(*arguments))  # noqa: T201
        return
    began = time.perf_counter()
    text = await table()
    print(f"{len(FAULTS) * len(STAGES)} cells in {time.perf_counter() - began:.0f} s")  # noqa: T201
    if arguments == ("--docs",):
        PAGE.write_text(_TABLE.sub(lambda found: found[1] + text + found[3], PAGE.read_text()))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
