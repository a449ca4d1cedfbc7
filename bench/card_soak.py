"""A long conversation with a virtual sound card: does memory grow, does what waits stay bounded, is anything lost?

    tests/virtual_soundcard.sh .venv/bin/python bench/card_soak.py [--minutes 30] [--json FILE]

A source in real time, as a relayed call is, feeds the speaker by the system's clock, an answer of 19 s in 20; what
the microphone hears is taken, encoded and thrown away. A line for every tenth of the time.
"""

import argparse
import asyncio
import base64
import contextlib
import gc
import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "card"))

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
    """The conversation and what is measured of it."""

    def __init__(self) -> None:
        self.audio = DeviceAudioIO()
        self.audio.observer = self.observe
        self.happened: dict[str, int] = {}
        self.chunks = 0
        self.fills: list[float] = []

    def observe(self, event: AudioEvent) -> None:
        name = type(event).__name__
        self.happened[name] = self.happened.get(name, 0) + 1

    async def listen(self) -> None:
        while (chunks := await self.audio.captured()) is not None:
            self.chunks += len(chunks)
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
            "chunks": self.chunks,
            **{name: int(stats[name]) for name in ("underruns", "overruns", "device_underflows", "device_overflows")},
            "missed_ms": round(self.audio.missed_s * 1e3),
        }

    async def run(self, seconds: float, rows: int = 10) -> list[dict[str, float]]:
        with urgent_threads():
            await self.audio.start(WIRE, WIRE)
        tasks = [asyncio.create_task(work()) for work in (self.listen, self.speak)]
        found: list[dict[str, float]] = []
        begin = time.monotonic()
        for row in range(1, rows + 1):
            await asyncio.sleep(max(0.0, begin + seconds * row / rows - time.monotonic()))
            found.append(self.row((time.monotonic() - begin) / 60))
            if row == 1:
                print("| " + " | ".join(found[0]) + " |\n|" + " ---: |" * len(found[0]))
            print("| " + " | ".join(str(value) for value in found[-1].values()) + " |", flush=True)
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.audio.stop()
        print(f"\nevents: {self.happened}")
        return found


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=30.0)
    arguments.add_argument("--json", type=Path, help="write the numbers there")
    options = arguments.parse_args()
    rows = await Soak().run(60.0 * options.minutes)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
