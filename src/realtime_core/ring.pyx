"""Binding of rc_ring.h: a wait-free ring of 16-bit samples."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t

from realtime_core._buffer cimport borrow_samples, count_of, samples_of


# Known to this module alone: what borrow() makes a ring with that fills its handle itself.
cdef object _BORROWED = object()


@cython.final
cdef class Ring:
    def __cinit__(self, capacity):
        if capacity is _BORROWED:
            return
        cdef Py_ssize_t samples = capacity
        if not 1 <= samples <= 1 << 31:
            raise ValueError(f"capacity must be 1 to {1 << 31} samples, got {samples}")
        self.handle = rc_ring_new(<size_t> samples)
        if self.handle == NULL:
            raise MemoryError(f"no memory for a ring of {samples} samples")

    @staticmethod
    cdef Ring borrow(rc_ring *handle, object owner):
        cdef Ring ring = Ring.__new__(Ring, _BORROWED)
        ring.handle = handle
        ring.owner = owner
        ring.is_borrowed = True
        return ring

    def __dealloc__(self):
        if not self.is_borrowed:  # the garbage collector may have cleared the owner by now
            rc_ring_free(self.handle)

    @property
    def capacity(self):
        return rc_ring_capacity(self.handle)

    @property
    def readable(self):
        return rc_ring_readable(self.handle)

    @property
    def writable(self):
        return rc_ring_writable(self.handle)

    @property
    def head(self):
        return rc_ring_head(self.handle)

    @property
    def tail(self):
        return rc_ring_tail(self.handle)

    @property
    def overruns(self):
        return rc_ring_overruns(self.handle)

    @property
    def underruns(self):
        return rc_ring_underruns(self.handle)

    def write(self, pcm, /):
        cdef Py_buffer view
        borrow_samples(pcm, &view)
        cdef size_t written = rc_ring_write(self.handle, samples_of(&view), count_of(&view))
        PyBuffer_Release(&view)
        return written

    def write_entire(self, pcm, /):
        cdef Py_buffer view
        borrow_samples(pcm, &view)
        cdef bint written = rc_ring_write_entire(self.handle, samples_of(&view), count_of(&view))
        PyBuffer_Release(&view)
        return written

    def read(self, Py_ssize_t samples, /):
        if samples < 0:
            raise ValueError(f"samples must not be negative, got {samples}")
        cdef size_t count = min(<size_t> samples, rc_ring_readable(self.handle))
        pcm = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> count * 2)
        rc_ring_read(self.handle, <int16_t *> PyBytes_AS_STRING(pcm), count)
        if count < <size_t> samples:
            rc_ring_miss(self.handle, <size_t> samples - count)
        return pcm

    def read_into(self, out, /):
        cdef Py_buffer view
        borrow_samples(out, &view, True)
        cdef size_t count = rc_ring_read(self.handle, samples_of(&view), count_of(&view))
        PyBuffer_Release(&view)
        return count

    def read_entire(self, Py_ssize_t samples, /):
        if samples < 0:
            raise ValueError(f"samples must not be negative, got {samples}")
        if rc_ring_readable(self.handle) < <size_t> samples:
            return None
        return self.read(samples)

    def flush_to(self, unsigned long long position, /):
        rc_ring_flush_to(self.handle, position)

    def mark(self, unsigned int generation, /):
        return rc_ring_mark(self.handle, generation) != 0

    def generation(self, unsigned long long position=0, /):
        return rc_ring_generation(self.handle, position)
