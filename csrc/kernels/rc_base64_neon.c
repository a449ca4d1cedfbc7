#include "rc_base64_kernels.h"

#ifdef RC_ARM64

/* 48 bytes <-> 64 characters at a time: loads and stores that take groups apart, tables of 64. */

static const uint8_t alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Value of each character below 64 and from 64 on, the highest bit where it has none. */
#define NONE 0x80
static const uint8_t values_below[64] = {
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
    NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 62,   NONE, NONE, NONE, 63,
    52,   53,   54,   55,   56,   57,   58,   59,   60,   61,   NONE, NONE, NONE, NONE, NONE, NONE,
};
static const uint8_t values_above[64] = {
    NONE, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,   11,   12,   13,   14,
    15,   16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NONE, NONE, NONE, NONE, NONE,
    NONE, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36,   37,   38,   39,   40,
    41,   42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NONE, NONE, NONE, NONE, NONE,
};

size_t rc_base64_encode_neon(char *text, const uint8_t *bytes, size_t groups)
{
    const uint8x16x4_t characters = vld1q_u8_x4(alphabet);
    const uint8x16_t six_bits = vdupq_n_u8(63);
    size_t done = 0;
    for (; groups - done >= 16; done += 16, text += 64, bytes += 48) {
        uint8x16x3_t in = vld3q_u8(bytes);
        uint8x16x4_t out;
        out.val[0] = vqtbl4q_u8(characters, vshrq_n_u8(in.val[0], 2));
        out.val[1] = vqtbl4q_u8(characters, vandq_u8(vsliq_n_u8(vshrq_n_u8(in.val[1], 4), in.val[0], 4), six_bits));
        out.val[2] = vqtbl4q_u8(characters, vandq_u8(vsliq_n_u8(vshrq_n_u8(in.val[2], 6), in.val[1], 2), six_bits));
        out.val[3] = vqtbl4q_u8(characters, vandq_u8(in.val[2], six_bits));
        vst4q_u8((uint8_t *)text, out);
    }
    return done;
}

static inline uint8x16_t value_of(uint8x16x4_t below, uint8x16x4_t above, uint8x16_t characters)
{
    /* indexes beyond 63 give 0 from the first table and leave the result alone in the second */
    uint8x16_t values = vqtbx4q_u8(vqtbl4q_u8(below, characters), above, vsubq_u8(characters, vdupq_n_u8(64)));
    return vorrq_u8(values, vandq_u8(characters, vdupq_n_u8(0x80)));
}

size_t rc_base64_decode_neon(uint8_t *bytes, const char *text, size_t groups)
{
    const uint8x16x4_t below = vld1q_u8_x4(values_below), above = vld1q_u8_x4(values_above);
    size_t done = 0;
    for (; groups - done >= 16; done += 16, text += 64, bytes += 48) {
        uint8x16x4_t in = vld4q_u8((const uint8_t *)text);
        uint8x16_t a = value_of(below, above, in.val[0]), b = value_of(below, above, in.val[1]);
        uint8x16_t c = value_of(below, above, in.val[2]), d = value_of(below, above, in.val[3]);
        if (vmaxvq_u8(vorrq_u8(vorrq_u8(a, b), vorrq_u8(c, d))) >= NONE)
            break;
        uint8x16x3_t out;
        out.val[0] = vsliq_n_u8(vshrq_n_u8(b, 4), a, 2);
        out.val[1] = vsliq_n_u8(vshrq_n_u8(c, 2), b, 4);
        out.val[2] = vsliq_n_u8(d, c, 6);
        vst3q_u8(bytes, out);
    }
    return done;
}

#else
typedef int rc_base64_neon_is_not_for_this_machine;
#endif
