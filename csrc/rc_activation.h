/* Activation functions of the speech detectors' networks: inline, without branches, so that loops
 * over them become vector code, and the same on every machine. */
#ifndef RC_ACTIVATION_H
#define RC_ACTIVATION_H

#include <stdint.h>
#include <string.h>

/* e^x within 2e-7 relative, x limited to +-80: 2^n by the exponent's bits, the rest by the Taylor
 * series of 2^f, |f| <= 1/2. */
static inline float rc_exp(float x)
{
    x = x < 80.0f ? x : 80.0f; /* one after the other: neither is a branch */
    x = x > -80.0f ? x : -80.0f;
    float t = x * 1.44269504f;
    int32_t n = (int32_t)(t + (t < 0 ? -0.5f : 0.5f));
    float f = (x - (float)n * 0.693145752f) - (float)n * 1.42860677e-6f; /* ln 2 in two parts */
    float series = 1.0f + f * (1.0f + f * (0.5f + f * (0.166666667f + f * (0.0416666667f + f * (0.00833333333f +
                   f * 0.00138888889f)))));
    int32_t bits = (n + 127) * (1 << 23);
    float power;
    memcpy(&power, &bits, sizeof(power));
    return power * series;
}

static inline float rc_logistic(float x)
{
    return 1.0f / (1.0f + rc_exp(-x));
}

static inline float rc_tanh(float x)
{
    return 2.0f * rc_logistic(2.0f * x) - 1.0f;
}

#endif
