"""Borrowing memory from Python objects, in one place.

`Py_buffer` by hand instead of typed memoryviews: half the cost of a call and a third of the code.
"""

from cpython.buffer cimport (
    PyBUF_FORMAT,
    PyBUF_ND,
    PyBUF_SIMPLE,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int16_t
from libc.string cimport memset


cdef inline bint _holds_samples(Py_buffer *view) noexcept nogil:
    # Raw bytes (b, B, c) are PCM by contract; anything else must say that it holds int16.
    cdef const char *format = view.format
    if view.itemsize == 1:
        return view.len % 2 == 0
    if view.itemsize != 2 or format == NULL:
        return False
    if format[0] == b"<" or format[0] == b"=" or format[0] == b"@":
        format += 1
    return format[0] == b"h" and format[1] == 0


cdef inline bint holds_floats(Py_buffer *view) noexcept nogil:
    # Whether the items say that they are float32.
    cdef const char *format = view.format
    if view.itemsize != 4 or format == NULL:
        return False
    if format[0] == b"<" or format[0] == b"=" or format[0] == b"@":
        format += 1
    return format[0] == b"f" and format[1] == 0


cdef inline bint _is_bytes(object source, Py_buffer *view) noexcept:
    # Bytes, which most callers bring, without the buffer protocol: half the price. The caller's
    # reference keeps them alive; a view without an owner is released by doing nothing.
    if type(source) is not bytes:
        return False
    memset(view, 0, sizeof(Py_buffer))
    view.buf = PyBytes_AS_STRING(source)
    view.len = PyBytes_GET_SIZE(source)
    view.itemsize = 1
    return True


cdef inline int borrow_samples(object source, Py_buffer *view, bint writable=False) except -1:
    """Fill `view` with the int16 samples of `source`; release with PyBuffer_Release.

    Raises TypeError for what has no buffer or other items than int16 or bytes, BufferError (NumPy:
    ValueError) for one that is not contiguous or, where it is to be written, read-only, ValueError for
    an odd number of bytes.
    """
    if not writable and _is_bytes(source, view):
        if view.len % 2:
            raise ValueError(f"PCM16 needs an even number of bytes, got {view.len}")
        return 0
    PyObject_GetBuffer(source, view, PyBUF_FORMAT | PyBUF_ND | (PyBUF_WRITABLE if writable else PyBUF_SIMPLE))
    if _holds_samples(view):
        return 0
    itemsize = view.itemsize
    format = view.format.decode() if view.format != NULL else "B"
    length = view.len
    PyBuffer_Release(view)
    if itemsize == 1:
        raise ValueError(f"PCM16 needs an even number of bytes, got {length}")
    raise TypeError(f"expected 16-bit samples or bytes, got items of format {format!r}")


cdef inline int16_t *samples_of(Py_buffer *view) noexcept nogil:
    return <int16_t *> view.buf


cdef inline size_t count_of(Py_buffer *view) noexcept nogil:
    return <size_t> view.len // 2


cdef inline int borrow_frames(object source, Py_buffer *view, Py_ssize_t frames, int channels) except -1:
    """Like borrow_samples, and ValueError for another number of frames."""
    borrow_samples(source, view)
    count = count_of(view)
    if count == <size_t> (frames * channels):
        return 0
    PyBuffer_Release(view)
    raise ValueError(f"{frames} frames of {channels} channels are {frames * channels} samples, got {count}")


cdef inline int borrow_samples_or_floats(object source, Py_buffer *view, bint writable=False) except -1:
    """Like borrow_samples, and takes float32 items too: holds_floats() tells which it got."""
    if type(source) is not bytes or writable:
        PyObject_GetBuffer(source, view, PyBUF_FORMAT | PyBUF_ND | (PyBUF_WRITABLE if writable else PyBUF_SIMPLE))
        if holds_floats(view):
            return 0
        PyBuffer_Release(view)
    return borrow_samples(source, view, writable)


cdef inline int borrow_bytes(object source, Py_buffer *view, bint writable=False) except -1:
    """Fill `view` with the bytes of `source`, whatever its items are; release with PyBuffer_Release."""
    if not writable and _is_bytes(source, view):
        return 0
    return PyObject_GetBuffer(source, view, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
