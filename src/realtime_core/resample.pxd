from libc.stdint cimport int16_t, uint32_t, uint64_t


cdef extern from "rc_resample.h" nogil:
    ctypedef struct rc_resample:
        pass

    ctypedef enum rc_resample_grade:
        RC_RESAMPLE_FAST
        RC_RESAMPLE_BEST

    const int RC_RESAMPLE_MIN_RATE
    const int RC_RESAMPLE_MAX_RATE
    const int RC_RESAMPLE_MAX_INPUT
    const int RC_RESAMPLE_MAX_PPM

    rc_resample *rc_resample_new(uint32_t rate_in, uint32_t rate_out, rc_resample_grade grade)
    void rc_resample_free(rc_resample *resample)
    void rc_resample_reset(rc_resample *resample)
    int rc_resample_adjust(rc_resample *resample, double ppm)
    size_t rc_resample_count(const rc_resample *resample, size_t count)
    size_t rc_resample_process(rc_resample *resample, int16_t *out, const int16_t *samples, size_t count)
    size_t rc_resample_flush_count(const rc_resample *resample)
    size_t rc_resample_flush(rc_resample *resample, int16_t *out)
    double rc_resample_delay_in(const rc_resample *resample)
    double rc_resample_delay_out(const rc_resample *resample)
    uint64_t rc_resample_clipped(const rc_resample *resample)


cdef class Resampler:
    cdef rc_resample *handle
    cdef readonly int rate_in
    cdef readonly int rate_out
    cdef readonly str grade
