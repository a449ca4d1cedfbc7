/* Any sequence of what a session and a device do, in blocks of any size. The model holds the answer
 * as one long line of samples and follows the events: it knows what must have been captured, which
 * sample each frame that is neither faded nor concealed must play, when speech ducks and cuts (by a
 * detector of its own), that what is written before a cut is accepted is never heard, and that
 * nothing is louder than what is queued. */
#include "fuzz.h"
#include "rc_duplex.h"
#include "rc_vad.h"

#include <stdlib.h>

const char *const fuzz_seeds[] = {"\17\100\7\7\7\7\1\1\1\1 blocks, flushes, and what else a session does",
                                  "\0\200\7\320\7\320\0\0\1\1 hello \4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4", ""};

enum { CHANNELS = 2, LONGEST = 1024, LEVEL = 8000, HOPS = 3 };
static const rc_duplex_barge_in barge_in = {0.3f, 0.2f, 10 * HOPS, 0.5f};

/* What is written at a position of the playout ring: a saw, so that every sample has its place. */
static int16_t written_at(uint64_t position)
{
    return (int16_t)(1000 + position % (LEVEL - 1000));
}

/* Hops in which a detector of its own hears speech. */
static uint64_t hear(rc_vad *vad, const int16_t *captured, size_t count)
{
    float probabilities[LONGEST / 80 * 2 + 2];
    size_t hops = rc_vad_process(vad, probabilities, captured, count);
    uint64_t speech = 0;
    for (size_t hop = 0; hop < hops; hop++)
        speech += probabilities[hop] >= barge_in.onset_probability;
    return speech;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices in = {data, size};
    rc_duplex_config config = {8000 + (uint32_t)choose(&in, 40001), CHANNELS, CHANNELS,
                               choose(&in, 2000) + 1, choose(&in, 2000) + 1, choose(&in, 2000), 1, 0, NULL};
    rc_duplex *duplex = rc_duplex_new(&config);
    rc_vad *vad = rc_vad_new(config.rate, NULL);
    int has_output = choose(&in, 8) > 0;
    rc_ring *capture = rc_duplex_capture(duplex), *playout = rc_duplex_playout(duplex);
    const uint64_t fade = config.rate / 200;
    uint64_t frames = 0, overruns = 0;
    uint64_t last_frame = 0, reached = 0; /* by the events */
    uint64_t accepted_at = 0;             /* nothing before it may start after the cut */
    uint64_t run_from = 0, run_at = 0;    /* the latest start: position, frame */
    uint32_t accepted = 0, cuts = 0;
    uint64_t speech = 0, ducks = 0;
    int running = 0, gain_is_one = 1, listens = 0;
    while (in.left > 0) {
        int16_t block[LONGEST * CHANNELS], mono[LONGEST];
        size_t operation = choose(&in, 12), count = choose(&in, LONGEST);
        uint64_t before_block = frames;
        int played = 0;
        switch (operation) {
        case 0:
        case 1:
            for (size_t i = 0; i < count; i++)
                mono[i] = written_at(rc_ring_head(playout) + i);
            rc_ring_write(playout, mono, count);
            break;
        case 2:
            CHECK(rc_duplex_flush(duplex) == rc_ring_head(playout));
            break;
        case 3:
            rc_ring_read(capture, mono, count);
            break;
        case 4:
            rc_duplex_set_expecting(duplex, (int)(count & 1));
            break;
        case 5:
            rc_duplex_set_muted(duplex, (int)(count & 1));
            gain_is_one = 0;
            break;
        case 6:
            rc_duplex_set_prefill(duplex, count & 1 ? count : 0);
            break;
        case 7:
            rc_duplex_set_barge_in(duplex, count & 1 ? &barge_in : NULL);
            listens = (int)(count & 1);
            break;
        case 8:
            if (rc_duplex_generation(duplex) == cuts && accepted < cuts) {
                rc_duplex_accept(duplex, accepted = cuts);
                accepted_at = rc_ring_head(playout);
            }
            break;
        default: {
            size_t room = rc_ring_writable(capture), before = rc_ring_readable(capture);
            int16_t *input = operation == 9 ? NULL : block, *output = has_output ? block : NULL;
            for (size_t i = 0; i < count * CHANNELS; i++)
                block[i] = (int16_t)(frames + i / CHANNELS);
            if (input != NULL && listens) {
                for (size_t i = 0; i < count; i++)
                    mono[i] = block[i * CHANNELS];
                if (gain_is_one)
                    speech += hear(vad, mono, count);
            }
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
            played = output != NULL;
            for (size_t i = 0; played && i < count; i++) {
                CHECK(output[2 * i] == output[2 * i + 1]);
                CHECK(output[2 * i] >= 0 && output[2 * i] <= LEVEL + 1); /* no louder than what is queued */
            }
        }
        }
        /* What must have been played, stretch by stretch between the events. */
        rc_duplex_event event;
        uint64_t checked = before_block;
        int told;
        do {
            told = rc_duplex_take_event(duplex, &event);
            uint64_t until = told ? event.frame : frames;
            CHECK(until >= last_frame && until <= frames);
            if (running && (!told || event.kind != RC_DUPLEX_STARTED)) {
                uint64_t ends = told && event.kind == RC_DUPLEX_DRAINED ? until : until > fade ? until - fade : 0;
                for (uint64_t f = checked; played && ducks == 0 && f < ends; f++)
                    if (f >= run_at + fade && f >= before_block)
                        CHECK(block[2 * (f - before_block)] == written_at(run_from + f - run_at));
            }
            if (!told)
                break;
            last_frame = checked = until;
            switch (event.kind) {
            case RC_DUPLEX_STARTED:
                CHECK(!running && event.position >= reached && event.position >= accepted_at && accepted == cuts);
                running = 1;
                run_from = event.position;
                run_at = event.frame;
                break;
            case RC_DUPLEX_DRAINED:
                CHECK(running && event.position - run_from == event.frame - run_at);
                running = 0;
                break;
            case RC_DUPLEX_FLUSHED:
            case RC_DUPLEX_CUT:
                CHECK(!running || event.position - run_from == event.frame - run_at);
                CHECK(event.jumped_to >= event.position);
                running = 0;
                if (event.kind == RC_DUPLEX_CUT) {
                    CHECK(accepted == cuts && event.frame - event.speech >= config.rate / 100 * (HOPS - 1));
                    cuts++;
                }
                break;
            case RC_DUPLEX_DUCKED:
                CHECK(listens && event.probability >= barge_in.onset_probability);
                ducks++;
                break;
            case RC_DUPLEX_RESTORED:
                break;
            }
            reached = event.kind == RC_DUPLEX_FLUSHED || event.kind == RC_DUPLEX_CUT ? event.jumped_to : event.position;
        } while (told);
        CHECK(!gain_is_one || ducks <= speech);
        CHECK(rc_duplex_generation(duplex) == cuts);
        rc_duplex_stats stats;
        rc_duplex_get_stats(duplex, &stats);
        CHECK(stats.frames == frames && stats.overruns == overruns && stats.underruns + stats.prefilled <= frames);
        CHECK(stats.lost_events == 0);
        CHECK(rc_duplex_played(duplex) <= rc_ring_head(playout) && rc_duplex_played(duplex) >= reached);
    }
    rc_vad_free(vad);
    rc_duplex_free(duplex);
    return 0;
}
