import math
import random

import numpy as np
import pytest
import soxr

from realtime_core import Resampler

PAIRS = [
    (48000, 24000), (24000, 48000), (44100, 24000), (24000, 44100), (16000, 24000), (24000, 16000), (8000, 24000),
    (24000, 8000), (8000, 48000), (44100, 48000), (8001, 44100), (44100, 47999),
]  # fmt: skip
GRADES = ["fast", "best"]
BAD_RATES = [0, -1, 7999, 192001]
every_pair = pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
every_grade = pytest.mark.parametrize("grade", GRADES)


def tone(frequency, rate, seconds, amplitude=20000.0):
    return np.rint(amplitude * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(np.int16)


def int16(data):
    return np.frombuffer(data, np.int16)


def gain_db(resampler, frequency, heard=None):
    """Level of what comes out at `heard` (else at its own or its alias frequency) for a tone that goes in.

    With dither, so that what is less than half a sample's step is not rounded away: good to -115 dB.
    """
    dither = np.random.default_rng(3).triangular(-2, 0, 2, resampler.rate_in)
    samples = np.rint(tone(frequency, resampler.rate_in, 1, 32000.0) + dither).astype(np.int16)
    out = int16(resampler.process(samples)).astype(float)
    settled = slice(len(out) // 4, None)
    time = np.arange(len(out))[settled] / resampler.rate_out
    heard = [heard, frequency] if heard else [frequency]
    basis = np.stack([wave(2 * np.pi * f * time) for f in heard for wave in (np.cos, np.sin)], 1)
    amplitude = np.linalg.norm(np.linalg.lstsq(basis, out[settled], rcond=None)[0][:2])
    return 20 * math.log10(max(amplitude, 1e-3) / 32000)


@every_pair
@every_grade
def test_any_partition_gives_the_same_samples(rate_in, rate_out, grade):
    source = random.Random(rate_in)
    samples = np.random.default_rng(1).integers(-32768, 32768, 9000).astype(np.int16)
    reference = Resampler(rate_in, rate_out, grade)
    whole = reference.process(samples) + reference.flush()
    resampler = Resampler(rate_in, rate_out, grade)
    for _ in range(2):  # again after the flush
        pieces, position = b"", 0
        while position < len(samples):
            size = source.choice([0, 1, 7, 160, 441, 2400])
            pieces += resampler.process(samples[position : position + size])
            position += size
            taken = min(position, len(samples))
            assert len(pieces) // 2 == -(-taken * rate_out // rate_in)
        assert pieces + resampler.flush() == whole


@every_pair
@every_grade
def test_tone_matches_soxr(rate_in, rate_out, grade):
    resampler = Resampler(rate_in, rate_out, grade)
    samples = tone(700, rate_in, 1) // 2 + tone(1900, rate_in, 1) // 2
    out = int16(resampler.process(samples) + resampler.flush()).astype(float)
    expected = soxr.resample(samples.astype(np.float64), rate_in, rate_out, quality="VHQ")
    # Ours lags by a fraction of a sample too: shift the reference in the frequency domain.
    size = min(len(out), len(expected))
    spectrum = np.fft.rfft(expected[:size])
    shifted = np.fft.irfft(spectrum * np.exp(-2j * np.pi * np.fft.rfftfreq(size) * resampler.delay_out), size)
    middle = slice(size // 4, size * 3 // 4)
    error = out[:size][middle] - shifted[middle]
    assert 20 * np.log10(np.std(expected[middle]) / np.std(error)) > 78


@pytest.mark.parametrize(("rate_in", "rate_out"), [*PAIRS, (44100, 16000), (48000, 8000), (44101, 16000)])
@every_grade
def test_band_edges(rate_in, rate_out, grade):
    nyquist = min(rate_in, rate_out) / 2
    for part in (0.05, 0.5, 0.9):
        limit = 0.02 if grade == "fast" else 0.1
        assert abs(gain_db(Resampler(rate_in, rate_out, grade), part * nyquist)) < limit
    if rate_in > rate_out:  # what would be heard as an alias
        stop = 1.1 if grade == "fast" else 1.0
        for part in [*np.linspace(stop + 0.0003, stop + 0.03, 7), *np.linspace(stop, rate_in / rate_out * 0.98, 7)[1:]]:
            assert gain_db(Resampler(rate_in, rate_out, grade), part * nyquist) < (-80 if grade == "fast" else -100)


@pytest.mark.parametrize(("rate_in", "rate_out"), [pair for pair in PAIRS if pair[1] >= 2 * pair[0] - 4000])
@every_grade
def test_images(rate_in, rate_out, grade):
    for part in np.linspace(0.3, 0.9, 5) if grade == "fast" else np.linspace(0.3, 0.98, 7):
        frequency = part * rate_in / 2
        level = gain_db(Resampler(rate_in, rate_out, grade), frequency, rate_in - frequency)
        assert level < (-80 if grade == "fast" else -100)


@pytest.mark.parametrize("rate_in", [48000, 24000, 16000])
def test_signal_to_noise_and_distortion(rate_in):
    for grade in GRADES:
        out = int16(Resampler(rate_in, 24000, grade).process(tone(1000, rate_in, 1))).astype(float)[12000:]
        time = np.arange(12000, 24000) / 24000
        basis = np.stack([np.sin(2 * np.pi * 1000 * time), np.cos(2 * np.pi * 1000 * time)], 1)
        fit = basis @ np.linalg.lstsq(basis, out, rcond=None)[0]
        assert 10 * np.log10(np.var(fit) / np.var(out - fit)) > 86


@pytest.mark.parametrize(
    ("rate_in", "rate_out", "fast", "best"),
    [(48000, 24000, 1.1, 3.1), (24000, 48000, 1.1, 3.1), (44100, 24000, 1.1, 3.1), (16000, 24000, 1.6, 4.6),
     (24000, 16000, 1.6, 4.6), (8000, 24000, 3.2, 9.3), (24000, 8000, 3.2, 9.3)],
)  # fmt: skip
def test_delay_is_short_and_told(rate_in, rate_out, fast, best):
    for grade, limit in (("fast", fast), ("best", best)):
        resampler = Resampler(rate_in, rate_out, grade)
        assert resampler.delay_in / rate_in * 1000 <= limit
        assert resampler.delay_out == pytest.approx(resampler.delay_in * rate_out / rate_in)
        impulse = np.zeros(rate_in // 10, np.int16)
        impulse[400] = 30000
        out = int16(resampler.process(impulse)).astype(float)
        centre = (np.arange(len(out)) * out**2).sum() / (out**2).sum()
        assert centre == pytest.approx(400 * rate_out / rate_in + resampler.delay_out, abs=0.5)


def test_silence_stays_silence_and_the_first_chunk_yields():
    resampler = Resampler(48000, 24000)
    assert resampler.process(bytes(1920)) == bytes(960)
    assert set(resampler.flush()) == {0}


def test_clipping_is_counted_and_forgotten():
    square = np.where(np.arange(4800) // 48 % 2, 32767, -32768).astype(np.int16)
    resampler = Resampler(48000, 16000)
    resampler.process(square)
    assert resampler.clipped > 0
    resampler.reset()
    assert resampler.clipped == 0


@pytest.mark.parametrize("rates", [(bad, 24000) for bad in BAD_RATES] + [(24000, bad) for bad in BAD_RATES])
def test_rates_out_of_range_are_refused(rates):
    with pytest.raises(ValueError, match="rates must be 8000 to 192000 Hz"):
        Resampler(*rates)


def test_other_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="grade must be 'fast' or 'best'"):
        Resampler(48000, 24000, "good")
    with pytest.raises(TypeError):
        Resampler(48000, 24000, None)
    with pytest.raises(TypeError):
        Resampler(48000.5, 24000)
    with pytest.raises(ValueError, match="even number of bytes"):
        Resampler(48000, 24000).process(b"abc")
    with pytest.raises(TypeError, match="16-bit samples"):
        Resampler(48000, 24000).process(np.zeros(4, np.float32))


def test_attributes():
    resampler = Resampler(48000, 24000, "best")
    assert (resampler.rate_in, resampler.rate_out, resampler.grade, resampler.clipped) == (48000, 24000, "best", 0)
    with pytest.raises(AttributeError):
        resampler.rate_in = 5


every_adjusted_pair = pytest.mark.parametrize(
    ("rate_in", "rate_out"),
    [(48000, 24000), (24000, 24000), (24000, 48000), (24000, 16000), (8000, 24000), (44100, 48000), (8002, 44100)],
)


@every_adjusted_pair
@every_grade
def test_adjusting_follows_a_drifting_clock_without_a_click(rate_in, rate_out, grade):
    resampler, frequency, ppm = Resampler(rate_in, rate_out, grade), 1000.0, 300.0
    pieces = [resampler.process(tone(frequency, rate_in, 0.5))]
    resampler.adjust(ppm)
    whole = tone(frequency, rate_in, 2)
    pieces += [resampler.process(whole[rate_in // 2 : rate_in])]
    resampler.adjust(-ppm)
    pieces += [resampler.process(whole[rate_in : rate_in * 3 // 2])]
    out = int16(b"".join(pieces)).astype(float)
    lengths = [len(piece) // 2 for piece in pieces]
    assert [round(length / rate_out * 2, 6) for length in lengths] == pytest.approx([1, 1 - 3e-4, 1 + 3e-4], abs=1e-4)
    # Each part is the tone at its own speed, and the second difference, which a click would break, stays small.
    second = np.abs(np.diff(out[rate_out // 50 :], 2)).max()
    assert second < 1.02 * 20000 * (2 * np.pi * frequency / rate_out) ** 2 + 3
    middle = slice(lengths[0] + rate_out // 20, lengths[0] + lengths[1])
    phase = 2 * np.pi * frequency * (1 + ppm * 1e-6) * np.arange(len(out))[middle] / rate_out
    basis = np.stack([np.cos(phase), np.sin(phase)], 1)
    rest = out[middle] - basis @ np.linalg.lstsq(basis, out[middle], rcond=None)[0]
    assert 20 * np.log10(20000 / np.sqrt(2) / np.std(rest)) > 80


@every_adjusted_pair
@every_grade
def test_adjusting_all_the_time_does_not_click(rate_in, rate_out, grade):
    # From none over what clocks drift by to the most: other phases, cells and ways of filtering every 10 ms.
    resampler, source, frequency, pieces = Resampler(rate_in, rate_out, grade), random.Random(1), 1000.0, []
    samples, size = tone(frequency, rate_in, 2), rate_in // 100
    for start in range(0, len(samples), size):
        pieces.append(resampler.process(samples[start : start + size]))
        resampler.adjust(source.choice([0.0, 1.0, 50.0, 400.0, 10000.0]) * source.choice([-1, 1]))
    out = int16(b"".join(pieces)).astype(float)[rate_out // 50 :]
    assert np.abs(np.diff(out, 2)).max() < 1.03 * 20000 * (2 * np.pi * frequency * 1.01 / rate_out) ** 2 + 3
    assert len(out) > rate_out


def test_adjustment_is_bounded_and_forgotten_by_reset():
    resampler = Resampler(48000, 24000)
    for ppm in (10001, -10001, math.nan, math.inf):
        with pytest.raises(ValueError, match="ppm must be"):
            resampler.adjust(ppm)
    samples = tone(500, 48000, 0.1)
    expected = resampler.process(samples)
    resampler.adjust(10000)
    resampler.process(samples)
    resampler.reset()
    assert resampler.process(samples) == expected
