"""Whole clients live: CPU of a session per second, on one TLS WebSocket server at real-time pace.

    python -m bench.live_clients [--clients ours strands_agent ...] [--deltas 20 100 200] [--sessions 1 10]
                                 [--rounds 5] [--cycles 2] [--deflate] [--json FILE]

Each client runs its authors' own classes in a process of its own (`clients/live.py`), with its own settings of the
socket; the server (`clients/endpoint.py`) is another process. The microphone gives 20 ms blocks all the time; every 5 s
the agent speaks for 2.4 s, in deltas at real-time pace, and the user for 1.6 s. Counted is the CPU time of the client's
process, all threads, over whole cycles, after a first one: beginnings are left out; keep-alive, wake-ups and TLS are
in. Of one session each all clients run at the same time, so that whatever else the machine does meets all of them;
those of several sessions take turns. A figure whose audio did not arrive, up or down, is refused.

What a figure includes. All: a task that is the microphone's clock, which `nothing` has alone. Strands: the callbacks of
both devices, called by that task instead of PortAudio's threads. pipecat: its input's callback and its writes; its
speech detection is off, as by default. livekit-agents: a session without its room; its speech detection is off where
the server detects turns. openai-agents has no device side. `ours`: a virtual sound card that calls the C callback with
blocks of 20 ms as a sound card on Linux does, the rings, the tick, speech detection; `ours_in_strands` the same below a
`BidiAgent`; `ours_push`, for those who bring their own audio, all but the tick. Nobody resamples. Appends: Strands,
pipecat and openai-agents send each block, livekit 100 ms at a time, ours 20 ms while somebody speaks and 100 ms else.

Compression: OpenAI's server takes up permessage-deflate when it is offered, as captures show; its documentation does
not speak of it. `websockets` offers it by default, and so do Strands, pipecat and openai-agents; ours and livekit do
not. Here it is refused, which spares who offers it, unless --deflate is given.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Self

from realtime_voice.audio.wav import read_wav

from bench.clients.world import ANSWER_S, CYCLE_S, RATE
from bench.workers import CLIENTS, HERE, Worker

SPEECH = HERE.parent / "python" / "realtime_voice" / "data" / "speech" / "what_is_twelve_times_seven.wav"
APPEND_BYTES_PER_S = 2 * RATE * 4 / 3
ARRIVED = 0.85
"""Share of the audio that must have arrived, both ways; the rest is what jitter moves over the window's edges."""
PACKAGES = [
    "realtime-core",
    "strands-agents",
    "pipecat-ai",
    "livekit-agents",
    "openai-agents",
    "websockets",
    "aiohttp",
]
LIST_VERSIONS = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    for found in importlib.metadata.distributions(name=name):
        print(name, found.version)
        break
"""


class Bench:
    """The server, and the clients that were asked for so far."""

    def __init__(self, *, deflate: bool = False) -> None:
        self._temporary = tempfile.TemporaryDirectory()
        self._folder = Path(self._temporary.name)
        (self._folder / "speech.pcm").write_bytes(read_wav(SPEECH, RATE)[0])
        self._endpoint = Worker(HERE / "clients" / "endpoint.py", self._folder, *["--deflate"] * deflate)
        self._workers: dict[str, Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in [*self._workers.values(), self._endpoint]:
            worker.close()
        self._temporary.cleanup()

    def _worker(self, name: str) -> Worker:
        if name not in self._workers:
            trust = {**os.environ, "SSL_CERT_FILE": str(self._folder / "authority.pem")}
            command = HERE / "clients" / "live.py", name, self._folder
            self._workers[name] = Worker(*command, python=CLIENTS.get(name, sys.executable), environment=trust)
        return self._workers[name]

    def measure(
        self, names: Sequence[str], delta_ms: int, *, sessions: int = 1, cycles: int = 2, warm_up: bool = True
    ) -> dict[str, float]:
        """Return CPU seconds of a session per second, of clients that run at once. RuntimeError: audio was lost."""
        workers = {name: self._worker(name) for name in names}
        for name, worker in workers.items():
            worker.ask("open", f"wss://127.0.0.1:{self._endpoint.first}/{name}/{delta_ms}/v1/realtime", sessions)

        def wait(seconds: float) -> dict[str, list[float]]:
            for worker in workers.values():
                worker.order("measure", seconds)
            return {name: [float(number) for number in worker.answer().split()] for name, worker in workers.items()}

        if warm_up:  # until all sessions have begun and spoken
            wait(CYCLE_S * (1 if sessions == 1 else 2))
        seconds = CYCLE_S * cycles
        sent = {name: -int(self._endpoint.ask(name)) for name in names}
        measured = wait(seconds)
        sent = {name: sent[name] + int(self._endpoint.ask(name)) for name in names}
        for name, worker in workers.items():
            if sessions == 1:
                worker.ask("close")
            else:  # not all clients end many sessions soon
                self._workers.pop(name).close()
        for name, (_, played_s) in measured.items():
            up = sent[name] / sessions / (seconds * APPEND_BYTES_PER_S)
            down = played_s / sessions / (cycles * ANSWER_S)
            if name != "nothing" and min(up, down) < (ARRIVED if warm_up else 0.5):
                raise RuntimeError(f"{name} sent {up:.0%} of its microphone and played {down:.0%} of the answers")
        return {name: cpu / sessions / seconds for name, (cpu, _) in measured.items()}


def installed(names: Sequence[str]) -> list[str]:
    """Return those of the clients that are there."""
    return [name for name in names if Path(CLIENTS.get(name, sys.executable)).exists()]


def versions() -> str:
    """Name what is compared, as it is installed for each."""
    told = []
    for python in dict.fromkeys(str(CLIENTS[name]) for name in installed([*CLIENTS])):
        command = [python, "-c", LIST_VERSIONS, *PACKAGES]
        told.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())  # noqa: S603
    return "; beside ".join(", ".join(names) for names in told)


def table(figures: dict[str, dict[str, list[float]]]) -> str:
    """Markdown: microseconds of CPU, and how many times the first row's; medians over the rounds."""
    base = next(iter(figures.values()))
    out = [f"| client | {' | '.join(base)} |", "| --- |" + " --- |" * len(base)]
    for name, found in figures.items():
        cells = []
        for way, costs in found.items():
            ratios = sorted(cost / ours for cost, ours in zip(costs, base[way], strict=True))
            spread = f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
            cells.append(f"{median(costs) * 1e6:.0f} **{median(ratios):.2f}** ({spread})")
        out.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", nargs="+", choices=[*CLIENTS, "nothing"], default=[*CLIENTS, "nothing"])
    parser.add_argument("--deltas", nargs="+", type=int, default=[20, 100, 200])
    parser.add_argument("--sessions", nargs="+", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=2)
    parser.add_argument("--deflate", action="store_true")
    parser.add_argument("--json", metavar="FILE", type=Path)
    options = parser.parse_args()
    names = installed(options.clients)
    for name in sorted(set(options.clients) - set(names)):
        print(f"{name} is not installed: make peers", file=sys.stderr)
    ways = {
        f"{delta_ms} ms deltas" + (f", {count} sessions" if count > 1 else ""): (delta_ms, count)
        for count in options.sessions
        for delta_ms in options.deltas
    }
    figures: dict[str, dict[str, list[float]]] = {name: {way: [] for way in ways} for name in names}
    with Bench(deflate=options.deflate) as bench:
        for _ in range(options.rounds):
            for way, (delta_ms, sessions) in ways.items():
                for group in [names] if sessions == 1 else [[name] for name in names]:
                    costs = bench.measure(group, delta_ms, sessions=sessions, cycles=options.cycles)
                    print(way, {name: round(cost * 1e6) for name, cost in costs.items()}, file=sys.stderr)
                    for name, cost in costs.items():
                        figures[name][way].append(cost)
    print(f"{versions()}; Python {platform.python_version()}; {'with' if options.deflate else 'no'} deflate")
    print(
        f"CPU µs of a session per second, **times that of {names[0]}** (lowest to highest of {options.rounds} rounds)\n"
    )
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
