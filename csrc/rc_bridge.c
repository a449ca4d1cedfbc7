#include "rc_bridge.h"

#include "rc_memory.h"
#include "rc_pcm.h"
#include "rc_resample.h"
#include "rc_ring.h"

#include <stdatomic.h>
#include <string.h>

#define MAX_CHANNELS 32
#define MAX_BLOCK (1 << 16)
/* A device's block is worked on in slices of at most this many frames. */
#define SLICE 2048
/* Samples waiting from the start where one stream brings both sides: what two resamplers round apart. */
#define SLACK 4

/* The control loop of two clocks: a second-order loop (Gardner, Phaselock Techniques, ch. 2) with the
 * natural frequency W rad/s and damping 1, on a fill smoothed over SMOOTHING s, so that the jitter of
 * callbacks does not become one of pitch. A step of 500 ppm is off by 4 ms at most and gone in a minute. */
#define W 0.05
#define SMOOTHING 1.0
#define MAX_CORRECTION 2e-3
/* Seconds: how late a callback may be at first, how much more is allowed after each one that was later, up
 * to a limit, and what the fill may exceed its target by before the surplus is dropped. */
#define MARGIN 0.005
#define MORE_MARGIN 0.005
#define MAX_MARGIN 0.06
#define MAX_EXCESS 0.1

/* Numbers written by one thread and looked at by others, each on its own: relaxed order. */
typedef _Atomic uint64_t counter;

struct rc_bridge {
    rc_bridge_config config;
    rc_duplex *duplex;
    rc_resample *into, *out_of; /* NULL where the device has the duplex's rate */
    rc_ring *ring;              /* captured, at the duplex's rate */
    int16_t *mono, *resampled;  /* the capturing thread's */
    int16_t *captured, *played; /* the duplex's blocks */
    int16_t *made;              /* what was played, at the device's rate; the first `rest` are left from before */
    size_t block_limit;         /* samples that `captured` and `played` have room for */

    /* The capturing thread's word to the other: the moment when sample 0 would have come. */
    _Alignas(RC_CACHE_LINE) _Atomic double epoch;
    counter capture_blocks, dropped_at_writing;

    /* The speaker's thread, and what it tells. */
    _Alignas(RC_CACHE_LINE) size_t rest;
    int flowing;
    double smoothed, integral, margin;
    counter starved, dropped;
    _Atomic double fill, correction;
    _Atomic double target;
};

static void count(counter *number, uint64_t more)
{
    /* load and store instead of an atomic add: one thread alone writes */
    atomic_store_explicit(number, atomic_load_explicit(number, memory_order_relaxed) + more, memory_order_relaxed);
}

static uint64_t look(const counter *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static double look_at(const _Atomic double *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void tell(_Atomic double *number, double value)
{
    atomic_store_explicit(number, value, memory_order_relaxed);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int apart(const rc_bridge *b)
{
    return b->config.capture_block > 0;
}

/* Creation ----------------------------------------------------------------------------------- */

static int is_rate(uint32_t rate)
{
    return rate >= RC_RESAMPLE_MIN_RATE && rate <= RC_RESAMPLE_MAX_RATE;
}

static int is_valid(const rc_bridge_config *c)
{
    return is_rate(c->rate) && is_rate(c->capture_rate) && is_rate(c->playout_rate) && c->capture_channels >= 1 &&
           c->capture_channels <= MAX_CHANNELS && c->playout_channels >= 1 && c->playout_channels <= MAX_CHANNELS &&
           c->capture_channel <= c->capture_channels && c->playout_channel <= c->playout_channels &&
           c->capture_block <= MAX_BLOCK && c->playout_block <= MAX_BLOCK &&
           (c->capture_block > 0) == (c->playout_block > 0);
}

/* Samples at rate `to` that `count` samples at rate `from` may become. */
static size_t most(size_t count, uint32_t from, uint32_t to)
{
    return count * to / from + 16;
}

static int16_t *samples_new(size_t count)
{
    return rc_lines_new(count * sizeof(int16_t));
}

/* Resamplers where they are needed; that of a second clock is always. */
static int new_resamplers(rc_bridge *b)
{
    const rc_bridge_config *c = &b->config;
    int into = apart(b) || c->capture_rate != c->rate, out_of = c->playout_rate != c->rate;
    if (into)
        b->into = rc_resample_new(c->capture_rate, c->rate, RC_RESAMPLE_FAST);
    if (out_of)
        b->out_of = rc_resample_new(c->rate, c->playout_rate, RC_RESAMPLE_FAST);
    return (b->into != NULL) == into && (b->out_of != NULL) == out_of;
}

static int new_buffers(rc_bridge *b)
{
    const rc_bridge_config *c = &b->config;
    /* 1 %: the capture clock may be taken for slower than it is said to be */
    size_t in = most(SLICE, c->capture_rate, c->rate);
    b->block_limit = most(SLICE, c->playout_rate, c->rate) + in;
    b->mono = samples_new(SLICE);
    b->resampled = samples_new(in + in / 100);
    b->captured = samples_new(b->block_limit);
    b->played = samples_new(b->block_limit);
    b->made = samples_new(SLICE + most(b->block_limit, c->rate, c->playout_rate));
    b->ring = rc_ring_new(c->rate + 2 * in);
    return b->mono && b->resampled && b->captured && b->played && b->made && b->ring;
}

rc_bridge *rc_bridge_new(rc_duplex *duplex, const rc_bridge_config *config)
{
    if (!is_valid(config))
        return NULL;
    rc_bridge *b = rc_lines_new(sizeof(*b));
    if (b == NULL)
        return NULL;
    b->config = *config;
    b->duplex = duplex;
    b->margin = MARGIN;
    if (!new_resamplers(b) || !new_buffers(b)) {
        rc_bridge_free(b);
        return NULL;
    }
    if (!apart(b))
        rc_ring_write(b->ring, (int16_t[SLACK]){0}, SLACK);
    return b;
}

void rc_bridge_free(rc_bridge *b)
{
    if (b == NULL)
        return;
    rc_resample_free(b->into);
    rc_resample_free(b->out_of);
    rc_ring_free(b->ring);
    rc_lines_free(b->mono);
    rc_lines_free(b->resampled);
    rc_lines_free(b->captured);
    rc_lines_free(b->played);
    rc_lines_free(b->made);
    rc_lines_free(b);
}

/* Microphone to ring -------------------------------------------------------------------------- */

static void choose(int16_t *mono, const int16_t *interleaved, size_t frames, unsigned channels, unsigned channel)
{
    for (size_t i = 0; i < frames; i++)
        mono[i] = interleaved[i * channels + channel - 1];
}

static void take_in(rc_bridge *b, const int16_t *input, size_t frames)
{
    const rc_bridge_config *c = &b->config;
    const int16_t *samples = b->mono;
    size_t made = frames;
    if (c->capture_channel > 0)
        choose(b->mono, input, frames, c->capture_channels, c->capture_channel);
    else
        rc_pcm_mix_down(b->mono, input, frames, c->capture_channels);
    if (b->into != NULL) {
        made = rc_resample_process(b->into, b->resampled, b->mono, frames);
        samples = b->resampled;
    }
    count(&b->dropped_at_writing, made - rc_ring_write(b->ring, samples, made));
}

int rc_bridge_capture_callback(const void *input, void *output, unsigned long frames, const rc_stream_time *time,
                               rc_stream_flags flags, void *user)
{
    rc_bridge *b = user;
    const int16_t *in = input;
    (void)output;
    (void)flags; /* the device's overflows are gaps in what it gives: starved or dropped samples tell of them */
    rc_resample_adjust(b->into, look_at(&b->correction) * 1e6);
    for (size_t left = in != NULL ? frames : 0; left > 0;) {
        size_t slice = smaller(left, SLICE);
        take_in(b, in, slice);
        in += slice * b->config.capture_channels;
        left -= slice;
    }
    if (time != NULL && time->current_time > 0)
        tell(&b->epoch, time->current_time - (double)rc_ring_head(b->ring) / b->config.rate);
    count(&b->capture_blocks, 1);
    return 0;
}

/* Two clocks ---------------------------------------------------------------------------------- */

/* Seconds of audio between the microphone and the duplex. Blocks come in steps, so the age of the newest is added:
 * the sum changes only as the clocks run apart. Without a time it is the ring's fill. */
static double fill_of(rc_bridge *b, const rc_stream_time *time)
{
    double epoch = look_at(&b->epoch);
    if (time == NULL || time->current_time <= 0 || epoch == 0)
        return (double)rc_ring_readable(b->ring) / b->config.rate;
    return time->current_time - epoch - (double)rc_ring_tail(b->ring) / b->config.rate;
}

static void drop(rc_bridge *b, double seconds)
{
    size_t surplus = smaller((size_t)(seconds * b->config.rate), rc_ring_readable(b->ring));
    rc_ring_read_release(b->ring, surplus);
    count(&b->dropped, surplus);
}

/* Whether the ring flows: it begins to at its target, again after it had run empty. */
static int flows(rc_bridge *b, const rc_stream_time *time, size_t block)
{
    const rc_bridge_config *c = &b->config;
    if (b->flowing && time == NULL && look_at(&b->epoch) != 0)
        return 1; /* a later slice of a block */
    double seconds = (double)block / c->rate, fill = fill_of(b, time);
    double target = (double)c->capture_block / c->capture_rate + (double)c->playout_block / c->playout_rate + b->margin;
    tell(&b->fill, fill);
    tell(&b->target, target);
    if (!b->flowing || fill > target + MAX_EXCESS) {
        if (fill < target)
            return 0;
        drop(b, fill - target);
        b->flowing = 1;
        b->smoothed = 0;
        return 1;
    }
    b->smoothed += (fill - target - b->smoothed) * seconds / SMOOTHING;
    double integral = b->integral + W * W * b->smoothed * seconds;
    double correction = integral + 2 * W * b->smoothed;
    if (correction < MAX_CORRECTION && correction > -MAX_CORRECTION)
        b->integral = integral; /* at its limit it does not wind up */
    else
        correction = correction > 0 ? MAX_CORRECTION : -MAX_CORRECTION;
    tell(&b->correction, correction);
    return 1;
}

/* Captured samples for the duplex's next block, with silence for those that are missing. */
static void give_in(rc_bridge *b, const rc_stream_time *time, size_t block)
{
    size_t ready = 0;
    if (!apart(b) || flows(b, time, block))
        ready = rc_ring_peek(b->ring, b->captured, block);
    rc_ring_read_release(b->ring, ready);
    if (ready == block)
        return;
    memset(b->captured + ready, 0, (block - ready) * sizeof(int16_t));
    count(&b->starved, block - ready);
    if (b->flowing && b->margin < MAX_MARGIN)
        b->margin += MORE_MARGIN;
    b->flowing = 0;
}

/* Duplex to speaker --------------------------------------------------------------------------- */

/* Samples the duplex must play so that the device gets `frames`. */
static size_t needed(const rc_bridge *b, size_t frames)
{
    if (b->out_of == NULL)
        return frames;
    if (frames <= b->rest)
        return 0;
    size_t missing = frames - b->rest, block = missing * b->config.rate / b->config.playout_rate;
    while (block > 0 && rc_resample_count(b->out_of, block - 1) >= missing)
        block--;
    while (rc_resample_count(b->out_of, block) < missing)
        block++;
    return block;
}

static void give_out(rc_bridge *b, int16_t *output, size_t frames, size_t block)
{
    const rc_bridge_config *c = &b->config;
    const int16_t *mono = b->played;
    if (b->out_of != NULL) {
        b->rest += rc_resample_process(b->out_of, b->made + b->rest, b->played, block);
        mono = b->made;
    }
    if (c->playout_channel == 0) {
        rc_pcm_duplicate(output, mono, frames, c->playout_channels);
    } else {
        memset(output, 0, frames * c->playout_channels * sizeof(int16_t));
        for (size_t i = 0; i < frames; i++)
            output[i * c->playout_channels + c->playout_channel - 1] = mono[i];
    }
    if (b->out_of != NULL) {
        b->rest -= frames;
        memmove(b->made, b->made + frames, b->rest * sizeof(int16_t));
    }
}

/* The callback -------------------------------------------------------------------------------- */

static void run_slice(rc_bridge *b, const int16_t *input, int16_t *output, size_t frames, const rc_stream_time *time,
                      rc_stream_flags flags)
{
    int captures = input != NULL || apart(b);
    if (input != NULL && !apart(b))
        take_in(b, input, frames);
    size_t block = output != NULL ? needed(b, frames) : smaller(rc_ring_readable(b->ring), b->block_limit);
    if (captures)
        give_in(b, time, block);
    if (block > 0)
        rc_duplex_callback(captures ? b->captured : NULL, output != NULL ? b->played : NULL, block, time, flags,
                           b->duplex);
    if (output != NULL)
        give_out(b, output, frames, block);
}

int rc_bridge_callback(const void *input, void *output, unsigned long frames, const rc_stream_time *time,
                       rc_stream_flags flags, void *user)
{
    rc_bridge *b = user;
    const int16_t *in = input;
    int16_t *out = output;
    for (size_t left = frames; left > 0;) {
        size_t slice = smaller(left, SLICE);
        run_slice(b, in, out, slice, time, flags);
        in = in != NULL ? in + slice * b->config.capture_channels : NULL;
        out = out != NULL ? out + slice * b->config.playout_channels : NULL;
        left -= slice;
        time = NULL; /* of the first sample alone */
        flags = 0;
    }
    return 0;
}

/* Other threads ------------------------------------------------------------------------------- */

void rc_bridge_get_stats(const rc_bridge *b, rc_bridge_stats *stats)
{
    *stats = (rc_bridge_stats){
        .capture_blocks = look(&b->capture_blocks),
        .starved = look(&b->starved),
        .dropped = look(&b->dropped) + look(&b->dropped_at_writing),
        .fill = look_at(&b->fill),
        .target = look_at(&b->target),
        .ppm = look_at(&b->correction) * 1e6,
    };
}
