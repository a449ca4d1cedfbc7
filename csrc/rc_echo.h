/* Whether the microphone hears somebody, or only what the speaker plays.
 *
 * It is given what was captured and what was played in the same block, sample by sample, and
 * learns how the one becomes the other: at what delay (the device's round trip and the air, up to
 * RC_ECHO_REACH_MS together, nothing to be told), how loud and through which room. For every 10 ms
 * it says how likely it is that the captured sound is not our own. It has no ears for speech: ask
 * rc_vad as well, whose hops end with the same samples.
 *
 * Until it has learned, in the first second or two of what is played, only what is clearly louder
 * than any echo counts as somebody. After rc_echo_new() nothing allocates and every hop takes the same
 * short time, so the check may run in an audio callback. One thread at a time.
 */
#ifndef RC_ECHO_H
#define RC_ECHO_H

#include <stddef.h>
#include <stdint.h>

#define RC_ECHO_REACH_MS 500

typedef struct rc_echo rc_echo;

/* `rate` of both signals in Hz, 8000 to 192000. NULL when it is out of range or memory is short. */
rc_echo *rc_echo_new(uint32_t rate);
void rc_echo_free(rc_echo *echo);
/* As new: forgets the room, too. For a device that was opened anew. */
void rc_echo_reset(rc_echo *echo);

/* Hops that the next `count` samples will complete: exact, and those of an rc_vad of that rate. */
size_t rc_echo_hops(const rc_echo *echo, size_t count);
/* Takes `count` samples of both sides and writes, for every hop they complete (room for
 * rc_echo_hops()), the probability that somebody is heard: 0 (silence, or what was played explains
 * it all) to 1. Returns the number of hops. */
size_t rc_echo_process(rc_echo *echo, float *somebody, const int16_t *captured, const int16_t *played, size_t count);

/* How far the model explains the echo: captured over unexplained power, dB, of the last half
 * second in which only echo was heard; 0 at first. */
float rc_echo_reduction_db(const rc_echo *echo);

#endif
