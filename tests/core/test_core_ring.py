import array
import sys

import numpy as np
import pytest

from realtime_core import Ring


def test_what_is_written_is_read():
    ring = Ring(1000)
    samples = np.arange(900, dtype=np.int16)
    for _ in range(5):  # wraps
        assert ring.write(samples) == 900
        assert ring.readable == 900
        assert ring.read(5000) == samples.tobytes()
    assert (ring.head, ring.tail, ring.capacity, ring.writable) == (4500, 4500, 1024, 1024)


def test_reads_count_underruns_and_write_overruns():
    ring = Ring(4)
    out = np.zeros(6, np.int16)
    assert ring.write(array.array("h", range(6))) == 4
    assert ring.read_into(out) == 4
    assert out.tolist() == [0, 1, 2, 3, 0, 0]
    assert (ring.overruns, ring.underruns) == (2, 2)
    ring.write(bytes(6))
    assert ring.read(3) == bytes(6)
    assert ring.underruns == 2
    ring.write(bytes(2))
    assert ring.read(5) == bytes(2)
    assert ring.underruns == 6


def test_entire_operations_take_all_or_nothing():
    ring = Ring(4)
    assert not ring.write_entire(bytes(10))
    assert ring.write_entire(bytes(6))
    assert ring.read_entire(4) is None
    assert ring.read_entire(3) == bytes(6)
    assert (ring.overruns, ring.underruns) == (0, 0)


def test_flush_skips_what_came_before():
    ring = Ring(8)
    ring.write(array.array("h", [1, 2, 3]))
    ring.flush_to(ring.head)
    ring.write(array.array("h", [4]))
    assert ring.read(8) == array.array("h", [4]).tobytes()


@pytest.mark.parametrize("capacity", [0, -1, 2**31 + 1])
@pytest.mark.parametrize("make", [Ring, lambda capacity: Ring.__new__(Ring, capacity)])
def test_capacity_out_of_range_is_refused(make, capacity):
    with pytest.raises(ValueError, match="capacity must be 1 to"):
        make(capacity)


@pytest.mark.parametrize("capacity", [None, "5", 1.5, object()])
def test_capacity_is_an_int(capacity):
    with pytest.raises(TypeError):
        Ring.__new__(Ring, capacity)


def test_wrong_buffers_are_refused_and_let_go():
    ring = Ring(64)
    with pytest.raises(TypeError, match="16-bit samples or bytes"):
        ring.write(np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="even number of bytes"):
        ring.write(b"abc")
    with pytest.raises(TypeError):
        ring.write("text")
    with pytest.raises(BufferError):
        ring.write(memoryview(bytes(16)).cast("h")[::2])
    with pytest.raises(ValueError, match="contiguous"):
        ring.write(np.zeros(8, np.int16)[::2])
    with pytest.raises(BufferError):
        ring.read_into(bytes(4))
    with pytest.raises(ValueError, match="negative"):
        ring.read(-1)
    odd = bytearray(3)
    with pytest.raises(ValueError, match="even"):
        ring.write(odd)
    odd.append(0)  # would raise BufferError were it still borrowed
    assert ring.head == 0


def test_a_ring_cannot_be_subclassed_or_pickled():
    with pytest.raises(TypeError):
        type("Mine", (Ring,), {})
    with pytest.raises(TypeError):
        Ring(8).__reduce__()


def test_buffers_are_not_leaked():
    ring, pcm = Ring(64), b"\0\0" * 16
    before = sys.getrefcount(pcm)
    for _ in range(100):
        ring.write(pcm)
    assert sys.getrefcount(pcm) == before


def test_marks_tell_generations_apart():
    ring = Ring(1000)
    assert ring.generation() == 0
    ring.write(bytes(20))
    assert ring.mark(3)
    ring.write(bytes(20))
    assert ring.mark(2**32 - 1)
    assert [ring.generation(position) for position in (0, 9, 10, 19, 20)] == [0, 0, 3, 3, 2**32 - 1]
    ring.read(12)
    assert ring.generation() == 3
    ring.flush_to(ring.head)
    ring.read(0)
    assert ring.generation() == 2**32 - 1


def test_marks_are_bounded():
    ring = Ring(1000)
    while ring.mark(ring.head + 1):
        ring.write(bytes(2))
    assert ring.head == 64
    assert [ring.generation(position) for position in range(64)] == list(range(1, 65))
    ring.read(10)
    assert ring.mark(7)
    assert ring.generation(64) == 7
    for bad in (-1, 2**32):
        with pytest.raises(OverflowError):
            ring.mark(bad)
