"""Quality of streaming resamplers: passband, rejection, distortion and lag, side by side.

    python bench/resampler_quality.py [--plot FILE.svg]

Measured on what comes out of the 16-bit stream, chunk by chunk, as a client would see it:

- ripple: largest difference of gain from 0 to 0.9 of the narrower Nyquist frequency
- alias: strongest of the tones from 1.1 of it upwards that went in (decimation only)
- image: strongest image of a tone at half of it, beside the tone (interpolation and fractions)
- SINAD at 1 kHz
- lag: median and largest time from handing in a sample to having it out, in chunks of 0.25 ms

Rejection beyond about 100 dB drowns in the rounding of 16-bit samples.
"""

import argparse
from pathlib import Path

import numpy as np
import soxr

from realtime_core import Resampler

PAIRS = [(48000, 24000), (24000, 48000), (44100, 24000), (16000, 24000), (24000, 16000), (8000, 24000), (24000, 8000)]
AMPLITUDE = 20000


def ours(grade):
    def make(rate_in, rate_out):
        resampler = Resampler(rate_in, rate_out, grade)
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


def stream(make, rate_in, rate_out, samples, chunk_s=0.02):
    """What comes out, and after each chunk how much has come out so far."""
    process, pieces, counts, chunk = make(rate_in, rate_out), [], [], int(rate_in * chunk_s)
    for start in range(0, len(samples), chunk):
        pieces.append(process(samples[start : start + chunk]))
        counts.append(len(pieces[-1]))
    return np.concatenate(pieces).astype(float), np.cumsum(counts)


def tone(rate, frequency, seconds=0.6):
    return np.rint(AMPLITUDE * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(np.int16)


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
    gains = [
        db(fit(stream(make, rate_in, rate_out, tone(rate_in, f))[0], rate_out, f)[0] / AMPLITUDE)
        for f in np.linspace(0.02, 0.9, 23) * nyquist
    ]
    return max(gains) - min(gains)


def alias(make, rate_in, rate_out):
    nyquist = min(rate_in, rate_out) / 2
    if rate_in <= rate_out:
        return None
    frequencies = np.linspace(1.1 * nyquist, rate_in / 2 * 0.97, 23)
    return max(
        db(fit(stream(make, rate_in, rate_out, tone(rate_in, f))[0], rate_out, f)[0] / AMPLITUDE) for f in frequencies
    )


def image(make, rate_in, rate_out):
    """Images of the tone around multiples of the input rate, where they end up in the output."""
    frequency = min(rate_in, rate_out) / 4 * 1.03
    out, _ = stream(make, rate_in, rate_out, tone(rate_in, frequency))
    found = {abs((k * rate_in + sign * frequency + rate_out / 2) % rate_out - rate_out / 2)
             for k in (1, 2, 3) for sign in (-1, 1)}  # fmt: skip
    images = [f for f in found if abs(f - frequency) > 20]
    if not images:  # decimation by a whole number has none
        return None
    rest = np.zeros_like(out)
    rest[len(out) // 3 : len(out) - len(out) // 10] = fit(out, rate_out, frequency)[1]
    return max(db(fit(rest, rate_out, f)[0] / AMPLITUDE) for f in images)


def sinad(make, rate_in, rate_out):
    amplitude, rest = fit(stream(make, rate_in, rate_out, tone(rate_in, 1000, 1.0))[0], rate_out, 1000)
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


def response(make, rate_in, rate_out):
    nyquist = min(rate_in, rate_out) / 2
    parts = np.linspace(0.02, min(2.0, rate_in / 2 / nyquist * 0.98), 120)
    gains = [
        db(
            fit(stream(make, rate_in, rate_out, tone(rate_in, p * nyquist, 0.3))[0], rate_out, p * nyquist)[0]
            / AMPLITUDE
        )
        for p in parts
    ]
    return parts, gains


def write_plot(path, rate_in=48000, rate_out=24000):
    """Frequency responses as an SVG of straight lines, without a plotting library."""
    colours = ["#0b6", "#06c", "#c40", "#888", "#a0c", "#e90"]
    width, height, floor = 800, 400, -130
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-60 -30 {width + 80} {height + 80}" font-size="12">']
    lines += [
        f'<line x1="0" x2="{width}" y1="{y * height / floor}" y2="{y * height / floor}" stroke="#ddd"/>'
        f'<text x="-45" y="{y * height / floor + 4}">{y} dB</text>'
        for y in range(0, floor, -20)
    ]
    lines += [f'<text x="{x * width / 2 - 8}" y="{height + 18}">{x}</text>' for x in (0, 0.5, 0.9, 1.1, 1.5, 2.0)]
    lines.append(
        f'<text x="250" y="{height + 38}">part of the narrower Nyquist frequency, {rate_in} to {rate_out} Hz</text>'
    )
    for index, (name, make) in enumerate(RESAMPLERS.items()):
        parts, gains = response(make, rate_in, rate_out)
        points = " ".join(
            f"{p * width / 2:.1f},{max(g, floor) * height / floor:.1f}" for p, g in zip(parts, gains, strict=True)
        )
        colour = colours[index % len(colours)]
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        lines.append(f'<text x="20" y="{height - 100 + 16 * index}" fill="{colour}">{name}</text>')
    Path(path).write_text("\n".join([*lines, "</svg>"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="write the frequency responses at 48 -> 24 kHz as an SVG")
    arguments = parser.parse_args()
    print(
        "| rates | resampler | ripple to 0.9, dB | alias from 1.1, dB | image, dB | SINAD 1 kHz, dB "
        "| lag median / worst, ms |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for rate_in, rate_out in PAIRS:
        for name, make in RESAMPLERS.items():
            rejected, mirrored = alias(make, rate_in, rate_out), image(make, rate_in, rate_out)
            median, worst = lag(make, rate_in, rate_out)
            print(
                f"| {rate_in} -> {rate_out} | {name} | {ripple(make, rate_in, rate_out):.3f} "
                f"| {'' if rejected is None else f'{rejected:.0f}'} | {'' if mirrored is None else f'{mirrored:.0f}'} "
                f"| {sinad(make, rate_in, rate_out):.1f} | {median:.2f} / {worst:.2f} |"
            )
    if arguments.plot:
        write_plot(arguments.plot)


if __name__ == "__main__":
    main()
