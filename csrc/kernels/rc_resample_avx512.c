#include "rc_resample_kernels.h"

#ifdef RC_X86

/* VNNI's dot product multiplies, adds pairs and accumulates in one instruction. */

#include <string.h>

#define TARGET RC_TARGET("avx512f,avx512bw,avx512vl,avx512vnni")

TARGET void rc_resample_dot4_avx512(int32_t sums[4], const int16_t *const coefficients[4],
                                    const int16_t *const samples[4], size_t count)
{
    size_t whole = count / 32 * 32;
    __mmask32 rest = ((__mmask32)1 << (count - whole)) - 1;
    __m256i sum[4];
    for (int k = 0; k < 4; k++) {
        __m512i wide = _mm512_setzero_si512();
        for (size_t i = 0; i < whole; i += 32)
            wide = _mm512_dpwssd_epi32(wide, _mm512_loadu_si512(samples[k] + i),
                                       _mm512_loadu_si512(coefficients[k] + i));
        if (rest)
            wide = _mm512_dpwssd_epi32(wide, _mm512_maskz_loadu_epi16(rest, samples[k] + whole),
                                       _mm512_maskz_loadu_epi16(rest, coefficients[k] + whole));
        sum[k] = _mm256_add_epi32(_mm512_castsi512_si256(wide), _mm512_extracti64x4_epi64(wide, 1));
    }
    __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0], sum[1]), _mm256_hadd_epi32(sum[2], sum[3]));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    _mm_storeu_si128((__m128i *)sums, four);
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
