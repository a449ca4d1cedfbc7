/* The resampler's inner loops. All sums are of integers that cannot overflow 32 bits, so their
 * order does not matter and every implementation gives the same output. */
#ifndef RC_RESAMPLE_KERNELS_H
#define RC_RESAMPLE_KERNELS_H

#include "rc_target.h"

#include <stddef.h>
#include <stdint.h>

/* Coefficients whose products are summed in 32 bits at most. */
#define RC_RESAMPLE_SEGMENT 512

/* Four sums of `count` products each, where `count` is a multiple of 8. */
typedef void rc_resample_dot4(int32_t sums[4], const int16_t *const coefficients[4], const int16_t *const samples[4],
                              size_t count);

/* All phases of the filter: rows of `taps` (lo) and of `core` coefficients (hi, of the taps from
 * core_at on); a coefficient is hi * 2^lo_bits + lo. */
typedef struct {
    const int16_t *lo, *hi;
    size_t taps, core_at, core, phases;
    int hi_bits, lo_bits;
} rc_resample_table;

/* From one output to the next: `whole` samples and `part` phases on. */
typedef struct {
    size_t at, phase, whole, part;
} rc_resample_walk;

/* Outputs one after the other, each from the samples at input + at and its row, rounded and
 * limited as below; for filters of one segment. Returns how many had to be limited. */
typedef size_t rc_resample_grid(int16_t *out, size_t count, const rc_resample_table *table, rc_resample_walk walk,
                                const int16_t *input);

/* One phase of the filter as a list of tap pairs without the pairs that are zero. Pair j of output
 * i meets the two samples at lanes + offsets[j] + 2 * i; its coefficients are
 * hi * 2^lo_bits + lo, where the hi ones are zero from pair `both` on. */
typedef struct {
    const uint32_t *offsets;
    const int16_t *lo, *hi; /* two for each pair */
    size_t both, pairs;
    int hi_bits, lo_bits;
} rc_resample_list;

/* The same phase for many outputs, one in each 32-bit lane:
 * out[i] = (sum of hi * x + (sum of lo * x >> lo_bits) + half) >> hi_bits, limited to 16 bits.
 * Returns how many had to be limited. May read RC_RESAMPLE_SLACK samples beyond the last lane. */
typedef size_t rc_resample_lanes(int16_t *out, size_t count, const rc_resample_list *list, const int16_t *lanes);
#define RC_RESAMPLE_SLACK 64

static inline void rc_resample_step(rc_resample_walk *walk, const rc_resample_table *table)
{
    walk->at += walk->whole;
    walk->phase += walk->part;
    if (walk->phase >= table->phases) {
        walk->phase -= table->phases;
        walk->at++;
    }
}

#ifdef RC_X86
rc_resample_dot4 rc_resample_dot4_avx2, rc_resample_dot4_avx512;
rc_resample_grid rc_resample_grid_avx2, rc_resample_grid_avx512;
rc_resample_lanes rc_resample_lanes_avx2, rc_resample_lanes_avx512;
#endif
#ifdef RC_ARM64
rc_resample_dot4 rc_resample_dot4_neon;
#endif

#endif
