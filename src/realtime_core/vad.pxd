from libc.stdint cimport int16_t, uint32_t


cdef extern from "rc_vad.h" nogil:
    ctypedef struct rc_vad:
        pass

    rc_vad *rc_vad_new(uint32_t rate)
    void rc_vad_free(rc_vad *vad)
    void rc_vad_reset(rc_vad *vad)
    size_t rc_vad_hops(const rc_vad *vad, size_t count)
    size_t rc_vad_process(rc_vad *vad, float *probabilities, const int16_t *samples, size_t count)
    double rc_vad_delay(const rc_vad *vad)


cdef class Vad:
    cdef rc_vad *handle
    cdef readonly int rate
