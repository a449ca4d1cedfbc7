from libc.stdint cimport int16_t, uint8_t, uint32_t, uint64_t

from realtime_core.frame cimport rc_wire
from realtime_core.vad cimport Network, rc_silero


cdef extern from "rc_gate.h" nogil:
    ctypedef struct rc_gate:
        pass

    ctypedef enum rc_gate_mode:
        RC_GATE_OPEN
        RC_GATE_GATED
        RC_GATE_PUSH_TO_TALK

    ctypedef struct rc_gate_config:
        uint32_t rate
        rc_wire wire
        uint32_t wire_rate
        rc_gate_mode mode
        uint32_t chunk_ms
        uint32_t quiet_chunk_ms
        uint32_t pre_roll_ms
        uint32_t hangover_ms
        uint32_t min_speech_ms
        float open_threshold
        float close_threshold
        const rc_silero *network
        int staggered

    ctypedef struct rc_gate_chunk:
        uint64_t position
        size_t samples
        const uint8_t *first
        size_t first_bytes
        const uint8_t *second
        size_t second_bytes

    ctypedef enum rc_gate_event_kind:
        RC_GATE_SPEECH_STARTED
        RC_GATE_SPEECH_STOPPED

    ctypedef struct rc_gate_event:
        rc_gate_event_kind kind
        uint64_t position

    rc_gate *rc_gate_new(const rc_gate_config *config)
    void rc_gate_free(rc_gate *gate)
    size_t rc_gate_push(rc_gate *gate, const int16_t *samples, size_t count)
    void rc_gate_flush(rc_gate *gate)
    int rc_gate_next(rc_gate *gate, rc_gate_chunk *chunk)
    int rc_gate_take_event(rc_gate *gate, rc_gate_event *event)
    void rc_gate_set_talking(rc_gate *gate, int talking)
    int rc_gate_talking(const rc_gate *gate)
    void rc_gate_set_muted(rc_gate *gate, int muted)
    int rc_gate_muted(const rc_gate *gate)
    uint64_t rc_gate_position(const rc_gate *gate)
    int rc_gate_speaking(const rc_gate *gate)
    float rc_gate_probability(const rc_gate *gate)


cdef class Gate:
    cdef rc_gate *handle
    cdef rc_gate_config config
    cdef Network network  # kept alive
    cdef bint framed
    cdef int take_chunks(self, list chunks) except -1
