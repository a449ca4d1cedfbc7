#include "rc_resample_table.h"

#include "rc_memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums of magnitudes with which sample * lo, and sample * hi + (lo sum >> lo_bits) + half, stay
 * within 32 bits. */
#define MAX_LO_SUM 65000
#define MAX_HI_SUM 56000

/* Rows of coefficients before they are arranged. */
typedef struct {
    size_t rows, taps;
    int32_t *value, *slope, *curve; /* rows of taps; only curves have the other two */
    size_t core_at, core;
    rc_resample_scale scale;
} coefficients;

/* Rounds a row; the rounding is made up for in the largest coefficient, so that the row's sum is
 * exact: 1 for the coefficients themselves, which is the gain at frequency zero. */
static void round_row(int32_t *rounded, const double *row, size_t taps, int bits, int32_t total)
{
    int32_t sum = 0;
    size_t largest = 0;
    for (size_t t = 0; t < taps; t++) {
        rounded[t] = (int32_t)lround(row[t] * (double)((int32_t)1 << bits));
        sum += rounded[t];
        if (abs(rounded[t]) > abs(rounded[largest]))
            largest = t;
    }
    rounded[largest] += total - sum;
}

/* Splits a coefficient of the core. */
static int32_t hi_part(int32_t value, int lo_bits)
{
    return (value + ((int32_t)1 << lo_bits >> 1)) >> lo_bits;
}

static int32_t lo_part(int32_t value, int lo_bits)
{
    return value - hi_part(value, lo_bits) * ((int32_t)1 << lo_bits);
}

static int in_core(const coefficients *c, size_t tap)
{
    return tap >= c->core_at && tap < c->core_at + c->core;
}

static int16_t hi_of(const coefficients *c, size_t row, size_t tap)
{
    return (int16_t)(in_core(c, tap) ? hi_part(c->value[row * c->taps + tap], c->scale.lo_bits) : 0);
}

static int16_t lo_of(const coefficients *c, size_t row, size_t tap)
{
    int32_t value = c->value[row * c->taps + tap];
    return (int16_t)(in_core(c, tap) ? lo_part(value, c->scale.lo_bits) : value);
}

/* Whether a row's parts fit 16 bits and their sums the limits, with core and scale as they are. */
static int row_fits(const coefficients *c, size_t row)
{
    int32_t hi_sum = 0, lo_sum = 0, curve_sum = 0;
    for (size_t t = 0; t < c->taps; t++) {
        size_t i = row * c->taps + t;
        int32_t lo = abs(c->value[i]);
        if (in_core(c, t)) {
            int32_t hi = abs(hi_part(c->value[i], c->scale.lo_bits));
            lo = abs(lo_part(c->value[i], c->scale.lo_bits));
            hi_sum += hi;
            if (hi > INT16_MAX)
                return 0;
        }
        lo_sum += lo;
        curve_sum += abs(c->slope[i]) + abs(c->curve[i]);
        if (lo > INT16_MAX || abs(c->slope[i]) > INT16_MAX || abs(c->curve[i]) > INT16_MAX)
            return 0;
    }
    return hi_sum <= MAX_HI_SUM && lo_sum <= MAX_LO_SUM && curve_sum <= MAX_LO_SUM;
}

/* Finds the smallest core, a multiple of `step` around the middle, for the finest hi part, with
 * which every row fits. */
static int choose_core(coefficients *c, const rc_resample_filter *filter, int bits, size_t step)
{
    size_t middle = c->taps - 1 - (size_t)filter->half, worst = 0;
    for (c->scale.hi_bits = 15; c->scale.hi_bits > 8; c->scale.hi_bits--) {
        c->scale.lo_bits = bits - c->scale.hi_bits;
        for (c->core = step; c->core <= c->taps; c->core += step) {
            c->core_at = (middle > c->core / 2 ? middle - c->core / 2 : 0) / 2 * 2;
            if (c->core_at + c->core > c->taps)
                c->core_at = c->taps - c->core;
            size_t fit = 0;
            while (fit < c->rows && row_fits(c, (worst + fit) % c->rows))
                fit++;
            if (fit == c->rows)
                return 1;
            worst = (worst + fit) % c->rows; /* most likely to be so again */
        }
    }
    return 0;
}

static int coefficients_new(coefficients *c, size_t rows, size_t taps)
{
    *c = (coefficients){.rows = rows, .taps = taps};
    c->value = calloc(rows * taps, sizeof(*c->value));
    c->slope = calloc(rows * taps, sizeof(*c->slope));
    c->curve = calloc(rows * taps, sizeof(*c->curve));
    return c->value != NULL && c->slope != NULL && c->curve != NULL;
}

static void coefficients_free(coefficients *c)
{
    free(c->value);
    free(c->slope);
    free(c->curve);
}

/* One row for each of the output's phases. */
static int phases_new(coefficients *c, const rc_resample_filter *filter, size_t up)
{
    double *row = malloc(filter->taps * sizeof(*row));
    int complete = coefficients_new(c, up, filter->taps) && row != NULL;
    for (size_t p = 0; complete && p < up; p++) {
        rc_resample_filter_row(filter, row, (double)p / (double)up);
        round_row(c->value + p * c->taps, row, c->taps, filter->bits, (int32_t)1 << filter->bits);
    }
    free(row);
    return complete && choose_core(c, filter, filter->bits, 2);
}

/* Lists -------------------------------------------------------------------------------------- */

static int has_value(const coefficients *c, size_t row, size_t tap)
{
    return c->value[row * c->taps + tap] != 0;
}

static int has_hi(const coefficients *c, size_t row, size_t tap)
{
    return hi_of(c, row, tap) != 0;
}

/* Pairs up the taps of a row that are not zero, those with a hi part first. `firsts` has room for
 * all taps; returns the number of pairs, and in `both` of those with a hi part. */
static size_t pair_up(const coefficients *c, size_t row, size_t distance, size_t *firsts, size_t *both)
{
    size_t count = 0;
    *both = 0;
    for (int with_hi = 1; with_hi >= 0; with_hi--) {
        size_t free_from[2] = {0, 0}; /* of even and odd taps: the first that is in no pair */
        for (size_t t = 0; t < c->taps; t++) {
            size_t *from = &free_from[distance == 2 ? t % 2 : 0], second = t + distance;
            if (t < *from || !has_value(c, row, t))
                continue;
            *from = second + 1;
            if ((has_hi(c, row, t) || (second < c->taps && has_hi(c, row, second))) != with_hi)
                continue;
            firsts[count++] = t;
            *both += (size_t)with_hi;
        }
    }
    return count;
}

static size_t pairs_in_all(const coefficients *c, size_t distance, size_t *firsts)
{
    size_t sum = 0, both;
    for (size_t row = 0; row < c->rows; row++)
        sum += pair_up(c, row, distance, firsts, &both);
    return sum;
}

int rc_resample_lists_in_place(const rc_resample_lists *lists, size_t distance)
{
    return lists->down == 2 && distance == 1;
}

/* Where the pair lies that begins with a sample. */
static uint32_t offset_of(const rc_resample_lists *l, size_t sample, size_t distance)
{
    if (rc_resample_lists_in_place(l, distance))
        return (uint32_t)sample;
    return (uint32_t)(2 * (sample % l->down * l->column + sample / l->down));
}

static void fill_lists(rc_resample_lists *l, const coefficients *c, size_t *firsts)
{
    uint32_t *offsets = l->offsets;
    int16_t *numbers = l->pairs;
    size_t down = l->down;
    for (size_t p = 0; p < c->rows; p++) {
        size_t both, count = pair_up(c, p, l->distance, firsts, &both);
        int16_t *lo = numbers, *hi = numbers + 2 * count;
        numbers += 4 * count;
        for (size_t i = 0; i < 2 * count; i++) {
            size_t tap = firsts[i / 2] + i % 2 * l->distance;
            lo[i] = tap < c->taps ? lo_of(c, p, tap) : 0;
            hi[i] = tap < c->taps ? hi_of(c, p, tap) : 0;
        }
        for (size_t column = 0; column < down; column++) {
            l->lists[p * down + column] = (rc_resample_list){c->scale, offsets, lo, hi, both, count};
            for (size_t j = 0; j < count; j++)
                *offsets++ = offset_of(l, column + firsts[j], l->distance);
        }
    }
    for (size_t column = 0; column < down; column++)
        for (size_t j = 0; j < c->taps / 2; j++)
            l->every[column * (c->taps / 2) + j] = offset_of(l, column + 2 * j, 1);
}

rc_resample_lists *rc_resample_lists_new(const rc_resample_filter *filter, size_t up, size_t down, size_t block)
{
    coefficients c;
    rc_resample_lists *l = calloc(1, sizeof(*l));
    size_t *firsts = malloc(filter->taps * sizeof(*firsts));
    int complete = phases_new(&c, filter, up) && l != NULL && firsts != NULL;
    if (complete) {
        l->down = down;
        l->distance = down == 2 && pairs_in_all(&c, 2, firsts) < pairs_in_all(&c, 1, firsts) ? 2 : 1;
        l->column = (filter->taps + block) / down + 1 + RC_RESAMPLE_SLACK / 2;
        size_t pairs = pairs_in_all(&c, l->distance, firsts);
        l->lists = malloc(up * down * sizeof(*l->lists));
        l->offsets = malloc(pairs * down * sizeof(*l->offsets));
        l->pairs = malloc(pairs * 4 * sizeof(*l->pairs));
        l->every = malloc(filter->taps / 2 * down * sizeof(*l->every));
        complete = l->lists != NULL && l->offsets != NULL && l->pairs != NULL && l->every != NULL;
    }
    if (complete)
        fill_lists(l, &c, firsts);
    coefficients_free(&c);
    free(firsts);
    if (complete)
        return l;
    rc_resample_lists_free(l);
    return NULL;
}

void rc_resample_lists_free(rc_resample_lists *l)
{
    if (l == NULL)
        return;
    free(l->lists);
    free(l->offsets);
    free(l->pairs);
    free(l->every);
    free(l);
}

/* Cycle -------------------------------------------------------------------------------------- */

static void fill_cycle(rc_resample_cycle *cycle, const coefficients *c, size_t first_tap)
{
    for (size_t k = 0; k < cycle->up; k++) {
        size_t group = k / RC_RESAMPLE_GROUP, lane = k % RC_RESAMPLE_GROUP, row = k * cycle->down % cycle->up;
        int16_t *lo = cycle->lo + 2 * (group * cycle->pairs * RC_RESAMPLE_GROUP + lane);
        int16_t *hi = cycle->hi + 2 * (group * cycle->core * RC_RESAMPLE_GROUP + lane);
        for (size_t i = 0; i < 2 * cycle->pairs; i++)
            lo[i / 2 * 2 * RC_RESAMPLE_GROUP + i % 2] = lo_of(c, row, first_tap + i);
        for (size_t i = 0; i < 2 * cycle->core; i++)
            hi[i / 2 * 2 * RC_RESAMPLE_GROUP + i % 2] = hi_of(c, row, c->core_at + i);
    }
}

rc_resample_cycle *rc_resample_cycle_new(const rc_resample_filter *filter, size_t up, size_t down)
{
    coefficients c;
    rc_resample_cycle *cycle = calloc(1, sizeof(*cycle));
    int complete = phases_new(&c, filter, up) && cycle != NULL;
    if (complete) {
        size_t groups = (up + RC_RESAMPLE_GROUP - 1) / RC_RESAMPLE_GROUP, first_tap = filter->unused / 2 * 2;
        cycle->scale = c.scale;
        cycle->up = up;
        cycle->down = down;
        cycle->pairs = (c.taps - first_tap) / 2;
        cycle->core_at = (c.core_at - first_tap) / 2;
        cycle->core = c.core / 2;
        cycle->starts = malloc(groups * RC_RESAMPLE_GROUP * sizeof(*cycle->starts));
        cycle->lo = rc_lines_new(groups * cycle->pairs * 2 * RC_RESAMPLE_GROUP * sizeof(*cycle->lo));
        cycle->hi = rc_lines_new(groups * cycle->core * 2 * RC_RESAMPLE_GROUP * sizeof(*cycle->hi));
        complete = cycle->starts != NULL && cycle->lo != NULL && cycle->hi != NULL;
        for (size_t k = 0; complete && k < groups * RC_RESAMPLE_GROUP; k++)
            cycle->starts[k] = (uint16_t)(k * down / up);
        if (complete)
            fill_cycle(cycle, &c, first_tap);
    }
    coefficients_free(&c);
    if (complete)
        return cycle;
    rc_resample_cycle_free(cycle);
    return NULL;
}

void rc_resample_cycle_free(rc_resample_cycle *cycle)
{
    if (cycle == NULL)
        return;
    free(cycle->starts);
    rc_lines_free(cycle->lo);
    rc_lines_free(cycle->hi);
    free(cycle);
}

/* Curves ------------------------------------------------------------------------------------- */

/* The parabola of each coefficient through its values at a cell's middle and at u = +-sqrt(3) / 2,
 * Chebyshev's points, which spread the error evenly. `row` is room for three rows. */
static void round_cell(coefficients *c, size_t cell, const rc_resample_filter *filter, double *row)
{
    const double far = sqrt(0.75);
    size_t taps = c->taps;
    double *before = row, *middle = row + taps, *after = row + 2 * taps;
    for (int k = 0; k < 3; k++) {
        double u = (k - 1) * far, position = ((double)cell + (1 + u) / 2) / (double)c->rows;
        rc_resample_filter_row(filter, row + (size_t)k * taps, position);
    }
    round_row(c->value + cell * taps, middle, taps, filter->curve_bits, (int32_t)1 << filter->curve_bits);
    for (size_t t = 0; t < taps; t++) {
        double slope = (after[t] - before[t]) / 2 / far, mean = (after[t] + before[t]) / 2;
        before[t] = slope;
        after[t] = (mean - middle[t]) / (far * far);
    }
    round_row(c->slope + cell * taps, before, taps, filter->curve_bits, 0);
    round_row(c->curve + cell * taps, after, taps, filter->curve_bits, 0);
}

static void fill_curves(rc_resample_curves *curves, const coefficients *c)
{
    for (size_t cell = 0; cell < c->rows; cell++) {
        int16_t *row = curves->rows + cell * curves->size;
        for (size_t t = 0; t < c->taps; t++) {
            row[t] = lo_of(c, cell, t);
            row[c->taps + t] = (int16_t)c->slope[cell * c->taps + t];
            row[2 * c->taps + t] = (int16_t)c->curve[cell * c->taps + t];
        }
        for (size_t t = 0; t < c->core; t++)
            row[3 * c->taps + t] = hi_of(c, cell, c->core_at + t);
    }
}

rc_resample_curves *rc_resample_curves_new(const rc_resample_filter *filter)
{
    coefficients c;
    rc_resample_filter smooth = *filter; /* cut off at a zero of the sinc: samples come and go without a step */
    double *row = malloc(3 * filter->taps * sizeof(*row));
    rc_resample_curves *curves = calloc(1, sizeof(*curves));
    int complete = coefficients_new(&c, filter->cells, filter->taps) && row != NULL && curves != NULL;
    smooth.end = floor(filter->half * filter->cutoff + 1e-9) / filter->cutoff;
    for (size_t cell = 0; complete && cell < c.rows; cell++)
        round_cell(&c, cell, &smooth, row);
    complete = complete && choose_core(&c, filter, filter->curve_bits, 16);
    if (complete) {
        size_t size = 3 * c.taps + c.core;
        *curves = (rc_resample_curves){c.scale, c.rows, size, filter->unused / 2 * 2, c.taps, c.core_at, c.core, NULL};
        curves->rows = rc_lines_new(c.rows * size * sizeof(*curves->rows));
        complete = curves->rows != NULL;
    }
    if (complete)
        fill_curves(curves, &c);
    coefficients_free(&c);
    free(row);
    if (complete)
        return curves;
    rc_resample_curves_free(curves);
    return NULL;
}

void rc_resample_curves_free(rc_resample_curves *curves)
{
    if (curves == NULL)
        return;
    rc_lines_free(curves->rows);
    free(curves);
}
