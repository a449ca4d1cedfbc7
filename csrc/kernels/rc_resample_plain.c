#include "rc_resample_kernels.h"

/* Returns 1 when the output had to be limited. */
static size_t finish(int16_t *out, int32_t lo, int32_t hi, rc_resample_scale scale)
{
    int32_t sum = (hi + (lo >> scale.lo_bits) + (1 << (scale.hi_bits - 1))) >> scale.hi_bits;
    *out = (int16_t)(sum < INT16_MIN ? INT16_MIN : sum > INT16_MAX ? INT16_MAX : sum);
    return *out != sum;
}

static size_t lanes_plain(int16_t *out, size_t count, const rc_resample_list *list, const int16_t *lanes)
{
    size_t clipped = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t lo = 0, hi = 0;
        for (size_t j = 0; j < list->pairs; j++) {
            const int16_t *x = lanes + list->offsets[j] + 2 * i;
            lo += list->lo[2 * j] * x[0] + list->lo[2 * j + 1] * x[1];
            if (j < list->both)
                hi += list->hi[2 * j] * x[0] + list->hi[2 * j + 1] * x[1];
        }
        clipped += finish(out + i, lo, hi, list->scale);
    }
    return clipped;
}

/* The sum of one lane's products. */
static int32_t lane_sum(const int16_t *coefficients, const int16_t *x, size_t pairs)
{
    int32_t sum = 0;
    for (size_t j = 0; j < pairs; j++, coefficients += 2 * RC_RESAMPLE_GROUP, x += 2)
        sum += coefficients[0] * x[0] + coefficients[1] * x[1];
    return sum;
}

static size_t cycle_plain(int16_t *out, size_t count, const rc_resample_cycle *c, size_t k, const int16_t *x)
{
    size_t clipped = 0;
    const int16_t *origin = x - c->starts[k];
    for (size_t i = 0; i < count; i++) {
        size_t group = k / RC_RESAMPLE_GROUP, lane = k % RC_RESAMPLE_GROUP;
        const int16_t *lo = c->lo + 2 * (group * c->pairs * RC_RESAMPLE_GROUP + lane);
        const int16_t *hi = c->hi + 2 * (group * c->core * RC_RESAMPLE_GROUP + lane);
        const int16_t *first = origin + c->starts[k], *core = first + 2 * c->core_at;
        clipped += finish(out + i, lane_sum(lo, first, c->pairs), lane_sum(hi, core, c->core), c->scale);
        if (++k == c->up) {
            k = 0;
            origin += c->down;
        }
    }
    return clipped;
}

/* What slopes and curves add to the sum of lo. */
static int32_t moved(int32_t slope, int32_t curve, int32_t u)
{
    return (((curve >> 15) * u + slope) >> 15) * u;
}

static size_t run_plain(int16_t *out, size_t count, const rc_resample_curves *c, size_t cell, const int32_t *u,
                        const uint32_t *offsets, const int16_t *lanes)
{
    const int16_t *row = c->rows + cell * c->size;
    size_t clipped = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t lo = 0, slope = 0, curve = 0, hi = 0;
        for (size_t t = c->first; t < c->taps; t++) {
            int32_t x = lanes[offsets[t / 2] + 2 * i + t % 2];
            lo += row[t] * x;
            slope += row[c->taps + t] * x;
            curve += row[2 * c->taps + t] * x;
            if (t >= c->core_at && t < c->core_at + c->core)
                hi += row[3 * c->taps + t - c->core_at] * x;
        }
        clipped += finish(out + i, lo, hi + (moved(slope, curve, u[i]) >> c->scale.lo_bits), c->scale);
    }
    return clipped;
}

static int32_t products(const int16_t *coefficients, const int16_t *x, size_t count)
{
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += coefficients[i] * x[i];
    return sum;
}

static size_t points_plain(int16_t *out, size_t count, const rc_resample_curves *c, const rc_resample_points *points,
                           const int16_t *input)
{
    size_t clipped = 0;
    for (size_t i = 0; i < count; i++) {
        const int16_t *row = c->rows + points->cell[i] * c->size, *x = input + points->at[i];
        int32_t lo = products(row, x, c->taps), hi = products(row + 3 * c->taps, x + c->core_at, c->core);
        int32_t slope = products(row + c->taps, x, c->taps), curve = products(row + 2 * c->taps, x, c->taps);
        clipped += finish(out + i, lo, hi + (moved(slope, curve, points->u[i]) >> c->scale.lo_bits), c->scale);
    }
    return clipped;
}

const rc_resample_kernels rc_resample_plain = {lanes_plain, cycle_plain, run_plain, points_plain};
