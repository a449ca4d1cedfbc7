/* Samples in place: levels, gain, mixing, channels, and the two sample formats.
 *
 * s16 is signed 16 bits, f32 (functions named so) is float with full scale at +-1. Results that
 * do not fit s16 are limited; f32 has headroom and is not. A frame is one sample of each channel.
 * Any thread.
 *
 * Plain loops in an order that lets compilers use vector instructions: 20 ms cost a fraction of a
 * microsecond, so there is nothing for kernels of our own to gain.
 */
#ifndef RC_PCM_H
#define RC_PCM_H

#include <stddef.h>
#include <stdint.h>

#define RC_PCM_FLOOR_DB (-120.0) /* the level of silence */

/* Largest magnitude, 0 to 32768. */
int32_t rc_pcm_peak(const int16_t *samples, size_t count);
/* Sum of squares. */
uint64_t rc_pcm_energy(const int16_t *samples, size_t count);
/* An amplitude (full scale: 32768) in dBFS, RC_PCM_FLOOR_DB at least. */
double rc_pcm_dbfs(double amplitude);

/* Multiplies by a gain that goes in a straight line from `start` (at the first sample) to `end`
 * (which the sample behind the last would get, so that ramps join). Rounds to nearest. */
void rc_pcm_gain(int16_t *samples, size_t count, float start, float end);
/* Adds `more` to `samples`. A mix is a gain and an add, a fade is a gain from or to 0. */
void rc_pcm_add(int16_t *samples, const int16_t *more, size_t count);

/* The same for f32. The peak is the largest magnitude; the level of a sample that is not a number
 * is that of silence. */
float rc_pcm_peak_f32(const float *samples, size_t count);
double rc_pcm_energy_f32(const float *samples, size_t count);
void rc_pcm_gain_f32(float *samples, size_t count, float start, float end);
void rc_pcm_add_f32(float *samples, const float *more, size_t count);

/* The mean of `channels` interleaved channels, rounded to nearest; `mono` may be `interleaved`. */
void rc_pcm_mix_down(int16_t *mono, const int16_t *interleaved, size_t frames, unsigned channels);
/* The same sample on each of `channels` interleaved channels. */
void rc_pcm_duplicate(int16_t *interleaved, const int16_t *mono, size_t frames, unsigned channels);
void rc_pcm_interleave(int16_t *stereo, const int16_t *left, const int16_t *right, size_t frames);

void rc_pcm_s16_to_f32(float *out, const int16_t *in, size_t count);
/* Rounds to nearest; not-a-number becomes silence. */
void rc_pcm_f32_to_s16(int16_t *out, const float *in, size_t count);

#endif
