#include "rc_g711.h"

#include <stdlib.h>

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

/* Sign as a mask, 0 or -1: no branch that speech would mispredict half the time. */
static int sign_of(int16_t sample)
{
    return sample >> 15;
}

static unsigned magnitude(int16_t sample)
{
    return (unsigned)(sample ^ sign_of(sample));
}

static uint8_t ulaw_of(int16_t sample)
{
    unsigned biased = (magnitude(sample) >> 2) + 33;
    if (biased > 0x1FFF)
        biased = 0x1FFF;
    unsigned segment = bit_length[biased >> 6];
    unsigned code = segment << 4 | (biased >> (segment + 1) & 15);
    return (uint8_t)(~code ^ ((unsigned)sign_of(sample) & 0x80)); /* sent inverted, sign bit set when positive */
}

static uint8_t alaw_of(int16_t sample)
{
    unsigned value = magnitude(sample) >> 4;
    unsigned segment = bit_length[value >> 4];
    unsigned code = segment < 2 ? value : segment << 4 | (value >> (segment - 1) & 15);
    return (uint8_t)(code ^ ((unsigned)sign_of(sample) & 0x80) ^ 0xD5); /* even bits are sent inverted */
}

/* Decoding: sixteen equal steps in each of eight segments, each value in the middle of its step. */
#define STEPS(first, by)                                                                                            \
    (first), (first) + (by), (first) + 2 * (by), (first) + 3 * (by), (first) + 4 * (by), (first) + 5 * (by),       \
        (first) + 6 * (by), (first) + 7 * (by), (first) + 8 * (by), (first) + 9 * (by), (first) + 10 * (by),       \
        (first) + 11 * (by), (first) + 12 * (by), (first) + 13 * (by), (first) + 14 * (by), (first) + 15 * (by)

/* All values of one sign, by code before its bits are inverted; `sign` is 1 or -1. */
#define ULAW_VALUES(sign)                                                                                           \
    STEPS(0, sign * 8), STEPS(sign * 132, sign * 16), STEPS(sign * 396, sign * 32), STEPS(sign * 924, sign * 64),  \
        STEPS(sign * 1980, sign * 128), STEPS(sign * 4092, sign * 256), STEPS(sign * 8316, sign * 512),            \
        STEPS(sign * 16764, sign * 1024)
#define ALAW_VALUES(sign)                                                                                           \
    STEPS(sign * 8, sign * 16), STEPS(sign * 264, sign * 16), STEPS(sign * 528, sign * 32),                        \
        STEPS(sign * 1056, sign * 64), STEPS(sign * 2112, sign * 128), STEPS(sign * 4224, sign * 256),             \
        STEPS(sign * 8448, sign * 512), STEPS(sign * 16896, sign * 1024)

static const int16_t ulaw_values[256] = {ULAW_VALUES(1), ULAW_VALUES(-1)};
static const int16_t alaw_values[256] = {ALAW_VALUES(-1), ALAW_VALUES(1)};

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
        samples[i] = ulaw_values[codes[i] ^ 0xFF];
}

void rc_g711_decode_alaw(int16_t *samples, const uint8_t *codes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i] = alaw_values[codes[i] ^ 0x55];
}

/* With another rate on the far side ---------------------------------------------------------- */

/* Samples between the two steps: small enough for the cache, no less than a usual chunk. */
#define BLOCK 512

struct rc_g711_decoder {
    rc_g711_law law;
    rc_resample *resample; /* NULL at the codes' own rate */
    int16_t block[BLOCK];
};

struct rc_g711_encoder {
    rc_g711_law law;
    rc_resample *resample;
    int16_t block[BLOCK + 1]; /* never more than went in, one for a ratio that is no whole number */
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void expand(rc_g711_law law, int16_t *samples, const uint8_t *codes, size_t count)
{
    if (law == RC_G711_ULAW)
        rc_g711_decode_ulaw(samples, codes, count);
    else
        rc_g711_decode_alaw(samples, codes, count);
}

static void compress(rc_g711_law law, uint8_t *codes, const int16_t *samples, size_t count)
{
    if (law == RC_G711_ULAW)
        rc_g711_encode_ulaw(codes, samples, count);
    else
        rc_g711_encode_alaw(codes, samples, count);
}

static int arguments_are_valid(rc_g711_law law, uint32_t rate, rc_resample_grade grade)
{
    return (law == RC_G711_ULAW || law == RC_G711_ALAW) && rate >= RC_RESAMPLE_MIN_RATE &&
           rate <= RC_RESAMPLE_MAX_RATE && (grade == RC_RESAMPLE_FAST || grade == RC_RESAMPLE_BEST);
}

rc_g711_decoder *rc_g711_decoder_new(rc_g711_law law, uint32_t rate, rc_resample_grade grade)
{
    rc_g711_decoder *decoder = arguments_are_valid(law, rate, grade) ? calloc(1, sizeof(*decoder)) : NULL;
    if (decoder == NULL)
        return NULL;
    decoder->law = law;
    if (rate != RC_G711_RATE) {
        decoder->resample = rc_resample_new(RC_G711_RATE, rate, grade);
        if (decoder->resample == NULL) {
            free(decoder);
            return NULL;
        }
    }
    return decoder;
}

void rc_g711_decoder_free(rc_g711_decoder *decoder)
{
    if (decoder == NULL)
        return;
    rc_resample_free(decoder->resample);
    free(decoder);
}

void rc_g711_decoder_reset(rc_g711_decoder *decoder)
{
    if (decoder->resample != NULL)
        rc_resample_reset(decoder->resample);
}

size_t rc_g711_decoder_count(const rc_g711_decoder *decoder, size_t count)
{
    return decoder->resample == NULL ? count : rc_resample_count(decoder->resample, count);
}

size_t rc_g711_decoder_process(rc_g711_decoder *decoder, int16_t *samples, const uint8_t *codes, size_t count)
{
    size_t made = 0;
    if (decoder->resample == NULL) {
        expand(decoder->law, samples, codes, count);
        return count;
    }
    for (size_t at = 0, block; at < count; at += block) {
        block = smaller(count - at, BLOCK);
        expand(decoder->law, decoder->block, codes + at, block);
        made += rc_resample_process(decoder->resample, samples + made, decoder->block, block);
    }
    return made;
}

size_t rc_g711_decoder_flush_count(const rc_g711_decoder *decoder)
{
    return decoder->resample == NULL ? 0 : rc_resample_flush_count(decoder->resample);
}

size_t rc_g711_decoder_flush(rc_g711_decoder *decoder, int16_t *samples)
{
    return decoder->resample == NULL ? 0 : rc_resample_flush(decoder->resample, samples);
}

double rc_g711_decoder_delay(const rc_g711_decoder *decoder)
{
    return decoder->resample == NULL ? 0 : rc_resample_delay_in(decoder->resample) / RC_G711_RATE;
}

rc_g711_encoder *rc_g711_encoder_new(rc_g711_law law, uint32_t rate, rc_resample_grade grade)
{
    rc_g711_encoder *encoder = arguments_are_valid(law, rate, grade) ? calloc(1, sizeof(*encoder)) : NULL;
    if (encoder == NULL)
        return NULL;
    encoder->law = law;
    if (rate != RC_G711_RATE) {
        encoder->resample = rc_resample_new(rate, RC_G711_RATE, grade);
        if (encoder->resample == NULL) {
            free(encoder);
            return NULL;
        }
    }
    return encoder;
}

void rc_g711_encoder_free(rc_g711_encoder *encoder)
{
    if (encoder == NULL)
        return;
    rc_resample_free(encoder->resample);
    free(encoder);
}

void rc_g711_encoder_reset(rc_g711_encoder *encoder)
{
    if (encoder->resample != NULL)
        rc_resample_reset(encoder->resample);
}

size_t rc_g711_encoder_count(const rc_g711_encoder *encoder, size_t count)
{
    return encoder->resample == NULL ? count : rc_resample_count(encoder->resample, count);
}

size_t rc_g711_encoder_process(rc_g711_encoder *encoder, uint8_t *codes, const int16_t *samples, size_t count)
{
    size_t made = 0;
    if (encoder->resample == NULL) {
        compress(encoder->law, codes, samples, count);
        return count;
    }
    for (size_t at = 0, block; at < count; at += block) {
        block = smaller(count - at, BLOCK);
        size_t resampled = rc_resample_process(encoder->resample, encoder->block, samples + at, block);
        compress(encoder->law, codes + made, encoder->block, resampled);
        made += resampled;
    }
    return made;
}

size_t rc_g711_encoder_flush_count(const rc_g711_encoder *encoder)
{
    return encoder->resample == NULL ? 0 : rc_resample_flush_count(encoder->resample);
}

size_t rc_g711_encoder_flush(rc_g711_encoder *encoder, uint8_t *codes)
{
    if (encoder->resample == NULL)
        return 0;
    size_t made = rc_resample_flush(encoder->resample, encoder->block);
    compress(encoder->law, codes, encoder->block, made);
    return made;
}

double rc_g711_encoder_delay(const rc_g711_encoder *encoder)
{
    return encoder->resample == NULL ? 0 : rc_resample_delay_out(encoder->resample) / RC_G711_RATE;
}
