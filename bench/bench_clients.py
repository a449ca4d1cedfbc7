"""Whole clients, CPU per second of audio: microphone block to bytes for the socket, and messages to the speaker.

Each runs its authors' own classes in a process of its own (`clients/run.py`), on a socket and a sound
card that cost nothing; what is compared is the CPU time of that process, all its threads, so a hop
between threads counts. Blocks and messages follow each other as fast as the client takes them: live,
with wake-ups in between, all of them cost more. pipecat, livekit-agents and openai-agents want other
versions of what Strands needs and so live in a virtual environment of their own: `make peers`.

Of the device's side ours and Strands have all but the card (ours: the C callback, the rings, the
tick, speech detection on every hop), pipecat all but speech detection; `ours_push`, livekit and openai-agents begin
and end with the application's blocks.
"""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PEERS = HERE.parent / "build" / "peers" / "bin" / "python"
CLIENTS = {
    "ours": sys.executable,
    "ours_push": sys.executable,
    "strands_agent": sys.executable,
    "pipecat_pipeline": PEERS,
    "livekit_session": PEERS,
    "openai_agents_session": PEERS,
}
SECONDS = 5


class Worker:
    """A client in its own process, and the CPU seconds that it has told so far."""

    spent = 0.0

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            [CLIENTS[name], HERE / "clients" / "run.py", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name} did not start: {self._process.communicate(timeout=10)[1][-2000:]}")

    def run(self, *order: object) -> float:
        print(*order, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(self._process.communicate(timeout=10)[1][-2000:])
        Worker.spent += float(line) / SECONDS
        return float(line)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module", params=CLIENTS)
def client(request):
    if not Path(CLIENTS[request.param]).exists():
        pytest.skip(f"{request.param} is not installed: make peers")
    worker = Worker(request.param)
    yield worker
    worker.close()


@pytest.mark.timeout(180)
@pytest.mark.benchmark(timer=lambda: Worker.spent)
@pytest.mark.parametrize("way", ["up", "down 20", "down 200"])
def bench_client(benchmark, client, way):
    """24 kHz: 20 ms blocks up, deltas of 20 or 200 ms down; CPU for a second of audio."""
    direction, *delta_ms = way.split()
    benchmark.group = f"whole client {direction}" + "".join(f", {ms} ms deltas" for ms in delta_ms)
    rounds = 7 if benchmark.enabled else 1
    spent = benchmark.pedantic(
        client.run, [direction, SECONDS, *delta_ms], rounds=rounds, warmup_rounds=min(1, rounds - 1)
    )
    assert spent is None or spent > 0
