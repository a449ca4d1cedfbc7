"""Ratios against the peers: one table, one plot, one JSON, out of the passes that pytest-benchmark wrote.

    python bench/report.py build/bench

Reads `pass-*.json` in that folder. Within one pass everything ran in one process, so a ratio of two
medians of the same pass is fair to both; over the passes, which interleave ours and the peers'
turns, the middle ratio counts and the extremes are shown. Writes `ratios.json` and `ratios.svg`.
"""

import json
import sys
from pathlib import Path
from statistics import median

from chart import COLOURS, Axis, escape

OURS = "ours"


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


def plot(rows: list[dict]) -> str:
    """Every row a line from 1 with a dot for each peer, on a logarithmic scale."""
    rows = [row for row in rows if row["peers"]]
    ratios = [peer["ratio"] for row in rows for peer in row["peers"].values()]
    axis = Axis("", min(0.2, *ratios), max(200, *ratios), [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200], logarithmic=True)
    names = sorted({name for row in rows for name in row["peers"]})
    colour_of = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    width, step = 640, 24
    height = step * len(rows)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-310 -40 {width + 380} {height + 60}" font-size="11">',
        f'<rect x="-310" y="-40" width="{width + 380}" height="{height + 60}" fill="white"/>',
        f'<text x="{width / 2}" y="-24" text-anchor="middle">time of the peer as a multiple of ours</text>',
    ]
    for tick in axis.ticks:
        left = axis.place(tick) * width
        colour = "#666" if tick == 1 else "#ddd"
        out.append(
            f'<line x1="{left:.1f}" x2="{left:.1f}" y1="0" y2="{height}" stroke="{colour}"/>'
            f'<text x="{left:.1f}" y="-6" text-anchor="middle">{tick:g}</text>'
        )
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


def main() -> None:
    folder = Path(sys.argv[1])
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


if __name__ == "__main__":
    main()
