/* The 256 real samples are taken as 128 complex ones (even samples real, odd imaginary) and
 * transformed in three passes of radix 8, 4 and 4 after Stockham: every pass reads and writes in
 * order, without bit reversal, and from the second on the inner loop runs over neighbours in
 * memory, which compilers turn into vector code. (C. Van Loan, Computational Frameworks for the
 * Fast Fourier Transform, 1992, section 1.7; the split of the packed spectrum is section 4.3.) */
#include "rc_fft.h"

#include <math.h>

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
    for (int k = 0; k <= RC_FFT_SIZE / 4; k++)
        turn(&fft->split_re[k], &fft->split_im[k], k, RC_FFT_SIZE);
    for (int k = 0; k < 8; k++)
        for (int p = 0; p < 16; p++)
            turn(&fft->first_re[k][p], &fft->first_im[k][p], p * k, 128);
    for (int k = 0; k < 4; k++)
        for (int p = 0; p < 4; p++)
            turn(&fft->second_re[k][p], &fft->second_im[k][p], p * k, 16);
}

/* Transform of four values in place: a, b, c, d become bins 0 to 3. */
static inline void butterfly4(float re[4], float im[4])
{
    float sum02_re = re[0] + re[2], sum02_im = im[0] + im[2];
    float dif02_re = re[0] - re[2], dif02_im = im[0] - im[2];
    float sum13_re = re[1] + re[3], sum13_im = im[1] + im[3];
    float dif13_re = re[1] - re[3], dif13_im = im[1] - im[3];
    re[0] = sum02_re + sum13_re, im[0] = sum02_im + sum13_im;
    re[1] = dif02_re + dif13_im, im[1] = dif02_im - dif13_re;
    re[2] = sum02_re - sum13_re, im[2] = sum02_im - sum13_im;
    re[3] = dif02_re - dif13_im, im[3] = dif02_im + dif13_re;
}

/* Radix 8 over values 16 apart; result k of column p goes to 8 p + k. */
static void first_pass(const rc_fft *fft, spectrum *out, const spectrum *in)
{
    const float half_root = 0.70710678f;
    float re[8][16], im[8][16]; /* [k][p] */
    for (int p = 0; p < 16; p++) {
        float even_re[4], even_im[4], odd_re[4], odd_im[4];
        for (int j = 0; j < 4; j++) {
            float upper_re = in->re[p + 16 * j], upper_im = in->im[p + 16 * j];
            float lower_re = in->re[p + 16 * j + 64], lower_im = in->im[p + 16 * j + 64];
            even_re[j] = upper_re + lower_re, even_im[j] = upper_im + lower_im;
            odd_re[j] = upper_re - lower_re, odd_im[j] = upper_im - lower_im;
        }
        /* the odd half times exp(-2 pi i j / 8) */
        float one_re = odd_re[1], three_re = odd_re[3], two_re = odd_re[2];
        odd_re[1] = half_root * (one_re + odd_im[1]), odd_im[1] = half_root * (odd_im[1] - one_re);
        odd_re[2] = odd_im[2], odd_im[2] = -two_re;
        odd_re[3] = half_root * (odd_im[3] - three_re), odd_im[3] = -half_root * (odd_im[3] + three_re);
        butterfly4(even_re, even_im);
        butterfly4(odd_re, odd_im);
        for (int k = 0; k < 4; k++) {
            re[2 * k][p] = even_re[k], im[2 * k][p] = even_im[k];
            re[2 * k + 1][p] = odd_re[k], im[2 * k + 1][p] = odd_im[k];
        }
    }
    for (int k = 0; k < 8; k++)
        for (int p = 0; p < 16; p++) {
            out->re[8 * p + k] = re[k][p] * fft->first_re[k][p] - im[k][p] * fft->first_im[k][p];
            out->im[8 * p + k] = re[k][p] * fft->first_im[k][p] + im[k][p] * fft->first_re[k][p];
        }
}

/* Radix 4 over values 32 apart, in groups of 8 neighbours. */
static void second_pass(const rc_fft *fft, spectrum *out, const spectrum *in)
{
    for (int p = 0; p < 4; p++)
        for (int q = 0; q < 8; q++) {
            float re[4], im[4];
            for (int j = 0; j < 4; j++)
                re[j] = in->re[q + 8 * (p + 4 * j)], im[j] = in->im[q + 8 * (p + 4 * j)];
            butterfly4(re, im);
            for (int k = 0; k < 4; k++) {
                float w_re = fft->second_re[k][p], w_im = fft->second_im[k][p];
                out->re[q + 8 * (4 * p + k)] = re[k] * w_re - im[k] * w_im;
                out->im[q + 8 * (4 * p + k)] = re[k] * w_im + im[k] * w_re;
            }
        }
}

/* Radix 4 over values 32 apart: the last pass, without twiddles. */
static void third_pass(spectrum *out, const spectrum *in)
{
    for (int q = 0; q < 32; q++) {
        float re[4], im[4];
        for (int j = 0; j < 4; j++)
            re[j] = in->re[q + 32 * j], im[j] = in->im[q + 32 * j];
        butterfly4(re, im);
        for (int k = 0; k < 4; k++)
            out->re[q + 32 * k] = re[k], out->im[q + 32 * k] = im[k];
    }
}

void rc_fft_power(const rc_fft *fft, float power[RC_FFT_BINS], const float samples[RC_FFT_SIZE])
{
    spectrum a, b;
    for (int n = 0; n < PACKED; n++)
        a.re[n] = samples[2 * n], a.im[n] = samples[2 * n + 1];
    first_pass(fft, &b, &a);
    second_pass(fft, &a, &b);
    third_pass(&b, &a);

    /* X[k] = even[k] + w^k odd[k] and X[128 - k] = conj(even[k] - w^k odd[k]) */
    float sum = b.re[0] + b.im[0], difference = b.re[0] - b.im[0];
    power[0] = sum * sum;
    power[PACKED] = difference * difference;
    for (int k = 1; k <= PACKED / 2; k++) {
        float even_re = 0.5f * (b.re[k] + b.re[PACKED - k]);
        float even_im = 0.5f * (b.im[k] - b.im[PACKED - k]);
        float odd_re = 0.5f * (b.im[k] + b.im[PACKED - k]);
        float odd_im = 0.5f * (b.re[PACKED - k] - b.re[k]);
        float turned_re = odd_re * fft->split_re[k] - odd_im * fft->split_im[k];
        float turned_im = odd_re * fft->split_im[k] + odd_im * fft->split_re[k];
        float plus_re = even_re + turned_re, plus_im = even_im + turned_im;
        float minus_re = even_re - turned_re, minus_im = even_im - turned_im;
        power[k] = plus_re * plus_re + plus_im * plus_im;
        power[PACKED - k] = minus_re * minus_re + minus_im * minus_im;
    }
}
