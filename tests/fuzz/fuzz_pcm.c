/* Any floats, any gains: results are limited, never undefined. */
#include "fuzz.h"
#include "rc_g711.h"
#include "rc_pcm.h"

#include <stdlib.h>

const char *const fuzz_seeds[] = {"\1\1\200\77\1\1\1\100 samples and floats of every kind", ""};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8)
        return 0;
    float gains[2];
    size_t count = (size - 8) / 4;
    float *floats = malloc(count * sizeof(float) + 1);
    int16_t *samples = malloc(count * sizeof(int16_t) + 1), *mono = malloc(count * sizeof(int16_t) + 1);
    uint8_t *codes = malloc(count + 1);
    memcpy(gains, data, 8);
    memcpy(floats, data + 8, count * 4);
    rc_pcm_f32_to_s16(samples, floats, count);
    for (size_t i = 0; i < count; i++)
        CHECK(samples[i] == 0 ? !(floats[i] > 1e-4f || floats[i] < -1e-4f) : (samples[i] > 0) == (floats[i] > 0));
    memcpy(samples, data + 8, count * sizeof(int16_t));
    CHECK(rc_pcm_peak(samples, count) <= 32768 && rc_pcm_energy(samples, count) <= (uint64_t)count << 30);
    for (unsigned channels = 1; channels <= 4; channels++)
        rc_pcm_mix_down(mono, samples, count / channels, channels);
    rc_pcm_add(mono, samples, count / 4);
    rc_pcm_gain(samples, count, gains[0], gains[1]);
    CHECK(rc_pcm_peak_f32(floats, count) >= 0 && rc_pcm_energy_f32(floats, count) >= 0);
    rc_pcm_gain_f32(floats, count, gains[0], gains[1]);
    rc_pcm_add_f32(floats, floats + count / 2, count / 2);
    rc_g711_encode_ulaw(codes, samples, count);
    rc_g711_decode_ulaw(mono, codes, count);
    for (size_t i = 0; i < count; i++) /* half a step of the largest segment, beyond it the end of the scale */
        CHECK(abs(mono[i] - samples[i]) <= 512 + (abs(samples[i]) > 32124 ? 644 : 0));
    free(floats);
    free(samples);
    free(mono);
    free(codes);
    return 0;
}
