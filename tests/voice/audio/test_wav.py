"""WAV files: all kinds read, bad ones refused by name, written ones whole at any moment."""

import math
import struct
import wave

import numpy as np
import pytest
from realtime_voice.audio.wav import WavWriter, read_wav
from realtime_voice.errors import AudioFileError

from realtime_core import g711

SECONDS = 0.25


def sine(rate, hz=440.0):
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(int(SECONDS * rate)) / rate)


def riff(tag, channels, rate, bits, data, *, before=b""):
    frame = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, channels, rate, rate * frame, frame, bits)
    body = b"WAVE" + form + before + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def pcm24(samples):
    wide = np.rint(samples * (2**23 - 1)).astype("<i4").view("u1").reshape(-1, 4)
    return wide[:, :3].tobytes()


def pcm16(samples):
    return np.rint(samples * 32767).astype("<i2").tobytes()


ENCODINGS = {
    "pcm8": (1, 8, lambda x: (np.rint(x * 127) + 128).astype("u1").tobytes(), 0.01),
    "pcm16": (1, 16, pcm16, 1e-4),
    "pcm24": (1, 24, pcm24, 1e-4),
    "pcm32": (1, 32, lambda x: np.rint(x * (2**31 - 1)).astype("<i4").tobytes(), 1e-4),
    "float32": (3, 32, lambda x: x.astype("<f4").tobytes(), 1e-4),
    "float64": (3, 64, lambda x: x.astype("<f8").tobytes(), 1e-4),
    "alaw": (6, 8, lambda x: g711.encode_alaw(pcm16(x)), 0.03),
    "ulaw": (7, 8, lambda x: g711.encode_ulaw(pcm16(x)), 0.03),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_reads_as_the_same_sound(tmp_path, name):
    tag, bits, encode, tolerance = ENCODINGS[name]
    path = tmp_path / "sine.wav"
    path.write_bytes(riff(tag, 1, 16000, bits, encode(sine(16000))))
    pcm, rate = read_wav(path)
    assert rate == 16000
    assert np.allclose(np.frombuffer(pcm, "<i2") / 32768, sine(16000), atol=tolerance)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_every_rate_is_resampled_to_the_one_asked_for(tmp_path, rate):
    path = tmp_path / "sine.wav"
    path.write_bytes(riff(1, 1, rate, 16, pcm16(sine(rate))))
    pcm, got = read_wav(path, 24000)
    samples = np.frombuffer(pcm, "<i2") / 32768
    assert got == 24000
    assert math.isclose(len(samples), SECONDS * 24000, abs_tol=2)
    middle = slice(1000, -1000)
    assert np.allclose(samples[middle], sine(24000)[: len(samples)][middle], atol=0.01)


def test_stereo_is_mixed_down(tmp_path):
    left, right = sine(48000), np.zeros(int(SECONDS * 48000))
    path = tmp_path / "stereo.wav"
    path.write_bytes(riff(1, 2, 48000, 16, pcm16(np.stack([left, right], axis=1).reshape(-1))))
    pcm, _ = read_wav(path)
    assert np.allclose(np.frombuffer(pcm, "<i2") / 32768, left / 2, atol=1e-4)


def test_loud_float_is_clipped_not_wrapped(tmp_path):
    path = tmp_path / "loud.wav"
    path.write_bytes(riff(3, 1, 16000, 32, np.array([2.0, -2.0], "<f4").tobytes()))
    assert np.frombuffer(read_wav(path)[0], "<i2").tolist() == [32767, -32768]


def test_chunks_before_the_data_and_extensible_formats_are_understood(tmp_path):
    note = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # odd chunks are padded
    path = tmp_path / "noted.wav"
    path.write_bytes(riff(1, 1, 16000, 16, pcm16(sine(16000)), before=note))
    assert len(read_wav(path)[0]) == 2 * int(SECONDS * 16000)
    form = struct.pack("<HHIIHHHHIH14s", 0xFFFE, 1, 16000, 32000, 2, 16, 22, 16, 0, 1, b"\0" * 14)
    data = pcm16(sine(16000))
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert read_wav(path)[0] == data


def test_a_size_beyond_the_file_means_to_its_end(tmp_path, caplog):
    path = tmp_path / "cut.wav"
    path.write_bytes(riff(1, 1, 16000, 16, pcm16(sine(16000)))[:-1001])
    assert len(read_wav(path)[0]) == 2 * int(SECONDS * 16000) - 1002
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} is cut short: it holds 6999 of 8000 bytes of audio"
    ]


def test_a_size_not_known_when_it_was_written_is_no_cut(tmp_path, caplog):
    path = tmp_path / "piped.wav"
    whole = riff(1, 1, 16000, 16, pcm16(sine(16000)))
    path.write_bytes(whole[:40] + b"\xff" * 4 + whole[44:])
    assert len(read_wav(path)[0]) == 2 * int(SECONDS * 16000)
    assert not caplog.records


BAD = {
    "it is not a WAV file": b"ID3 something else",
    "not a WAV file": b"",
    "holds no audio data": b"RIFF\0\0\0\0WAVE",
    "holds no audio": riff(1, 1, 16000, 16, b""),
    "neither PCM": riff(85, 1, 16000, 16, b"\0" * 100),
    "12 bits": riff(1, 1, 16000, 12, b"\0" * 100),
    "no channels": riff(1, 0, 16000, 16, b"\0" * 100),
    "rate is 4000 Hz": riff(1, 1, 4000, 16, b"\0" * 100),
    "rate is 384000 Hz": riff(1, 1, 384000, 16, b"\0" * 100),
    "not numbers": riff(3, 1, 16000, 32, struct.pack("<f", math.nan)),
    "before its format": b"RIFF\0\0\0\0WAVEdata\0\0\0\0",
    "cut short": b"RIFF\0\0\0\0WAVEfmt \4\0\0\0abcd",
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_file_is_refused_by_name_and_reason(tmp_path, reason):
    path = tmp_path / "bad.wav"
    path.write_bytes(BAD[reason])
    with pytest.raises(AudioFileError, match=reason) as refused:
        read_wav(path)
    assert str(path) in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(AudioFileError, match=r"none\.wav: No such file"):
        read_wav(tmp_path / "none.wav")
    with pytest.raises(AudioFileError, match="directory"):
        read_wav(tmp_path)
    with pytest.raises(AudioFileError, match=r"cannot write .*x\.wav"):
        WavWriter(tmp_path / "none" / "x.wav", 16000)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "out.wav"
    with WavWriter(path, 48000, channels=2) as writer:
        writer.write(struct.pack("<4h", 1, 2, 3, 4))
        writer.write(memoryview(struct.pack("<2h", 5, 6)))
        assert writer.frames == 3
    writer.close()
    writer.write(b"\1\0\1\0")
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth(), file.getnframes()) == (2, 48000, 2, 3)
        assert struct.unpack("<6h", file.readframes(3)) == (1, 2, 3, 4, 5, 6)


def test_the_file_on_disk_is_whole_while_it_grows(tmp_path):
    path = tmp_path / "out.wav"
    writer = WavWriter(path, 8000)
    half_a_second = pcm16(sine(32000))[:8000]
    for _ in range(5):
        writer.write(half_a_second)
    with wave.open(str(path)) as file:  # nobody closed it
        assert file.getnframes() == 2 * 8000
    writer.close()
    with wave.open(str(path)) as file:
        assert file.getnframes() == 5 * 4000
