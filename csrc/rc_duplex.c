#if !defined(_WIN32) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#endif

#include "rc_duplex.h"

#include "rc_memory.h"
#include "rc_pcm.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CHANNELS 32
#define MAX_GAIN 16.0f
/* A block is worked on in slices of this many frames, which fit on the stack. */
#define SLICE 256
/* Every fade and every gain step of 1 takes this part of a second. */
#define FADES_PER_SECOND 200

/* PortAudio's paInputOverflow and paOutputUnderflow. */
#define FLAG_INPUT_OVERFLOW 2ul
#define FLAG_OUTPUT_UNDERFLOW 4ul

/* Numbers written by one thread and looked at by others, each on its own: relaxed order. */
typedef _Atomic uint64_t counter;

struct rc_duplex {
    rc_duplex_config config;
    rc_ring *capture, *playout, *tap;
    size_t fade; /* frames */

    /* Set by others, read by the callback. Relaxed: each is a value for itself. */
    _Alignas(RC_CACHE_LINE) _Atomic float capture_target;
    _Atomic float playout_target;
    _Atomic int muted, expecting;

    /* The callback's own. */
    _Alignas(RC_CACHE_LINE) float capture_gain;
    float playout_gain;
    int sounding;    /* the last frame came from the playout ring */
    int interrupted; /* what comes next is faded in */
    int16_t last;    /* the last sample while sounding */
    size_t fade_in_left, fade_out_left, fade_out;
    int32_t slope_from; /* an end in mid-air is led to zero from here */
    size_t slope_left;

    /* Written by the callback, read by others. */
    _Alignas(RC_CACHE_LINE) counter blocks;
    counter frames, overruns, tap_overruns, underruns, device_underflows, device_overflows;
    counter callback_ns, max_callback_ns;
    _Atomic int32_t capture_peak, playout_peak;
    _Atomic double output_delay;

    /* Queue of cuts: the callback writes at cuts_made, the reader takes at cuts_taken. */
    _Atomic size_t cuts_made;
    rc_duplex_cut cuts[RC_DUPLEX_CUTS];
    _Alignas(RC_CACHE_LINE) _Atomic size_t cuts_taken;
};

static uint64_t now_ns(void)
{
    struct timespec now;
#ifdef _WIN32
    timespec_get(&now, TIME_UTC);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t look(const counter *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void count(counter *number, uint64_t more)
{
    /* load and store instead of an atomic add: the callback alone writes */
    if (more > 0)
        atomic_store_explicit(number, look(number) + more, memory_order_relaxed);
}

static float look_at_gain(const _Atomic float *gain)
{
    return atomic_load_explicit(gain, memory_order_relaxed);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Creation ----------------------------------------------------------------------------------- */

static int is_valid(const rc_duplex_config *c)
{
    return c->rate >= 8000 && c->rate <= 192000 && c->capture_channels >= 1 && c->capture_channels <= MAX_CHANNELS &&
           c->playout_channels >= 1 && c->playout_channels <= MAX_CHANNELS && c->tap_capacity <= (size_t)1 << 30;
}

rc_duplex *rc_duplex_new(const rc_duplex_config *config)
{
    if (!is_valid(config))
        return NULL;
    rc_duplex *d = rc_lines_new(sizeof(*d));
    if (d == NULL)
        return NULL;
    d->config = *config;
    d->fade = config->rate / FADES_PER_SECOND;
    d->capture_gain = d->playout_gain = 1;
    atomic_init(&d->capture_target, 1);
    atomic_init(&d->playout_target, 1);
    d->capture = rc_ring_new(config->capture_capacity);
    d->playout = rc_ring_new(config->playout_capacity);
    d->tap = config->tap_capacity > 0 ? rc_ring_new(config->tap_capacity * 2) : NULL;
    if (d->capture == NULL || d->playout == NULL || (config->tap_capacity > 0 && d->tap == NULL)) {
        rc_duplex_free(d);
        return NULL;
    }
    return d;
}

void rc_duplex_free(rc_duplex *d)
{
    if (d == NULL)
        return;
    rc_ring_free(d->capture);
    rc_ring_free(d->playout);
    rc_ring_free(d->tap);
    rc_lines_free(d);
}

/* Capture ------------------------------------------------------------------------------------ */

/* Moves `gain` towards `target`, a step of 1 in the time of a fade whatever the slice. */
static float next_gain(float gain, float target, size_t frames, size_t fade)
{
    float step = (float)frames / (float)fade;
    if (target > gain + step)
        return gain + step;
    return target < gain - step ? gain - step : target;
}

static void apply_gain(float *gain, float target, int16_t *samples, size_t frames, size_t fade)
{
    float end = next_gain(*gain, target, frames, fade);
    rc_pcm_gain(samples, frames, *gain, end);
    *gain = end;
}

static void capture_slice(rc_duplex *d, int16_t *mono, const int16_t *input, size_t frames)
{
    rc_pcm_mix_down(mono, input, frames, d->config.capture_channels);
    float target = rc_duplex_muted(d) ? 0 : look_at_gain(&d->capture_target);
    apply_gain(&d->capture_gain, target, mono, frames, d->fade);
    count(&d->overruns, frames - rc_ring_write(d->capture, mono, frames));
}

/* Playout ------------------------------------------------------------------------------------
 *
 * No click: what stops in mid-air, because of a flush or for want of samples, is led to zero, and
 * what comes after such an end is faded in.
 */

static void record_cut(rc_duplex *d, uint64_t stopped_at, uint64_t jumped_to)
{
    size_t made = atomic_load_explicit(&d->cuts_made, memory_order_relaxed);
    /* acquire: the reader is done with the place that is filled again */
    if (made - atomic_load_explicit(&d->cuts_taken, memory_order_acquire) == RC_DUPLEX_CUTS)
        return;
    d->cuts[made % RC_DUPLEX_CUTS] = (rc_duplex_cut){stopped_at, jumped_to};
    /* release: who sees the count sees the cut */
    atomic_store_explicit(&d->cuts_made, made + 1, memory_order_release);
}

/* Takes up to `frames` samples from the playout ring, faded in where they follow a gap; always
 * while the slope of the last end still runs, so that both together are not louder than either. */
static size_t take_queued(rc_duplex *d, int16_t *out, size_t frames)
{
    size_t ready = rc_ring_peek(d->playout, out, frames);
    rc_ring_read_release(d->playout, ready);
    if (ready > 0 && (d->interrupted || (!d->sounding && d->slope_left > 0))) {
        d->fade_in_left = d->fade;
        d->interrupted = 0;
    }
    size_t length = smaller(d->fade_in_left, ready);
    float level = 1 - (float)d->fade_in_left / (float)d->fade;
    rc_pcm_gain(out, length, level, level + (float)length / (float)d->fade);
    d->fade_in_left -= length;
    return ready;
}

/* Carries out a flush, if one is pending: plays the beginning of what it skips as a fade-out,
 * through several blocks when they are short, then jumps. Returns the frames played. */
static size_t play_flushed(rc_duplex *d, int16_t *out, size_t frames)
{
    uint64_t tail = rc_ring_tail(d->playout), target = rc_ring_flush_target(d->playout);
    if (target <= tail)
        return 0;
    if (d->fade_out_left == 0)
        d->fade_out_left = d->fade_out = d->sounding ? smaller(d->fade, (size_t)(target - tail)) : 0;
    size_t length = take_queued(d, out, smaller(d->fade_out_left, frames));
    if (length > 0) {
        float whole = (float)d->fade_out, left = (float)d->fade_out_left;
        rc_pcm_gain(out, length, left / whole, (left - (float)length) / whole);
        d->fade_out_left -= length;
    }
    if (d->fade_out_left == 0) {
        rc_ring_take_flush(d->playout);
        record_cut(d, tail + length, rc_ring_tail(d->playout));
        d->interrupted |= d->sounding;
    }
    return length;
}

/* Adds the slope that leads an end in mid-air to zero. */
static void add_slope(rc_duplex *d, int16_t *out, size_t frames)
{
    size_t length = smaller(d->slope_left, frames);
    for (size_t i = 0; i < length; i++) {
        int16_t step = (int16_t)(d->slope_from * (int32_t)(d->slope_left - i) / (int32_t)(d->fade + 1));
        rc_pcm_add(out + i, &step, 1);
    }
    d->slope_left -= length;
}

static void play_slice(rc_duplex *d, int16_t *out, size_t frames)
{
    size_t played = play_flushed(d, out, frames);
    if (d->fade_out_left == 0)
        played += take_queued(d, out + played, frames - played);
    add_slope(d, out, played);
    if (played > 0) {
        d->last = out[played - 1];
        d->sounding = 1;
    }
    if (played == frames)
        return;
    size_t silent = frames - played;
    int expected = rc_duplex_expecting(d);
    if (expected)
        count(&d->underruns, silent);
    if (d->sounding) {
        d->sounding = 0;
        d->slope_from = d->last;
        d->slope_left = d->fade;
        d->fade_in_left = 0;
        d->interrupted |= expected;
    }
    memset(out + played, 0, silent * sizeof(int16_t));
    add_slope(d, out + played, silent);
}

/* The callback ------------------------------------------------------------------------------- */

static void run_slice(rc_duplex *d, const int16_t *input, int16_t *output, size_t frames, int32_t peaks[2])
{
    int16_t captured[SLICE] = {0}, played[SLICE] = {0};
    if (input != NULL)
        capture_slice(d, captured, input, frames);
    if (output != NULL) {
        play_slice(d, played, frames);
        apply_gain(&d->playout_gain, look_at_gain(&d->playout_target), played, frames, d->fade);
        rc_pcm_duplicate(output, played, frames, d->config.playout_channels);
    }
    if (d->tap != NULL) {
        int16_t pairs[2 * SLICE];
        rc_pcm_interleave(pairs, captured, played, frames);
        if (!rc_ring_write_entire(d->tap, pairs, 2 * frames))
            count(&d->tap_overruns, frames);
    }
    int32_t levels[2] = {rc_pcm_peak(captured, frames), rc_pcm_peak(played, frames)};
    for (int side = 0; side < 2; side++)
        peaks[side] = levels[side] > peaks[side] ? levels[side] : peaks[side];
}

int rc_duplex_callback(const void *input, void *output, unsigned long frames, const rc_stream_time *time,
                       rc_stream_flags flags, void *duplex)
{
    rc_duplex *d = duplex;
    const int16_t *in = input;
    int16_t *out = output;
    uint64_t started = now_ns();
    int32_t peaks[2] = {0, 0};
    if (time != NULL && output != NULL && time->output_dac_time > time->current_time)
        atomic_store_explicit(&d->output_delay, time->output_dac_time - time->current_time, memory_order_relaxed);
    for (size_t left = frames; left > 0;) {
        size_t slice = smaller(left, SLICE);
        run_slice(d, in, out, slice, peaks);
        in = in != NULL ? in + slice * d->config.capture_channels : NULL;
        out = out != NULL ? out + slice * d->config.playout_channels : NULL;
        left -= slice;
    }
    atomic_store_explicit(&d->capture_peak, peaks[0], memory_order_relaxed);
    atomic_store_explicit(&d->playout_peak, peaks[1], memory_order_relaxed);
    count(&d->blocks, 1);
    count(&d->frames, frames);
    count(&d->device_overflows, (flags & FLAG_INPUT_OVERFLOW) != 0);
    count(&d->device_underflows, (flags & FLAG_OUTPUT_UNDERFLOW) != 0);
    uint64_t took = now_ns() - started, longest = look(&d->max_callback_ns);
    count(&d->callback_ns, took);
    count(&d->max_callback_ns, took > longest ? took - longest : 0);
    return 0;
}

/* Other threads ------------------------------------------------------------------------------ */

rc_ring *rc_duplex_capture(rc_duplex *d)
{
    return d->capture;
}

rc_ring *rc_duplex_playout(rc_duplex *d)
{
    return d->playout;
}

rc_ring *rc_duplex_tap(rc_duplex *d)
{
    return d->tap;
}

uint64_t rc_duplex_flush(rc_duplex *d)
{
    uint64_t head = rc_ring_head(d->playout);
    rc_ring_flush_to(d->playout, head);
    return head;
}

int rc_duplex_take_cut(rc_duplex *d, rc_duplex_cut *cut)
{
    size_t taken = atomic_load_explicit(&d->cuts_taken, memory_order_relaxed);
    /* acquire: pairs with record_cut() */
    if (taken == atomic_load_explicit(&d->cuts_made, memory_order_acquire))
        return 0;
    *cut = d->cuts[taken % RC_DUPLEX_CUTS];
    /* release: the place may be filled again once the cut has been copied */
    atomic_store_explicit(&d->cuts_taken, taken + 1, memory_order_release);
    return 1;
}

uint64_t rc_duplex_played(const rc_duplex *d)
{
    return rc_ring_tail(d->playout);
}

void rc_duplex_set_expecting(rc_duplex *d, int expecting)
{
    atomic_store_explicit(&d->expecting, expecting != 0, memory_order_relaxed);
}

int rc_duplex_expecting(const rc_duplex *d)
{
    return atomic_load_explicit(&d->expecting, memory_order_relaxed);
}

static float limited_gain(float gain)
{
    return gain > MAX_GAIN ? MAX_GAIN : gain > 0 ? gain : 0; /* not-a-number: 0 */
}

void rc_duplex_set_capture_gain(rc_duplex *d, float gain)
{
    atomic_store_explicit(&d->capture_target, limited_gain(gain), memory_order_relaxed);
}

void rc_duplex_set_playout_gain(rc_duplex *d, float gain)
{
    atomic_store_explicit(&d->playout_target, limited_gain(gain), memory_order_relaxed);
}

float rc_duplex_capture_gain(const rc_duplex *d)
{
    return look_at_gain(&d->capture_target);
}

float rc_duplex_playout_gain(const rc_duplex *d)
{
    return look_at_gain(&d->playout_target);
}

void rc_duplex_set_muted(rc_duplex *d, int muted)
{
    atomic_store_explicit(&d->muted, muted != 0, memory_order_relaxed);
}

int rc_duplex_muted(const rc_duplex *d)
{
    return atomic_load_explicit(&d->muted, memory_order_relaxed);
}

void rc_duplex_get_stats(const rc_duplex *d, rc_duplex_stats *stats)
{
    *stats = (rc_duplex_stats){
        .blocks = look(&d->blocks),
        .frames = look(&d->frames),
        .overruns = look(&d->overruns),
        .tap_overruns = look(&d->tap_overruns),
        .underruns = look(&d->underruns),
        .device_underflows = look(&d->device_underflows),
        .device_overflows = look(&d->device_overflows),
        .callback_ns = look(&d->callback_ns),
        .max_callback_ns = look(&d->max_callback_ns),
        .capture_peak = atomic_load_explicit(&d->capture_peak, memory_order_relaxed),
        .playout_peak = atomic_load_explicit(&d->playout_peak, memory_order_relaxed),
        .output_delay = atomic_load_explicit(&d->output_delay, memory_order_relaxed),
    };
}
