#include "check.h"
#include "rc_ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

static void capacity_is_at_least_what_was_asked_for(void)
{
    CHECK(rc_ring_new(0) == NULL);
    CHECK(rc_ring_new(((size_t)1 << 31) + 1) == NULL);
    for (size_t asked = 1; asked < 70; asked++) {
        rc_ring *ring = rc_ring_new(asked);
        CHECK(rc_ring_capacity(ring) >= asked);
        CHECK(rc_ring_writable(ring) == rc_ring_capacity(ring));
        CHECK(rc_ring_readable(ring) == 0);
        rc_ring_free(ring);
    }
    rc_ring_free(NULL);
}

static void partial_operations_do_what_they_can_and_count_the_rest(void)
{
    int16_t in[6] = {1, 2, 3, 4, 5, 6}, out[6] = {0};
    rc_ring *ring = rc_ring_new(4);
    CHECK(rc_ring_write(ring, in, 6) == 4);
    CHECK(rc_ring_overruns(ring) == 2);
    CHECK(rc_ring_read(ring, out, 6) == 4);
    CHECK(rc_ring_underruns(ring) == 2);
    rc_ring_miss(ring, 5);
    CHECK(rc_ring_underruns(ring) == 7);
    CHECK(memcmp(in, out, 8) == 0 && out[4] == 0);
    CHECK(rc_ring_head(ring) == 4 && rc_ring_tail(ring) == 4);
    rc_ring_free(ring);
}

static void entire_operations_do_all_or_nothing(void)
{
    int16_t in[6] = {1, 2, 3, 4, 5, 6}, out[6] = {0};
    rc_ring *ring = rc_ring_new(4);
    CHECK(!rc_ring_write_entire(ring, in, 5));
    CHECK(rc_ring_write_entire(ring, in, 3));
    CHECK(!rc_ring_read_entire(ring, out, 4));
    CHECK(rc_ring_read_entire(ring, out, 3) && out[2] == 3);
    CHECK(rc_ring_overruns(ring) == 0 && rc_ring_underruns(ring) == 0);
    rc_ring_free(ring);
}

static void regions_wrap(void)
{
    int16_t in[4] = {1, 2, 3, 4}, out[4];
    rc_ring *ring = rc_ring_new(4);
    CHECK(rc_ring_write(ring, in, 3) == 3 && rc_ring_read(ring, out, 3) == 3);
    rc_ring_region free_space = rc_ring_write_region(ring, 9);
    CHECK(free_space.first_count == 1 && free_space.second_count == 3);
    free_space.first[0] = 10;
    free_space.second[0] = 11;
    rc_ring_write_commit(ring, 2);
    rc_ring_region ready = rc_ring_read_region(ring, 9);
    CHECK(ready.first_count == 1 && ready.second_count == 1);
    CHECK(ready.first[0] == 10 && ready.second[0] == 11);
    rc_ring_read_release(ring, 1);
    CHECK(rc_ring_peek(ring, out, 4) == 1 && out[0] == 11);
    CHECK(rc_ring_readable(ring) == 1);
    rc_ring_free(ring);
}

static void flush_skips_what_was_written_before_it(void)
{
    int16_t in[4] = {1, 2, 3, 4}, out[4];
    rc_ring *ring = rc_ring_new(8);
    rc_ring_write(ring, in, 4);
    rc_ring_flush_to(ring, rc_ring_head(ring));
    rc_ring_write(ring, in, 2);
    CHECK(rc_ring_flush_target(ring) == 4 && rc_ring_tail(ring) == 0);
    CHECK(rc_ring_peek(ring, out, 4) == 4 && out[0] == 1); /* peeking leaves the flush pending */
    CHECK(rc_ring_read(ring, out, 4) == 2 && out[0] == 1 && out[1] == 2);
    CHECK(rc_ring_tail(ring) == 6);
    rc_ring_flush_to(ring, 1000); /* never beyond the head */
    CHECK(rc_ring_take_flush(ring) == 0);
    rc_ring_flush_to(ring, 2); /* never backwards */
    CHECK(rc_ring_take_flush(ring) == 0 && rc_ring_tail(ring) == 6);
    rc_ring_free(ring);
}

static void marks_tell_generations_apart(void)
{
    int16_t samples[8] = {0};
    rc_ring *ring = rc_ring_new(8);
    CHECK(rc_ring_generation(ring, 0) == 0); /* before the first mark */
    rc_ring_write(ring, samples, 2);
    CHECK(rc_ring_mark(ring, 7));
    CHECK(rc_ring_generation(ring, 1) == 0 && rc_ring_generation(ring, 2) == 7);
    rc_ring_write(ring, samples, 2);
    CHECK(rc_ring_mark(ring, 8) && rc_ring_mark(ring, UINT32_MAX)); /* at one position the later one counts */
    rc_ring_write(ring, samples, 1);
    CHECK(rc_ring_generation(ring, 3) == 7 && rc_ring_generation(ring, 4) == UINT32_MAX);
    CHECK(rc_ring_generation(ring, 1000) == UINT32_MAX);
    rc_ring_read(ring, samples, 3);
    CHECK(rc_ring_generation(ring, 0) == 7 && rc_ring_generation(ring, rc_ring_tail(ring)) == 7);
    rc_ring_flush_to(ring, rc_ring_head(ring));
    CHECK(rc_ring_mark(ring, 9));
    CHECK(rc_ring_generation(ring, 3) == 7); /* until the reader obeys the flush */
    CHECK(rc_ring_readable(ring) == 0 && rc_ring_generation(ring, rc_ring_tail(ring)) == 9);
    rc_ring_free(ring);
}

static void marks_are_bounded_and_the_tail_gives_them_back(void)
{
    int16_t sample = 0;
    rc_ring *ring = rc_ring_new(256);
    for (uint32_t turn = 0; turn < 5; turn++) {
        uint64_t before = rc_ring_head(ring);
        uint32_t room = turn == 0 ? RC_RING_MARKS : RC_RING_MARKS - 1; /* one is that of the tail */
        for (uint32_t i = 0; i < room; i++) {
            CHECK(rc_ring_mark(ring, 100 * turn + i));
            rc_ring_write(ring, &sample, 1);
        }
        CHECK(!rc_ring_mark(ring, 1)); /* refused, nothing changed */
        for (uint32_t i = 0; i < room; i++)
            CHECK(rc_ring_generation(ring, before + i) == 100 * turn + i);
        while (rc_ring_read(ring, &sample, 1) > 0)
            continue;
        rc_ring_write(ring, &sample, 1);
        CHECK(rc_ring_generation(ring, rc_ring_tail(ring)) == 100 * turn + room - 1);
        rc_ring_read(ring, &sample, 1);
    }
    CHECK(rc_ring_mark(ring, 5) && rc_ring_mark(ring, 6));
    rc_ring_free(ring);
}

/* Two threads: each sample carries the low bits of its position, so that the reader can tell
 * from its own position alone whether it got the right one, flushes included. */
enum { TOTAL = 300000, MARKED_EVERY = 3 };

static rc_ring *shared;
static _Atomic int writer_is_done;

static void *write_positions(void *unused)
{
    uint64_t random = 7, position = 0;
    while (position < TOTAL) {
        int16_t block[97];
        size_t count = random_below(&random, 97) + 1;
        for (size_t i = 0; i < count; i++)
            block[i] = (int16_t)(position + i);
        if (random_below(&random, 4) == 0) {
            position += rc_ring_write_entire(shared, block, count) ? count : 0;
        } else if (random_below(&random, 4) == 0) {
            rc_ring_region region = rc_ring_write_region(shared, count);
            memcpy(region.first, block, region.first_count * sizeof(int16_t));
            memcpy(region.second, block + region.first_count, region.second_count * sizeof(int16_t));
            rc_ring_write_commit(shared, region.first_count + region.second_count);
            position += region.first_count + region.second_count;
        } else {
            position += rc_ring_write(shared, block, count);
        }
        if (random_below(&random, 50) == 0)
            rc_ring_flush_to(shared, position - random_below(&random, position < 60 ? 1 : 60));
        if (rc_ring_writable(shared) == 0)
            sched_yield();
    }
    atomic_store(&writer_is_done, 1);
    return unused;
}

/* A new generation every few samples, so that the reader can tell from a position alone whose it
 * is; more of them than there is room for marks. */
static uint32_t generation_of(uint64_t position)
{
    return (uint32_t)(position / MARKED_EVERY) * 3;
}

static void *write_generations(void *unused)
{
    int16_t block[MARKED_EVERY] = {0};
    uint64_t random = 5;
    for (uint64_t position = 0; position < TOTAL / 4; position += MARKED_EVERY) {
        while (rc_ring_writable(shared) < MARKED_EVERY || !rc_ring_mark(shared, generation_of(position)))
            sched_yield();
        if (random_below(&random, 8) == 0)
            sched_yield(); /* the reader may see the mark before what belongs to it */
        CHECK(rc_ring_write_entire(shared, block, MARKED_EVERY));
        if (random_below(&random, 50) == 0)
            rc_ring_flush_to(shared, position);
    }
    atomic_store(&writer_is_done, 1);
    return unused;
}

static void two_threads_agree_on_generations(void)
{
    uint64_t random = 3;
    shared = rc_ring_new(256);
    atomic_store(&writer_is_done, 0);
    pthread_t writer;
    CHECK(pthread_create(&writer, NULL, write_generations, NULL) == 0);
    for (;;) {
        int was_done = atomic_load(&writer_is_done);
        rc_ring_generation(shared, rc_ring_tail(shared)); /* maybe one not written yet */
        rc_ring_region ready = rc_ring_read_region(shared, random_below(&random, 20) + 1);
        size_t count = ready.first_count + ready.second_count;
        uint64_t position = rc_ring_tail(shared);
        for (size_t i = 0; i < count; i++)
            CHECK(rc_ring_generation(shared, position + i) == generation_of(position + i));
        rc_ring_read_release(shared, count);
        if (count == 0 && was_done)
            break;
        if (count == 0)
            sched_yield();
    }
    CHECK(pthread_join(writer, NULL) == 0);
    rc_ring_free(shared);
}

static void two_threads_see_every_sample_at_its_position(void)
{
    uint64_t random = 11, got = 0;
    shared = rc_ring_new(256);
    pthread_t writer;
    CHECK(pthread_create(&writer, NULL, write_positions, NULL) == 0);
    for (;;) {
        int was_done = atomic_load(&writer_is_done);
        int16_t block[131];
        size_t count = rc_ring_read(shared, block, random_below(&random, 131) + 1);
        uint64_t position = rc_ring_tail(shared) - count;
        for (size_t i = 0; i < count; i++)
            CHECK(block[i] == (int16_t)(position + i));
        got += count;
        if (count == 0 && was_done)
            break;
        if (count == 0)
            sched_yield();
    }
    CHECK(pthread_join(writer, NULL) == 0);
    CHECK(rc_ring_tail(shared) == rc_ring_head(shared) && rc_ring_head(shared) >= TOTAL);
    CHECK(got > 0);
    rc_ring_free(shared);
}

int main(void)
{
    capacity_is_at_least_what_was_asked_for();
    partial_operations_do_what_they_can_and_count_the_rest();
    entire_operations_do_all_or_nothing();
    regions_wrap();
    flush_skips_what_was_written_before_it();
    marks_tell_generations_apart();
    marks_are_bounded_and_the_tail_gives_them_back();
    two_threads_see_every_sample_at_its_position();
    two_threads_agree_on_generations();
    return 0;
}
