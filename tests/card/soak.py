"""A long conversation with the virtual sound card, and what it costs: memory, what waits, what is lost."""

import asyncio
import base64
import contextlib
import gc
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from realtime_voice.audio import AudioEvent, DeviceAudioIO
from virtual_card import WIRE, sine, urgent_threads

DELTA_S = 0.1
ANSWER_S, EVERY_S = 19.0, 20.0


def resident_kb() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Soak:
    """A source in real time, as a relayed call is, feeds the speaker by the system's clock, an answer of 19 s in 20.

    What the microphone hears is taken, encoded and thrown away.
    """

    COUNTERS = ("underruns", "overruns", "device_underflows", "device_overflows")
    NAMES = ("minutes", "resident_kb", "objects", "least_ms", "most_ms", "heard_ms", "dropped", *COUNTERS, "missed_ms")

    def __init__(self) -> None:
        self.audio = DeviceAudioIO(echo_control=None)
        self.audio.observer = self.observe
        self.happened: dict[str, int] = {}
        self.heard = 0  # samples up to the last chunk
        self.fills: list[float] = []

    def observe(self, event: AudioEvent) -> None:
        name = type(event).__name__
        self.happened[name] = self.happened.get(name, 0) + 1

    async def listen(self) -> None:
        while (chunks := await self.audio.captured()) is not None:
            self.heard = chunks[-1][0] if chunks else self.heard
            self.audio.events()

    async def speak(self) -> None:
        tone = base64.b64encode(sine(440, DELTA_S)).decode()
        duplex, begin = self.audio.duplex, time.monotonic()
        for delta in range(sys.maxsize):
            await asyncio.sleep(max(0.0, begin + delta * DELTA_S - time.monotonic()))
            answer, at = divmod(delta * DELTA_S, EVERY_S)
            if at < ANSWER_S:
                self.audio.playout.feed_audio(f"answer {answer:.0f}", tone)
                if at > 1.0:
                    self.fills.append((duplex.playout.head - duplex.played) / duplex.rate)
            else:
                self.audio.playout.end_item(f"answer {answer:.0f}")

    def row(self, minutes: float) -> dict[str, float]:
        stats = self.audio.duplex.stats()
        fills, self.fills = self.fills, []
        return {
            "minutes": round(minutes, 1),
            "resident_kb": resident_kb(),
            "objects": len(gc.get_objects()),
            "least_ms": round(min(fills, default=0.0) * 1e3),
            "most_ms": round(max(fills, default=0.0) * 1e3),
            "heard_ms": round(self.heard * 1e3 / WIRE.rate),
            "dropped": self.audio.dropped_chunks,
            **{name: int(stats[name]) for name in self.COUNTERS},
            "missed_ms": round(self.audio.missed_s * 1e3),
        }

    async def run(
        self, seconds: float, rows: int, told: Callable[[dict[str, float]], object]
    ) -> list[dict[str, float]]:
        with urgent_threads():
            await self.audio.start(WIRE, WIRE)
        tasks = [asyncio.create_task(work()) for work in (self.listen, self.speak)]
        found: list[dict[str, float]] = []
        begin = time.monotonic()
        for row in range(1, rows + 1):
            await asyncio.sleep(max(0.0, begin + seconds * row / rows - time.monotonic()))
            found.append(self.row((time.monotonic() - begin) / 60))
            told(found[-1])
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.audio.stop()
        return found
