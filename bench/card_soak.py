"""A long conversation with a virtual sound card: does memory grow, does what waits stay bounded, is anything lost?

    tests/virtual_soundcard.sh .venv/bin/python bench/card_soak.py [--minutes 30] [--json FILE]

A line for every tenth of the time; underruns are in samples, and the machine's where the device's are more than 0.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "card"))

from soak import Soak


def show(row: dict[str, float]) -> None:
    print("| " + " | ".join(f"{value:{len(name)}g}" for name, value in row.items()) + " |", flush=True)


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=30.0)
    arguments.add_argument("--json", type=Path, help="write the numbers there")
    options = arguments.parse_args()
    soak = Soak()
    print("| " + " | ".join(soak.NAMES) + " |\n|" + " ---: |" * len(soak.NAMES))
    rows = await soak.run(60.0 * options.minutes, 10, show)
    print(f"\nevents: {soak.happened}")
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


asyncio.run(main())
