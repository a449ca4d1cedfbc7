/* The transform and its window against their definition; the detector on silence, extremes and noise. */
#include "check.h"
#include "rc_fft.h"
#include "rc_vad.h"

#include <math.h>

static void test_spectrum(void)
{
    uint64_t random = 1;
    rc_fft fft;
    float samples[RC_FFT_SIZE], power[RC_FFT_BINS];
    rc_fft_prepare(&fft);
    for (int n = 0; n < RC_FFT_SIZE; n++)
        samples[n] = (float)random_below(&random, 2001) - 1000.0f;
    rc_fft_power(&fft, power, samples);
    for (int k = 0; k < RC_FFT_BINS; k++) {
        double re = 0, im = 0;
        for (int n = 0; n < RC_FFT_SIZE; n++) {
            double angle = 6.283185307179586 * (n * k % RC_FFT_SIZE) / RC_FFT_SIZE;
            double windowed = samples[n] * (0.5 - 0.5 * cos(6.283185307179586 * n / RC_FFT_SIZE));
            re += windowed * cos(angle);
            im += windowed * sin(angle);
        }
        CHECK(fabs(sqrt(power[k]) - sqrt(re * re + im * im)) < 0.05);
    }
}

/* Whatever comes in, what comes out is a probability, and as many as were announced. */
static void test_any_input(void)
{
    static const uint32_t rates[] = {8000, 11025, 16000, 44100, 48000, 192000};
    static int16_t samples[20000];
    static float out[500];
    uint64_t random = 2;
    for (size_t r = 0; r < sizeof(rates) / sizeof(*rates); r++) {
        rc_vad *vad = rc_vad_new(rates[r], NULL);
        rc_vad_stagger(vad); /* nothing to the light detector */
        for (int turn = 0; turn < 60; turn++) {
            size_t count = random_below(&random, 4000);
            random_samples(&random, samples, count);
            for (size_t n = 0; n < count; n++) {
                if (turn % 4 == 1)
                    samples[n] = n / 40 % 2 ? INT16_MAX : INT16_MIN;
                else if (turn % 4 == 2)
                    samples[n] = 0;
            }
            size_t expected = rc_vad_hops(vad, count);
            CHECK(expected <= 500 && expected <= count * 100 / rates[r] + 2);
            CHECK(rc_vad_process(vad, out, samples, count) == expected);
            for (size_t n = 0; n < expected; n++)
                CHECK(out[n] >= 0 && out[n] <= 1);
        }
        rc_vad_free(vad);
    }
    CHECK(rc_vad_new(7999, NULL) == NULL && rc_vad_new(192001, NULL) == NULL);
    rc_vad_free(NULL);
}

int main(void)
{
    test_spectrum();
    test_any_input();
    return 0;
}
