/* The Silero speech detector (version 6, 16 kHz), run here from weights that another package ships.
 *
 * Every 512 samples (32 ms), with 64 before them, become four spectra, pass four convolutions and
 * one LSTM layer, and give the probability of speech. Weights are read-only and shared by any
 * number of streams and threads; a stream is a plain struct of a few kilobytes.
 */
#ifndef RC_SILERO_H
#define RC_SILERO_H

#include <stddef.h>
#include <stdint.h>

#define RC_SILERO_CHUNK 512
#define RC_SILERO_CONTEXT 64
#define RC_SILERO_UNITS 128

typedef struct rc_silero rc_silero;

/* Reads the contents of a ggml file `ggml-silero-v6*.bin`; weights may be half or full precision.
 * NULL with RC_EDATA in `*error` when it is not such a file or holds weights that are not finite or
 * absurdly large, RC_ENOMEM when memory is short. The network keeps nothing of `file`. */
rc_silero *rc_silero_new(const uint8_t *file, size_t bytes, int *error);
void rc_silero_free(rc_silero *network);

/* One stream; all zeros is its beginning. */
typedef struct {
    int16_t context[RC_SILERO_CONTEXT];
    float hidden[RC_SILERO_UNITS];
    float cell[RC_SILERO_UNITS];
} rc_silero_stream;

/* Probability, 0 to 1, of speech in the stream's next chunk. Allocates nothing; the time is the
 * same for every chunk. */
float rc_silero_process(const rc_silero *network, rc_silero_stream *stream, const int16_t chunk[RC_SILERO_CHUNK]);

#endif
