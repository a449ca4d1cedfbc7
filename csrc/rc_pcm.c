#include "rc_pcm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FULL_SCALE 32768.0f

static int16_t limited(int32_t sample)
{
    return (int16_t)(sample > INT16_MAX ? INT16_MAX : sample < INT16_MIN ? INT16_MIN : sample);
}

/* Comparisons are false for not-a-number, which therefore becomes 0. */
static int16_t rounded(float sample)
{
    float number = sample == sample ? sample : 0;
    float above = number > (float)INT16_MIN ? number : (float)INT16_MIN;
    return (int16_t)lrintf(above < (float)INT16_MAX ? above : (float)INT16_MAX);
}

int32_t rc_pcm_peak(const int16_t *samples, size_t count)
{
    int32_t highest = 0, lowest = 0;
    for (size_t i = 0; i < count; i++) {
        highest = samples[i] > highest ? samples[i] : highest;
        lowest = samples[i] < lowest ? samples[i] : lowest;
    }
    return highest > -lowest ? highest : -lowest;
}

uint64_t rc_pcm_energy(const int16_t *samples, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (uint32_t)(samples[i] * samples[i]);
    return sum;
}

double rc_pcm_dbfs(double amplitude)
{
    double level = amplitude > 0 ? 20 * log10(amplitude / FULL_SCALE) : RC_PCM_FLOOR_DB;
    return level > RC_PCM_FLOOR_DB ? level : RC_PCM_FLOOR_DB;
}

/* A ramp is counted in stretches: 32-bit counters become floats many at a time. */
#define STRETCH 65536

static size_t stretch(size_t left)
{
    return left < STRETCH ? left : STRETCH;
}

void rc_pcm_gain(int16_t *samples, size_t count, float start, float end)
{
    if (start == 1 && end == 1)
        return;
    float slope = count > 0 ? (end - start) / (float)count : 0;
    for (size_t at = 0; at < count; at += STRETCH) {
        float first = start + (float)at * slope;
        int32_t now = (int32_t)stretch(count - at);
        for (int32_t i = 0; i < now; i++)
            samples[at + (size_t)i] = rounded((float)samples[at + (size_t)i] * (first + (float)i * slope));
    }
}

void rc_pcm_add(int16_t *samples, const int16_t *more, size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i] = limited((int32_t)samples[i] + more[i]);
}

/* Partial results side by side: one per lane of a vector, combined in the same order everywhere. */
#define LANES 16

static float louder(float peak, float sample)
{
    float magnitude = fabsf(sample);
    return magnitude > peak ? magnitude : peak; /* false for not-a-number */
}

static double square(float sample)
{
    double number = sample == sample ? (double)sample : 0;
    return number * number;
}

float rc_pcm_peak_f32(const float *samples, size_t count)
{
    float peaks[LANES] = {0}, peak = 0;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            peaks[lane] = louder(peaks[lane], samples[i + lane]);
    for (; i < count; i++)
        peak = louder(peak, samples[i]);
    for (size_t lane = 0; lane < LANES; lane++)
        peak = louder(peak, peaks[lane]);
    return peak;
}

double rc_pcm_energy_f32(const float *samples, size_t count)
{
    double sums[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            sums[lane] += square(samples[i + lane]);
    for (; i < count; i++)
        sum += square(samples[i]);
    for (size_t lane = 0; lane < LANES; lane++)
        sum += sums[lane];
    return sum;
}

void rc_pcm_gain_f32(float *samples, size_t count, float start, float end)
{
    float slope = count > 0 ? (end - start) / (float)count : 0;
    for (size_t at = 0; at < count; at += STRETCH) {
        float first = start + (float)at * slope;
        int32_t now = (int32_t)stretch(count - at);
        for (int32_t i = 0; i < now; i++)
            samples[at + (size_t)i] *= first + (float)i * slope;
    }
}

void rc_pcm_add_f32(float *samples, const float *more, size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i] += more[i];
}

/* Inlined with a constant number of channels where that is usual. */
static inline void mix_down(int16_t *mono, const int16_t *interleaved, size_t frames, int32_t channels)
{
    for (size_t i = 0; i < frames; i++) {
        int32_t sum = 0;
        for (int32_t c = 0; c < channels; c++)
            sum += interleaved[i * (size_t)channels + (size_t)c];
        mono[i] = (int16_t)((sum + (sum < 0 ? -channels : channels) / 2) / channels);
    }
}

void rc_pcm_mix_down(int16_t *mono, const int16_t *interleaved, size_t frames, unsigned channels)
{
    if (channels == 1)
        memmove(mono, interleaved, frames * sizeof(int16_t));
    else if (channels == 2)
        mix_down(mono, interleaved, frames, 2);
    else
        mix_down(mono, interleaved, frames, (int32_t)channels);
}

void rc_pcm_duplicate(int16_t *interleaved, const int16_t *mono, size_t frames, unsigned channels)
{
    if (channels == 1) {
        memmove(interleaved, mono, frames * sizeof(int16_t));
    } else if (channels == 2) {
        rc_pcm_interleave(interleaved, mono, mono, frames);
    } else {
        for (size_t i = 0; i < frames; i++)
            for (unsigned c = 0; c < channels; c++)
                *interleaved++ = mono[i];
    }
}

void rc_pcm_interleave(int16_t *stereo, const int16_t *left, const int16_t *right, size_t frames)
{
    for (size_t i = 0; i < frames; i++) {
        stereo[2 * i] = left[i];
        stereo[2 * i + 1] = right[i];
    }
}

void rc_pcm_s16_to_f32(float *out, const int16_t *in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (float)in[i] / FULL_SCALE;
}

void rc_pcm_f32_to_s16(int16_t *out, const float *in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = rounded(in[i] * FULL_SCALE);
}
