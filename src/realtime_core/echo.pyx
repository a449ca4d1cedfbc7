"""Binding of rc_echo.h: whether the microphone hears somebody, or only what the speaker plays."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint32_t

from realtime_core._buffer cimport borrow_samples, count_of, samples_of


@cython.final
cdef class EchoCheck:
    def __cinit__(self, Py_ssize_t rate=16000):
        if not 8000 <= rate <= 192000:
            raise ValueError(f"rate must be 8000 to 192000 Hz, got {rate}")
        self.rate = <int> rate
        self.handle = rc_echo_new(<uint32_t> rate)
        if self.handle == NULL:
            raise MemoryError("no memory for an echo check")

    def __dealloc__(self):
        rc_echo_free(self.handle)

    def process(self, captured, played, /):
        cdef Py_buffer near, far
        borrow_samples(captured, &near)
        try:
            borrow_samples(played, &far)
            try:
                if near.len != far.len:
                    raise ValueError(f"what was captured and what was played must be equally long, "
                                     f"got {count_of(&near)} and {count_of(&far)} samples")
                return self._process(&near, &far)
            finally:
                PyBuffer_Release(&far)
        finally:
            PyBuffer_Release(&near)

    cdef list _process(self, Py_buffer *near, Py_buffer *far):
        cdef size_t hop, hops = rc_echo_hops(self.handle, count_of(near))
        cdef float *somebody = <float *> PyMem_Malloc(hops * sizeof(float) + 1)
        if somebody == NULL:
            raise MemoryError(f"no memory for {hops} probabilities")
        try:
            if hops < 5:  # about 100 us: handing the GIL over would cost more
                rc_echo_process(self.handle, somebody, samples_of(near), samples_of(far), count_of(near))
            else:
                with nogil:
                    rc_echo_process(self.handle, somebody, samples_of(near), samples_of(far), count_of(near))
            return [somebody[hop] for hop in range(hops)]
        finally:
            PyMem_Free(somebody)

    def reset(self):
        rc_echo_reset(self.handle)

    @property
    def reduction_db(self):
        return rc_echo_reduction_db(self.handle)
