"""Against the algorithms of ITU-T G.191's g711.c, written out step by step."""

import numpy as np
import pytest

from realtime_core import Resampler, g711

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


def in_pieces(process, data, seed):
    random, at, out = np.random.default_rng(seed), 0, []
    while at < len(data):
        piece = int(random.integers(0, 700))
        out.append(process(data[at : at + piece]))
        at += piece
    return b"".join(out)


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
@pytest.mark.parametrize("rate", [16000, 24000, 44100])
def test_phone_path_is_its_two_steps_in_any_pieces(law, rate):
    codes = np.random.default_rng(rate).integers(0, 256, 4000).astype(np.uint8).tobytes()
    decoder, resampler = g711.Decoder(law, rate), Resampler(8000, rate)
    expanded = (g711.decode_ulaw if law == "ulaw" else g711.decode_alaw)(codes)
    pcm = resampler.process(expanded) + resampler.flush()
    assert in_pieces(decoder.process, codes, 1) + decoder.flush() == pcm
    assert decoder.delay == resampler.delay_in / 8000

    encoder, resampler = g711.Encoder(law, rate), Resampler(rate, 8000)
    encode = g711.encode_ulaw if law == "ulaw" else g711.encode_alaw
    assert in_pieces(encoder.process, memoryview(pcm).cast("h"), 2) + encoder.flush() == encode(
        resampler.process(pcm) + resampler.flush()
    )
    assert encoder.delay == resampler.delay_out / 8000


def test_phone_path_at_eight_kilohertz_is_the_law_alone():
    codes = bytes(range(256))
    decoder, encoder = g711.Decoder("alaw", 8000), g711.Encoder("alaw", 8000)
    assert decoder.process(codes) == g711.decode_alaw(codes)
    assert encoder.process(g711.decode_alaw(codes)) == codes
    assert (decoder.flush(), encoder.flush(), decoder.delay, encoder.delay) == (b"", b"", 0, 0)


@pytest.mark.parametrize("make", [g711.Decoder, g711.Encoder])
def test_phone_path_refuses_what_it_cannot_do(make):
    with pytest.raises(ValueError, match="law must be"):
        make("pcmu")
    with pytest.raises(ValueError, match="rate must be"):
        make("ulaw", 7999)
    with pytest.raises(ValueError, match="grade must be"):
        make("ulaw", 24000, "good")
    phone = make("ulaw")
    assert (phone.law, phone.rate) == ("ulaw", 24000)
    first = phone.process(bytes(range(200)))
    phone.reset()
    assert phone.process(bytes(range(200))) == first
