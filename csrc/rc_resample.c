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
/* Outputs of a phase in the same cell from which on it pays to filter them in lanes too. */
#define MIN_RUN 24
/* For the outputs of a phase in a block; an adjusted ratio gives a few more. */
#define ROOM (BLOCK + 32)
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
    size_t up, down;      /* the ratio in lowest terms */
    uint64_t unit, phase; /* `phase`: units from one phase to the next */
    uint64_t step, nominal_step;
    uint64_t next; /* position of the next output, counted from the next input sample */
    uint64_t clipped;
    rc_resample_lists *lists; /* one of these two, or neither */
    rc_resample_cycle *cycle;
    rc_resample_curves *curves;
    size_t order;           /* output p * order % up of a cycle has phase p */
    uint64_t cells_by_unit; /* parts of 2^-16 of a cell in 2^48 units */
    int16_t *memory;        /* slack, taps - 1 samples of history, up to BLOCK new ones, slack */
    int16_t *input;         /* the history in it */
    int16_t *lanes;         /* the same as columns of pairs, for lists */
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
    r->cells_by_unit = (uint64_t)((double)r->curves->cells * 0x1p64 / (double)r->unit);
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

/* A position as a sample and units from there. */
typedef struct {
    size_t at;
    uint64_t rest;
} place;

static place place_of(const rc_resample *r, uint64_t position)
{
    return (place){(size_t)(position / r->unit), position % r->unit};
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
    for (size_t i = 0; i < count; i += 8) {
        int32_t pairs[8];
        for (size_t k = 0; k < 8; k++)
            memcpy(&pairs[k], from + (i + k) * down, sizeof(pairs[k]));
        memcpy(pair + 2 * i, pairs, sizeof(pairs));
    }
}

static void fill_lanes(rc_resample *r, size_t distance, size_t samples)
{
    for (size_t c = 0; c < r->down; c++) {
        const int16_t *from = r->input + c;
        int16_t *pair = r->lanes + c * r->lists->column * 2;
        size_t count = (samples - c + r->down - 1) / r->down;
        if (r->down == 1)
            fill_column(pair, from, 1, 1, count);
        else if (distance == 2)
            fill_column(pair, from, 2, 2, count);
        else if (r->down == 3)
            fill_column_of_neighbours(pair, from, 3, count);
        else
            fill_column_of_neighbours(pair, from, r->down, count);
    }
}

/* Puts the outputs of all phases in order; inlined with constants. */
static inline void weave(int16_t *out, size_t made, const int16_t *phases, size_t up)
{
    size_t whole = made / up;
    for (size_t i = 0; i < whole; i++)
        for (size_t p = 0; p < up; p++)
            out[i * up + p] = phases[p * ROOM + i];
    for (size_t p = 0; p < made % up; p++)
        out[whole * up + p] = phases[p * ROOM + whole];
}

static void weave_phases(const rc_resample *r, int16_t *out, size_t made, const int16_t *phases)
{
    if (r->up == 2)
        weave(out, made, phases, 2);
    else if (r->up == 3)
        weave(out, made, phases, 3);
    else if (r->up > 3)
        weave(out, made, phases, r->up);
}

/* The input in lanes of pairs `distance` apart. */
static const int16_t *in_lanes(rc_resample *r, size_t distance, size_t count)
{
    if (rc_resample_lists_in_place(r->lists, distance))
        return r->input;
    fill_lanes(r, distance, history(r) + count);
    return r->lanes;
}

/* All outputs of each phase side by side: output p + i * up sees the input `down` samples further
 * on than output p + (i - 1) * up, with the same coefficients. */
static void filter_in_lanes(rc_resample *r, int16_t *out, size_t made, size_t count)
{
    int16_t phases[MAX_LANES_RATIO * ROOM];
    const rc_resample_kernels *use = kernels();
    const int16_t *lanes = in_lanes(r, r->lists->distance, count);
    for (size_t p = 0; p < r->up && p < made; p++) {
        int16_t *to = r->up == 1 ? out : phases + p * ROOM;
        place first = place_of(r, r->next + p * r->step);
        const rc_resample_list *list = &r->lists->lists[first.rest / r->phase * r->down + first.at % r->down];
        r->clipped += use->lanes(to, (made - p + r->up - 1) / r->up, list, lanes + first.at / r->down * 2);
    }
    weave_phases(r, out, made, phases);
}

static void move(const rc_resample *r, place *at, place by)
{
    at->at += by.at;
    at->rest += by.rest;
    if (at->rest >= r->unit) {
        at->rest -= r->unit;
        at->at++;
    }
}

/* Its cell, and u in that. */
static uint32_t cell_of(const rc_resample *r, place at, int32_t *u)
{
    uint64_t cells = (at.rest >> 8) * r->cells_by_unit >> 40;
    *u = (int32_t)(cells & 0xFFFF) - 32768;
    return (uint32_t)(cells >> 16);
}

/* Whether adjusted outputs of a phase leave a cell only after a good many. */
static int runs_are_long(const rc_resample *r)
{
    uint64_t drift = r->step < r->nominal_step ? r->nominal_step - r->step : r->step - r->nominal_step;
    return drift * r->up * MIN_RUN * r->curves->cells < r->unit;
}

/* The same when the ratio is adjusted a little: runs of outputs of a phase lie in the same cell. */
static void filter_in_runs(rc_resample *r, int16_t *out, size_t made, size_t count)
{
    int16_t phases[MAX_LANES_RATIO * ROOM];
    int32_t u[ROOM + RC_RESAMPLE_SLACK];
    const rc_resample_kernels *use = kernels();
    const int16_t *lanes = in_lanes(r, 1, count);
    const place next = place_of(r, r->up * r->step);
    for (size_t p = 0; p < r->up && p < made; p++) {
        int16_t *to = r->up == 1 ? out : phases + p * ROOM;
        place at = place_of(r, r->next + p * r->step);
        size_t outputs = (made - p + r->up - 1) / r->up, i = 0;
        while (i < outputs) {
            size_t begin = i, first = at.at;
            uint32_t cell = cell_of(r, at, &u[i]);
            do
                move(r, &at, next);
            while (++i < outputs && at.at == first + (i - begin) * r->down && cell_of(r, at, &u[i]) == cell);
            const uint32_t *offsets = r->lists->every + first % r->down * (r->filter.taps / 2);
            const int16_t *from = lanes + first / r->down * 2;
            r->clipped += use->run(to + begin, i - begin, r->curves, cell, u + begin, offsets, from);
        }
    }
    weave_phases(r, out, made, phases);
}

static void filter_by_cycle(rc_resample *r, int16_t *out, size_t made)
{
    place first = place_of(r, r->next);
    const int16_t *x = r->input + first.at + r->filter.taps - 2 * r->cycle->pairs;
    r->clipped += kernels()->cycle(out, made, r->cycle, first.rest / r->phase * r->order % r->up, x);
}

/* At most RC_RESAMPLE_POINTS outputs from `position` on. */
static void filter_points(rc_resample *r, int16_t *out, size_t count, uint64_t position)
{
    rc_resample_points points;
    place at = place_of(r, position), next = place_of(r, r->step);
    for (size_t i = 0; i < (count + 3) / 4 * 4; i++) {
        points.at[i] = (uint32_t)at.at;
        points.cell[i] = cell_of(r, at, &points.u[i]);
        if (i + 1 < count) /* else nothing is left: the same once more */
            move(r, &at, next);
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
    else if (r->lists != NULL && runs_are_long(r))
        filter_in_runs(r, out, made, count);
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
