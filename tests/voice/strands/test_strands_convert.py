"""The application's audio and the wire's, both ways."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np
import pytest
from realtime_voice.audio import Wire
from realtime_voice.strands.convert import FromWire, ToWire

if TYPE_CHECKING:
    from numpy.typing import NDArray


def tone(rate: int, seconds: float = 0.5, frequency: float = 440.0) -> NDArray[np.int16]:
    time = np.arange(int(rate * seconds)) / rate
    return (8000 * np.sin(2 * np.pi * frequency * time)).astype("<i2")


def frequency_of(samples: NDArray[np.int16], rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


def text(samples: NDArray[np.int16] | bytes) -> str:
    return base64.b64encode(bytes(samples)).decode()


def test_what_fits_the_wire_goes_through_untouched() -> None:
    assert ToWire(24000, 1, Wire()).convert("pcm", b"audio") == b"audio"
    assert ToWire(8000, 1, Wire("pcmu", 8000)).convert("pcmu", b"audio") == b"audio"
    from_wire = FromWire(Wire(), 24000, 1)
    assert from_wire.identical
    assert from_wire.convert("anything") == "anything"
    assert from_wire.flush() == ""


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 192000])
def test_rates_to_the_wire(rate: int) -> None:
    converter = ToWire(rate, 1, Wire())
    samples = tone(rate)
    pieces = b"".join(converter.convert("pcm", samples[at : at + 777].tobytes()) for at in range(0, len(samples), 777))
    out = np.frombuffer(pieces, "<i2")
    assert abs(len(out) - 12000) <= 1
    assert abs(frequency_of(out, 24000) - 440) < 3


def test_a_stream_to_the_wire_ends_whole_and_leaves_nothing_to_the_next() -> None:
    converter = ToWire(16000, 1, Wire())
    assert converter.flush() == b""
    samples = tone(16000, 0.1)
    out = np.frombuffer(converter.convert("pcm", samples.tobytes()) + converter.flush(), "<i2")
    assert np.abs(out[2400:]).max() > 1000  # what the resampler is behind by
    assert converter.flush() == b""
    assert not any(converter.convert("pcm", bytes(3200)))


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_pcm_over_a_g711_wire_and_back(encoding: str) -> None:
    wire = Wire(encoding, 8000)  # type: ignore[arg-type]
    sent = ToWire(16000, 1, wire).convert("pcm", tone(16000).tobytes())
    assert len(sent) == 4000
    from_wire = FromWire(wire, 16000, 1)
    back = base64.b64decode(from_wire.convert(text(sent))) + base64.b64decode(from_wire.flush())
    assert abs(frequency_of(np.frombuffer(back, "<i2"), 16000) - 440) < 5


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_g711_of_the_application_over_a_pcm_wire(encoding: str) -> None:
    g711 = ToWire(8000, 1, Wire(encoding, 8000)).convert("pcm", tone(8000).tobytes())  # type: ignore[arg-type]
    sent = ToWire(24000, 1, Wire()).convert(encoding, g711)
    assert abs(frequency_of(np.frombuffer(sent, "<i2"), 24000) - 440) < 5


def test_stereo_is_mixed_down_and_spread() -> None:
    mono = tone(24000)
    stereo = np.column_stack((mono, mono)).tobytes()
    assert ToWire(24000, 2, Wire()).convert("pcm", stereo) == mono.tobytes()
    assert base64.b64decode(FromWire(Wire(), 24000, 2).convert(text(mono))) == stereo


def test_pieces_of_an_answer_are_one_stream() -> None:
    samples = tone(24000)
    whole, parts = FromWire(Wire(), 48000, 1), FromWire(Wire(), 48000, 1)
    expected = base64.b64decode(whole.convert(text(samples))) + base64.b64decode(whole.flush())
    pieces = [base64.b64decode(parts.convert(text(samples[at : at + 333]))) for at in range(0, len(samples), 333)]
    assert b"".join(pieces) + base64.b64decode(parts.flush()) == expected


def test_bad_audio_is_refused() -> None:
    with pytest.raises(ValueError, match="'mp3' is not supported"):
        ToWire(24000, 1, Wire()).convert("mp3", b"")
    with pytest.raises(ValueError, match="even number"):
        ToWire(16000, 1, Wire()).convert("pcm", b"abc")
    with pytest.raises(ValueError, match=r"offset"):
        FromWire(Wire(), 48000, 1).convert("***")
