from libc.stdint cimport uint32_t, uint64_t

from realtime_core.duplex cimport Duplex, rc_duplex


cdef extern from "rc_bridge.h" nogil:
    ctypedef struct rc_bridge:
        pass

    ctypedef struct rc_bridge_config:
        uint32_t rate
        uint32_t capture_rate
        uint32_t playout_rate
        unsigned capture_channels
        unsigned playout_channels
        unsigned capture_channel
        unsigned playout_channel
        size_t capture_block
        size_t playout_block

    ctypedef struct rc_stream_time:
        double input_adc_time
        double current_time
        double output_dac_time

    ctypedef struct rc_bridge_stats:
        uint64_t capture_blocks
        uint64_t starved
        uint64_t dropped
        double fill
        double target
        double ppm

    rc_bridge *rc_bridge_new(rc_duplex *duplex, const rc_bridge_config *config)
    void rc_bridge_free(rc_bridge *bridge)
    int rc_bridge_callback(const void *input, void *output, unsigned long frames, const rc_stream_time *time,
                           unsigned long flags, void *user)
    int rc_bridge_capture_callback(const void *input, void *output, unsigned long frames, const rc_stream_time *time,
                                   unsigned long flags, void *user)
    void rc_bridge_get_stats(const rc_bridge *bridge, rc_bridge_stats *stats)


cdef class Bridge:
    cdef rc_bridge *bridge
    cdef readonly Duplex duplex
    cdef readonly int capture_channels
    cdef readonly int playout_channels
