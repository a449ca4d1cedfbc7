#include "rc_resample_kernels.h"

#ifdef RC_X86

#include <string.h>

#define TARGET RC_TARGET("avx2")

TARGET static inline __m256i load(const int16_t *samples)
{
    return _mm256_loadu_si256((const __m256i *)samples);
}

/* Eight partial sums of `count` products. */
TARGET static inline __m256i products(const int16_t *coefficients, const int16_t *samples, size_t count)
{
    __m256i sum = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 16 <= count; i += 16)
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(load(samples + i), load(coefficients + i)));
    if (i < count) {
        __m128i x = _mm_loadu_si128((const __m128i *)(samples + i));
        __m128i c = _mm_loadu_si128((const __m128i *)(coefficients + i));
        sum = _mm256_add_epi32(sum, _mm256_zextsi128_si256(_mm_madd_epi16(x, c)));
    }
    return sum;
}

/* Four sums, each of eight lanes. */
TARGET static inline __m128i sum4(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

TARGET void rc_resample_dot4_avx2(int32_t sums[4], const int16_t *const coefficients[4],
                                  const int16_t *const samples[4], size_t count)
{
    __m128i four = sum4(products(coefficients[0], samples[0], count), products(coefficients[1], samples[1], count),
                        products(coefficients[2], samples[2], count), products(coefficients[3], samples[3], count));
    _mm_storeu_si128((__m128i *)sums, four);
}

TARGET size_t rc_resample_grid_avx2(int16_t *out, size_t count, const rc_resample_table *table,
                                    rc_resample_walk walk, const int16_t *input)
{
    const rc_resample_table t = *table;
    const __m128i half = _mm_set1_epi32(1 << (t.hi_bits - 1));
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 4) {
        __m256i lo[4], hi[4];
        size_t left = count - i;
        for (size_t k = 0; k < 4; k++) {
            const int16_t *x = input + walk.at;
            lo[k] = products(t.lo + (walk.phase + 1) * t.taps, x, t.taps);
            hi[k] = products(t.hi + (walk.phase + 1) * t.core, x + t.core_at, t.core);
            if (k + 1 < left) /* else nothing is left: the same once more */
                rc_resample_step(&walk, table);
        }
        __m128i sum = _mm_srai_epi32(sum4(lo[0], lo[1], lo[2], lo[3]), t.lo_bits);
        sum = _mm_add_epi32(_mm_add_epi32(sum, half), sum4(hi[0], hi[1], hi[2], hi[3]));
        sum = _mm_srai_epi32(sum, t.hi_bits);
        __m128i limited = _mm_packs_epi32(sum, sum);
        int same = _mm_movemask_ps(_mm_castsi128_ps(_mm_cmpeq_epi32(sum, _mm_cvtepi16_epi32(limited))));
        int wanted = left >= 4 ? 15 : (1 << left) - 1;
        int16_t four[8];
        _mm_storeu_si128((__m128i *)four, limited);
        memcpy(out + i, four, (left >= 4 ? 4 : left) * sizeof(int16_t));
        if ((same & wanted) != wanted)
            clipped += (size_t)__builtin_popcount((unsigned)(~same & wanted));
    }
    return clipped;
}

/* Two coefficients in every lane. */
TARGET static inline __m256i pair(const int16_t *coefficients)
{
    int32_t both;
    memcpy(&both, coefficients, sizeof(both));
    return _mm256_set1_epi32(both);
}

/* Eight outputs from their two sums, before they are limited. */
TARGET static inline __m256i rounded(__m256i hi, __m256i lo, const rc_resample_list *list)
{
    __m256i sum = _mm256_add_epi32(hi, _mm256_srai_epi32(lo, list->lo_bits));
    sum = _mm256_add_epi32(sum, _mm256_set1_epi32(1 << (list->hi_bits - 1)));
    return _mm256_srai_epi32(sum, list->hi_bits);
}

TARGET size_t rc_resample_lanes_avx2(int16_t *out, size_t count, const rc_resample_list *list, const int16_t *lanes)
{
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 16) {
        __m256i hi[2], lo[2];
        const int16_t *at = lanes + 2 * i;
        size_t j = 0;
        hi[0] = hi[1] = lo[0] = lo[1] = _mm256_setzero_si256();
        for (; j < list->both; j++) {
            __m256i hi_pair = pair(list->hi + 2 * j), lo_pair = pair(list->lo + 2 * j);
            for (int k = 0; k < 2; k++) {
                __m256i x = load(at + list->offsets[j] + 16 * k);
                hi[k] = _mm256_add_epi32(hi[k], _mm256_madd_epi16(x, hi_pair));
                lo[k] = _mm256_add_epi32(lo[k], _mm256_madd_epi16(x, lo_pair));
            }
        }
        for (; j < list->pairs; j++) {
            __m256i lo_pair = pair(list->lo + 2 * j);
            for (int k = 0; k < 2; k++)
                lo[k] = _mm256_add_epi32(lo[k], _mm256_madd_epi16(load(at + list->offsets[j] + 16 * k), lo_pair));
        }
        __m256i first = rounded(hi[0], lo[0], list), second = rounded(hi[1], lo[1], list);
        /* packing works in halves: quarters 0 2 1 3 */
        __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xD8);
        __m256i same_first = _mm256_cmpeq_epi32(first, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(packed)));
        __m256i same_second = _mm256_cmpeq_epi32(second, _mm256_cvtepi16_epi32(_mm256_extracti128_si256(packed, 1)));
        unsigned same = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(same_first)) |
                        (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(same_second)) << 8;
        size_t left = count - i;
        unsigned wanted = left >= 16 ? 0xFFFF : (1u << left) - 1;
        if (left >= 16) {
            _mm256_storeu_si256((__m256i *)(out + i), packed);
        } else {
            int16_t last[16];
            _mm256_storeu_si256((__m256i *)last, packed);
            memcpy(out + i, last, left * sizeof(int16_t));
        }
        if ((same & wanted) != wanted)
            clipped += (size_t)__builtin_popcount(~same & wanted);
    }
    return clipped;
}

#else
typedef int rc_resample_avx2_is_not_for_this_machine;
#endif
