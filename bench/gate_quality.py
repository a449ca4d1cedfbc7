"""What the gate lets through: labelled onsets inside what was sent, and how much was sent.

    python bench/gate_quality.py DATA [--docs docs/] [--pre-roll 300] [--open 0.4] [--close 0.2] ...

DATA as for bench/vad_quality.py. Per detector and condition: "onsets kept", whose first sample was
sent, of how many; "speech", the share of labelled speech that was sent; "sent", seconds sent for one
second of labelled speech ("all": of the whole audio). Of noise alone, "sent" is the share that left.
Gated mode, wire at 24 kHz, everything else the gate's defaults. With --docs the table goes into
speech.md there. The last line says whether every onset of the clean, 20 dB and 10 dB recordings was
kept while at most 1.6 times the speech was sent.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from vad_quality import Recording, recordings_of, table, write_tables

from realtime_core import Gate

WIRE_RATE = 24000
CONDITIONS = {"clean": None, "20 dB": 20, "10 dB": 10, "5 dB": 5, "0 dB": 0}


def sent_by(gate: Gate, pcm: np.ndarray) -> np.ndarray:
    """Mask of the wire samples that left."""
    chunks = gate.push(pcm) + gate.flush()
    mask = np.zeros(gate.position, bool)
    for position, audio in chunks:
        mask[position : position + len(audio) // 2] = True
    return mask


@dataclass
class Tally:
    onsets: int = 0
    missed: list[str] = field(default_factory=list)
    speech: int = 0  # wire samples, as all that follow
    speech_sent: int = 0
    sent: int = 0
    all: int = 0

    def add(self, recording: Recording, mask: np.ndarray) -> None:
        self.sent, self.all = self.sent + int(mask.sum()), self.all + len(mask)
        for start, end in recording.segments:
            first, last = int(start * WIRE_RATE), min(int(end * WIRE_RATE), len(mask))
            self.onsets += 1
            self.speech, self.speech_sent = self.speech + last - first, self.speech_sent + int(mask[first:last].sum())
            if not mask[min(first, len(mask) - 1)]:
                self.missed.append(f"{recording.name} at {start:.2f} s")

    @property
    def holds(self) -> bool:
        return not self.missed and self.sent <= 1.6 * self.speech

    def row(self) -> list[str]:
        if not self.onsets:
            return ["", "", f"{self.sent / self.all:.0%}", ""]
        return [
            f"{self.onsets - len(self.missed)} of {self.onsets}", f"{self.speech_sent / self.speech:.1%}",
            f"{self.sent / self.speech:.2f}", f"{self.all / self.speech:.2f}",
        ]  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--docs", metavar="FOLDER", type=Path, help="write the table there")
    for name, default in [("pre-roll", 300), ("hangover", 300), ("min-speech", 60)]:
        arguments.add_argument(f"--{name}", type=int, default=default, help="milliseconds")
    arguments.add_argument("--open", type=float, help="threshold (the gate's own)")
    arguments.add_argument("--close", type=float, help="threshold (the gate's own)")
    options = arguments.parse_args()
    recordings, rows, broken = recordings_of(options.data), {}, []
    for vad in ("light", "neural", "staggered"):
        tallies = {condition: Tally() for condition in [*CONDITIONS, "noise alone"]}
        for recording in recordings:
            gate = Gate(
                16000, mode="gated", framed=False, vad=vad, pre_roll_ms=options.pre_roll,
                hangover_ms=options.hangover, min_speech_ms=options.min_speech,
                open_threshold=options.open, close_threshold=options.close,
            )  # fmt: skip
            condition = next(name for name, snr in CONDITIONS.items() if snr == recording.snr)
            tallies[condition if recording.speech else "noise alone"].add(recording, sent_by(gate, recording.pcm))
        rows |= {f"{vad}, {condition}": tally.row() for condition, tally in tallies.items()}
        broken += [f"{vad}, {condition}" for condition in list(CONDITIONS)[:3] if not tallies[condition].holds]
        for condition, tally in tallies.items():
            if tally.missed:
                print(f"{vad}, {condition}, missed: {', '.join(tally.missed)}")
    content = table(["onsets kept", "speech", "sent", "all"], rows)
    print(content)
    if options.docs:
        write_tables(options.docs, {"gate": content})
    print(
        f"broken by {'; '.join(broken)}" if broken else "held: every onset down to 10 dB, at most 1.6 times the speech"
    )


if __name__ == "__main__":
    main()
