#include "rc_resample.h"

#include "kernels/rc_resample_kernels.h"
#include "rc_cpu.h"
#include "rc_err.h"
#include "rc_resample_filter.h"
#include "rc_resample_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Input samples filtered at a time, behind the history that the filter needs. */
#define BLOCK 1024
/* Ratios of numbers up to this are filtered in lanes: all outputs of a phase side by side. */
#define MAX_LANES_RATIO 8
/* Others by their cycle of phases, when it is no longer than this. */
#define MAX_CYCLE 640
/* A time unit's bits. */
#define UNIT_BITS 36

/* Time is counted in units of which `unit` are one input sample: a multiple of the output's phases,
 * so that rational ratios are exact for ever. Outputs on the ratio's own phases have coefficients
 * of their own, in lists or in a cycle. Those between, of a ratio that was adjusted or has too many
 * phases for a table, have theirs from curves.
 */
struct rc_resample {
    uint32_t rate_in, rate_out;
    rc_resample_filter filter;
    size_t up, down; /* the ratio in lowest terms */
    uint64_t unit, phase; /* `phase`: units from one phase to the next */
    uint64_t step, nominal_step;
    uint64_t next; /* position of the next output, counted from the next input sample */
    uint64_t clipped;
    rc_resample_lists *lists; /* one of these two, or neither */
    rc_resample_cycle *cycle;
    rc_resample_curves *curves;
    uint64_t place;  /* (rest >> 8) * place >> 40 is a rest of a sample's units in cells of 2^16 */
    size_t order;    /* output p * order % up of a cycle has phase p */
    int16_t *memory; /* slack, taps - 1 samples of history, up to BLOCK new ones, slack */
    int16_t *input;  /* the history in it */
    int16_t *lanes;  /* the same as columns of pairs, for lists */
};

/* Creation ----------------------------------------------------------------------------------- */

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int rate_is_valid(uint32_t rate)
{
    return rate >= RC_RESAMPLE_MIN_RATE && rate <= RC_RESAMPLE_MAX_RATE;
}

/* Coefficients for the ratio's own phases, if it has few enough. */
static int phases_new(rc_resample *r)
{
    if (r->up <= MAX_LANES_RATIO && r->down <= MAX_LANES_RATIO) {
        r->lists = rc_resample_lists_new(&r->filter, r->up, r->down, BLOCK);
        if (r->lists == NULL)
            return 0;
        r->lanes = calloc(r->lists->column * r->down * 2, sizeof(int16_t));
        return r->lanes != NULL;
    }
    if (r->up > MAX_CYCLE || r->down > 2 * r->up)
        return 1;
    while (r->order * r->down % r->up != 1)
        r->order++;
    r->cycle = rc_resample_cycle_new(&r->filter, r->up, r->down);
    return r->cycle != NULL;
}

rc_resample *rc_resample_new(uint32_t rate_in, uint32_t rate_out, rc_resample_grade grade)
{
    if (!rate_is_valid(rate_in) || !rate_is_valid(rate_out) || grade < RC_RESAMPLE_FAST || grade > RC_RESAMPLE_BEST)
        return NULL;
    rc_resample *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    uint32_t divisor = common_divisor(rate_in, rate_out);
    r->rate_in = rate_in;
    r->rate_out = rate_out;
    r->up = rate_out / divisor;
    r->down = rate_in / divisor;
    r->filter = rc_resample_filter_design(rate_in, rate_out, (uint32_t)r->up, grade);
    r->phase = 1;
    while (r->up * r->phase * 2 <= (uint64_t)1 << UNIT_BITS)
        r->phase *= 2;
    r->unit = r->up * r->phase;
    r->step = r->nominal_step = r->down * r->phase;
    r->memory = calloc(RC_RESAMPLE_SLACK + r->filter.taps - 1 + BLOCK + RC_RESAMPLE_SLACK, sizeof(int16_t));
    r->curves = rc_resample_curves_new(&r->filter);
    if (r->memory == NULL || r->curves == NULL || !phases_new(r)) {
        rc_resample_free(r);
        return NULL;
    }
    r->input = r->memory + RC_RESAMPLE_SLACK;
    r->place = (uint64_t)((double)r->curves->cells * 0x1p64 / (double)r->unit);
    return r;
}

void rc_resample_free(rc_resample *r)
{
    if (r == NULL)
        return;
    rc_resample_lists_free(r->lists);
    rc_resample_cycle_free(r->cycle);
    rc_resample_curves_free(r->curves);
    free(r->memory);
    free(r->lanes);
    free(r);
}

static size_t history(const rc_resample *r)
{
    return r->filter.taps - 1;
}

static void start_anew(rc_resample *r)
{
    memset(r->input, 0, history(r) * sizeof(int16_t));
    r->next = 0;
}

void rc_resample_reset(rc_resample *r)
{
    start_anew(r);
    r->step = r->nominal_step;
    r->clipped = 0;
}

int rc_resample_adjust(rc_resample *r, double ppm)
{
    if (!(fabs(ppm) <= RC_RESAMPLE_MAX_PPM))
        return RC_EINVAL;
    r->step = (uint64_t)((double)r->nominal_step * (1 + ppm * 1e-6) + 0.5);
    return RC_OK;
}

/* Filtering ---------------------------------------------------------------------------------- */

/* The best kernels for this machine. */
static const rc_resample_kernels *kernels(void)
{
    unsigned features = rc_cpu_features();
#ifdef RC_X86
    if (features & RC_CPU_AVX512_VNNI)
        return &rc_resample_avx512;
    if (features & RC_CPU_AVX2)
        return &rc_resample_avx2;
#endif
#ifdef RC_ARM64
    if (features & RC_CPU_NEON)
        return &rc_resample_neon;
#endif
    (void)features;
    return &rc_resample_plain;
}

/* Lays out one column; inlined with constants. */
static inline void fill_column(int16_t *pair, const int16_t *from, size_t down, size_t distance, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pair[2 * i] = from[i * down];
        pair[2 * i + 1] = from[i * down + distance];
    }
}

/* The same for neighbours, each pair copied as one, eight in a row; up to 7 pairs too many. */
static inline void fill_column_of_neighbours(int16_t *pair, const int16_t *from, size_t down, size_t count)
{
    for (size_t i = 0; i < count; i += 8)
        for (size_t k = i; k < i + 8; k++)
            memcpy(pair + 2 * k, from + k * down, 2 * sizeof(int16_t));
}

static void fill_lanes(rc_resample *r, size_t samples)
{
    for (size_t c = 0; c < r->down; c++) {
        const int16_t *from = r->input + c;
        int16_t *pair = r->lanes + c * r->lists->column * 2;
        size_t count = (samples - c + r->down - 1) / r->down;
        if (r->down == 1)
            fill_column(pair, from, 1, 1, count);
        else if (r->lists->distance == 2)
            fill_column(pair, from, 2, 2, count);
        else if (r->down == 3)
            fill_column_of_neighbours(pair, from, 3, count);
        else
            fill_column_of_neighbours(pair, from, r->down, count);
    }
}

/* Puts the outputs of all phases in order; inlined with constants. */
static inline void weave(int16_t *out, size_t made, const int16_t *phases, size_t room, size_t up)
{
    size_t whole = made / up;
    for (size_t i = 0; i < whole; i++)
        for (size_t p = 0; p < up; p++)
            out[i * up + p] = phases[p * room + i];
    for (size_t p = 0; p < made % up; p++)
        out[whole * up + p] = phases[p * room + whole];
}

/* All outputs of each phase side by side: output p + i * up sees the input `down` samples further
 * on than output p + (i - 1) * up, with the same coefficients. */
static void filter_in_lanes(rc_resample *r, int16_t *out, size_t made, size_t count)
{
    enum { ROOM = BLOCK + 1 };
    int16_t phases[MAX_LANES_RATIO * ROOM];
    const int16_t *lanes = r->input;
    const rc_resample_kernels *use = kernels();
    if (!rc_resample_lists_in_place(r->lists)) {
        fill_lanes(r, history(r) + count);
        lanes = r->lanes;
    }
    for (size_t p = 0; p < r->up && p < made; p++) {
        uint64_t position = r->next + p * r->step;
        size_t at = (size_t)(position / r->unit), phase = (size_t)(position % r->unit / r->phase);
        size_t outputs = (made - p + r->up - 1) / r->up;
        const rc_resample_list *list = &r->lists->lists[phase * r->down + at % r->down];
        r->clipped += use->lanes(r->up == 1 ? out : phases + p * ROOM, outputs, list, lanes + at / r->down * 2);
    }
    if (r->up == 2)
        weave(out, made, phases, ROOM, 2);
    else if (r->up == 3)
        weave(out, made, phases, ROOM, 3);
    else if (r->up > 3)
        weave(out, made, phases, ROOM, r->up);
}

static void filter_by_cycle(rc_resample *r, int16_t *out, size_t made)
{
    size_t phase = (size_t)(r->next % r->unit / r->phase), k = phase * r->order % r->up;
    const int16_t *x = r->input + r->next / r->unit + history(r) + 1 - 2 * r->cycle->pairs;
    r->clipped += kernels()->cycle(out, made, r->cycle, k, x);
}

/* At most RC_RESAMPLE_POINTS outputs from `position` on. */
static void filter_points(rc_resample *r, int16_t *out, size_t count, uint64_t position)
{
    rc_resample_points points;
    uint64_t whole = r->step / r->unit, part = r->step % r->unit, at = position / r->unit, rest = position % r->unit;
    for (size_t i = 0; i < (count + 3) / 4 * 4; i++) {
        uint64_t place = (rest >> 8) * r->place >> 40;
        points.at[i] = (uint32_t)at;
        points.cell[i] = (uint32_t)(place >> 16);
        points.u[i] = (int32_t)(place & 0xFFFF) - 32768;
        if (i + 1 >= count) /* nothing is left: the same once more */
            continue;
        at += whole;
        rest += part;
        if (rest >= r->unit) {
            rest -= r->unit;
            at++;
        }
    }
    r->clipped += kernels()->points(out, count, r->curves, &points, r->input);
}

static void filter_between(rc_resample *r, int16_t *out, size_t made)
{
    for (size_t i = 0; i < made; i += RC_RESAMPLE_POINTS)
        filter_points(r, out + i, made - i < RC_RESAMPLE_POINTS ? made - i : RC_RESAMPLE_POINTS, r->next + i * r->step);
}

/* Makes the output that falls on `count` new samples at the end of the history. */
static size_t filter_block(rc_resample *r, int16_t *out, size_t count)
{
    size_t made = rc_resample_count(r, count);
    int on_phase = r->step == r->nominal_step && r->next % r->phase == 0;
    if (on_phase && r->lists != NULL)
        filter_in_lanes(r, out, made, count);
    else if (on_phase && r->cycle != NULL)
        filter_by_cycle(r, out, made);
    else
        filter_between(r, out, made);
    r->next += made * r->step - count * r->unit;
    return made;
}

size_t rc_resample_count(const rc_resample *r, size_t count)
{
    uint64_t end = count * r->unit;
    return r->next < end ? (size_t)((end - r->next + r->step - 1) / r->step) : 0;
}

/* `in` is NULL for silence. */
static size_t feed(rc_resample *r, int16_t *out, const int16_t *in, size_t count)
{
    size_t made = 0;
    while (count > 0) {
        size_t block = count < BLOCK ? count : BLOCK;
        int16_t *new = r->input + history(r);
        if (in != NULL) {
            memcpy(new, in, block * sizeof(int16_t));
            in += block;
        } else {
            memset(new, 0, block * sizeof(int16_t));
        }
        made += filter_block(r, out + made, block);
        memmove(r->input, r->input + block, history(r) * sizeof(int16_t));
        count -= block;
    }
    return made;
}

size_t rc_resample_process(rc_resample *r, int16_t *out, const int16_t *in, size_t count)
{
    return feed(r, out, in, count);
}

static size_t delay_samples(const rc_resample *r)
{
    return (size_t)ceil(r->filter.half);
}

size_t rc_resample_flush_count(const rc_resample *r)
{
    return rc_resample_count(r, delay_samples(r));
}

size_t rc_resample_flush(rc_resample *r, int16_t *out)
{
    size_t made = feed(r, out, NULL, delay_samples(r));
    start_anew(r);
    return made;
}

/* What it is --------------------------------------------------------------------------------- */

double rc_resample_delay_in(const rc_resample *r)
{
    return r->filter.half;
}

double rc_resample_delay_out(const rc_resample *r)
{
    return r->filter.half * r->rate_out / r->rate_in;
}

uint64_t rc_resample_clipped(const rc_resample *r)
{
    return r->clipped;
}
