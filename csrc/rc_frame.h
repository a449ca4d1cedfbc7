/* Audio out: one append message, `{"type":"input_audio_buffer.append","audio":"<base64>"}`, written
 * in one pass and without a JSON library.
 *
 * Nothing allocates. Any thread.
 */
#ifndef RC_FRAME_H
#define RC_FRAME_H

#include <stddef.h>
#include <stdint.h>

/* What the audio in messages is, in both directions. */
typedef enum {
    RC_WIRE_PCM,  /* 16-bit little-endian */
    RC_WIRE_PCMU, /* G.711 mu-law, a byte a sample */
    RC_WIRE_PCMA, /* G.711 A-law, a byte a sample */
} rc_wire;

enum { RC_EVENT_ID_MAX = 512 }; /* characters that the protocol allows */

/* Bytes of the message around `audio_bytes` of audio. `event_id` is UTF-8 text of `id_length`
 * bytes, escaped as JSON needs it, or NULL for none. */
size_t rc_append_size(size_t audio_bytes, const char *event_id, size_t id_length);
/* Writes the message into rc_append_size() bytes; returns their number (no terminating zero). The
 * audio comes in two pieces, as a ring region does; the second may be empty. */
size_t rc_append_write(char *message, const uint8_t *first, size_t first_bytes, const uint8_t *second,
                       size_t second_bytes, const char *event_id, size_t id_length);

#endif
