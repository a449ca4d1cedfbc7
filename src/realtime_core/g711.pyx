"""Binding of rc_g711.h: mu-law and A-law."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint8_t

from realtime_core._buffer cimport borrow_bytes, borrow_samples, count_of, samples_of

ctypedef void (*_Encoder)(uint8_t *codes, const int16_t *samples, size_t count) noexcept nogil
ctypedef void (*_Decoder)(int16_t *samples, const uint8_t *codes, size_t count) noexcept nogil


cdef bytes _encode(object pcm, _Encoder encoder):
    cdef Py_buffer view
    borrow_samples(pcm, &view)
    try:
        codes = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> count_of(&view))
        encoder(<uint8_t *> PyBytes_AS_STRING(codes), samples_of(&view), count_of(&view))
        return codes
    finally:
        PyBuffer_Release(&view)


cdef bytes _decode(object data, _Decoder decoder):
    cdef Py_buffer view
    borrow_bytes(data, &view)
    try:
        pcm = PyBytes_FromStringAndSize(NULL, view.len * 2)
        decoder(<int16_t *> PyBytes_AS_STRING(pcm), <const uint8_t *> view.buf, <size_t> view.len)
        return pcm
    finally:
        PyBuffer_Release(&view)


def encode_ulaw(pcm, /):
    return _encode(pcm, rc_g711_encode_ulaw)


def decode_ulaw(data, /):
    return _decode(data, rc_g711_decode_ulaw)


def encode_alaw(pcm, /):
    return _encode(pcm, rc_g711_encode_alaw)


def decode_alaw(data, /):
    return _decode(data, rc_g711_decode_alaw)
