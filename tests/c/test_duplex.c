#include "check.h"
#include "rc_duplex.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { RATE = 48000, BLOCK = 480 };

static rc_duplex *new_duplex(unsigned channels, size_t capacity)
{
    rc_duplex_config config = {RATE, channels, channels, capacity, capacity, capacity};
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
    rc_duplex_config good = {RATE, 1, 2, 100, 100, 0}, bad;
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

/* Whatever the blocks: a flush is obeyed within 5 ms, recorded, and heard neither as a click nor
 * as anything but the beginning of what it skipped. */
static void flush_fades_jumps_and_is_recorded(size_t block)
{
    enum { QUEUED = 20000, FADE = RATE / 200 };
    static int16_t tone[QUEUED], out[QUEUED + 4096];
    rc_duplex *duplex = new_duplex(1, 65536);
    rc_duplex_cut cut;
    size_t at = 0, before;
    fill_tone(tone, QUEUED);
    rc_ring_write(rc_duplex_playout(duplex), tone, QUEUED);
    for (; at < 3000; at += block)
        run(duplex, NULL, out + at, block);
    before = at;
    CHECK(rc_duplex_flush(duplex) == QUEUED);
    CHECK(!rc_duplex_take_cut(duplex, &cut));
    for (; at < before + 2 * FADE + block; at += block)
        run(duplex, NULL, out + at, block);
    CHECK(rc_duplex_take_cut(duplex, &cut));
    CHECK(cut.stopped_at == before + FADE && cut.jumped_to == QUEUED);
    CHECK(!rc_duplex_take_cut(duplex, &cut));
    CHECK(rc_duplex_played(duplex) == QUEUED);
    for (size_t i = before + 2 * FADE; i < at; i++)
        CHECK(out[i] == 0);
    rc_ring_write(rc_duplex_playout(duplex), tone, 2000); /* the next item starts at full amplitude */
    for (size_t end = at + 1000; at < end; at += block)
        run(duplex, NULL, out + at, block);
    CHECK(largest_step(out, at) < 2 * largest_step(tone, QUEUED));
    CHECK(stats_of(duplex).underruns == 0);
    rc_duplex_free(duplex);
}

static void flush_before_anything_sounded_is_silent(void)
{
    int16_t tone[4 * BLOCK], out[BLOCK];
    rc_duplex *duplex = new_duplex(1, 4096);
    rc_duplex_cut cut;
    fill_tone(tone, 4 * BLOCK);
    rc_ring_write(rc_duplex_playout(duplex), tone, 4 * BLOCK);
    rc_duplex_flush(duplex);
    run(duplex, NULL, out, BLOCK);
    CHECK(largest_step(out, BLOCK) == 0 && out[0] == 0);
    CHECK(rc_duplex_take_cut(duplex, &cut) && cut.stopped_at == 0 && cut.jumped_to == 4 * BLOCK);
    rc_ring_write(rc_duplex_playout(duplex), tone, BLOCK);
    run(duplex, NULL, out, BLOCK);
    CHECK(memcmp(out, tone, sizeof(out)) == 0);
    rc_duplex_free(duplex);
}

static void underruns_count_while_audio_is_expected_and_do_not_click(void)
{
    int16_t tone[3000], out[20 * BLOCK] = {0};
    rc_duplex *duplex = new_duplex(1, 65536);
    fill_tone(tone, 3000);
    run(duplex, NULL, out, BLOCK);
    CHECK(stats_of(duplex).underruns == 0); /* idle */
    rc_duplex_set_expecting(duplex, 1);
    rc_ring_write(rc_duplex_playout(duplex), tone, 1000);
    size_t at = 0;
    for (; at < 3 * BLOCK; at += BLOCK)
        run(duplex, NULL, out + at, BLOCK);
    CHECK(stats_of(duplex).underruns == 3 * BLOCK - 1000);
    rc_ring_write(rc_duplex_playout(duplex), tone + 1000, 1234);
    for (; at < 6 * BLOCK; at += BLOCK)
        run(duplex, NULL, out + at, BLOCK);
    rc_duplex_set_expecting(duplex, 0);
    uint64_t counted = stats_of(duplex).underruns;
    for (; at < 8 * BLOCK; at += BLOCK)
        run(duplex, NULL, out + at, BLOCK);
    CHECK(stats_of(duplex).underruns == counted);
    CHECK(largest_step(out + 1, at - 1) < 2 * largest_step(tone, 3000));
    CHECK(out[at - 1] == 0);
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

static void the_devices_delay_is_kept(void)
{
    int16_t out[BLOCK];
    rc_duplex *duplex = new_duplex(1, 512);
    rc_stream_time told = {0, 10, 10.25}, untold = {0, 0, 0};
    rc_duplex_callback(NULL, out, BLOCK, &untold, 0, duplex);
    CHECK(stats_of(duplex).output_delay == 0);
    rc_duplex_callback(NULL, out, BLOCK, &told, 0, duplex);
    rc_duplex_callback(NULL, out, BLOCK, &untold, 0, duplex);
    rc_duplex_callback(NULL, NULL, BLOCK, &told, 0, duplex);
    CHECK(stats_of(duplex).output_delay == 0.25);
    rc_duplex_free(duplex);
}

static void cuts_are_bounded(void)
{
    int16_t sample = 1, out[1];
    rc_duplex *duplex = new_duplex(1, 4096);
    rc_duplex_cut cut;
    for (uint64_t i = 0; i < RC_DUPLEX_CUTS + 10; i++) {
        rc_ring_write(rc_duplex_playout(duplex), &sample, 1);
        rc_duplex_flush(duplex);
        run(duplex, NULL, out, 1);
    }
    for (uint64_t i = 0; i < RC_DUPLEX_CUTS; i++)
        CHECK(rc_duplex_take_cut(duplex, &cut) && cut.jumped_to == i + 1);
    CHECK(!rc_duplex_take_cut(duplex, &cut));
    rc_duplex_free(duplex);
}

/* A device thread and a session thread at the same time, for the thread sanitizer. */
static _Atomic int session_is_done;

static void *be_a_device(void *duplex)
{
    int16_t in[2 * BLOCK] = {0}, out[2 * BLOCK];
    uint64_t random = 9;
    while (!atomic_load(&session_is_done)) {
        run(duplex, random_below(&random, 9) ? in : NULL, random_below(&random, 9) ? out : NULL,
            random_below(&random, BLOCK) + 1);
        sched_yield();
    }
    return duplex;
}

static void a_session_and_a_device_share_it(void)
{
    rc_duplex *duplex = new_duplex(2, 1024);
    pthread_t device;
    uint64_t random = 13, jumped_to = 0;
    CHECK(pthread_create(&device, NULL, be_a_device, duplex) == 0);
    for (int turn = 0; turn < 3000; turn++) {
        int16_t samples[600] = {0};
        rc_duplex_cut cut;
        rc_ring_write(rc_duplex_playout(duplex), samples, random_below(&random, 600));
        rc_ring_read(rc_duplex_capture(duplex), samples, 600);
        rc_ring_read(rc_duplex_tap(duplex), samples, 600);
        if (random_below(&random, 5) == 0)
            rc_duplex_flush(duplex);
        rc_duplex_set_muted(duplex, turn % 2);
        rc_duplex_set_expecting(duplex, turn % 3 == 0);
        rc_duplex_set_playout_gain(duplex, (float)(turn % 5));
        while (rc_duplex_take_cut(duplex, &cut)) {
            CHECK(cut.stopped_at <= cut.jumped_to && cut.jumped_to > jumped_to);
            jumped_to = cut.jumped_to;
        }
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
    configuration_is_checked();
    audio_passes_unchanged_and_is_paired();
    flush_fades_jumps_and_is_recorded(480);
    flush_fades_jumps_and_is_recorded(60);
    flush_fades_jumps_and_is_recorded(1);
    flush_fades_jumps_and_is_recorded(1000);
    flush_before_anything_sounded_is_silent();
    underruns_count_while_audio_is_expected_and_do_not_click();
    gain_and_mute_ramp();
    what_has_no_room_is_counted();
    the_devices_delay_is_kept();
    cuts_are_bounded();
    a_session_and_a_device_share_it();
    return 0;
}
