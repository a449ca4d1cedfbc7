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
        int detects_speech
        int checks_echo
        int (*prioritize)(int) noexcept
        uint64_t (*thread_ns)() noexcept

    ctypedef struct rc_stream_time:
        pass

    ctypedef struct rc_duplex_barge_in:
        float onset_probability
        float confirm_probability
        unsigned confirm_ms
        float duck

    ctypedef enum rc_duplex_kind:
        RC_DUPLEX_STARTED
        RC_DUPLEX_DRAINED
        RC_DUPLEX_FLUSHED
        RC_DUPLEX_CUT
        RC_DUPLEX_DUCKED
        RC_DUPLEX_RESTORED

    ctypedef struct rc_duplex_event:
        rc_duplex_kind kind
        float probability
        uint64_t frame
        uint64_t position
        uint64_t jumped_to
        uint64_t speech

    const int RC_DUPLEX_TIMES
    const int RC_DUPLEX_PRIORITY_GRANTED
    const int RC_DUPLEX_PRIORITY_REFUSED
    const int RC_DUPLEX_PRIORITY_RETURNED

    ctypedef struct rc_duplex_stats:
        uint64_t blocks
        uint64_t frames
        uint64_t overruns
        uint64_t tap_overruns
        uint64_t underruns
        uint64_t prefilled
        uint64_t discarded
        uint64_t lost_events
        uint64_t device_underflows
        uint64_t device_overflows
        uint64_t callback_ns
        uint64_t max_callback_ns
        uint64_t max_interval_ns
        uint64_t callback_times[16]
        int32_t capture_peak
        int32_t playout_peak
        int priority
        float echo_reduction_db

    ctypedef struct rc_duplex_timing:
        uint64_t frames
        uint64_t age_ns
        double input_delay
        double output_delay

    rc_duplex *rc_duplex_new(const rc_duplex_config *config)
    void rc_duplex_free(rc_duplex *duplex)
    int rc_duplex_callback(const void *input, void *output, unsigned long frames, const rc_stream_time *time,
                           unsigned long flags, void *duplex)
    rc_ring *rc_duplex_capture(rc_duplex *duplex)
    rc_ring *rc_duplex_playout(rc_duplex *duplex)
    rc_ring *rc_duplex_tap(rc_duplex *duplex)
    uint64_t rc_duplex_flush(rc_duplex *duplex)
    void rc_duplex_restart(rc_duplex *duplex)
    void rc_duplex_set_barge_in(rc_duplex *duplex, const rc_duplex_barge_in *barge_in)
    uint32_t rc_duplex_generation(const rc_duplex *duplex)
    void rc_duplex_accept(rc_duplex *duplex, uint32_t generation)
    int rc_duplex_take_event(rc_duplex *duplex, rc_duplex_event *event)
    uint64_t rc_duplex_played(const rc_duplex *duplex)
    void rc_duplex_set_expecting(rc_duplex *duplex, int expecting)
    int rc_duplex_expecting(const rc_duplex *duplex)
    void rc_duplex_set_prefill(rc_duplex *duplex, size_t frames)
    size_t rc_duplex_prefill(const rc_duplex *duplex)
    void rc_duplex_set_capture_gain(rc_duplex *duplex, float gain)
    void rc_duplex_set_playout_gain(rc_duplex *duplex, float gain)
    float rc_duplex_capture_gain(const rc_duplex *duplex)
    float rc_duplex_playout_gain(const rc_duplex *duplex)
    void rc_duplex_set_muted(rc_duplex *duplex, int muted)
    int rc_duplex_muted(const rc_duplex *duplex)
    void rc_duplex_get_stats(const rc_duplex *duplex, rc_duplex_stats *stats)
    int rc_duplex_get_timing(const rc_duplex *duplex, rc_duplex_timing *timing)


# Holds the C object alone, so that the rings can keep it alive without a reference circle.
cdef class _Handle:
    cdef rc_duplex *duplex


cdef class DuplexEvent:
    cdef readonly str kind
    cdef readonly unsigned long long frame
    cdef readonly unsigned long long position
    cdef readonly unsigned long long jumped_to
    cdef readonly unsigned long long speech
    cdef readonly double probability


cdef class Duplex:
    cdef rc_duplex *duplex
    cdef _Handle handle
    cdef readonly int rate
    cdef readonly int capture_channels
    cdef readonly int playout_channels
    cdef readonly bint detects_speech
    cdef readonly bint checks_echo
    cdef readonly Ring capture
    cdef readonly Ring playout
    cdef readonly Ring tap

    cdef rc_duplex_stats _stats(self) noexcept
