"""Binding of rc_base64.h: strict base64."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport uint8_t

from realtime_core._buffer cimport borrow_bytes


def encode(data, /):
    cdef Py_buffer view
    borrow_bytes(data, &view)
    try:
        text = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> rc_base64_encoded_size(<size_t> view.len))
        rc_base64_encode(PyBytes_AS_STRING(text), <const uint8_t *> view.buf, <size_t> view.len)
        return text
    finally:
        PyBuffer_Release(&view)


cdef bytes _decode(const char *text, size_t length):
    cdef size_t offset
    data = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> rc_base64_decoded_size(text, length))
    if rc_base64_decode(<uint8_t *> PyBytes_AS_STRING(data), text, length, &offset) == 0:
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
