#if !defined(_WIN32) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#endif

#include "rc_duplex.h"

#include "rc_conceal.h"
#include "rc_echo.h"
#include "rc_memory.h"
#include "rc_pcm.h"
#include "rc_vad.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CHANNELS 32
#define MAX_GAIN 16.0f
/* A block is worked on in slices of at most this many frames, which fit on the stack. */
#define SLICE 256
/* Every fade and every gain step of 1 takes this part of a second, */
#define FADES_PER_SECOND 200
/* the way back from a duck this many fades, */
#define FADES_TO_RESTORE 20
/* and the concealment of an underrun this many. */
#define FADES_TO_CONCEAL 6
#define METER_FALL_MS 300
#define HOP_MS 10

/* How often the thread's processor time is looked at while it has real-time priority. */
#define WATCH_NS 500000000u

/* PortAudio's paInputOverflow and paOutputUnderflow. */
#define FLAG_INPUT_OVERFLOW 2ul
#define FLAG_OUTPUT_UNDERFLOW 4ul

/* Numbers written by one thread and looked at by others, each on its own: relaxed order. */
typedef _Atomic uint64_t counter;

/* A gain on its way from one value to another. */
typedef struct {
    float from, to;
    size_t at, length;
} ramp;

struct rc_duplex {
    rc_duplex_config config;
    rc_ring *capture, *playout, *tap;
    rc_conceal *conceal;
    rc_vad *vad;   /* NULL: no barge-in */
    rc_echo *echo; /* NULL: all speech is the user's */
    size_t fade; /* frames */

    /* Set by others, read by the callback. Relaxed: each is a value for itself. */
    _Alignas(RC_CACHE_LINE) _Atomic float capture_target;
    _Atomic float playout_target;
    _Atomic int muted, expecting, starting, listening;
    _Atomic size_t prefill;
    _Atomic float onset_probability, confirm_probability, duck;
    _Atomic int confirm_hops;
    _Atomic uint32_t accepted; /* generation; ordered against the ring's positions */

    /* The callback's own. */
    _Alignas(RC_CACHE_LINE) ramp capture_gain;
    ramp playout_gain, ducking;
    uint64_t frame;  /* the next to be worked on */
    int sounding;    /* the last frame came from the playout ring */
    int interrupted; /* what comes next is faded in */
    size_t fade_in_left, fade_out_left;
    size_t waited;    /* frames that the beginning has waited for its prefill */
    int ducked, cutting;
    int speech_hops; /* hops of speech since the onset, less those without */
    uint64_t speech; /* frame of the onset */
    float confirmed; /* probability that decided the cut */
    size_t unduck;   /* frames that a gain step of 1 takes on the way back */
    uint64_t entered_before; /* ns; 0: no interval is measured */
    uint64_t watched_at, used; /* when the thread's processor time was looked at, and what it was, ns */
    int32_t peaks[2];

    /* Written by the callback, read by others. */
    _Alignas(RC_CACHE_LINE) counter blocks;
    counter frames, overruns, tap_overruns, underruns, prefilled, discarded, lost_events;
    counter device_underflows, device_overflows;
    counter callback_ns, max_callback_ns, max_interval_ns, callback_times[RC_DUPLEX_TIMES];
    _Atomic int32_t capture_peak, playout_peak;
    _Atomic int priority;
    _Atomic float echo_reduction;
    _Atomic uint32_t generation;

    /* Of the latest block: block n at n % 2, so that one is whole while the other is written. */
    _Atomic uint64_t timings_made;
    struct {
        _Atomic uint64_t frames, entered;
        _Atomic double input_delay, output_delay;
    } timings[2];

    /* Queue of events: the callback writes at events_made, the reader takes at events_taken. */
    _Atomic size_t events_made;
    rc_duplex_event events[RC_DUPLEX_EVENTS];
    _Alignas(RC_CACHE_LINE) _Atomic size_t events_taken;
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

/* Relaxed on either side: see `counter` and the settings. */
#define look(number) atomic_load_explicit(number, memory_order_relaxed)
#define set(number, value) atomic_store_explicit(number, value, memory_order_relaxed)

static void count(counter *number, uint64_t more)
{
    /* load and store instead of an atomic add: the callback alone writes */
    if (more > 0)
        set(number, look(number) + more);
}

static void keep_longest(counter *longest, uint64_t value)
{
    if (value > look(longest))
        set(longest, value);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Creation ----------------------------------------------------------------------------------- */

static int is_valid(const rc_duplex_config *c)
{
    return c->rate >= 8000 && c->rate <= 192000 && c->capture_channels >= 1 && c->capture_channels <= MAX_CHANNELS &&
           c->playout_channels >= 1 && c->playout_channels <= MAX_CHANNELS && c->tap_capacity <= (size_t)1 << 30 &&
           (c->prioritize == NULL || c->thread_ns != NULL);
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
    d->capture_gain = d->playout_gain = d->ducking = (ramp){1, 1, 0, 0};
    atomic_init(&d->capture_target, 1);
    atomic_init(&d->playout_target, 1);
    atomic_init(&d->duck, 1);
    d->capture = rc_ring_new(config->capture_capacity);
    d->playout = rc_ring_new(config->playout_capacity);
    d->tap = config->tap_capacity > 0 ? rc_ring_new(config->tap_capacity * 2) : NULL;
    d->conceal = rc_conceal_new(config->rate);
    d->vad = config->detects_speech ? rc_vad_new(config->rate, NULL) : NULL;
    d->echo = config->detects_speech && config->checks_echo ? rc_echo_new(config->rate) : NULL;
    if (d->capture == NULL || d->playout == NULL || (config->tap_capacity > 0 && d->tap == NULL) ||
        d->conceal == NULL || (config->detects_speech && d->vad == NULL) ||
        (config->detects_speech && config->checks_echo && d->echo == NULL)) {
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
    rc_conceal_free(d->conceal);
    rc_vad_free(d->vad);
    rc_echo_free(d->echo);
    rc_lines_free(d);
}

/* Gains and fades: of every sample for itself, so that the cut into slices makes no difference. -- */

static void turn(ramp *r, float target, size_t frames_for_one)
{
    if (target == r->to)
        return;
    float now = r->at < r->length ? r->from + (r->to - r->from) * (float)r->at / (float)r->length : r->to;
    float step = target > now ? target - now : now - target;
    *r = (ramp){now, target, 0, (size_t)(step * (float)frames_for_one) + 1};
}

static void apply(ramp *r, int16_t *samples, size_t frames)
{
    size_t moving = smaller(r->length - r->at, frames);
    for (size_t i = 0; i < moving; i++, r->at++) {
        float gain = r->from + (r->to - r->from) * (float)r->at / (float)r->length;
        rc_pcm_gain(samples + i, 1, gain, gain);
    }
    if (moving < frames && r->to != 1)
        rc_pcm_gain(samples + moving, frames - moving, r->to, r->to);
}

static int16_t part_of(int16_t sample, size_t part, size_t whole)
{
    return (int16_t)((int32_t)sample * (int32_t)part / (int32_t)whole);
}

/* Events ------------------------------------------------------------------------------------- */

static void tell(rc_duplex *d, rc_duplex_event event)
{
    /* What speech does may repeat itself for as long as nobody takes events. The rest cannot: without
     * a writer there is little to play. So speech does not get all the room, and no cut is lost. */
    int is_of_speech = event.kind == RC_DUPLEX_DUCKED || event.kind == RC_DUPLEX_RESTORED;
    size_t made = look(&d->events_made), room = RC_DUPLEX_EVENTS - (is_of_speech ? RC_DUPLEX_EVENTS / 4 : 0);
    /* acquire: the reader is done with the place that is filled again */
    if (made - atomic_load_explicit(&d->events_taken, memory_order_acquire) >= room) {
        count(&d->lost_events, 1);
        return;
    }
    d->events[made % RC_DUPLEX_EVENTS] = event;
    /* release: who sees the count sees the event */
    atomic_store_explicit(&d->events_made, made + 1, memory_order_release);
}

static void tell_of_speech(rc_duplex *d, rc_duplex_kind kind, float probability)
{
    tell(d, (rc_duplex_event){kind, probability, d->frame, rc_ring_tail(d->playout), 0, d->speech});
}

/* Capture ------------------------------------------------------------------------------------ */

static void capture_slice(rc_duplex *d, int16_t *mono, const int16_t *input, size_t frames)
{
    rc_pcm_mix_down(mono, input, frames, d->config.capture_channels);
    turn(&d->capture_gain, look(&d->muted) ? 0 : look(&d->capture_target), d->fade);
    apply(&d->capture_gain, mono, frames);
    count(&d->overruns, frames - rc_ring_write(d->capture, mono, frames));
}

/* Playout ------------------------------------------------------------------------------------
 *
 * A slice is made of up to four pieces: the fade-out of what is flushed or cut, silence while the
 * beginning waits for its prefill, what is queued, silence. Each passes through sound(). */

static void sound(rc_duplex *d, int16_t *out, size_t frames)
{
    rc_conceal_add(d->conceal, out, frames);
    rc_conceal_remember(d->conceal, out, frames);
    d->frame += frames;
}

static void be_silent(rc_duplex *d, int16_t *out, size_t frames)
{
    memset(out, 0, frames * sizeof(int16_t));
    sound(d, out, frames);
}

/* Takes up to `frames` samples from the playout ring, faded in where they follow a gap. */
static size_t take_queued(rc_duplex *d, int16_t *out, size_t frames)
{
    uint64_t position = rc_ring_tail(d->playout);
    size_t ready = rc_ring_peek(d->playout, out, frames);
    rc_ring_read_release(d->playout, ready);
    if (ready > 0 && !d->sounding) {
        tell(d, (rc_duplex_event){RC_DUPLEX_STARTED, 0, d->frame, position, 0, 0});
        /* while concealment still sounds, so that both together are not louder than either */
        if (d->interrupted || rc_conceal_left(d->conceal) > 0)
            d->fade_in_left = d->fade;
        rc_conceal_shorten(d->conceal, d->fade);
        d->interrupted = 0;
        d->sounding = 1;
        d->waited = 0;
    }
    size_t length = smaller(d->fade_in_left, ready);
    for (size_t i = 0; i < length; i++, d->fade_in_left--)
        out[i] = part_of(out[i], d->fade - d->fade_in_left, d->fade);
    return ready;
}

static void jump(rc_duplex *d, uint64_t stopped_at, uint64_t target)
{
    rc_ring_read_release(d->playout, (size_t)(target - stopped_at));
    rc_conceal_shorten(d->conceal, d->fade);
    d->interrupted |= d->sounding;
    d->sounding = d->ducked = 0;
    d->fade_in_left = d->waited = 0;
    d->unduck = d->fade;
    if (!d->cutting) {
        tell(d, (rc_duplex_event){RC_DUPLEX_FLUSHED, 0, d->frame, stopped_at, target, 0});
        return;
    }
    d->cutting = 0;
    tell(d, (rc_duplex_event){RC_DUPLEX_CUT, d->confirmed, d->frame, stopped_at, target, d->speech});
    /* release: who sees the generation sees the event */
    atomic_store_explicit(&d->generation, look(&d->generation) + 1, memory_order_release);
}

/* Carries out a flush or cut, if one is pending: plays the beginning of what it skips as a
 * fade-out, through several blocks when they are short, then jumps. Returns the frames played. */
static size_t play_ending(rc_duplex *d, int16_t *out, size_t frames)
{
    uint64_t tail = rc_ring_tail(d->playout);
    uint64_t target = d->cutting ? rc_ring_head(d->playout) : rc_ring_flush_target(d->playout);
    if (target <= tail && !d->cutting)
        return 0;
    int is_faded = d->fade_out_left > 0;
    if (!is_faded && d->sounding && target - tail >= d->fade) {
        is_faded = 1;
        d->fade_out_left = d->fade;
    }
    size_t length = take_queued(d, out, smaller(d->fade_out_left, frames));
    for (size_t i = 0; i < length; i++, d->fade_out_left--)
        out[i] = part_of(out[i], d->fade_out_left, d->fade);
    sound(d, out, length);
    if (d->fade_out_left == 0) {
        if (d->sounding && !is_faded) /* too little is queued */
            rc_conceal_start(d->conceal, d->fade);
        jump(d, tail + length, target);
    }
    return length;
}

/* Frames, of the next `frames`, that the beginning of what is queued still waits for more. */
static size_t wait_for_prefill(rc_duplex *d, size_t frames)
{
    size_t prefill = look(&d->prefill), ready = (size_t)(rc_ring_head(d->playout) - rc_ring_tail(d->playout));
    if (d->sounding || rc_conceal_left(d->conceal) > 0 || ready == 0 || ready >= prefill || d->waited >= prefill ||
        !look(&d->expecting))
        return 0;
    size_t waits = smaller(frames, prefill - d->waited);
    d->waited += waits;
    count(&d->prefilled, waits);
    return waits;
}

static void play_nothing(rc_duplex *d, int16_t *out, size_t frames, int expected)
{
    if (d->sounding) {
        d->sounding = 0;
        d->fade_in_left = 0;
        d->interrupted |= expected;
        rc_conceal_start(d->conceal, d->fade * (expected ? FADES_TO_CONCEAL : 1));
        tell(d, (rc_duplex_event){RC_DUPLEX_DRAINED, 0, d->frame, rc_ring_tail(d->playout), 0, 0});
    }
    if (!expected)
        rc_conceal_shorten(d->conceal, d->fade);
    count(&d->underruns, expected ? frames : 0);
    be_silent(d, out, frames);
}

static void drop_unaccepted(rc_duplex *d, uint64_t head)
{
    uint64_t tail = rc_ring_tail(d->playout);
    if (head <= tail)
        return;
    count(&d->discarded, head - tail);
    rc_ring_read_release(d->playout, (size_t)(head - tail));
}

static void play_slice(rc_duplex *d, int16_t *out, size_t frames)
{
    size_t done = play_ending(d, out, frames);
    if (d->fade_out_left > 0)
        return;
    /* The head before the acceptance: who sees samples that were written after it sees it too. */
    uint64_t head = rc_ring_head(d->playout);
    int is_accepted = atomic_load_explicit(&d->accepted, memory_order_acquire) == look(&d->generation);
    if (is_accepted) {
        size_t waits = wait_for_prefill(d, frames - done);
        be_silent(d, out + done, waits);
        done += waits;
        size_t played = take_queued(d, out + done, frames - done);
        sound(d, out + done, played);
        done += played;
    } else {
        drop_unaccepted(d, head);
    }
    if (done < frames)
        play_nothing(d, out + done, frames - done, is_accepted && look(&d->expecting));
}

/* Barge-in ----------------------------------------------------------------------------------- */

static int has_something_to_play(const rc_duplex *d)
{
    return d->sounding || look(&d->expecting) || rc_ring_head(d->playout) > rc_ring_tail(d->playout);
}

static void end_duck(rc_duplex *d, float probability)
{
    if (!d->ducked)
        return;
    tell_of_speech(d, RC_DUPLEX_RESTORED, probability);
    d->ducked = 0;
    d->unduck = d->fade * FADES_TO_RESTORE;
}

/* A hop of 10 ms has been captured. */
static void decide(rc_duplex *d, float probability)
{
    if (d->cutting || look(&d->accepted) != look(&d->generation))
        return; /* cut already */
    if (!has_something_to_play(d)) {
        end_duck(d, probability);
        return;
    }
    if (d->ducked) {
        d->speech_hops += probability >= look(&d->confirm_probability) ? 1 : -1;
    } else if (probability >= look(&d->onset_probability)) {
        uint64_t hop = d->config.rate * HOP_MS / 1000 + (uint64_t)(rc_vad_delay(d->vad) * d->config.rate);
        d->ducked = d->speech_hops = 1;
        d->speech = d->frame > hop ? d->frame - hop : 0;
        tell_of_speech(d, RC_DUPLEX_DUCKED, probability);
    } else {
        return;
    }
    if (d->speech_hops >= look(&d->confirm_hops)) {
        d->cutting = 1;
        d->confirmed = probability;
    } else if (d->speech_hops <= 0) {
        end_duck(d, probability);
    }
}

static void listen(rc_duplex *d, const int16_t *captured, const int16_t *played, size_t frames)
{
    float speech, somebody = 1;
    size_t hops = rc_vad_process(d->vad, &speech, captured, frames);
    if (d->echo != NULL && rc_echo_process(d->echo, &somebody, captured, played, frames) > 0) /* with the detector's */
        set(&d->echo_reduction, rc_echo_reduction_db(d->echo));
    if (hops > 0)
        decide(d, speech < somebody ? speech : somebody);
}

static int is_listening(rc_duplex *d)
{
    int listening = d->vad != NULL && look(&d->listening);
    if (!listening)
        end_duck(d, 0);
    return listening;
}

/* A slice ends where a hop does, so that what is decided takes effect at the next frame. */
static size_t slice_of(const rc_duplex *d, size_t frames, int listening)
{
    size_t none = 0, some = smaller(frames, SLICE);
    if (!listening || rc_vad_hops(d->vad, some) == 0)
        return some;
    while (some - none > 1) {
        size_t middle = none + (some - none) / 2;
        if (rc_vad_hops(d->vad, middle) == 0)
            none = middle;
        else
            some = middle;
    }
    return some;
}

/* The callback ------------------------------------------------------------------------------- */

static void run_slice(rc_duplex *d, const int16_t *input, int16_t *output, size_t frames, int listening)
{
    int16_t captured[SLICE] = {0}, played[SLICE] = {0};
    if (input != NULL)
        capture_slice(d, captured, input, frames);
    if (output != NULL) {
        play_slice(d, played, frames);
        turn(&d->playout_gain, look(&d->playout_target), d->fade);
        turn(&d->ducking, d->ducked ? look(&d->duck) : 1, d->ducked ? d->fade : d->unduck);
        apply(&d->playout_gain, played, frames);
        apply(&d->ducking, played, frames);
        rc_pcm_duplicate(output, played, frames, d->config.playout_channels);
    } else {
        d->frame += frames;
    }
    if (d->tap != NULL) {
        int16_t pairs[2 * SLICE];
        rc_pcm_interleave(pairs, captured, played, frames);
        if (!rc_ring_write_entire(d->tap, pairs, 2 * frames))
            count(&d->tap_overruns, frames);
    }
    if (listening)
        listen(d, captured, played, frames);
    d->peaks[0] = larger(d->peaks[0], rc_pcm_peak(captured, frames));
    d->peaks[1] = larger(d->peaks[1], rc_pcm_peak(played, frames));
}

static void begin_stream(rc_duplex *d)
{
    set(&d->starting, 0);
    d->entered_before = 0;
    if (d->echo != NULL)
        rc_echo_reset(d->echo); /* another device has another delay, in another place */
    if (d->config.prioritize != NULL)
        set(&d->priority, d->config.prioritize(1) == 0 ? RC_DUPLEX_PRIORITY_GRANTED : RC_DUPLEX_PRIORITY_REFUSED);
    d->watched_at = 0; /* another thread */
}

/* Gives real-time priority back when the thread spins. */
static void watch_priority(rc_duplex *d, uint64_t entered)
{
    if (look(&d->priority) != RC_DUPLEX_PRIORITY_GRANTED || entered - d->watched_at < WATCH_NS)
        return;
    uint64_t used = d->config.thread_ns(), before = d->used, since = d->watched_at;
    d->used = used;
    d->watched_at = entered;
    if (since > 0 && 2 * (used - before) > entered - since && d->config.prioritize(0) == 0)
        set(&d->priority, RC_DUPLEX_PRIORITY_RETURNED);
}

static void note_timing(rc_duplex *d, uint64_t entered, const rc_stream_time *time)
{
    uint64_t made = look(&d->timings_made);
    size_t at = (size_t)(made % 2);
    double now = time != NULL ? time->current_time : 0;
    int has_input = time != NULL && time->input_adc_time > 0 && now > time->input_adc_time;
    int has_output = time != NULL && time->output_dac_time > now;
    /* release, each: who sees one of them sees that the other block is the latest */
    atomic_store_explicit(&d->timings[at].frames, d->frame, memory_order_release);
    atomic_store_explicit(&d->timings[at].entered, entered, memory_order_release);
    atomic_store_explicit(&d->timings[at].input_delay, has_input ? now - time->input_adc_time : 0, memory_order_release);
    atomic_store_explicit(&d->timings[at].output_delay, has_output ? time->output_dac_time - now : 0,
                          memory_order_release);
    atomic_store_explicit(&d->timings_made, made + 1, memory_order_release);
}

static void let_meters_fall(rc_duplex *d, size_t frames)
{
    int32_t fall = (int32_t)(frames * 32768 * 1000 / METER_FALL_MS / d->config.rate);
    for (int side = 0; side < 2; side++)
        d->peaks[side] = larger(0, d->peaks[side] - fall);
}

static void count_callback(rc_duplex *d, uint64_t entered, size_t frames, rc_stream_flags flags)
{
    set(&d->capture_peak, d->peaks[0]);
    set(&d->playout_peak, d->peaks[1]);
    count(&d->blocks, 1);
    count(&d->device_overflows, (flags & FLAG_INPUT_OVERFLOW) != 0);
    count(&d->device_underflows, (flags & FLAG_OUTPUT_UNDERFLOW) != 0);
    if (d->entered_before > 0)
        keep_longest(&d->max_interval_ns, entered - d->entered_before);
    d->entered_before = entered;
    uint64_t took = now_ns() - entered;
    count(&d->callback_ns, took);
    keep_longest(&d->max_callback_ns, took);
    int class = 0;
    while (class < RC_DUPLEX_TIMES - 1 && took >= (uint64_t)1000 << class)
        class++;
    count(&d->callback_times[class], 1);
    /* release: who sees these frames sees the events in them */
    atomic_store_explicit(&d->frames, look(&d->frames) + frames, memory_order_release);
}

int rc_duplex_callback(const void *input, void *output, unsigned long frames, const rc_stream_time *time,
                       rc_stream_flags flags, void *duplex)
{
    rc_duplex *d = duplex;
    const int16_t *in = input;
    int16_t *out = output;
    uint64_t entered = now_ns();
    if (look(&d->starting))
        begin_stream(d);
    watch_priority(d, entered);
    note_timing(d, entered, time);
    let_meters_fall(d, frames);
    int listening = is_listening(d) && in != NULL;
    for (size_t left = frames; left > 0;) {
        size_t slice = slice_of(d, left, listening);
        run_slice(d, in, out, slice, listening);
        in = in != NULL ? in + slice * d->config.capture_channels : NULL;
        out = out != NULL ? out + slice * d->config.playout_channels : NULL;
        left -= slice;
    }
    count_callback(d, entered, frames, flags);
    return 0;
}

/* Other threads ------------------------------------------------------------------------------ */

void rc_duplex_restart(rc_duplex *d)
{
    set(&d->starting, 1);
}

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

void rc_duplex_set_expecting(rc_duplex *d, int expecting)
{
    set(&d->expecting, expecting != 0);
}

int rc_duplex_expecting(const rc_duplex *d)
{
    return look(&d->expecting);
}

void rc_duplex_set_prefill(rc_duplex *d, size_t frames)
{
    set(&d->prefill, frames);
}

size_t rc_duplex_prefill(const rc_duplex *d)
{
    return look(&d->prefill);
}

uint64_t rc_duplex_flush(rc_duplex *d)
{
    uint64_t head = rc_ring_head(d->playout);
    rc_ring_flush_to(d->playout, head);
    return head;
}

uint64_t rc_duplex_played(const rc_duplex *d)
{
    return rc_ring_tail(d->playout);
}

static float limited(float value, float most)
{
    return value > most ? most : value > 0 ? value : 0; /* not-a-number: 0 */
}

void rc_duplex_set_barge_in(rc_duplex *d, const rc_duplex_barge_in *barge_in)
{
    if (barge_in != NULL) {
        set(&d->onset_probability, limited(barge_in->onset_probability, 1));
        set(&d->confirm_probability, limited(barge_in->confirm_probability, 1));
        set(&d->confirm_hops, (int)(barge_in->confirm_ms / HOP_MS + (barge_in->confirm_ms % HOP_MS > 0)));
        set(&d->duck, limited(barge_in->duck, 1));
    }
    set(&d->listening, barge_in != NULL);
}

uint32_t rc_duplex_generation(const rc_duplex *d)
{
    /* acquire: pairs with jump() */
    return atomic_load_explicit(&d->generation, memory_order_acquire);
}

void rc_duplex_accept(rc_duplex *d, uint32_t generation)
{
    rc_duplex_flush(d);
    /* release: who sees the acceptance sees the flush */
    atomic_store_explicit(&d->accepted, generation, memory_order_release);
}

int rc_duplex_take_event(rc_duplex *d, rc_duplex_event *event)
{
    size_t taken = look(&d->events_taken);
    /* acquire: pairs with tell() */
    if (taken == atomic_load_explicit(&d->events_made, memory_order_acquire))
        return 0;
    *event = d->events[taken % RC_DUPLEX_EVENTS];
    /* release: the place may be filled again once the event has been copied */
    atomic_store_explicit(&d->events_taken, taken + 1, memory_order_release);
    return 1;
}

void rc_duplex_set_capture_gain(rc_duplex *d, float gain)
{
    set(&d->capture_target, limited(gain, MAX_GAIN));
}

void rc_duplex_set_playout_gain(rc_duplex *d, float gain)
{
    set(&d->playout_target, limited(gain, MAX_GAIN));
}

float rc_duplex_capture_gain(const rc_duplex *d)
{
    return look(&d->capture_target);
}

float rc_duplex_playout_gain(const rc_duplex *d)
{
    return look(&d->playout_target);
}

void rc_duplex_set_muted(rc_duplex *d, int muted)
{
    set(&d->muted, muted != 0);
}

int rc_duplex_muted(const rc_duplex *d)
{
    return look(&d->muted);
}

void rc_duplex_get_stats(const rc_duplex *d, rc_duplex_stats *stats)
{
    *stats = (rc_duplex_stats){
        .blocks = look(&d->blocks),
        .frames = atomic_load_explicit(&d->frames, memory_order_acquire), /* pairs with count_callback() */
        .overruns = look(&d->overruns),
        .tap_overruns = look(&d->tap_overruns),
        .underruns = look(&d->underruns),
        .prefilled = look(&d->prefilled),
        .discarded = look(&d->discarded),
        .lost_events = look(&d->lost_events),
        .device_underflows = look(&d->device_underflows),
        .device_overflows = look(&d->device_overflows),
        .callback_ns = look(&d->callback_ns),
        .max_callback_ns = look(&d->max_callback_ns),
        .max_interval_ns = look(&d->max_interval_ns),
        .capture_peak = look(&d->capture_peak),
        .playout_peak = look(&d->playout_peak),
        .priority = look(&d->priority),
        .echo_reduction_db = look(&d->echo_reduction),
    };
    for (int class = 0; class < RC_DUPLEX_TIMES; class++)
        stats->callback_times[class] = look(&d->callback_times[class]);
}

int rc_duplex_get_timing(const rc_duplex *d, rc_duplex_timing *timing)
{
    uint64_t made = atomic_load_explicit(&d->timings_made, memory_order_acquire), before;
    if (made == 0)
        return 0;
    do {
        before = made;
        size_t at = (size_t)((made - 1) % 2);
        /* acquire, each: pairs with note_timing() */
        timing->frames = atomic_load_explicit(&d->timings[at].frames, memory_order_acquire);
        timing->age_ns = now_ns() - atomic_load_explicit(&d->timings[at].entered, memory_order_acquire);
        timing->input_delay = atomic_load_explicit(&d->timings[at].input_delay, memory_order_acquire);
        timing->output_delay = atomic_load_explicit(&d->timings[at].output_delay, memory_order_acquire);
        made = atomic_load_explicit(&d->timings_made, memory_order_acquire);
    } while (made != before);
    return 1;
}
