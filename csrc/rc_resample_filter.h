/* The resampler's low-pass filter as a function of time, made for a pair of rates and a grade. */
#ifndef RC_RESAMPLE_FILTER_H
#define RC_RESAMPLE_FILTER_H

#include "rc_resample.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    double cutoff; /* part of the input's Nyquist frequency */
    double beta;   /* of the Kaiser window */
    double half;   /* half width in input samples: the delay */
    double end;    /* where it is cut off, half or before */
    size_t taps;   /* input samples that an output depends on, rounded up to full registers */
    size_t unused; /* the first of them, which rounding has added */
    int bits;      /* fractional bits of a coefficient on one of the ratio's phases, */
    int curve_bits; /* and of one between them, */
    size_t cells;   /* of which there are so many curves from one input sample to the next */
} rc_resample_filter;

/* `up` is the numerator of rate_out / rate_in in lowest terms. */
rc_resample_filter rc_resample_filter_design(uint32_t rate_in, uint32_t rate_out, uint32_t up, rc_resample_grade grade);

/* The coefficients of an output that lies `position` input samples after the newest but delay: one
 * for each tap, the newest sample's last, of sum 1. */
void rc_resample_filter_row(const rc_resample_filter *filter, double *row, double position);

#endif
