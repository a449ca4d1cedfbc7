"""Whole clients, CPU per second of audio: microphone block to bytes for the socket, and messages to the speaker.

Each runs its authors' own classes in a process of its own (`clients/run.py`), on a socket and a sound
card that cost nothing; what is compared is the CPU time of that process, all its threads, so a hop
between threads counts. Blocks and messages follow each other as fast as the client takes them: live,
with wake-ups in between, all of them cost more: see `bench_live.py`.

Of the device's side ours (`ours_in_strands`, too: a Strands agent with our model and audio I/O) and Strands have all
but the card (ours: the C callback, the rings, the tick, speech detection on every hop), pipecat all but speech
detection; `ours_push`, livekit and openai-agents begin and end with the application's blocks.
"""

from pathlib import Path

import pytest

from bench.workers import CLIENTS, HERE, Worker

SECONDS = 5


class Client(Worker):
    """A client, and the CPU seconds that all of them have told so far."""

    spent = 0.0

    def __init__(self, name: str) -> None:
        super().__init__(HERE / "clients" / "run.py", name, python=CLIENTS[name])

    def run(self, *order: object) -> float:
        spent = float(self.ask(*order))
        Client.spent += spent / SECONDS
        return spent


@pytest.fixture(scope="module", params=CLIENTS)
def client(request):
    if not Path(CLIENTS[request.param]).exists():
        pytest.skip(f"{request.param} is not installed: make peers")
    client = Client(request.param)
    yield client
    client.close()


@pytest.mark.timeout(180)
@pytest.mark.benchmark(timer=lambda: Client.spent)
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
