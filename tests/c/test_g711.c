/* Against the standard's tables written out as searches: G.711 tables 1 and 2 give the decision
 * values; a magnitude is coded by the interval it falls into. */
#include "check.h"
#include "rc_g711.h"

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

int main(void)
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
    return 0;
}
