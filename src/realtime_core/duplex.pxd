from libc.stdint cimport int32_t, uint32_t, uint64_t

from realtime_core.ring cimport Ring, rc_ring


cdef extern from "rc_duplex.h" nogil:
    ctypedef struct rc_duplex:
        pass

    ctypedef struct rc_duplex_config:
        uint32_t rate
        unsigned capture_channels
        unsigned playout_channels
        size_t capture_capacity
        size_t playout_capacity
        size_t tap_capacity

    ctypedef struct rc_stream_time:
        pass

    ctypedef struct rc_duplex_cut:
        uint64_t stopped_at
        uint64_t jumped_to

    ctypedef struct rc_duplex_stats:
        uint64_t blocks
        uint64_t frames
        uint64_t overruns
        uint64_t tap_overruns
        uint64_t underruns
        uint64_t device_underflows
        uint64_t device_overflows
        uint64_t callback_ns
        uint64_t max_callback_ns
        int32_t capture_peak
        int32_t playout_peak
        double output_delay

    rc_duplex *rc_duplex_new(const rc_duplex_config *config)
    void rc_duplex_free(rc_duplex *duplex)
    int rc_duplex_callback(const void *input, void *output, unsigned long frames, const rc_stream_time *time,
                           unsigned long flags, void *duplex)
    rc_ring *rc_duplex_capture(rc_duplex *duplex)
    rc_ring *rc_duplex_playout(rc_duplex *duplex)
    rc_ring *rc_duplex_tap(rc_duplex *duplex)
    uint64_t rc_duplex_flush(rc_duplex *duplex)
    int rc_duplex_take_cut(rc_duplex *duplex, rc_duplex_cut *cut)
    uint64_t rc_duplex_played(const rc_duplex *duplex)
    void rc_duplex_set_expecting(rc_duplex *duplex, int expecting)
    int rc_duplex_expecting(const rc_duplex *duplex)
    void rc_duplex_set_capture_gain(rc_duplex *duplex, float gain)
    void rc_duplex_set_playout_gain(rc_duplex *duplex, float gain)
    float rc_duplex_capture_gain(const rc_duplex *duplex)
    float rc_duplex_playout_gain(const rc_duplex *duplex)
    void rc_duplex_set_muted(rc_duplex *duplex, int muted)
    int rc_duplex_muted(const rc_duplex *duplex)
    void rc_duplex_get_stats(const rc_duplex *duplex, rc_duplex_stats *stats)


# Holds the C object alone, so that the rings can keep it alive without a reference circle.
cdef class _Handle:
    cdef rc_duplex *duplex


cdef class Duplex:
    cdef rc_duplex *duplex
    cdef _Handle handle
    cdef readonly int rate
    cdef readonly int capture_channels
    cdef readonly int playout_channels
    cdef readonly Ring capture
    cdef readonly Ring playout
    cdef readonly Ring tap

    cdef rc_duplex_stats _stats(self) noexcept
