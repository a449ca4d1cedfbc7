"""Against the algorithms of ITU-T G.191's g711.c, written out step by step."""

import numpy as np
import pytest

from realtime_core import g711

EVERY_SAMPLE = range(-32768, 32768)


def ulaw_compress(sample):
    magnitude = min(((~sample if sample < 0 else sample) >> 2) + 33, 0x1FFF)
    segment, rest = 1, magnitude >> 6
    while rest:
        segment += 1
        rest >>= 1
    code = (8 - segment) << 4 | (15 - (magnitude >> segment & 15))
    return code | 0x80 if sample >= 0 else code


def ulaw_expand(code):
    inverted = ~code & 0xFF
    exponent, step = inverted >> 4 & 7, inverted & 15
    size = 4 << (exponent + 1)
    value = (0x80 << exponent) + size * step + size // 2 - 4 * 33
    return value if code & 0x80 else -value


def alaw_compress(sample):
    value = (~sample if sample < 0 else sample) >> 4
    if value > 15:
        exponent = 1
        while value > 16 + 15:
            value >>= 1
            exponent += 1
        value = value - 16 + (exponent << 4)
    return (value | 0x80 if sample >= 0 else value) ^ 0x55


def alaw_expand(code):
    value = (code ^ 0x55) & 0x7F
    exponent, step = value >> 4, value & 15
    if exponent:
        step += 16
    step = (step << 4) + 8
    if exponent > 1:
        step <<= exponent - 1
    return step if code & 0x80 else -step


def test_every_sample_is_encoded_as_the_reference_does():
    samples = np.array(EVERY_SAMPLE, np.int16)
    assert list(g711.encode_ulaw(samples)) == [ulaw_compress(sample) for sample in EVERY_SAMPLE]
    assert list(g711.encode_alaw(samples)) == [alaw_compress(sample) for sample in EVERY_SAMPLE]


def test_every_code_is_decoded_as_the_reference_does():
    codes = bytes(range(256))
    assert np.frombuffer(g711.decode_ulaw(codes), np.int16).tolist() == [ulaw_expand(code) for code in codes]
    assert np.frombuffer(g711.decode_alaw(codes), np.int16).tolist() == [alaw_expand(code) for code in codes]


@pytest.mark.parametrize("length", [0, 1, 7, 63, 160, 1001])
def test_every_length(length):
    samples = np.random.default_rng(length).integers(-32768, 32768, length).astype(np.int16)
    assert list(g711.encode_ulaw(samples)) == [ulaw_compress(int(sample)) for sample in samples]
    assert list(g711.encode_alaw(samples)) == [alaw_compress(int(sample)) for sample in samples]
    assert len(g711.decode_ulaw(g711.encode_ulaw(samples))) == 2 * length


def test_wrong_buffers_are_refused():
    with pytest.raises(ValueError, match="even number of bytes"):
        g711.encode_ulaw(b"abc")
    with pytest.raises(TypeError):
        g711.encode_alaw([1, 2])
    with pytest.raises(TypeError):
        g711.decode_ulaw("text")
