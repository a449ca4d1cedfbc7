#define _POSIX_C_SOURCE 199309L /* nanosleep */

#include "check.h"
#include "rc_duplex.h"
#include "rc_vad.h"
#include "voice.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { RATE = 48000, BLOCK = 480, FADE = RATE / 200 };

static rc_duplex *new_duplex(unsigned channels, size_t capacity)
{
    rc_duplex_config config = {RATE, channels, channels, capacity, capacity, capacity, 0, 0, NULL, NULL};
    rc_duplex *duplex = rc_duplex_new(&config);
    CHECK(duplex != NULL);
    return duplex;
}

static void run(rc_duplex *duplex, const int16_t *in, int16_t *out, size_t frames)
{
    CHECK(rc_duplex_callback(in, out, frames, NULL, 0, duplex) == 0);
}

static rc_duplex_stats stats_of(const rc_duplex *duplex)
{
    rc_duplex_stats stats;
    rc_duplex_get_stats(duplex, &stats);
    return stats;
}

static void fill_tone(int16_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i] = (int16_t)lround(20000 * cos(2 * 3.14159265 * 300 * (double)i / RATE));
}

static int largest_step(const int16_t *samples, size_t count)
{
    int largest = 0;
    for (size_t i = 1; i < count; i++)
        largest = abs(samples[i] - samples[i - 1]) > largest ? abs(samples[i] - samples[i - 1]) : largest;
    return largest;
}

static void configuration_is_checked(void)
{
    rc_duplex_config good = {RATE, 1, 2, 100, 100, 0, 0, 0, NULL, NULL}, bad;
    rc_duplex *duplex = rc_duplex_new(&good);
    CHECK(duplex != NULL && rc_duplex_tap(duplex) == NULL);
    rc_duplex_free(duplex);
    bad = good, bad.rate = 7999;
    CHECK(rc_duplex_new(&bad) == NULL);
    bad = good, bad.capture_channels = 0;
    CHECK(rc_duplex_new(&bad) == NULL);
    bad = good, bad.playout_channels = 33;
    CHECK(rc_duplex_new(&bad) == NULL);
    bad = good, bad.playout_capacity = 0;
    CHECK(rc_duplex_new(&bad) == NULL);
    rc_duplex_free(NULL);
}

static void audio_passes_unchanged_and_is_paired(void)
{
    int16_t in[2 * BLOCK], out[2 * BLOCK], tone[BLOCK], got[2 * BLOCK];
    rc_duplex *duplex = new_duplex(2, 4096);
    fill_tone(tone, BLOCK);
    for (size_t i = 0; i < BLOCK; i++)
        in[2 * i] = in[2 * i + 1] = (int16_t)i;
    CHECK(rc_ring_write_entire(rc_duplex_playout(duplex), tone, BLOCK));
    run(duplex, in, out, BLOCK);
    CHECK(rc_ring_read_entire(rc_duplex_capture(duplex), got, BLOCK));
    for (size_t i = 0; i < BLOCK; i++)
        CHECK(got[i] == (int16_t)i && out[2 * i] == tone[i] && out[2 * i + 1] == tone[i]);
    CHECK(rc_ring_read_entire(rc_duplex_tap(duplex), got, 2 * BLOCK));
    for (size_t i = 0; i < BLOCK; i++)
        CHECK(got[2 * i] == (int16_t)i && got[2 * i + 1] == tone[i]);
    CHECK(rc_duplex_played(duplex) == BLOCK);
    CHECK(stats_of(duplex).blocks == 1 && stats_of(duplex).frames == BLOCK);
    CHECK(stats_of(duplex).capture_peak == BLOCK - 1 && stats_of(duplex).playout_peak == 20000);
    run(duplex, NULL, out, BLOCK); /* nothing captured */
    CHECK(rc_ring_readable(rc_duplex_capture(duplex)) == 0);
    run(duplex, in, NULL, BLOCK); /* nothing played */
    CHECK(rc_ring_readable(rc_duplex_capture(duplex)) == BLOCK);
    CHECK(rc_ring_readable(rc_duplex_tap(duplex)) == 4 * BLOCK);
    rc_duplex_free(duplex);
}

static void expect(rc_duplex *duplex, rc_duplex_kind kind, uint64_t frame, uint64_t position, uint64_t jumped_to)
{
    rc_duplex_event event;
    CHECK(rc_duplex_take_event(duplex, &event));
    CHECK(event.kind == kind && event.frame == frame && event.position == position && event.jumped_to == jumped_to);
}

static void expect_nothing(rc_duplex *duplex)
{
    rc_duplex_event event;
    CHECK(!rc_duplex_take_event(duplex, &event));
}

/* Whatever the blocks: a flush is obeyed within 5 ms, told, and heard neither as a click nor
 * as anything but the beginning of what it skipped. */
static void flush_fades_jumps_and_is_told(size_t block)
{
    enum { QUEUED = 20000 };
    static int16_t tone[QUEUED], out[QUEUED + 4096];
    rc_duplex *duplex = new_duplex(1, 65536);
    size_t at = 0, before;
    fill_tone(tone, QUEUED);
    rc_ring_write(rc_duplex_playout(duplex), tone, QUEUED);
    for (; at < 3000; at += block)
        run(duplex, NULL, out + at, block);
    before = at;
    expect(duplex, RC_DUPLEX_STARTED, 0, 0, 0);
    CHECK(rc_duplex_flush(duplex) == QUEUED);
    expect_nothing(duplex);
    for (; at < before + 2 * FADE + block; at += block)
        run(duplex, NULL, out + at, block);
    expect(duplex, RC_DUPLEX_FLUSHED, before + FADE, before + FADE, QUEUED);
    expect_nothing(duplex);
    CHECK(rc_duplex_played(duplex) == QUEUED);
    for (size_t i = before + 2 * FADE; i < at; i++)
        CHECK(out[i] == 0);
    rc_ring_write(rc_duplex_playout(duplex), tone, 2000); /* the next item starts at full amplitude */
    before = at;
    for (size_t end = at + 1000; at < end; at += block)
        run(duplex, NULL, out + at, block);
    expect(duplex, RC_DUPLEX_STARTED, before, QUEUED, 0);
    CHECK(largest_step(out, at) < 2 * largest_step(tone, QUEUED));
    CHECK(stats_of(duplex).underruns == 0);
    rc_duplex_free(duplex);
}

static void flush_before_anything_sounded_is_silent(void)
{
    int16_t tone[4 * BLOCK], out[BLOCK];
    rc_duplex *duplex = new_duplex(1, 4096);
    fill_tone(tone, 4 * BLOCK);
    rc_ring_write(rc_duplex_playout(duplex), tone, 4 * BLOCK);
    rc_duplex_flush(duplex);
    run(duplex, NULL, out, BLOCK);
    CHECK(largest_step(out, BLOCK) == 0 && out[0] == 0);
    expect(duplex, RC_DUPLEX_FLUSHED, 0, 0, 4 * BLOCK);
    rc_ring_write(rc_duplex_playout(duplex), tone, BLOCK);
    run(duplex, NULL, out, BLOCK);
    CHECK(memcmp(out, tone, sizeof(out)) == 0);
    rc_duplex_free(duplex);
}

static void flush_of_almost_nothing_does_not_click(void)
{
    int16_t tone[BLOCK + 7], out[4 * BLOCK];
    rc_duplex *duplex = new_duplex(1, 4096);
    fill_tone(tone, BLOCK + 7);
    rc_ring_write(rc_duplex_playout(duplex), tone, BLOCK + 7);
    run(duplex, NULL, out, BLOCK);
    rc_duplex_flush(duplex);
    for (size_t n = 1; n < 4; n++)
        run(duplex, NULL, out + n * BLOCK, BLOCK);
    expect(duplex, RC_DUPLEX_STARTED, 0, 0, 0);
    expect(duplex, RC_DUPLEX_FLUSHED, BLOCK, BLOCK, BLOCK + 7);
    CHECK(largest_step(out, 4 * BLOCK) < 2 * largest_step(tone, BLOCK));
    for (size_t i = BLOCK + FADE; i < 4 * BLOCK; i++)
        CHECK(out[i] == 0);
    rc_duplex_free(duplex);
}

static void underruns_count_while_audio_is_expected_and_do_not_click(void)
{
    int16_t tone[3000], out[24 * BLOCK] = {0};
    rc_duplex *duplex = new_duplex(1, 65536);
    fill_tone(tone, 3000);
    run(duplex, NULL, out, BLOCK);
    CHECK(stats_of(duplex).underruns == 0); /* idle */
    rc_duplex_set_expecting(duplex, 1);
    rc_ring_write(rc_duplex_playout(duplex), tone, 1000);
    size_t at = 0;
    for (; at < 6 * BLOCK; at += BLOCK)
        run(duplex, NULL, out + at, BLOCK);
    CHECK(stats_of(duplex).underruns == 6 * BLOCK - 1000);
    rc_ring_write(rc_duplex_playout(duplex), tone + 1000, 1234);
    for (; at < 9 * BLOCK; at += BLOCK)
        run(duplex, NULL, out + at, BLOCK);
    rc_duplex_set_expecting(duplex, 0);
    uint64_t counted = stats_of(duplex).underruns;
    for (; at < 11 * BLOCK; at += BLOCK)
        run(duplex, NULL, out + at, BLOCK);
    CHECK(stats_of(duplex).underruns == counted);
    CHECK(largest_step(out + 1, at - 1) < 2 * largest_step(tone, 3000));
    CHECK(out[at - 1] == 0);
    expect(duplex, RC_DUPLEX_STARTED, BLOCK, 0, 0);
    expect(duplex, RC_DUPLEX_DRAINED, BLOCK + 1000, 1000, 0);
    expect(duplex, RC_DUPLEX_STARTED, 7 * BLOCK, 1000, 0);
    expect(duplex, RC_DUPLEX_DRAINED, 7 * BLOCK + 1234, 2234, 0);
    expect_nothing(duplex);
    rc_duplex_free(duplex);
}

/* A gap of 20 ms in a tone: what is missing sounds on, nearly as it would have, and never louder. */
static void a_short_underrun_is_concealed(void)
{
    enum { BEFORE = 5000, MISSING = 960, AFTER = 5000, FALL = RATE * 30 / 1000 };
    static int16_t tone[BEFORE + MISSING + AFTER], out[BEFORE + MISSING + AFTER];
    rc_duplex *duplex = new_duplex(1, 65536);
    fill_tone(tone, BEFORE + MISSING + AFTER);
    rc_duplex_set_expecting(duplex, 1);
    rc_ring_write(rc_duplex_playout(duplex), tone, BEFORE);
    run(duplex, NULL, out, BEFORE);
    run(duplex, NULL, out + BEFORE, MISSING);
    CHECK(stats_of(duplex).underruns == MISSING);
    rc_ring_write(rc_duplex_playout(duplex), tone + BEFORE + MISSING, AFTER);
    run(duplex, NULL, out + BEFORE + MISSING, AFTER);
    CHECK(largest_step(out, BEFORE + MISSING + AFTER) < 1.5 * largest_step(tone, BEFORE));
    for (size_t i = 0; i < MISSING; i++) {
        double expected = tone[BEFORE + i] * (double)(FALL - i) / FALL;
        CHECK(fabs(out[BEFORE + i] - expected) < 600);
    }
    for (size_t i = MISSING + FADE; i < MISSING + AFTER; i++)
        CHECK(out[BEFORE + i] == tone[BEFORE + i]);
    rc_duplex_free(duplex);
}

/* What follows a beginning waits for it to be long enough, no longer than that takes, and not at all when it is all. */
static void the_beginning_waits_for_its_prefill(void)
{
    int16_t tone[4 * BLOCK], out[4 * BLOCK];
    rc_duplex *duplex = new_duplex(1, 65536);
    rc_ring *playout = rc_duplex_playout(duplex);
    fill_tone(tone, 4 * BLOCK);
    rc_duplex_set_prefill(duplex, 3 * BLOCK / 2);
    rc_duplex_set_expecting(duplex, 1);
    rc_ring_write(playout, tone, BLOCK);
    run(duplex, NULL, out, BLOCK);
    CHECK(rc_duplex_played(duplex) == 0 && out[0] == 0);
    rc_ring_write(playout, tone, BLOCK);
    run(duplex, NULL, out, BLOCK);
    CHECK(out[0] == tone[0] && rc_duplex_played(duplex) == BLOCK);
    rc_duplex_flush(duplex);
    run(duplex, NULL, out, BLOCK);
    rc_ring_write(playout, tone, BLOCK);
    run(duplex, NULL, out, 2 * BLOCK);
    CHECK(out[BLOCK] == 0 && rc_duplex_played(duplex) == 2 * BLOCK + BLOCK / 2); /* has waited long enough */
    CHECK(stats_of(duplex).prefilled == BLOCK + 3 * BLOCK / 2);
    rc_duplex_flush(duplex);
    rc_duplex_set_expecting(duplex, 0);
    run(duplex, NULL, out, BLOCK);
    rc_ring_write(playout, tone, BLOCK / 2); /* this is all */
    run(duplex, NULL, out, BLOCK);
    CHECK(rc_duplex_played(duplex) == rc_ring_head(playout));
    CHECK(stats_of(duplex).prefilled == BLOCK + 3 * BLOCK / 2);
    rc_duplex_free(duplex);
}

static void gain_and_mute_ramp(void)
{
    int16_t in[BLOCK], out[BLOCK], got[BLOCK];
    rc_duplex *duplex = new_duplex(1, 4096);
    for (size_t i = 0; i < BLOCK; i++)
        in[i] = 10000;
    rc_ring_write(rc_duplex_playout(duplex), in, BLOCK);
    rc_ring_write(rc_duplex_playout(duplex), in, BLOCK);
    rc_duplex_set_playout_gain(duplex, 0.5f);
    rc_duplex_set_muted(duplex, 1);
    run(duplex, in, out, BLOCK);
    rc_ring_read(rc_duplex_capture(duplex), got, BLOCK);
    CHECK(largest_step(out, BLOCK) < 100 && out[0] == 10000 && out[BLOCK - 1] == 5000);
    CHECK(largest_step(got, BLOCK) < 100 && got[0] == 10000 && got[BLOCK - 1] == 0);
    rc_duplex_set_muted(duplex, 0);
    rc_duplex_set_capture_gain(duplex, 1e9f);
    CHECK(rc_duplex_capture_gain(duplex) == 16);
    rc_duplex_set_capture_gain(duplex, NAN);
    CHECK(rc_duplex_capture_gain(duplex) == 0);
    rc_duplex_free(duplex);
}

static void what_has_no_room_is_counted(void)
{
    int16_t in[BLOCK] = {0}, out[BLOCK];
    rc_duplex *duplex = new_duplex(1, 512);
    rc_duplex_callback(in, out, BLOCK, NULL, 2, duplex);
    rc_duplex_callback(in, out, BLOCK, NULL, 4, duplex);
    rc_duplex_stats stats = stats_of(duplex);
    CHECK(stats.overruns == 2 * BLOCK - 512);
    CHECK(stats.tap_overruns == 2 * BLOCK - rc_ring_readable(rc_duplex_tap(duplex)) / 2);
    CHECK(stats.device_overflows == 1 && stats.device_underflows == 1);
    rc_duplex_free(duplex);
}

static void the_latest_block_has_its_place_in_time(void)
{
    int16_t out[BLOCK];
    rc_duplex *duplex = new_duplex(1, 512);
    rc_duplex_timing timing;
    rc_stream_time told = {9.75, 10, 10.25}, untold = {0, 10, 0};
    CHECK(!rc_duplex_get_timing(duplex, &timing));
    rc_duplex_callback(NULL, out, BLOCK, NULL, 0, duplex);
    CHECK(rc_duplex_get_timing(duplex, &timing));
    CHECK(timing.frames == 0 && timing.input_delay == 0 && timing.output_delay == 0);
    rc_duplex_callback(NULL, out, BLOCK, &told, 0, duplex);
    CHECK(rc_duplex_get_timing(duplex, &timing));
    CHECK(timing.frames == BLOCK && timing.input_delay == 0.25 && timing.output_delay == 0.25);
    rc_duplex_callback(NULL, out, BLOCK, &untold, 0, duplex);
    CHECK(rc_duplex_get_timing(duplex, &timing));
    CHECK(timing.frames == 2 * BLOCK && timing.input_delay == 0 && timing.output_delay == 0);
    uint64_t age = timing.age_ns;
    CHECK(rc_duplex_get_timing(duplex, &timing) && timing.age_ns >= age);
    rc_duplex_free(duplex);
}

static void callbacks_are_timed(void)
{
    int16_t out[BLOCK];
    rc_duplex *duplex = new_duplex(1, 512);
    for (int n = 0; n < 20; n++)
        run(duplex, NULL, out, BLOCK);
    rc_duplex_stats stats = stats_of(duplex);
    uint64_t timed = 0;
    for (int n = 0; n < RC_DUPLEX_TIMES; n++)
        timed += stats.callback_times[n];
    CHECK(timed == 20 && stats.max_callback_ns <= stats.callback_ns && stats.max_interval_ns > 0);
    rc_duplex_free(duplex);
}

static int asked;

static int grant(int real_time)
{
    asked += real_time ? 1 : 100;
    return 0;
}

static int refuse(int real_time)
{
    asked += real_time ? 1 : 100;
    return -1;
}

static uint64_t spent;

static uint64_t spend(void)
{
    return spent;
}

static void priority_is_asked_for_once_per_stream(void)
{
    int16_t out[BLOCK];
    rc_duplex_config config = {RATE, 1, 1, 512, 512, 0, 0, 0, grant, NULL};
    CHECK(rc_duplex_new(&config) == NULL); /* unwatched it is not asked for */
    config.thread_ns = spend;
    for (int turn = 0; turn < 2; turn++) {
        rc_duplex *duplex = rc_duplex_new(&config);
        asked = 0;
        run(duplex, NULL, out, BLOCK);
        CHECK(asked == 0 && stats_of(duplex).priority == RC_DUPLEX_PRIORITY_UNASKED);
        for (int stream = 1; stream < 3; stream++) {
            rc_duplex_restart(duplex);
            run(duplex, NULL, out, BLOCK);
            run(duplex, NULL, out, BLOCK);
            CHECK(asked == stream);
        }
        CHECK(stats_of(duplex).priority == (turn == 0 ? RC_DUPLEX_PRIORITY_GRANTED : RC_DUPLEX_PRIORITY_REFUSED));
        rc_duplex_free(duplex);
        config.prioritize = refuse;
    }
}

/* Runs a block now and one more than half a second later, while the thread spends `ms` of its time. */
static void run_spending(rc_duplex *duplex, uint64_t ms)
{
    int16_t out[BLOCK];
    struct timespec pause = {0, 510000000};
    run(duplex, NULL, out, BLOCK);
    nanosleep(&pause, NULL);
    spent += ms * 1000000;
    run(duplex, NULL, out, BLOCK);
}

static void a_thread_that_spins_gives_its_priority_back(void)
{
    rc_duplex_config config = {RATE, 1, 1, 512, 512, 0, 0, 0, grant, spend};
    rc_duplex *duplex = rc_duplex_new(&config);
    asked = 0;
    rc_duplex_restart(duplex);
    run_spending(duplex, 10);
    CHECK(stats_of(duplex).priority == RC_DUPLEX_PRIORITY_GRANTED && asked == 1);
    run_spending(duplex, 100000); /* however late the second block is, this is more than half */
    CHECK(stats_of(duplex).priority == RC_DUPLEX_PRIORITY_RETURNED && asked == 101);
    run_spending(duplex, 100000);
    CHECK(asked == 101); /* once */
    rc_duplex_restart(duplex);
    run_spending(duplex, 0);
    CHECK(stats_of(duplex).priority == RC_DUPLEX_PRIORITY_GRANTED && asked == 102); /* another stream asks anew */
    rc_duplex_free(duplex);
}

static void meters_rise_at_once_and_fall_slowly(void)
{
    int16_t in[BLOCK] = {0}, out[BLOCK];
    rc_duplex *duplex = new_duplex(1, 65536);
    in[7] = -30000;
    run(duplex, in, out, BLOCK);
    CHECK(stats_of(duplex).capture_peak == 30000 && stats_of(duplex).playout_peak == 0);
    in[7] = 0;
    for (int n = 1; n < 28; n++) {
        run(duplex, in, out, BLOCK);
        CHECK(abs(stats_of(duplex).capture_peak - (30000 - n * 32768 / 30)) < 30);
    }
    run(duplex, in, out, BLOCK);
    CHECK(stats_of(duplex).capture_peak == 0);
    rc_duplex_free(duplex);
}

static void events_are_bounded_and_counted(void)
{
    int16_t sample = 1, out[1];
    rc_duplex *duplex = new_duplex(1, 4096);
    rc_duplex_event event;
    for (uint64_t i = 0; i < RC_DUPLEX_EVENTS + 10; i++) {
        rc_ring_write(rc_duplex_playout(duplex), &sample, 1);
        rc_duplex_flush(duplex);
        run(duplex, NULL, out, 1);
    }
    for (uint64_t i = 0; i < RC_DUPLEX_EVENTS; i++)
        CHECK(rc_duplex_take_event(duplex, &event) && event.jumped_to == i + 1);
    CHECK(!rc_duplex_take_event(duplex, &event));
    CHECK(stats_of(duplex).lost_events == 10);
    rc_duplex_free(duplex);
}

/* Barge-in: the user's voice comes in, an answer goes out. A detector beside says what is decided. */

enum { SECOND = RATE, HOPS = 200, SPEECH_FROM = RATE, SPEECH_TO = RATE * 3 / 2 };
static int16_t said[2 * RATE]; /* a second of faint noise, half a second of voice, noise again */
static float probabilities[HOPS];
static size_t hop_end[HOPS]; /* frame before which a hop is complete */

static void make_user(void)
{
    uint64_t random = 5;
    rc_vad *vad = rc_vad_new(RATE, NULL);
    make_voice(said + SPEECH_FROM, SPEECH_TO - SPEECH_FROM, RATE);
    for (size_t n = 0, hop = 0; n < 2 * RATE; n++) {
        said[n] = (int16_t)(said[n] + (int)random_below(&random, 21) - 10);
        if (rc_vad_process(vad, &probabilities[hop], said + n, 1) > 0)
            hop_end[hop++] = n + 1;
    }
    rc_vad_free(vad);
}

static const rc_duplex_barge_in barge_in = {0.5f, 0.5f, 120, 0.25f};

/* The frames at which the user ducks and cuts the answer, by the definition. */
static void when(size_t *ducked, size_t *cut)
{
    size_t hop = 0;
    while (probabilities[hop] < barge_in.onset_probability)
        hop++;
    *ducked = hop_end[hop];
    for (int speech = 1; speech < 12;)
        speech += probabilities[++hop] >= barge_in.confirm_probability ? 1 : -1;
    *cut = hop_end[hop];
}

static rc_duplex *new_listener(void)
{
    rc_duplex_config config = {RATE, 1, 1, 4 * RATE, 4 * RATE, 4 * RATE, 1, 0, NULL, NULL};
    rc_duplex *duplex = rc_duplex_new(&config);
    CHECK(duplex != NULL);
    rc_duplex_set_barge_in(duplex, &barge_in);
    return duplex;
}

static rc_duplex_event event_of(rc_duplex *duplex, rc_duplex_kind kind)
{
    rc_duplex_event event;
    do
        CHECK(rc_duplex_take_event(duplex, &event));
    while (event.kind != kind);
    return event;
}

static void speech_ducks_then_cuts(size_t block)
{
    static int16_t answer[2 * RATE], out[2 * RATE + 2048], next[RATE / 10];
    size_t ducked, cut, at = 0;
    when(&ducked, &cut);
    CHECK(ducked > SPEECH_FROM && ducked < SPEECH_FROM + RATE / 10 && cut < SPEECH_FROM + RATE / 4);
    for (size_t n = 0; n < 2 * RATE; n++)
        answer[n] = 16000;
    rc_duplex *duplex = new_listener();
    rc_ring *playout = rc_duplex_playout(duplex);
    rc_duplex_set_expecting(duplex, 1);
    rc_ring_write(playout, answer, 2 * RATE);
    for (; at + block <= SPEECH_TO; at += block) {
        run(duplex, said + at, out + at, block);
        if (rc_duplex_generation(duplex) == 1) /* the writer goes on with what it has, knowing nothing */
            rc_ring_write(playout, answer, 100);
    }
    rc_duplex_event told_duck = event_of(duplex, RC_DUPLEX_DUCKED), told_cut = event_of(duplex, RC_DUPLEX_CUT);
    CHECK(told_duck.frame == ducked && told_cut.frame == cut + FADE && told_cut.position == cut + FADE);
    CHECK(told_duck.speech == told_cut.speech && told_duck.speech < ducked && ducked - told_duck.speech < RATE / 50);
    CHECK(told_cut.probability == probabilities[11 + (ducked / (RATE / 100)) - 1] || told_cut.probability >= 0.5f);
    for (size_t n = 0; n < ducked; n++)
        CHECK(out[n] == 16000);
    for (size_t n = ducked + FADE; n < cut; n++)
        CHECK(out[n] == 4000);
    for (size_t n = cut + FADE; n < at; n++)
        CHECK(out[n] == 0);
    CHECK(largest_step(out, at) < 16000 / FADE * 2);
    CHECK(stats_of(duplex).underruns == 0 && stats_of(duplex).discarded > 0);
    /* the writer learns of it: what it writes from now on is the next answer, and nothing of that is lost */
    for (size_t n = 0; n < RATE / 2; n += block) /* when the user has finished */
        run(duplex, said + n, out, block);
    rc_ring_write(playout, answer, 100);
    rc_duplex_accept(duplex, 1);
    for (size_t n = 0; n < RATE / 10; n++)
        next[n] = (int16_t)(n + 1);
    rc_ring_write(playout, next, RATE / 10);
    for (size_t start = at; at < start + RATE / 20; at += block)
        run(duplex, said, out + at - start, block);
    CHECK(event_of(duplex, RC_DUPLEX_STARTED).position == rc_ring_head(playout) - RATE / 10);
    for (size_t n = FADE; n < RATE / 20; n++) /* it begins behind a gap: faded in, not late */
        CHECK(out[n] == next[n]);
    CHECK(rc_duplex_generation(duplex) == 1);
    rc_duplex_free(duplex);
}

/* One thing said twice, in blocks of any size: captured, played and told alike. */
static void blocks_make_no_difference(void)
{
    enum { LENGTH = 2 * RATE };
    static int16_t answer[LENGTH], out[2][LENGTH], pairs[2][2 * LENGTH];
    static rc_duplex_event events[2][64];
    uint64_t random = 77;
    size_t told[2];
    fill_tone(answer, LENGTH);
    for (int turn = 0; turn < 2; turn++) {
        rc_duplex *duplex = new_listener();
        rc_ring *playout = rc_duplex_playout(duplex);
        rc_duplex_set_expecting(duplex, 1);
        rc_duplex_set_prefill(duplex, 2000);
        rc_duplex_set_playout_gain(duplex, 0.7f);
        rc_ring_write(playout, answer, 1000);
        for (size_t at = 0; at < LENGTH;) {
            size_t until = at < 5000 ? 5000 : at < 6000 ? 6000 : at < 90000 ? 90000 : LENGTH;
            size_t block = turn == 0 ? until - at : random_below(&random, 1500) + 1;
            block = block < until - at ? block : until - at;
            run(duplex, said + at, out[turn] + at, block);
            at += block;
            if (at == 5000)
                rc_ring_write(playout, answer + 1000, 300);
            if (at == 6000)
                rc_ring_write(playout, answer + 2300, LENGTH - 2300);
            if (at == 90000) {
                rc_duplex_accept(duplex, rc_duplex_generation(duplex));
                rc_duplex_set_playout_gain(duplex, 1.3f);
                rc_ring_write(playout, answer + 100, 3000);
            }
        }
        told[turn] = 0;
        while (rc_duplex_take_event(duplex, &events[turn][told[turn]]))
            told[turn]++;
        CHECK(rc_ring_read(rc_duplex_tap(duplex), pairs[turn], 2 * LENGTH) == 2 * LENGTH);
        rc_duplex_free(duplex);
    }
    CHECK(memcmp(out[0], out[1], sizeof(out[0])) == 0 && memcmp(pairs[0], pairs[1], sizeof(pairs[0])) == 0);
    CHECK(told[0] == told[1] && told[0] == 7);
    int kinds = 0;
    for (size_t n = 0; n < told[0]; n++) {
        const rc_duplex_event *a = &events[0][n], *b = &events[1][n];
        CHECK(a->kind == b->kind && a->frame == b->frame && a->position == b->position && a->speech == b->speech &&
              a->probability == b->probability);
        kinds |= 1 << a->kind;
    }
    CHECK(kinds & 1 << RC_DUPLEX_CUT && kinds & 1 << RC_DUPLEX_DUCKED && kinds & 1 << RC_DUPLEX_DRAINED);
}

/* A cough: the answer goes on, quieter for a while, not a sample missing. */
static void what_does_not_last_is_restored(void)
{
    static int16_t answer[2 * RATE], out[2 * RATE];
    static const rc_duplex_barge_in patient = {0.5f, 0.5f, 2000, 0.25f};
    for (size_t n = 0; n < 2 * RATE; n++)
        answer[n] = 16000;
    rc_duplex *duplex = new_listener();
    rc_duplex_set_barge_in(duplex, &patient);
    rc_ring_write(rc_duplex_playout(duplex), answer, 2 * RATE);
    for (size_t at = 0; at < SPEECH_TO; at += BLOCK)
        run(duplex, said + at, out + at, BLOCK);
    size_t ducked = event_of(duplex, RC_DUPLEX_DUCKED).frame;
    rc_duplex_event event;
    CHECK(!rc_duplex_take_event(duplex, &event) || event.kind != RC_DUPLEX_CUT);
    for (size_t at = SPEECH_TO; at < 2 * RATE; at += BLOCK) {
        static int16_t silence[BLOCK];
        run(duplex, silence, out + at, BLOCK);
        if (at > SPEECH_TO + RATE / 4 && at < SPEECH_TO + RATE / 4 + BLOCK + 1)
            rc_duplex_set_barge_in(duplex, NULL); /* and by hand */
    }
    event = event_of(duplex, RC_DUPLEX_RESTORED);
    CHECK(event.frame > ducked && event.frame <= SPEECH_TO + RATE / 4 + 2 * BLOCK);
    CHECK(out[ducked + FADE] == 4000);
    size_t back = (size_t)event.frame;
    for (size_t n = back + 1; n < back + 20 * FADE; n++)
        CHECK(out[n] >= out[n - 1] && out[n] - out[n - 1] < 10);
    for (size_t n = back + 20 * FADE; n < 2 * RATE; n++)
        CHECK(out[n] == 16000);
    CHECK(rc_duplex_played(duplex) == 2 * RATE && rc_duplex_generation(duplex) == 0);
    rc_duplex_free(duplex);
}

static void speech_while_nothing_is_played_means_nothing(void)
{
    int16_t out[BLOCK];
    rc_duplex *duplex = new_listener();
    for (size_t at = 0; at < 2 * RATE; at += BLOCK)
        run(duplex, said + at, out, BLOCK);
    CHECK(rc_duplex_generation(duplex) == 0);
    expect_nothing(duplex);
    rc_duplex_free(duplex);
    rc_duplex_config deaf = {RATE, 1, 1, 4096, 4 * RATE, 0, 0, 0, NULL, NULL}; /* without a detector nothing happens */
    duplex = rc_duplex_new(&deaf);
    rc_duplex_set_barge_in(duplex, &barge_in);
    rc_duplex_set_expecting(duplex, 1);
    for (size_t at = 0; at < 2 * RATE; at += BLOCK)
        run(duplex, said + at, out, BLOCK);
    CHECK(rc_duplex_generation(duplex) == 0);
    rc_duplex_free(duplex);
}

/* In a gap of the answer there is nothing to fade, and the rest that comes later is dropped all the same. */
static void speech_cuts_in_an_underrun(void)
{
    int16_t out[BLOCK], rest[BLOCK];
    rc_duplex *duplex = new_listener();
    fill_tone(rest, BLOCK);
    rc_duplex_set_expecting(duplex, 1);
    rc_ring_write(rc_duplex_playout(duplex), rest, BLOCK);
    for (size_t at = 0; at < SPEECH_TO; at += BLOCK)
        run(duplex, said + at, out, BLOCK);
    rc_duplex_event event = event_of(duplex, RC_DUPLEX_CUT);
    CHECK(event.position == BLOCK && event.jumped_to == BLOCK && rc_duplex_generation(duplex) == 1);
    rc_ring_write(rc_duplex_playout(duplex), rest, BLOCK);
    run(duplex, said, out, BLOCK);
    CHECK(largest_step(out, BLOCK) == 0 && out[0] == 0 && stats_of(duplex).discarded == BLOCK);
    rc_duplex_accept(duplex, 0); /* of before the cut: no acceptance */
    rc_ring_write(rc_duplex_playout(duplex), rest, BLOCK);
    run(duplex, said, out, BLOCK);
    CHECK(largest_step(out, BLOCK) == 0 && stats_of(duplex).discarded == 2 * BLOCK);
    rc_duplex_free(duplex);
}

/* The other side's word comes first: a flush ends the duck, and nothing is cut twice. */
static void a_flush_confirms(void)
{
    static int16_t answer[2 * RATE], out[RATE];
    size_t ducked, cut, at = 0;
    when(&ducked, &cut);
    fill_tone(answer, 2 * RATE);
    rc_duplex *duplex = new_listener();
    rc_ring_write(rc_duplex_playout(duplex), answer, 2 * RATE);
    for (; at < ducked + BLOCK; at += BLOCK)
        run(duplex, said + at, out, BLOCK);
    rc_duplex_flush(duplex);
    for (; at < SPEECH_TO; at += BLOCK)
        run(duplex, said + at, out, BLOCK);
    event_of(duplex, RC_DUPLEX_FLUSHED);
    expect_nothing(duplex);
    CHECK(rc_duplex_generation(duplex) == 0);
    rc_ring_write(rc_duplex_playout(duplex), answer, RATE);
    run(duplex, NULL, out, BLOCK);
    CHECK(memcmp(out + FADE, answer + FADE, (BLOCK - FADE) * sizeof(int16_t)) == 0); /* at its full level */
    rc_duplex_free(duplex);
}

/* The speaker stands beside the microphone. Without the check the answer cuts itself; with it nobody
 * does until the user speaks, over the echo. Returns when it was cut, 0: never. */
static uint64_t cut_in_a_room(int checks_echo, int user_speaks)
{
    enum { LENGTH = 9 * RATE, LATER = RATE * 30 / 1000, USER = 6 * RATE };
    static int16_t answer[LENGTH], user[RATE], in[LENGTH + RATE], out[LENGTH + RATE];
    rc_duplex_config config = {RATE, 1, 1, 16 * RATE, 16 * RATE, 0, 1, checks_echo, NULL, NULL};
    rc_duplex *duplex = rc_duplex_new(&config);
    rc_duplex_event event;
    uint64_t random = 3, cut = 0;
    make_voice(answer, LENGTH, RATE);
    make_voice(user, RATE, RATE * 4 / 5); /* a higher one */
    for (size_t n = 0; n < LENGTH; n++) /* it speaks in words */
        answer[n] = (int16_t)(n / (RATE / 5) % 3 == 2 ? 0 : answer[n]);
    rc_duplex_set_barge_in(duplex, &barge_in);
    rc_duplex_set_expecting(duplex, 1);
    rc_ring_write(rc_duplex_playout(duplex), answer, LENGTH);
    for (size_t at = 0; at < LENGTH; at += BLOCK) {
        for (size_t n = at; n < at + BLOCK; n++)
            in[n] = (int16_t)((n > LATER + BLOCK ? out[n - LATER - BLOCK] / 5 : 0) + (int)random_below(&random, 21) - 10 +
                              (user_speaks && n >= USER && n < USER + RATE ? user[n - USER] / 2 : 0));
        run(duplex, in + at, out + at, BLOCK);
    }
    while (rc_duplex_take_event(duplex, &event))
        if (event.kind == RC_DUPLEX_CUT && cut == 0)
            cut = event.frame;
    rc_duplex_free(duplex);
    return cut == 0 || !user_speaks ? cut : cut - USER;
}

static void the_echo_of_the_answer_does_not_cut_it(void)
{
    CHECK(cut_in_a_room(0, 0) > 0);
    CHECK(cut_in_a_room(1, 0) == 0);
    uint64_t after = cut_in_a_room(1, 1);
    CHECK(after > RATE / 10 && after < RATE / 2);
}

/* A device thread and a session thread at the same time, for the thread sanitizer. The user never
 * stops talking, so answer after answer is cut; the session learns of it late. Every answer has a
 * level of its own: after a cut its level is never heard again, and the next begins with its first
 * sample. */
enum { ANSWERS = 40, LONGEST = 1 << 22 };
static _Atomic int session_is_done;
static int16_t heard[LONGEST];
static _Atomic size_t heard_frames;

static void *be_a_device(void *duplex)
{
    uint64_t random = 9;
    size_t at = 0, voice = SPEECH_FROM;
    while (!atomic_load(&session_is_done) && at + BLOCK < LONGEST) {
        size_t frames = random_below(&random, BLOCK) + 1;
        if (voice + frames > SPEECH_TO)
            voice = SPEECH_FROM;
        run(duplex, said + voice, heard + at, frames);
        voice += frames;
        at += frames;
        if (random_below(&random, 3) == 0)
            sched_yield();
    }
    atomic_store(&heard_frames, at);
    return duplex;
}

static int16_t level_of(uint32_t answer)
{
    return (int16_t)(3000 + 600 * (int)answer);
}

static void no_cut_answer_is_heard_again(void)
{
    rc_duplex_config config = {RATE, 1, 1, 1024, 4096, 256, 1, 0, NULL, NULL};
    rc_duplex *duplex = rc_duplex_new(&config);
    static uint64_t cut_at[ANSWERS];
    static const rc_duplex_barge_in quick = {0.5f, 0.5f, 20, 1};
    uint64_t random = 13, begins_at = 0;
    uint32_t answer = 0;
    int has_begun = 0;
    pthread_t device;
    rc_duplex_set_barge_in(duplex, &quick);
    rc_duplex_set_expecting(duplex, 1);
    CHECK(pthread_create(&device, NULL, be_a_device, duplex) == 0);
    while (answer < ANSWERS) {
        int16_t samples[600];
        rc_duplex_event event;
        size_t length = random_below(&random, 600);
        for (size_t n = 0; n < length; n++)
            samples[n] = level_of(answer);
        rc_ring_write(rc_duplex_playout(duplex), samples, length);
        rc_ring_read(rc_duplex_capture(duplex), samples, 600);
        rc_ring_read(rc_duplex_tap(duplex), samples, 600);
        if (random_below(&random, 3) > 0)
            sched_yield();
        if (random_below(&random, 4) > 0)
            continue; /* has not noticed yet */
        uint32_t generation = rc_duplex_generation(duplex);
        while (rc_duplex_take_event(duplex, &event)) {
            if (event.kind == RC_DUPLEX_STARTED && !has_begun) {
                CHECK(event.position == begins_at);
                has_begun = 1;
            } else if (event.kind == RC_DUPLEX_CUT) {
                CHECK(cut_at[answer] == 0); /* none while one is not accepted */
                cut_at[answer] = event.frame;
            }
        }
        if (generation == answer)
            continue;
        CHECK(generation == answer + 1 && cut_at[answer] > 0); /* told once the generation is */
        rc_duplex_accept(duplex, ++answer);
        begins_at = rc_ring_head(rc_duplex_playout(duplex));
        has_begun = 0;
    }
    atomic_store(&session_is_done, 1);
    CHECK(pthread_join(device, NULL) == 0);
    size_t frames = atomic_load(&heard_frames), cuts = 0, steady = 0, alike = 0;
    CHECK(frames + BLOCK < LONGEST);
    for (size_t n = 1; n < frames; n++) {
        if (cuts < ANSWERS && n >= cut_at[cuts] + FADE) {
            cuts++;
            alike = 0;
        }
        size_t latest = cuts + (cuts < ANSWERS && n >= cut_at[cuts]);
        CHECK(heard[n] <= level_of((uint32_t)latest) + 1);
        alike = heard[n] > 0 && heard[n] == heard[n - 1] ? alike + 1 : 0;
        if (alike < 40) /* silence, a fade, or what concealment makes of one */
            continue;
        for (uint32_t old = 0; old < cuts; old++)
            CHECK(heard[n] != level_of(old));
        steady++;
    }
    CHECK(steady > 1000 && stats_of(duplex).lost_events == 0 && stats_of(duplex).discarded > 0);
    rc_duplex_free(duplex);
}

/* The same two with everything else that a session does. */
static void *be_any_device(void *duplex)
{
    int16_t in[2 * BLOCK] = {0}, out[2 * BLOCK];
    uint64_t random = 9;
    while (!atomic_load(&session_is_done)) {
        rc_stream_time time = {1, 2, 3};
        rc_duplex_callback(random_below(&random, 9) ? in : NULL, random_below(&random, 9) ? out : NULL,
                           random_below(&random, BLOCK) + 1, &time, 0, duplex);
        sched_yield();
    }
    return duplex;
}

static void a_session_and_a_device_share_it(void)
{
    rc_duplex *duplex = new_duplex(2, 1024);
    pthread_t device;
    uint64_t random = 13, frame = 0, position = 0;
    atomic_store(&session_is_done, 0);
    CHECK(pthread_create(&device, NULL, be_any_device, duplex) == 0);
    for (int turn = 0; turn < 3000; turn++) {
        int16_t samples[600] = {0};
        rc_duplex_event event;
        rc_duplex_timing timing;
        rc_ring_write(rc_duplex_playout(duplex), samples, random_below(&random, 600));
        rc_ring_read(rc_duplex_capture(duplex), samples, 600);
        rc_ring_read(rc_duplex_tap(duplex), samples, 600);
        if (random_below(&random, 5) == 0)
            rc_duplex_flush(duplex);
        rc_duplex_set_muted(duplex, turn % 2);
        rc_duplex_set_expecting(duplex, turn % 3 == 0);
        rc_duplex_set_prefill(duplex, random_below(&random, 300));
        rc_duplex_set_playout_gain(duplex, (float)(turn % 5));
        rc_duplex_set_barge_in(duplex, turn % 7 ? &barge_in : NULL);
        if (turn % 50 == 0)
            rc_duplex_restart(duplex);
        uint64_t frames = stats_of(duplex).frames;
        while (rc_duplex_take_event(duplex, &event)) {
            CHECK(event.frame >= frame && event.position >= position);
            frame = event.frame;
            position = event.kind == RC_DUPLEX_FLUSHED ? event.jumped_to : event.position;
        }
        CHECK(stats_of(duplex).frames >= frames);
        CHECK(!rc_duplex_get_timing(duplex, &timing) || (timing.input_delay == 1 && timing.output_delay == 1));
        CHECK(rc_duplex_played(duplex) <= rc_ring_head(rc_duplex_playout(duplex)));
        CHECK(stats_of(duplex).max_callback_ns <= stats_of(duplex).callback_ns);
        sched_yield();
    }
    atomic_store(&session_is_done, 1);
    CHECK(pthread_join(device, NULL) == 0);
    rc_duplex_free(duplex);
}

int main(void)
{
    make_user();
    configuration_is_checked();
    audio_passes_unchanged_and_is_paired();
    flush_fades_jumps_and_is_told(480);
    flush_fades_jumps_and_is_told(60);
    flush_fades_jumps_and_is_told(1);
    flush_fades_jumps_and_is_told(1000);
    flush_before_anything_sounded_is_silent();
    flush_of_almost_nothing_does_not_click();
    underruns_count_while_audio_is_expected_and_do_not_click();
    a_short_underrun_is_concealed();
    the_beginning_waits_for_its_prefill();
    gain_and_mute_ramp();
    what_has_no_room_is_counted();
    the_latest_block_has_its_place_in_time();
    callbacks_are_timed();
    priority_is_asked_for_once_per_stream();
    a_thread_that_spins_gives_its_priority_back();
    meters_rise_at_once_and_fall_slowly();
    events_are_bounded_and_counted();
    speech_ducks_then_cuts(480);
    speech_ducks_then_cuts(256);
    speech_ducks_then_cuts(1000);
    blocks_make_no_difference();
    what_does_not_last_is_restored();
    speech_while_nothing_is_played_means_nothing();
    speech_cuts_in_an_underrun();
    a_flush_confirms();
    the_echo_of_the_answer_does_not_cut_it();
    no_cut_answer_is_heard_again();
    a_session_and_a_device_share_it();
    return 0;
}
