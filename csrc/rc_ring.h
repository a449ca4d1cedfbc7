/* Wait-free ring of 16-bit samples for one writer and one reader.
 *
 * One thread writes, one thread reads; neither ever waits for the other and neither ever
 * allocates. Positions are 64-bit sample counts since creation: they only grow, so a position is
 * also a time stamp, and `head - tail` is the fill. Samples that do not fit are not written and
 * are counted (overruns); what is in the ring is never overwritten.
 *
 * Only the reader moves the tail. The writer discards what it has written by publishing a
 * position with rc_ring_flush_to(); the reader jumps there at its next read.
 *
 * Samples may belong to generations (one answer, then the next): the writer marks where one
 * begins, the reader asks whose a position is. A mark whose generation has ended before the tail
 * is forgotten by itself; RC_RING_MARKS of them are kept.
 */
#ifndef RC_RING_H
#define RC_RING_H

#include <stddef.h>
#include <stdint.h>

typedef struct rc_ring rc_ring;

/* A stretch of the ring as at most two pieces of memory (the second is empty unless it wraps). */
typedef struct {
    int16_t *first;
    size_t first_count;
    int16_t *second;
    size_t second_count;
} rc_ring_region;

/* Creates a ring that holds at least `capacity` samples (rounded up to a power of two).
 * Returns NULL when capacity is 0, above 2^31, or memory is short. */
rc_ring *rc_ring_new(size_t capacity);
void rc_ring_free(rc_ring *ring);

size_t rc_ring_capacity(const rc_ring *ring);

/* Writer's side ------------------------------------------------------------------------------ */

/* Samples that fit now; exact for the writer (the reader can only make it larger). */
size_t rc_ring_writable(const rc_ring *ring);
/* Writes up to `count` samples; returns how many. The rest is counted as overrun. */
size_t rc_ring_write(rc_ring *ring, const int16_t *samples, size_t count);
/* Writes all of `count` samples, or none and returns 0 (not counted as overrun). */
int rc_ring_write_entire(rc_ring *ring, const int16_t *samples, size_t count);
/* Free space of at most `count` samples to be filled in place, then made readable by commit. */
rc_ring_region rc_ring_write_region(rc_ring *ring, size_t count);
void rc_ring_write_commit(rc_ring *ring, size_t count);
/* Everything before `position` (at most the head) is to be skipped by the reader. */
void rc_ring_flush_to(rc_ring *ring, uint64_t position);
/* What is written from now on belongs to `generation` (before the first mark: to generation 0).
 * Returns 0, and changes nothing, while RC_RING_MARKS are needed: that of the tail and those ahead. */
#define RC_RING_MARKS 64
int rc_ring_mark(rc_ring *ring, uint32_t generation);

/* Reader's side ------------------------------------------------------------------------------ */

/* Samples ready now; exact for the reader (the writer can only make it larger). */
size_t rc_ring_readable(rc_ring *ring);
/* Reads up to `count` samples; returns how many. What is missing is counted as underrun. */
size_t rc_ring_read(rc_ring *ring, int16_t *samples, size_t count);
/* Counts `count` samples as underrun: for who wanted them and took by other means what was there. */
void rc_ring_miss(rc_ring *ring, size_t count);
/* Reads all of `count` samples, or none and returns 0 (not counted as underrun). */
int rc_ring_read_entire(rc_ring *ring, int16_t *samples, size_t count);
/* Ready samples, at most `count`, to be used in place, then given back by release. */
rc_ring_region rc_ring_read_region(rc_ring *ring, size_t count);
void rc_ring_read_release(rc_ring *ring, size_t count);
/* Copies up to `count` samples from the tail and leaves them there, a published flush too. */
size_t rc_ring_peek(const rc_ring *ring, int16_t *samples, size_t count);
/* The published flush position; nothing is pending when it is not beyond the tail. */
uint64_t rc_ring_flush_target(const rc_ring *ring);
/* Jumps to the published flush position; returns the number of samples skipped. */
uint64_t rc_ring_take_flush(rc_ring *ring);
/* The generation that the sample at `position` belongs to, or, behind the head, will belong to if
 * no mark comes; a position before the tail counts as the tail. */
uint32_t rc_ring_generation(const rc_ring *ring, uint64_t position);

/* Any thread --------------------------------------------------------------------------------- */

uint64_t rc_ring_head(const rc_ring *ring);      /* samples written since creation */
uint64_t rc_ring_tail(const rc_ring *ring);      /* samples read or skipped since creation */
uint64_t rc_ring_overruns(const rc_ring *ring);  /* samples refused by rc_ring_write */
uint64_t rc_ring_underruns(const rc_ring *ring); /* samples missed by rc_ring_read and rc_ring_miss */

#endif
