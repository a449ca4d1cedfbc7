#include "rc_base64_kernels.h"

#ifdef RC_X86

/* 48 bytes <-> 64 characters at a time, four times in a row where there is room to read and write
 * 64 bytes each; masks do the rest, so that plain C has nothing left.
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

typedef struct {
    __m512i characters, order, shifts;
} encoder;

TARGET static inline __m512i encode64(const encoder *e, __m512i in)
{
    __m512i values = _mm512_multishift_epi64_epi8(e->shifts, _mm512_permutexvar_epi8(e->order, in));
    return _mm512_permutexvar_epi8(values, e->characters); /* it looks at the low six bits alone */
}

TARGET size_t rc_base64_encode_avx512(char *text, const uint8_t *bytes, size_t groups)
{
    /* a word is bbbbcccc ccdddddd aaaaaabb bbbbcccc, highest bit first: a at bit 10, b 4, c 22, d 16 */
    const encoder e = {_mm512_loadu_si512(alphabet), _mm512_loadu_si512(spread_order),
                       _mm512_set1_epi64(0x3036242A1016040A)};
    size_t left = groups;
    /* while 16 bytes behind the last of these may be read, without masks */
    for (; left * 3 >= 3 * 48 + 64; left -= 64, text += 256, bytes += 192) {
        __m512i a = encode64(&e, _mm512_loadu_si512(bytes)), b = encode64(&e, _mm512_loadu_si512(bytes + 48));
        __m512i c = encode64(&e, _mm512_loadu_si512(bytes + 96)), d = encode64(&e, _mm512_loadu_si512(bytes + 144));
        _mm512_storeu_si512(text, a);
        _mm512_storeu_si512(text + 64, b);
        _mm512_storeu_si512(text + 128, c);
        _mm512_storeu_si512(text + 192, d);
    }
    while (left > 0) {
        size_t now = left < 16 ? left : 16;
        __m512i in = _mm512_maskz_loadu_epi8(lowest(now * 3), bytes);
        _mm512_mask_storeu_epi8(text, lowest(now * 4), encode64(&e, in));
        text += 64;
        bytes += 48;
        left -= now;
    }
    return groups;
}

typedef struct {
    __m512i below, above, order;
} decoder;

/* The values of 64 characters; a highest bit in `bad` for each that has none. */
TARGET static inline __m512i values64(const decoder *d, __m512i characters, __m512i *bad)
{
    __m512i values = _mm512_permutex2var_epi8(d->below, characters, d->above);
    *bad = _mm512_or_si512(*bad, _mm512_or_si512(values, characters));
    return values;
}

/* 48 bytes of 64 values, in front. */
TARGET static inline __m512i pack64(const decoder *d, __m512i values)
{
    /* 00aaaaaa 00bbbbbb 00cccccc 00dddddd -> a * 64 + b, c * 64 + d -> 00000000 aaaaaabb bbbbcccc ccdddddd */
    __m512i pairs = _mm512_maddubs_epi16(values, _mm512_set1_epi32(0x01400140));
    return _mm512_permutexvar_epi8(d->order, _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00011000)));
}

TARGET size_t rc_base64_decode_avx512(uint8_t *bytes, const char *text, size_t groups)
{
    const decoder d = {_mm512_loadu_si512(values_of), _mm512_loadu_si512(values_of + 64),
                       _mm512_loadu_si512(pack_order)};
    size_t left = groups;
    /* while 16 bytes behind the last of these may be written, without masks: what follows lies there */
    for (; left * 3 >= 3 * 48 + 64; left -= 64, text += 256, bytes += 192) {
        __m512i bad = _mm512_setzero_si512();
        __m512i v0 = values64(&d, _mm512_loadu_si512(text), &bad);
        __m512i v1 = values64(&d, _mm512_loadu_si512(text + 64), &bad);
        __m512i v2 = values64(&d, _mm512_loadu_si512(text + 128), &bad);
        __m512i v3 = values64(&d, _mm512_loadu_si512(text + 192), &bad);
        if (_mm512_movepi8_mask(bad) != 0)
            break; /* the loop below finds where */
        _mm512_storeu_si512(bytes, pack64(&d, v0));
        _mm512_storeu_si512(bytes + 48, pack64(&d, v1));
        _mm512_storeu_si512(bytes + 96, pack64(&d, v2));
        _mm512_storeu_si512(bytes + 144, pack64(&d, v3));
    }
    while (left > 0) {
        size_t now = left < 16 ? left : 16;
        __mmask64 wanted = lowest(now * 4);
        __m512i bad = _mm512_setzero_si512();
        __m512i values = values64(&d, _mm512_maskz_loadu_epi8(wanted, text), &bad);
        if ((wanted & _mm512_movepi8_mask(bad)) != 0)
            break;
        _mm512_mask_storeu_epi8(bytes, lowest(now * 3), pack64(&d, values));
        text += 64;
        bytes += 48;
        left -= now;
    }
    return groups - left;
}

#else
typedef int rc_base64_avx512_is_not_for_this_machine;
#endif
