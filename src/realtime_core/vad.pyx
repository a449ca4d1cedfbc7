"""Binding of rc_vad.h: speech probability of every 10 ms."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint32_t

from realtime_core._buffer cimport borrow_samples, count_of, samples_of


@cython.final
cdef class Vad:
    def __cinit__(self, Py_ssize_t rate=16000):
        if not 8000 <= rate <= 192000:
            raise ValueError(f"rate must be 8000 to 192000 Hz, got {rate}")
        self.rate = <int> rate
        self.handle = rc_vad_new(<uint32_t> rate)
        if self.handle == NULL:
            raise MemoryError("no memory for a speech detector")

    def __dealloc__(self):
        rc_vad_free(self.handle)

    def process(self, pcm, /):
        cdef Py_buffer view
        cdef float *probabilities
        cdef size_t hops, hop
        borrow_samples(pcm, &view)
        try:
            hops = rc_vad_hops(self.handle, count_of(&view))
            probabilities = <float *> PyMem_Malloc(hops * sizeof(float) + 1)
            if probabilities == NULL:
                raise MemoryError(f"no memory for {hops} probabilities")
            try:
                if hops < 50:  # about 100 us: handing the GIL over would cost more
                    rc_vad_process(self.handle, probabilities, samples_of(&view), count_of(&view))
                else:
                    with nogil:
                        rc_vad_process(self.handle, probabilities, samples_of(&view), count_of(&view))
                return [probabilities[hop] for hop in range(hops)]
            finally:
                PyMem_Free(probabilities)
        finally:
            PyBuffer_Release(&view)

    def reset(self):
        rc_vad_reset(self.handle)
