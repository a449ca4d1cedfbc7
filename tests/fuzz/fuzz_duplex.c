/* Any sequence of what a session and a device do. The model knows what must have been captured,
 * how far playout must be, and that nothing but queued audio and its fades is ever heard. */
#include "fuzz.h"
#include "rc_duplex.h"

#include <stdlib.h>

const char *const fuzz_seeds[] = {"\17\100\7\7\7\7\1\1 blocks, flushes, and what else a session does", ""};

enum { CHANNELS = 2, LONGEST = 1024, LEVEL = 8000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices in = {data, size};
    rc_duplex_config config = {8000 + (uint32_t)choose(&in, 40001), CHANNELS, CHANNELS,
                               choose(&in, 2000) + 1, choose(&in, 2000) + 1, choose(&in, 2000)};
    rc_duplex *duplex = rc_duplex_new(&config);
    rc_ring *capture = rc_duplex_capture(duplex), *playout = rc_duplex_playout(duplex);
    uint64_t frames = 0, overruns = 0, jumped_to = 0;
    int gain_is_one = 1;
    while (in.left > 0) {
        int16_t block[LONGEST * CHANNELS], mono[LONGEST];
        size_t operation = choose(&in, 8), count = choose(&in, LONGEST);
        switch (operation) {
        case 0:
            for (size_t i = 0; i < count; i++)
                mono[i] = LEVEL;
            rc_ring_write(playout, mono, count);
            break;
        case 1:
            CHECK(rc_duplex_flush(duplex) == rc_ring_head(playout));
            break;
        case 2:
            rc_ring_read(capture, mono, count);
            break;
        case 3:
            rc_duplex_set_expecting(duplex, (int)(count & 1));
            break;
        case 4:
            rc_duplex_set_muted(duplex, (int)(count & 1));
            gain_is_one = 0;
            break;
        default: {
            size_t room = rc_ring_writable(capture), before = rc_ring_readable(capture);
            int16_t *input = operation == 5 ? NULL : block, *output = operation == 6 ? NULL : block;
            for (size_t i = 0; i < count * CHANNELS; i++)
                block[i] = (int16_t)(frames + i / CHANNELS);
            CHECK(rc_duplex_callback(input, output, count, NULL, 0, duplex) == 0);
            frames += count;
            size_t taken = input == NULL ? 0 : count < room ? count : room;
            overruns += input == NULL ? 0 : count - taken;
            CHECK(rc_ring_readable(capture) == before + taken);
            if (gain_is_one && taken > 0) {
                rc_ring_region kept = rc_ring_read_region(capture, before + taken);
                int16_t last = kept.second_count > 0 ? kept.second[kept.second_count - 1] : kept.first[kept.first_count - 1];
                CHECK(last == (int16_t)(frames - count + taken - 1));
            }
            for (size_t i = 0; output != NULL && i < count; i++) {
                CHECK(output[2 * i] == output[2 * i + 1]);
                CHECK(output[2 * i] >= 0 && output[2 * i] <= LEVEL + 1); /* no louder than what is queued */
            }
        }
        }
        rc_duplex_cut cut;
        while (rc_duplex_take_cut(duplex, &cut)) {
            CHECK(cut.stopped_at <= cut.jumped_to && cut.stopped_at >= jumped_to);
            jumped_to = cut.jumped_to;
        }
        rc_duplex_stats stats;
        rc_duplex_get_stats(duplex, &stats);
        CHECK(stats.frames == frames && stats.overruns == overruns && stats.underruns <= frames);
        CHECK(rc_duplex_played(duplex) <= rc_ring_head(playout) && rc_duplex_played(duplex) >= jumped_to);
    }
    rc_duplex_free(duplex);
    return 0;
}
