/* Power spectrum of 256 real samples under a Hann window, for the speech detectors. */
#ifndef RC_FFT_H
#define RC_FFT_H

#define RC_FFT_SIZE 256
#define RC_FFT_BINS (RC_FFT_SIZE / 2 + 1)

/* Window and twiddle factors; part of the detector that uses them. Read-only once prepared, so that
 * one may serve any number of threads. */
typedef struct {
    float window[RC_FFT_SIZE];           /* periodic */
    float split_re[RC_FFT_SIZE / 4 + 1]; /* exp(-2 pi i k / 256) */
    float split_im[RC_FFT_SIZE / 4 + 1];
    float first_re[8][16]; /* exp(-2 pi i p k / 128), [k][p] */
    float first_im[8][16];
    float second_re[4][4]; /* exp(-2 pi i p k / 16), [k][p] */
    float second_im[4][4];
} rc_fft;

void rc_fft_prepare(rc_fft *fft);

/* power[k] = |X[k]|^2 for k = 0..128; bin k lies at k / 256 of the sample rate. */
void rc_fft_power(const rc_fft *fft, float power[RC_FFT_BINS], const float samples[RC_FFT_SIZE]);

#endif
