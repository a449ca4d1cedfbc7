/* A model of the echo path, and a test of what it leaves.
 *
 * Both signals are looked at 32 ms at a time, every 10 ms, between 250 and 3750 Hz. In every
 * frequency bin the echo is what was played in the last half second, each 10 ms of it by a factor
 * of its own; the factors are learned by normalised steps. The delay needs no search: taps that
 * carry echo learn faster, by a share common to all bins (after J. Benesty and S. Gay, An improved
 * PNLMS algorithm, 2002).
 *
 * Beside it goes, per band, a doubt: what is left over what was played, as it was exceeded one
 * time in five lately. Doubt times what is played is the error to expect. It sets the step, which
 * so is small while somebody speaks (after G. Enzner and P. Vary, Frequency-domain adaptive Kalman
 * filter for acoustic echo control, 2006); and what is far over it in many bands is somebody.
 * Doubt rises slowly, so that a speaker is noticed long before the model gets used to him. Where
 * the way of the echo has changed, the model adds more than it takes away, which no speaker brings
 * about: it is then forgotten. The constants were tuned with the scenes of bench/echo_quality.py,
 * on one half of its voices and rooms. */
#include "rc_echo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/rc_echo_kernels.h"
#include "rc_activation.h"
#include "rc_resample.h"

enum {
    CAPTURED,
    PLAYED,
    SIDES,
};

enum {
    INSIDE_RATE = 16000, /* Hz: hops are those of rc_vad */
    HOP = 160,
    HALF_HOP = HOP / 2, /* at 8 kHz, where the model is */
    HALVING_TAPS = 32,
    SIZE = 256, /* of the transform: 32 ms */
    FIRST_BIN = 8,
    BINS = RC_ECHO_BINS,
    BANDS = 14,
    BINS_PER_BAND = BINS / BANDS,
    TAPS = RC_ECHO_TAPS,
    BLOCK = 256, /* input samples resampled at once */
    BLOCK_OUT = 2 * BLOCK,
};

_Static_assert(TAPS == RC_ECHO_REACH_MS / 10, "a tap is a hop");

#define TWO_PI 6.283185307179586
#define FIRST_DOUBT 1.0f /* no echo is louder than what was played */
#define LEAST_DOUBT 6e-5f
#define MOST_DOUBT 4.0f
#define DOUBT_UP 1.04f     /* a hop: 17 dB a second; */
#define DOUBT_DOWN 0.9896f /* 4.5 dB a second; */
#define DOUBT_DOWN_FAST 0.97f /* 13 dB a second where less than this part of it is left: */
#define FAR_BELOW 0.12f
#define SPREAD (0.2f / BANDS) /* of what is played goes by distortion into each band */
#define INEXACT 0.1f          /* of the modelled echo may be left at any time: taps are as coarse as hops */
#define EVEN_SHARE 0.1f       /* is learned by all taps alike, so that a new delay is found */
#define SHARE_RATE 0.05f
#define FLOOR_FALL 0.25f
#define FLOOR_RISE 1.005f  /* a hop: 2 dB a second */
#define OVER_FLOOR 4.0f    /* 6 dB over the noise floor is still noise */
#define ROUNDING 3000.0f   /* power, in a band, of rounding to 16 bits */
#define OVER_EXPECTED 1.0f /* log2: 3 dB over what is expected still is */
#define MOST_EXCESS 4.0f   /* log2, of one band */
#define SMOOTHING 0.25f
#define SOMEBODY 0.7f /* mean excess, log2, that is somebody as likely as not */
#define SLOPE 4.0f
#define WORSE 1.2f /* times as much left as was captured: at this hop the model is worse than none, */
#define WRONG 1.3f /* and on average it is of another path: the echo's way has changed */
#define WRONG_RATE 0.05f
#define REDUCTION_RATE 0.02f

typedef rc_echo_spectrum spectrum;

/* What was captured, the echo that the model sees in it, what is left, and what was played. */
typedef struct {
    float captured, echo, left, played;
} powers;

struct rc_echo {
    rc_resample *resample[SIDES]; /* NULL at 16 kHz */
    float halving[HALVING_TAPS], window[SIZE], turn_re[SIZE], turn_im[SIZE]; /* exp(-2 pi i n / 256) */

    int16_t hop[SIDES][HOP];
    size_t filled;                     /* samples of the hop that is not complete yet */
    float before[SIDES][HALVING_TAPS]; /* what halving still needs of the last hop */
    float recent[SIDES][SIZE];         /* at 8 kHz */
    rc_echo_history played;
    spectrum path[TAPS];               /* factor of what was played so many hops ago */
    float share[TAPS];                 /* of what is learned; they sum to 1 */
    float doubt[BANDS], floor[BANDS];
    float excess;                      /* smoothed */
    powers lately;                     /* smoothed while an echo was expected, */
    powers alone;                      /* and while nothing else was heard */
};

static void prepare(rc_echo *e)
{
    /* low-pass at 3.76 kHz under a Blackman window */
    double sum = 0, taps[HALVING_TAPS];
    for (int n = 0; n < HALVING_TAPS; n++) {
        double from_middle = n - (HALVING_TAPS - 1) / 2.0, turn = TWO_PI * (n + 0.5) / HALVING_TAPS;
        taps[n] = (0.42 - 0.5 * cos(turn) + 0.08 * cos(2 * turn)) * sin(0.235 * TWO_PI * from_middle) / from_middle;
        sum += taps[n];
    }
    for (int n = 0; n < HALVING_TAPS; n++)
        e->halving[n] = (float)(taps[n] / sum);
    for (int n = 0; n < SIZE; n++) {
        e->turn_re[n] = (float)cos(TWO_PI * n / SIZE);
        e->turn_im[n] = (float)-sin(TWO_PI * n / SIZE);
        e->window[n] = 0.5f - 0.5f * e->turn_re[n];
    }
}

rc_echo *rc_echo_new(uint32_t rate)
{
    if (rate < RC_RESAMPLE_MIN_RATE || rate > RC_RESAMPLE_MAX_RATE)
        return NULL;
    rc_echo *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return NULL;
    for (int side = 0; side < SIDES && rate != INSIDE_RATE; side++) {
        e->resample[side] = rc_resample_new(rate, INSIDE_RATE, RC_RESAMPLE_FAST);
        if (e->resample[side] == NULL) {
            rc_echo_free(e);
            return NULL;
        }
    }
    prepare(e);
    rc_echo_reset(e);
    return e;
}

void rc_echo_free(rc_echo *e)
{
    if (e == NULL)
        return;
    for (int side = 0; side < SIDES; side++)
        rc_resample_free(e->resample[side]);
    free(e);
}

static void forget_path(rc_echo *e)
{
    memset(e->path, 0, sizeof(e->path));
    for (int k = 0; k < TAPS; k++)
        e->share[k] = 1.0f / TAPS;
    for (int band = 0; band < BANDS; band++)
        e->doubt[band] = FIRST_DOUBT;
    e->excess = 0;
    memset(&e->lately, 0, sizeof(e->lately));
    memset(&e->alone, 0, sizeof(e->alone));
}

void rc_echo_reset(rc_echo *e)
{
    for (int side = 0; side < SIDES && e->resample[side] != NULL; side++)
        rc_resample_reset(e->resample[side]);
    e->filled = 0;
    memset(e->before, 0, sizeof(e->before));
    memset(e->recent, 0, sizeof(e->recent));
    memset(&e->played, 0, sizeof(e->played));
    for (int band = 0; band < BANDS; band++)
        e->floor[band] = 1e9f; /* falls onto what is there */
    forget_path(e);
}

/* To spectra ---------------------------------------------------------------------------------- */

/* Every other sample, behind the low-pass; even and odd ones apart, so that what is added up at
 * once lies side by side. */
static void halve(rc_echo *e, int side)
{
    float in[2][(HALVING_TAPS + HOP) / 2]; /* even, odd */
    for (int n = 0; n < HALVING_TAPS / 2; n++)
        in[0][n] = e->before[side][2 * n], in[1][n] = e->before[side][2 * n + 1];
    for (int n = 0; n < HALF_HOP; n++)
        in[0][HALVING_TAPS / 2 + n] = e->hop[side][2 * n], in[1][HALVING_TAPS / 2 + n] = e->hop[side][2 * n + 1];
    for (int n = 0; n < HALVING_TAPS; n++)
        e->before[side][n] = e->hop[side][HOP - HALVING_TAPS + n];

    memmove(e->recent[side], e->recent[side] + HALF_HOP, (SIZE - HALF_HOP) * sizeof(float));
    float *out = e->recent[side] + SIZE - HALF_HOP;
    memset(out, 0, HALF_HOP * sizeof(float));
    for (int k = 0; k < HALVING_TAPS; k++)
        for (int n = 0; n < HALF_HOP; n++)
            out[n] += e->halving[k] * in[k % 2][n + 1 + k / 2];
}

/* One of the four passes of Stockham's transform, radix 4. (C. Van Loan, Computational Frameworks
 * for the Fast Fourier Transform, 1992, section 1.7.) */
static void transform_pass(const rc_echo *e, float out[2][SIZE], float in[2][SIZE], int stride)
{
    const float *re = in[0], *im = in[1];
    const int quarter = SIZE / 4;
    for (int p = 0; p < quarter / stride; p++) {
        int at1 = p * stride, at2 = 2 * at1, at3 = 3 * at1;
        float w1_re = e->turn_re[at1], w1_im = e->turn_im[at1], w2_re = e->turn_re[at2], w2_im = e->turn_im[at2];
        float w3_re = e->turn_re[at3], w3_im = e->turn_im[at3];
        for (int q = 0; q < stride; q++) {
            int from = q + stride * p, to = q + 4 * stride * p;
            float sum02_re = re[from] + re[from + 2 * quarter], sum02_im = im[from] + im[from + 2 * quarter];
            float dif02_re = re[from] - re[from + 2 * quarter], dif02_im = im[from] - im[from + 2 * quarter];
            float sum13_re = re[from + quarter] + re[from + 3 * quarter];
            float sum13_im = im[from + quarter] + im[from + 3 * quarter];
            float dif13_re = re[from + quarter] - re[from + 3 * quarter];
            float dif13_im = im[from + quarter] - im[from + 3 * quarter];
            float one_re = dif02_re + dif13_im, one_im = dif02_im - dif13_re;
            float two_re = sum02_re - sum13_re, two_im = sum02_im - sum13_im;
            float three_re = dif02_re - dif13_im, three_im = dif02_im + dif13_re;
            out[0][to] = sum02_re + sum13_re;
            out[1][to] = sum02_im + sum13_im;
            out[0][to + stride] = one_re * w1_re - one_im * w1_im;
            out[1][to + stride] = one_re * w1_im + one_im * w1_re;
            out[0][to + 2 * stride] = two_re * w2_re - two_im * w2_im;
            out[1][to + 2 * stride] = two_re * w2_im + two_im * w2_re;
            out[0][to + 3 * stride] = three_re * w3_re - three_im * w3_im;
            out[1][to + 3 * stride] = three_re * w3_im + three_im * w3_re;
        }
    }
}

/* The spectra of both sides from one transform: one is its real part, the other its imaginary. */
static void transform(const rc_echo *e, spectrum *captured, spectrum *played)
{
    float a[2][SIZE], b[2][SIZE];
    for (int side = 0; side < SIDES; side++)
        for (int n = 0; n < SIZE; n++)
            a[side][n] = e->recent[side][n] * e->window[n];
    transform_pass(e, b, a, 1);
    transform_pass(e, a, b, 4);
    transform_pass(e, b, a, 16);
    transform_pass(e, a, b, 64);
    const float *re = a[0], *im = a[1];
    for (int n = 0; n < BINS; n++) {
        int bin = FIRST_BIN + n, mirror = SIZE - bin;
        captured->re[n] = 0.5f * (re[bin] + re[mirror]);
        captured->im[n] = 0.5f * (im[bin] - im[mirror]);
        played->re[n] = 0.5f * (im[bin] + im[mirror]);
        played->im[n] = 0.5f * (re[mirror] - re[bin]);
    }
}

/* The model ----------------------------------------------------------------------------------- */

/* Moves every tap along its share of `step`, and the shares to where the path has its energy. */
static void learn(rc_echo *e, const spectrum *step)
{
    float energy[TAPS], all = 0;
    rc_echo_learn(e->path, energy, e->share, step, &e->played);
    for (int k = 0; k < TAPS; k++)
        all += energy[k] += 1e-6f / TAPS;
    for (int k = 0; k < TAPS; k++) {
        float wanted = EVEN_SHARE / TAPS + (1 - EVEN_SHARE) * energy[k] / all;
        e->share[k] += SHARE_RATE * (wanted - e->share[k]);
    }
}

static float clip(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

static float power(const spectrum *of, int bin)
{
    return of->re[bin] * of->re[bin] + of->im[bin] * of->im[bin];
}

static powers measure(int band, const spectrum *captured, const spectrum *echo, const spectrum *left,
                      const float reach[BINS])
{
    powers sum = {0, 0, 0, 0};
    for (int n = band * BINS_PER_BAND; n < (band + 1) * BINS_PER_BAND; n++) {
        sum.captured += power(captured, n);
        sum.echo += power(echo, n);
        sum.left += power(left, n);
        sum.played += reach[n];
    }
    return sum;
}

/* How far what is left in a band is over what is to be expected, log2; moves noise floor and doubt. */
static float judge(rc_echo *e, int band, powers p)
{
    float floor = e->floor[band], doubt = e->doubt[band];
    if (p.captured < floor)
        floor += FLOOR_FALL * (p.captured - floor);
    e->floor[band] = floor = clip(floor * FLOOR_RISE, ROUNDING, 1e12f);
    float noise = OVER_FLOOR * floor, expected = doubt * p.played;
    if (p.played * (doubt > 0.01f ? doubt : 0.01f) > noise) { /* else it tells nothing of the path */
        float share = (p.left + floor) / expected;
        doubt *= share > 1 ? DOUBT_UP : share > FAR_BELOW ? DOUBT_DOWN : DOUBT_DOWN_FAST;
        e->doubt[band] = clip(doubt, LEAST_DOUBT, MOST_DOUBT);
    }
    return clip(log2f((p.left + 1) / (expected + INEXACT * p.echo + noise)) - OVER_EXPECTED, 0, MOST_EXCESS);
}

/* Turns what is left in a band into the step to learn by. */
static void scale(const rc_echo *e, int band, spectrum *left, const float reach[BINS], float all_left)
{
    float doubt = e->doubt[band], least = (all_left + OVER_FLOOR * e->floor[band]) / BINS_PER_BAND;
    for (int n = band * BINS_PER_BAND; n < (band + 1) * BINS_PER_BAND; n++) {
        float step = doubt / (doubt * reach[n] + power(left, n) + least);
        left->re[n] *= step;
        left->im[n] *= step;
    }
}

static void follow(powers *average, powers now, float rate)
{
    average->captured += rate * (now.captured - average->captured);
    average->left += rate * (now.left - average->left);
}

static float decide(rc_echo *e)
{
    spectrum captured, echo, left;
    float reach[BINS], excess = 0;
    powers band_powers[BANDS], all = {0, 0, 0, 0};
    halve(e, CAPTURED);
    halve(e, PLAYED);
    int newest = e->played.newest = e->played.newest == TAPS - 1 ? 0 : e->played.newest + 1;
    transform(e, &captured, &e->played.spectra[newest]);
    for (int n = 0; n < BINS; n++)
        e->played.power[newest][n] = power(&e->played.spectra[newest], n);
    rc_echo_predict(&echo, reach, e->path, e->share, &e->played);
    for (int n = 0; n < BINS; n++) {
        left.re[n] = captured.re[n] - echo.re[n];
        left.im[n] = captured.im[n] - echo.im[n];
    }
    for (int band = 0; band < BANDS; band++) {
        powers p = band_powers[band] = measure(band, &captured, &echo, &left, reach);
        all.captured += p.captured;
        all.echo += p.echo;
        all.left += p.left;
        all.played += p.played;
    }
    for (int band = 0; band < BANDS; band++) {
        scale(e, band, &left, reach, band_powers[band].left);
        band_powers[band].played += SPREAD * all.played;
        excess += judge(e, band, band_powers[band]) / BANDS;
    }
    learn(e, &left);

    if (all.left > WORSE * all.captured)
        excess = 0;
    e->excess += SMOOTHING * (excess - e->excess);
    if (all.echo > BANDS * ROUNDING) {
        follow(&e->lately, all, WRONG_RATE);
        if (e->lately.left > WRONG * e->lately.captured)
            forget_path(e);
        else if (e->excess < SOMEBODY / 2)
            follow(&e->alone, all, REDUCTION_RATE);
    }
    return rc_logistic(SLOPE * (e->excess - SOMEBODY));
}

float rc_echo_reduction_db(const rc_echo *e)
{
    return 10 * log10f((e->alone.captured + 1) / (e->alone.left + 1));
}

/* Samples in ---------------------------------------------------------------------------------- */

size_t rc_echo_hops(const rc_echo *e, size_t count)
{
    size_t inside = e->resample[CAPTURED] == NULL ? count : rc_resample_count(e->resample[CAPTURED], count);
    return (e->filled + inside) / HOP;
}

static size_t feed(rc_echo *e, float *somebody, const int16_t *captured, const int16_t *played, size_t count)
{
    size_t hops = 0;
    while (count > 0) {
        size_t taken = HOP - e->filled < count ? HOP - e->filled : count;
        memcpy(e->hop[CAPTURED] + e->filled, captured, taken * sizeof(int16_t));
        memcpy(e->hop[PLAYED] + e->filled, played, taken * sizeof(int16_t));
        e->filled += taken;
        captured += taken;
        played += taken;
        count -= taken;
        if (e->filled == HOP) {
            somebody[hops++] = decide(e);
            e->filled = 0;
        }
    }
    return hops;
}

size_t rc_echo_process(rc_echo *e, float *somebody, const int16_t *captured, const int16_t *played, size_t count)
{
    if (e->resample[CAPTURED] == NULL)
        return feed(e, somebody, captured, played, count);
    size_t hops = 0;
    while (count > 0) {
        int16_t inside[SIDES][BLOCK_OUT];
        size_t taken = count < BLOCK ? count : BLOCK;
        size_t made = rc_resample_process(e->resample[CAPTURED], inside[CAPTURED], captured, taken);
        rc_resample_process(e->resample[PLAYED], inside[PLAYED], played, taken);
        hops += feed(e, somebody + hops, inside[CAPTURED], inside[PLAYED], made);
        captured += taken;
        played += taken;
        count -= taken;
    }
    return hops;
}
