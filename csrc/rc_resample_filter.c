#include "rc_resample_filter.h"

#include <math.h>

#define PI 3.14159265358979323846

/* Taps are a multiple of it. */
#define REGISTER 16
/* Denominators of ratios whose phases keep the filter's middle on their grid. */
#define MAX_SIMPLE_RATIO 8

/* A sinc low-pass under a Kaiser window; J. F. Kaiser's formulas (1974), as in A. V. Oppenheim
 * and R. W. Schafer, Discrete-Time Signal Processing, section 7.5.3: for A dB and a transition
 * of w radians, beta = 0.1102 (A - 8.7) and length = (A - 8) / (2.285 w) + 1.
 */
typedef struct {
    double pass, stop; /* band edges as parts of the narrower Nyquist frequency */
    double attenuation;
    int bits;       /* the rounding of coefficients stays 20 dB below the filter */
    int curve_bits; /* and below that of samples: curves are another in every cell, what is left is noise */
    double cells;   /* by sample of the narrower rate: enough for parabolas, and for slopes to fit 16 bits */
} grade_design;

/* The fast one's edges lie around the Nyquist frequency: its zeros fall on the grid, and between
 * a half and two thirds of its coefficients need no work. */
static const grade_design designs[] = {
    [RC_RESAMPLE_FAST] = {0.9, 1.1, 80.5, 19, 19, 48},
    [RC_RESAMPLE_BEST] = {0.9, 1.0, 109, 22, 20, 64},
};

/* A window a little wider than the filter, which cuts its ends off, and made for a decibel more than
 * its width gives, has a narrower main lobe for the same side lobes: found by trying, some 2 dB. */
#define WINDOW_WIDTH 1.02
#define WINDOW_GAIN 1

/* Half the width is the delay. For simple ratios it is a whole number of grid positions, so that
 * the filter's middle is on the grid; for others it is a zero of the sinc, so that the filter's
 * ends, which each phase cuts elsewhere, cut nothing. */
rc_resample_filter rc_resample_filter_design(uint32_t rate_in, uint32_t rate_out, uint32_t up, rc_resample_grade grade)
{
    const grade_design *want = &designs[grade];
    double narrower = rate_out < rate_in ? (double)rate_out / rate_in : 1;
    double transition = PI * narrower * (want->stop - want->pass);
    /* at equal rates there is no alias: a sinc with its zeros on the samples passes them as they are */
    double cutoff = rate_in == rate_out ? 1 : narrower * (want->pass + want->stop) / 2;
    double spacing = up <= MAX_SIMPLE_RATIO ? 1.0 / up : 1 / cutoff;
    double half = ceil((want->attenuation - 8) / (2.285 * transition) / 2 / spacing) * spacing;
    double attenuation = 8 + 2.285 * transition * 2 * half + WINDOW_GAIN;
    size_t needed = (size_t)(2 * half) + 1, taps = (needed + REGISTER - 1) / REGISTER * REGISTER;
    return (rc_resample_filter){
        .cutoff = cutoff,
        .beta = 0.1102 * (attenuation - 8.7),
        .half = half,
        .end = half,
        .taps = taps,
        .unused = taps - needed,
        .bits = want->bits,
        .curve_bits = want->curve_bits,
        .cells = (size_t)ceil(want->cells * narrower),
    };
}

static double bessel_i0(double x)
{
    double quarter = x * x / 4, sum = 1, term = 1;
    for (int k = 1; term > sum * 1e-17; k++) {
        term *= quarter / (k * k);
        sum += term;
    }
    return sum;
}

static double impulse_response(const rc_resample_filter *filter, double at)
{
    double edge = at / (WINDOW_WIDTH * filter->half);
    if (fabs(at) > filter->end)
        return 0;
    double x = PI * filter->cutoff * at;
    double sinc = fabs(x) < 1e-9 ? 1 : sin(x) / x;
    return sinc * bessel_i0(filter->beta * sqrt(1 - edge * edge));
}

void rc_resample_filter_row(const rc_resample_filter *filter, double *row, double position)
{
    double sum = 0;
    for (size_t t = 0; t < filter->taps; t++) {
        row[t] = impulse_response(filter, (double)(filter->taps - 1 - t) + position - filter->half);
        sum += row[t];
    }
    for (size_t t = 0; t < filter->taps; t++)
        row[t] /= sum;
}
