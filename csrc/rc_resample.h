/* Streaming resampler for 16-bit mono: a polyphase FIR filter between any two rates from 8 to
 * 192 kHz, with a short and constant delay.
 *
 * After n input samples exactly ceil(n * rate_out / rate_in) output samples have been made,
 * whatever the sizes of the pieces they came in, and every partition gives the same samples (unless
 * the ratio is adjusted in flight, which shifts the count accordingly). The filter is causal:
 * output lags input by rc_resample_delay_in() input samples, the first outputs are the (silent)
 * beginning of that delay. All arithmetic is in integers, so every machine and every instruction
 * set gives the same output from the same coefficients.
 *
 * One thread at a time. Only new allocates. Equal rates delay like any other pair and change no
 * sample; create no resampler when its clock is not to be adjusted.
 */
#ifndef RC_RESAMPLE_H
#define RC_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct rc_resample rc_resample;

typedef enum {
    RC_RESAMPLE_FAST, /* flat to 0.9, >= 80 dB down from 1.1 of the narrower Nyquist frequency */
    RC_RESAMPLE_BEST, /* flat to 0.9, >= 100 dB down from 1.0 of it; three times the delay, twice the cost */
} rc_resample_grade;

enum {
    RC_RESAMPLE_MIN_RATE = 8000,
    RC_RESAMPLE_MAX_RATE = 192000,
    RC_RESAMPLE_MAX_INPUT = 1 << 26, /* samples in one call */
    RC_RESAMPLE_MAX_PPM = 10000,
};

/* Rates in Hz. NULL when a rate or the grade is out of range or memory is short. */
rc_resample *rc_resample_new(uint32_t rate_in, uint32_t rate_out, rc_resample_grade grade);
void rc_resample_free(rc_resample *resample);

/* Forgets all input: as new, the clipping counter included. */
void rc_resample_reset(rc_resample *resample);

/* From the next output on, takes the true input rate to be rate_in * (1 + ppm / 1e6): for a clock
 * that drifts against the other. Time goes on without a step, so nothing clicks; outputs then lie
 * between the filter's phases and cost two to five times as much. RC_OK, or RC_EINVAL beyond
 * +-RC_RESAMPLE_MAX_PPM. Survives a flush; reset takes it back. */
int rc_resample_adjust(rc_resample *resample, double ppm);

/* Output samples that the next `count` input samples will give: exact. */
size_t rc_resample_count(const rc_resample *resample, size_t count);
/* Resamples `count` samples; `out` has room for rc_resample_count() and does not overlap the
 * input. Returns the number of samples written. */
size_t rc_resample_process(rc_resample *resample, int16_t *out, const int16_t *in, size_t count);

/* Output samples that a flush will give: what the delay still holds. */
size_t rc_resample_flush_count(const rc_resample *resample);
/* Gives out what the delay holds and starts anew (the clipping counter goes on). */
size_t rc_resample_flush(rc_resample *resample, int16_t *out);

/* How far output lags input, constant, in input and in output samples. */
double rc_resample_delay_in(const rc_resample *resample);
double rc_resample_delay_out(const rc_resample *resample);

/* Output samples that did not fit into 16 bits and were limited. */
uint64_t rc_resample_clipped(const rc_resample *resample);

#endif
