"""Binding of rc_delta.h: messages with audio into the playout ring."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport int16_t, uint32_t
from libc.string cimport memchr, memcmp

from realtime_core._buffer cimport borrow_bytes
from realtime_core.frame cimport rc_wire, wire_of
from realtime_core.resample cimport RC_RESAMPLE_MAX_PPM
from realtime_core.ring cimport Ring, rc_ring_head, rc_ring_region, rc_ring_write_commit, rc_ring_write_region

cdef size_t _LONG = 1 << 20  # characters: 100 us and more; below, handing the GIL over would cost more


cdef bytes _unescaped(rc_json_text text):
    plain = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> text.length)
    return plain[:rc_json_unescape(PyBytes_AS_STRING(plain), text)]


cdef str _text(rc_json_text text, str last):
    # A string of the message as str: `last` itself when it says the same, letter by letter.
    cdef Py_ssize_t length
    cdef const char *known = PyUnicode_AsUTF8AndSize(last, &length)
    if memchr(text.text, b"\\", text.length) != NULL:
        return _unescaped(text).decode()
    if text.length == <size_t> length and memcmp(known, text.text, text.length) == 0:
        return last
    return PyUnicode_DecodeUTF8(text.text, <Py_ssize_t> text.length, NULL)


cdef int _malformed(rc_text_error error, size_t offset) except -1:
    raise ValueError(f"malformed audio message: {error.reason.decode()}, at byte {offset + error.offset}")


@cython.final
@cython.freelist(8)
@cython.no_gc  # bytes and str only: no cycles
cdef class Delta:
    @property
    def audio(self):
        if memchr(self.text.text, b"\\", self.text.length) != NULL:
            return _unescaped(self.text).decode()
        return PyUnicode_DecodeUTF8(self.text.text, <Py_ssize_t> self.text.length, NULL)


@cython.final
cdef class DeltaDecoder:
    def __cinit__(self, Ring ring not None, Py_ssize_t ring_rate, *, str wire_format not None="pcm",
                  Py_ssize_t wire_rate=24000):
        wire = wire_of(wire_format)
        for rate in (ring_rate, wire_rate):
            if not 8000 <= rate <= 192000:
                raise ValueError(f"rates must be 8000 to 192000 Hz, got {rate}")
        self.handle = rc_delta_decoder_new(<rc_wire> wire, <uint32_t> wire_rate, <uint32_t> ring_rate)
        if self.handle == NULL:
            raise MemoryError("no memory for a delta decoder")
        self.ring = ring
        self.response_id = self.item_id = ""

    def __dealloc__(self):
        rc_delta_decoder_free(self.handle)

    def feed(self, message, /):
        cdef Py_ssize_t length
        cdef const char *text
        if isinstance(message, str):
            text = PyUnicode_AsUTF8AndSize(message, &length)
            return self.find(message, text, length)
        if not isinstance(message, bytes):
            message = bytes(memoryview(message))  # it must not change while the delta refers to it
        return self.find(message, PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message))

    cdef Delta find(self, object message, const char *text, Py_ssize_t length):
        cdef rc_delta found
        cdef rc_text_error error
        cdef int result = rc_delta_find(&found, text, <size_t> length, &error)
        if result == 0:
            return None
        if result < 0:
            _malformed(error, 0)
        cdef Delta delta = Delta.__new__(Delta)
        self.response_id = delta.response_id = _text(found.response_id, self.response_id)
        self.item_id = delta.item_id = _text(found.item_id, self.item_id)
        delta.output_index = found.output_index
        delta.content_index = found.content_index
        delta.message = message
        delta.text = found.audio
        self.lay(delta, found.audio, <size_t> (found.audio.text - text))
        return delta

    def feed_audio(self, audio, /):
        cdef Py_buffer view
        cdef Py_ssize_t length
        cdef Delta delta = Delta.__new__(Delta)
        if isinstance(audio, str):
            delta.text.text = PyUnicode_AsUTF8AndSize(audio, &length)
            delta.text.length = <size_t> length
            self.lay(delta, delta.text, 0)
        else:
            borrow_bytes(audio, &view)
            try:
                self.lay(delta, rc_json_text(<const char *> view.buf, <size_t> view.len), 0)
            finally:
                PyBuffer_Release(&view)
        return delta.start, delta.end, delta.pcm

    cdef int lay(self, Delta delta, rc_json_text audio, size_t offset) except -1:
        """Decode into the ring, or into `delta.pcm` when it has no room; all or nothing."""
        cdef rc_text_error error
        cdef rc_ring_region region
        cdef int result
        cdef size_t count = rc_delta_decoder_samples(self.handle, audio)
        delta.samples = <Py_ssize_t> rc_delta_decoder_wire_samples(self.handle, audio)
        delta.start = delta.end = rc_ring_head(self.ring.handle)
        if not self.hold:
            region = rc_ring_write_region(self.ring.handle, count)
        if self.hold or region.first_count + region.second_count < count:
            delta.pcm = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> count * 2)
            region = rc_ring_region(<int16_t *> PyBytes_AS_STRING(delta.pcm), count, NULL, 0)
        if audio.length < _LONG:
            result = rc_delta_decoder_decode(self.handle, region, audio, &error)
        else:
            with nogil:
                result = rc_delta_decoder_decode(self.handle, region, audio, &error)
        if result != 0:
            if memchr(audio.text, b"\\", audio.length) != NULL:
                return self.lay_escaped(delta, audio, offset)
            return _malformed(error, offset)
        if delta.pcm is None:
            rc_ring_write_commit(self.ring.handle, count)
            delta.end += count
        return 0

    cdef int lay_escaped(self, Delta delta, rc_json_text audio, size_t offset) except -1:
        # JSON may write any character as an escape, and some writers do so with the slash.
        plain = _unescaped(audio)
        delta.pcm = None
        if b"\\" in plain:
            raise ValueError(f"malformed audio message: base64 does not hold backslashes, in the text at byte {offset}")
        return self.lay(delta, rc_json_text(PyBytes_AS_STRING(plain), <size_t> PyBytes_GET_SIZE(plain)), offset)

    def flush(self):
        cdef Py_ssize_t count = <Py_ssize_t> rc_delta_decoder_flush_samples(self.handle)
        tail = PyBytes_FromStringAndSize(NULL, count * 2)
        rc_delta_decoder_flush(self.handle, <int16_t *> PyBytes_AS_STRING(tail))
        start = rc_ring_head(self.ring.handle)
        if count == 0:
            return start, start, None
        if self.hold or not self.ring.write_entire(tail):
            return start, start, tail
        return start, start + count, None

    def adjust(self, double ppm, /):
        if not -RC_RESAMPLE_MAX_PPM <= ppm <= RC_RESAMPLE_MAX_PPM:
            raise ValueError(f"ppm must be -{RC_RESAMPLE_MAX_PPM} to {RC_RESAMPLE_MAX_PPM}, got {ppm}")
        return rc_delta_decoder_adjust(self.handle, ppm) == 0

    def reset(self):
        rc_delta_decoder_reset(self.handle)
