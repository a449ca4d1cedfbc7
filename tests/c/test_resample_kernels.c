/* Every instruction set gives the samples and the clipping count of plain C. */
#include "check.h"
#include "kernels.h"
#include "rc_resample.h"

#include <string.h>

static const uint32_t pairs[][2] = {
    {48000, 24000}, {24000, 48000}, {44100, 24000},  {24000, 44100}, {16000, 24000}, {24000, 16000}, {8000, 24000},
    {24000, 8000},  {48000, 8000},  {48000, 16000},  {16000, 48000}, {96000, 24000}, {44100, 48000}, {8001, 44100},
    {192000, 8000}, {24000, 24000}, {168000, 192000}, {32000, 48000},
};
enum { INPUT = 4096, ROOM = INPUT * 24 + 1000 };

static int16_t input[INPUT], expected[ROOM];

/* The stream in pieces, `first` samples first, adjusted halfway when `ppm` is not zero. */
static size_t run(rc_resample *resample, int16_t *out, size_t first, double ppm)
{
    size_t made = 0;
    rc_resample_reset(resample);
    for (size_t at = 0, piece = first; at < INPUT; at += piece, piece = piece * 3 % 1500 + 1) {
        if (piece > INPUT - at)
            piece = INPUT - at;
        if (at > INPUT / 2)
            CHECK(rc_resample_adjust(resample, ppm) == 0);
        made += rc_resample_process(resample, out + made, input + at, piece);
    }
    return made + rc_resample_flush(resample, out + made);
}

static void same_as_plain_c(uint32_t rate_in, uint32_t rate_out, rc_resample_grade grade, size_t first, double ppm)
{
    rc_resample *resample = rc_resample_new(rate_in, rate_out, grade);
    rc_cpu_restrict(0);
    size_t count = run(resample, expected, first, ppm);
    uint64_t clipped = rc_resample_clipped(resample);
    FOR_EACH_KERNEL {
        int16_t *out = malloc(count * sizeof(int16_t)); /* the exact size: not one sample too many */
        CHECK(run(resample, out, first, ppm) == count);
        CHECK(memcmp(out, expected, count * sizeof(int16_t)) == 0);
        CHECK(rc_resample_clipped(resample) == clipped);
        free(out);
    }
    rc_resample_free(resample);
}

/* The stream in pieces of one size, for sizes up to all of it: the kernels meet every rest. */
static void every_block_size(uint32_t rate_in, uint32_t rate_out, rc_resample_grade grade)
{
#ifdef SANITIZED
    enum { COARSENESS = 3 };
#else
    enum { COARSENESS = 12 };
#endif
    rc_resample *resample = rc_resample_new(rate_in, rate_out, grade);
    static int16_t out[ROOM];
    rc_cpu_restrict(0);
    rc_resample_process(resample, expected, input, INPUT);
    FOR_EACH_KERNEL {
        for (size_t piece = 1; piece <= INPUT; piece += 1 + piece / COARSENESS) {
            size_t made = 0, all = piece * 4 > 400 ? piece * 4 : 400;
            if (all > INPUT)
                all = INPUT;
            rc_resample_reset(resample);
            for (size_t at = 0; at < all; at += piece)
                made += rc_resample_process(resample, out + made, input + at, piece < all - at ? piece : all - at);
            CHECK(memcmp(out, expected, made * sizeof(int16_t)) == 0);
        }
    }
    rc_resample_free(resample);
}

int main(void)
{
    uint64_t random = 19;
    for (size_t pair = 0; pair < sizeof(pairs) / sizeof(*pairs); pair++) {
        for (rc_resample_grade grade = RC_RESAMPLE_FAST; grade <= RC_RESAMPLE_BEST; grade++) {
            random_samples(&random, input, INPUT);
            every_block_size(pairs[pair][0], pairs[pair][1], grade);
            for (size_t first = 1; first < 1000; first += 2 + first * 2) {
                random_samples(&random, input, INPUT);
                for (size_t i = 0; i < INPUT && first % 2; i++) /* loud enough to clip now and then */
                    input[i] = (int16_t)(i / 40 % 2 ? -32768 : 32767);
                same_as_plain_c(pairs[pair][0], pairs[pair][1], grade, first, first % 3 ? 0 : 250.5);
            }
        }
    }
    return 0;
}
