/* The two messages that carry audio, without a JSON library.
 *
 * Out: `{"type":"input_audio_buffer.append","audio":"<base64>"}` written in one pass.
 * In: one walk over a message finds what a `response.output_audio.delta` says, in any order of
 * keys and any spacing; a message of another type is recognized at its type and left alone. The
 * audio is then decoded from base64, expanded from G.711, resampled and laid where it is to go.
 *
 * Nothing allocates but rc_delta_decoder_new(). One thread at a time for a decoder.
 */
#ifndef RC_FRAME_H
#define RC_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "rc_ring.h"

/* What the audio in messages is. */
typedef enum {
    RC_WIRE_PCM,  /* 16-bit little-endian */
    RC_WIRE_PCMU, /* G.711 mu-law, a byte a sample */
    RC_WIRE_PCMA, /* G.711 A-law, a byte a sample */
} rc_wire;

/* Append message ----------------------------------------------------------------------------- */

enum { RC_EVENT_ID_MAX = 512 }; /* bytes of UTF-8 that the protocol allows */

/* Bytes of the message around `audio_bytes` of audio. `event_id` is UTF-8 text of `id_length`
 * bytes, escaped as JSON needs it, or NULL for none. */
size_t rc_append_size(size_t audio_bytes, const char *event_id, size_t id_length);
/* Writes the message into rc_append_size() bytes; returns their number (no terminating zero). The
 * audio comes in two pieces, as a ring region does; the second may be empty. */
size_t rc_append_write(char *message, const uint8_t *first, size_t first_bytes, const uint8_t *second,
                       size_t second_bytes, const char *event_id, size_t id_length);

/* Delta message ------------------------------------------------------------------------------ */

/* What is wrong and where: bytes from the beginning of the message or text. */
typedef struct {
    size_t offset;
    const char *reason;
} rc_frame_error;

/* A JSON string inside the message, between its quotes, escapes as they were sent. */
typedef struct {
    const char *text;
    size_t length;
} rc_json_text;

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
int rc_delta_find(rc_delta *delta, const char *message, size_t length, rc_frame_error *error);

/* Resolves the escapes of a string into at most `length` bytes of UTF-8; returns their number. A
 * lone surrogate, which UTF-8 cannot say, becomes U+FFFD. */
size_t rc_json_unescape(char *out, rc_json_text text);

/* Audio of deltas ---------------------------------------------------------------------------- */

typedef struct rc_delta_decoder rc_delta_decoder;

/* From the wire's format and rate to PCM at `rate` Hz, both 8000 to 192000. NULL for a rate or
 * format out of range or when memory is short. */
rc_delta_decoder *rc_delta_decoder_new(rc_wire wire, uint32_t wire_rate, uint32_t rate);
void rc_delta_decoder_free(rc_delta_decoder *decoder);
/* Forgets what the resampler still holds: what follows is another stream. */
void rc_delta_decoder_reset(rc_delta_decoder *decoder);

/* Samples at the wire's rate, and at the decoder's, that `audio` becomes; exact when it is valid
 * base64 without escapes, enough room when it is not. */
size_t rc_delta_decoder_wire_samples(const rc_delta_decoder *decoder, rc_json_text audio);
size_t rc_delta_decoder_samples(const rc_delta_decoder *decoder, rc_json_text audio);
/* Decodes base64 into `to`, which holds rc_delta_decoder_samples(): free space of a ring, to be
 * committed on success, or any memory. RC_OK, or RC_EDATA with the offset into `audio`; then the
 * stream stands where it stood and what lies in `to` is of no use. */
int rc_delta_decoder_decode(rc_delta_decoder *decoder, rc_ring_region to, rc_json_text audio, rc_frame_error *error);

/* What the resampler still holds at the end of a stream: how many samples, and they themselves. The
 * stream then starts anew. */
size_t rc_delta_decoder_flush_samples(const rc_delta_decoder *decoder);
void rc_delta_decoder_flush(rc_delta_decoder *decoder, int16_t *out);

#endif
