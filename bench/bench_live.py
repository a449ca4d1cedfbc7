"""Whole clients live, CPU of a session per second on a TLS WebSocket server: one round of `live_clients.py` a pass."""

from pathlib import Path

import pytest

from bench.live_clients import Bench, installed
from bench.workers import CLIENTS


class Spent:
    """CPU seconds that all have told so far."""

    seconds = 0.0


@pytest.fixture(scope="module")
def live():
    with Bench() as bench:
        yield bench


@pytest.fixture(scope="module")
def costs():
    return {}


@pytest.mark.timeout(180)
@pytest.mark.benchmark(timer=lambda: Spent.seconds)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("delta_ms", [20, 200])
def bench_live(benchmark, live, costs, client, delta_ms):
    """24 kHz: 20 ms blocks up all the time, deltas of 20 or 200 ms down in half of it; all clients at the same time."""
    if not Path(CLIENTS[client]).exists():
        pytest.skip(f"{client} is not installed: make peers")
    if not benchmark.enabled and delta_ms != 20:
        pytest.skip("one short round shows that it runs")
    benchmark.group = f"live session on TLS, {delta_ms} ms deltas"

    def converse():
        if delta_ms not in costs:
            cycles = 2 if benchmark.enabled else 1
            costs[delta_ms] = live.measure(installed([*CLIENTS]), delta_ms, cycles=cycles, warm_up=benchmark.enabled)
        Spent.seconds += costs[delta_ms][client]

    benchmark.pedantic(converse, rounds=1)
    assert Spent.seconds > 0
