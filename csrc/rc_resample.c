#include "rc_resample.h"

#include "kernels/rc_resample_kernels.h"
#include "rc_cpu.h"
#include "rc_err.h"

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
/* Ratios of numbers up to this are filtered in lanes: all outputs of a phase side by side. */
#define MAX_LANES_RATIO 8
/* Sums of magnitudes with which sample * lo, and sample * hi + (lo sum >> lo_bits) + half, stay
 * within 32 bits. */
#define MAX_LO_SUM 65000
#define MAX_HI_SUM 56000

/* Output lies on a grid of `phases` positions between two input samples, with one row of
 * coefficients for each, and one more row before and two behind for interpolation. Time is
 * counted in units of which `unit` are one input sample; `unit / phases` is a whole number, and
 * so is the nominal step, which makes rational ratios exact for ever.
 *
 * A coefficient is a fixed-point number of `hi_bits + lo_bits` fractional bits. The outer ones are
 * small and fit 16 bits; the few large ones in the middle, the core, are hi * 2^lo_bits + lo.
 * Integers give the same sum in any order, and two 16-bit products cost what one of floats does.
 */
struct rc_resample {
    uint32_t rate_in, rate_out;
    double delay; /* input samples */
    size_t taps, phases;
    size_t up, down;     /* the ratio in lowest terms */
    size_t core_at, core; /* the taps that have a hi part */
    int hi_bits, lo_bits;
    uint64_t unit, step, nominal_step;
    uint64_t next; /* position of the next output, counted from the next input sample */
    uint64_t clipped;
    int16_t *lo;    /* (phases + 3) rows of `taps`: row r is for position (r - 1) / phases */
    int16_t *hi;    /* the same rows of `core` */
    int16_t *input; /* taps - 1 samples of history, then up to BLOCK new ones */

    /* For filtering in lanes; NULL when the ratio is not for it. */
    int16_t *lanes;  /* the input as pairs in `down` columns */
    size_t column;   /* pairs in a column */
    size_t distance; /* from a pair's first sample to its second */
    rc_resample_list *lists; /* of phase p for an input position of remainder r: lists[p * down + r] */
    uint32_t *offsets;
    int16_t *pairs;
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
    int bits; /* fractional bits of a coefficient: their rounding stays 20 dB below the filter */
} grade_design;

/* The fast one's edges lie around the Nyquist frequency: its zeros fall on the grid, and between
 * a half and two thirds of its coefficients need no work. */
static const grade_design designs[] = {
    [RC_RESAMPLE_FAST] = {0.9, 1.1, 80.5, 20},
    [RC_RESAMPLE_BEST] = {0.912, 1.0, 100.5, 21},
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

/* Half the width is the delay. For simple ratios it is a whole number of grid positions, so that
 * the filter's middle is on the grid; for others it is a zero of the sinc, so that the window's
 * edges, which each phase cuts elsewhere, cut nothing. The window is then made for the attenuation
 * that this width gives, less a quarter of a decibel: beyond, its main lobe would be too wide. */
static filter design(double rate_in, double rate_out, uint32_t up, rc_resample_grade grade)
{
    const grade_design *want = &designs[grade];
    double narrower = rate_out < rate_in ? rate_out / rate_in : 1;
    double transition = PI * narrower * (want->stop - want->pass);
    /* at equal rates there is no alias: a sinc with its zeros on the samples passes them as they are */
    double cutoff = rate_in == rate_out ? 1 : narrower * (want->pass + want->stop) / 2;
    double spacing = up <= MAX_LANES_RATIO ? 1.0 / up : 1 / cutoff;
    double half = ceil((want->attenuation - 8) / (2.285 * transition) / 2 / spacing) * spacing;
    double attenuation = 8 + 2.285 * transition * 2 * half - 0.25;
    return (filter){cutoff, 0.1102 * (attenuation - 8.7), half};
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

/* Rounds a row; the rounding is made up for in the largest coefficient, so that the row's sum, its
 * gain at frequency zero, is exactly 1. */
static void round_row(int32_t *rounded, const double *row, size_t taps, int bits)
{
    int32_t sum = 0;
    size_t largest = 0;
    for (size_t t = 0; t < taps; t++) {
        rounded[t] = (int32_t)lround(row[t] * (double)((int32_t)1 << bits));
        sum += rounded[t];
        if (abs(rounded[t]) > abs(rounded[largest]))
            largest = t;
    }
    rounded[largest] += ((int32_t)1 << bits) - sum;
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

/* Whether a row's parts fit 16 bits and their sums the limits, with the core and bits as they are. */
static int row_fits(const rc_resample *r, const int32_t *row)
{
    int32_t hi_sum = 0, lo_sum = 0;
    for (size_t t = 0; t < r->taps; t++) {
        int in_core = t >= r->core_at && t < r->core_at + r->core;
        int32_t hi = in_core ? hi_part(row[t], r->lo_bits) : 0, lo = in_core ? lo_part(row[t], r->lo_bits) : row[t];
        if (t % RC_RESAMPLE_SEGMENT == 0)
            lo_sum = 0;
        if (in_core && (t - r->core_at) % RC_RESAMPLE_SEGMENT == 0)
            hi_sum = 0;
        hi_sum += abs(hi);
        lo_sum += abs(lo);
        if (abs(hi) > INT16_MAX || abs(lo) > INT16_MAX || hi_sum > MAX_HI_SUM || lo_sum > MAX_LO_SUM)
            return 0;
    }
    return 1;
}

/* Finds the smallest core, for the finest hi part, with which every row fits. */
static void choose_core(rc_resample *r, const int32_t *table, int bits)
{
    size_t rows = r->phases + 3, middle = r->taps - 1 - (size_t)r->delay;
    for (r->hi_bits = 15;; r->hi_bits--) {
        r->lo_bits = bits - r->hi_bits;
        for (r->core = 8; r->core <= r->taps; r->core += 8) {
            r->core_at = middle > r->core / 2 ? middle - r->core / 2 : 0;
            if (r->core_at + r->core > r->taps)
                r->core_at = r->taps - r->core;
            size_t row = 0;
            while (row < rows && row_fits(r, table + row * r->taps))
                row++;
            if (row == rows)
                return;
        }
    }
}

static void split_row(rc_resample *r, size_t index, const int32_t *row)
{
    int16_t *lo = r->lo + index * r->taps, *hi = r->hi + index * r->core;
    for (size_t t = 0; t < r->taps; t++)
        lo[t] = (int16_t)row[t];
    for (size_t t = r->core_at; t < r->core_at + r->core; t++) {
        hi[t - r->core_at] = (int16_t)hi_part(row[t], r->lo_bits);
        lo[t] = (int16_t)lo_part(row[t], r->lo_bits);
    }
}

/* Lists ------------------------------------------------------------------------------------- */

/* Tap pairs of a row that are not zero, those with a hi part first, as (first tap, both parts of
 * both taps). Returns their number; `pairs` may be NULL. */
typedef struct {
    size_t first;
    int16_t lo[2], hi[2];
} tap_pair;

static size_t list_pairs(const rc_resample *r, size_t index, size_t distance, tap_pair *pairs, size_t *both)
{
    size_t count = 0;
    *both = 0;
    for (int with_hi = 1; with_hi >= 0; with_hi--) {
        uint8_t done[RC_RESAMPLE_SEGMENT + 2] = {0};
        for (size_t t = 0; t < r->taps; t++) {
            tap_pair pair = {t, {0, 0}, {0, 0}};
            if (done[t])
                continue;
            for (size_t k = 0; k < 2 && t + k * distance < r->taps; k++) {
                size_t tap = t + k * distance;
                pair.lo[k] = r->lo[index * r->taps + tap];
                if (tap >= r->core_at && tap < r->core_at + r->core)
                    pair.hi[k] = r->hi[index * r->core + tap - r->core_at];
            }
            int has_first = pair.lo[0] != 0 || pair.hi[0] != 0, has_hi = pair.hi[0] != 0 || pair.hi[1] != 0;
            if (!has_first)
                continue;
            done[t + distance] = 1;
            if (has_hi != with_hi)
                continue;
            if (pairs != NULL)
                pairs[count] = pair;
            count++;
            *both += (size_t)has_hi;
        }
    }
    return count;
}

/* Rows of the phases of the output: every (phases / up)th. */
static size_t row_of_phase(const rc_resample *r, size_t phase)
{
    return 1 + phase * (r->phases / r->up);
}

static size_t pairs_in_all(const rc_resample *r, size_t distance)
{
    size_t sum = 0, both;
    for (size_t p = 0; p < r->up; p++)
        sum += list_pairs(r, row_of_phase(r, p), distance, NULL, &both);
    return sum;
}

/* The input itself can be the column of pairs. */
static int input_is_lanes(const rc_resample *r)
{
    return r->up == 1 && r->down == 2 && r->distance == 1;
}

static void fill_lists(rc_resample *r, tap_pair *found)
{
    uint32_t *offsets = r->offsets;
    int16_t *coefficients = r->pairs;
    for (size_t p = 0; p < r->up; p++) {
        size_t both, count = list_pairs(r, row_of_phase(r, p), r->distance, found, &both);
        int16_t *lo = coefficients, *hi = coefficients + 2 * count;
        coefficients += 4 * count;
        for (size_t j = 0; j < count; j++) {
            memcpy(lo + 2 * j, found[j].lo, sizeof(found[j].lo));
            memcpy(hi + 2 * j, found[j].hi, sizeof(found[j].hi));
        }
        for (size_t rest = 0; rest < r->down; rest++) {
            r->lists[p * r->down + rest] = (rc_resample_list){offsets, lo, hi, both, count, r->hi_bits, r->lo_bits};
            for (size_t j = 0; j < count; j++) {
                size_t at = rest + found[j].first;
                *offsets++ = (uint32_t)(input_is_lanes(r) ? at : 2 * (at % r->down * r->column + at / r->down));
            }
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

/* What filtering in lanes needs beside the table. */
static int lists_new(rc_resample *r)
{
    r->distance = r->down == 2 && pairs_in_all(r, 2) < pairs_in_all(r, 1) ? 2 : 1;
    size_t pairs = pairs_in_all(r, r->distance);
    tap_pair *found = malloc(r->taps * sizeof(*found));
    r->column = (r->taps + BLOCK) / r->down + 1 + RC_RESAMPLE_SLACK / 2;
    r->lanes = calloc(r->column * r->down * 2, sizeof(int16_t));
    r->lists = malloc(r->up * r->down * sizeof(*r->lists));
    r->offsets = malloc(pairs * r->down * sizeof(*r->offsets));
    r->pairs = malloc(pairs * 4 * sizeof(*r->pairs));
    int complete = found != NULL && r->lanes != NULL && r->lists != NULL && r->offsets != NULL && r->pairs != NULL;
    if (complete)
        fill_lists(r, found);
    free(found);
    return complete;
}

static int table_new(rc_resample *r, const filter *f, int bits)
{
    size_t rows = r->phases + 3;
    double *row = malloc(r->taps * sizeof(*row));
    int32_t *table = malloc(rows * r->taps * sizeof(*table));
    int complete = row != NULL && table != NULL;
    for (size_t index = 0; complete && index < rows; index++) {
        evaluate_row(row, r, f, ((double)index - 1) / (double)r->phases);
        round_row(table + index * r->taps, row, r->taps, bits);
    }
    if (complete) {
        choose_core(r, table, bits);
        r->lo = malloc(rows * r->taps * sizeof(*r->lo));
        r->hi = malloc(rows * r->core * sizeof(*r->hi));
        complete = r->lo != NULL && r->hi != NULL;
    }
    for (size_t index = 0; complete && index < rows; index++)
        split_row(r, index, table + index * r->taps);
    free(row);
    free(table);
    return complete;
}

rc_resample *rc_resample_new(uint32_t rate_in, uint32_t rate_out, rc_resample_grade grade)
{
    if (!rate_is_valid(rate_in) || !rate_is_valid(rate_out) || grade < RC_RESAMPLE_FAST || grade > RC_RESAMPLE_BEST)
        return NULL;
    rc_resample *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    uint32_t divisor = common_divisor(rate_in, rate_out), up = rate_out / divisor, down = rate_in / divisor;
    filter f = design(rate_in, rate_out, up, grade);
    r->rate_in = rate_in;
    r->rate_out = rate_out;
    r->up = up;
    r->down = down;
    r->delay = f.half;
    r->taps = ((size_t)(2 * f.half) + 1 + 7) / 8 * 8;
    r->phases = choose_phases(up, down, r->taps);
    int scale = 0;
    while ((uint64_t)up << (scale + 1) <= (uint64_t)1 << 36)
        scale++;
    r->unit = (uint64_t)up << scale;
    r->step = r->nominal_step = (uint64_t)down << scale;
    r->input = calloc(r->taps - 1 + BLOCK + RC_RESAMPLE_SLACK, sizeof(int16_t));
    int in_lanes = up <= MAX_LANES_RATIO && down <= MAX_LANES_RATIO && r->taps <= RC_RESAMPLE_SEGMENT;
    if (r->input == NULL || !table_new(r, &f, designs[grade].bits) || (in_lanes && !lists_new(r))) {
        rc_resample_free(r);
        return NULL;
    }
    return r;
}

void rc_resample_free(rc_resample *r)
{
    if (r == NULL)
        return;
    free(r->lo);
    free(r->hi);
    free(r->input);
    free(r->lanes);
    free(r->lists);
    free(r->offsets);
    free(r->pairs);
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

static void plain_dot4(int32_t sums[4], const int16_t *const coefficients[4], const int16_t *const samples[4],
                       size_t count)
{
    for (int k = 0; k < 4; k++) {
        int32_t sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += coefficients[k][i] * samples[k][i];
        sums[k] = sum;
    }
}

/* The best kernels for this machine. */
static rc_resample_dot4 *dot4_kernel(void)
{
    unsigned features = rc_cpu_features();
#ifdef RC_X86
    if (features & RC_CPU_AVX512_VNNI)
        return rc_resample_dot4_avx512;
    if (features & RC_CPU_AVX2)
        return rc_resample_dot4_avx2;
#endif
#ifdef RC_ARM64
    if (features & RC_CPU_NEON)
        return rc_resample_dot4_neon;
#endif
    (void)features;
    return plain_dot4;
}

static rc_resample_grid *grid_kernel(void)
{
    unsigned features = rc_cpu_features();
#ifdef RC_X86
    if (features & RC_CPU_AVX512_VNNI)
        return rc_resample_grid_avx512;
    if (features & RC_CPU_AVX2)
        return rc_resample_grid_avx2;
#endif
    (void)features;
    return NULL;
}

static rc_resample_lanes *lanes_kernel(void)
{
    unsigned features = rc_cpu_features();
#ifdef RC_X86
    if (features & RC_CPU_AVX512_VNNI)
        return rc_resample_lanes_avx512;
    if (features & RC_CPU_AVX2)
        return rc_resample_lanes_avx2;
#endif
    (void)features;
    return NULL;
}

/* Adds four sums of products, of any length, times `weight`. */
static void add_products(int64_t totals[4], rc_resample_dot4 *dot4, const int16_t *const coefficients[4],
                         const int16_t *const samples[4], size_t count, int64_t weight)
{
    for (size_t t = 0; t < count; t += RC_RESAMPLE_SEGMENT) {
        const int16_t *c[4], *x[4];
        int32_t sums[4];
        for (int k = 0; k < 4; k++) {
            c[k] = coefficients[k] + t;
            x[k] = samples[k] + t;
        }
        dot4(sums, c, x, count - t < RC_RESAMPLE_SEGMENT ? count - t : RC_RESAMPLE_SEGMENT);
        for (int k = 0; k < 4; k++)
            totals[k] += sums[k] * weight;
    }
}

/* Four outputs as fixed-point numbers of hi_bits + lo_bits fractional bits. */
static void filter_four(const rc_resample *r, rc_resample_dot4 *dot4, int64_t totals[4], const size_t rows[4],
                        const int16_t *const windows[4])
{
    const int16_t *lo[4], *hi[4], *core[4];
    for (int k = 0; k < 4; k++) {
        lo[k] = r->lo + rows[k] * r->taps;
        hi[k] = r->hi + rows[k] * r->core;
        core[k] = windows[k] + r->core_at;
        totals[k] = 0;
    }
    add_products(totals, dot4, lo, windows, r->taps, 1);
    add_products(totals, dot4, hi, core, r->core, (int64_t)1 << r->lo_bits);
}

static int16_t limited(rc_resample *r, int64_t sample)
{
    if (sample >= INT16_MIN && sample <= INT16_MAX)
        return (int16_t)sample;
    r->clipped++;
    return sample < 0 ? INT16_MIN : INT16_MAX;
}

static rc_resample_table table_of(const rc_resample *r)
{
    return (rc_resample_table){r->lo, r->hi, r->taps, r->core_at, r->core, r->phases, r->hi_bits, r->lo_bits};
}

static rc_resample_walk walk_of(const rc_resample *r)
{
    uint64_t cell = r->unit / r->phases;
    return (rc_resample_walk){(size_t)(r->next / r->unit), (size_t)(r->next % r->unit / cell),
                              (size_t)(r->step / r->unit), (size_t)(r->step % r->unit / cell)};
}

/* Outputs on grid points: one row each. */
static void filter_on_grid(rc_resample *r, int16_t *out, size_t made)
{
    rc_resample_dot4 *dot4 = dot4_kernel();
    rc_resample_table table = table_of(r);
    rc_resample_walk walk = walk_of(r);
    int bits = r->hi_bits + r->lo_bits;
    int64_t half = (int64_t)1 << (bits - 1);
    for (size_t i = 0; i < made; i += 4) {
        size_t rows[4], count = made - i < 4 ? made - i : 4;
        const int16_t *windows[4];
        int64_t totals[4];
        for (size_t k = 0; k < 4; k++) {
            rows[k] = walk.phase + 1;
            windows[k] = r->input + walk.at;
            if (k < count) /* else nothing is left: the same once more */
                rc_resample_step(&walk, &table);
        }
        filter_four(r, dot4, totals, rows, windows);
        for (size_t k = 0; k < count; k++)
            out[i + k] = limited(r, (totals[k] + half) >> bits);
    }
}

/* Outputs between grid points: the cubic through the outputs of the four rows around each. */
static void filter_between(rc_resample *r, int16_t *out, size_t made)
{
    rc_resample_dot4 *dot4 = dot4_kernel();
    uint64_t cell = r->unit / r->phases, position = r->next;
    double one = (double)((int64_t)1 << (r->hi_bits + r->lo_bits));
    for (size_t i = 0; i < made; i++, position += r->step) {
        const int16_t *window = r->input + position / r->unit, *windows[4] = {window, window, window, window};
        size_t row = (size_t)(position % r->unit / cell), rows[4] = {row, row + 1, row + 2, row + 3};
        double t = (double)(position % cell) / (double)cell;
        int64_t totals[4];
        filter_four(r, dot4, totals, rows, windows);
        double sum = -t * (t - 1) * (t - 2) / 6 * (double)totals[0];
        sum += (t + 1) * (t - 1) * (t - 2) / 2 * (double)totals[1];
        sum += -(t + 1) * t * (t - 2) / 2 * (double)totals[2];
        sum += (t + 1) * t * (t - 1) / 6 * (double)totals[3];
        out[i] = limited(r, (int64_t)floor(sum / one + 0.5));
    }
}

/* Column c holds the pairs that begin at x[c], x[c + down], ...; inlined with constants. */
static inline void fill_columns(const rc_resample *r, size_t down, size_t distance, size_t samples)
{
    for (size_t c = 0; c < down; c++) {
        const int16_t *from = r->input + c;
        int16_t *pair = r->lanes + c * r->column * 2;
        size_t count = (samples - c + down - 1) / down;
        for (size_t i = 0; i < count; i++) {
            pair[2 * i] = from[i * down];
            pair[2 * i + 1] = from[i * down + distance];
        }
    }
}

static void fill_lanes(const rc_resample *r, size_t samples)
{
    if (r->down == 1)
        fill_columns(r, 1, 1, samples);
    else if (r->down == 2 && r->distance == 2)
        fill_columns(r, 2, 2, samples);
    else if (!input_is_lanes(r))
        fill_columns(r, r->down, r->distance, samples);
}

/* All outputs of each phase side by side: output p + i * up sees the input `down` samples further
 * on than output p + (i - 1) * up, with the same coefficients. */
static void filter_in_lanes(rc_resample *r, rc_resample_lanes *kernel, int16_t *out, size_t made, size_t count)
{
    int16_t side[BLOCK + 1];
    const int16_t *lanes = input_is_lanes(r) ? r->input : r->lanes;
    fill_lanes(r, r->taps - 1 + count);
    for (size_t p = 0; p < r->up; p++) {
        uint64_t position = r->next + p * r->step;
        size_t at = (size_t)(position / r->unit), outputs = (made - p + r->up - 1) / r->up;
        size_t phase = (size_t)(position % r->unit / (r->unit / r->up));
        const rc_resample_list *list = &r->lists[phase * r->down + at % r->down];
        r->clipped += kernel(r->up == 1 ? out : side, outputs, list, lanes + at / r->down * 2);
        for (size_t i = 0; r->up > 1 && i < outputs; i++)
            out[p + i * r->up] = side[i];
    }
}

/* Whether all outputs fall on grid points. */
static int is_on_grid(const rc_resample *r)
{
    uint64_t cell = r->unit / r->phases;
    return r->next % cell == 0 && r->step % cell == 0;
}

/* Whether they also fall on the ratio's own phases, enough on each to fill registers. */
static int is_for_lanes(const rc_resample *r, size_t made)
{
    return r->lanes != NULL && r->step == r->nominal_step && made >= 8 * r->up && r->next % (r->unit / r->up) == 0;
}

/* Makes the output that falls on `count` new samples at the end of the history. */
static size_t filter_block(rc_resample *r, int16_t *out, size_t count)
{
    size_t made = rc_resample_count(r, count);
    rc_resample_lanes *lanes = lanes_kernel();
    rc_resample_grid *grid = grid_kernel();
    if (lanes != NULL && is_for_lanes(r, made)) {
        filter_in_lanes(r, lanes, out, made, count);
    } else if (!is_on_grid(r)) {
        filter_between(r, out, made);
    } else if (grid != NULL && r->taps <= RC_RESAMPLE_SEGMENT) {
        rc_resample_table table = table_of(r);
        r->clipped += grid(out, made, &table, walk_of(r), r->input);
    } else {
        filter_on_grid(r, out, made);
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
