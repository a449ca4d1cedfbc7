#include "rc_resample_kernels.h"

#ifdef RC_X86

/* VNNI's dot product multiplies, adds pairs and accumulates in one instruction. */

#include <string.h>

#define TARGET RC_TARGET("avx512f,avx512bw,avx512vl,avx512vnni")

TARGET static inline __m512i load(const int16_t *numbers)
{
    return _mm512_loadu_si512(numbers);
}

/* Sixteen outputs from their sums, before they are limited. */
TARGET static inline __m512i rounded(__m512i hi, __m512i lo, rc_resample_scale scale)
{
    __m512i sum = _mm512_add_epi32(hi, _mm512_srai_epi32(lo, (unsigned)scale.lo_bits));
    sum = _mm512_add_epi32(sum, _mm512_set1_epi32(1 << (scale.hi_bits - 1)));
    return _mm512_srai_epi32(sum, (unsigned)scale.hi_bits);
}

/* Stores `lanes` (or all that are left) of sixteen outputs from `lane` on, limited; returns how many did not fit. */
TARGET static inline size_t store(int16_t *out, __m512i sum, size_t lane, size_t lanes)
{
    __m256i limited = _mm512_cvtsepi32_epi16(sum);
    __mmask16 differs = _mm512_cmpneq_epi32_mask(sum, _mm512_cvtepi16_epi32(limited));
    if (lanes >= 16) {
        _mm256_storeu_si256((__m256i *)out, limited);
    } else {
        int16_t some[16];
        _mm256_storeu_si256((__m256i *)some, limited);
        memcpy(out, some + lane, lanes * sizeof(int16_t));
        differs &= (__mmask16)(((1u << lanes) - 1) << lane);
    }
    return differs ? (size_t)__builtin_popcount(differs) : 0;
}

/* Two coefficients in every lane. */
TARGET static inline __m512i pair(const int16_t *coefficients)
{
    int32_t both;
    memcpy(&both, coefficients, sizeof(both));
    return _mm512_set1_epi32(both);
}

TARGET static size_t lanes_avx512(int16_t *out, size_t count, const rc_resample_list *list, const int16_t *lanes)
{
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 32) {
        __m512i hi[2], lo[2];
        const int16_t *at = lanes + 2 * i;
        size_t j = 0;
        hi[0] = hi[1] = lo[0] = lo[1] = _mm512_setzero_si512();
        for (; j < list->both; j++) {
            __m512i hi_pair = pair(list->hi + 2 * j), lo_pair = pair(list->lo + 2 * j);
            for (int k = 0; k < 2; k++) {
                __m512i x = load(at + list->offsets[j] + 32 * k);
                hi[k] = _mm512_dpwssd_epi32(hi[k], x, hi_pair);
                lo[k] = _mm512_dpwssd_epi32(lo[k], x, lo_pair);
            }
        }
        for (; j < list->pairs; j++) {
            __m512i lo_pair = pair(list->lo + 2 * j);
            for (int k = 0; k < 2; k++)
                lo[k] = _mm512_dpwssd_epi32(lo[k], load(at + list->offsets[j] + 32 * k), lo_pair);
        }
        for (size_t k = 0; k < 2 && i + 16 * k < count; k++)
            clipped += store(out + i + 16 * k, rounded(hi[k], lo[k], list->scale), 0, count - i - 16 * k);
    }
    return clipped;
}

/* A group's samples lie within 32: one permutation puts each output's two next to each other. */
TARGET static inline __m512i order_of(const uint16_t *starts)
{
    __m512i at = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)starts));
    at = _mm512_sub_epi32(at, _mm512_set1_epi32(starts[0]));
    return _mm512_add_epi32(_mm512_or_si512(at, _mm512_slli_epi32(at, 16)), _mm512_set1_epi32(1 << 16));
}

TARGET static inline __m512i ordered(const int16_t *x, __m512i order)
{
    return _mm512_permutexvar_epi16(order, load(x));
}

TARGET static size_t cycle_avx512(int16_t *out, size_t count, const rc_resample_cycle *cycle, size_t k,
                                  const int16_t *x)
{
    const rc_resample_cycle c = *cycle;
    const int16_t *origin = x - c.starts[k];
    size_t clipped = 0;
    for (size_t i = 0; i < count;) {
        size_t group = k / 16, lane = k % 16, j = 0;
        size_t lanes = c.up - 16 * group < 16 ? c.up - 16 * group - lane : 16 - lane;
        if (lanes > count - i)
            lanes = count - i;
        const uint16_t *starts = c.starts + 16 * group;
        const int16_t *from = origin + starts[0];
        const int16_t *lo_at = c.lo + group * c.pairs * 32, *hi_at = c.hi + group * c.core * 32;
        __m512i order = order_of(starts), lo[3], hi = _mm512_setzero_si512();
        lo[0] = lo[1] = lo[2] = hi;
        for (; j < c.core_at; j++)
            lo[0] = _mm512_dpwssd_epi32(lo[0], ordered(from + 2 * j, order), load(lo_at + 32 * j));
        for (; j < c.core_at + c.core; j++) {
            __m512i pairs = ordered(from + 2 * j, order);
            lo[1] = _mm512_dpwssd_epi32(lo[1], pairs, load(lo_at + 32 * j));
            hi = _mm512_dpwssd_epi32(hi, pairs, load(hi_at + 32 * (j - c.core_at)));
        }
        for (; j < c.pairs; j++)
            lo[2] = _mm512_dpwssd_epi32(lo[2], ordered(from + 2 * j, order), load(lo_at + 32 * j));
        __m512i sum = rounded(hi, _mm512_add_epi32(lo[0], _mm512_add_epi32(lo[1], lo[2])), c.scale);
        clipped += store(out + i, sum, lane, lanes);
        i += lanes;
        k += lanes;
        if (k == c.up) {
            k = 0;
            origin += c.down;
        }
    }
    return clipped;
}

/* Sixteen sums, whole or in parts, of each kind. */
typedef struct {
    __m512i lo, slope, curve, hi;
} sums;

TARGET static size_t run_avx512(int16_t *out, size_t count, const rc_resample_curves *curves, size_t cell,
                                const int32_t *u, const uint32_t *offsets, const int16_t *lanes)
{
    const rc_resample_curves c = *curves;
    const int16_t *row = c.rows + cell * c.size, *his = row + 3 * c.taps;
    const __m512i zero = _mm512_setzero_si512();
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 32) {
        sums s[2] = {{zero, zero, zero, zero}, {zero, zero, zero, zero}};
        for (size_t t = c.first; t < c.taps; t += 2) {
            const int16_t *at = lanes + offsets[t / 2] + 2 * i;
            for (int k = 0; k < 2; k++) {
                __m512i x = load(at + 32 * k);
                s[k].lo = _mm512_dpwssd_epi32(s[k].lo, x, pair(row + t));
                s[k].slope = _mm512_dpwssd_epi32(s[k].slope, x, pair(row + c.taps + t));
                s[k].curve = _mm512_dpwssd_epi32(s[k].curve, x, pair(row + 2 * c.taps + t));
            }
        }
        for (size_t t = 0; t < c.core; t += 2) {
            const int16_t *at = lanes + offsets[(c.core_at + t) / 2] + 2 * i;
            for (int k = 0; k < 2; k++)
                s[k].hi = _mm512_dpwssd_epi32(s[k].hi, load(at + 32 * k), pair(his + t));
        }
        for (size_t k = 0; k < 2 && i + 16 * k < count; k++) {
            __m512i by = _mm512_loadu_si512(u + i + 16 * k);
            __m512i moved = _mm512_mullo_epi32(_mm512_srai_epi32(s[k].curve, 15), by);
            moved = _mm512_mullo_epi32(_mm512_srai_epi32(_mm512_add_epi32(moved, s[k].slope), 15), by);
            moved = _mm512_add_epi32(s[k].hi, _mm512_srai_epi32(moved, (unsigned)c.scale.lo_bits));
            clipped += store(out + i + 16 * k, rounded(moved, s[k].lo, c.scale), 0, count - i - 16 * k);
        }
    }
    return clipped;
}

TARGET static inline __m512i load_half(const int16_t *numbers)
{
    return _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)numbers));
}

TARGET static inline sums sums_at(const rc_resample_curves *c, const rc_resample_points *points, size_t i,
                                          const int16_t *input)
{
    const int16_t *row = c->rows + points->cell[i] * c->size, *x = input + points->at[i];
    const int16_t *slopes = row + c->taps, *curves = slopes + c->taps, *his = curves + c->taps;
    const __m512i zero = _mm512_setzero_si512();
    sums s = {zero, zero, zero, zero};
    size_t t = 0;
    for (; t + 32 <= c->taps; t += 32) {
        __m512i samples = load(x + t);
        s.lo = _mm512_dpwssd_epi32(s.lo, samples, load(row + t));
        s.slope = _mm512_dpwssd_epi32(s.slope, samples, load(slopes + t));
        s.curve = _mm512_dpwssd_epi32(s.curve, samples, load(curves + t));
    }
    if (t < c->taps) {
        __m512i samples = load_half(x + t);
        s.lo = _mm512_dpwssd_epi32(s.lo, samples, load_half(row + t));
        s.slope = _mm512_dpwssd_epi32(s.slope, samples, load_half(slopes + t));
        s.curve = _mm512_dpwssd_epi32(s.curve, samples, load_half(curves + t));
    }
    for (t = 0; t + 32 <= c->core; t += 32)
        s.hi = _mm512_dpwssd_epi32(s.hi, load(x + c->core_at + t), load(his + t));
    if (t < c->core)
        s.hi = _mm512_dpwssd_epi32(s.hi, load_half(x + c->core_at + t), load_half(his + t));
    return s;
}

/* Adds neighbours of two registers: within quarters, a and b in turns. */
TARGET static inline __m512i fold(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

/* Partial sums of four outputs in each quarter. */
TARGET static inline __m512i fold4(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i first = fold(a, b), second = fold(c, d);
    return _mm512_add_epi32(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second));
}

/* Adds neighbouring quarters: two of a, then two of b. */
TARGET static inline __m512i fold_quarters(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xDD));
}

TARGET static size_t points_avx512(int16_t *out, size_t count, const rc_resample_curves *curves,
                                   const rc_resample_points *points, const int16_t *input)
{
    const rc_resample_curves c = *curves;
    const __m128i lo_bits = _mm_cvtsi32_si128(c.scale.lo_bits);
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 4) {
        sums p = sums_at(&c, points, i, input), q = sums_at(&c, points, i + 1, input);
        sums r = sums_at(&c, points, i + 2, input), s = sums_at(&c, points, i + 3, input);
        __m512i low = fold_quarters(fold4(p.lo, q.lo, r.lo, s.lo), fold4(p.slope, q.slope, r.slope, s.slope));
        __m512i high = fold_quarters(fold4(p.curve, q.curve, r.curve, s.curve), fold4(p.hi, q.hi, r.hi, s.hi));
        __m512i all = fold_quarters(low, high);
        __m128i u = _mm_loadu_si128((const __m128i *)(points->u + i));
        __m128i moved = _mm_mullo_epi32(_mm_srai_epi32(_mm512_extracti32x4_epi32(all, 2), 15), u);
        moved = _mm_add_epi32(moved, _mm512_extracti32x4_epi32(all, 1));
        moved = _mm_mullo_epi32(_mm_srai_epi32(moved, 15), u);
        __m128i sum = _mm_add_epi32(_mm_sra_epi32(_mm512_castsi512_si128(all), lo_bits), _mm_sra_epi32(moved, lo_bits));
        sum = _mm_add_epi32(sum, _mm512_extracti32x4_epi32(all, 3));
        sum = _mm_add_epi32(sum, _mm_set1_epi32(1 << (c.scale.hi_bits - 1)));
        sum = _mm_sra_epi32(sum, _mm_cvtsi32_si128(c.scale.hi_bits));
        size_t left = count - i;
        __mmask8 wanted = (__mmask8)(left >= 4 ? 15 : (1 << left) - 1);
        __m128i limited = _mm_cvtsepi32_epi16(sum);
        _mm_mask_storeu_epi16(out + i, wanted, limited);
        unsigned differs = _mm_mask_cmpneq_epi32_mask(wanted, sum, _mm_cvtepi16_epi32(limited));
        if (differs)
            clipped += (size_t)__builtin_popcount(differs);
    }
    return clipped;
}

const rc_resample_kernels rc_resample_avx512 = {lanes_avx512, cycle_avx512, run_avx512, points_avx512};

#else
typedef int rc_resample_avx512_is_not_for_this_machine;
#endif
