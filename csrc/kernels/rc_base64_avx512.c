#include "rc_base64_kernels.h"

#ifdef RC_X86

/* 48 bytes <-> 64 characters at a time; masks do the rest, so that plain C has nothing left.
 * VBMI's byte permutes are tables of 64 and 128 entries: the alphabet needs no arithmetic. */

#define TARGET RC_TARGET("avx512f,avx512bw,avx512vl,avx512vbmi")

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Value of each character below 128, the highest bit where it has none. */
#define NONE 0x80
static const uint8_t values_of[128] = {
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 62,   NONE, NONE, NONE, 63,
    52,   53,   54,   55,   56,   57,   58,   59,   60,   61,   NONE, NONE, NONE, NONE, NONE, NONE,
    NONE, 0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,   13,   14,
    15,   16,   17,   18,   19,   20,   21,   22,   23,   24,   25,   NONE, NONE, NONE, NONE, NONE,
    NONE, 26,   27,   28,   29,   30,   31,   32,   33,   34,   35,   36,   37,   38,   39,   40,
    41,   42,   43,   44,   45,   46,   47,   48,   49,   50,   51,   NONE, NONE, NONE, NONE, NONE,
};

/* Where the bytes of 16 groups go: 1 0 2 1 of each into a 32-bit word, and 2 1 0 of each word back. */
#define SPREAD(g) 3 * (g) + 1, 3 * (g), 3 * (g) + 2, 3 * (g) + 1
#define PACK(w) 4 * (w) + 2, 4 * (w) + 1, 4 * (w)
static const uint8_t spread_order[64] = {
    SPREAD(0), SPREAD(1), SPREAD(2),  SPREAD(3),  SPREAD(4),  SPREAD(5),  SPREAD(6),  SPREAD(7),
    SPREAD(8), SPREAD(9), SPREAD(10), SPREAD(11), SPREAD(12), SPREAD(13), SPREAD(14), SPREAD(15),
};
static const uint8_t pack_order[64] = {
    PACK(0), PACK(1), PACK(2),  PACK(3),  PACK(4),  PACK(5),  PACK(6),  PACK(7),
    PACK(8), PACK(9), PACK(10), PACK(11), PACK(12), PACK(13), PACK(14), PACK(15),
};

/* The lowest `count` of 64 bits. */
static inline __mmask64 lowest(size_t count)
{
    return count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
}

TARGET size_t rc_base64_encode_avx512(char *text, const uint8_t *bytes, size_t groups)
{
    const __m512i characters = _mm512_loadu_si512(alphabet), order = _mm512_loadu_si512(spread_order);
    /* a word is bbbbcccc ccdddddd aaaaaabb bbbbcccc, highest bit first: a at bit 10, b 4, c 22, d 16 */
    const __m512i shifts = _mm512_set1_epi64(0x3036242A1016040A);
    for (size_t left = groups; left > 0;) {
        size_t now = left < 16 ? left : 16;
        __m512i in = _mm512_maskz_loadu_epi8(lowest(now * 3), bytes);
        __m512i values = _mm512_multishift_epi64_epi8(shifts, _mm512_permutexvar_epi8(order, in));
        /* the permute looks at the low six bits alone */
        _mm512_mask_storeu_epi8(text, lowest(now * 4), _mm512_permutexvar_epi8(values, characters));
        text += 64;
        bytes += 48;
        left -= now;
    }
    return groups;
}

TARGET size_t rc_base64_decode_avx512(uint8_t *bytes, const char *text, size_t groups)
{
    const __m512i below = _mm512_loadu_si512(values_of), above = _mm512_loadu_si512(values_of + 64);
    const __m512i order = _mm512_loadu_si512(pack_order);
    size_t left = groups;
    while (left > 0) {
        size_t now = left < 16 ? left : 16;
        __mmask64 wanted = lowest(now * 4);
        __m512i characters = _mm512_maskz_loadu_epi8(wanted, text);
        __m512i values = _mm512_permutex2var_epi8(below, characters, above);
        /* a highest bit in the value or in the character itself */
        if (_mm512_mask_test_epi8_mask(wanted, _mm512_or_si512(values, characters), _mm512_set1_epi8((char)0x80)) != 0)
            break;
        /* 00aaaaaa 00bbbbbb 00cccccc 00dddddd -> a * 64 + b, c * 64 + d -> 00000000 aaaaaabb bbbbcccc ccdddddd */
        __m512i pairs = _mm512_maddubs_epi16(values, _mm512_set1_epi32(0x01400140));
        __m512i words = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00011000));
        _mm512_mask_storeu_epi8(bytes, lowest(now * 3), _mm512_permutexvar_epi8(order, words));
        text += 64;
        bytes += 48;
        left -= now;
    }
    return groups - left;
}

#else
typedef int rc_base64_avx512_is_not_for_this_machine;
#endif
