from libc.stdint cimport int16_t, uint32_t, uint64_t


cdef extern from "rc_ring.h" nogil:
    ctypedef struct rc_ring:
        pass

    rc_ring *rc_ring_new(size_t capacity)
    void rc_ring_free(rc_ring *ring)
    size_t rc_ring_capacity(const rc_ring *ring)
    size_t rc_ring_writable(const rc_ring *ring)
    size_t rc_ring_write(rc_ring *ring, const int16_t *samples, size_t count)
    int rc_ring_write_entire(rc_ring *ring, const int16_t *samples, size_t count)
    ctypedef struct rc_ring_region:
        int16_t *first
        size_t first_count
        int16_t *second
        size_t second_count

    rc_ring_region rc_ring_write_region(rc_ring *ring, size_t count)
    void rc_ring_write_commit(rc_ring *ring, size_t count)
    void rc_ring_flush_to(rc_ring *ring, uint64_t position)
    const int RC_RING_MARKS
    int rc_ring_mark(rc_ring *ring, uint32_t generation)
    uint32_t rc_ring_generation(const rc_ring *ring, uint64_t position)
    size_t rc_ring_readable(rc_ring *ring)
    size_t rc_ring_read(rc_ring *ring, int16_t *samples, size_t count)
    void rc_ring_miss(rc_ring *ring, size_t count)
    rc_ring_region rc_ring_read_region(rc_ring *ring, size_t count)
    void rc_ring_read_release(rc_ring *ring, size_t count)
    int rc_ring_read_entire(rc_ring *ring, int16_t *samples, size_t count)
    uint64_t rc_ring_head(const rc_ring *ring)
    uint64_t rc_ring_tail(const rc_ring *ring)
    uint64_t rc_ring_overruns(const rc_ring *ring)
    uint64_t rc_ring_underruns(const rc_ring *ring)


cdef class Ring:
    cdef rc_ring *handle
    cdef object owner  # keeps alive who owns the handle
    cdef bint is_borrowed

    @staticmethod
    cdef Ring borrow(rc_ring *handle, object owner)
