"""Binding of rc_pcm.h: levels, gain, mixing, channels, sample formats."""

from cpython.buffer cimport PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.math cimport isfinite, sqrt
from libc.stdint cimport int16_t

from realtime_core._buffer cimport borrow_samples, borrow_samples_or_floats, count_of, holds_floats, samples_of

_MAX_CHANNELS = 64

cdef double _FULL_SCALE = 32768


cdef bytes _empty(size_t samples):
    return PyBytes_FromStringAndSize(NULL, <Py_ssize_t> samples * 2)


cdef inline int16_t *_samples_in(bytes pcm) noexcept:
    return <int16_t *> PyBytes_AS_STRING(pcm)


cdef inline float *_floats_of(Py_buffer *view) noexcept nogil:
    return <float *> view.buf


cdef inline size_t _count_of_floats(Py_buffer *view) noexcept nogil:
    return <size_t> view.len // 4


def level(pcm, /):
    cdef Py_buffer view
    cdef double peak, energy
    cdef size_t count
    borrow_samples_or_floats(pcm, &view)
    if holds_floats(&view):
        count = _count_of_floats(&view)
        peak = rc_pcm_peak_f32(_floats_of(&view), count) * _FULL_SCALE
        energy = rc_pcm_energy_f32(_floats_of(&view), count) * _FULL_SCALE * _FULL_SCALE
    else:
        count = count_of(&view)
        peak = rc_pcm_peak(samples_of(&view), count)
        energy = <double> rc_pcm_energy(samples_of(&view), count)
    PyBuffer_Release(&view)
    return rc_pcm_dbfs(peak), rc_pcm_dbfs(sqrt(energy / <double> max(count, <size_t> 1)))


def mix_down(pcm, Py_ssize_t channels):
    cdef Py_buffer view
    if not 1 <= channels <= _MAX_CHANNELS:
        raise ValueError(f"channels must be 1 to {_MAX_CHANNELS}, got {channels}")
    borrow_samples(pcm, &view)
    try:
        if count_of(&view) % <size_t> channels:
            raise ValueError(f"{count_of(&view)} samples are no whole number of frames of {channels} channels")
        frames = count_of(&view) // <size_t> channels
        mono = _empty(frames)
        rc_pcm_mix_down(_samples_in(mono), samples_of(&view), frames, <unsigned> channels)
        return mono
    finally:
        PyBuffer_Release(&view)


def interleave(left, right, /):
    cdef Py_buffer left_view
    cdef Py_buffer right_view
    borrow_samples(left, &left_view)
    try:
        borrow_samples(right, &right_view)
        try:
            if left_view.len != right_view.len:
                raise ValueError(f"both sides must be equally long, got {count_of(&left_view)} and "
                                 f"{count_of(&right_view)} samples")
            stereo = _empty(count_of(&left_view) * 2)
            rc_pcm_interleave(_samples_in(stereo), samples_of(&left_view), samples_of(&right_view),
                              count_of(&left_view))
            return stereo
        finally:
            PyBuffer_Release(&right_view)
    finally:
        PyBuffer_Release(&left_view)


def apply_gain(pcm, float start, float end, /):
    cdef Py_buffer view
    if not isfinite(end - start):
        raise ValueError(f"a gain goes from one finite factor to another, got {start:g} to {end:g}")
    borrow_samples_or_floats(pcm, &view, True)
    if holds_floats(&view):
        rc_pcm_gain_f32(_floats_of(&view), _count_of_floats(&view), start, end)
    else:
        rc_pcm_gain(samples_of(&view), count_of(&view), start, end)
    PyBuffer_Release(&view)


def mix(pcm, more, /):
    cdef Py_buffer view
    cdef Py_buffer more_view
    borrow_samples_or_floats(pcm, &view, True)
    try:
        borrow_samples_or_floats(more, &more_view)
        try:
            if holds_floats(&view) != holds_floats(&more_view):
                raise TypeError("both must hold 16-bit samples, or both float32")
            if view.len != more_view.len:
                raise ValueError(f"both must be equally long, got {view.len} and {more_view.len} bytes")
            if holds_floats(&view):
                rc_pcm_add_f32(_floats_of(&view), _floats_of(&more_view), _count_of_floats(&view))
            else:
                rc_pcm_add(samples_of(&view), samples_of(&more_view), count_of(&view))
        finally:
            PyBuffer_Release(&more_view)
    finally:
        PyBuffer_Release(&view)


def s16_to_f32(pcm, /):
    cdef Py_buffer view
    borrow_samples(pcm, &view)
    try:
        out = _empty(count_of(&view) * 2)
        rc_pcm_s16_to_f32(<float *> PyBytes_AS_STRING(out), samples_of(&view), count_of(&view))
        return out
    finally:
        PyBuffer_Release(&view)


def f32_to_s16(pcm, /):
    cdef Py_buffer view
    PyObject_GetBuffer(pcm, &view, PyBUF_FORMAT)
    try:
        if not (holds_floats(&view) or (view.itemsize == 1 and view.len % 4 == 0)):  # raw bytes by contract
            raise TypeError(f"expected float32 or its bytes, got {view.len} bytes in items of {view.itemsize}")
        count = <size_t> view.len // 4
        out = _empty(count)
        rc_pcm_f32_to_s16(_samples_in(out), <const float *> view.buf, count)
        return out
    finally:
        PyBuffer_Release(&view)
