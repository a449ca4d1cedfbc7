"""How long the gap is when a connection is replaced, on the real clock, with the microphone at real-time pace.

    python -m tests.voice.resilience.timings [RUNS]

The gap in the outgoing audio is measured where it arrives: from the last sample of the old connection to the first of
the new one, less what the microphone takes for the samples between. Each network delays by 25 ms each way.
"""

from __future__ import annotations

import array
import asyncio
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from realtime_voice import Reconnected, Renewed, connect
from realtime_voice.audio.push import PushAudioIO

from tests.voice.resilience.fault_proxy import FaultProxy
from tests.voice.resilience.scripted_peer import LABELS, RATE, Line, ScriptedPeer
from tests.voice.resilience.talk import policy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CHUNK = RATE // 50
DELAY_S = 0.025


async def renewal(_: FaultProxy) -> None:
    """Nothing is done: the connection's time comes to its end."""


async def reset(proxy: FaultProxy) -> None:
    proxy.links[0].cut()


async def black_hole(proxy: FaultProxy) -> None:
    proxy.links[0].swallows = True


async def measure(strike: Callable[[FaultProxy], Awaitable[None]], **options: Any) -> dict[str, float]:
    """Hold one session over a replacement of its connection."""
    arrivals: list[tuple[int, float, int]] = []  # connection, time, samples
    async with ScriptedPeer() as peer, FaultProxy(peer.port) as proxy:
        proxy.delay_s = DELAY_S
        audio = PushAudioIO(rate=RATE)
        async with connect(base_url=proxy.url, audio=audio, **options) as session:
            ended = asyncio.Event()

            async def microphone() -> None:
                label, due = 0, time.perf_counter()
                while not ended.is_set():
                    samples = array.array("h", (-(label + n) % LABELS - LABELS for n in range(CHUNK)))
                    label += CHUNK
                    audio.push(samples)
                    due += CHUNK / RATE
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))

            async def watch() -> None:
                heard: dict[int, int] = {}
                while not ended.is_set():
                    for line in peer.lines:
                        if len(line.heard) != heard.get(line.number, 0):
                            heard[line.number] = len(line.heard)
                            arrivals.append((line.number, time.perf_counter(), len(line.heard)))
                    await asyncio.sleep(0.001)

            tasks = [asyncio.create_task(microphone()), asyncio.create_task(watch())]
            await asyncio.sleep(1.0)
            await strike(proxy)
            async for event in session:
                if isinstance(event, Renewed | Reconnected):
                    changed = event
                    break
            await asyncio.sleep(0.5)
            ended.set()
            await asyncio.gather(*tasks)
        last = max(arrived for number, arrived, _ in arrivals if number == 0)
        first = min(arrived for number, arrived, _ in arrivals if number == 1)
        return {
            "incoming gap ms": changed.incoming_gap_s * 1000,
            "outgoing gap ms": max(0.0, (first - last) * 1000 - CHUNK * 1000 / RATE),
            "sent again ms": changed.replayed_samples * 1000 / RATE,
            "lost": changed.lost_samples + _breaks(peer.lines[1]),
            "doubled": _doubled(peer.lines[1]),
        }


def _breaks(line: Line) -> int:
    """Samples that are missing in what a connection heard."""
    pairs = zip(line.heard, line.heard[1:], strict=False)
    return sum((before - after - 1) % LABELS for before, after in pairs)


def _doubled(line: Line) -> int:
    """Samples that a connection heard twice."""
    window = line.heard[-LABELS:]
    return len(window) - len(set(window))


async def main(runs: int = 10) -> None:
    """Print medians and the longest."""
    cases: list[tuple[str, Callable[[FaultProxy], Awaitable[None]], dict[str, Any], int]] = [
        ("renewal, nobody speaks", renewal, {"timeout_s": 2.0}, runs),
        ("reset", reset, {"reconnect": policy()}, runs),
        ("black hole, silent_s=15 (default)", black_hole, {}, min(runs, 2)),
        ("black hole, silent_s=5", black_hole, {"reconnect": policy(silent_s=5.0)}, min(runs, 3)),
    ]
    for name, strike, options, count in cases:
        found = [await measure(strike, **options) for _ in range(count)]
        parts = []
        for key in found[0]:
            values = [one[key] for one in found]
            parts.append(f"{key} {statistics.median(values):.0f} (longest {max(values):.0f})")
        print(f"{name}, {count} runs: {', '.join(parts)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
