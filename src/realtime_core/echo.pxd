from libc.stdint cimport int16_t, uint32_t


cdef extern from "rc_echo.h" nogil:
    ctypedef struct rc_echo:
        pass

    rc_echo *rc_echo_new(uint32_t rate)
    void rc_echo_free(rc_echo *echo)
    void rc_echo_reset(rc_echo *echo)
    size_t rc_echo_hops(const rc_echo *echo, size_t count)
    size_t rc_echo_process(rc_echo *echo, float *somebody, const int16_t *captured, const int16_t *played,
                           size_t count)
    float rc_echo_reduction_db(const rc_echo *echo)


cdef class EchoCheck:
    cdef rc_echo *handle
    cdef readonly int rate

    cdef list _process(self, Py_buffer *near, Py_buffer *far)
