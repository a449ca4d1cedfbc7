#include "rc_ring.h"

#include "rc_memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Where a generation begins. */
typedef struct {
    uint64_t position;
    uint32_t generation;
} mark;

/* The two sides live on cache lines of their own, so that one never slows the other down. */
struct rc_ring {
    int16_t *samples;
    uint64_t mask;
    _Alignas(RC_CACHE_LINE) _Atomic uint64_t head; /* written by the writer only */
    _Atomic uint64_t flush_to;                     /* written by the writer only */
    _Atomic uint64_t overruns;
    _Atomic uint64_t marked;                       /* marks made since creation; the writer's */
    uint64_t oldest_mark;                          /* first one still needed; the writer's alone */
    _Alignas(RC_CACHE_LINE) _Atomic uint64_t tail; /* written by the reader only */
    _Atomic uint64_t underruns;
    mark marks[RC_RING_MARKS]; /* mark n at n % RC_RING_MARKS; each written before `marked` counts it */
};

static uint64_t own(const _Atomic uint64_t *position)
{
    /* relaxed: this side wrote it last, no one else does */
    return atomic_load_explicit(position, memory_order_relaxed);
}

static uint64_t theirs(const _Atomic uint64_t *position)
{
    /* acquire: pairs with publish(), so the samples behind the position are visible too */
    return atomic_load_explicit(position, memory_order_acquire);
}

static void publish(_Atomic uint64_t *position, uint64_t value)
{
    /* release: the samples copied before are visible to who sees the new position */
    atomic_store_explicit(position, value, memory_order_release);
}

static void count_more(_Atomic uint64_t *counter, uint64_t more)
{
    /* relaxed, load and store instead of an atomic add: one side writes, others only look */
    atomic_store_explicit(counter, own(counter) + more, memory_order_relaxed);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

rc_ring *rc_ring_new(size_t capacity)
{
    if (capacity == 0 || capacity > (size_t)1 << 31)
        return NULL;
    size_t size = 1;
    while (size < capacity)
        size <<= 1;
    rc_ring *ring = rc_lines_new(sizeof(*ring));
    if (ring == NULL)
        return NULL;
    ring->samples = calloc(size, sizeof(int16_t));
    if (ring->samples == NULL) {
        rc_lines_free(ring);
        return NULL;
    }
    ring->mask = size - 1;
    return ring;
}

void rc_ring_free(rc_ring *ring)
{
    if (ring == NULL)
        return;
    free(ring->samples);
    rc_lines_free(ring);
}

size_t rc_ring_capacity(const rc_ring *ring)
{
    return (size_t)(ring->mask + 1);
}

static rc_ring_region region_at(const rc_ring *ring, uint64_t position, size_t count)
{
    size_t at = (size_t)(position & ring->mask);
    size_t first = smaller(count, rc_ring_capacity(ring) - at);
    return (rc_ring_region){ring->samples + at, first, ring->samples, count - first};
}

size_t rc_ring_writable(const rc_ring *ring)
{
    return rc_ring_capacity(ring) - (size_t)(own(&ring->head) - theirs(&ring->tail));
}

rc_ring_region rc_ring_write_region(rc_ring *ring, size_t count)
{
    return region_at(ring, own(&ring->head), smaller(count, rc_ring_writable(ring)));
}

void rc_ring_write_commit(rc_ring *ring, size_t count)
{
    publish(&ring->head, own(&ring->head) + count);
}

static void copy_in(rc_ring *ring, const int16_t *samples, size_t count)
{
    rc_ring_region to = region_at(ring, own(&ring->head), count);
    memcpy(to.first, samples, to.first_count * sizeof(int16_t));
    memcpy(to.second, samples + to.first_count, to.second_count * sizeof(int16_t));
    rc_ring_write_commit(ring, count);
}

size_t rc_ring_write(rc_ring *ring, const int16_t *samples, size_t count)
{
    size_t fits = smaller(count, rc_ring_writable(ring));
    copy_in(ring, samples, fits);
    if (fits < count)
        count_more(&ring->overruns, count - fits);
    return fits;
}

int rc_ring_write_entire(rc_ring *ring, const int16_t *samples, size_t count)
{
    if (rc_ring_writable(ring) < count)
        return 0;
    copy_in(ring, samples, count);
    return 1;
}

void rc_ring_flush_to(rc_ring *ring, uint64_t position)
{
    uint64_t head = own(&ring->head);
    publish(&ring->flush_to, position < head ? position : head);
}

/* The reader never looks at a mark when a later one lies before its tail: it searches from the
 * latest one it knows to the first that is not beyond the position, and a tail beyond a mark's
 * position comes from a head (or a flush) that was published after that mark. So the tail itself
 * gives marks back, and reading costs nothing more. "Before" is strict: the mark at the tail may
 * not be known to the reader yet. */
int rc_ring_mark(rc_ring *ring, uint32_t generation)
{
    uint64_t made = own(&ring->marked), tail = theirs(&ring->tail);
    while (ring->oldest_mark + 1 < made && ring->marks[(ring->oldest_mark + 1) % RC_RING_MARKS].position < tail)
        ring->oldest_mark++;
    if (made - ring->oldest_mark == RC_RING_MARKS)
        return 0;
    ring->marks[made % RC_RING_MARKS] = (mark){own(&ring->head), generation};
    publish(&ring->marked, made + 1);
    return 1;
}

uint32_t rc_ring_generation(const rc_ring *ring, uint64_t position)
{
    uint64_t tail = own(&ring->tail), made = theirs(&ring->marked);
    if (position < tail)
        position = tail;
    for (uint64_t back = 1; back <= made && back <= RC_RING_MARKS; back++) {
        const mark *m = &ring->marks[(made - back) % RC_RING_MARKS];
        if (m->position <= position)
            return m->generation;
    }
    return 0;
}

uint64_t rc_ring_flush_target(const rc_ring *ring)
{
    return theirs(&ring->flush_to);
}

uint64_t rc_ring_take_flush(rc_ring *ring)
{
    uint64_t tail = own(&ring->tail);
    uint64_t target = theirs(&ring->flush_to);
    if (target <= tail)
        return 0;
    publish(&ring->tail, target);
    return target - tail;
}

size_t rc_ring_readable(rc_ring *ring)
{
    rc_ring_take_flush(ring);
    return (size_t)(theirs(&ring->head) - own(&ring->tail));
}

rc_ring_region rc_ring_read_region(rc_ring *ring, size_t count)
{
    size_t ready = smaller(count, rc_ring_readable(ring));
    return region_at(ring, own(&ring->tail), ready);
}

void rc_ring_read_release(rc_ring *ring, size_t count)
{
    publish(&ring->tail, own(&ring->tail) + count);
}

static void copy_out(const rc_ring *ring, int16_t *samples, size_t count)
{
    rc_ring_region from = region_at(ring, own(&ring->tail), count);
    memcpy(samples, from.first, from.first_count * sizeof(int16_t));
    memcpy(samples + from.first_count, from.second, from.second_count * sizeof(int16_t));
}

size_t rc_ring_peek(const rc_ring *ring, int16_t *samples, size_t count)
{
    size_t ready = smaller(count, (size_t)(theirs(&ring->head) - own(&ring->tail)));
    copy_out(ring, samples, ready);
    return ready;
}

size_t rc_ring_read(rc_ring *ring, int16_t *samples, size_t count)
{
    size_t ready = smaller(count, rc_ring_readable(ring));
    copy_out(ring, samples, ready);
    rc_ring_read_release(ring, ready);
    if (ready < count)
        rc_ring_miss(ring, count - ready);
    return ready;
}

void rc_ring_miss(rc_ring *ring, size_t count)
{
    count_more(&ring->underruns, count);
}

int rc_ring_read_entire(rc_ring *ring, int16_t *samples, size_t count)
{
    if (rc_ring_readable(ring) < count)
        return 0;
    copy_out(ring, samples, count);
    rc_ring_read_release(ring, count);
    return 1;
}

uint64_t rc_ring_head(const rc_ring *ring)
{
    return theirs(&ring->head);
}

uint64_t rc_ring_tail(const rc_ring *ring)
{
    return theirs(&ring->tail);
}

uint64_t rc_ring_overruns(const rc_ring *ring)
{
    return atomic_load_explicit(&ring->overruns, memory_order_relaxed);
}

uint64_t rc_ring_underruns(const rc_ring *ring)
{
    return atomic_load_explicit(&ring->underruns, memory_order_relaxed);
}
