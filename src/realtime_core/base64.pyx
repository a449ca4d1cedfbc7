"""Binding of rc_base64.h: strict base64."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint8_t

from realtime_core._buffer cimport borrow_bytes

cdef size_t _LONG = 1 << 20  # bytes: some 100 us; below, handing the GIL over would cost more


def encode(data, /):
    cdef Py_buffer view
    cdef char *characters
    borrow_bytes(data, &view)
    try:
        text = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> rc_base64_encoded_size(<size_t> view.len))
        characters = PyBytes_AS_STRING(text)
        if <size_t> view.len < _LONG:
            rc_base64_encode(characters, <const uint8_t *> view.buf, <size_t> view.len)
        else:
            with nogil:
                rc_base64_encode(characters, <const uint8_t *> view.buf, <size_t> view.len)
        return text
    finally:
        PyBuffer_Release(&view)


cdef bytes _decode(const char *text, size_t length):
    cdef size_t offset
    cdef int result
    data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> rc_base64_decoded_size(text, length))
    cdef uint8_t *to = <uint8_t *> PyBytes_AS_STRING(data)
    if length < _LONG:
        result = rc_base64_decode(to, text, length, &offset)
    else:
        with nogil:
            result = rc_base64_decode(to, text, length, &offset)
    if result == 0:
        return data
    if offset == length:
        raise ValueError(f"base64 ends inside a group of four characters, at offset {offset}")
    raise ValueError(f"base64 has a character at offset {offset} that cannot stand there")


def decode(text, /):
    cdef Py_buffer view
    cdef Py_ssize_t length
    cdef const char *characters
    if isinstance(text, str):
        characters = PyUnicode_AsUTF8AndSize(text, &length)
        return _decode(characters, <size_t> length)
    borrow_bytes(text, &view)
    try:
        return _decode(<const char *> view.buf, <size_t> view.len)
    finally:
        PyBuffer_Release(&view)
