/* From captured audio to what leaves for the server: resampled to the wire's rate, cut into
 * chunks, gated by speech or by a key when asked to, with speech events at exact samples.
 *
 *   samples at any rate -> mute -> wire rate -> pre-roll -> chunks
 *                             \--> 16 kHz -> speech detector -> hysteresis -> events
 *
 * Positions count samples at the wire's rate since creation. Decisions fall on whole
 * hops of 10 ms of input, so any partition of the input gives the same chunks and events. Nothing
 * allocates after rc_gate_new(). One thread at a time.
 *
 * Nobody waits for silence: while an open gate is quiet its chunks may be longer, and so fewer. The
 * first hop that might be speech lets all leave that is under way, and chunks stay short until
 * RC_GATE_QUIET_MS have passed without such a hop: longer than a server waits for the end of a turn.
 *
 *   while (count > 0) {
 *       size_t taken = rc_gate_push(gate, samples, count);
 *       samples += taken, count -= taken;
 *       while (rc_gate_next(gate, &chunk)) ...
 *   }
 */
#ifndef RC_GATE_H
#define RC_GATE_H

#include <stddef.h>
#include <stdint.h>

#include "rc_frame.h"
#include "rc_silero.h"

#define RC_GATE_QUIET_MS 1000

typedef struct rc_gate rc_gate;

typedef enum {
    RC_GATE_OPEN,         /* everything leaves; events tell of speech */
    RC_GATE_GATED,        /* speech leaves, from pre-roll to hangover */
    RC_GATE_PUSH_TO_TALK, /* what is captured while the key is down leaves; the key makes the events */
} rc_gate_mode;

typedef struct {
    uint32_t rate;         /* of the input in Hz, 8000 to 192000 */
    rc_wire wire;
    uint32_t wire_rate;    /* Hz, 8000 to 192000 */
    rc_gate_mode mode;
    uint32_t chunk_ms;     /* 10 to 1000 */
    uint32_t quiet_chunk_ms; /* of the chunks of an open gate while it is quiet: chunk_ms to 1000; 0: as chunk_ms */
    uint32_t pre_roll_ms;  /* kept before an onset, 0 to 5000; all of a stream that begins with speech */
    uint32_t hangover_ms;  /* of no speech until speech has stopped, 10 to 5000 */
    uint32_t min_speech_ms; /* until speech has started, 10 to 1000 */
    float open_threshold;  /* probability that starts speech, */
    float close_threshold; /* and below which it stops: 0 <= close <= open <= 1 */
    const rc_silero *network; /* that detects speech, outliving the gate; NULL: the light detector */
    int staggered;         /* the network decides every 16 ms instead of 32 */
} rc_gate_config;

/* NULL when the configuration is out of range or memory is short. */
rc_gate *rc_gate_new(const rc_gate_config *config);
void rc_gate_free(rc_gate *gate);

/* Takes samples up to the end of the current hop at most; returns how many. Take the chunks that
 * are ready before pushing more. */
size_t rc_gate_push(rc_gate *gate, const int16_t *samples, size_t count);
/* The input ends here: what is under way becomes ready, the last chunk as short as it is, and
 * speech stops. Pushing may go on; it then starts a new stretch. */
void rc_gate_flush(rc_gate *gate);

/* Finished audio as it goes on the wire, in two pieces of which the second may be empty. */
typedef struct {
    uint64_t position; /* of its first sample */
    size_t samples;
    const uint8_t *first;
    size_t first_bytes;
    const uint8_t *second;
    size_t second_bytes;
} rc_gate_chunk;

/* 1 and the next finished chunk, valid until the next call; 0 when there is none. */
int rc_gate_next(rc_gate *gate, rc_gate_chunk *chunk);

typedef enum { RC_GATE_SPEECH_STARTED, RC_GATE_SPEECH_STOPPED } rc_gate_event_kind;

typedef struct {
    rc_gate_event_kind kind;
    uint64_t position; /* where speech began; where it ended */
} rc_gate_event;

/* 1 and the oldest event not taken yet; 0 when there is none. The latest RC_GATE_EVENTS are kept. */
#define RC_GATE_EVENTS 64
int rc_gate_take_event(rc_gate *gate, rc_gate_event *event);

/* The push-to-talk key. */
void rc_gate_set_talking(rc_gate *gate, int talking);
int rc_gate_talking(const rc_gate *gate);
/* While muted, zeros stand for the input. */
void rc_gate_set_muted(rc_gate *gate, int muted);
int rc_gate_muted(const rc_gate *gate);

uint64_t rc_gate_position(const rc_gate *gate); /* wire samples seen */
int rc_gate_speaking(const rc_gate *gate);
float rc_gate_probability(const rc_gate *gate); /* of the latest hop */

#endif
