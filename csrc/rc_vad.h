/* Speech probability of every 10 ms of a 16-bit mono stream.
 *
 * The stream may come at any rate and in blocks of any length: it is resampled to 16 kHz inside, and
 * hop k is decided as soon as its last sample is there. Nothing is looked up ahead, and no cut of the
 * stream changes what is decided.
 *
 * May run in an audio callback: after rc_vad_new() nothing allocates, locks, waits or calls the
 * system, and a call's time is bounded by its samples: the resampler's fast grade for each, one
 * decision for each hop they complete (rc_vad_hops() says how many) and nothing else. A callback
 * that may get blocks of up to N frames needs room for N * 100 / rate + 2 probabilities. One thread
 * at a time; to watch from another, copy what the callback decided through an atomic.
 */
#ifndef RC_VAD_H
#define RC_VAD_H

#include <stddef.h>
#include <stdint.h>

#include "rc_resample.h"
#include "rc_silero.h"

#define RC_VAD_RATE 16000 /* Hz, of the stream inside */

typedef struct rc_vad rc_vad;

/* `rate` of the input in Hz, 8000 to 192000. Without a network the light detector decides every hop
 * anew, in a few microseconds; a network, which must outlive the detector, decides every 32 ms and
 * is held in between. Under 8 KB, besides the resampler of another rate. NULL when the rate is out of
 * range or memory is short. */
rc_vad *rc_vad_new(uint32_t rate, const rc_silero *network);
void rc_vad_free(rc_vad *vad);
/* From the beginning on two streams through the network, half a chunk apart, decide in turns: every
 * 16 ms at twice the cost. Nothing to the light detector. */
void rc_vad_stagger(rc_vad *vad);
/* As new: forgets the noise it has learned, too. */
void rc_vad_reset(rc_vad *vad);

/* Hops that the next `count` samples, at most RC_RESAMPLE_MAX_INPUT, will complete: exact. */
size_t rc_vad_hops(const rc_vad *vad, size_t count);
/* Takes `count` samples and writes the probability, 0 to 1, of every hop they complete (room for
 * rc_vad_hops()). Returns their number. */
size_t rc_vad_process(rc_vad *vad, float *probabilities, const int16_t *samples, size_t count);

/* How far the stream inside lags the input, in seconds: constant, 0 at 16 kHz. */
double rc_vad_delay(const rc_vad *vad);

#endif
