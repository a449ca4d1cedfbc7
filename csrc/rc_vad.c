/* Two detectors behind one interface: the light one below, and rc_silero where a network is given.
 *
 * Light: features of each hop (rc_features) through one layer of 32 gated recurrent
 * units and a logistic output. (K. Cho et al., Learning Phrase Representations using RNN
 * Encoder-Decoder, 2014.) Weights and activations are 16-bit integers, products and sums 32-bit:
 * exact on every machine, and eight at a time on the plainest of them. */
#include "rc_vad.h"

#include <stdlib.h>
#include <string.h>

#include "rc_activation.h"
#include "rc_features.h"
#include "rc_vad_weights.h"

enum {
    UNITS = RC_VAD_UNITS,
    INPUTS = RC_FEATURES + UNITS,   /* features, then what the units said last */
    BLOCK = 256,                    /* input samples resampled at once */
    BLOCK_OUT = 2 * BLOCK,          /* from 8 kHz */
};

#define ACTIVATION_ONE 4096 /* fixed point of features and units */
#define SUM_ONE (1.0f / (ACTIVATION_ONE * RC_VAD_WEIGHT_ONE))

typedef struct {
    rc_features features;
    int16_t inputs[INPUTS];
    float units[UNITS];
} light;

typedef struct {
    rc_silero_stream streams[2];     /* the second when staggered */
    int16_t recent[RC_SILERO_CHUNK]; /* the latest samples */
    size_t since;                    /* of them, those since the last decision */
    int turn;                        /* stream that decides next */
    float held;                      /* last decision */
} neural;

struct rc_vad {
    rc_resample *resample; /* NULL at 16 kHz */
    const rc_silero *network; /* NULL: light */
    int staggered;
    int16_t hop[RC_HOP];
    size_t filled; /* samples of the hop that is not complete yet */
    union {
        light light;
        neural neural;
    };
};

_Static_assert(sizeof(rc_vad) < 8192, "a session's detector takes under 8 KB");

rc_vad *rc_vad_new(uint32_t rate, const rc_silero *network)
{
    if (rate < RC_RESAMPLE_MIN_RATE || rate > RC_RESAMPLE_MAX_RATE)
        return NULL;
    rc_vad *vad = calloc(1, sizeof(*vad));
    if (vad == NULL)
        return NULL;
    vad->network = network;
    if (rate != RC_VAD_RATE) {
        vad->resample = rc_resample_new(rate, RC_VAD_RATE, RC_RESAMPLE_FAST);
        if (vad->resample == NULL) {
            free(vad);
            return NULL;
        }
    }
    rc_vad_reset(vad);
    return vad;
}

void rc_vad_free(rc_vad *vad)
{
    if (vad == NULL)
        return;
    rc_resample_free(vad->resample);
    free(vad);
}

void rc_vad_reset(rc_vad *vad)
{
    if (vad->resample != NULL)
        rc_resample_reset(vad->resample);
    vad->filled = 0;
    if (vad->network != NULL) {
        memset(&vad->neural, 0, sizeof(vad->neural));
        vad->neural.turn = vad->staggered;
        return;
    }
    memset(&vad->light, 0, sizeof(vad->light));
    rc_features_start(&vad->light.features);
}

void rc_vad_stagger(rc_vad *vad)
{
    vad->staggered = 1;
    rc_vad_reset(vad);
}

static inline int32_t dot(const int16_t *weights, const int16_t *inputs, int count)
{
    int32_t sum = 0;
    for (int n = 0; n < count; n++)
        sum += (int32_t)weights[n] * inputs[n];
    return sum;
}

static float decide_light(light *state, const int16_t hop[RC_HOP])
{
    float features[RC_FEATURES], reset[UNITS], keep[UNITS], fresh[UNITS], said[UNITS], logit = rc_vad_output_bias;
    int16_t *inputs = state->inputs;
    rc_features_process(&state->features, features, hop);
    for (int n = 0; n < RC_FEATURES; n++)
        inputs[n] = (int16_t)(features[n] * ACTIVATION_ONE);
    for (int n = 0; n < UNITS; n++) {
        reset[n] = rc_vad_reset_bias[n] + SUM_ONE * (float)dot(rc_vad_reset_weights[n], inputs, INPUTS);
        keep[n] = rc_vad_keep_bias[n] + SUM_ONE * (float)dot(rc_vad_keep_weights[n], inputs, INPUTS);
        fresh[n] = rc_vad_fresh_bias[n] + SUM_ONE * (float)dot(rc_vad_fresh_weights[n], inputs, RC_FEATURES);
        said[n] = rc_vad_said_bias[n] + SUM_ONE * (float)dot(rc_vad_said_weights[n], inputs + RC_FEATURES, UNITS);
    }
    for (int n = 0; n < UNITS; n++) {
        float kept = rc_logistic(keep[n]);
        float proposed = rc_tanh(fresh[n] + rc_logistic(reset[n]) * said[n]);
        state->units[n] = proposed + kept * (state->units[n] - proposed);
    }
    for (int n = 0; n < UNITS; n++) {
        inputs[RC_FEATURES + n] = (int16_t)(state->units[n] * ACTIVATION_ONE);
        logit += rc_vad_output_weights[n] * state->units[n];
    }
    return rc_logistic(logit);
}

static void remember(neural *state, const int16_t *samples, size_t count)
{
    memmove(state->recent, state->recent + count, (RC_SILERO_CHUNK - count) * sizeof(int16_t));
    memcpy(state->recent + RC_SILERO_CHUNK - count, samples, count * sizeof(int16_t));
    state->since += count;
}

/* A decision every 512 samples, or 256, is held for the 10 ms hops in between. */
static float decide_neural(neural *state, const rc_silero *network, int staggered, const int16_t hop[RC_HOP])
{
    size_t due = (staggered ? RC_SILERO_CHUNK / 2 : RC_SILERO_CHUNK) - state->since;
    size_t first = due < RC_HOP ? due : RC_HOP;
    remember(state, hop, first);
    if (first == due) {
        state->held = rc_silero_process(network, &state->streams[state->turn], state->recent);
        state->turn ^= staggered;
        state->since = 0;
    }
    remember(state, hop + first, RC_HOP - first);
    return state->held;
}

static float decide(rc_vad *vad)
{
    return vad->network == NULL ? decide_light(&vad->light, vad->hop)
                                : decide_neural(&vad->neural, vad->network, vad->staggered, vad->hop);
}

static size_t feed(rc_vad *vad, float *probabilities, const int16_t *samples, size_t count)
{
    size_t hops = 0;
    while (count > 0) {
        size_t taken = RC_HOP - vad->filled < count ? RC_HOP - vad->filled : count;
        memcpy(vad->hop + vad->filled, samples, taken * sizeof(int16_t));
        vad->filled += taken;
        samples += taken;
        count -= taken;
        if (vad->filled == RC_HOP) {
            probabilities[hops++] = decide(vad);
            vad->filled = 0;
        }
    }
    return hops;
}

size_t rc_vad_hops(const rc_vad *vad, size_t count)
{
    size_t inside = vad->resample == NULL ? count : rc_resample_count(vad->resample, count);
    return (vad->filled + inside) / RC_HOP;
}

size_t rc_vad_process(rc_vad *vad, float *probabilities, const int16_t *samples, size_t count)
{
    if (vad->resample == NULL)
        return feed(vad, probabilities, samples, count);
    size_t hops = 0;
    while (count > 0) {
        int16_t inside[BLOCK_OUT];
        size_t taken = count < BLOCK ? count : BLOCK;
        hops += feed(vad, probabilities + hops, inside, rc_resample_process(vad->resample, inside, samples, taken));
        samples += taken;
        count -= taken;
    }
    return hops;
}

double rc_vad_delay(const rc_vad *vad)
{
    return vad->resample == NULL ? 0.0 : rc_resample_delay_out(vad->resample) / RC_VAD_RATE;
}
