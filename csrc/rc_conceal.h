/* What sounds where samples are missing: what was played last goes on by its pitch period and
 * falls to silence in a straight line. Never louder than what it continues, and no click: it joins
 * the last sample. All in whole numbers, the same however the stream is cut into pieces. One thread.
 *
 * (The idea is that of ITU-T G.711 Appendix I, without its delay.)
 */
#ifndef RC_CONCEAL_H
#define RC_CONCEAL_H

#include <stddef.h>
#include <stdint.h>

typedef struct rc_conceal rc_conceal;

/* `rate` in Hz, 8000 to 192000. NULL when memory is short. */
rc_conceal *rc_conceal_new(uint32_t rate);
void rc_conceal_free(rc_conceal *conceal);

/* All that is played, concealment included, passes here in order; pieces of at most RC_CONCEAL_PIECE. */
#define RC_CONCEAL_PIECE 256
void rc_conceal_remember(rc_conceal *conceal, const int16_t *played, size_t count);

/* What was remembered last is continued for `length` samples, falling to silence. */
void rc_conceal_start(rc_conceal *conceal, size_t length);
/* It shall be silent after `length` samples at the latest. */
void rc_conceal_shorten(rc_conceal *conceal, size_t length);
/* Samples until silence. */
size_t rc_conceal_left(const rc_conceal *conceal);
/* Adds the next `count` samples to `out`. */
void rc_conceal_add(rc_conceal *conceal, int16_t *out, size_t count);

#endif
