#include "rc_features.h"

#include <math.h>
#include <string.h>

#include "kernels/rc_lanes.h"

#define LOW_HOP (RC_HOP / 4)
#define LONGEST_LAG 63
#define HISTORY 64
#define SETTLING 100 /* hops */

/* First bin of each band and the end of the last: even steps up to 1 kHz, growing ones above. */
static const uint8_t band_edge[RC_BANDS + 1] = {1,  3,  5,  7,  9,  11, 13, 16, 19, 23,
                                                28, 34, 41, 49, 59, 71, 85, 103, 128};

void rc_features_start(rc_features *state)
{
    memset(state, 0, sizeof(*state));
    rc_fft_prepare(&state->fft);
}

/* log2 within 0.001: exponent bits plus a polynomial over the mantissa in [1, 2), exact at both
 * ends (Chebyshev fit of log2(m) / (m - 1)). */
static inline float fast_log2(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    float exponent = (float)((int32_t)(bits >> 23) - 127);
    bits = (bits & 0x7fffff) | 0x3f800000;
    float m;
    memcpy(&m, &bits, sizeof(m));
    return exponent - 2.610658f + m * (4.356024f + m * (-2.428307f + m * (0.789494f - m * 0.106553f)));
}

static inline float clip(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

static void band_levels(rc_features *state, float level[RC_BANDS])
{
    float power[RC_FFT_BINS];
    rc_fft_power(&state->fft, power, state->recent);
    for (int band = 0; band < RC_BANDS; band++) {
        float sum = 0;
        for (int bin = band_edge[band]; bin < band_edge[band + 1]; bin++)
            sum += power[bin];
        /* the constant is the power of rounding noise: silence has a floor */
        level[band] = sum / (float)(band_edge[band + 1] - band_edge[band]) + 40.0f;
    }
    for (int band = 0; band < RC_BANDS; band++)
        level[band] = fast_log2(level[band]);
}

/* The floor falls fast onto what is quieter and rises by 1.5 dB a second; faster at first. */
static void track_floor(rc_features *state, const float level[RC_BANDS])
{
    if (state->hops == 0)
        memcpy(state->floor, level, sizeof(state->floor));
    float rise = state->hops < SETTLING ? 0.02f : 0.005f;
    for (int band = 0; band < RC_BANDS; band++) {
        float over = level[band] - state->floor[band];
        state->floor[band] += over < 0 ? 0.25f * over : over < rise ? over : rise;
    }
}

/* A quarter of the rate behind a symmetric 16-tap low-pass at 1 kHz; enough for periods. */
static void decimate(rc_features *state)
{
    static const float tap[8] = {-0.0023f, -0.0011f, 0.0048f, 0.0228f, 0.0566f, 0.1016f, 0.1453f, 0.1724f};
    enum { FROM = RC_FFT_SIZE - RC_HOP - 12, PHASE = LOW_HOP + 4 };
    float half[2][2 * PHASE], phase[4][PHASE]; /* every second sample, every fourth */
    for (int n = 0; n < 2 * PHASE - 4; n += RC_LANES) {
        rc_lanes a = rc_load(state->recent + FROM + 2 * n), b = rc_load(state->recent + FROM + 2 * n + RC_LANES);
        rc_store(half[0] + n, rc_even(a, b));
        rc_store(half[1] + n, rc_odd(a, b));
    }
    memset(half[0] + 2 * PHASE - 4, 0, 4 * sizeof(float));
    memset(half[1] + 2 * PHASE - 4, 0, 4 * sizeof(float));
    for (int n = 0; n < PHASE; n += RC_LANES)
        for (int p = 0; p < 2; p++) {
            rc_lanes a = rc_load(half[p] + 2 * n), b = rc_load(half[p] + 2 * n + RC_LANES);
            rc_store(phase[p] + n, rc_even(a, b));
            rc_store(phase[p + 2] + n, rc_odd(a, b));
        }
    memmove(state->low, state->low + LOW_HOP, HISTORY * sizeof(float));
    for (int n = 0; n < LOW_HOP; n += RC_LANES) {
        rc_lanes sum = {0};
        RC_UNROLLED for (int k = 0; k < 8; k++)
            sum += tap[k] * (rc_load(phase[k % 4] + n + k / 4) + rc_load(phase[3 - k % 4] + n + 3 - k / 4));
        rc_store(state->low + HISTORY + n, sum);
    }
}

/* Correlation of this hop with the past at every lag, from the longest down, kept for three hops
 * (30 ms). */
static void correlate(rc_features *state, int slot)
{
    enum { TOGETHER = 28 }; /* lags whose sums stay in registers */
    const float *now = state->low + HISTORY, *past = now - LONGEST_LAG;
    for (int first = 0; first < RC_LAGS; first += TOGETHER) {
        rc_lanes sums[TOGETHER / RC_LANES] = {0};
        for (int n = 0; n < LOW_HOP; n++)
            RC_UNROLLED for (int k = 0; k < TOGETHER / RC_LANES; k++)
                sums[k] += now[n] * rc_load(past + first + n + k * RC_LANES);
        memcpy(state->product[slot] + first, sums, sizeof(sums));
    }
    double energy = 0, energy_now = 0; /* double: what was added is taken away without a trace */
    for (int n = 0; n < LOW_HOP; n++)
        energy += (double)past[n] * past[n], energy_now += (double)now[n] * now[n];
    for (int k = 0; k < RC_LAGS; k++) {
        state->past[slot][k] = (float)energy;
        energy += (double)past[k + LOW_HOP] * past[k + LOW_HOP] - (double)past[k] * past[k];
    }
    state->energy[slot] = (float)energy_now;
}

/* Strength of the best period, 0 to 1, and its lag. */
static float best_period(const rc_features *state, int *best_lag)
{
    float energy = state->energy[0] + state->energy[1] + state->energy[2] + 30.0f;
    float score[RC_LAGS];
    for (int k = 0; k < RC_LAGS; k++) {
        float product = state->product[0][k] + state->product[1][k] + state->product[2][k];
        float past = state->past[0][k] + state->past[1][k] + state->past[2][k] + 30.0f;
        product = product > 0 ? product : 0;
        score[k] = product * product / (energy * past);
    }
    int best = 0;
    for (int k = 1; k < RC_LAGS; k++)
        best = score[k] >= score[best] ? k : best;
    *best_lag = LONGEST_LAG - best;
    return sqrtf(score[best]);
}

void rc_features_process(rc_features *state, float out[RC_FEATURES], const int16_t hop[RC_HOP])
{
    memmove(state->recent, state->recent + RC_HOP, (RC_FFT_SIZE - RC_HOP) * sizeof(float));
    for (int n = 0; n < RC_HOP; n++)
        state->recent[RC_FFT_SIZE - RC_HOP + n] = hop[n];

    float level[RC_BANDS], mean = 0, over_floor = 0;
    band_levels(state, level);
    track_floor(state, level);
    for (int band = 0; band < RC_BANDS; band++) {
        mean += level[band] * (1.0f / RC_BANDS);
        over_floor += (level[band] - state->floor[band]) * (1.0f / RC_BANDS);
    }
    for (int band = 0; band < RC_BANDS; band++) {
        out[band] = clip((level[band] - state->floor[band] - 3.0f) * 0.5f, -4.0f, 4.0f);
        out[RC_BANDS + band] = clip((level[band] - mean) * 0.5f, -4.0f, 4.0f);
    }

    /* 6 dB a second */
    state->loud = mean > state->loud ? mean : state->loud - 0.02f;
    decimate(state);
    state->slot = state->slot == 2 ? 0 : state->slot + 1;
    correlate(state, state->slot);
    int best_lag;
    float strength = best_period(state, &best_lag);
    float lag = fast_log2((float)best_lag);
    float *more = out + 2 * RC_BANDS;
    more[0] = 4.0f * strength - 2.0f;
    more[1] = lag - 4.5f;
    more[2] = clip(4.0f * fabsf(lag - state->lag), 0.0f, 4.0f) - 2.0f;
    more[3] = clip(mean - state->loud, -8.0f, 0.0f) * 0.5f + 2.0f;
    state->lag = lag;
    state->hops += state->hops < SETTLING;
}
