/* ITU-T G.711: 16-bit samples as 8-bit mu-law or A-law and back, and between a telephone's 8 kHz
 * and any other rate in one call.
 *
 * Exact: the mappings are those of the ITU-T's own reference (Recommendation G.191, Software
 * Tool Library, g711.c). One byte is one sample.
 */
#ifndef RC_G711_H
#define RC_G711_H

#include "rc_resample.h"

#include <stddef.h>
#include <stdint.h>

/* Samples and codes of one rate; any thread. */
void rc_g711_encode_ulaw(uint8_t *codes, const int16_t *samples, size_t count);
void rc_g711_decode_ulaw(int16_t *samples, const uint8_t *codes, size_t count);
void rc_g711_encode_alaw(uint8_t *codes, const int16_t *samples, size_t count);
void rc_g711_decode_alaw(int16_t *samples, const uint8_t *codes, size_t count);

typedef enum {
    RC_G711_ULAW,
    RC_G711_ALAW,
} rc_g711_law;

#define RC_G711_RATE 8000 /* Hz, of the codes */

/* Codes as they come from a telephone -> samples at another rate; the output is that of expanding
 * and rc_resample, whatever the sizes of the pieces. One thread at a time. */
typedef struct rc_g711_decoder rc_g711_decoder;

/* `rate` in Hz as for rc_resample; at RC_G711_RATE nothing is resampled and nothing delayed. NULL
 * when an argument is out of range or memory is short. */
rc_g711_decoder *rc_g711_decoder_new(rc_g711_law law, uint32_t rate, rc_resample_grade grade);
void rc_g711_decoder_free(rc_g711_decoder *decoder);
void rc_g711_decoder_reset(rc_g711_decoder *decoder);
/* Samples that the next `count` codes will give: exact. */
size_t rc_g711_decoder_count(const rc_g711_decoder *decoder, size_t count);
/* `samples` has room for rc_g711_decoder_count(); returns the number written. */
size_t rc_g711_decoder_process(rc_g711_decoder *decoder, int16_t *samples, const uint8_t *codes, size_t count);
/* What the resampler's delay still holds; the stream then starts anew. */
size_t rc_g711_decoder_flush_count(const rc_g711_decoder *decoder);
size_t rc_g711_decoder_flush(rc_g711_decoder *decoder, int16_t *samples);
/* How far output lags input, in seconds. */
double rc_g711_decoder_delay(const rc_g711_decoder *decoder);

/* Samples at another rate -> codes for a telephone; as above, the other way round. */
typedef struct rc_g711_encoder rc_g711_encoder;

rc_g711_encoder *rc_g711_encoder_new(rc_g711_law law, uint32_t rate, rc_resample_grade grade);
void rc_g711_encoder_free(rc_g711_encoder *encoder);
void rc_g711_encoder_reset(rc_g711_encoder *encoder);
size_t rc_g711_encoder_count(const rc_g711_encoder *encoder, size_t count);
size_t rc_g711_encoder_process(rc_g711_encoder *encoder, uint8_t *codes, const int16_t *samples, size_t count);
size_t rc_g711_encoder_flush_count(const rc_g711_encoder *encoder);
size_t rc_g711_encoder_flush(rc_g711_encoder *encoder, uint8_t *codes);
double rc_g711_encoder_delay(const rc_g711_encoder *encoder);

#endif
