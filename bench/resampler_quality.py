"""Quality of streaming resamplers: passband, rejection, distortion and lag, side by side.

    python bench/resampler_quality.py [--docs docs/]

Measured on what comes out of the 16-bit stream, chunk by chunk, as a client would see it:

- ripple: largest difference of gain from 0 to 0.9 of the narrower Nyquist frequency
- alias: strongest of the tones from 1.1 of it upwards that went in (decimation only)
- image: strongest image of a tone at half of it, beside the tone (interpolation and fractions)
- SINAD at 1 kHz
- cost: time for 20 ms of audio as a multiple of soxr HQ's, medians of turns that alternate
- lag: median and largest time from handing in a sample to having it out, in chunks of 0.25 ms

Tones come with dither, so that what is less than a step of 16-bit samples shows too, down to about
-120 dB. With --docs the table goes into that folder's resampler.md and the plots beside it.
libsamplerate (the samplerate package) and speexdsp (the system's shared library) are measured where
they are installed.
"""

import argparse
import ctypes
import ctypes.util
import re
import time
from pathlib import Path

import numpy as np
import soxr
from chart import COLOURS, Axis, Chart

from realtime_core import Resampler

PAIRS = [
    (48000, 24000),
    (24000, 48000),
    (44100, 24000),
    (24000, 44100),
    (16000, 24000),
    (24000, 16000),
    (8000, 24000),
    (24000, 8000),
]
AMPLITUDE = 20000
PPM = 50.0  # by how much a clock drifts from another


def ours(grade, ppm=0.0):
    def make(rate_in, rate_out):
        resampler = Resampler(rate_in, rate_out, grade)
        resampler.adjust(ppm)
        return lambda samples: np.frombuffer(resampler.process(samples), np.int16)

    return make


def soxr_stream(quality):
    def make(rate_in, rate_out):
        return soxr.ResampleStream(rate_in, rate_out, 1, dtype="int16", quality=quality).resample_chunk

    return make


def libsamplerate(kind):
    import samplerate

    def make(rate_in, rate_out):
        resampler = samplerate.Resampler(kind)

        def process(samples):
            out = resampler.process(samples.astype(np.float32) / 32768, rate_out / rate_in)
            return np.clip(np.rint(out * 32768), -32768, 32767).astype(np.int16)

        return process

    return make


def speexdsp(library, quality):
    library.speex_resampler_init.restype = ctypes.c_void_p

    def make(rate_in, rate_out):
        state = ctypes.c_void_p(library.speex_resampler_init(1, rate_in, rate_out, quality, None))

        def process(samples):
            samples = np.ascontiguousarray(samples)
            out = np.empty(len(samples) * rate_out // rate_in + 16, np.int16)
            taken, made = ctypes.c_uint32(len(samples)), ctypes.c_uint32(len(out))
            library.speex_resampler_process_int(
                state, 0, samples.ctypes.data_as(ctypes.c_void_p), ctypes.byref(taken),
                out.ctypes.data_as(ctypes.c_void_p), ctypes.byref(made),
            )  # fmt: skip
            return out[: made.value]

        return process

    return make


RESAMPLERS = {
    "ours fast": ours("fast"),
    "ours best": ours("best"),
    "soxr HQ": soxr_stream("HQ"),
    "soxr QQ": soxr_stream("QQ"),
}
try:
    RESAMPLERS["libsamplerate fastest"] = libsamplerate("sinc_fastest")
    RESAMPLERS["libsamplerate medium"] = libsamplerate("sinc_medium")
except ModuleNotFoundError:
    print("libsamplerate is left out: pip install samplerate")
if ctypes.util.find_library("speexdsp"):
    speex = ctypes.CDLL(ctypes.util.find_library("speexdsp"))
    RESAMPLERS["speexdsp 3"] = speexdsp(speex, 3)
    RESAMPLERS["speexdsp 5"] = speexdsp(speex, 5)
    RESAMPLERS["speexdsp 8"] = speexdsp(speex, 8)
else:
    print("speexdsp is left out: install libspeexdsp1")


def stream(make, rate_in, rate_out, samples, chunk_s=0.02):
    """What comes out, and after each chunk how much has come out so far."""
    process, pieces, counts, chunk = make(rate_in, rate_out), [], [], int(rate_in * chunk_s)
    for start in range(0, len(samples), chunk):
        pieces.append(process(samples[start : start + chunk]))
        counts.append(len(pieces[-1]))
    return np.concatenate(pieces).astype(float), np.cumsum(counts)


def tone(rate, frequency, seconds=0.6, dither=0.0):
    wave = AMPLITUDE * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)
    if dither:
        wave += np.random.default_rng(3).triangular(-dither, 0, dither, len(wave))
    return np.rint(wave).astype(np.int16)


def level(make, rate_in, rate_out, frequency, seconds=0.6):
    """What comes out of a tone, in dB. Dither in the input keeps what is less than a step from being rounded away."""
    out, _ = stream(make, rate_in, rate_out, tone(rate_in, frequency, seconds, dither=2))
    return db(fit(out, rate_out, frequency)[0] / AMPLITUDE)


def fit(out, rate, frequency):
    """Amplitude of a tone in the settled part, and what is left without it."""
    settled = np.arange(len(out) // 3, len(out) - len(out) // 10)
    phase = 2 * np.pi * frequency * settled / rate
    basis = np.stack([np.cos(phase), np.sin(phase), np.ones_like(phase)], 1)
    solution = np.linalg.lstsq(basis, out[settled], rcond=None)[0]
    return np.hypot(*solution[:2]), out[settled] - basis @ solution


def db(ratio):
    return 20 * np.log10(max(ratio, 1e-7))


def ripple(make, rate_in, rate_out):
    nyquist = min(rate_in, rate_out) / 2
    gains = [level(make, rate_in, rate_out, f) for f in np.linspace(0.02, 0.9, 23) * nyquist]
    return max(gains) - min(gains)


def alias(make, rate_in, rate_out):
    nyquist = min(rate_in, rate_out) / 2
    if rate_in <= rate_out:
        return None
    edge, rest = np.linspace(1.1, 1.15, 12) * nyquist, np.linspace(1.16 * nyquist, rate_in / 2 * 0.97, 16)
    return max(level(make, rate_in, rate_out, f) for f in [*edge, *rest])


def image(make, rate_in, rate_out):
    """Images of the tone around multiples of the input rate, where they end up in the output."""
    frequency = min(rate_in, rate_out) / 4 * 1.03
    out, _ = stream(make, rate_in, rate_out, tone(rate_in, frequency, dither=2))
    found = {abs((k * rate_in + sign * frequency + rate_out / 2) % rate_out - rate_out / 2)
             for k in (1, 2, 3) for sign in (-1, 1)}  # fmt: skip
    images = [f for f in found if abs(f - frequency) > 20]
    if not images:  # decimation by a whole number has none
        return None
    rest = np.zeros_like(out)
    rest[len(out) // 3 : len(out) - len(out) // 10] = fit(out, rate_out, frequency)[1]
    return max(db(fit(rest, rate_out, f)[0] / AMPLITUDE) for f in images)


def sinad(make, rate_in, rate_out, ppm=0.0):
    out, _ = stream(make, rate_in, rate_out, tone(rate_in, 1000, 1.0))
    amplitude, rest = fit(out, rate_out, 1000 * (1 + ppm * 1e-6))
    return db(amplitude / np.sqrt(2) / np.sqrt(np.mean(rest**2)))


def lag(make, rate_in, rate_out):
    """Milliseconds from handing in a sample to having it out: by how much the signal is shifted in
    the output, and by how much the output is behind."""
    samples = np.zeros(rate_in, np.int16)
    at = rate_in // 2
    samples[at] = 30000
    out, counts = stream(make, rate_in, rate_out, samples, chunk_s=0.00025)
    energy = out**2
    shift = (energy * np.arange(len(out))).sum() / energy.sum() / rate_out - at / rate_in
    chunk = int(rate_in * 0.00025) / rate_in
    times = np.arange(rate_in // 4, rate_in * 3 // 4, 13) / rate_in
    done = np.searchsorted(counts, (times + shift) * rate_out, side="right") * chunk
    delays = (done - np.floor(times / chunk) * chunk) * 1000
    return np.median(delays), delays.max()


def costs(rate_in, rate_out, turns=300):
    """Seconds for 20 ms of each, in turns that alternate, so that whatever else runs meets all of them.

    Each is given what it takes and gives without a conversion: bytes are ours, arrays the others'.
    """
    samples = (np.random.default_rng(0).standard_normal(rate_in // 50) * 5000).astype(np.int16)
    processes = {name: (make(rate_in, rate_out), samples) for name, make in RESAMPLERS.items()}
    for grade in ("fast", "best"):
        processes[f"ours {grade}"] = Resampler(rate_in, rate_out, grade).process, samples.tobytes()
        adjusted = Resampler(rate_in, rate_out, grade)
        adjusted.adjust(PPM)
        processes[f"ours {grade}, adjusted"] = adjusted.process, samples.tobytes()
    seconds = {name: [] for name in processes}
    for turn in range(turns + 20):
        for name, (process, piece) in processes.items():
            start = time.perf_counter()
            for _ in range(4):
                process(piece)
            if turn >= 20:
                seconds[name].append((time.perf_counter() - start) / 4)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def response(make, rate_in, rate_out):
    nyquist = min(rate_in, rate_out) / 2
    parts = np.linspace(0.02, min(2.0, rate_in / 2 / nyquist * 0.98), 120)
    return [(p, level(make, rate_in, rate_out, p * nyquist, 0.3)) for p in parts]


def response_plot(rate_in=48000, rate_out=24000):
    x = Axis(f"part of the narrower Nyquist frequency, {rate_in} to {rate_out} Hz", 0, 2, [0, 0.5, 0.9, 1.1, 1.5, 2])
    chart = Chart(x, Axis("gain, dB", -130, 5, [0, -20, -40, -60, -80, -100, -120]))
    for (name, make), colour in zip(RESAMPLERS.items(), COLOURS, strict=False):
        chart.line(name, response(make, rate_in, rate_out), colour)
    return chart.svg()


def cost_plot(found):
    """From what was found at 48 -> 24 kHz."""
    y = Axis("cost of 20 ms, soxr HQ = 1", 0.1, 50, [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50], logarithmic=True)
    chart = Chart(Axis("lag, worst, ms", 0.03, 60, [0.03, 0.1, 0.3, 1, 3, 10, 30], logarithmic=True), y)
    for (name, (worst, cost)), colour in zip(found.items(), COLOURS, strict=False):
        chart.point(name, worst, cost, colour)
    return chart.svg()


def measure():
    """Both tables, and lag and cost by resampler at the first pair of rates."""
    columns = ["rates", "resampler", "ripple to 0.9, dB", "alias from 1.1, dB", "image, dB", "SINAD 1 kHz, dB"]
    columns += ["lag median / worst, ms", "cost, soxr HQ = 1"]
    rows = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    adjusted = [f"| rates | grade | cost, soxr HQ = 1 | adjusted by {PPM:.0f} ppm | SINAD 1 kHz, adjusted, dB |"]
    adjusted.append("| --- " * 5 + "|")
    first = {}
    for rate_in, rate_out in PAIRS:
        cost = costs(rate_in, rate_out)
        for name, make in RESAMPLERS.items():
            rejected, mirrored = alias(make, rate_in, rate_out), image(make, rate_in, rate_out)
            median, worst = lag(make, rate_in, rate_out)
            part = cost[name] / cost["soxr HQ"]
            rows.append(
                f"| {rate_in} -> {rate_out} | {name} | {ripple(make, rate_in, rate_out):.3f} "
                f"| {'' if rejected is None else f'{rejected:.0f}'} | {'' if mirrored is None else f'{mirrored:.0f}'} "
                f"| {sinad(make, rate_in, rate_out):.1f} | {median:.2f} / {worst:.2f} | {part:.2f} |"
            )
            if (rate_in, rate_out) == PAIRS[0]:
                first[name] = worst, part
        for grade in ("fast", "best"):
            at_rest, moved = (cost[f"ours {grade}{suffix}"] / cost["soxr HQ"] for suffix in ("", ", adjusted"))
            quality = sinad(ours(grade, PPM), rate_in, rate_out, PPM)
            adjusted.append(f"| {rate_in} -> {rate_out} | {grade} | {at_rest:.2f} | {moved:.2f} | {quality:.1f} |")
    return "\n".join(rows), "\n".join(adjusted), first


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", metavar="FOLDER", type=Path, help="write table and plots there")
    arguments = parser.parse_args()
    table, adjusted, first = measure()
    print(table, adjusted, sep="\n\n")
    if arguments.docs:
        page = arguments.docs / "resampler.md"
        text = page.read_text()
        for name, rows in (("table", table), ("adjusted", adjusted)):
            text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", rf"\1{rows}\n\2", text, flags=re.DOTALL)
        page.write_text(text)
        (arguments.docs / "resampler_response.svg").write_text(response_plot())
        (arguments.docs / "resampler_cost.svg").write_text(cost_plot(first))


if __name__ == "__main__":
    main()
