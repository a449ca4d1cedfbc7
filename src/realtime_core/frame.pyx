"""Binding of rc_frame.h: append messages."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint8_t

from realtime_core._buffer cimport borrow_bytes
from realtime_core.ring cimport Ring, rc_ring_read_region, rc_ring_read_release, rc_ring_region


cdef int _event_id(str event_id, const char **text, size_t *length) except -1:
    # As UTF-8, which lives as long as the str does; NULL for none.
    cdef Py_ssize_t size = 0
    text[0] = NULL
    if event_id is not None:
        if len(event_id) > RC_EVENT_ID_MAX:
            raise ValueError(f"event_id must have at most {RC_EVENT_ID_MAX} characters, got {len(event_id)}")
        text[0] = PyUnicode_AsUTF8AndSize(event_id, &size)
    length[0] = <size_t> size
    return 0


def append_message(audio, str event_id=None):
    cdef Py_buffer view
    cdef size_t id_length
    cdef const char *id_text
    _event_id(event_id, &id_text, &id_length)
    if type(audio) is bytes:  # most are; borrowing would take a fifth of the whole call
        return _append(<const uint8_t *> PyBytes_AS_STRING(audio), PyBytes_GET_SIZE(audio), id_text, id_length)
    borrow_bytes(audio, &view)
    try:
        return _append(<const uint8_t *> view.buf, view.len, id_text, id_length)
    finally:
        PyBuffer_Release(&view)


cdef bytes _append(const uint8_t *audio, Py_ssize_t count, const char *event_id, size_t id_length):
    message = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> rc_append_size(<size_t> count, event_id, id_length))
    cdef char *to = PyBytes_AS_STRING(message)
    if count < 1 << 20:  # about 100 us: handing the GIL over would cost more
        rc_append_write(to, audio, <size_t> count, NULL, 0, event_id, id_length)
    else:
        with nogil:
            rc_append_write(to, audio, <size_t> count, NULL, 0, event_id, id_length)
    return message


def append_message_into(out, audio, str event_id=None):
    cdef Py_buffer message, view
    cdef size_t id_length
    cdef const char *id_text
    _event_id(event_id, &id_text, &id_length)
    borrow_bytes(audio, &view)
    try:
        borrow_bytes(out, &message, True)
        try:
            _check_room(&message, rc_append_size(<size_t> view.len, id_text, id_length))
            return rc_append_write(<char *> message.buf, <const uint8_t *> view.buf, <size_t> view.len, NULL, 0,
                                   id_text, id_length)
        finally:
            PyBuffer_Release(&message)
    finally:
        PyBuffer_Release(&view)


cdef int _check_room(Py_buffer *message, size_t size) except -1:
    if <size_t> message.len < size:
        raise ValueError(f"the message takes {size} bytes, `out` has {message.len}")
    return 0


cdef bint _ready(Ring ring, Py_ssize_t samples, rc_ring_region *region) except -1:
    if samples < 0:
        raise ValueError(f"samples must not be negative, got {samples}")
    region[0] = rc_ring_read_region(ring.handle, <size_t> samples)
    return region.first_count + region.second_count == <size_t> samples


cdef size_t _append_region(char *message, Ring ring, rc_ring_region region,
                           const char *event_id, size_t id_length) noexcept:
    cdef size_t size = rc_append_write(message, <const uint8_t *> region.first, 2 * region.first_count,
                                       <const uint8_t *> region.second, 2 * region.second_count, event_id, id_length)
    rc_ring_read_release(ring.handle, region.first_count + region.second_count)
    return size


def append_from_ring(Ring ring not None, Py_ssize_t samples, str event_id=None):
    cdef rc_ring_region region
    cdef size_t id_length
    cdef const char *id_text
    _event_id(event_id, &id_text, &id_length)
    if not _ready(ring, samples, &region):
        return None
    message = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> rc_append_size(2 * <size_t> samples, id_text, id_length))
    _append_region(PyBytes_AS_STRING(message), ring, region, id_text, id_length)
    return message


def append_from_ring_into(out, Ring ring not None, Py_ssize_t samples, str event_id=None):
    cdef Py_buffer message
    cdef rc_ring_region region
    cdef size_t id_length
    cdef const char *id_text
    _event_id(event_id, &id_text, &id_length)
    borrow_bytes(out, &message, True)
    try:
        if not _ready(ring, samples, &region):
            return 0
        _check_room(&message, rc_append_size(2 * <size_t> samples, id_text, id_length))
        return _append_region(<char *> message.buf, ring, region, id_text, id_length)
    finally:
        PyBuffer_Release(&message)
