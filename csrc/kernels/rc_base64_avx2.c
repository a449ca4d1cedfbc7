#include "rc_base64_kernels.h"

#ifdef RC_X86

/* 24 bytes <-> 32 characters at a time, 12 and 16 in each 128-bit lane.
 *
 * In the pictures a group's bytes are aaaaaabb bbbbcccc ccdddddd; a letter is one bit, and each
 * of a, b, c, d is the value of one character. */

/* The six bits of each character into a byte of its own. */
RC_TARGET("avx2") static inline __m256i spread(__m256i bytes)
{
    /* each 32-bit word, highest bit first: bbbbcccc ccdddddd aaaaaabb bbbbcccc (bytes 1 2 0 1) */
    const __m256i order = _mm256_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10, 1, 0, 2, 1, 4, 3, 5, 4,
                                           7, 6, 8, 7, 10, 9, 11, 10);
    __m256i words = _mm256_shuffle_epi8(bytes, order);
    /* 0000cccc cc000000 aaaaaa00 00000000, shifted right by 6 and by 10: 00cccccc 00aaaaaa in the low bytes */
    __m256i even = _mm256_mulhi_epu16(_mm256_and_si256(words, _mm256_set1_epi32(0x0FC0FC00)),
                                      _mm256_set1_epi32(0x04000040));
    /* 00000000 00dddddd 000000bb bbbb0000, shifted left by 8 and by 4: 00dddddd 00bbbbbb in the high bytes */
    __m256i odd = _mm256_mullo_epi16(_mm256_and_si256(words, _mm256_set1_epi32(0x003F03F0)),
                                     _mm256_set1_epi32(0x01000010));
    return _mm256_or_si256(even, odd);
}

/* Values 0 to 63 to characters: each range of the alphabet lies at a distance of its own. */
RC_TARGET("avx2") static inline __m256i to_characters(__m256i values)
{
    /* 0-25: 13, 26-51: 0, 52-61: 1-10, 62: 11, 63: 12 */
    __m256i range = _mm256_subs_epu8(values, _mm256_set1_epi8(51));
    __m256i upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), values);
    range = _mm256_or_si256(range, _mm256_and_si256(upper, _mm256_set1_epi8(13)));
    const __m256i distance = _mm256_setr_epi8(71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 65, 0, 0, 71, -4,
                                              -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 65, 0, 0);
    return _mm256_add_epi8(values, _mm256_shuffle_epi8(distance, range));
}

RC_TARGET("avx2") size_t rc_base64_encode_avx2(char *text, const uint8_t *bytes, size_t groups)
{
    size_t done = 0;
    /* two loads of 16 bytes at distance 12 see 28 bytes, hence 10 groups for 8 */
    for (; groups - done >= 10; done += 8, text += 32, bytes += 24) {
        __m128i low = _mm_loadu_si128((const __m128i *)bytes);
        __m128i high = _mm_loadu_si128((const __m128i *)(bytes + 12));
        __m256i values = spread(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1));
        _mm256_storeu_si256((__m256i *)text, to_characters(values));
    }
    return done;
}

RC_TARGET("avx2") size_t rc_base64_decode_avx2(uint8_t *bytes, const char *text, size_t groups)
{
    /* What each high half allows for the low half, as bits that must not meet. The rows of the
     * alphabet (high halves 2 to 7) are told apart by bits 1, 2, 4 (digits), 8 (A-O, a-o), 16
     * (P-Z, p-z); 32 marks high halves that have no character at all. */
    const __m256i low_forbids = _mm256_setr_epi8(
        0x29, 0x21, 0x21, 0x21, 0x21, 0x21, 0x21, 0x21, 0x21, 0x21, 0x25, 0x34, 0x35, 0x35, 0x35, 0x34, 0x29, 0x21,
        0x21, 0x21, 0x21, 0x21, 0x21, 0x21, 0x21, 0x21, 0x25, 0x34, 0x35, 0x35, 0x35, 0x34);
    const __m256i high_is = _mm256_setr_epi8(32, 32, 1, 4, 8, 16, 8, 16, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 1, 4,
                                             8, 16, 8, 16, 32, 32, 32, 32, 32, 32, 32, 32);
    /* From character to value; '/' shares its row with '+' and gets the entry before. */
    const __m256i distance = _mm256_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 19, 4,
                                              -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i order = _mm256_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1, 2, 1, 0, 6, 5, 4,
                                           10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    size_t done = 0;
    /* two stores of 16 bytes at distance 12 touch 28 bytes, hence 10 groups for 8 */
    for (; groups - done >= 10; done += 8, text += 32, bytes += 24) {
        __m256i characters = _mm256_loadu_si256((const __m256i *)text);
        __m256i high = _mm256_and_si256(_mm256_srli_epi32(characters, 4), nibble);
        __m256i low = _mm256_and_si256(characters, nibble);
        if (!_mm256_testz_si256(_mm256_shuffle_epi8(low_forbids, low), _mm256_shuffle_epi8(high_is, high)))
            break;
        __m256i slash = _mm256_cmpeq_epi8(characters, _mm256_set1_epi8('/'));
        __m256i values = _mm256_add_epi8(characters, _mm256_shuffle_epi8(distance, _mm256_add_epi8(high, slash)));
        /* 00aaaaaa 00bbbbbb 00cccccc 00dddddd -> a * 64 + b, c * 64 + d -> 00000000 aaaaaabb bbbbcccc ccdddddd */
        __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
        __m256i words = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
        __m256i packed = _mm256_shuffle_epi8(words, order);
        _mm_storeu_si128((__m128i *)bytes, _mm256_castsi256_si128(packed));
        _mm_storeu_si128((__m128i *)(bytes + 12), _mm256_extracti128_si256(packed, 1));
    }
    return done;
}

#else
typedef int rc_base64_avx2_is_not_for_this_machine;
#endif
