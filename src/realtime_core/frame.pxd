from libc.stdint cimport uint8_t


cdef extern from "rc_frame.h" nogil:
    ctypedef enum rc_wire:
        RC_WIRE_PCM
        RC_WIRE_PCMU
        RC_WIRE_PCMA

    const int RC_EVENT_ID_MAX

    size_t rc_append_size(size_t audio_bytes, const char *event_id, size_t id_length)
    size_t rc_append_write(char *message, const uint8_t *first, size_t first_bytes, const uint8_t *second,
                           size_t second_bytes, const char *event_id, size_t id_length)


cdef inline int wire_of(str wire_format) except -1:
    if wire_format == "pcm":
        return RC_WIRE_PCM
    if wire_format == "pcmu":
        return RC_WIRE_PCMU
    if wire_format == "pcma":
        return RC_WIRE_PCMA
    raise ValueError(f"wire_format must be 'pcm', 'pcmu' or 'pcma', got {wire_format!r}")
