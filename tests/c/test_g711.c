/* Against the standard's tables written out as searches: G.711 tables 1 and 2 give the decision
 * values; a magnitude is coded by the interval it falls into. */
#include "check.h"
#include "rc_g711.h"

#include <string.h>

/* Upper ends of the intervals in 16-bit units (14-bit and 13-bit values left-aligned), and codes
 * counted from zero magnitude; both laws have 8 segments of 16 steps, A-law's first two equal. */
static int ulaw_interval(int magnitude)
{
    int end = 4, interval = 0;
    while (interval < 127 && magnitude >= end) {
        interval++;
        end += 8 << (interval / 16);
    }
    return interval;
}

static int alaw_interval(int magnitude)
{
    int end = 16, interval = 0;
    while (interval < 127 && magnitude >= end) {
        interval++;
        end += interval < 32 ? 16 : 16 << (interval / 16 - 1);
    }
    return interval;
}

static void every_value_and_every_code(void)
{
    for (int value = -32768; value <= 32767; value++) {
        int16_t sample = (int16_t)value;
        int magnitude = value < 0 ? -value - 1 : value;
        uint8_t ulaw, alaw;
        rc_g711_encode_ulaw(&ulaw, &sample, 1);
        rc_g711_encode_alaw(&alaw, &sample, 1);
        CHECK((ulaw ^ 0xFF) == (ulaw_interval(magnitude) | (value < 0 ? 0x80 : 0)));
        CHECK((alaw ^ 0x55) == (alaw_interval(magnitude) | (value < 0 ? 0 : 0x80)));
    }
    for (int code = 0; code < 256; code++) {
        uint8_t in = (uint8_t)code, out;
        int16_t sample;
        rc_g711_decode_ulaw(&sample, &in, 1);
        rc_g711_encode_ulaw(&out, &sample, 1);
        CHECK(out == in || in == 0x7F); /* negative zero comes back as positive zero */
        rc_g711_decode_alaw(&sample, &in, 1);
        rc_g711_encode_alaw(&out, &sample, 1);
        CHECK(out == in);
    }
    /* G.711's own corner values */
    static const uint8_t ulaw_codes[] = {0x80, 0x00, 0xFF, 0x7F}, alaw_codes[] = {0xAA, 0x2A, 0xD5, 0x55};
    static const int16_t ulaw_values[] = {32124, -32124, 0, 0}, alaw_values[] = {32256, -32256, 8, -8};
    int16_t samples[4];
    rc_g711_decode_ulaw(samples, ulaw_codes, 4);
    for (int i = 0; i < 4; i++)
        CHECK(samples[i] == ulaw_values[i]);
    rc_g711_decode_alaw(samples, alaw_codes, 4);
    for (int i = 0; i < 4; i++)
        CHECK(samples[i] == alaw_values[i]);
}

/* The decoder gives what expanding and resampling one after the other give, in any pieces. */
static void decoder_is_its_two_steps(rc_g711_law law, uint32_t rate, rc_resample_grade grade)
{
    enum { CODES = 3000, ROOM = CODES * 24 + 4096 };
    static uint8_t codes[CODES];
    static int16_t expanded[CODES], expected[ROOM], samples[ROOM];
    uint64_t random = rate;
    for (size_t i = 0; i < CODES; i++)
        codes[i] = (uint8_t)random_u32(&random);
    (law == RC_G711_ULAW ? rc_g711_decode_ulaw : rc_g711_decode_alaw)(expanded, codes, CODES);
    rc_resample *resample = rc_resample_new(RC_G711_RATE, rate, grade);
    size_t wanted = rc_resample_process(resample, expected, expanded, CODES);
    wanted += rc_resample_flush(resample, expected + wanted);
    rc_g711_decoder *decoder = rc_g711_decoder_new(law, rate, grade);
    CHECK(rc_g711_decoder_delay(decoder) == rc_resample_delay_in(resample) / RC_G711_RATE);
    for (size_t longest = 1; longest < 3 * CODES; longest *= 3) {
        size_t made = 0;
        for (size_t at = 0; at < CODES;) {
            size_t piece = random_below(&random, longest) + 1;
            if (piece > CODES - at)
                piece = CODES - at;
            size_t promised = rc_g711_decoder_count(decoder, piece);
            CHECK(rc_g711_decoder_process(decoder, samples + made, codes + at, piece) == promised);
            made += promised;
            at += piece;
        }
        size_t promised = rc_g711_decoder_flush_count(decoder);
        CHECK(rc_g711_decoder_flush(decoder, samples + made) == promised);
        CHECK(made + promised == wanted && memcmp(samples, expected, wanted * sizeof(int16_t)) == 0);
        rc_g711_decoder_process(decoder, samples, codes, 100);
        rc_g711_decoder_reset(decoder);
    }
    rc_g711_decoder_free(decoder);
    rc_resample_free(resample);
}

static void encoder_is_its_two_steps(rc_g711_law law, uint32_t rate, rc_resample_grade grade)
{
    enum { SAMPLES = 6000, ROOM = SAMPLES + 4096 };
    static int16_t samples[SAMPLES], resampled[ROOM];
    static uint8_t expected[ROOM], codes[ROOM];
    uint64_t random = rate;
    random_samples(&random, samples, SAMPLES);
    rc_resample *resample = rc_resample_new(rate, RC_G711_RATE, grade);
    size_t wanted = rc_resample_process(resample, resampled, samples, SAMPLES);
    wanted += rc_resample_flush(resample, resampled + wanted);
    (law == RC_G711_ULAW ? rc_g711_encode_ulaw : rc_g711_encode_alaw)(expected, resampled, wanted);
    rc_g711_encoder *encoder = rc_g711_encoder_new(law, rate, grade);
    CHECK(rc_g711_encoder_delay(encoder) == rc_resample_delay_out(resample) / RC_G711_RATE);
    for (size_t longest = 1; longest < 3 * SAMPLES; longest *= 3) {
        size_t made = 0;
        for (size_t at = 0; at < SAMPLES;) {
            size_t piece = random_below(&random, longest) + 1;
            if (piece > SAMPLES - at)
                piece = SAMPLES - at;
            size_t promised = rc_g711_encoder_count(encoder, piece);
            CHECK(rc_g711_encoder_process(encoder, codes + made, samples + at, piece) == promised);
            made += promised;
            at += piece;
        }
        size_t promised = rc_g711_encoder_flush_count(encoder);
        CHECK(rc_g711_encoder_flush(encoder, codes + made) == promised);
        CHECK(made + promised == wanted && memcmp(codes, expected, wanted) == 0);
        rc_g711_encoder_process(encoder, codes, samples, 100);
        rc_g711_encoder_reset(encoder);
    }
    rc_g711_encoder_free(encoder);
    rc_resample_free(resample);
}

static void the_codes_own_rate_needs_no_resampler(void)
{
    uint8_t codes[256], back[256];
    int16_t samples[256];
    for (int i = 0; i < 256; i++)
        codes[i] = (uint8_t)i;
    rc_g711_decoder *decoder = rc_g711_decoder_new(RC_G711_ALAW, RC_G711_RATE, RC_RESAMPLE_FAST);
    rc_g711_encoder *encoder = rc_g711_encoder_new(RC_G711_ALAW, RC_G711_RATE, RC_RESAMPLE_FAST);
    CHECK(rc_g711_decoder_count(decoder, 256) == 256 && rc_g711_decoder_delay(decoder) == 0);
    CHECK(rc_g711_encoder_count(encoder, 256) == 256 && rc_g711_encoder_delay(encoder) == 0);
    CHECK(rc_g711_decoder_process(decoder, samples, codes, 256) == 256);
    CHECK(rc_g711_encoder_process(encoder, back, samples, 256) == 256);
    CHECK(memcmp(codes, back, 256) == 0);
    CHECK(rc_g711_decoder_flush_count(decoder) == 0 && rc_g711_decoder_flush(decoder, samples) == 0);
    CHECK(rc_g711_encoder_flush_count(encoder) == 0 && rc_g711_encoder_flush(encoder, back) == 0);
    rc_g711_decoder_reset(decoder);
    rc_g711_encoder_reset(encoder);
    rc_g711_decoder_free(decoder);
    rc_g711_encoder_free(encoder);
}

static void arguments_out_of_range_are_refused(void)
{
    CHECK(rc_g711_decoder_new((rc_g711_law)2, 24000, RC_RESAMPLE_FAST) == NULL);
    CHECK(rc_g711_decoder_new(RC_G711_ULAW, 7999, RC_RESAMPLE_FAST) == NULL);
    CHECK(rc_g711_encoder_new((rc_g711_law)2, 24000, RC_RESAMPLE_FAST) == NULL);
    CHECK(rc_g711_encoder_new(RC_G711_ULAW, 192001, RC_RESAMPLE_FAST) == NULL);
    CHECK(rc_g711_encoder_new(RC_G711_ULAW, RC_G711_RATE, (rc_resample_grade)2) == NULL);
    rc_g711_decoder_free(NULL);
    rc_g711_encoder_free(NULL);
}

int main(void)
{
    static const uint32_t rates[] = {8001, 16000, 24000, 44100, 48000};
    every_value_and_every_code();
    for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
        decoder_is_its_two_steps(RC_G711_ULAW, rates[i], RC_RESAMPLE_FAST);
        decoder_is_its_two_steps(RC_G711_ALAW, rates[i], RC_RESAMPLE_BEST);
        encoder_is_its_two_steps(RC_G711_ULAW, rates[i], RC_RESAMPLE_FAST);
        encoder_is_its_two_steps(RC_G711_ALAW, rates[i], RC_RESAMPLE_BEST);
    }
    the_codes_own_rate_needs_no_resampler();
    arguments_out_of_range_are_refused();
    return 0;
}
