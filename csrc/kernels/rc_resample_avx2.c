#include "rc_resample_kernels.h"

#ifdef RC_X86

#include <string.h>

#define TARGET RC_TARGET("avx2")

TARGET static inline __m256i load(const int16_t *numbers)
{
    return _mm256_loadu_si256((const __m256i *)numbers);
}

/* Eight sums, with the products of two more pairs in each. */
TARGET static inline __m256i with_products(__m256i sum, __m256i a, __m256i b)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

/* Eight outputs from their sums, before they are limited. */
TARGET static inline __m256i rounded(__m256i hi, __m256i lo, rc_resample_scale scale)
{
    __m256i sum = _mm256_add_epi32(hi, _mm256_srai_epi32(lo, scale.lo_bits));
    sum = _mm256_add_epi32(sum, _mm256_set1_epi32(1 << (scale.hi_bits - 1)));
    return _mm256_srai_epi32(sum, scale.hi_bits);
}

/* Stores `lanes` of sixteen outputs from `lane` on, limited; returns how many did not fit. */
TARGET static inline size_t store(int16_t *out, const __m256i sums[2], size_t lane, size_t lanes)
{
    /* packing works in halves: quarters 0 2 1 3 */
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(sums[0], sums[1]), 0xD8);
    __m256i same_first = _mm256_cmpeq_epi32(sums[0], _mm256_cvtepi16_epi32(_mm256_castsi256_si128(packed)));
    __m256i same_second = _mm256_cmpeq_epi32(sums[1], _mm256_cvtepi16_epi32(_mm256_extracti128_si256(packed, 1)));
    unsigned differs = ~((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(same_first)) |
                         (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(same_second)) << 8);
    differs &= ((1u << lanes) - 1) << lane;
    if (lanes == 16) {
        _mm256_storeu_si256((__m256i *)out, packed);
    } else {
        int16_t some[16];
        _mm256_storeu_si256((__m256i *)some, packed);
        memcpy(out, some + lane, lanes * sizeof(int16_t));
    }
    return differs ? (size_t)__builtin_popcount(differs) : 0;
}

/* Two coefficients in every lane. */
TARGET static inline __m256i pair(const int16_t *coefficients)
{
    int32_t both;
    memcpy(&both, coefficients, sizeof(both));
    return _mm256_set1_epi32(both);
}

TARGET static size_t lanes_avx2(int16_t *out, size_t count, const rc_resample_list *list, const int16_t *lanes)
{
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 32) {
        __m256i hi[4], lo[4];
        const int16_t *at = lanes + 2 * i;
        size_t j = 0;
        for (int k = 0; k < 4; k++)
            hi[k] = lo[k] = _mm256_setzero_si256();
        for (; j < list->both; j++) {
            __m256i hi_pair = pair(list->hi + 2 * j), lo_pair = pair(list->lo + 2 * j);
            for (int k = 0; k < 4; k++) {
                __m256i x = load(at + list->offsets[j] + 16 * k);
                hi[k] = with_products(hi[k], x, hi_pair);
                lo[k] = with_products(lo[k], x, lo_pair);
            }
        }
        for (; j < list->pairs; j++) {
            __m256i lo_pair = pair(list->lo + 2 * j);
            for (int k = 0; k < 4; k++)
                lo[k] = with_products(lo[k], load(at + list->offsets[j] + 16 * k), lo_pair);
        }
        for (size_t k = 0; k < 4 && i + 8 * k < count; k += 2) {
            size_t left = count - i - 8 * k;
            __m256i sums[2] = {rounded(hi[k], lo[k], list->scale), rounded(hi[k + 1], lo[k + 1], list->scale)};
            clipped += store(out + i + 8 * k, sums, 0, left < 16 ? left : 16);
        }
    }
    return clipped;
}

/* The samples of four outputs lie within 8: a shuffle puts each output's two next to each other. */
TARGET static inline __m256i order_of(const uint16_t *starts)
{
    __m256i at = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)starts));
    at = _mm256_slli_epi32(_mm256_sub_epi32(at, _mm256_shuffle_epi32(at, 0)), 1);
    at = _mm256_or_si256(at, _mm256_slli_epi32(at, 8));
    return _mm256_add_epi32(_mm256_or_si256(at, _mm256_slli_epi32(at, 16)), _mm256_set1_epi32(0x03020100));
}

TARGET static inline __m256i ordered(const int16_t *first, const int16_t *second, __m256i order)
{
    __m128i low = _mm_loadu_si128((const __m128i *)first), high = _mm_loadu_si128((const __m128i *)second);
    return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), order);
}

TARGET static size_t cycle_avx2(int16_t *out, size_t count, const rc_resample_cycle *cycle, size_t k, const int16_t *x)
{
    const rc_resample_cycle c = *cycle;
    const int16_t *origin = x - c.starts[k];
    size_t clipped = 0;
    for (size_t i = 0; i < count;) {
        size_t group = k / 16, lane = k % 16;
        size_t lanes = c.up - 16 * group < 16 ? c.up - 16 * group - lane : 16 - lane;
        if (lanes > count - i)
            lanes = count - i;
        __m256i sums[2];
        for (size_t half = 0; half < 2; half++) {
            const uint16_t *starts = c.starts + 16 * group + 8 * half;
            const int16_t *first = origin + starts[0], *second = origin + starts[4];
            const int16_t *lo_at = c.lo + group * c.pairs * 32 + 16 * half;
            const int16_t *hi_at = c.hi + group * c.core * 32 + 16 * half;
            __m256i order = order_of(starts), lo = _mm256_setzero_si256(), hi = lo;
            size_t j = 0;
            for (; j < c.core_at; j++)
                lo = with_products(lo, ordered(first + 2 * j, second + 2 * j, order), load(lo_at + 32 * j));
            for (; j < c.core_at + c.core; j++) {
                __m256i pairs = ordered(first + 2 * j, second + 2 * j, order);
                lo = with_products(lo, pairs, load(lo_at + 32 * j));
                hi = with_products(hi, pairs, load(hi_at + 32 * (j - c.core_at)));
            }
            for (; j < c.pairs; j++)
                lo = with_products(lo, ordered(first + 2 * j, second + 2 * j, order), load(lo_at + 32 * j));
            sums[half] = rounded(hi, lo, c.scale);
        }
        clipped += store(out + i, sums, lane, lanes);
        i += lanes;
        k += lanes;
        if (k == c.up) {
            k = 0;
            origin += c.down;
        }
    }
    return clipped;
}

/* Eight sums, whole or in parts, of each kind. */
typedef struct {
    __m256i lo, slope, curve, hi;
} sums;

TARGET static size_t run_avx2(int16_t *out, size_t count, const rc_resample_curves *curves, size_t cell,
                              const int32_t *u, const uint32_t *offsets, const int16_t *lanes)
{
    const rc_resample_curves c = *curves;
    const int16_t *row = c.rows + cell * c.size, *his = row + 3 * c.taps;
    const __m256i zero = _mm256_setzero_si256();
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 16) {
        sums s[2] = {{zero, zero, zero, zero}, {zero, zero, zero, zero}};
        __m256i all[2];
        for (size_t t = c.first; t < c.taps; t += 2) {
            const int16_t *at = lanes + offsets[t / 2] + 2 * i;
            for (int k = 0; k < 2; k++) {
                __m256i x = load(at + 16 * k);
                s[k].lo = with_products(s[k].lo, x, pair(row + t));
                s[k].slope = with_products(s[k].slope, x, pair(row + c.taps + t));
                s[k].curve = with_products(s[k].curve, x, pair(row + 2 * c.taps + t));
            }
        }
        for (size_t t = 0; t < c.core; t += 2) {
            const int16_t *at = lanes + offsets[(c.core_at + t) / 2] + 2 * i;
            for (int k = 0; k < 2; k++)
                s[k].hi = with_products(s[k].hi, load(at + 16 * k), pair(his + t));
        }
        for (int k = 0; k < 2; k++) {
            __m256i by = _mm256_loadu_si256((const __m256i *)(u + i + 8 * (size_t)k));
            __m256i moved = _mm256_mullo_epi32(_mm256_srai_epi32(s[k].curve, 15), by);
            moved = _mm256_mullo_epi32(_mm256_srai_epi32(_mm256_add_epi32(moved, s[k].slope), 15), by);
            all[k] = rounded(_mm256_add_epi32(s[k].hi, _mm256_srai_epi32(moved, c.scale.lo_bits)), s[k].lo, c.scale);
        }
        clipped += store(out + i, all, 0, count - i < 16 ? count - i : 16);
    }
    return clipped;
}

TARGET static inline sums sums_at(const rc_resample_curves *c, const rc_resample_points *points, size_t i,
                                          const int16_t *input)
{
    const int16_t *row = c->rows + points->cell[i] * c->size, *x = input + points->at[i];
    const int16_t *slopes = row + c->taps, *curves = slopes + c->taps, *his = curves + c->taps;
    const __m256i zero = _mm256_setzero_si256();
    sums s = {zero, zero, zero, zero};
    for (size_t t = 0; t < c->taps; t += 16) {
        __m256i samples = load(x + t);
        s.lo = with_products(s.lo, samples, load(row + t));
        s.slope = with_products(s.slope, samples, load(slopes + t));
        s.curve = with_products(s.curve, samples, load(curves + t));
    }
    for (size_t t = 0; t < c->core; t += 16)
        s.hi = with_products(s.hi, load(x + c->core_at + t), load(his + t));
    return s;
}

/* The sums of four outputs. */
TARGET static inline __m128i sum4(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

TARGET static size_t points_avx2(int16_t *out, size_t count, const rc_resample_curves *curves,
                                 const rc_resample_points *points, const int16_t *input)
{
    const rc_resample_curves c = *curves;
    const __m128i lo_bits = _mm_cvtsi32_si128(c.scale.lo_bits);
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 4) {
        sums p = sums_at(&c, points, i, input), q = sums_at(&c, points, i + 1, input);
        sums r = sums_at(&c, points, i + 2, input), s = sums_at(&c, points, i + 3, input);
        __m128i u = _mm_loadu_si128((const __m128i *)(points->u + i));
        __m128i moved = _mm_mullo_epi32(_mm_srai_epi32(sum4(p.curve, q.curve, r.curve, s.curve), 15), u);
        moved = _mm_add_epi32(moved, sum4(p.slope, q.slope, r.slope, s.slope));
        moved = _mm_mullo_epi32(_mm_srai_epi32(moved, 15), u);
        __m128i sum = _mm_sra_epi32(sum4(p.lo, q.lo, r.lo, s.lo), lo_bits);
        sum = _mm_add_epi32(sum, _mm_sra_epi32(moved, lo_bits));
        sum = _mm_add_epi32(sum, sum4(p.hi, q.hi, r.hi, s.hi));
        sum = _mm_add_epi32(sum, _mm_set1_epi32(1 << (c.scale.hi_bits - 1)));
        sum = _mm_sra_epi32(sum, _mm_cvtsi32_si128(c.scale.hi_bits));
        size_t left = count - i < 4 ? count - i : 4;
        __m128i limited = _mm_packs_epi32(sum, sum);
        __m128i same = _mm_cmpeq_epi32(sum, _mm_cvtepi16_epi32(limited));
        unsigned differs = ~(unsigned)_mm_movemask_ps(_mm_castsi128_ps(same)) & ((1u << left) - 1);
        int16_t some[8];
        _mm_storeu_si128((__m128i *)some, limited);
        memcpy(out + i, some, left * sizeof(int16_t));
        if (differs)
            clipped += (size_t)__builtin_popcount(differs);
    }
    return clipped;
}

const rc_resample_kernels rc_resample_avx2 = {lanes_avx2, cycle_avx2, run_avx2, points_avx2};

#else
typedef int rc_resample_avx2_is_not_for_this_machine;
#endif
