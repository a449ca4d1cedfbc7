/* Audio in: what a `response.output_audio.delta` message says, and its audio laid where it is to go.
 *
 * One walk over the message, in any order of keys and any spacing; a message of another type is
 * recognized at its type and left alone. The audio is then decoded from base64, expanded from
 * G.711 and resampled.
 *
 * Nothing allocates but rc_delta_decoder_new(). One thread at a time for a decoder.
 */
#ifndef RC_DELTA_H
#define RC_DELTA_H

#include <stddef.h>
#include <stdint.h>

#include "rc_frame.h"
#include "rc_json.h"
#include "rc_ring.h"

typedef struct {
    rc_json_text response_id; /* empty when the message has none */
    rc_json_text item_id;
    rc_json_text audio;     /* base64 */
    uint32_t output_index;  /* 0 when the message has none */
    uint32_t content_index;
} rc_delta;

/* 1 and `*delta` when the message is a `response.output_audio.delta` (or, from older servers, a
 * `response.audio.delta`); 0 when its type is another (what follows the type is not looked at);
 * RC_EDATA and `*error` when it is not a JSON object, has no type, or lacks the audio. A key given
 * twice counts as it does for JSON libraries: the last. UTF-8 inside strings is not checked. */
int rc_delta_find(rc_delta *delta, const char *message, size_t length, rc_text_error *error);

/* Audio of deltas ---------------------------------------------------------------------------- */

typedef struct rc_delta_decoder rc_delta_decoder;

/* From the wire's format and rate to PCM at `rate` Hz, both 8000 to 192000. NULL for a rate or
 * format out of range or when memory is short. */
rc_delta_decoder *rc_delta_decoder_new(rc_wire wire, uint32_t wire_rate, uint32_t rate);
void rc_delta_decoder_free(rc_delta_decoder *decoder);
/* Forgets what the resampler still holds: what follows is another stream. */
void rc_delta_decoder_reset(rc_delta_decoder *decoder);

/* Takes the wire's true rate to be (1 + ppm / 1e6) times what it is said to be, from the next sample on: for a source
 * whose pace is not the speaker's (rc_resample_adjust). Survives reset and flush. RC_OK, or RC_EINVAL out of its
 * range, and where both rates are the same: nothing is resampled then. */
int rc_delta_decoder_adjust(rc_delta_decoder *decoder, double ppm);

/* Samples at the wire's rate, and at the decoder's, that `audio` becomes; exact when it is valid
 * base64 without escapes, enough room when it is not. 0 at the decoder's rate for more of the wire's
 * than RC_RESAMPLE_MAX_INPUT, which decoding refuses. */
size_t rc_delta_decoder_wire_samples(const rc_delta_decoder *decoder, rc_json_text audio);
size_t rc_delta_decoder_samples(const rc_delta_decoder *decoder, rc_json_text audio);
/* Decodes base64 into `to`, which holds rc_delta_decoder_samples(): free space of a ring, to be
 * committed on success, or any memory. RC_OK, or RC_EDATA with the offset into `audio`; then the
 * stream stands where it stood and what lies in `to` is of no use. */
int rc_delta_decoder_decode(rc_delta_decoder *decoder, rc_ring_region to, rc_json_text audio, rc_text_error *error);

/* What the resampler still holds at the end of a stream: how many samples, and they themselves. The
 * stream then starts anew. */
size_t rc_delta_decoder_flush_samples(const rc_delta_decoder *decoder);
void rc_delta_decoder_flush(rc_delta_decoder *decoder, int16_t *out);

#endif
