"""One block through a queue of samples: ours against what clients keep their audio in."""

import queue

import numpy as np
import pytest
from strands.bidi._audio.buffer import AudioBuffer

from realtime_core import Ring


def ours(size):
    ring = Ring(48000)

    def turn(pcm):
        ring.write(pcm)
        return ring.read(size)

    return turn


def strands_audio_buffer(size):
    buffer = AudioBuffer()
    buffer.start()

    def turn(pcm):
        buffer.put(pcm)
        return buffer.get(2 * size)

    return turn


def standard_queue(size):  # noqa: ARG001
    blocks = queue.Queue()

    def turn(pcm):
        blocks.put_nowait(pcm)
        return blocks.get_nowait()

    return turn


def numpy_ring(size):
    memory, head, tail = np.zeros(48000, np.int16), 0, 0

    def turn(pcm):
        nonlocal head, tail
        samples = np.frombuffer(pcm, np.int16)
        at = np.arange(head, head + len(samples)) % len(memory)
        memory[at] = samples
        head += len(samples)
        out = memory[np.arange(tail, tail + size) % len(memory)].tobytes()
        tail += size
        return out

    return turn


def byte_array(size):
    memory = bytearray()

    def turn(pcm):
        memory.extend(pcm)
        out = bytes(memory[: 2 * size])
        del memory[: 2 * size]
        return out

    return turn


@pytest.mark.parametrize("ms", [10, 20])
@pytest.mark.parametrize("make", [ours, strands_audio_buffer, standard_queue, numpy_ring, byte_array])
def bench_ring(benchmark, make, ms):
    """24 kHz mono, a block in and a block out."""
    benchmark.group = f"ring {ms} ms"
    pcm = np.random.default_rng(0).integers(-32768, 32768, 24 * ms).astype(np.int16).tobytes()
    assert benchmark(make(24 * ms), pcm) == pcm
