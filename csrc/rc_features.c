#include "rc_features.h"

#include <math.h>
#include <string.h>

#define LOW_HOP (RC_HOP / 4)
#define SHORTEST_LAG 8
#define HISTORY 64
#define SETTLING 100 /* hops */

/* First bin of each band and the end of the last: even steps up to 1 kHz, growing ones above. */
static const uint8_t band_edge[RC_BANDS + 1] = {1,  3,  5,  7,  9,  11, 13, 16, 19, 23,
                                                28, 34, 41, 49, 59, 71, 85, 103, 128};

void rc_features_start(rc_features *state)
{
    memset(state, 0, sizeof(*state));
    rc_fft_prepare(&state->fft);
    for (int n = 0; n < RC_FFT_SIZE; n++)
        state->window[n] = (float)(0.5 - 0.5 * cos(6.283185307179586 * n / RC_FFT_SIZE));
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
    float windowed[RC_FFT_SIZE], power[RC_FFT_BINS];
    for (int n = 0; n < RC_FFT_SIZE; n++)
        windowed[n] = state->recent[n] * state->window[n];
    rc_fft_power(&state->fft, power, windowed);
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

/* A quarter of the rate behind a 16-tap low-pass at 1 kHz; enough for periods. */
static void decimate(rc_features *state)
{
    static const float tap[8] = {-0.0023f, -0.0011f, 0.0048f, 0.0228f, 0.0566f, 0.1016f, 0.1453f, 0.1724f};
    const float *from = state->recent + RC_FFT_SIZE - RC_HOP - 12;
    memmove(state->low, state->low + LOW_HOP, HISTORY * sizeof(float));
    for (int n = 0; n < LOW_HOP; n++) {
        float sum = 0;
        for (int k = 0; k < 8; k++)
            sum += tap[k] * (from[4 * n + k] + from[4 * n + 15 - k]);
        state->low[HISTORY + n] = sum;
    }
}

/* Correlation of this hop with the past at every lag, kept for three hops (30 ms). */
static void correlate(rc_features *state, int slot)
{
    float product[RC_LAGS] = {0}, past[RC_LAGS] = {0}, energy = 0;
    /* reversed, so that growing lags are neighbours in memory */
    float reversed[HISTORY + LOW_HOP];
    for (int n = 0; n < HISTORY + LOW_HOP; n++)
        reversed[n] = state->low[HISTORY + LOW_HOP - 1 - n];
    for (int n = 0; n < LOW_HOP; n++) {
        float now = reversed[n];
        const float *before = reversed + n + SHORTEST_LAG;
        energy += now * now;
        for (int lag = 0; lag < RC_LAGS; lag++) {
            product[lag] += now * before[lag];
            past[lag] += before[lag] * before[lag];
        }
    }
    memcpy(state->product[slot], product, sizeof(product));
    memcpy(state->past[slot], past, sizeof(past));
    state->energy[slot] = energy;
}

/* Strength of the best period, 0 to 1, and its lag index. */
static float best_period(const rc_features *state, int *best_lag)
{
    float energy = state->energy[0] + state->energy[1] + state->energy[2] + 30.0f;
    float score[RC_LAGS];
    for (int lag = 0; lag < RC_LAGS; lag++) {
        float product = state->product[0][lag] + state->product[1][lag] + state->product[2][lag];
        float past = state->past[0][lag] + state->past[1][lag] + state->past[2][lag] + 30.0f;
        product = product > 0 ? product : 0;
        score[lag] = product * product / (energy * past);
    }
    float best = score[0];
    *best_lag = 0;
    for (int lag = 1; lag < RC_LAGS; lag++)
        if (score[lag] > best)
            best = score[lag], *best_lag = lag;
    return sqrtf(best);
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
    float lag = fast_log2((float)(best_lag + SHORTEST_LAG));
    float *more = out + 2 * RC_BANDS;
    more[0] = 4.0f * strength - 2.0f;
    more[1] = lag - 4.5f;
    more[2] = clip(4.0f * fabsf(lag - state->lag), 0.0f, 4.0f) - 2.0f;
    more[3] = clip(mean - state->loud, -8.0f, 0.0f) * 0.5f + 2.0f;
    state->lag = lag;
    state->hops += state->hops < SETTLING;
}
