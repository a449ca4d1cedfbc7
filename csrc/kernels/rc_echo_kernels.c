/* Each loop is written once and compiled for several widths: products and sums are rounded one by
 * one and keep to their lanes, so the width changes no float. */
#include "rc_echo_kernels.h"

#include "rc_cpu.h"
#include "rc_target.h"

#include <string.h>

enum { BINS = RC_ECHO_BINS, TAPS = RC_ECHO_TAPS, LANES = 16 };

#ifdef __GNUC__
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

INLINE void predict(rc_echo_spectrum *echo, float *power, const rc_echo_spectrum *path, const float *share,
                    const rc_echo_history *played)
{
    memset(echo, 0, sizeof(*echo));
    memset(power, 0, BINS * sizeof(float));
    for (int k = 0; k < TAPS; k++) {
        int at = (played->newest + TAPS - k) % TAPS;
        const rc_echo_spectrum *x = &played->spectra[at], *h = &path[k];
        const float *x_power = played->power[at];
        for (int n = 0; n < BINS; n++) {
            echo->re[n] += h->re[n] * x->re[n] - h->im[n] * x->im[n];
            echo->im[n] += h->re[n] * x->im[n] + h->im[n] * x->re[n];
            power[n] += share[k] * x_power[n];
        }
    }
}

INLINE void learn(rc_echo_spectrum *path, float *energy, const float *share, const rc_echo_spectrum *step,
                  const rc_echo_history *played)
{
    for (int k = 0; k < TAPS; k++) {
        const rc_echo_spectrum *x = &played->spectra[(played->newest + TAPS - k) % TAPS];
        rc_echo_spectrum *h = &path[k];
        float sums[LANES] = {0};
        for (int n = 0; n < BINS; n++) {
            h->re[n] += share[k] * (step->re[n] * x->re[n] + step->im[n] * x->im[n]);
            h->im[n] += share[k] * (step->im[n] * x->re[n] - step->re[n] * x->im[n]);
        }
        for (int n = 0; n < BINS; n += LANES)
            for (int lane = 0; lane < LANES; lane++)
                sums[lane] += h->re[n + lane] * h->re[n + lane] + h->im[n + lane] * h->im[n + lane];
        energy[k] = 0;
        for (int lane = 0; lane < LANES; lane++)
            energy[k] += sums[lane];
    }
}

#ifdef RC_X86
#define IN_WIDTH(name, features)                                                                            \
    RC_TARGET(features)                                                                                     \
    static void predict_##name(rc_echo_spectrum *echo, float *power, const rc_echo_spectrum *path,          \
                               const float *share, const rc_echo_history *played)                           \
    {                                                                                                       \
        predict(echo, power, path, share, played);                                                          \
    }                                                                                                       \
    RC_TARGET(features)                                                                                     \
    static void learn_##name(rc_echo_spectrum *path, float *energy, const float *share,                     \
                             const rc_echo_spectrum *step, const rc_echo_history *played)                   \
    {                                                                                                       \
        learn(path, energy, share, step, played);                                                           \
    }
IN_WIDTH(avx2, "avx2")
#endif

void rc_echo_predict(rc_echo_spectrum *echo, float power[BINS], const rc_echo_spectrum path[TAPS],
                     const float share[TAPS], const rc_echo_history *played)
{
#ifdef RC_X86
    if (rc_cpu_features() & RC_CPU_AVX2) {
        predict_avx2(echo, power, path, share, played);
        return;
    }
#endif
    predict(echo, power, path, share, played);
}

void rc_echo_learn(rc_echo_spectrum path[TAPS], float energy[TAPS], const float share[TAPS],
                   const rc_echo_spectrum *step, const rc_echo_history *played)
{
#ifdef RC_X86
    if (rc_cpu_features() & RC_CPU_AVX2) {
        learn_avx2(path, energy, share, step, played);
        return;
    }
#endif
    learn(path, energy, share, step, played);
}
