"""What the gate lets through: labelled onsets inside what was sent, and how much was sent.

    python bench/gate_quality.py DATA [--pre-roll 300] [--open 0.4] [--close 0.2] ...

DATA as for bench/vad_quality.py. "kept": onsets whose first sample was sent; "speech": share of
labelled speech that was sent; "sent": seconds sent for one second of labelled speech (all of the
audio would be "all"). Gated mode, wire at 24 kHz, everything else the gate's defaults.
"""

import argparse
import json
import wave
from pathlib import Path

import numpy as np

from realtime_core import Gate


def sent_by(gate: Gate, pcm: np.ndarray) -> np.ndarray:
    """Mask of the wire samples that left."""
    chunks = gate.push(pcm) + gate.flush()
    mask = np.zeros(gate.position, bool)
    for position, audio in chunks:
        mask[position : position + len(audio) // 2] = True
    return mask


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    for name, default in [("pre-roll", 300), ("hangover", 300), ("min-speech", 60)]:
        arguments.add_argument(f"--{name}", type=int, default=default, help="milliseconds")
    arguments.add_argument("--open", type=float, help="threshold (the gate's own)")
    arguments.add_argument("--close", type=float, help="threshold (the gate's own)")
    options = arguments.parse_args()
    items = json.loads((options.data / "manifest.json").read_text())["items"]
    speech = [item for item in items if item["kind"] == "speech" and item.get("label") != "coarse"]
    print(f"{'':8}{'':>8} onsets   kept  speech  sent   all  missed")
    for vad in ("light", "neural"):
        for snr in (None, 20, 10, 5, 0):
            onsets = kept = spoken = sent = inside = total = 0
            missed = []
            for item in (item for item in speech if item.get("snr") == snr):
                with wave.open(str(options.data / item["wav"])) as file:
                    pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
                gate = Gate(
                    16000, mode="gated", framed=False, vad=vad, pre_roll_ms=options.pre_roll,
                    hangover_ms=options.hangover, min_speech_ms=options.min_speech,
                    open_threshold=options.open, close_threshold=options.close,
                )  # fmt: skip
                mask = sent_by(gate, pcm)
                for start, end in item["segments"]:
                    first, last = int(start * 24000), min(int(end * 24000), len(mask))
                    onsets += 1
                    kept += bool(mask[min(first, len(mask) - 1)])
                    inside += mask[first:last].sum()
                    spoken += last - first
                    if not mask[min(first, len(mask) - 1)]:
                        missed.append(f"{item['id']}@{start:.2f}")
                sent, total = sent + mask.sum(), total + len(mask)
            name = "clean" if snr is None else f"{snr} dB"
            print(
                f"{vad:8}{name:>8} {onsets:6} {kept / onsets:6.1%} {inside / spoken:6.1%} {sent / spoken:6.2f}"
                f" {total / spoken:5.2f}  {' '.join(missed[:5])}{' ...' if len(missed) > 5 else ''}"
            )


if __name__ == "__main__":
    main()
