#include "rc_resample.h"

#include "kernels/rc_resample_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846

/* Input samples filtered at a time, behind the history that the filter needs. */
#define BLOCK 1024
/* Coefficients of an exact table; beyond, rows are interpolated (odd ratios such as 8001:44100). */
#define MAX_TABLE 65536
/* Positions between two samples of the narrower rate that interpolation needs: cubic
 * interpolation on this grid errs by less than -110 dB. */
#define GRID 32
/* A sample of either sign times coefficients of this sum fits 31 bits, with room for rounding. */
#define MAX_SUM 65000

/* Output lies on a grid of `phases` positions between two input samples, with one row of
 * coefficients for each, and one more row before and two behind for interpolation. Time is
 * counted in units of which `unit` are one input sample; `unit / phases` is a whole number, and
 * so is the nominal step, which makes rational ratios exact for ever.
 *
 * A coefficient is a fixed-point number of `hi_bits + lo_bits` fractional bits in two 16-bit
 * halves, value = hi * 2^lo_bits + lo: one 16-bit multiply-add cannot hold 80 dB, two hold 120,
 * twice as fast as float would be, and integers give the same sum in any order.
 */
struct rc_resample {
    uint32_t rate_in, rate_out;
    double delay; /* input samples */
    size_t taps, phases;
    int hi_bits, lo_bits;
    uint64_t unit, step;
    uint64_t next;  /* position of the next output, counted from the next input sample */
    uint64_t clipped;
    int16_t *hi, *lo; /* (phases + 3) rows of `taps`: row r is for position (r - 1) / phases */
    int16_t *input;   /* taps - 1 samples of history, then up to BLOCK new ones */
};

/* Design -------------------------------------------------------------------------------------
 *
 * A sinc low-pass under a Kaiser window; J. F. Kaiser's formulas (1974), as in A. V. Oppenheim
 * and R. W. Schafer, Discrete-Time Signal Processing, section 7.5.3: for A dB and a transition
 * of w radians, beta = 0.1102 (A - 8.7) and length = (A - 8) / (2.285 w) + 1.
 */
typedef struct {
    double pass, stop; /* band edges as parts of the narrower Nyquist frequency */
    double attenuation;
} grade_design;

static const grade_design designs[] = {
    [RC_RESAMPLE_FAST] = {0.9, 1.1, 80.5},
    [RC_RESAMPLE_BEST] = {0.912, 1.0, 100.5},
};

typedef struct {
    double cutoff; /* part of the input's Nyquist frequency */
    double beta;
    double half; /* half width, input samples */
} filter;

static double bessel_i0(double x)
{
    double sum = 1, term = 1;
    for (int k = 1; term > sum * 1e-17; k++) {
        term *= x / 2 / k * (x / 2 / k);
        sum += term;
    }
    return sum;
}

static filter design(double rate_in, double rate_out, rc_resample_grade grade)
{
    const grade_design *want = &designs[grade];
    double narrower = rate_out < rate_in ? rate_out / rate_in : 1;
    double transition = PI * narrower * (want->stop - want->pass);
    double width = ceil((want->attenuation - 8) / (2.285 * transition));
    double cutoff = narrower * (want->pass + want->stop) / 2;
    if (rate_in == rate_out) { /* a sinc with its zeros on the samples passes them as they are */
        cutoff = 1;
        width = ceil(width / 2) * 2;
    }
    return (filter){cutoff, 0.1102 * (want->attenuation - 8.7), width / 2};
}

static double impulse_response(const filter *f, double at)
{
    double edge = at / f->half;
    if (edge < -1 || edge > 1)
        return 0;
    double x = PI * f->cutoff * at;
    double sinc = fabs(x) < 1e-9 ? 1 : sin(x) / x;
    return f->cutoff * sinc * bessel_i0(f->beta * sqrt(1 - edge * edge)) / bessel_i0(f->beta);
}

/* One row as doubles of sum 1; the newest input sample meets the last coefficient. */
static void evaluate_row(double *row, const rc_resample *r, const filter *f, double position)
{
    double sum = 0;
    for (size_t t = 0; t < r->taps; t++) {
        row[t] = impulse_response(f, (double)(r->taps - 1 - t) + position - r->delay);
        sum += row[t];
    }
    for (size_t t = 0; t < r->taps; t++)
        row[t] /= sum;
}

/* Rounds a row and splits it; the rounding is made up for in the largest coefficient, so that
 * the row's sum, its gain at frequency zero, is exactly 1. */
static void store_row(rc_resample *r, size_t index, const double *row)
{
    int32_t one = (int32_t)1 << (r->hi_bits + r->lo_bits), half = (int32_t)1 << (r->lo_bits - 1), sum = 0;
    size_t largest = 0;
    for (size_t t = 0; t < r->taps; t++) {
        sum += (int32_t)lround(row[t] * one);
        if (fabs(row[t]) > fabs(row[largest]))
            largest = t;
    }
    int16_t *hi = r->hi + index * r->taps, *lo = r->lo + index * r->taps;
    for (size_t t = 0; t < r->taps; t++) {
        int32_t value = (int32_t)lround(row[t] * one) + (t == largest ? one - sum : 0);
        hi[t] = (int16_t)((value + half) >> r->lo_bits);
        lo[t] = (int16_t)(value - hi[t] * (half * 2));
    }
}

/* Whether every segment's sum of magnitudes, and so every intermediate result, has room. */
static int row_has_room(const rc_resample *r, size_t index)
{
    const int16_t *hi = r->hi + index * r->taps, *lo = r->lo + index * r->taps;
    int32_t hi_sum = 0, lo_sum = 0;
    for (size_t t = 0; t < r->taps; t++) {
        if (t % RC_RESAMPLE_SEGMENT == 0)
            hi_sum = lo_sum = 0;
        hi_sum += abs(hi[t]);
        lo_sum += abs(lo[t]);
        if (hi_sum > MAX_SUM || lo_sum > MAX_SUM)
            return 0;
    }
    return 1;
}

/* `row` has room for one row. */
static void build_table(rc_resample *r, const filter *f, double *row)
{
    size_t rows = r->phases + 3, segment = r->taps < RC_RESAMPLE_SEGMENT ? r->taps : RC_RESAMPLE_SEGMENT;
    /* A half of lo_bits is at most 2^(lo_bits - 1) large; a coefficient is 1 at most, so that
     * 14 bits always fit, and 15 where the sum leaves room. */
    r->lo_bits = 1;
    while (segment << r->lo_bits <= MAX_SUM)
        r->lo_bits++;
    r->hi_bits = f->cutoff < 0.99 ? 15 : 14;
    for (size_t index = 0; index < rows; index++) {
        evaluate_row(row, r, f, ((double)index - 1) / (double)r->phases);
        store_row(r, index, row);
        if (!row_has_room(r, index)) {
            r->hi_bits--;
            index = (size_t)-1; /* again from the first row */
        }
    }
}

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

/* The finest grid that the ratio asks for, made fine enough to interpolate on. */
static size_t choose_phases(uint32_t up, uint32_t down, size_t taps)
{
    size_t wanted = up < down ? (size_t)GRID * up / down + 1 : GRID;
    size_t phases = up * taps <= MAX_TABLE ? up : 1;
    while (phases < wanted)
        phases *= 2;
    return phases;
}

rc_resample *rc_resample_new(uint32_t rate_in, uint32_t rate_out, rc_resample_grade grade)
{
    if (!rate_is_valid(rate_in) || !rate_is_valid(rate_out) || grade < RC_RESAMPLE_FAST || grade > RC_RESAMPLE_BEST)
        return NULL;
    rc_resample *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    uint32_t divisor = common_divisor(rate_in, rate_out), up = rate_out / divisor, down = rate_in / divisor;
    filter f = design(rate_in, rate_out, grade);
    r->rate_in = rate_in;
    r->rate_out = rate_out;
    r->delay = f.half;
    r->taps = ((size_t)(2 * f.half) + 1 + 7) / 8 * 8;
    r->phases = choose_phases(up, down, r->taps);
    int scale = 0;
    while ((uint64_t)up << (scale + 1) <= (uint64_t)1 << 36)
        scale++;
    r->unit = (uint64_t)up << scale;
    r->step = (uint64_t)down << scale;
    size_t table = (r->phases + 3) * r->taps;
    r->hi = malloc(table * sizeof(int16_t));
    r->lo = malloc(table * sizeof(int16_t));
    r->input = calloc(r->taps - 1 + BLOCK, sizeof(int16_t));
    double *row = malloc(r->taps * sizeof(double));
    if (r->hi == NULL || r->lo == NULL || r->input == NULL || row == NULL) {
        free(row);
        rc_resample_free(r);
        return NULL;
    }
    build_table(r, &f, row);
    free(row);
    return r;
}

void rc_resample_free(rc_resample *r)
{
    if (r == NULL)
        return;
    free(r->hi);
    free(r->lo);
    free(r->input);
    free(r);
}

static void start_anew(rc_resample *r)
{
    memset(r->input, 0, (r->taps - 1) * sizeof(int16_t));
    r->next = 0;
}

void rc_resample_reset(rc_resample *r)
{
    start_anew(r);
    r->clipped = 0;
}

/* Filtering ---------------------------------------------------------------------------------- */

/* The filter's output as a fixed-point number of hi_bits + lo_bits fractional bits. */
static int64_t filter_with(const rc_resample *r, size_t row, const int16_t *window)
{
    const int16_t *hi = r->hi + row * r->taps, *lo = r->lo + row * r->taps;
    int64_t sum = 0;
    for (size_t t = 0; t < r->taps; t += RC_RESAMPLE_SEGMENT) {
        size_t count = r->taps - t < RC_RESAMPLE_SEGMENT ? r->taps - t : RC_RESAMPLE_SEGMENT;
        int32_t halves[2];
        rc_resample_dot(halves, hi + t, lo + t, window + t, count);
        sum += (int64_t)halves[0] * ((int64_t)1 << r->lo_bits) + halves[1];
    }
    return sum;
}

static int16_t limited(rc_resample *r, int64_t sample)
{
    if (sample >= INT16_MIN && sample <= INT16_MAX)
        return (int16_t)sample;
    r->clipped++;
    return sample < 0 ? INT16_MIN : INT16_MAX;
}

/* Output on the grid: one row. */
static int16_t sample_on_grid(rc_resample *r, size_t row, const int16_t *window)
{
    int bits = r->hi_bits + r->lo_bits;
    return limited(r, (filter_with(r, row, window) + ((int64_t)1 << (bits - 1))) >> bits);
}

/* Output between grid points: the cubic through the outputs of the four rows around it. */
static int16_t sample_between(rc_resample *r, size_t row, double t, const int16_t *window)
{
    double weights[4] = {
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    };
    double sum = 0;
    for (size_t i = 0; i < 4; i++)
        sum += weights[i] * (double)filter_with(r, row - 1 + i, window);
    double one = (double)((int64_t)1 << (r->hi_bits + r->lo_bits));
    return limited(r, (int64_t)floor(sum / one + 0.5));
}

/* Makes the output that falls on `count` new samples at the end of the history. */
static size_t filter_block(rc_resample *r, int16_t *out, size_t count)
{
    uint64_t cell = r->unit / r->phases;
    size_t made = rc_resample_count(r, count), at = (size_t)(r->next / r->unit);
    size_t whole = (size_t)(r->step / r->unit);
    uint64_t fraction = r->next % r->unit, part = r->step % r->unit;
    for (size_t i = 0; i < made; i++) {
        size_t row = (size_t)(fraction / cell) + 1;
        uint64_t beside = fraction % cell;
        out[i] = beside == 0 ? sample_on_grid(r, row, r->input + at)
                             : sample_between(r, row, (double)beside / (double)cell, r->input + at);
        at += whole;
        fraction += part;
        if (fraction >= r->unit) {
            fraction -= r->unit;
            at++;
        }
    }
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
    size_t made = 0, history = r->taps - 1;
    while (count > 0) {
        size_t block = count < BLOCK ? count : BLOCK;
        if (in != NULL) {
            memcpy(r->input + history, in, block * sizeof(int16_t));
            in += block;
        } else {
            memset(r->input + history, 0, block * sizeof(int16_t));
        }
        made += filter_block(r, out + made, block);
        memmove(r->input, r->input + block, history * sizeof(int16_t));
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
    return (size_t)ceil(r->delay);
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
    return r->delay;
}

double rc_resample_delay_out(const rc_resample *r)
{
    return r->delay * r->rate_out / r->rate_in;
}

uint64_t rc_resample_clipped(const rc_resample *r)
{
    return r->clipped;
}
