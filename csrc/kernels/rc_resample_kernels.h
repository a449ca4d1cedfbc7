/* The resampler's inner loop. Integer sums: every implementation gives the same output. */
#ifndef RC_RESAMPLE_KERNELS_H
#define RC_RESAMPLE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Coefficients whose products are summed in 32 bits at most. */
#define RC_RESAMPLE_SEGMENT 512

/* sums[0] = sum of hi[i] * x[i], sums[1] = sum of lo[i] * x[i]; `count` is a multiple of 8 and
 * the caller has made sure that neither sum can leave 32 bits. */
void rc_resample_dot(int32_t sums[2], const int16_t *hi, const int16_t *lo, const int16_t *x, size_t count);

#endif
