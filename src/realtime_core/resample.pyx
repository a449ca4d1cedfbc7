"""Binding of rc_resample.h: a streaming resampler."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint32_t

from realtime_core._buffer cimport borrow_samples, count_of, samples_of

cdef size_t _LONG = 1 << 13  # samples: some 100 us; below, handing the GIL over would cost more

cdef dict _GRADES = {"fast": RC_RESAMPLE_FAST, "best": RC_RESAMPLE_BEST}


@cython.final
cdef class Resampler:
    def __cinit__(self, Py_ssize_t rate_in, Py_ssize_t rate_out, str grade not None="fast"):
        for rate in (rate_in, rate_out):
            if not RC_RESAMPLE_MIN_RATE <= rate <= RC_RESAMPLE_MAX_RATE:
                raise ValueError(f"rates must be {RC_RESAMPLE_MIN_RATE} to {RC_RESAMPLE_MAX_RATE} Hz, got {rate}")
        if grade not in _GRADES:
            raise ValueError(f"grade must be 'fast' or 'best', got {grade!r}")
        self.rate_in = <int> rate_in
        self.rate_out = <int> rate_out
        self.grade = grade
        self.handle = rc_resample_new(<uint32_t> rate_in, <uint32_t> rate_out, _GRADES[grade])
        if self.handle == NULL:
            raise MemoryError(f"no memory for a resampler from {rate_in} to {rate_out} Hz")

    def __dealloc__(self):
        rc_resample_free(self.handle)

    @property
    def delay_in(self):
        return rc_resample_delay_in(self.handle)

    @property
    def delay_out(self):
        return rc_resample_delay_out(self.handle)

    @property
    def clipped(self):
        return rc_resample_clipped(self.handle)

    def adjust(self, double ppm, /):
        if rc_resample_adjust(self.handle, ppm) != 0:
            raise ValueError(f"ppm must be -{RC_RESAMPLE_MAX_PPM} to {RC_RESAMPLE_MAX_PPM}, got {ppm}")

    def process(self, pcm, /):
        cdef Py_buffer view
        cdef int16_t *to
        borrow_samples(pcm, &view)
        try:
            if count_of(&view) > <size_t> RC_RESAMPLE_MAX_INPUT:
                raise ValueError(f"at most {RC_RESAMPLE_MAX_INPUT} samples a call, got {count_of(&view)}")
            made = rc_resample_count(self.handle, count_of(&view))
            out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> made * 2)
            to = <int16_t *> PyBytes_AS_STRING(out)
            if count_of(&view) < _LONG:
                rc_resample_process(self.handle, to, samples_of(&view), count_of(&view))
            else:
                with nogil:
                    rc_resample_process(self.handle, to, samples_of(&view), count_of(&view))
            return out
        finally:
            PyBuffer_Release(&view)

    def flush(self):
        out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> rc_resample_flush_count(self.handle) * 2)
        rc_resample_flush(self.handle, <int16_t *> PyBytes_AS_STRING(out))
        return out

    def reset(self):
        rc_resample_reset(self.handle)
