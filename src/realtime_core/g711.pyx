"""Binding of rc_g711.h: mu-law and A-law, alone and with another rate on the far side."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint8_t, uint32_t

from realtime_core._buffer cimport borrow_bytes, borrow_samples, count_of, samples_of
from realtime_core.resample cimport (
    RC_RESAMPLE_BEST,
    RC_RESAMPLE_FAST,
    RC_RESAMPLE_MAX_INPUT,
    RC_RESAMPLE_MAX_RATE,
    RC_RESAMPLE_MIN_RATE,
)

cdef dict _LAWS = {"ulaw": RC_G711_ULAW, "alaw": RC_G711_ALAW}
cdef dict _GRADES = {"fast": RC_RESAMPLE_FAST, "best": RC_RESAMPLE_BEST}

# Samples that take some 100 us, without and with a resampler: below, handing the GIL over would cost more.
cdef size_t _LONG = 1 << 17
cdef size_t _LONG_RESAMPLED = 1 << 13

ctypedef void (*_Encoder)(uint8_t *codes, const int16_t *samples, size_t count) noexcept nogil
ctypedef void (*_Decoder)(int16_t *samples, const uint8_t *codes, size_t count) noexcept nogil


cdef bytes _encode(object pcm, _Encoder encoder):
    cdef Py_buffer view
    cdef uint8_t *to
    borrow_samples(pcm, &view)
    try:
        codes = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> count_of(&view))
        to = <uint8_t *> PyBytes_AS_STRING(codes)
        if count_of(&view) < _LONG:
            encoder(to, samples_of(&view), count_of(&view))
        else:
            with nogil:
                encoder(to, samples_of(&view), count_of(&view))
        return codes
    finally:
        PyBuffer_Release(&view)


cdef bytes _decode(object data, _Decoder decoder):
    cdef Py_buffer view
    cdef int16_t *to
    borrow_bytes(data, &view)
    try:
        pcm = PyBytes_FromStringAndSize(NULL, view.len * 2)
        to = <int16_t *> PyBytes_AS_STRING(pcm)
        if <size_t> view.len < _LONG:
            decoder(to, <const uint8_t *> view.buf, <size_t> view.len)
        else:
            with nogil:
                decoder(to, <const uint8_t *> view.buf, <size_t> view.len)
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


cdef int _check(str law, Py_ssize_t rate, str grade) except -1:
    if law not in _LAWS:
        raise ValueError(f"law must be 'ulaw' or 'alaw', got {law!r}")
    if not RC_RESAMPLE_MIN_RATE <= rate <= RC_RESAMPLE_MAX_RATE:
        raise ValueError(f"rate must be {RC_RESAMPLE_MIN_RATE} to {RC_RESAMPLE_MAX_RATE} Hz, got {rate}")
    if grade not in _GRADES:
        raise ValueError(f"grade must be 'fast' or 'best', got {grade!r}")
    return 0


cdef int _check_count(size_t count) except -1:
    if count > <size_t> RC_RESAMPLE_MAX_INPUT:
        raise ValueError(f"at most {RC_RESAMPLE_MAX_INPUT} samples a call, got {count}")
    return 0


@cython.final
cdef class Decoder:
    def __cinit__(self, str law not None, Py_ssize_t rate=24000, str grade not None="fast"):
        _check(law, rate, grade)
        self.law = law
        self.rate = <int> rate
        self.handle = rc_g711_decoder_new(_LAWS[law], <uint32_t> rate, _GRADES[grade])
        if self.handle == NULL:
            raise MemoryError(f"no memory for a decoder to {rate} Hz")

    def __dealloc__(self):
        rc_g711_decoder_free(self.handle)

    @property
    def delay(self):
        return rc_g711_decoder_delay(self.handle)

    def process(self, data, /):
        cdef Py_buffer view
        cdef int16_t *to
        borrow_bytes(data, &view)
        try:
            _check_count(<size_t> view.len)
            made = rc_g711_decoder_count(self.handle, <size_t> view.len)
            pcm = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> made * 2)
            to = <int16_t *> PyBytes_AS_STRING(pcm)
            if <size_t> view.len < _LONG_RESAMPLED:
                rc_g711_decoder_process(self.handle, to, <const uint8_t *> view.buf, <size_t> view.len)
            else:
                with nogil:
                    rc_g711_decoder_process(self.handle, to, <const uint8_t *> view.buf, <size_t> view.len)
            return pcm
        finally:
            PyBuffer_Release(&view)

    def flush(self):
        pcm = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> rc_g711_decoder_flush_count(self.handle) * 2)
        rc_g711_decoder_flush(self.handle, <int16_t *> PyBytes_AS_STRING(pcm))
        return pcm

    def reset(self):
        rc_g711_decoder_reset(self.handle)


@cython.final
cdef class Encoder:
    def __cinit__(self, str law not None, Py_ssize_t rate=24000, str grade not None="fast"):
        _check(law, rate, grade)
        self.law = law
        self.rate = <int> rate
        self.handle = rc_g711_encoder_new(_LAWS[law], <uint32_t> rate, _GRADES[grade])
        if self.handle == NULL:
            raise MemoryError(f"no memory for an encoder from {rate} Hz")

    def __dealloc__(self):
        rc_g711_encoder_free(self.handle)

    @property
    def delay(self):
        return rc_g711_encoder_delay(self.handle)

    def process(self, pcm, /):
        cdef Py_buffer view
        cdef uint8_t *to
        borrow_samples(pcm, &view)
        try:
            _check_count(count_of(&view))
            made = rc_g711_encoder_count(self.handle, count_of(&view))
            codes = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> made)
            to = <uint8_t *> PyBytes_AS_STRING(codes)
            if count_of(&view) < _LONG_RESAMPLED:
                rc_g711_encoder_process(self.handle, to, samples_of(&view), count_of(&view))
            else:
                with nogil:
                    rc_g711_encoder_process(self.handle, to, samples_of(&view), count_of(&view))
            return codes
        finally:
            PyBuffer_Release(&view)

    def flush(self):
        codes = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> rc_g711_encoder_flush_count(self.handle))
        rc_g711_encoder_flush(self.handle, <uint8_t *> PyBytes_AS_STRING(codes))
        return codes

    def reset(self):
        rc_g711_encoder_reset(self.handle)
