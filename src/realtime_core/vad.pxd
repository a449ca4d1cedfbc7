from libc.stdint cimport int16_t, uint8_t, uint32_t


cdef extern from "rc_silero.h" nogil:
    ctypedef struct rc_silero:
        pass

    rc_silero *rc_silero_new(const uint8_t *file, size_t bytes, int *error)
    void rc_silero_free(rc_silero *network)


cdef extern from "rc_vad.h" nogil:
    ctypedef struct rc_vad:
        pass

    rc_vad *rc_vad_new(uint32_t rate, const rc_silero *network)
    void rc_vad_free(rc_vad *vad)
    void rc_vad_stagger(rc_vad *vad)
    void rc_vad_reset(rc_vad *vad)
    size_t rc_vad_hops(const rc_vad *vad, size_t count)
    size_t rc_vad_process(rc_vad *vad, float *probabilities, const int16_t *samples, size_t count)
    double rc_vad_delay(const rc_vad *vad)


cdef class Network:
    cdef rc_silero *handle


cdef class Vad:
    cdef rc_vad *handle
    cdef Network network  # kept alive
    cdef readonly str grade
    cdef readonly int rate
