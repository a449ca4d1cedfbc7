/* Any samples, any floats, any gains: what a naive model in double precision gives, limited and never
 * undefined. */
#include "fuzz.h"
#include "rc_pcm.h"

#include <math.h>
#include <stdlib.h>

const char *const fuzz_seeds[] = {"\1\1\200\77\1\1\1\100 samples and floats of every kind", ""};

static int limited(double sample)
{
    return sample > 32767 ? 32767 : sample < -32768 ? -32768 : (int)sample;
}

/* A sample multiplied in double precision, give or take what single precision may lose of it. */
static int is_product(int16_t result, double sample, double gain)
{
    double product = sample * gain, loss = 0.51 + fabs(product) * 1e-5;
    if (isnan(product))
        return result == 0;
    return result >= limited(ceil(product - loss)) && result <= limited(floor(product + loss));
}

static void check_levels(const int16_t *samples, const float *floats, size_t count)
{
    int peak = 0;
    uint64_t energy = 0;
    float peak_f32 = 0;
    double energy_f32 = 0;
    for (size_t i = 0; i < count; i++) {
        peak = abs(samples[i]) > peak ? abs(samples[i]) : peak;
        energy += (uint64_t)((int64_t)samples[i] * samples[i]);
        peak_f32 = fabsf(floats[i]) > peak_f32 ? fabsf(floats[i]) : peak_f32;
        energy_f32 += isnan(floats[i]) ? 0 : (double)floats[i] * floats[i];
    }
    CHECK(rc_pcm_peak(samples, count) == peak && rc_pcm_energy(samples, count) == energy);
    CHECK(rc_pcm_peak_f32(floats, count) == peak_f32);
    double found = rc_pcm_energy_f32(floats, count);
    CHECK(found == energy_f32 || fabs(found - energy_f32) <= 1e-9 * energy_f32);
    double level = rc_pcm_dbfs(peak);
    CHECK(level >= RC_PCM_FLOOR_DB && level <= 0 && (peak > 0 || level == RC_PCM_FLOOR_DB));
}

static void check_formats(const int16_t *samples, const float *floats, size_t count)
{
    int16_t *back = malloc(count * sizeof(int16_t) + 1);
    float *exact = malloc(count * sizeof(float) + 1);
    rc_pcm_f32_to_s16(back, floats, count);
    for (size_t i = 0; i < count; i++)
        CHECK(is_product(back[i], floats[i], 32768));
    rc_pcm_s16_to_f32(exact, samples, count);
    for (size_t i = 0; i < count; i++)
        CHECK(exact[i] == (float)samples[i] / 32768);
    rc_pcm_f32_to_s16(back, exact, count);
    CHECK(memcmp(back, samples, count * sizeof(int16_t)) == 0);
    free(back);
    free(exact);
}

static void check_channels(const int16_t *samples, size_t count, unsigned channels)
{
    size_t frames = count / channels;
    int16_t *mono = malloc(frames * sizeof(int16_t) + 1);
    int16_t *wide = malloc(frames * channels * sizeof(int16_t) + 1);
    rc_pcm_mix_down(mono, samples, frames, channels);
    for (size_t i = 0; i < frames; i++) {
        int sum = 0;
        for (unsigned c = 0; c < channels; c++)
            sum += samples[i * channels + c];
        CHECK(fabs(mono[i] - (double)sum / channels) <= 0.5);
    }
    rc_pcm_duplicate(wide, mono, frames, channels);
    for (size_t i = 0; i < frames * channels; i++)
        CHECK(wide[i] == mono[i / channels]);
    rc_pcm_mix_down(wide, wide, frames, channels); /* in place */
    CHECK(memcmp(wide, mono, frames * sizeof(int16_t)) == 0);
    free(mono);
    free(wide);
}

static void check_interleave(const int16_t *samples, size_t frames)
{
    int16_t *stereo = malloc(2 * frames * sizeof(int16_t) + 1);
    rc_pcm_interleave(stereo, samples, samples + frames, frames);
    for (size_t i = 0; i < frames; i++)
        CHECK(stereo[2 * i] == samples[i] && stereo[2 * i + 1] == samples[frames + i]);
    free(stereo);
}

static void check_sums(int16_t *samples, float *floats, size_t half)
{
    int16_t *sum = malloc(half * sizeof(int16_t) + 1);
    float *sum_f32 = malloc(half * sizeof(float) + 1);
    memcpy(sum, samples, half * sizeof(int16_t));
    memcpy(sum_f32, floats, half * sizeof(float));
    rc_pcm_add(sum, samples + half, half);
    rc_pcm_add_f32(sum_f32, floats + half, half);
    for (size_t i = 0; i < half; i++) {
        float expected = floats[i] + floats[half + i];
        CHECK(sum[i] == limited(samples[i] + samples[half + i]));
        CHECK(sum_f32[i] == expected || (isnan(sum_f32[i]) && isnan(expected)));
    }
    free(sum);
    free(sum_f32);
}

static void check_gain(const int16_t *samples, const float *floats, size_t count, float start, float end)
{
    int16_t *louder = malloc(count * sizeof(int16_t) + 1);
    float *louder_f32 = malloc(count * sizeof(float) + 1);
    memcpy(louder, samples, count * sizeof(int16_t));
    memcpy(louder_f32, floats, count * sizeof(float));
    rc_pcm_gain(louder, count, start, end);
    rc_pcm_gain_f32(louder_f32, count, start, end);
    int is_usual = fabsf(start) <= 1e3f && fabsf(end) <= 1e3f; /* false for not-a-number; others only must not trap */
    for (size_t i = 0; i < count && is_usual; i++) {
        double gain = start + ((double)end - start) * (double)i / (double)count;
        double loss = 1e-5 * (fabs(start) + fabs(end)), product = floats[i] * gain;
        CHECK(fabs(louder[i] - fmax(-32768, fmin(32767, samples[i] * gain))) <= 0.51 + fabs(samples[i] * loss));
        CHECK(isnan(floats[i]) ? isnan(louder_f32[i])
                               : !isfinite(product) || fabs(product) > 1e30 ||
                                     fabs(louder_f32[i] - product) <= fabs(floats[i]) * loss + 1e-30);
    }
    free(louder);
    free(louder_f32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 9)
        return 0;
    float gains[2];
    size_t count = (size - 9) / 4;
    float *floats = malloc(count * sizeof(float) + 1);
    int16_t *samples = malloc(count * sizeof(int16_t) + 1);
    memcpy(gains, data + 1, 8);
    memcpy(floats, data + 9, count * sizeof(float));
    memcpy(samples, data + 9 + count * sizeof(float) / 2, count * sizeof(int16_t));
    check_levels(samples, floats, count);
    check_formats(samples, floats, count);
    check_channels(samples, count, 1 + data[0] % 8);
    check_interleave(samples, count / 2);
    check_sums(samples, floats, count / 2);
    check_gain(samples, floats, count, gains[0], gains[1]);
    check_gain(samples, floats, count, (float)data[0] / 64, (float)data[1] / 64);
    free(floats);
    free(samples);
    return 0;
}
