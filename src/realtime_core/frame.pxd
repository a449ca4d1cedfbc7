from libc.stdint cimport int16_t, uint8_t, uint32_t

from realtime_core.ring cimport Ring, rc_ring, rc_ring_region


cdef extern from "rc_frame.h" nogil:
    ctypedef enum rc_wire:
        RC_WIRE_PCM
        RC_WIRE_PCMU
        RC_WIRE_PCMA

    const int RC_EVENT_ID_MAX

    ctypedef struct rc_frame_error:
        size_t offset
        const char *reason

    ctypedef struct rc_json_text:
        const char *text
        size_t length

    ctypedef struct rc_delta:
        rc_json_text response_id
        rc_json_text item_id
        rc_json_text audio
        uint32_t output_index
        uint32_t content_index

    ctypedef struct rc_delta_decoder:
        pass

    size_t rc_append_size(size_t audio_bytes, const char *event_id, size_t id_length)
    size_t rc_append_write(char *message, const uint8_t *first, size_t first_bytes, const uint8_t *second,
                           size_t second_bytes, const char *event_id, size_t id_length)
    int rc_delta_find(rc_delta *delta, const char *message, size_t length, rc_frame_error *error)
    size_t rc_json_unescape(char *out, rc_json_text text)
    rc_delta_decoder *rc_delta_decoder_new(rc_wire wire, uint32_t wire_rate, uint32_t rate)
    void rc_delta_decoder_free(rc_delta_decoder *decoder)
    void rc_delta_decoder_reset(rc_delta_decoder *decoder)
    size_t rc_delta_decoder_wire_samples(const rc_delta_decoder *decoder, rc_json_text audio)
    size_t rc_delta_decoder_samples(const rc_delta_decoder *decoder, rc_json_text audio)
    int rc_delta_decoder_decode(rc_delta_decoder *decoder, rc_ring_region to, rc_json_text audio,
                                rc_frame_error *error)
    size_t rc_delta_decoder_flush_samples(const rc_delta_decoder *decoder)
    void rc_delta_decoder_flush(rc_delta_decoder *decoder, int16_t *out)


cdef inline int wire_of(str wire_format) except -1:
    if wire_format == "pcm":
        return RC_WIRE_PCM
    if wire_format == "pcmu":
        return RC_WIRE_PCMU
    if wire_format == "pcma":
        return RC_WIRE_PCMA
    raise ValueError(f"wire_format must be 'pcm', 'pcmu' or 'pcma', got {wire_format!r}")


cdef class Delta:
    cdef readonly str response_id
    cdef readonly str item_id
    cdef readonly unsigned int output_index
    cdef readonly unsigned int content_index
    cdef readonly Py_ssize_t samples
    cdef readonly unsigned long long start
    cdef readonly unsigned long long end
    cdef readonly bytes pcm
    cdef object message       # bytes or str; keeps `text` alive
    cdef rc_json_text text    # of the audio


cdef class DeltaDecoder:
    cdef rc_delta_decoder *handle
    cdef Ring ring
    cdef public bint hold
    cdef str response_id      # as last seen: a delta mostly repeats what the one before it said
    cdef str item_id
    cdef Delta find(self, object message, const char *text, Py_ssize_t length)
    cdef int lay(self, Delta delta, rc_json_text audio, size_t offset) except -1
    cdef int lay_escaped(self, Delta delta, rc_json_text audio, size_t offset) except -1
