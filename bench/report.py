"""Ratios against the peers: one table, one plot, one JSON, out of the passes that pytest-benchmark wrote.

    python bench/report.py build/bench [--docs docs/]

Reads `pass-*.json` in that folder; with --docs the README's picture is made anew, too. Within one pass everything ran
in one process, so a ratio of two medians of the same pass is fair to both; over the passes, which interleave ours and
the peers' turns, the middle ratio counts and the extremes are shown. Writes `ratios.json` and `ratios.svg`.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median

from chart import COLOURS, Axis, escape

OURS = "ours"
SHOWN = [
    ("frame 20 ms", "ours", "json_base64", "frame 20 ms of microphone", "json + base64"),
    ("frame 20 ms", "ours", "fstring_pybase64", "", "f-string + pybase64"),
    ("delta 200 ms", "ours", "json_base64", "200 ms of answer into the ring", "json + base64"),
    ("delta 200 ms", "ours", "orjson_pybase64", "", "orjson + pybase64"),
    ("ring 20 ms", "ours", "strands_audio_buffer", "20 ms into a ring and out", "strands AudioBuffer"),
    ("resample 48000 -> 24000", "ours_fast", "soxr_hq", "resample 48 to 24 kHz, live", "soxr HQ"),
    ("resample 44100 -> 24000", "ours_fast", "soxr_hq", "resample 44.1 to 24 kHz, live", "soxr HQ"),
    ("speech detection, light, 10 s", "ours_light", "webrtcvad", "light speech detector", "webrtcvad"),
    ("speech detection, neural, 10 s", "ours_neural", "pysilero", "Silero network", "pysilero"),
    ("whole client up", "ours", "strands_agent", "whole client, up", "Strands agent"),
    ("whole client down, 20 ms deltas", "ours", "strands_agent", "whole client, down, 20 ms deltas", "Strands agent"),
    ("whole client down, 20 ms deltas", "ours", "pipecat_pipeline", "", "pipecat"),
]
"""The README's picture: group, ours, peer, what is done, by what."""


def label_of(name: str, group: list[str]) -> str:
    """What tells a benchmark from the others of its group: `bench_ring[ours-20]` is `ours`."""

    def parts(name: str) -> list[str]:
        return name.partition("[")[2].rstrip("]").split("-")

    shared = set.intersection(*(set(parts(other)) for other in group)) if len(group) > 1 else set()
    return "-".join(part for part in parts(name) if part not in shared) or OURS


def read_pass(path: Path) -> dict[str, dict[str, float]]:
    """Seconds (median) by group and label."""
    groups: dict[str, dict[str, float]] = {}
    for benchmark in json.loads(path.read_text())["benchmarks"]:
        groups.setdefault(benchmark["group"], {})[benchmark["name"]] = benchmark["stats"]["median"]
    return {
        group: {label_of(name, list(names)): seconds for name, seconds in names.items()}
        for group, names in groups.items()
    }


def compare(passes: list[dict[str, dict[str, float]]]) -> list[dict[str, object]]:
    """One row for each of ours: its time, and how many times that each peer takes."""
    rows: list[dict[str, object]] = []
    for group, first in passes[0].items():
        for mine in [label for label in first if label.startswith(OURS)]:
            peers = {}
            for peer in first:
                if peer.startswith(OURS):
                    continue
                ratios = sorted(one[group][peer] / one[group][mine] for one in passes)
                peers[peer] = {"ratio": median(ratios), "lowest": ratios[0], "highest": ratios[-1]}
            rows.append(
                {
                    "group": group,
                    "ours": mine,
                    "microseconds": median(one[group][mine] for one in passes) * 1e6,
                    "peers": dict(sorted(peers.items(), key=lambda item: item[1]["ratio"])),
                }
            )
    return rows


def table(rows: list[dict]) -> str:
    """Markdown; a ratio above 1 means that ours is cheaper."""
    out = [
        "| what | ours | µs | peers: times ours (lowest to highest pass) |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        peers = ", ".join(
            f"{name} **{peer['ratio']:.3g}** ({peer['lowest']:.3g}-{peer['highest']:.3g})"
            for name, peer in row["peers"].items()
        )
        out.append(f"| {row['group']} | {row['ours']} | {row['microseconds']:.3g} | {peers} |")
    return "\n".join(out)


def frame(axis: Axis, *, left: int, width: int, right: int, height: int, font: int) -> list[str]:
    """The beginning of a picture: white paper, and the axis on top of what will be drawn, with a line for each tick."""
    size = f"{left + width + right} {height + 50}"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-left} -40 {size}" font-size="{font}">',
        f'<rect x="{-left}" y="-40" width="{left + width + right}" height="{height + 50}" fill="white"/>',
        f'<text x="{width / 2}" y="-24" text-anchor="middle">{escape(axis.title)}</text>',
    ]
    for tick in axis.ticks:
        at = axis.place(tick) * width
        out.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height}" stroke="{"#666" if tick == 1 else "#ddd"}"/>'
            f'<text x="{at:.1f}" y="-6" text-anchor="middle" fill="#666">{tick:g}</text>'
        )
    return out


def plot(rows: list[dict]) -> str:
    """Every row a line from 1 with a dot for each peer, on a logarithmic scale."""
    rows = [row for row in rows if row["peers"]]
    ratios = [peer["ratio"] for row in rows for peer in row["peers"].values()]
    ticks = [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]
    title = "time of the peer as a multiple of ours"
    axis = Axis(title, min(0.2, *ratios), max(200, *ratios), ticks, logarithmic=True)
    names = sorted({name for row in rows for name in row["peers"]})
    colour_of = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    width, step = 640, 24
    out = frame(axis, left=310, width=width, right=70, height=step * len(rows), font=11)
    for index, row in enumerate(rows):
        top = step * (index + 0.5)
        name = row["group"] + ("" if row["ours"] == OURS else f" ({row['ours'].removeprefix('ours_')})")
        out.append(f'<text x="-8" y="{top + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        for turn, (peer, found) in enumerate(row["peers"].items()):
            left, beside = axis.place(found["ratio"]) * width, top + (-3 if turn % 2 else 9)
            out.append(
                f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3.5" fill="{colour_of[peer]}">'
                f"<title>{escape(peer)}: {found['ratio']:.3g}</title></circle>"
                f'<text x="{left + 5:.1f}" y="{beside:.1f}" font-size="8" fill="{colour_of[peer]}">'
                f"{escape(peer)}</text>"
            )
    return "\n".join([*out, "</svg>\n"])


def picture(rows: list[dict]) -> str:
    """A bar for each of SHOWN, as long as the peer takes while ours takes 1, on a logarithmic scale."""
    found = {(row["group"], row["ours"]): row["peers"] for row in rows}
    axis = Axis("time it takes elsewhere, here 1", 1, 100, [1, 2, 5, 10, 20, 50, 100], logarithmic=True)
    width, step = 480, 26
    out = frame(axis, left=220, width=width, right=160, height=step * len(SHOWN), font=12)
    for index, (group, ours, peer, what, way) in enumerate(SHOWN):
        ratio, top = found[group, ours][peer]["ratio"], step * index
        out.append(
            f'<text x="-8" y="{top + 17}" text-anchor="end">{escape(what)}</text>'
            f'<rect x="0" y="{top + 5}" width="{axis.place(ratio) * width:.1f}" height="16" fill="{COLOURS[0]}"/>'
            f'<text x="{axis.place(ratio) * width + 6:.1f}" y="{top + 17}">{ratio:.2g} times: {escape(way)}</text>'
        )
    return "\n".join([*out, "</svg>\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--docs", type=Path, help="make the README's picture there")
    options = parser.parse_args()
    folder = options.folder
    paths = sorted(folder.glob("pass-*.json"))
    if not paths:
        sys.exit(f"no pass-*.json in {folder}: run `make bench`")
    rows = compare([read_pass(path) for path in paths])
    machine = json.loads(paths[0].read_text())["machine_info"]
    report = {"machine": machine["cpu"].get("brand_raw"), "python": machine["python_version"], "rows": rows}
    (folder / "ratios.json").write_text(json.dumps(report, indent=1))
    (folder / "ratios.svg").write_text(plot(rows))
    print(f"{report['machine']}, Python {report['python']}, medians, {len(paths)} passes\n")
    print(table(rows))
    print(f"\n{folder / 'ratios.svg'}, {folder / 'ratios.json'}")
    if options.docs:
        (options.docs / "costs.svg").write_text(picture(rows))


if __name__ == "__main__":
    main()
