#include "rc_g711.h"

/* A code is sign, segment (three bits) and step (four bits). Samples are 14 (mu-law) and 13 bits
 * (A-law) left-aligned in 16; the magnitude of a negative sample is its ones' complement, so that
 * the intervals of both signs are of equal size. */

/* Number of bits needed for 0 to 255. */
#define BITS_16(n) n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n
static const uint8_t bit_length[256] = {
    0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4,
    BITS_16(5),
    BITS_16(6), BITS_16(6),
    BITS_16(7), BITS_16(7), BITS_16(7), BITS_16(7),
    BITS_16(8), BITS_16(8), BITS_16(8), BITS_16(8), BITS_16(8), BITS_16(8), BITS_16(8), BITS_16(8),
};

static unsigned magnitude(int16_t sample)
{
    return (unsigned)(sample < 0 ? ~sample : sample);
}

static uint8_t ulaw_of(int16_t sample)
{
    unsigned biased = (magnitude(sample) >> 2) + 33;
    if (biased > 0x1FFF)
        biased = 0x1FFF;
    unsigned segment = bit_length[biased >> 6];
    unsigned code = segment << 4 | (biased >> (segment + 1) & 15);
    return (uint8_t)(~code & (sample < 0 ? 0x7F : 0xFF)); /* sent inverted, sign bit set when positive */
}

static uint8_t alaw_of(int16_t sample)
{
    unsigned value = magnitude(sample) >> 4;
    unsigned segment = bit_length[value >> 4];
    unsigned code = segment < 2 ? value : segment << 4 | (value >> (segment - 1) & 15);
    return (uint8_t)((code | (sample < 0 ? 0 : 0x80)) ^ 0x55); /* even bits are sent inverted */
}

/* Decoding: sixteen equal steps in each of eight segments, each value in the middle of its step. */
#define STEPS(first, by)                                                                                            \
    (first), (first) + (by), (first) + 2 * (by), (first) + 3 * (by), (first) + 4 * (by), (first) + 5 * (by),       \
        (first) + 6 * (by), (first) + 7 * (by), (first) + 8 * (by), (first) + 9 * (by), (first) + 10 * (by),       \
        (first) + 11 * (by), (first) + 12 * (by), (first) + 13 * (by), (first) + 14 * (by), (first) + 15 * (by)

static const int16_t ulaw_magnitude[128] = {
    STEPS(0, 8),       STEPS(132, 16),   STEPS(396, 32),   STEPS(924, 64),
    STEPS(1980, 128),  STEPS(4092, 256), STEPS(8316, 512), STEPS(16764, 1024),
};
static const int16_t alaw_magnitude[128] = {
    STEPS(8, 16),      STEPS(264, 16),   STEPS(528, 32),   STEPS(1056, 64),
    STEPS(2112, 128),  STEPS(4224, 256), STEPS(8448, 512), STEPS(16896, 1024),
};

static int16_t with_sign(uint8_t code, int16_t size)
{
    return (int16_t)(code & 0x80 ? size : -size);
}

void rc_g711_encode_ulaw(uint8_t *codes, const int16_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        codes[i] = ulaw_of(samples[i]);
}

void rc_g711_encode_alaw(uint8_t *codes, const int16_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        codes[i] = alaw_of(samples[i]);
}

void rc_g711_decode_ulaw(int16_t *samples, const uint8_t *codes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i] = with_sign(codes[i], ulaw_magnitude[~codes[i] & 127]);
}

void rc_g711_decode_alaw(int16_t *samples, const uint8_t *codes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i] = with_sign(codes[i], alaw_magnitude[(codes[i] ^ 0x55) & 127]);
}
