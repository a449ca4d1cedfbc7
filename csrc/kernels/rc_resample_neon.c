#include "rc_resample_kernels.h"

#ifdef RC_ARM64

#include <string.h>

/* Four sums, with the products of two neighbouring pairs of a and b in each. */
static inline int32x4_t with_products(int32x4_t sum, int16x8_t a, int16x8_t b)
{
    int32x4_t low = vmull_s16(vget_low_s16(a), vget_low_s16(b)), high = vmull_high_s16(a, b);
    return vaddq_s32(sum, vpaddq_s32(low, high));
}

/* Four outputs from their sums, before they are limited. */
static inline int32x4_t rounded(int32x4_t hi, int32x4_t lo, rc_resample_scale scale)
{
    int32x4_t sum = vaddq_s32(hi, vshlq_s32(lo, vdupq_n_s32(-scale.lo_bits)));
    sum = vaddq_s32(sum, vdupq_n_s32(1 << (scale.hi_bits - 1)));
    return vshlq_s32(sum, vdupq_n_s32(-scale.hi_bits));
}

/* Stores `lanes` of four outputs from `lane` on, limited; returns how many did not fit. */
static inline size_t store(int16_t *out, int32x4_t sum, size_t lane, size_t lanes)
{
    int16x4_t limited = vqmovn_s32(sum);
    uint32_t differs[4];
    int16_t some[4];
    size_t clipped = 0;
    vst1_s16(some, limited);
    memcpy(out, some + lane, lanes * sizeof(int16_t));
    uint32x4_t same = vceqq_s32(sum, vmovl_s16(limited));
    if (vminvq_u32(same) != 0)
        return 0;
    vst1q_u32(differs, vmvnq_u32(same));
    for (size_t k = lane; k < lane + lanes; k++)
        clipped += differs[k] & 1;
    return clipped;
}

/* Two coefficients in every lane. */
static inline int16x8_t pair(const int16_t *coefficients)
{
    int32_t both;
    memcpy(&both, coefficients, sizeof(both));
    return vreinterpretq_s16_s32(vdupq_n_s32(both));
}

static size_t lanes_neon(int16_t *out, size_t count, const rc_resample_list *list, const int16_t *lanes)
{
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 8) {
        const int16_t *at = lanes + 2 * i;
        int32x4_t hi[2], lo[2];
        size_t j = 0;
        hi[0] = hi[1] = lo[0] = lo[1] = vdupq_n_s32(0);
        for (; j < list->both; j++) {
            int16x8_t hi_pair = pair(list->hi + 2 * j), lo_pair = pair(list->lo + 2 * j);
            for (int k = 0; k < 2; k++) {
                int16x8_t x = vld1q_s16(at + list->offsets[j] + 8 * k);
                hi[k] = with_products(hi[k], x, hi_pair);
                lo[k] = with_products(lo[k], x, lo_pair);
            }
        }
        for (; j < list->pairs; j++) {
            int16x8_t lo_pair = pair(list->lo + 2 * j);
            for (int k = 0; k < 2; k++)
                lo[k] = with_products(lo[k], vld1q_s16(at + list->offsets[j] + 8 * k), lo_pair);
        }
        for (size_t k = 0; k < 2 && i + 4 * k < count; k++) {
            size_t left = count - i - 4 * k;
            clipped += store(out + i + 4 * k, rounded(hi[k], lo[k], list->scale), 0, left < 4 ? left : 4);
        }
    }
    return clipped;
}

/* The samples of four outputs lie within 8: a table look-up puts each output's two next to each other. */
static inline uint8x16_t order_of(const uint16_t *starts)
{
    uint32x4_t at = vshll_n_u16(vsub_u16(vld1_u16(starts), vdup_n_u16(starts[0])), 1);
    return vreinterpretq_u8_u32(vmlaq_n_u32(vdupq_n_u32(0x03020100), at, 0x01010101));
}

static inline int16x8_t ordered(const int16_t *x, uint8x16_t order)
{
    return vreinterpretq_s16_u8(vqtbl1q_u8(vreinterpretq_u8_s16(vld1q_s16(x)), order));
}

static size_t cycle_neon(int16_t *out, size_t count, const rc_resample_cycle *cycle, size_t k, const int16_t *x)
{
    const rc_resample_cycle c = *cycle;
    const int16_t *origin = x - c.starts[k];
    size_t clipped = 0;
    for (size_t i = 0; i < count;) {
        size_t group = k / RC_RESAMPLE_GROUP, quarter = k % RC_RESAMPLE_GROUP / 4, lane = k % 4, j = 0;
        size_t lanes = c.up - k < 4 - lane ? c.up - k : 4 - lane;
        if (lanes > count - i)
            lanes = count - i;
        const uint16_t *starts = c.starts + (k - lane);
        const int16_t *from = origin + starts[0];
        const int16_t *lo_at = c.lo + group * c.pairs * 2 * RC_RESAMPLE_GROUP + 8 * quarter;
        const int16_t *hi_at = c.hi + group * c.core * 2 * RC_RESAMPLE_GROUP + 8 * quarter;
        uint8x16_t order = order_of(starts);
        int32x4_t lo = vdupq_n_s32(0), hi = lo;
        for (; j < c.core_at; j++)
            lo = with_products(lo, ordered(from + 2 * j, order), vld1q_s16(lo_at + 2 * RC_RESAMPLE_GROUP * j));
        for (; j < c.core_at + c.core; j++) {
            int16x8_t pairs = ordered(from + 2 * j, order);
            lo = with_products(lo, pairs, vld1q_s16(lo_at + 2 * RC_RESAMPLE_GROUP * j));
            hi = with_products(hi, pairs, vld1q_s16(hi_at + 2 * RC_RESAMPLE_GROUP * (j - c.core_at)));
        }
        for (; j < c.pairs; j++)
            lo = with_products(lo, ordered(from + 2 * j, order), vld1q_s16(lo_at + 2 * RC_RESAMPLE_GROUP * j));
        clipped += store(out + i, rounded(hi, lo, c.scale), lane, lanes);
        i += lanes;
        k += lanes;
        if (k == c.up) {
            k = 0;
            origin += c.down;
        }
    }
    return clipped;
}

/* What slopes and curves add to the sum of hi. */
static inline int32x4_t moved(int32x4_t slope, int32x4_t curve, int32x4_t u, rc_resample_scale scale)
{
    slope = vmlaq_s32(slope, vshrq_n_s32(curve, 15), u);
    return vshlq_s32(vmulq_s32(vshrq_n_s32(slope, 15), u), vdupq_n_s32(-scale.lo_bits));
}

static size_t run_neon(int16_t *out, size_t count, const rc_resample_curves *c, size_t cell, const int32_t *u,
                       const uint32_t *offsets, const int16_t *lanes)
{
    const int16_t *row = c->rows + cell * c->size, *his = row + 3 * c->taps;
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 8) {
        int32x4_t lo[2], slope[2], curve[2], hi[2];
        for (int k = 0; k < 2; k++)
            lo[k] = slope[k] = curve[k] = hi[k] = vdupq_n_s32(0);
        for (size_t t = c->first; t < c->taps; t += 2) {
            const int16_t *at = lanes + offsets[t / 2] + 2 * i;
            for (int k = 0; k < 2; k++) {
                int16x8_t x = vld1q_s16(at + 8 * k);
                lo[k] = with_products(lo[k], x, pair(row + t));
                slope[k] = with_products(slope[k], x, pair(row + c->taps + t));
                curve[k] = with_products(curve[k], x, pair(row + 2 * c->taps + t));
            }
        }
        for (size_t t = 0; t < c->core; t += 2) {
            const int16_t *at = lanes + offsets[(c->core_at + t) / 2] + 2 * i;
            for (int k = 0; k < 2; k++)
                hi[k] = with_products(hi[k], vld1q_s16(at + 8 * k), pair(his + t));
        }
        for (size_t k = 0; k < 2 && i + 4 * k < count; k++) {
            size_t left = count - i - 4 * k;
            int32x4_t all = vaddq_s32(hi[k], moved(slope[k], curve[k], vld1q_s32(u + i + 4 * k), c->scale));
            clipped += store(out + i + 4 * k, rounded(all, lo[k], c->scale), 0, left < 4 ? left : 4);
        }
    }
    return clipped;
}

/* The sum of `count` products, a multiple of 16. */
static inline int32_t products(const int16_t *coefficients, const int16_t *x, size_t count)
{
    int32x4_t sums[4];
    sums[0] = sums[1] = sums[2] = sums[3] = vdupq_n_s32(0);
    for (size_t i = 0; i < count; i += 16) {
        int16x8_t a = vld1q_s16(x + i), b = vld1q_s16(coefficients + i);
        sums[0] = vmlal_s16(sums[0], vget_low_s16(a), vget_low_s16(b));
        sums[1] = vmlal_high_s16(sums[1], a, b);
        a = vld1q_s16(x + i + 8);
        b = vld1q_s16(coefficients + i + 8);
        sums[2] = vmlal_s16(sums[2], vget_low_s16(a), vget_low_s16(b));
        sums[3] = vmlal_high_s16(sums[3], a, b);
    }
    return vaddvq_s32(vaddq_s32(vaddq_s32(sums[0], sums[1]), vaddq_s32(sums[2], sums[3])));
}

static size_t points_neon(int16_t *out, size_t count, const rc_resample_curves *c, const rc_resample_points *points,
                          const int16_t *input)
{
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 4) {
        int32_t lo[4], slope[4], curve[4], hi[4];
        for (size_t k = 0; k < 4; k++) {
            const int16_t *row = c->rows + points->cell[i + k] * c->size, *x = input + points->at[i + k];
            lo[k] = products(row, x, c->taps);
            slope[k] = products(row + c->taps, x, c->taps);
            curve[k] = products(row + 2 * c->taps, x, c->taps);
            hi[k] = products(row + 3 * c->taps, x + c->core_at, c->core);
        }
        int32x4_t all = moved(vld1q_s32(slope), vld1q_s32(curve), vld1q_s32(points->u + i), c->scale);
        all = rounded(vaddq_s32(vld1q_s32(hi), all), vld1q_s32(lo), c->scale);
        clipped += store(out + i, all, 0, count - i < 4 ? count - i : 4);
    }
    return clipped;
}

const rc_resample_kernels rc_resample_neon = {lanes_neon, cycle_neon, run_neon, points_neon};

#else
typedef int rc_resample_neon_is_not_for_this_machine;
#endif
