from libc.stdint cimport int16_t, uint32_t

from realtime_core.frame cimport rc_wire
from realtime_core.ring cimport Ring, rc_ring_region


cdef extern from "rc_json.h" nogil:
    ctypedef struct rc_text_error:
        size_t offset
        const char *reason

    ctypedef struct rc_json_text:
        const char *text
        size_t length

    size_t rc_json_unescape(char *out, rc_json_text text)


cdef extern from "rc_delta.h" nogil:
    ctypedef struct rc_delta:
        rc_json_text response_id
        rc_json_text item_id
        rc_json_text audio
        uint32_t output_index
        uint32_t content_index

    ctypedef struct rc_delta_decoder:
        pass

    int rc_delta_find(rc_delta *delta, const char *message, size_t length, rc_text_error *error)
    int rc_delta_decoder_adjust(rc_delta_decoder *decoder, double ppm)
    rc_delta_decoder *rc_delta_decoder_new(rc_wire wire, uint32_t wire_rate, uint32_t rate)
    void rc_delta_decoder_free(rc_delta_decoder *decoder)
    void rc_delta_decoder_reset(rc_delta_decoder *decoder)
    size_t rc_delta_decoder_wire_samples(const rc_delta_decoder *decoder, rc_json_text audio)
    size_t rc_delta_decoder_samples(const rc_delta_decoder *decoder, rc_json_text audio)
    int rc_delta_decoder_decode(rc_delta_decoder *decoder, rc_ring_region to, rc_json_text audio,
                                rc_text_error *error)
    size_t rc_delta_decoder_flush_samples(const rc_delta_decoder *decoder)
    void rc_delta_decoder_flush(rc_delta_decoder *decoder, int16_t *out)


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
