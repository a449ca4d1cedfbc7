"""Binding of rc_gate.h: captured audio in, finished chunks and speech events out."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy

from realtime_core._buffer cimport borrow_samples, count_of, samples_of
from realtime_core.frame cimport RC_WIRE_PCM, rc_append_size, rc_append_write, rc_wire, wire_of
from realtime_core.vad cimport Network

cdef dict _MODES = {"open": RC_GATE_OPEN, "gated": RC_GATE_GATED, "push_to_talk": RC_GATE_PUSH_TO_TALK}


cdef Py_ssize_t _checked(str name, Py_ssize_t value, Py_ssize_t low, Py_ssize_t high) except -1:
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, got {value}")
    return value


cdef bytes _message(const rc_gate_chunk *chunk):
    size = rc_append_size(chunk.first_bytes + chunk.second_bytes, NULL, 0)
    message = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> size)
    rc_append_write(PyBytes_AS_STRING(message), chunk.first, chunk.first_bytes, chunk.second, chunk.second_bytes,
                    NULL, 0)
    return message


cdef bytes _audio(const rc_gate_chunk *chunk):
    audio = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> (chunk.first_bytes + chunk.second_bytes))
    memcpy(PyBytes_AS_STRING(audio), chunk.first, chunk.first_bytes)
    memcpy(PyBytes_AS_STRING(audio) + chunk.first_bytes, chunk.second, chunk.second_bytes)
    return audio


@cython.final
cdef class Gate:
    def __cinit__(self, Py_ssize_t rate, *, str wire_format not None="pcm", str mode not None="open",
                  bint framed=True, Py_ssize_t chunk_ms=20, quiet_chunk_ms=None, Py_ssize_t pre_roll_ms=300,
                  Py_ssize_t hangover_ms=300, Py_ssize_t min_speech_ms=60, open_threshold=None, close_threshold=None,
                  str vad not None="light", Network network=None):
        if mode not in _MODES:
            raise ValueError(f"mode must be 'open', 'gated' or 'push_to_talk', got {mode!r}")
        # Audio that the gate holds back is lost, a false event only costs attention.
        if mode != "gated":
            usual_open, usual_close = 0.6, 0.35
        else:
            usual_open, usual_close = (0.15, 0.08) if vad == "light" else (0.4, 0.2)
        cdef float opens = usual_open if open_threshold is None else open_threshold
        cdef float closes = min(usual_close, opens) if close_threshold is None else close_threshold
        if not 0 <= closes <= opens <= 1:
            raise ValueError(
                f"thresholds must be 0 <= close_threshold <= open_threshold <= 1, got {closes:g} and {opens:g}"
            )
        self.framed = framed
        self.config.rate = _checked("rate", rate, 8000, 192000)
        self.config.wire = <rc_wire> wire_of(wire_format)
        self.config.wire_rate = 24000 if self.config.wire == RC_WIRE_PCM else 8000
        self.config.mode = _MODES[mode]
        self.config.chunk_ms = _checked("chunk_ms", chunk_ms, 10, 1000)
        if quiet_chunk_ms is not None:
            self.config.quiet_chunk_ms = _checked("quiet_chunk_ms", quiet_chunk_ms, chunk_ms, 1000)
        self.config.pre_roll_ms = _checked("pre_roll_ms", pre_roll_ms, 0, 5000)
        self.config.hangover_ms = _checked("hangover_ms", hangover_ms, 10, 5000)
        self.config.min_speech_ms = _checked("min_speech_ms", min_speech_ms, 10, 1000)
        self.config.open_threshold = opens
        self.config.close_threshold = closes
        self.network = Network.of_grade(vad, network)
        self.config.network = NULL if self.network is None else self.network.handle
        self.config.staggered = vad == "staggered"
        self.handle = rc_gate_new(&self.config)
        if self.handle == NULL:
            raise MemoryError("no memory for a gate")

    def __dealloc__(self):
        rc_gate_free(self.handle)

    cdef int take_chunks(self, list chunks) except -1:
        cdef rc_gate_chunk chunk
        while rc_gate_next(self.handle, &chunk):
            chunks.append((chunk.position, _message(&chunk) if self.framed else _audio(&chunk)))
        return 0

    def push(self, pcm, /):
        cdef Py_buffer view
        cdef size_t at = 0
        cdef list chunks = []
        borrow_samples(pcm, &view)
        try:
            self.take_chunks(chunks)  # the end of what a released key left
            while at < count_of(&view):
                at += rc_gate_push(self.handle, samples_of(&view) + at, count_of(&view) - at)
                self.take_chunks(chunks)
            return chunks
        finally:
            PyBuffer_Release(&view)

    def flush(self):
        cdef list chunks = []
        self.take_chunks(chunks)
        rc_gate_flush(self.handle)
        self.take_chunks(chunks)
        return chunks

    def events(self):
        cdef rc_gate_event event
        cdef list events = []
        while rc_gate_take_event(self.handle, &event):
            name = "speech_started" if event.kind == RC_GATE_SPEECH_STARTED else "speech_stopped"
            events.append((name, event.position))
        return events

    def reset(self):
        cdef rc_gate *fresh = rc_gate_new(&self.config)
        if fresh == NULL:
            raise MemoryError("no memory for a gate")
        rc_gate_set_talking(fresh, rc_gate_talking(self.handle))
        rc_gate_set_muted(fresh, rc_gate_muted(self.handle))
        rc_gate_free(self.handle)
        self.handle = fresh

    @property
    def wire_rate(self):
        return self.config.wire_rate

    @property
    def position(self):
        return rc_gate_position(self.handle)

    @property
    def speaking(self):
        return bool(rc_gate_speaking(self.handle))

    @property
    def probability(self):
        return rc_gate_probability(self.handle)

    @property
    def talking(self):
        return bool(rc_gate_talking(self.handle))

    @talking.setter
    def talking(self, bint talking):
        rc_gate_set_talking(self.handle, talking)

    @property
    def muted(self):
        return bool(rc_gate_muted(self.handle))

    @muted.setter
    def muted(self, bint muted):
        rc_gate_set_muted(self.handle, muted)
