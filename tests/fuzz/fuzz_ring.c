/* Any sequence of operations, against a ring that never wraps. */
#include "fuzz.h"
#include "rc_ring.h"

#include <stdlib.h>

const char *const fuzz_seeds[] = {"\1\1 write, read, flush: every three bytes are one step of it", ""};

enum { LONGEST = 1 << 18 };

static int16_t written[LONGEST]; /* the model: every sample ever written, by position */
static uint32_t generations[LONGEST + 1]; /* and whose it is */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices in = {data, size};
    rc_ring *ring = rc_ring_new(choose(&in, 300) + 1);
    uint64_t head = 0, tail = 0, flush = 0, overruns = 0, underruns = 0;
    size_t capacity = rc_ring_capacity(ring);
    uint32_t generation = 0;
    uint64_t marks = 0;
    while (in.left > 0) {
        int16_t block[512];
        size_t operation = choose(&in, 10), count = choose(&in, 512), room = capacity - (size_t)(head - tail);
        for (size_t i = 0; i < count; i++)
            block[i] = (int16_t)(head + i * 7);
        if (operation >= 4 && operation < 8 && flush > tail)
            tail = flush; /* every reading operation but peek obeys a flush first */
        size_t ready = (size_t)(head - tail), fits = count < room ? count : room, got = count < ready ? count : ready;
        if (head + 512 > LONGEST)
            break;
        switch (operation) {
        case 0:
            CHECK(rc_ring_write(ring, block, count) == fits);
            overruns += count - fits;
            break;
        case 1:
            CHECK(rc_ring_write_entire(ring, block, count) == (count <= room));
            fits = count <= room ? count : 0;
            break;
        case 2: {
            rc_ring_region region = rc_ring_write_region(ring, count);
            CHECK(region.first_count + region.second_count == fits);
            memcpy(region.first, block, region.first_count * sizeof(int16_t));
            memcpy(region.second, block + region.first_count, region.second_count * sizeof(int16_t));
            rc_ring_write_commit(ring, fits);
            break;
        }
        case 3:
            rc_ring_flush_to(ring, count * 17);
            flush = count * 17 < head ? count * 17 : head;
            break;
        case 4:
            CHECK(rc_ring_read(ring, block, count) == got);
            CHECK(memcmp(block, written + tail, got * sizeof(int16_t)) == 0);
            underruns += count - got;
            tail += got;
            break;
        case 5:
            CHECK(rc_ring_read_entire(ring, block, count) == (count <= ready));
            if (count <= ready)
                CHECK(memcmp(block, written + tail, count * sizeof(int16_t)) == 0);
            tail += count <= ready ? count : 0;
            break;
        case 6: {
            rc_ring_region region = rc_ring_read_region(ring, count);
            CHECK(region.first_count + region.second_count == got);
            CHECK(memcmp(region.first, written + tail, region.first_count * sizeof(int16_t)) == 0);
            CHECK(memcmp(region.second, written + tail + region.first_count, region.second_count * sizeof(int16_t)) == 0);
            rc_ring_read_release(ring, got);
            tail += got;
            break;
        }
        case 7:
            CHECK(rc_ring_readable(ring) == ready);
            rc_ring_miss(ring, count);
            underruns += count;
            break;
        case 9:
            if (rc_ring_mark(ring, (uint32_t)count)) {
                generation = (uint32_t)count;
                marks++;
            } else {
                CHECK(marks >= RC_RING_MARKS);
            }
            break;
        default:
            CHECK(rc_ring_peek(ring, block, count) == got);
            CHECK(memcmp(block, written + tail, got * sizeof(int16_t)) == 0);
        }
        if (operation < 3) {
            for (size_t i = 0; i < fits; i++)
                written[head + i] = (int16_t)(head + i * 7), generations[head + i] = generation;
            head += fits;
        }
        generations[head] = generation;
        CHECK(rc_ring_generation(ring, tail + count) == generations[tail + count < head ? tail + count : head]);
        CHECK(rc_ring_generation(ring, 0) == generations[tail]);
        CHECK(rc_ring_head(ring) == head && rc_ring_tail(ring) == tail && rc_ring_flush_target(ring) == flush);
        CHECK(rc_ring_writable(ring) == capacity - (size_t)(head - tail));
        CHECK(rc_ring_overruns(ring) == overruns && rc_ring_underruns(ring) == underruns);
    }
    rc_ring_free(ring);
    return 0;
}
