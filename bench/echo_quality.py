"""What echo control and the echo check are worth: echo left, false barge-ins, true ones caught and how soon.

    python bench/echo_quality.py DATA [--docs docs/echo.md] [--half tuned|unheard]

DATA is a folder of labelled speech as bench/vad_quality.py takes it, of which the clean recordings are used. Scenes of
30 seconds are made of it: somebody plays (half of the scenes: the package's own synthesized sentences, the other half:
recordings), the microphone hears it through a room made here, after 40 ms of a device and 0 to 250 ms more, 6 to 20 dB
quieter; in half of the scenes somebody else speaks over it. Half of the speakers distort, every third room is noisy.
Voices and rooms come in two halves: the constants of csrc/rc_echo.c were tuned on one, the tables tell of the other.

A barge-in is decided as in the device's callback: a 10 ms hop of speech begins it, so many milliseconds of speech less
what is not speech confirm it. Nothing is ducked or cut, so that a scene goes on and the next one counts.
"""

import argparse
import json
import re
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from realtime_voice.audio.echo import WebrtcEchoControl

from realtime_core import EchoCheck, Vad

ROOT = Path(__file__).parents[1]
SYNTHESIZED = [*sorted((ROOT / "python/realtime_voice/data/speech").glob("*.wav")), ROOT / "tests/data/speech_slt.wav"]
RATE, HOP = 16000, 160
SECONDS = 30
DEVICE_S = 0.04
DELAYS_S = (0.0, 0.05, 0.12, 0.25)
GAINS_DB = (-6, -12, -20)
PLAYED_DB, VOICE_DB = -20, -26
VOICE_SPREAD_DB = 6
CONFIRM_MS = (60, 150)
CAUGHT_WITHIN_S = 1.0
AFTER_SPEECH_S = 0.5
JUMP_S = 15
CONTROL_DELAY_HOPS = 1  # of echo control, rounded up


@dataclass
class Scene:
    delay_s: float
    gain_db: int
    played: np.ndarray
    captured: np.ndarray
    onsets: list[float] = field(default_factory=list)
    alone: np.ndarray | None = None  # of each hop: nobody speaks, and has not for half a second


# --- Scenes -----------------------------------------------------------------------------------


def read(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)


def decibels(db: float) -> float:
    return 10 ** (db / 20)


def levelled(speech: np.ndarray, db: float) -> np.ndarray:
    """At that level, in dB of full scale, where it is not silent."""
    loud = np.abs(speech) > np.abs(speech).max() / 100
    return speech * decibels(db) * 32768 / np.sqrt(np.square(speech[loud]).mean())


def voices_of(folder: Path, half: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Recordings from the first word to the last, and synthesized sentences; every other one."""
    items = json.loads((folder / "manifest.json").read_text())["items"]
    clean = [item for item in items if item["kind"] == "speech" and item.get("snr") is None]
    clean = [item for item in clean if item.get("label") != "coarse"][half::2]
    recordings = []
    for item in clean:
        pcm = read(folder / item["wav"])
        pcm = pcm - pcm.mean()
        recordings.append(pcm[int(item["segments"][0][0] * RATE) : int(item["segments"][-1][1] * RATE)])
    return recordings, [read(path) for path in SYNTHESIZED[half::2]]


def through(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    size = len(signal) + len(response)
    return np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(response, size), size)[: len(signal)]


def room(random: np.random.Generator, delay_s: float, reverberation_s: float) -> np.ndarray:
    """Impulse response of energy 1: direct, six early reflections, a tail; a small speaker's high-pass at 200 Hz."""
    length = int(1.2 * reverberation_s * RATE)
    tail = random.normal(size=length) * 10 ** (-3 * np.arange(length) / (reverberation_s * RATE))
    tail[: RATE // 500] = 0
    for at in random.integers(RATE // 1000, RATE // 50, 6):
        tail[at] += random.choice([-1, 1]) * random.uniform(1, 2.5)
    tail[0] = np.sqrt(np.square(tail).sum()) * decibels(random.uniform(-3, 6))
    response = np.concatenate([np.zeros(int(delay_s * RATE)), tail, np.zeros(512)])
    square = np.square(np.fft.rfftfreq(len(response), 1 / RATE) / 200)
    response = np.fft.irfft(np.fft.rfft(response) * square / (1 + square), len(response))
    return response / np.sqrt(np.square(response).sum())


def speech(random: np.random.Generator, voices: list[np.ndarray]) -> np.ndarray:
    """One after the other, with short pauses, from 0.3 s on."""
    out, at = np.zeros(SECONDS * RATE), RATE * 3 // 10
    while at < len(out):
        voice = levelled(voices[random.integers(len(voices))], PLAYED_DB)
        out[at : at + len(voice)] = voice[: len(out) - at]
        at += len(voice) + int(random.uniform(0.05, 0.3) * RATE)
    return np.round(np.clip(out, -32768, 32767))


def scene(
    number: int, half: int, voices: tuple, *, spoken_over: bool, delay_s: float, gain_db: int, jump_s: float = 0.0
) -> Scene:
    random = np.random.default_rng([half, number])
    recordings, synthesized = voices
    order = random.permutation(len(recordings))
    mine = [recordings[k] for k in order[: len(order) // 2]]
    played = speech(random, synthesized if number % 2 else mine)
    sounding = 12000 * np.tanh(played / 12000) if number % 4 >= 2 else played  # soft clipping
    reverberation_s = random.uniform(0.15, 0.5)
    captured = through(sounding, room(random, DEVICE_S + delay_s, reverberation_s))
    if jump_s:
        later = through(sounding, room(random, DEVICE_S + delay_s + jump_s, reverberation_s))
        captured[JUMP_S * RATE :] = later[JUMP_S * RATE :]
    captured *= decibels(gain_db)
    onsets, alone = [], np.ones(SECONDS * 100, bool)
    at, level = random.uniform(1, 4), VOICE_DB + random.uniform(-VOICE_SPREAD_DB, VOICE_SPREAD_DB)
    for k in order[len(order) // 2 :]:
        if not spoken_over or at > SECONDS - 4:
            break
        voice = levelled(recordings[k][: 3 * RATE], level)
        voice = through(voice, room(random, 0.002, random.uniform(0.1, 0.3)))
        start = int(at * RATE)
        captured[start : start + len(voice)] += voice
        onsets.append(at)
        alone[int(at * 100) : int((at + len(voice) / RATE + AFTER_SPEECH_S) * 100)] = False
        at += len(voice) / RATE + random.uniform(3, 6)
    captured += random.normal(size=len(captured)) * 32768 * decibels(-52 if number % 3 == 2 else -65)
    pcm = np.clip(np.round(captured), -32768, 32767).astype(np.int16)
    return Scene(delay_s, gain_db, played.astype(np.int16), pcm, onsets, alone)


def scenes(folder: Path, half: int, rounds: int) -> Iterator[Scene]:
    voices, number = voices_of(folder, half), 0
    for _ in range(rounds):
        for delay_s in DELAYS_S:
            for gain_db in GAINS_DB:
                for spoken_over in (False, True):
                    yield scene(number, half, voices, spoken_over=spoken_over, delay_s=delay_s, gain_db=gain_db)
                number += 1


# --- Barge-in ---------------------------------------------------------------------------------


def controlled(scene: Scene, **options) -> np.ndarray:
    control = WebrtcEchoControl(RATE, **options)
    pairs = np.stack([scene.captured, scene.played], 1).tobytes()
    return np.frombuffer(control.process(pairs) + control.flush(), "<i2")


def heard(scene: Scene, grade: str) -> dict[str, np.ndarray]:
    """What each way of deciding takes for the probability that the user speaks, hop by hop."""
    raw = np.array(Vad(grade=grade).process(scene.captured))
    somebody = np.array(EchoCheck().process(scene.captured, scene.played))
    clean = np.array(Vad(grade=grade).process(controlled(scene)))
    clean = np.concatenate([np.zeros(CONTROL_DELAY_HOPS), clean[:-CONTROL_DELAY_HOPS]])
    return {
        "VAD alone": raw,
        "VAD + check in C": np.minimum(raw, somebody),
        "echo control + VAD": clean,
        "echo control + VAD + check": np.minimum(clean, somebody),
    }


def decisions(probability: np.ndarray, confirm: int) -> Iterator[int]:
    """Hops at which a barge-in is confirmed, as rc_duplex does it; after one, a second of rest."""
    count, rest = 0, 0
    for hop, value in enumerate(probability):
        if hop < rest:
            continue
        count = max(0, count + (1 if value >= 0.5 else -1))
        if count >= confirm:
            yield hop
            count, rest = 0, hop + 100


@dataclass
class Tally:
    false: int = 0
    minutes: float = 0.0
    caught: int = 0
    missed: int = 0
    latencies: list[float] = field(default_factory=list)

    def add(self, scene: Scene, probability: np.ndarray, confirm: int) -> None:
        alone = scene.alone[: len(probability)]
        self.false += sum(1 for _ in decisions(np.where(alone, probability, 0), confirm))
        self.minutes += alone.sum() / 6000
        for onset in scene.onsets:
            start = int(onset * 100)
            first = next(decisions(probability[start : start + int(CAUGHT_WITHIN_S * 100)], confirm), None)
            if first is None:
                self.missed += 1
            else:
                self.caught += 1
                self.latencies.append((start + first + 1) * 10 - onset * 1000)

    def cells(self) -> list[str]:
        caught = self.caught + self.missed
        spread = [f"{np.percentile(self.latencies, share):.0f}" for share in (50, 90)] if self.latencies else ["-", "-"]
        return [f"{self.false / self.minutes:.2f}", f"{100 * self.caught / caught:.1f} %", " / ".join(spread) + " ms"]


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def barge_ins(all_scenes: Iterator[Scene], grade: str) -> str:
    tallies: dict[tuple[str, int, int | None], Tally] = {}
    for one in all_scenes:
        for way, probability in heard(one, grade).items():
            for confirm_ms in CONFIRM_MS:
                for gain_db in (None, one.gain_db):
                    tally = tallies.setdefault((way, confirm_ms, gain_db), Tally())
                    tally.add(one, probability, confirm_ms // 10)
    head = ["", "confirmed by", "false barge-ins a minute", "true ones caught", "after, p50 / p90"]
    head += [f"echo {gain} dB: false, caught" for gain in GAINS_DB]
    rows = []
    for (way, confirm_ms, gain_db), tally in tallies.items():
        if gain_db is None:
            by_gain = [", ".join(tallies[way, confirm_ms, gain].cells()[:2]) for gain in GAINS_DB]
            rows.append([way, f"{confirm_ms} ms", *tally.cells(), *by_gain])
    whole = tallies["VAD alone", CONFIRM_MS[0], None]
    spoken = whole.caught + whole.missed
    return f"{whole.minutes:.0f} minutes of echo alone, {spoken} barge-ins:\n\n{table(head, rows)}"


# --- Reduction --------------------------------------------------------------------------------


def power(pcm: np.ndarray) -> float:
    return float(np.square(pcm.astype(float)).mean()) + 1e-9


def reduction(before: np.ndarray, after: np.ndarray, start_s: float, end_s: float) -> float:
    part = slice(int(start_s * RATE), int(end_s * RATE))
    return 10 * np.log10(power(before[part]) / power(after[part]))


def modelled(scene: Scene) -> Callable[[float, float], float]:
    """The reduction that the check's model reaches by the end of a span; it gives out no audio."""

    def at(_start_s: float, end_s: float) -> float:
        check = EchoCheck()
        check.process(scene.captured[: int(end_s * RATE)], scene.played[: int(end_s * RATE)])
        return check.reduction_db

    return at


def by_control(scene: Scene, **options) -> Callable[[float, float], float]:
    clean = controlled(scene, **options)
    return lambda start_s, end_s: reduction(scene.captured, clean, start_s, end_s)


def reductions(folder: Path, half: int) -> str:
    """Echo alone, linear and quiet, -10 dB; the delay leaps by 100 ms in the middle."""
    spans = {"first 2 s": (0.5, 2), "2 to 5 s": (2, 5), "5 to 15 s": (5, 15)}
    spans |= {"2 s from a leap of the delay": (15, 17), "then 3 s": (17, 20), "then 10 s": (20, 30)}
    ways = {
        "nothing": lambda _: lambda _start, _end: 0.0,
        "check in C (its model)": modelled,
        "echo control": by_control,
        "echo control, noise suppression low": lambda one: by_control(one, noise_suppression="low"),
    }
    voices = voices_of(folder, half)
    measured = [
        scene(4 * k, half, voices, spoken_over=False, delay_s=delay_s, gain_db=-10, jump_s=0.1)
        for k, delay_s in enumerate((0.0, 0.05, 0.12, 0.25))
    ]
    rows = []
    for name, way in ways.items():
        found = [[at(*span) for span in spans.values()] for at in map(way, measured)]
        rows.append([name, *(f"{value:.0f} dB" for value in np.median(found, axis=0))])
    return table(["echo taken out, median", *spans], rows)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--docs", type=Path, metavar="FILE", help="write the tables into this page")
    arguments.add_argument("--half", choices=("tuned", "unheard"), default="unheard", help="voices and rooms")
    arguments.add_argument("--grade", choices=("light", "neural"), default="light", help="speech detector")
    arguments.add_argument("--rounds", type=int, default=4, help="scenes for each delay and loudness, times two")
    options = arguments.parse_args()
    half = int(options.half == "unheard")
    tables = {
        "reduction": reductions(options.data, half),
        "barge-in": barge_ins(scenes(options.data, half, options.rounds), options.grade),
    }
    for text in tables.values():
        print(text, end="\n\n")
    if options.docs:
        page = options.docs.read_text()
        for name, text in tables.items():
            page = re.sub(
                rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, t=text: f"{m[1]}{t}\n{m[2]}", page, flags=re.DOTALL
            )
        options.docs.write_text(page)


if __name__ == "__main__":
    main()
