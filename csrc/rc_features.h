/* What the light speech detector sees of each 10 ms hop at 16 kHz.
 *
 * Per band: log energy over a tracked noise floor, and the shape of the spectrum whatever its
 * level; then periodicity between 63 and 500 Hz, and loudness against what was loud lately.
 * Nothing depends on the gain of the microphone. No allocation, bounded time.
 */
#ifndef RC_FEATURES_H
#define RC_FEATURES_H

#include <stdint.h>

#include "rc_fft.h"

#define RC_HOP 160 /* samples at 16 kHz */
#define RC_BANDS 18
#define RC_FEATURES (2 * RC_BANDS + 4)
#define RC_LAGS 56 /* 63 down to 8 samples at 4 kHz: 63 up to 500 Hz */

typedef struct {
    rc_fft fft;
    float recent[RC_FFT_SIZE];  /* the latest samples */
    float floor[RC_BANDS];      /* tracked noise, log2 of power */
    float loud;                 /* slowly forgotten peak, log2 of power */
    float low[64 + RC_HOP / 4]; /* at 4 kHz: history for the longest lag, then the hop */
    float product[3][RC_LAGS];  /* correlation of each of the last three hops with its past */
    float past[3][RC_LAGS];     /* energy of that past */
    float energy[3];            /* energy of the hop itself */
    float lag;                  /* of the last hop's best period, log2 */
    int slot;                   /* of the last hop in product, past and energy */
    int hops;                   /* since the start, counted while the floor settles */
} rc_features;

void rc_features_start(rc_features *state);

/* One hop in, its features out: each about -4 to 4. */
void rc_features_process(rc_features *state, float out[RC_FEATURES], const int16_t hop[RC_HOP]);

#endif
