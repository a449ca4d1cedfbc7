#include "check.h"
#include "rc_resample.h"

#include <math.h>
#include <string.h>

static const uint32_t pairs[][2] = {
    {48000, 24000}, {24000, 48000}, {44100, 24000}, {24000, 44100}, {16000, 24000}, {24000, 16000}, {8000, 24000},
    {24000, 8000},  {48000, 16000}, {44100, 48000}, {8001, 44100},  {44100, 8001},  {192000, 8000}, {8000, 192000},
    {24000, 24000}, {11025, 16000}, {47999, 48000}, {96000, 44100},
};
enum { PAIRS = sizeof(pairs) / sizeof(*pairs), INPUT = 6000 };

static int16_t input[INPUT];

static size_t expected_count(size_t n, uint32_t rate_in, uint32_t rate_out)
{
    return (size_t)(((uint64_t)n * rate_out + rate_in - 1) / rate_in);
}

/* Any partition of the input gives the same samples, and after n of them ceil(n * out / in). */
static void partitions_agree(uint32_t rate_in, uint32_t rate_out, rc_resample_grade grade)
{
    uint64_t random = rate_in;
    size_t room = expected_count(INPUT, rate_in, rate_out) + 20000;
    int16_t *whole = malloc(room * sizeof(int16_t)), *pieces = malloc(room * sizeof(int16_t));
    rc_resample *resample = rc_resample_new(rate_in, rate_out, grade);
    CHECK(resample != NULL);
    CHECK(rc_resample_count(resample, INPUT) == expected_count(INPUT, rate_in, rate_out));
    size_t count = rc_resample_process(resample, whole, input, INPUT);
    CHECK(count == expected_count(INPUT, rate_in, rate_out));
    size_t flushed = rc_resample_flush_count(resample);
    CHECK(rc_resample_flush(resample, whole + count) == flushed);
    CHECK(fabs((double)flushed - rc_resample_delay_out(resample)) <= (double)rate_out / rate_in + 1);
    for (int round = 0; round < 2; round++) { /* the second one after the flush and after a reset */
        size_t at = 0, made = 0;
        while (at < INPUT) {
            size_t piece = random_below(&random, random_below(&random, 3) == 0 ? 2000 : 30);
            piece = piece < INPUT - at ? piece : INPUT - at;
            size_t promised = rc_resample_count(resample, piece);
            CHECK(rc_resample_process(resample, pieces + made, input + at, piece) == promised);
            at += piece;
            made += promised;
            CHECK(made == expected_count(at, rate_in, rate_out));
        }
        CHECK(rc_resample_flush(resample, pieces + made) == flushed);
        CHECK(memcmp(whole, pieces, (made + flushed) * sizeof(int16_t)) == 0);
        rc_resample_reset(resample);
        CHECK(rc_resample_clipped(resample) == 0);
    }
    rc_resample_free(resample);
    free(whole);
    free(pieces);
}

/* A constant stays what it is, to the last bit: every row of coefficients adds up to one. */
static void constants_pass(uint32_t rate_in, uint32_t rate_out, rc_resample_grade grade, int16_t level)
{
    int16_t in[1000], *out = malloc(1000 * 25 * sizeof(int16_t));
    rc_resample *resample = rc_resample_new(rate_in, rate_out, grade);
    for (size_t i = 0; i < 1000; i++)
        in[i] = level;
    size_t settle = (size_t)(2 * rc_resample_delay_in(resample)) + 2;
    for (size_t fed = 0; fed < settle; fed += 1000)
        rc_resample_process(resample, out, in, 1000);
    size_t count = rc_resample_process(resample, out, in, 1000);
    for (size_t i = 0; i < count; i++)
        CHECK(out[i] == level);
    rc_resample_free(resample);
    free(out);
}

/* Full-scale square waves overshoot: limited and counted, never wrapped around. */
static void overshoot_is_limited_and_counted(void)
{
    int16_t in[4800], out[2400];
    for (size_t i = 0; i < 4800; i++)
        in[i] = i / 50 % 2 ? -32768 : 32767;
    rc_resample *resample = rc_resample_new(48000, 24000, RC_RESAMPLE_BEST);
    CHECK(rc_resample_process(resample, out, in, 4800) == 2400);
    CHECK(rc_resample_clipped(resample) > 0);
    for (size_t i = 200; i < 2400; i++)
        CHECK(out[i] == 32767 || out[i] == -32768 || abs(out[i]) > 25000 || abs(out[i] - out[i - 1]) > 1000);
    rc_resample_free(resample);
}

static void the_first_samples_yield(void)
{
    int16_t in[1] = {1}, out[4];
    rc_resample *resample = rc_resample_new(48000, 24000, RC_RESAMPLE_FAST);
    CHECK(rc_resample_process(resample, out, in, 1) == 1);
    CHECK(rc_resample_process(resample, out, in, 1) == 0);
    CHECK(rc_resample_process(resample, out, in, 0) == 0);
    CHECK(rc_resample_delay_in(resample) / 48000 <= 1.1e-3);
    rc_resample_free(resample);
    resample = rc_resample_new(48000, 24000, RC_RESAMPLE_BEST);
    CHECK(rc_resample_delay_in(resample) / 48000 <= 3.1e-3);
    rc_resample_free(resample);
}

static void equal_rates_delay_and_change_nothing(void)
{
    int16_t out[INPUT];
    rc_resample *resample = rc_resample_new(24000, 24000, RC_RESAMPLE_FAST);
    size_t delay = (size_t)rc_resample_delay_in(resample);
    CHECK((double)delay == rc_resample_delay_in(resample));
    CHECK(rc_resample_process(resample, out, input, INPUT) == INPUT);
    CHECK(memcmp(out + delay, input, (INPUT - delay) * sizeof(int16_t)) == 0);
    rc_resample_free(resample);
}

static void what_is_out_of_range_is_refused(void)
{
    CHECK(rc_resample_new(7999, 24000, RC_RESAMPLE_FAST) == NULL);
    CHECK(rc_resample_new(24000, 192001, RC_RESAMPLE_FAST) == NULL);
    CHECK(rc_resample_new(24000, 48000, (rc_resample_grade)2) == NULL);
    rc_resample_free(NULL);
}

int main(void)
{
    uint64_t random = 5;
    random_samples(&random, input, INPUT);
    for (size_t i = 0; i < PAIRS; i++) {
        for (rc_resample_grade grade = RC_RESAMPLE_FAST; grade <= RC_RESAMPLE_BEST; grade++) {
            partitions_agree(pairs[i][0], pairs[i][1], grade);
            constants_pass(pairs[i][0], pairs[i][1], grade, 32767);
            constants_pass(pairs[i][0], pairs[i][1], grade, -12345);
        }
    }
    overshoot_is_limited_and_counted();
    the_first_samples_yield();
    equal_rates_delay_and_change_nothing();
    what_is_out_of_range_is_refused();
    return 0;
}
