/* The resampler's filter as fixed-point coefficients, in the three arrangements of
 * kernels/rc_resample_kernels.h. NULL when memory is short. */
#ifndef RC_RESAMPLE_TABLE_H
#define RC_RESAMPLE_TABLE_H

#include "kernels/rc_resample_kernels.h"
#include "rc_resample_filter.h"

/* For ratios of small numbers: a list for each phase of the output and each column that its first
 * sample can be in. The input is laid out in `down` columns of pairs: column c holds those that
 * begin with samples c, c + down, c + 2 * down, ..., each of that sample and the one `distance` on. */
typedef struct {
    size_t down, distance;
    size_t column;         /* room in a column, pairs */
    rc_resample_list *lists; /* of phase p for a first sample in column c: lists[p * down + c] */
    uint32_t *offsets;
    int16_t *pairs;
    uint32_t *every; /* offsets of pairs of all taps, of neighbours, for each column */
} rc_resample_lists;

/* `block` is how many input samples are filtered at a time. */
rc_resample_lists *rc_resample_lists_new(const rc_resample_filter *filter, size_t up, size_t down, size_t block);
void rc_resample_lists_free(rc_resample_lists *lists);

/* Whether the input itself can be the one column of pairs `distance` apart. */
int rc_resample_lists_in_place(const rc_resample_lists *lists, size_t distance);

rc_resample_cycle *rc_resample_cycle_new(const rc_resample_filter *filter, size_t up, size_t down);
void rc_resample_cycle_free(rc_resample_cycle *cycle);

rc_resample_curves *rc_resample_curves_new(const rc_resample_filter *filter);
void rc_resample_curves_free(rc_resample_curves *curves);

#endif
