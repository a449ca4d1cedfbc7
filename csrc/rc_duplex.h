/* The audio device's other half: the stream callback, with the rings on its far side.
 *
 * rc_duplex_callback() has the signature of PortAudio's PaStreamCallback and is given to a stream
 * of 16-bit samples as it is, with the rc_duplex as its user data; a virtual device calls the same
 * function. In the callback nothing waits, nothing is allocated and nothing but the clock is asked
 * of the system, so whatever the rest of the process does, audio goes on.
 *
 *   device -> mix down -> gain, mute -> capture ring -> reader
 *   writer -> playout ring -> fades -> gain -> every channel -> device
 *   (captured, played) pairs -> tap ring -> reader
 *
 * The callback is the capture and tap rings' writer and the playout ring's reader. Whoever owns
 * the stream closes it before the duplex is freed. Functions marked "any thread" may be called
 * while the stream runs.
 */
#ifndef RC_DUPLEX_H
#define RC_DUPLEX_H

#include "rc_ring.h"

#include <stddef.h>
#include <stdint.h>

typedef struct rc_duplex rc_duplex;

typedef struct {
    uint32_t rate;              /* Hz, 8000 to 192000, of both sides */
    unsigned capture_channels;  /* 1 to 32, mixed down to one */
    unsigned playout_channels;  /* 1 to 32, all get the same */
    size_t capture_capacity;    /* samples */
    size_t playout_capacity;    /* samples */
    size_t tap_capacity;        /* pairs; 0: no tap */
} rc_duplex_config;

/* NULL when the configuration is out of range or memory is short. */
rc_duplex *rc_duplex_new(const rc_duplex_config *config);
void rc_duplex_free(rc_duplex *duplex);

/* PaStreamCallbackTimeInfo and PaStreamCallbackFlags, so that portaudio.h is not needed. */
typedef struct {
    double input_adc_time, current_time, output_dac_time;
} rc_stream_time;
typedef unsigned long rc_stream_flags;

/* One block: `frames` frames of interleaved int16 from `input` (NULL: nothing was captured, and
 * the tap gets silence) and to `output` (NULL: nothing is played). Returns 0, go on. Device's
 * thread. */
int rc_duplex_callback(const void *input, void *output, unsigned long frames, const rc_stream_time *time,
                       rc_stream_flags flags, void *duplex);

rc_ring *rc_duplex_capture(rc_duplex *duplex);
rc_ring *rc_duplex_playout(rc_duplex *duplex);
rc_ring *rc_duplex_tap(rc_duplex *duplex); /* interleaved pairs; NULL when there is none */

/* Stops what is queued for playout: at its next block the callback fades out (5 ms) what it is
 * playing and jumps to what is written after this call. Returns the position jumped to. Playout
 * writer's thread. */
uint64_t rc_duplex_flush(rc_duplex *duplex);

/* A flush as it happened: nothing from `stopped_at` up to `jumped_to` was played. */
typedef struct {
    uint64_t stopped_at, jumped_to;
} rc_duplex_cut;
/* Takes the oldest flush not taken yet; 0 when there is none. At most RC_DUPLEX_CUTS are kept,
 * later ones are not recorded. One thread. */
#define RC_DUPLEX_CUTS 64
int rc_duplex_take_cut(rc_duplex *duplex, rc_duplex_cut *cut);

/* Playout ring position handed to the device so far. Any thread. */
uint64_t rc_duplex_played(const rc_duplex *duplex);

/* Whether more audio is to follow what is queued: only then an empty ring is an underrun, and
 * audio that comes after the gap is faded in. Any thread. */
void rc_duplex_set_expecting(rc_duplex *duplex, int expecting);
int rc_duplex_expecting(const rc_duplex *duplex);

/* Factors, 0 to 16; a change takes effect as a ramp. A muted capture side delivers zeros. Any
 * thread. */
void rc_duplex_set_capture_gain(rc_duplex *duplex, float gain);
void rc_duplex_set_playout_gain(rc_duplex *duplex, float gain);
float rc_duplex_capture_gain(const rc_duplex *duplex);
float rc_duplex_playout_gain(const rc_duplex *duplex);
void rc_duplex_set_muted(rc_duplex *duplex, int muted);
int rc_duplex_muted(const rc_duplex *duplex);

/* What happened so far. Any thread. */
typedef struct {
    uint64_t blocks, frames;
    uint64_t overruns;     /* captured frames that the capture ring had no room for */
    uint64_t tap_overruns; /* pairs that the tap had no room for */
    uint64_t underruns;    /* frames of silence played while audio was expected */
    uint64_t device_underflows, device_overflows; /* blocks the device flagged */
    uint64_t callback_ns, max_callback_ns;        /* time in the callback: sum and longest */
    int32_t capture_peak, playout_peak;           /* of the last block, 0 to 32768 */
    /* Seconds to the sounding of the last block's first sample, by the device's clock; 0 where it does not tell. */
    double output_delay;
} rc_duplex_stats;
void rc_duplex_get_stats(const rc_duplex *duplex, rc_duplex_stats *stats);

#endif
