/* The 256 real samples are taken as 128 complex ones (even samples real, odd imaginary) and
 * transformed in three passes of radix 8, 4 and 4 after Stockham: every pass reads and writes in
 * order, without bit reversal, so that neighbours go through it together. (C. Van Loan,
 * Computational Frameworks for the Fast Fourier Transform, 1992, section 1.7; the split of the packed
 * spectrum is section 4.3.) */
#include "rc_fft.h"

#include <math.h>

#include "kernels/rc_lanes.h"

#define PACKED (RC_FFT_SIZE / 2)

typedef struct {
    float re[PACKED];
    float im[PACKED];
} spectrum;

static void turn(float *re, float *im, int numerator, int denominator)
{
    double angle = -6.283185307179586 * numerator / denominator;
    *re = (float)cos(angle);
    *im = (float)sin(angle);
}

void rc_fft_prepare(rc_fft *fft)
{
    for (int n = 0; n < RC_FFT_SIZE; n++)
        fft->window[n] = (float)(0.5 - 0.5 * cos(6.283185307179586 * n / RC_FFT_SIZE));
    for (int k = 0; k <= RC_FFT_SIZE / 4; k++)
        turn(&fft->split_re[k], &fft->split_im[k], k, RC_FFT_SIZE);
    for (int k = 0; k < 8; k++)
        for (int p = 0; p < 16; p++)
            turn(&fft->first_re[k][p], &fft->first_im[k][p], p * k, 128);
    for (int k = 0; k < 4; k++)
        for (int p = 0; p < 4; p++)
            turn(&fft->second_re[k][p], &fft->second_im[k][p], p * k, 16);
}

static void pack(const rc_fft *fft, spectrum *out, const float *samples)
{
    for (int n = 0; n < PACKED; n += RC_LANES) {
        rc_lanes a = rc_load(samples + 2 * n) * rc_load(fft->window + 2 * n);
        rc_lanes b = rc_load(samples + 2 * n + RC_LANES) * rc_load(fft->window + 2 * n + RC_LANES);
        rc_store(out->re + n, rc_even(a, b));
        rc_store(out->im + n, rc_odd(a, b));
    }
}

/* Transform of four values in place: a, b, c, d become bins 0 to 3. */
static inline void butterfly4(rc_lanes re[4], rc_lanes im[4])
{
    rc_lanes sum02_re = re[0] + re[2], sum02_im = im[0] + im[2];
    rc_lanes dif02_re = re[0] - re[2], dif02_im = im[0] - im[2];
    rc_lanes sum13_re = re[1] + re[3], sum13_im = im[1] + im[3];
    rc_lanes dif13_re = re[1] - re[3], dif13_im = im[1] - im[3];
    re[0] = sum02_re + sum13_re, im[0] = sum02_im + sum13_im;
    re[1] = dif02_re + dif13_im, im[1] = dif02_im - dif13_re;
    re[2] = sum02_re - sum13_re, im[2] = sum02_im - sum13_im;
    re[3] = dif02_re - dif13_im, im[3] = dif02_im + dif13_re;
}

/* Radix 8 over values 16 apart; result k of column p goes to 8 p + k. */
static void first_pass(const rc_fft *fft, spectrum *out, const spectrum *in)
{
    const float half_root = 0.70710678f;
    for (int p = 0; p < 16; p += RC_LANES) {
        rc_lanes even_re[4], even_im[4], odd_re[4], odd_im[4], re[8], im[8];
        RC_UNROLLED for (int j = 0; j < 4; j++) {
            rc_lanes upper_re = rc_load(in->re + p + 16 * j), upper_im = rc_load(in->im + p + 16 * j);
            rc_lanes lower_re = rc_load(in->re + p + 16 * j + 64), lower_im = rc_load(in->im + p + 16 * j + 64);
            even_re[j] = upper_re + lower_re, even_im[j] = upper_im + lower_im;
            odd_re[j] = upper_re - lower_re, odd_im[j] = upper_im - lower_im;
        }
        /* the odd half times exp(-2 pi i j / 8) */
        rc_lanes one_re = odd_re[1], two_re = odd_re[2], three_re = odd_re[3];
        odd_re[1] = half_root * (one_re + odd_im[1]), odd_im[1] = half_root * (odd_im[1] - one_re);
        odd_re[2] = odd_im[2], odd_im[2] = -two_re;
        odd_re[3] = half_root * (odd_im[3] - three_re), odd_im[3] = -half_root * (odd_im[3] + three_re);
        butterfly4(even_re, even_im);
        butterfly4(odd_re, odd_im);
        RC_UNROLLED for (int k = 0; k < 8; k++) {
            rc_lanes value_re = k % 2 ? odd_re[k / 2] : even_re[k / 2];
            rc_lanes value_im = k % 2 ? odd_im[k / 2] : even_im[k / 2];
            rc_lanes w_re = rc_load(fft->first_re[k] + p), w_im = rc_load(fft->first_im[k] + p);
            re[k] = value_re * w_re - value_im * w_im;
            im[k] = value_re * w_im + value_im * w_re;
        }
        RC_UNROLLED for (int k = 0; k < 8; k += 4) {
            rc_store_columns(out->re + 8 * p + k, 8, re + k);
            rc_store_columns(out->im + 8 * p + k, 8, im + k);
        }
    }
}

/* Radix 4 over values 32 apart, in groups of 8 neighbours. */
static void second_pass(const rc_fft *fft, spectrum *out, const spectrum *in)
{
    for (int p = 0; p < 4; p++)
        for (int q = 0; q < 8; q += RC_LANES) {
            rc_lanes re[4], im[4];
            RC_UNROLLED for (int j = 0; j < 4; j++) {
                re[j] = rc_load(in->re + q + 8 * (p + 4 * j));
                im[j] = rc_load(in->im + q + 8 * (p + 4 * j));
            }
            butterfly4(re, im);
            RC_UNROLLED for (int k = 0; k < 4; k++) {
                float w_re = fft->second_re[k][p], w_im = fft->second_im[k][p];
                rc_store(out->re + q + 8 * (4 * p + k), re[k] * w_re - im[k] * w_im);
                rc_store(out->im + q + 8 * (4 * p + k), re[k] * w_im + im[k] * w_re);
            }
        }
}

/* Radix 4 over values 32 apart: the last pass, without twiddles. */
static void third_pass(spectrum *out, const spectrum *in)
{
    for (int q = 0; q < 32; q += RC_LANES) {
        rc_lanes re[4], im[4];
        RC_UNROLLED for (int j = 0; j < 4; j++)
            re[j] = rc_load(in->re + q + 32 * j), im[j] = rc_load(in->im + q + 32 * j);
        butterfly4(re, im);
        RC_UNROLLED for (int k = 0; k < 4; k++)
            rc_store(out->re + q + 32 * k, re[k]), rc_store(out->im + q + 32 * k, im[k]);
    }
}

/* X[k] = even[k] + w^k odd[k] and X[128 - k] = conj(even[k] - w^k odd[k]) */
static void unpack(const rc_fft *fft, float power[RC_FFT_BINS], const spectrum *packed)
{
    for (int k = 1; k <= PACKED / 2; k += RC_LANES) {
        int mirrored = PACKED + 1 - RC_LANES - k; /* the last of these lanes is 128 - k */
        rc_lanes re = rc_load(packed->re + k), back_re = rc_reverse(rc_load(packed->re + mirrored));
        rc_lanes im = rc_load(packed->im + k), back_im = rc_reverse(rc_load(packed->im + mirrored));
        rc_lanes w_re = rc_load(fft->split_re + k), w_im = rc_load(fft->split_im + k);
        rc_lanes even_re = 0.5f * (re + back_re), even_im = 0.5f * (im - back_im);
        rc_lanes odd_re = 0.5f * (im + back_im), odd_im = 0.5f * (back_re - re);
        rc_lanes turned_re = odd_re * w_re - odd_im * w_im, turned_im = odd_re * w_im + odd_im * w_re;
        rc_lanes plus_re = even_re + turned_re, plus_im = even_im + turned_im;
        rc_lanes minus_re = even_re - turned_re, minus_im = even_im - turned_im;
        rc_store(power + k, plus_re * plus_re + plus_im * plus_im);
        rc_store(power + mirrored, rc_reverse(minus_re * minus_re + minus_im * minus_im));
    }
    float sum = packed->re[0] + packed->im[0], difference = packed->re[0] - packed->im[0];
    power[0] = sum * sum;
    power[PACKED] = difference * difference;
}

void rc_fft_power(const rc_fft *fft, float power[RC_FFT_BINS], const float samples[RC_FFT_SIZE])
{
    spectrum a, b;
    pack(fft, &a, samples);
    first_pass(fft, &b, &a);
    second_pass(fft, &a, &b);
    third_pass(&b, &a);
    unpack(fft, power, &b);
}
