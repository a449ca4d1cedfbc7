#include "rc_resample_kernels.h"

void rc_resample_dot(int32_t sums[2], const int16_t *hi, const int16_t *lo, const int16_t *x, size_t count)
{
    int32_t hi_sum = 0, lo_sum = 0;
    for (size_t i = 0; i < count; i++) {
        hi_sum += hi[i] * x[i];
        lo_sum += lo[i] * x[i];
    }
    sums[0] = hi_sum;
    sums[1] = lo_sum;
}
