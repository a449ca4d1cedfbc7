/* The resampler's inner loops, for three arrangements of its filter's coefficients.
 *
 * A coefficient is a fixed-point number of hi_bits + lo_bits fractional bits. The outer ones are
 * small and fit 16 bits; the few large ones in the middle, the core, are hi * 2^lo_bits + lo. All
 * sums are of integers that cannot overflow 32 bits, so their order does not matter and every
 * implementation gives the same output, which is
 *
 *     (sum of hi * x + (sum of lo * x >> lo_bits) + half) >> hi_bits, limited to 16 bits.
 */
#ifndef RC_RESAMPLE_KERNELS_H
#define RC_RESAMPLE_KERNELS_H

#include "rc_target.h"

#include <stddef.h>
#include <stdint.h>

/* Samples beyond what an output depends on that kernels may read, after the last and before the
 * first; and values of u after the last. */
#define RC_RESAMPLE_SLACK 64

typedef struct {
    int hi_bits, lo_bits;
} rc_resample_scale;

/* One phase of the filter as a list of tap pairs without those that are zero. Pair j of output i
 * meets the two samples at lanes + offsets[j] + 2 * i; the hi parts are zero from pair `both` on. */
typedef struct {
    rc_resample_scale scale;
    const uint32_t *offsets;
    const int16_t *lo, *hi; /* two for each pair */
    size_t both, pairs;
} rc_resample_list;

/* All phases in the order of the outputs, which begin anew after `up` of them and `down` input
 * samples, in groups of 16 lanes: lo[group][pair][lane][2], and hi the same of `core` pairs from
 * pair core_at on. Output k's first sample is starts[k] after that of output 0; ratios of at most
 * 2 input samples to an output, so that a group's samples are near each other. */
enum { RC_RESAMPLE_GROUP = 16 };
typedef struct {
    rc_resample_scale scale;
    size_t up, down, pairs, core_at, core;
    uint16_t *starts;
    int16_t *lo, *hi;
} rc_resample_cycle;

/* The filter between its phases: for each of `cells` parts of an input sample a row of `size`
 * numbers, which are `taps` of lo, slope and curve each, zero before `first`, and `core` of hi, for
 * the taps from core_at on. With u / 2^15 from -1 to 1 in a cell, what the slopes and curves add to the sum of lo is
 *
 *     ((((sum of curve * x) >> 15) * u + sum of slope * x) >> 15) * u. */
typedef struct {
    rc_resample_scale scale;
    size_t cells, size, first, taps, core_at, core;
    int16_t *rows;
} rc_resample_curves;

/* Where outputs lie: their first samples, cells, and u in them. */
enum { RC_RESAMPLE_POINTS = 64 };
typedef struct {
    uint32_t at[RC_RESAMPLE_POINTS], cell[RC_RESAMPLE_POINTS];
    int32_t u[RC_RESAMPLE_POINTS];
} rc_resample_points;

/* Each makes `count` outputs and returns how many had to be limited. */
typedef struct {
    /* Outputs of one phase. */
    size_t (*lanes)(int16_t *out, size_t count, const rc_resample_list *list, const int16_t *lanes);
    /* Outputs from number k of the cycle on, whose first sample is x. */
    size_t (*cycle)(int16_t *out, size_t count, const rc_resample_cycle *cycle, size_t k, const int16_t *x);
    /* Outputs in one cell, laid out like those of a list with a pair for every two taps. */
    size_t (*run)(int16_t *out, size_t count, const rc_resample_curves *curves, size_t cell, const int32_t *u,
                  const uint32_t *offsets, const int16_t *lanes);
    /* Outputs anywhere; what follows the last point up to a multiple of 4 lies in the input too. */
    size_t (*points)(int16_t *out, size_t count, const rc_resample_curves *curves, const rc_resample_points *points,
                     const int16_t *input);
} rc_resample_kernels;

extern const rc_resample_kernels rc_resample_plain;
#ifdef RC_X86
extern const rc_resample_kernels rc_resample_avx2, rc_resample_avx512;
#endif
#ifdef RC_ARM64
extern const rc_resample_kernels rc_resample_neon;
#endif

#endif
