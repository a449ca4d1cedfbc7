/* The audio device's other half: the stream callback, with the rings on its far side.
 *
 * rc_duplex_callback() has the signature of PortAudio's PaStreamCallback and is given to a stream
 * of 16-bit samples as it is, with the rc_duplex as its user data; a virtual device calls the same
 * function. In the callback nothing waits, nothing is allocated and nothing but the clock is asked
 * of the system, so whatever the rest of the process does, audio goes on.
 *
 *   device -> mix down -> gain, mute -> capture ring -> reader
 *                                    `-> speech? -> duck, cut or restore what is played
 *   writer -> playout ring -> prefill, fades, concealment -> gain, duck -> every channel -> device
 *   (captured, played) pairs -> tap ring -> reader
 *
 * The callback is the capture and tap rings' writer and the playout ring's reader. Blocks may have
 * any size: what is played for frame n depends on what was captured up to frame n - 1 and on
 * nothing else. Whoever owns the stream closes it before the duplex is freed. Functions marked
 * "any thread" may be called while the stream runs.
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
    int detects_speech;         /* makes the detector that barge-in needs */
    int checks_echo;            /* and a check that it is not what is played that is captured */
    /* Makes the calling thread a real-time one, or an ordinary one again; 0: done. NULL: never asked. See
     * rc_duplex_restart(). */
    int (*prioritize)(int real_time);
    uint64_t (*thread_ns)(void); /* processor time of the calling thread; needed with prioritize */
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

/* A stream is about to start, maybe in a thread of its own: the next callback asks for real-time
 * priority, once. Any thread. */
void rc_duplex_restart(rc_duplex *duplex);

rc_ring *rc_duplex_capture(rc_duplex *duplex);
rc_ring *rc_duplex_playout(rc_duplex *duplex);
rc_ring *rc_duplex_tap(rc_duplex *duplex); /* interleaved pairs; NULL when there is none */

/* Playout --------------------------------------------------------------------------------------
 *
 * Nothing clicks. What begins after a gap is faded in; what is flushed or cut is faded out (5 ms
 * each). Where audio runs out, what sounded last goes on by its pitch period, falling to silence:
 * for 5 ms at an end, for 30 ms while more is expected, and when more comes in time it is
 * cross-faded. */

/* Whether more audio is to follow what is queued: only then an empty ring is an underrun. Any thread. */
void rc_duplex_set_expecting(rc_duplex *duplex, int expecting);
int rc_duplex_expecting(const rc_duplex *duplex);

/* Frames to be queued before playing begins after silence while more is expected. It waits no
 * longer than these frames would last. Any thread. */
void rc_duplex_set_prefill(rc_duplex *duplex, size_t frames);
size_t rc_duplex_prefill(const rc_duplex *duplex);

/* Stops what is queued for playout: at its next block the callback fades out what it is playing
 * and jumps to what is written after this call. Returns the position jumped to. Playout writer's
 * thread. */
uint64_t rc_duplex_flush(rc_duplex *duplex);

/* Playout ring position handed to the device so far. Any thread. */
uint64_t rc_duplex_played(const rc_duplex *duplex);

/* Barge-in -------------------------------------------------------------------------------------
 *
 * Speech captured while something is played, or expected to be, ducks it within 5 ms. `confirm_ms`
 * of speech, less what was not speech in between, cut it: the callback jumps over all that is
 * queued. When the speech does not last, playing comes back to its level within 100 ms. Where
 * echo is checked a hop is speech as far as it is both: speech, and not what is played (rc_echo).
 *
 * What the writer adds after a cut may still belong to what was cut, since it learns of the cut
 * later. So every cut begins a generation, and until the writer has accepted it, all it writes is
 * dropped unheard. */
typedef struct {
    float onset_probability;   /* of a 10 ms hop that ducks */
    float confirm_probability; /* of a hop that counts as speech once ducked */
    unsigned confirm_ms;       /* rounded up to hops of 10 ms */
    float duck;                /* factor, 0 to 1 */
} rc_duplex_barge_in;

/* NULL: speech is not listened to, and a duck under way ends. Without a detector nothing happens. Any thread. */
void rc_duplex_set_barge_in(rc_duplex *duplex, const rc_duplex_barge_in *barge_in);

/* Cuts made by the callback so far. Any thread. */
uint32_t rc_duplex_generation(const rc_duplex *duplex);
/* What is written from now on belongs to `generation`, and what was written before does not. Older
 * than the latest, it changes nothing: what is written goes on being dropped. Playout writer's thread. */
void rc_duplex_accept(rc_duplex *duplex, uint32_t generation);

/* What happened, in order ---------------------------------------------------------------------- */

typedef enum {
    RC_DUPLEX_STARTED,  /* from `frame` on the ring's samples from `position` on are played, one per frame */
    RC_DUPLEX_DRAINED,  /* the ring ran dry: the sample before `position` was played before `frame` */
    RC_DUPLEX_FLUSHED,  /* the same, and what follows up to `jumped_to` is not played: a flush */
    RC_DUPLEX_CUT,      /* the same, by a barge-in */
    RC_DUPLEX_DUCKED,   /* from `frame` on playing is quieter */
    RC_DUPLEX_RESTORED, /* from `frame` on no longer */
} rc_duplex_kind;

typedef struct {
    rc_duplex_kind kind;
    float probability;  /* DUCKED, CUT, RESTORED: of the hop that decided */
    uint64_t frame;     /* frames before it, since creation, counted through all blocks */
    uint64_t position;  /* of the playout ring */
    uint64_t jumped_to; /* FLUSHED and CUT */
    uint64_t speech;    /* DUCKED, CUT, RESTORED: frame at which the speech was captured first */
} rc_duplex_event;

/* Takes the oldest event not taken yet; 0 when there is none. At most RC_DUPLEX_EVENTS are kept,
 * later ones are counted and lost. One thread. */
#define RC_DUPLEX_EVENTS 256
int rc_duplex_take_event(rc_duplex *duplex, rc_duplex_event *event);

/* Settings ------------------------------------------------------------------------------------- */

/* Factors, 0 to 16; a change takes effect as a ramp. A muted capture side delivers zeros. Any
 * thread. */
void rc_duplex_set_capture_gain(rc_duplex *duplex, float gain);
void rc_duplex_set_playout_gain(rc_duplex *duplex, float gain);
float rc_duplex_capture_gain(const rc_duplex *duplex);
float rc_duplex_playout_gain(const rc_duplex *duplex);
void rc_duplex_set_muted(rc_duplex *duplex, int muted);
int rc_duplex_muted(const rc_duplex *duplex);

/* Figures -------------------------------------------------------------------------------------- */

#define RC_DUPLEX_TIMES 16
/* What happened so far. Any thread. */
typedef struct {
    uint64_t blocks, frames;
    uint64_t overruns;     /* captured frames that the capture ring had no room for */
    uint64_t tap_overruns; /* pairs that the tap had no room for */
    uint64_t underruns;    /* frames for which there was nothing to play while audio was expected */
    uint64_t prefilled;    /* frames that queued audio waited for its prefill */
    uint64_t discarded;    /* samples dropped because they were written before a cut was accepted */
    uint64_t lost_events;
    uint64_t device_underflows, device_overflows; /* blocks the device flagged */
    uint64_t callback_ns, max_callback_ns;        /* time in the callback: sum and longest */
    uint64_t max_interval_ns;                     /* longest time between two callbacks of a stream */
    uint64_t callback_times[RC_DUPLEX_TIMES];     /* callbacks by duration: n counts those below 2^n us */
    int32_t capture_peak, playout_peak;           /* 0 to 32768; falls by full scale in 300 ms */
    int priority;                                 /* RC_DUPLEX_PRIORITY_... */
    float echo_reduction_db;                      /* how well the check knows the echo, see rc_echo.h */
} rc_duplex_stats;
/* Returned: the device's thread took more than half of a processor for half a second. It waits without a pause then
 * (PortAudio does, when ALSA's descriptors stay ready), and would keep the sound server from what it waits for. */
enum {
    RC_DUPLEX_PRIORITY_UNASKED,
    RC_DUPLEX_PRIORITY_GRANTED,
    RC_DUPLEX_PRIORITY_REFUSED,
    RC_DUPLEX_PRIORITY_RETURNED,
};
void rc_duplex_get_stats(const rc_duplex *duplex, rc_duplex_stats *stats);

/* The latest block's place in time; all of one block. Any thread. */
typedef struct {
    uint64_t frames;     /* before the block */
    uint64_t age_ns;     /* since it was asked for */
    double input_delay;  /* seconds from the sounding at the microphone of its first captured sample to then, and */
    double output_delay; /* from then to the sounding of its first played sample, by the device; 0: it does not tell */
} rc_duplex_timing;
/* 0, and nothing written, before the first block. */
int rc_duplex_get_timing(const rc_duplex *duplex, rc_duplex_timing *timing);

#endif
