#include "rc_base64.h"

#include "kernels/rc_base64_kernels.h"
#include "rc_cpu.h"
#include "rc_err.h"

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define BAD 0xFF

/* Value of each character, BAD for those outside the alphabet. */
static const uint8_t value_of[256] = {
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* 00 */
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* 10 */
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, 62,  BAD, BAD, BAD, 63,  /* 20 +, / */
    52,  53,  54,  55,  56,  57,  58,  59,  60,  61,  BAD, BAD, BAD, BAD, BAD, BAD, /* 30 0-9 */
    BAD, 0,   1,   2,   3,   4,   5,   6,   7,   8,   9,   10,  11,  12,  13,  14,  /* 40 A-O */
    15,  16,  17,  18,  19,  20,  21,  22,  23,  24,  25,  BAD, BAD, BAD, BAD, BAD, /* 50 P-Z */
    BAD, 26,  27,  28,  29,  30,  31,  32,  33,  34,  35,  36,  37,  38,  39,  40,  /* 60 a-o */
    41,  42,  43,  44,  45,  46,  47,  48,  49,  50,  51,  BAD, BAD, BAD, BAD, BAD, /* 70 p-z */
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* 80 */
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* 90 */
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* a0 */
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* b0 */
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* c0 */
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* d0 */
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* e0 */
    BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, /* f0 */
};

static unsigned value_at(const char *text)
{
    return value_of[(uint8_t)*text];
}

/* Plain C ------------------------------------------------------------------------------------ */

static void encode_groups(char *text, const uint8_t *bytes, size_t groups)
{
    for (size_t i = 0; i < groups; i++, text += 4, bytes += 3) {
        unsigned bits = (unsigned)bytes[0] << 16 | (unsigned)bytes[1] << 8 | bytes[2];
        text[0] = alphabet[bits >> 18];
        text[1] = alphabet[bits >> 12 & 63];
        text[2] = alphabet[bits >> 6 & 63];
        text[3] = alphabet[bits & 63];
    }
}

static size_t decode_groups(uint8_t *bytes, const char *text, size_t groups)
{
    for (size_t i = 0; i < groups; i++, text += 4, bytes += 3) {
        unsigned a = value_at(text), b = value_at(text + 1), c = value_at(text + 2), d = value_at(text + 3);
        if ((a | b | c | d) == BAD)
            return i;
        unsigned bits = a << 18 | b << 12 | c << 6 | d;
        bytes[0] = (uint8_t)(bits >> 16);
        bytes[1] = (uint8_t)(bits >> 8);
        bytes[2] = (uint8_t)bits;
    }
    return groups;
}

/* The best kernel for this machine; what it leaves is plain C's. */

static size_t encode_kernel(char *text, const uint8_t *bytes, size_t groups)
{
    unsigned features = rc_cpu_features();
#ifdef RC_X86
    if (features & RC_CPU_AVX512_VBMI)
        return rc_base64_encode_avx512(text, bytes, groups);
    if (features & RC_CPU_AVX2)
        return rc_base64_encode_avx2(text, bytes, groups);
#endif
#ifdef RC_ARM64
    if (features & RC_CPU_NEON)
        return rc_base64_encode_neon(text, bytes, groups);
#endif
    (void)features, (void)text, (void)bytes, (void)groups;
    return 0;
}

static size_t decode_kernel(uint8_t *bytes, const char *text, size_t groups)
{
    unsigned features = rc_cpu_features();
#ifdef RC_X86
    if (features & RC_CPU_AVX512_VBMI)
        return rc_base64_decode_avx512(bytes, text, groups);
    if (features & RC_CPU_AVX2)
        return rc_base64_decode_avx2(bytes, text, groups);
#endif
#ifdef RC_ARM64
    if (features & RC_CPU_NEON)
        return rc_base64_decode_neon(bytes, text, groups);
#endif
    (void)features, (void)text, (void)bytes, (void)groups;
    return 0;
}

/* Encoding ----------------------------------------------------------------------------------- */

size_t rc_base64_encoded_size(size_t count)
{
    return (count + 2) / 3 * 4;
}

size_t rc_base64_encode(char *text, const uint8_t *bytes, size_t count)
{
    size_t groups = count / 3;
    size_t done = encode_kernel(text, bytes, groups);
    encode_groups(text + done * 4, bytes + done * 3, groups - done);
    size_t rest = count - groups * 3;
    if (rest > 0) {
        const uint8_t last[3] = {bytes[groups * 3], rest == 2 ? bytes[groups * 3 + 1] : 0, 0};
        char *end = text + groups * 4;
        encode_groups(end, last, 1);
        end[3] = '=';
        if (rest == 1)
            end[2] = '=';
    }
    return rc_base64_encoded_size(count);
}

/* Decoding ----------------------------------------------------------------------------------- */

static size_t padding_at_end(const char *text, size_t length)
{
    if (length < 4 || text[length - 1] != '=')
        return 0;
    return text[length - 2] == '=' ? 2 : 1;
}

size_t rc_base64_decoded_size(const char *text, size_t length)
{
    return length / 4 * 3 - padding_at_end(text, length / 4 * 4);
}

size_t rc_base64_decode_groups(uint8_t *bytes, const char *text, size_t groups)
{
    size_t done = decode_kernel(bytes, text, groups);
    return done + decode_groups(bytes + done * 3, text + done * 4, groups - done);
}

/* Offset within the group of the character that is outside the alphabet, `length` when none is. */
static size_t first_bad(const char *group, size_t length)
{
    size_t at = 0;
    while (at < length && value_at(group + at) != BAD)
        at++;
    return at;
}

int rc_base64_decode(uint8_t *bytes, const char *text, size_t length, size_t *error_offset)
{
    size_t groups = length / 4;
    size_t padding = length % 4 == 0 ? padding_at_end(text, length) : 0;
    size_t full = padding > 0 ? groups - 1 : groups;
    size_t done = rc_base64_decode_groups(bytes, text, full);
    const char *group = text + done * 4;
    if (done < full) {
        *error_offset = done * 4 + first_bad(group, 4);
        return RC_EDATA;
    }
    if (padding == 0) {
        *error_offset = done * 4 + first_bad(group, length % 4);
        return length % 4 == 0 ? RC_OK : RC_EDATA;
    }
    size_t letters = 4 - padding;
    size_t bad = first_bad(group, letters);
    if (bad < letters) {
        *error_offset = done * 4 + bad;
        return RC_EDATA;
    }
    unsigned bits = value_at(group) << 18 | value_at(group + 1) << 12 | (padding == 1 ? value_at(group + 2) << 6 : 0);
    if (bits & (padding == 1 ? 0xFFu : 0xFFFFu)) {
        *error_offset = done * 4 + letters - 1;
        return RC_EDATA;
    }
    bytes[done * 3] = (uint8_t)(bits >> 16);
    if (padding == 1)
        bytes[done * 3 + 1] = (uint8_t)(bits >> 8);
    return RC_OK;
}
