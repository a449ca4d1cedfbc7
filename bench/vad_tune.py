"""Tune the light speech detector and write csrc/rc_vad_weights.h.

    python bench/vad_tune.py DATA VOICES BEDS --start OLD --keep 0.3 --out csrc/rc_vad_weights.h

DATA is labelled speech as bench/vad_quality.py takes it; only its clean recordings in the groups of
--groups are used, so that the others stay unheard. VOICES is a folder of sentences out of a studio or
a synthesizer (prompts of Asterisk, flite, espeak-ng), labelled here by their energy; BEDS a folder of
folders of recorded noise without foreground speech (surroundings, single sounds, music), each drawn
from as often as the others; all 16 kHz WAV. What the weights in use heard, and under which licences,
is in docs/speech.md. Other noise, music, babble and rooms are made here. Scenes of 20 seconds are
heard through the C code's own features, and the network is trained on them with torch. With --start
training begins at weights written before and may keep a share of them: the average of both ends knows
what either knows (M. Wortsman et al., Model Soups, 2022). Needs a C compiler, numpy and torch.
"""

import argparse
import ctypes
import json
import multiprocessing
import re
import subprocess
import tempfile
import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
RATE, HOP, FEATURES = 16000, 160, 40
UNITS, WEIGHT_ONE = 32, 512
SCENE = 20 * RATE
SOURCES: list = []  # the compiled features; recorded speech, voices, beds


def read(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    return pcm[: len(pcm) // HOP * HOP]


def unit(x: np.ndarray) -> np.ndarray:
    return x / (x.std() + 1e-9)


# --- Speech -----------------------------------------------------------------------------------


def labels_of(segments: Iterable[tuple[float, float]], hops: int) -> np.ndarray:
    middle = (np.arange(hops) + 0.5) / 100
    return sum(((middle >= start) & (middle < end) for start, end in segments), np.zeros(hops, bool)).astype(np.float32)


def labels_by_energy(pcm: np.ndarray) -> np.ndarray:
    """Within 40 dB of the loudest hop and 8 dB over the floor; pauses under 150 ms belong to speech."""
    level = 10 * np.log10(np.square(pcm.reshape(-1, HOP)).mean(1) + 0.01)
    loud = np.convolve(level > max(np.percentile(level, 5) + 8, level.max() - 40), np.ones(5), "same") > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud, [0]]).astype(int)))
    for end, start in zip(edges[1::2], edges[2::2], strict=False):
        loud[end:start] |= start - end < 15
    return loud.astype(np.float32)


def speech(data: Path, voices: Path, groups: list[str]) -> tuple[list, list]:
    """(samples, labels) of the labelled recordings and of the voices."""
    items = json.loads((data / "manifest.json").read_text())["items"]
    recorded = []
    for item in items:
        if item["kind"] == "speech" and item["snr"] is None and item["group"] in groups and item["label"] != "coarse":
            pcm = read(data / item["wav"])
            recorded.append((pcm, labels_of(item["segments"], len(pcm) // HOP)))
    sentences = [(pcm, labels_by_energy(pcm)) for pcm in map(read, sorted(voices.glob("*.wav")))]
    return recorded, [(pcm, spoken) for pcm, spoken in sentences if spoken.sum() > 50]


# --- What else a microphone hears ---------------------------------------------------------------


class Maker:
    """Scenes out of one seed."""

    def __init__(self, seed: int, recorded: list, voices: list, beds: list[list]):
        self.random = np.random.default_rng(seed)
        self.recorded, self.voices, self.beds = recorded, voices, beds

    def voice(self) -> tuple[np.ndarray, np.ndarray]:
        pool = self.recorded if self.random.random() < 0.5 else self.voices
        return pool[self.random.integers(len(pool))]

    def bed(self) -> np.ndarray:
        """A piece of recorded noise, slower or faster than it was, without a seam where it is too short."""
        r = self.random
        kind = self.beds[r.integers(len(self.beds))]
        bed = kind[r.integers(len(kind))]
        bed = stretched(bed, r.uniform(0.8, 1.25)) if r.random() < 0.7 else bed
        at = r.integers(max(1, len(bed) - SCENE))
        piece, fade = bed[at : at + SCENE], RATE // 10
        while len(piece) < SCENE:
            rise = np.linspace(0, 1, fade)
            joint = piece[-fade:] * (1 - rise) + bed[:fade] * rise
            piece = np.concatenate([piece[:-fade], joint, bed[fade:]])
        return unit(piece[:SCENE])

    def coloured(self, tilt: float | None = None) -> np.ndarray:
        """Noise with a random slope (power of frequency) and random bumps."""
        r = self.random
        frequency = np.maximum(np.fft.rfftfreq(SCENE, 1 / RATE), 50)
        bumps = np.interp(np.log(frequency), np.linspace(np.log(50), np.log(8000), 8), r.normal(0, 4, 8))
        shape = frequency ** ((r.uniform(-2.2, 0.5) if tilt is None else tilt) / 2) * 10 ** (bumps / 20)
        return unit(np.fft.irfft(np.fft.rfft(r.normal(size=SCENE)) * shape, SCENE))

    def drift(self, per_second: float, decibel: float) -> np.ndarray:
        """A gain that wanders."""
        points = self.random.normal(0, decibel, max(2, int(SCENE / RATE * per_second) + 2))
        return 10 ** (np.interp(np.linspace(0, len(points) - 1, SCENE), np.arange(len(points)), points) / 20)

    def knocks(self, per_second: float, shortest: float, longest: float, hissing: float = 0.5) -> np.ndarray:
        """Decaying bursts: keys, dishes, steps."""
        r, out = self.random, np.zeros(SCENE)
        for _ in range(r.poisson(per_second * SCENE / RATE)):
            length, at = int(r.uniform(shortest, longest) * RATE), r.integers(SCENE)
            t = np.arange(min(length, SCENE - at))
            if r.random() < hissing:
                burst = r.normal(size=len(t))
                if r.random() < 0.6:
                    burst = np.convolve(burst, r.normal(size=12))[: len(t)]
            else:
                partials = [(r.uniform(300, 7000), r.uniform(0, 6), r.uniform(0.2, 1)) for _ in range(r.integers(1, 5))]
                burst = sum(a * np.sin(2 * np.pi * f * t / RATE + p) for f, p, a in partials)
            out[at : at + len(t)] += burst * np.exp(-t * r.uniform(3, 7) / length) * 10 ** (r.normal(0, 5) / 20)
        return unit(out)

    def rustle(self) -> np.ndarray:
        """Strokes of noise: cloth, paper, drawers, chairs."""
        r, out = self.random, np.zeros(SCENE)
        for _ in range(r.integers(1, 4)):
            strokes = np.zeros(SCENE)
            for _ in range(r.poisson(r.uniform(0.5, 3) * SCENE / RATE)):
                length, at = int(r.uniform(0.05, 1) * RATE), r.integers(SCENE)
                rise = max(1, int(length * r.uniform(0.02, 0.5)))
                stroke = np.interp(np.arange(length), [0, rise, length], [0, 1, 0]) ** r.uniform(0.7, 3)
                strokes[at : at + length] += stroke[: SCENE - at] * 10 ** (r.normal(0, 5) / 20)
            out += self.coloured(r.uniform(-2.5, -0.3)) * strokes
        return unit(out)

    def music(self) -> np.ndarray:
        """Chords of a scale in time, with overtones, decay, sometimes vibrato and drums."""
        r, out, at = self.random, np.zeros(SCENE), 0
        base, overtones, decay, beat = r.uniform(80, 400), r.integers(3, 12), r.uniform(0.5, 4), r.uniform(0.12, 0.6)
        vibrato, attack = r.uniform(0, 0.01) * (r.random() < 0.5), r.uniform(0.005, 0.08)
        while at < SCENE:
            for _ in range(r.integers(1, 5)):
                pitch = base * 2 ** (r.choice([-5, -3, 0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12 + r.integers(-1, 2))
                t = np.arange(int(min(SCENE - at, RATE * r.uniform(0.2, 2)))) / RATE
                phase = 2 * np.pi * pitch * t + vibrato * pitch / 5 * np.sin(2 * np.pi * 5 * t)
                tone = np.zeros(len(t))
                for k in range(1, overtones):
                    if k * pitch < 7800:
                        tone += np.sin(k * phase + r.uniform(0, 6)) * k ** -r.uniform(0.7, 2)
                envelope = np.minimum(1, t / attack) * np.minimum(1, (len(t) / RATE - t) / 0.02) * np.exp(-t * decay)
                out[at : at + len(t)] += tone * envelope
            at += int(RATE * beat * r.choice([0.5, 1, 1, 2]))
        return unit(out) + (0.7 * self.knocks(1 / beat, 0.03, 0.15) if r.random() < 0.5 else 0)

    def babble(self) -> np.ndarray:
        """Five to thirteen voices at once."""
        r, out = self.random, np.zeros(SCENE)
        for _ in range(r.integers(5, 14)):
            at = -int(r.integers(RATE))
            while at < SCENE:
                voice = unit(stretched(self.voice()[0], r.uniform(0.85, 1.18) if r.random() < 0.5 else 1.0))
                begin, end = max(0, at), min(SCENE, at + len(voice))
                if end > begin:
                    out[begin:end] += voice[begin - at : end - at]
                at += max(RATE // 4, len(voice) - r.integers(4000))
        return unit(out)

    def tones(self) -> np.ndarray:
        """Hum, engines, sirens, beeps."""
        r, out, t = self.random, np.zeros(SCENE), np.arange(SCENE) / RATE
        for _ in range(r.integers(1, 4)):
            pitch = r.choice([50, 60, 100, 120]) * r.integers(1, 8) if r.random() < 0.4 else r.uniform(80, 3500)
            phase = 2 * np.pi * np.cumsum(pitch * self.drift(r.uniform(0.2, 2), r.choice([0, 0.3, 1.0]))) / RATE
            tone = sum(np.sin(k * phase) * k**-1.2 for k in range(1, r.integers(3, 8)))
            beeping = np.sin(2 * np.pi * r.uniform(0.5, 4) * t) > 0 if r.random() < 0.4 else 1
            out += tone * self.drift(r.uniform(0.5, 4), 4) * beeping
        return unit(out)

    def in_room(self, pcm: np.ndarray, loudest: float) -> np.ndarray:
        """With the reverberation of a room (60 dB down after 150 to 500 ms) whose walls swallow treble."""
        r, padded = self.random, 1 << (SCENE + RATE // 2).bit_length()
        t = np.arange(int(RATE * r.uniform(0.1, 0.4))) / RATE
        echo = r.normal(size=len(t)) * np.exp(-t * 6.9 / r.uniform(0.15, 0.5)) * r.uniform(0.02, loudest)
        frequency = np.maximum(np.fft.rfftfreq(padded, 1 / RATE), 100)
        walls = 1 + np.fft.rfft(echo, padded) * (frequency / 1000) ** -r.uniform(0, 0.6)
        return np.fft.irfft(np.fft.rfft(pcm, padded) * walls, padded)[:SCENE]

    def noise(self) -> np.ndarray:
        out = self.dry_noise()
        return unit(self.in_room(out, 0.3)) if self.random.random() < 0.4 else out

    def dry_noise(self) -> np.ndarray:
        r = self.random
        if r.random() < 0.5:
            out = self.bed()
            if r.random() < 0.3:
                out = out + self.bed() * r.uniform(0.2, 1)
            return unit(out + self.coloured() * r.uniform(0, 0.1))
        kinds = [
            self.coloured,
            lambda: self.coloured() * self.drift(r.uniform(0.5, 8), r.uniform(1, 5)),
            lambda: self.tones() * r.uniform(0.3, 1) + self.coloured(-1.5),
            lambda: self.knocks(r.uniform(2, 10), 0.004, 0.05) + self.coloured() * r.uniform(0.02, 0.3),
            lambda: self.music() + self.coloured() * r.uniform(0.005, 0.1),
            lambda: self.babble() + self.coloured() * r.uniform(0.01, 0.2),
            lambda: self.knocks(r.uniform(0.5, 5), 0.05, 0.5, 0.4) + self.coloured() * r.uniform(0.03, 0.5),
            lambda: self.coloured(-2.5) * self.drift(0.5, 5) + 0.3 * self.coloured(-0.8) * self.drift(2, 5),
            lambda: self.music() * r.uniform(0, 1) + self.knocks(3, 0.01, 0.2) + self.coloured() * r.uniform(0.1, 1),
            lambda: self.rustle() + self.tones() * r.uniform(0, 0.2) + self.coloured(-1.5) * r.uniform(0.02, 0.4),
            lambda: self.rustle() + self.knocks(2, 0.02, 0.3) + self.coloured(-1.5) * r.uniform(0.1, 0.8),
        ]
        out = kinds[r.integers(len(kinds))]()
        if r.random() < 0.17:  # something is switched on or off
            for at in r.integers(0, SCENE, r.integers(1, 6)):
                out[at:] *= 10 ** (r.normal(0, 7) / 20)
        return unit(out)

    def conversation(self) -> tuple[np.ndarray, np.ndarray]:
        """Sentences with pauses, at many pitches and levels, sometimes in a room."""
        r, out, labels = self.random, np.zeros(SCENE), np.zeros(SCENE // HOP, np.float32)
        at = r.integers(200) * HOP if r.random() < 0.75 else 0
        while at < SCENE:
            pcm, spoken = self.voice()
            factor = r.uniform(0.88, 1.14) if r.random() < 0.6 else 1.0
            pcm = stretched(pcm, factor)
            spoken = spoken[np.minimum((np.arange(len(pcm) // HOP) * factor).astype(int), len(spoken) - 1)]
            level = np.sqrt(np.square(pcm[: len(spoken) * HOP] * spoken.repeat(HOP)).sum() / max(1, spoken.sum() * HOP))
            cut = r.integers(60) * (r.random() < 0.3)  # streams begin within speech, too
            pcm, spoken = pcm[cut * HOP :] / level * 10 ** (r.normal(0, 2.5) / 20), spoken[cut:]
            end = min(SCENE, at + len(spoken) * HOP)
            out[at:end] += pcm[: end - at]
            labels[at // HOP : end // HOP] = np.maximum(labels[at // HOP : end // HOP], spoken[: (end - at) // HOP])
            at = end + int(r.choice([0, 0.1, 0.5, 1.5, 3]) * r.uniform(0.3, 1) * 100) * HOP
        return (self.in_room(out, 0.12) if r.random() < 0.4 else out), labels

    def microphone(self, pcm: np.ndarray) -> np.ndarray:
        r, frequency = self.random, np.fft.rfftfreq(SCENE, 1 / RATE)
        bumps = np.interp(np.log(np.maximum(frequency, 60)), np.linspace(np.log(60), 9, 7), r.normal(0, 3.5, 7))
        response = 10 ** (bumps / 20)
        if r.random() < 0.25:
            response /= 1 + (r.uniform(100, 300) / np.maximum(frequency, 1)) ** 4
        if r.random() < 0.15:  # a telephone
            response /= 1 + (frequency / r.uniform(3300, 4000)) ** 12
        return np.fft.irfft(np.fft.rfft(pcm) * response, SCENE)

    def scene(self) -> tuple[np.ndarray, np.ndarray]:
        r = self.random
        if r.random() < 0.25:
            pcm, labels = self.noise() * 10 ** (r.uniform(-30, 0) / 20), np.zeros(SCENE // HOP, np.float32)
        else:
            pcm, labels = self.conversation()
            pcm = pcm + self.noise() * 10 ** (-r.choice([60, 40, 25, 20, 15, 10, 5, 2, 0, -2]) / 20)
        if r.random() < 0.6:
            pcm = self.microphone(pcm)
        level = 10 ** (r.uniform(-1.7, -0.5) if r.random() < 0.85 else r.uniform(-2.7, -1.7))
        pcm = pcm * level * 32768 / (3 * max(pcm.std(), 0.05)) + r.normal(size=SCENE) * 0.3
        return np.clip(np.round(pcm), -32768, 32767).astype(np.int16), labels


def stretched(pcm: np.ndarray, factor: float) -> np.ndarray:
    if factor == 1.0:
        return pcm
    length = int((len(pcm) - 1) / factor) // HOP * HOP
    return np.interp(np.arange(length) * factor, np.arange(len(pcm)), pcm)


# --- Features: the C code's own ---------------------------------------------------------------------


def compile_features(folder: Path) -> Path:
    library = folder / "features.so"
    sources = [ROOT / "csrc" / "rc_features.c", ROOT / "csrc" / "rc_fft.c"]
    options = ["-O3", "-std=c11", "-ffp-contract=off", "-shared", "-fPIC", "-o", library]
    subprocess.run(["cc", *options, *sources, "-lm"], check=True, timeout=60)  # noqa: S603, S607
    return library


def features_of(library: ctypes.CDLL, pcm: np.ndarray) -> np.ndarray:
    state, out = ctypes.create_string_buffer(1 << 15), np.zeros((len(pcm) // HOP, FEATURES), np.float32)
    library.rc_features_start(state)
    for hop, row in zip(pcm.reshape(-1, HOP), out, strict=True):
        library.rc_features_process(state, row.ctypes.data_as(ctypes.c_void_p), hop.ctypes.data_as(ctypes.c_void_p))
    return out


def heard(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of one scene, made of what the parent process read before it forked."""
    library, *heap = SOURCES
    pcm, labels = Maker(seed, *heap).scene()
    return features_of(ctypes.CDLL(library), pcm).astype(np.float16), labels


# --- Training and writing ----------------------------------------------------------------------------


def written(header: Path) -> dict[str, np.ndarray]:
    """Weights of an earlier tuning by the names that training gives them, gate by gate."""
    text = header.read_text()

    def numbers(name: str) -> np.ndarray:
        body = re.search(rf"\brc_vad_{name}\b[^=]*= (.*?);\n", text, re.DOTALL)[1]
        return np.array([float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", body)], np.float32)

    def matrix(name: str) -> np.ndarray:
        return numbers(f"{name}_weights").reshape(len(numbers("output_weights")), -1) / WEIGHT_ONE

    reset, keep, fresh, said = map(matrix, ("reset", "keep", "fresh", "said"))
    biases = {name: numbers(f"{name}_bias") for name in ("reset", "keep", "fresh", "said")}
    none = np.zeros_like(biases["said"])
    return {
        "units.weight_ih_l0": np.stack([reset[:, :FEATURES], keep[:, :FEATURES], fresh]),
        "units.weight_hh_l0": np.stack([reset[:, FEATURES:], keep[:, FEATURES:], said]),
        "units.bias_ih_l0": np.stack([biases["reset"], biases["keep"], biases["fresh"]]),
        "units.bias_hh_l0": np.stack([none, none, biases["said"]]),
        "output.weight": numbers("output_weights")[None],
        "output.bias": numbers("output_bias")[:1],
    }


def train(
    features: np.ndarray, labels: np.ndarray, epochs: int, rate: float, start: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Weights after `epochs`; `start` may have fewer units, the others begin small at random."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    random = np.random.default_rng(0)
    units, output = nn.GRU(FEATURES, UNITS, batch_first=True), nn.Linear(UNITS, 1)
    network = nn.ModuleDict({"units": units, "output": output})
    with torch.no_grad():
        for name, weights in start.items():
            parameter = network.get_parameter(name).mul_(0.1)
            if name.startswith("units"):
                parameter = parameter.view(3, UNITS, *parameter.shape[1:])
            parameter[tuple(slice(size) for size in weights.shape)] = torch.from_numpy(weights)
    batch, length = 96, 400
    steps = features.shape[0] * features.shape[1] // (batch * length)
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps * epochs)
    for epoch in range(epochs):
        total = 0.0
        for _ in range(steps):
            rows = random.integers(len(features), size=batch)
            starts = random.choice([0, 0, 300, 700, 1100, 1600], batch)
            pieces = list(zip(rows, starts, strict=True))
            x = torch.from_numpy(np.stack([features[r, s : s + length] for r, s in pieces]).astype(np.float32))
            y = torch.from_numpy(np.stack([labels[r, s : s + length] for r, s in pieces]))
            weight = torch.ones_like(y)
            weight[:, :5] = 0.2  # the first 50 ms are a guess
            logits = output(units(x)[0])[..., 0]
            loss = nn.functional.binary_cross_entropy_with_logits(logits, y * 0.98 + 0.01, weight)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.clamp_(-6, 6)  # within the fixed point's range
            total += loss.item()
        print(f"epoch {epoch + 1} of {epochs}: loss {total / steps:.4f}", flush=True)
    return {name: value.detach().numpy() for name, value in network.state_dict().items()}


def averaged(new: dict[str, np.ndarray], old: dict[str, np.ndarray], keep: float) -> dict[str, np.ndarray]:
    """`keep` of the old weights and the rest of the new; units that the old lack are heard less by that much."""
    out = {}
    for name, weights in new.items():
        by_gate = weights.reshape(3, UNITS, *weights.shape[1:]) if name.startswith("units") else weights * (1 - keep)
        if name in old:
            part = tuple(slice(size) for size in old[name].shape)
            share = (1 - keep) * by_gate[part] if name.startswith("units") else by_gate[part]
            by_gate[part] = share + keep * old[name]
        out[name] = by_gate.reshape(weights.shape)
    return out


def filled(words: Iterable[str], indent: str) -> str:
    lines = [indent]
    for word in words:
        if len(lines[-1]) + len(word) > 108:
            lines.append(indent)
        lines[-1] += f"{word} "
    return "\n".join(line.rstrip() for line in lines)


def matrix(name: str, weights: np.ndarray, columns: str) -> str:
    rows = np.round(weights * WEIGHT_ONE).astype(int)
    text = ",\n".join("    {" + filled((f"{w}," for w in row), "     ").strip().rstrip(",") + "}" for row in rows)
    return f"static const int16_t rc_vad_{name}_weights[RC_VAD_UNITS][{columns}] = {{\n{text},\n}};\n"


def vector(name: str, values: np.ndarray) -> str:
    return (
        f"static const float rc_vad_{name}[RC_VAD_UNITS] = {{\n{filled((f'{v:.5f}f,' for v in values), '    ')}\n}};\n"
    )


def header(weights: dict[str, np.ndarray]) -> str:
    seen, said = weights["units.weight_ih_l0"], weights["units.weight_hh_l0"]
    seen_bias, said_bias = weights["units.bias_ih_l0"], weights["units.bias_hh_l0"]
    both, bias, n = np.concatenate([seen, said], 1), seen_bias + said_bias, UNITS
    parts = [
        matrix("reset", both[:n], "RC_FEATURES + RC_VAD_UNITS"),
        matrix("keep", both[n : 2 * n], "RC_FEATURES + RC_VAD_UNITS"),
        matrix("fresh", seen[2 * n :], "RC_FEATURES"),
        matrix("said", said[2 * n :], "RC_VAD_UNITS"),
        vector("reset_bias", bias[:n]),
        vector("keep_bias", bias[n : 2 * n]),
        vector("fresh_bias", seen_bias[2 * n :]),
        vector("said_bias", said_bias[2 * n :]),
        vector("output_weights", weights["output.weight"][0]),
        f"static const float rc_vad_output_bias = {weights['output.bias'][0]:.5f}f;\n",
    ]
    return (
        "/* Weights of the light speech detector, made by bench/vad_tune.py; not to be edited by hand. */\n"
        "#ifndef RC_VAD_WEIGHTS_H\n#define RC_VAD_WEIGHTS_H\n\n#include <stdint.h>\n\n"
        f'#include "rc_features.h"\n\n#define RC_VAD_UNITS {UNITS}\n'
        f"#define RC_VAD_WEIGHT_ONE {WEIGHT_ONE} /* fixed point of the weights */\n\n{''.join(parts)}\n#endif\n"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("voices", type=Path)
    arguments.add_argument("beds", type=Path)
    arguments.add_argument("--groups", nargs="+", default=["cmd", "kw", "libri"])
    arguments.add_argument("--scenes", type=int, default=3600)
    arguments.add_argument("--epochs", type=int, default=8)
    arguments.add_argument("--rate", type=float, default=4e-3, help="highest learning rate")
    arguments.add_argument("--start", type=Path, help="weights written before, to start from")
    arguments.add_argument("--keep", type=float, default=0.0, help="share of those in the result")
    arguments.add_argument("--out", type=Path, required=True)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        SOURCES[:] = [
            str(compile_features(Path(folder))),
            *speech(options.data, options.voices, options.groups),
            [[read(path) for path in sorted(kind.glob("*.wav"))] for kind in sorted(options.beds.iterdir())],
        ]
        with multiprocessing.get_context("fork").Pool() as pool:
            scenes = list(pool.imap(heard, range(options.scenes), chunksize=8))
    features, labels = (np.stack(kind) for kind in zip(*scenes, strict=True))
    start = written(options.start) if options.start else {}
    trained = train(features, labels, options.epochs, options.rate, start)
    weights = averaged(trained, start, options.keep) if start else trained
    options.out.write_text(header(weights))


if __name__ == "__main__":
    main()
