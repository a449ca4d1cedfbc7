"""Many sessions at once at real time on one core: how late audio leaves, beside an idle timer in the same run.

    python bench/server_load.py [--sessions 200] [--seconds 20] [--chunk-ms 20]

Three processes. The server has one core to itself; its mind is scripted, its ears and its voice are stand-ins, all the
rest is what `realtime serve` runs: WebSockets, JSON, base64, resampling, speech detection, turns, pacing. The control
is an idle timer on the same core: what it misses is the machine's doing. The clients, on another core, each send a
microphone's audio without pause (a spoken sentence, then silence until the answer has come) and note when every delta
arrives. Pacing error: how much later a delta arrives than the earliest of its answer would have it; "sent late" is the
same as the server's clock sees it. On a machine that others use as well, `chrt -r 1` before the command (as root) lends
the three processes their cores.
"""

import argparse
import asyncio
import base64
import json
import math
import os
import resource
import struct
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from importlib import resources
from itertools import pairwise
from typing import Any

from realtime_voice.audio.wav import read_wav
from realtime_voice.server import Context, Heard, RealtimeServer, Rule, Say, Scripted, Speech
from realtime_voice.server.pacing import Pacer

DELTA_S = 0.1
SPREAD_S = 4.0
"""Over which the first sentences are spread."""
TICK_S = 0.01
"""Period of the control."""
CONNECT_S = 3.0
"""Until all clients are there; then they begin to speak, one after the other."""
BYTES_PER_MS = 48
ANSWER_WORDS = 80
WORD_MS = 100
LEAD = 2
"""Deltas of an answer that come at once."""
SENTENCE = "what_is_twelve_times_seven"


# --- the server -------------------------------------------------------------------------------------------------------


class _Ears:
    def listen(self, tools: Sequence[Any]) -> "_Ears":  # noqa: ARG002
        return self

    def accept(self, pcm: bytes) -> None:
        pass

    async def partial(self) -> str:
        return "tell me"

    async def finish(self) -> Heard:
        return Heard("tell me a story")

    def cancel(self) -> None:
        pass


class _Voice:
    async def speak(self, text: str, *, rate: int, voice: str, speed: float) -> Speech:  # noqa: ARG002
        return Speech(bytes(2 * rate * WORD_MS * len(text.split()) // 1000))


class _Mind(Scripted):
    """Counts what it was asked, so that nobody can be forgotten."""

    answered = 0

    async def respond(self, context: Context) -> AsyncGenerator[Any]:
        self.answered += 1
        async for step in super().respond(context):
            yield step


class _Clock(Pacer):
    """Notes how late each piece of audio leaves, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.late: list[float] = []

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        self.late += [now - due for due, _, _ in self._due if due <= now]
        super()._tick()


async def serve_load() -> None:
    """Serve until standard input ends, then print what it took."""
    mind = _Mind([Rule(says="story", do=[Say("word " * ANSWER_WORDS)])])
    server = RealtimeServer(recognizer=_Ears(), synthesizer=_Voice(), brain=mind, pace=1, max_sessions=10_000)
    server._pacer = clock = _Clock()
    await server.start()
    idle_kb = _resident_kb()
    print(server.port, flush=True)
    loop = asyncio.get_running_loop()
    began, used = time.monotonic(), time.process_time()
    await loop.run_in_executor(None, sys.stdin.readline)
    busy = (time.process_time() - used) / (time.monotonic() - began)
    loaded_kb = _resident_kb()
    await server.stop()
    print(
        json.dumps(
            {"busy": busy, "idle_kb": idle_kb, "loaded_kb": loaded_kb, "answered": mind.answered, "late": clock.late}
        )
    )


def _resident_kb() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


# --- the control ------------------------------------------------------------------------------------------------------


async def idle_timer(seconds: float) -> None:
    """Print how late a timer that fires every TICK_S is, in seconds, once the clients are there."""
    await asyncio.sleep(CONNECT_S)
    loop = asyncio.get_running_loop()
    begin, late, count = loop.time(), [], 0
    while count * TICK_S < seconds:
        count += 1
        due = begin + count * TICK_S
        await asyncio.sleep(max(0.0, due - loop.time()))
        late.append(loop.time() - due)
    print(json.dumps(late))


# --- the clients ------------------------------------------------------------------------------------------------------


def frame(event: dict[str, Any]) -> bytes:
    """Return an event as a client's frame, masked with zeros."""
    text = json.dumps(event).encode()
    size = len(text)
    header = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x81, 0x80 | 126, size)
    return header + bytes(4) + text


class Microphone:
    """Append frames of one spoken sentence and of silence, ready to send."""

    def __init__(self, chunk_ms: int) -> None:
        self.period_s = chunk_ms / 1000
        size = chunk_ms * BYTES_PER_MS
        path = resources.files("realtime_voice") / "data" / "speech" / f"{SENTENCE}.wav"
        with resources.as_file(path) as file:
            pcm, _ = read_wav(file, 24_000)
        self.speech = [_append(pcm[at : at + size].ljust(size, b"\0")) for at in range(0, len(pcm), size)]
        self.silence = _append(bytes(size))


def _append(pcm: bytes) -> bytes:
    return frame({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})


class Client(asyncio.Protocol):
    """One client: speaks a sentence, is silent until the answer has come, speaks again."""

    def __init__(self, microphone: Microphone, delay_s: float) -> None:
        self.microphone = microphone
        self.delay_s = delay_s
        self.answers: list[list[float]] = []
        self.lags: list[float] = []
        self.open = False
        self.failed: str | None = None
        self._data = bytearray()
        self._say: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        transport.write(  # type: ignore[attr-defined]
            b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.open = False

    def data_received(self, data: bytes) -> None:
        now = self._loop.time()
        self._data += data
        if not self.open:
            if b"\r\n\r\n" not in self._data:
                return
            del self._data[: self._data.index(b"\r\n\r\n") + 4]
            self.open = True
            self._due = now + self.delay_s
            self._loop.call_at(self._due, self._send)
        while (text := self._message()) is not None:
            self._received(text, now)

    def _message(self) -> bytes | None:
        if len(self._data) < 4:
            return None
        size, at = self._data[1], 2
        if size == 126:
            size, at = int.from_bytes(self._data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(self._data[2:10], "big"), 10
        if len(self._data) < at + size:
            return None
        text = bytes(self._data[at : at + size]) if self._data[0] == 0x81 else b""
        del self._data[: at + size]
        return text

    def _received(self, text: bytes, now: float) -> None:
        if text.startswith(b'{"type":"response.output_audio.delta"'):
            self.answers[-1].append(now)
        elif text.startswith(b'{"type":"response.created"'):
            self.answers.append([])
        elif text.startswith(b'{"type":"response.done"'):
            self._say = list(reversed(self.microphone.speech))
            if b'"status":"completed"' not in text:
                self.failed = text[:200].decode()
        elif text.startswith(b'{"type":"error"'):
            self.failed = text[:200].decode()

    def begin(self) -> None:
        self._say = list(reversed(self.microphone.speech))

    def _send(self) -> None:
        if self.open:
            self.lags.append(self._loop.time() - self._due)
            self.transport.write(self._say.pop() if self._say else self.microphone.silence)
            self._due += self.microphone.period_s
            self._loop.call_at(self._due, self._send)


async def load(port: int, sessions: int, seconds: float, chunk_ms: int) -> list[Client]:
    """Hold the sessions for a while; return the clients with what they noted."""
    loop = asyncio.get_running_loop()
    microphone = Microphone(chunk_ms)
    clients = []
    begin = loop.time() + CONNECT_S
    for number in range(sessions):
        delay_s = number % chunk_ms / 1000
        _, client = await loop.create_connection(lambda delay=delay_s: Client(microphone, delay), "127.0.0.1", port)  # type: ignore[misc]
        clients.append(client)
        loop.call_at(begin + number * SPREAD_S / sessions, client.begin)
        await asyncio.sleep(CONNECT_S / 2 / sessions)
    await asyncio.sleep(begin + seconds - loop.time())
    return clients


def errors(arrivals: list[float]) -> list[float]:
    """Return how late each delta of an answer was, in seconds."""
    offsets = [at - count * DELTA_S for count, at in enumerate(arrivals)][LEAD:]
    return [offset - min(offsets) for offset in offsets] if len(offsets) > 5 else []


# --- all together -----------------------------------------------------------------------------------------------------


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all do not exceed."""
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def table_line(name: str, values: Sequence[float]) -> str:
    """Return one line of the table: p50, p90, p99 and the largest, in ms."""
    numbers = [percentile(values, share) * 1000 for share in (0.5, 0.9, 0.99, 1)]
    return f"{name:<26} {len(values):>9}" + "".join(f"{number:10.2f}" for number in numbers)


def start(role: str, core: int, *arguments: str) -> subprocess.Popen[str]:
    """Start this file in another role, on a core of its own."""
    return subprocess.Popen(  # noqa: S603  # this file
        [sys.executable, __file__, "--role", role, "--core", str(core), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def main() -> int:
    """Run one role, or all of them; return 0 when the bound holds."""
    parser = argparse.ArgumentParser(description="Load on the local Realtime server.")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--chunk-ms", type=int, default=20, help="microphone audio in one message")
    parser.add_argument("--role", choices=("all", "server", "control"), default="all", help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    if options.role == "server":
        asyncio.run(serve_load())
        return 0
    if options.role == "control":
        asyncio.run(idle_timer(options.seconds))
        return 0

    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    server = start("server", cores[0])
    assert server.stdout is not None
    port = int(server.stdout.readline())
    control = start("control", cores[0], "--seconds", str(options.seconds))
    clients = asyncio.run(load(port, options.sessions, options.seconds, options.chunk_ms))
    took = json.loads(server.communicate("\n", timeout=60)[0])
    idle = json.loads(control.communicate(timeout=60)[0])

    late = [error for client in clients for answer in client.answers for error in errors(answer)]
    gaps = [
        after - before for client in clients for answer in client.answers for before, after in pairwise(answer[LEAD:])
    ]
    failures = [client.failed for client in clients if client.failed]
    silent = sum(not any(client.answers) for client in clients)
    print(f"{options.sessions} sessions for {options.seconds:.0f} s, {options.chunk_ms} ms of microphone to a message")
    print(f"{'ms':<26} {'count':>9}{'p50':>10}{'p90':>10}{'p99':>10}{'max':>10}")
    print(table_line("idle timer, same core", idle))
    print(table_line("deltas sent late", took["late"]))
    print(table_line("deltas received late", late))
    print(table_line("clients' own sends late", [late for client in clients for late in client.lags]))
    print(table_line("time between deltas", gaps))
    print(f"clients: {time.process_time() / options.seconds:.0%} of theirs")
    print(f"server: {took['busy']:.0%} of its core, {took['answered']} answers, "
          f"{(took['loaded_kb'] - took['idle_kb']) / options.sessions:.0f} kB a session")  # fmt: skip
    excess = (percentile(late, 0.99) - percentile(idle, 0.99)) * 1000
    print(f"p99 above the idle timer: {excess:.2f} ms (bound: 10)")
    for words in [*failures[:3], *([f"{silent} sessions had no answer"] if silent else [])]:
        print(words)
    return 0 if excess <= 10 and not failures and not silent else 1


if __name__ == "__main__":
    sys.exit(main())
