#include "rc_resample_kernels.h"

#ifdef RC_X86

/* VNNI's dot product multiplies, adds pairs and accumulates in one instruction. */

#include <string.h>

#define TARGET RC_TARGET("avx512f,avx512bw,avx512vl,avx512vnni")

/* Eight partial sums of `count` products. */
TARGET static inline __m256i products(const int16_t *coefficients, const int16_t *samples, size_t count)
{
    __m512i sum = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 32 <= count; i += 32)
        sum = _mm512_dpwssd_epi32(sum, _mm512_loadu_si512(samples + i), _mm512_loadu_si512(coefficients + i));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
    if (i + 16 <= count) {
        half = _mm256_dpwssd_epi32(half, _mm256_loadu_si256((const __m256i *)(samples + i)),
                                   _mm256_loadu_si256((const __m256i *)(coefficients + i)));
        i += 16;
    }
    if (i < count) {
        __m128i x = _mm_loadu_si128((const __m128i *)(samples + i));
        __m128i c = _mm_loadu_si128((const __m128i *)(coefficients + i));
        half = _mm256_add_epi32(half, _mm256_zextsi128_si256(_mm_madd_epi16(x, c)));
    }
    return half;
}

/* Four sums, each of eight lanes. */
TARGET static inline __m128i sum4(__m256i a, __m256i b, __m256i c, __m256i d)
{
    __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

TARGET void rc_resample_dot4_avx512(int32_t sums[4], const int16_t *const coefficients[4],
                                    const int16_t *const samples[4], size_t count)
{
    __m128i four = sum4(products(coefficients[0], samples[0], count), products(coefficients[1], samples[1], count),
                        products(coefficients[2], samples[2], count), products(coefficients[3], samples[3], count));
    _mm_storeu_si128((__m128i *)sums, four);
}

TARGET size_t rc_resample_grid_avx512(int16_t *out, size_t count, const rc_resample_table *table,
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
TARGET static inline __m512i pair(const int16_t *coefficients)
{
    int32_t both;
    memcpy(&both, coefficients, sizeof(both));
    return _mm512_set1_epi32(both);
}

TARGET size_t rc_resample_lanes_avx512(int16_t *out, size_t count, const rc_resample_list *list, const int16_t *lanes)
{
    const __m512i half = _mm512_set1_epi32(1 << (list->hi_bits - 1));
    size_t clipped = 0;
    for (size_t i = 0; i < count; i += 32) {
        __m512i hi[2], lo[2];
        const int16_t *at = lanes + 2 * i;
        size_t j = 0;
        hi[0] = hi[1] = lo[0] = lo[1] = _mm512_setzero_si512();
        for (; j < list->both; j++) {
            __m512i hi_pair = pair(list->hi + 2 * j), lo_pair = pair(list->lo + 2 * j);
            for (int k = 0; k < 2; k++) {
                __m512i x = _mm512_loadu_si512(at + list->offsets[j] + 32 * k);
                hi[k] = _mm512_dpwssd_epi32(hi[k], x, hi_pair);
                lo[k] = _mm512_dpwssd_epi32(lo[k], x, lo_pair);
            }
        }
        for (; j < list->pairs; j++) {
            __m512i lo_pair = pair(list->lo + 2 * j);
            for (int k = 0; k < 2; k++)
                lo[k] = _mm512_dpwssd_epi32(lo[k], _mm512_loadu_si512(at + list->offsets[j] + 32 * k), lo_pair);
        }
        for (size_t k = 0; k < 2 && i + 16 * k < count; k++) {
            size_t left = count - i - 16 * k;
            __mmask16 wanted = (__mmask16)(left >= 16 ? 0xFFFFu : (1u << left) - 1);
            __m512i sum = _mm512_add_epi32(_mm512_add_epi32(hi[k], half),
                                           _mm512_srai_epi32(lo[k], (unsigned)list->lo_bits));
            sum = _mm512_srai_epi32(sum, (unsigned)list->hi_bits);
            __m256i limited = _mm512_cvtsepi32_epi16(sum);
            _mm256_mask_storeu_epi16(out + i + 16 * k, wanted, limited);
            __mmask16 differs = _mm512_mask_cmpneq_epi32_mask(wanted, sum, _mm512_cvtepi16_epi32(limited));
            if (differs)
                clipped += (size_t)__builtin_popcount(differs);
        }
    }
    return clipped;
}

#else
typedef int rc_resample_avx512_is_not_for_this_machine;
#endif
