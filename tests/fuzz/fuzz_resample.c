/* Any rates, any samples, any partition, any instruction set, adjusted twice on the way: the same
 * output as in two pieces in plain C. */
#include "fuzz.h"
#include "rc_cpu.h"
#include "rc_resample.h"

#include <stdlib.h>

const char *const fuzz_seeds[] = {"\1\4\1\2\1\1\1\1 forty-eight to twenty-four, and samples as they come", ""};

static uint32_t any_rate(choices *in)
{
    static const uint32_t usual[] = {8000, 16000, 24000, 44100, 48000, 96000};
    size_t choice = choose(in, 8);
    return choice < 6 ? usual[choice] : 8000 + (uint32_t)choose(in, 61000) * 3;
}

/* None, as a clock drifts, or anything. */
static double any_ppm(choices *in)
{
    switch (choose(in, 3)) {
    case 0:
        return 0;
    case 1:
        return ((double)choose(in, 4001) - 2000) / 8;
    default:
        return (double)choose(in, 20001) - 10000;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices in = {data, size};
    uint32_t rate_in = any_rate(&in), rate_out = any_rate(&in);
    rc_resample *whole = rc_resample_new(rate_in, rate_out, (rc_resample_grade)choose(&in, 2));
    rc_resample *pieces = rc_resample_new(rate_in, rate_out, RC_RESAMPLE_FAST);
    CHECK(whole != NULL && pieces != NULL);
    if (rc_resample_delay_in(whole) != rc_resample_delay_in(pieces)) {
        rc_resample_free(pieces);
        pieces = rc_resample_new(rate_in, rate_out, RC_RESAMPLE_BEST);
    }
    double ppm[2] = {any_ppm(&in), any_ppm(&in)};
    size_t plan = in.left / 4, count = (in.left - plan) / 2 * 8; /* the samples are repeated, to have more */
    choices steps = {in.at, plan};
    int16_t *samples = malloc(count * sizeof(int16_t) + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(samples + i, in.at + plan + i * 2 % (count / 4), 2);

    size_t room = 1, at = 0, expected = 0, made = 0;
    for (int part = 0; part < 2; part++) { /* room for the whole at either ratio */
        CHECK(rc_resample_adjust(whole, ppm[part]) == 0);
        room += rc_resample_count(whole, count) + rc_resample_flush_count(whole) + 1;
    }
    int16_t *out = malloc(room * sizeof(int16_t)), *again = malloc(room * sizeof(int16_t));
    for (int part = 0; part < 2; part++) {
        size_t end = part == 0 ? count / 2 : count;
        CHECK(rc_resample_adjust(whole, ppm[part]) == 0 && rc_resample_adjust(pieces, ppm[part]) == 0);
        rc_cpu_restrict(0);
        expected += rc_resample_process(whole, out + expected, samples + at, end - at);
        while (at < end) {
            size_t piece = choose(&steps, 3000);
            piece = piece == 0 && steps.left == 0 ? end - at : piece;
            piece = piece < end - at ? piece : end - at;
            rc_cpu_restrict(choose_byte(&steps));
            size_t promised = rc_resample_count(pieces, piece);
            int16_t *exact = malloc(promised * sizeof(int16_t) + 1); /* not one sample too many */
            CHECK(rc_resample_process(pieces, exact, samples + at, piece) == promised);
            memcpy(again + made, exact, promised * sizeof(int16_t));
            free(exact);
            at += piece;
            made += promised;
        }
        CHECK(made == expected);
    }
    size_t flushed = rc_resample_flush_count(whole);
    CHECK(rc_resample_flush(whole, out + expected) == flushed);
    CHECK(rc_resample_flush(pieces, again + made) == flushed);
    CHECK(memcmp(out, again, (expected + flushed) * sizeof(int16_t)) == 0);
    CHECK(rc_resample_clipped(whole) == rc_resample_clipped(pieces));
    rc_cpu_restrict(RC_CPU_ALL);
    rc_resample_free(whole);
    rc_resample_free(pieces);
    free(samples);
    free(out);
    free(again);
    return 0;
}
