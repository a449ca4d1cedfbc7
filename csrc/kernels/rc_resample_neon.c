#include "rc_resample_kernels.h"

#ifdef RC_ARM64

void rc_resample_dot4_neon(int32_t sums[4], const int16_t *const coefficients[4], const int16_t *const samples[4],
                           size_t count)
{
    for (int k = 0; k < 4; k++) {
        int32x4_t low = vdupq_n_s32(0), high = low;
        for (size_t i = 0; i < count; i += 8) {
            int16x8_t x = vld1q_s16(samples[k] + i), c = vld1q_s16(coefficients[k] + i);
            low = vmlal_s16(low, vget_low_s16(x), vget_low_s16(c));
            high = vmlal_high_s16(high, x, c);
        }
        sums[k] = vaddvq_s32(vaddq_s32(low, high));
    }
}

#else
typedef int rc_resample_neon_is_not_for_this_machine;
#endif
