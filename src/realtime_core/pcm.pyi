from typing_extensions import Buffer

def level(pcm: Buffer, /) -> tuple[float, float]:
    """Peak and RMS level of 16-bit or float32 samples in dBFS, -120.0 for silence. Any thread.

    Items of format "f" are float32 with full scale at 1.0; in them, not-a-number is silence.
    """

def mix_down(pcm: Buffer, channels: int) -> bytes:
    """Mono: the mean of `channels` (1 to 64) interleaved channels. Any thread.

    Raises ValueError when the samples are no whole number of frames.
    """

def interleave(left: Buffer, right: Buffer, /) -> bytes:
    """Two mono sides of equal length as interleaved stereo, else ValueError. Any thread."""

def apply_gain(pcm: Buffer, start: float, end: float, /) -> None:
    """Multiply `pcm` in place by a gain going straight from `start` to `end`; from or to 0 it is a fade.

    16-bit samples that do not fit are limited; float32 ones (items of format "f") have headroom. Raises ValueError
    for a gain that is not finite. Any thread.
    """

def mix(pcm: Buffer, more: Buffer, /) -> None:
    """Add `more` to `pcm` in place, both 16-bit (limited) or both float32 (not limited).

    Raises ValueError for sides of unequal length, TypeError for unequal formats. Any thread.
    """

def s16_to_f32(pcm: Buffer, /) -> bytes:
    """Samples as float32 with full scale at 1.0. Any thread."""

def f32_to_s16(pcm: Buffer, /) -> bytes:
    """Float32 samples (or their bytes) rounded to 16 bits and limited; not-a-number is silence.

    Raises TypeError for other items. Any thread.
    """
