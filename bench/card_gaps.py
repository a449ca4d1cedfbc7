"""What a sound card receives while Python is busy: gaps, by load, of three ways to play.

    tests/virtual_soundcard.sh .venv/bin/python bench/card_gaps.py [--seconds 3] [--block-ms 20] [--json FILE]

A tone that is queued in full is played through each callback in turn, at the lowest latency the device
offers for the block; silences of more than 1 ms inside what the card received are gaps. The Python
callbacks are the plainest there can be, a slice of bytes. All threads of all three get real-time priority
where this user may give it, so that what is measured is the interpreter's lock and not the processor's
load (--no-realtime leaves that out). PyAudio is compared where it is installed; it needs Debian's
portaudio19-dev.

Then, without a load and without a busy Python: from the call of flush to silence at the card, and the
played position that is reported minus the one the card is at; and how old the device's last block is when its audio
is handed to the socket. This card's recording is ahead of the
sounding that PulseAudio reckons with by the block its sink takes at once: the lead, part of the error.

Then, from speech at the microphone to silence at the speaker, decided in the callback, with Python free and held.
"""

import argparse
import asyncio
import base64
import contextlib
import itertools
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "card"))

from realtime_voice.audio import DeviceAudioIO
from virtual_card import (
    SETTLE_S,
    WIRE,
    NativePlayer,
    PythonCallback,
    Recording,
    SounddevicePlayer,
    barge_in,
    hold_interpreter,
    play_tone,
    repeated,
    sine,
    sink_lead_ms,
    sounding,
    until,
    urgent_threads,
)

SPEECH = Path(__file__).parents[1] / "tests" / "data" / "speech_slt.wav"
TEXT = json.dumps([{"id": n, "name": f"number {n}", "values": [n / 7, n / 11, n / 13]} for n in range(45000)])
NUMBERS = [(n * 7919) % 1000003 for n in range(300000)]


def count() -> None:
    for _ in range(10000):
        pass


def read() -> None:
    json.loads(TEXT)


def sort() -> None:
    sorted(NUMBERS)


def search() -> None:
    re.match(r"(a+)+$", "a" * 22 + "b")


@contextlib.contextmanager
def mixed() -> Any:
    with repeated(count), repeated(read), repeated(sort, pause=0.3):
        yield


LOADS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "none": contextlib.nullcontext,
    "a loop in Python": lambda: repeated(count),
    "four loops in Python": lambda: repeated(count, threads=4),
    "`json.loads` of 4 MB, again and again": lambda: repeated(read),
    "a big sort, pauses of 0.3 s": lambda: repeated(sort, pause=0.3),
    "a regex, pauses of 0.3 s": lambda: repeated(search, pause=0.3),
    "GIL held 40 ms, pauses of 0.3 s": lambda: repeated(lambda: hold_interpreter(0.04), pause=0.3),
    "GIL held 160 ms, pauses of 0.3 s": lambda: repeated(lambda: hold_interpreter(0.16), pause=0.3),
    "loop, `json.loads` and sort": mixed,
}


class PyAudioPlayer(PythonCallback):
    """PyAudio's stream of bytes with a callback in Python."""

    def __init__(self, block_s: float) -> None:
        import pyaudio

        super().__init__()
        self._more = pyaudio.paContinue
        self._underflow = pyaudio.paOutputUnderflow
        self._audio = pyaudio.PyAudio()
        self._stream = self._audio.open(
            rate=WIRE.rate, channels=1, format=pyaudio.paInt16, output=True, start=False,
            frames_per_buffer=round(WIRE.rate * block_s), stream_callback=self._callback,
        )  # fmt: skip

    def _callback(self, _in: Any, frames: int, _time: Any, status: int) -> tuple[bytes, int]:
        return self.take(2 * frames, status & self._underflow), self._more

    @property
    def latency_s(self) -> float:
        return float(self._stream.get_output_latency())

    async def start(self) -> None:
        self._stream.start_stream()

    async def stop(self) -> None:
        self._stream.close()
        self._audio.terminate()


def players() -> dict[str, Any]:
    found: dict[str, Any] = {"sounddevice, Python callback": SounddevicePlayer, "ours": NativePlayer}
    try:
        import pyaudio  # noqa: F401
    except ImportError:
        print("without PyAudio: apt-get install portaudio19-dev, pip install pyaudio\n")
        return found
    return {"PyAudio": PyAudioPlayer, **found}


async def gap_table(seconds: float, runs: int, block_s: float, urgent: bool) -> list[dict[str, Any]]:
    kinds = players()
    rows = []
    print(f"Gaps in what the card received, (ms of silence): {seconds:g} s of a tone, blocks of {block_s * 1e3:g} ms\n")
    print(f"| load | {' | '.join(kinds)} |\n| --- |{' ---: |' * len(kinds)}", flush=True)
    for load, begin in LOADS.items():
        cells = []
        for name, kind in kinds.items():
            tones = [await play_tone(kind(block_s), seconds, begin(), urgent=urgent) for _ in range(runs)]
            cells.append(", ".join(f"{tone.gaps.count} ({tone.gaps.ms:.0f})" for tone in tones))
            rows += [
                {
                    "load": load, "player": name, "block_ms": block_s * 1e3, "latency_ms": tone.latency_s * 1e3,
                    "gaps": tone.gaps.count, "silent_ms": tone.gaps.ms, "underflows": tone.underflows,
                }
                for tone in tones
            ]  # fmt: skip
        print(f"| {load} | {' | '.join(cells)} |", flush=True)
    return rows


async def flush_and_position(options: dict[str, Any]) -> dict[str, float]:
    """Play half a second, cut it; all in milliseconds."""
    with Recording() as recording:
        audio, ages = DeviceAudioIO(echo_control=None, quiet_chunk_ms=20, **options), []

        def listen() -> None:
            timing = audio.duplex.timing()
            if audio.take() and timing is not None:
                ages.append(1e3 * timing[1])

        audio.listener = listen
        with urgent_threads():
            await audio.start(WIRE, WIRE)
        await asyncio.sleep(SETTLE_S)
        lead = sink_lead_ms()
        first = recording.look()
        reports = []
        audio.playout.feed_audio("tone", base64.b64encode(sine(523, 3.0)).decode())
        while (played := audio.playout.played_ms("tone")) < 500:
            reports.append((time.monotonic(), played))
            recording.look()
            await asyncio.sleep(0.003)
        flushed = time.monotonic()
        audio.playout.flush()
        await until(lambda: not audio.playing)
        latency = audio.playout.latency_s
        await recording.silence()
        played = audio.playout.played_ms("tone")
        await audio.stop()
        received = recording.samples(first)
        tone = sounding(received)
        assert tone is not None
        start = recording.time(first + tone.start)
        errors = [played - (now - start) * 1e3 for now, played in reports if played]
        return {
            "latency": latency * 1e3,
            "lead": lead,
            "age": float(np.median(ages)) if ages else 0.0,
            "flush": (recording.time(first + tone.stop) - flushed) * 1e3,
            "error": float(np.median(errors)),
            "error_low": float(np.percentile(errors, 5)),
            "error_high": float(np.percentile(errors, 95)),
            "final_error": played - (tone.stop - tone.start) / 48,
        }


async def latency_table(runs: int) -> list[dict[str, Any]]:
    rows = []
    print("\nMilliseconds: medians of the runs, worst in brackets; error: 5 % to 95 % of the reports\n")
    print(
        "| stream | latency | flush to silence | position reported - true | lead of the card | after the cut "
        "| block to socket |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, options in {
        "default": {}, "low, 10 ms blocks": {"latency": "low", "block_s": 0.01},
        "default, speaker only": {"input_device": False},
    }.items():  # fmt: skip
        found = [await flush_and_position(options) for _ in range(runs)]
        rows += [{"stream": name, **run} for run in found]
        middle = {key: float(np.median([run[key] for run in found])) for key in found[0]}
        print(
            f"| {name} | {middle['latency']:.0f} | {middle['flush']:.0f} ({max(run['flush'] for run in found):.0f}) "
            f"| {middle['error']:+.1f} ({middle['error_low']:+.0f} to {middle['error_high']:+.0f}) "
            f"| {middle['lead']:.0f} | {middle['final_error']:+.1f} | {middle['age']:.1f} |",
            flush=True,
        )
    return rows


async def barge_in_table(runs: int) -> list[dict[str, Any]]:
    rows = []
    print(
        "\nMilliseconds from speech at the microphone to silence at the speaker, worst in brackets; confirm time 150 "
        "with a headset, 60 with the echo check, which takes longer to hear an onset\n"
    )
    print("| rule | stream | Python | speech to silence | bound | decided |\n| --- | --- | --- | ---: | ---: | ---: |")
    streams: dict[str, dict[str, Any]] = {"low": {"latency": "low", "block_s": 0.01}, "default": {}}
    for rule, (name, options) in itertools.product(("headset", "echo check"), streams.items()):
        for hold_s in (0.0, 2.0):
            found = [await barge_in(SPEECH, hold_s=hold_s, headset=rule == "headset", **options) for _ in range(runs)]
            told = {"rule": rule, "stream": name, "hold_s": hold_s}
            rows += [{**told, **run._asdict(), "heard": run.heard.played_ms} for run in found]
            took = [1e3 * run.took_s for run in found]
            print(
                f"| {rule} | {name} | {'held 2 s' if hold_s else 'free'} | {np.median(took):.0f} ({max(took):.0f}) "
                f"| {1e3 * found[0].bound_s:.0f} | {np.median([run.decided_ms for run in found]):.0f} |",
                flush=True,
            )
    return rows


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=3.0, help="of tone in each run")
    arguments.add_argument("--runs", type=int, default=1, help="of each load and player")
    arguments.add_argument("--block-ms", type=float, default=20.0)
    arguments.add_argument("--no-realtime", action="store_true", help="leave the priority of audio threads alone")
    arguments.add_argument("--json", type=Path, help="write the numbers there")
    arguments.add_argument("--only", choices=("gaps", "latency", "barge-in"), help="one of the tables")
    options = arguments.parse_args()
    results = {}
    if options.only in {None, "gaps"}:
        block_s, urgent = options.block_ms / 1e3, not options.no_realtime
        results["gaps"] = await gap_table(options.seconds, options.runs, block_s, urgent)
    if options.only in {None, "latency"}:
        results["latency"] = await latency_table(5 * options.runs)
    if options.only in {None, "barge-in"}:
        results["barge_in"] = await barge_in_table(5 * options.runs)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


asyncio.run(main())
