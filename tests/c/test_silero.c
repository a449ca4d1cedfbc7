/* The network on weights made here: every instruction set gives the same floats, the product is
 * what its formula says, and a broken file is refused. */
#include "check.h"
#include "kernels/rc_silero_kernels.h"
#include "rc_cpu.h"
#include "rc_err.h"
#include "rc_silero.h"
#include "silero_file.h"

#include <string.h>

static const unsigned masks[] = {RC_CPU_ALL, RC_CPU_AVX2, 0}; /* on arm64: NEON, then plain twice */

static void test_product(void)
{
    enum { ROWS = 40, OUTS = 128, STEP = 7 };
    uint64_t random = 1;
    float *weights = aligned_alloc(64, ROWS * OUTS * sizeof(float));
    float inputs[4 * ROWS], bias[OUTS], out[4 * OUTS];
    for (size_t n = 0; n < ROWS * OUTS; n++)
        weights[n] = random_float(&random);
    for (size_t n = 0; n < 4 * ROWS; n++)
        inputs[n] = random_float(&random);
    for (size_t n = 0; n < OUTS; n++)
        bias[n] = random_float(&random);
    for (size_t columns = 1; columns <= 4; columns *= 2)
        for (size_t m = 0; m < 3; m++) {
            rc_cpu_restrict(masks[m]);
            rc_silero_product(out, weights, bias, inputs, ROWS, OUTS, columns, STEP);
            size_t group = RC_SILERO_TILE / columns;
            for (size_t c = 0; c < columns; c++)
                for (size_t o = 0; o < OUTS; o++) {
                    volatile float sum = bias[o]; /* rounded after every step */
                    for (size_t r = 0; r < ROWS; r++) {
                        volatile float term = weights[(o / group * ROWS + r) * group + o % group] * inputs[c * STEP + r];
                        sum = sum + term;
                    }
                    CHECK(out[c * OUTS + o] == sum);
                }
        }
    rc_cpu_restrict(RC_CPU_ALL);
    free(weights);
}

static void test_network(const silero_file *f)
{
    static int16_t samples[20 * RC_SILERO_CHUNK];
    float expected[20];
    int error;
    uint64_t random = 3;
    random_samples(&random, samples, 20 * RC_SILERO_CHUNK);
    rc_silero *network = rc_silero_new(f->bytes, f->count, &error);
    CHECK(network != NULL && error == RC_OK);
    CHECK(sizeof(rc_silero_stream) < 8192);
    for (size_t m = 0; m < 3; m++) {
        rc_silero_stream stream = {{0}, {0}, {0}};
        rc_cpu_restrict(masks[m]);
        for (size_t n = 0; n < 20; n++) {
            float probability = rc_silero_process(network, &stream, samples + n * RC_SILERO_CHUNK);
            CHECK(probability > 0 && probability < 1);
            CHECK(m == 0 || probability == expected[n]);
            expected[n] = probability;
        }
    }
    CHECK(expected[0] != expected[1]);
    rc_cpu_restrict(RC_CPU_ALL);
    rc_silero_free(network);
}

/* Every truncation and random damage to what is not weights. */
static void test_broken_files(const silero_file *f)
{
    int error;
    uint64_t random = 4;
    for (size_t turn = 0; turn < 60; turn++) {
        size_t count = turn < 30 ? random_below(&random, f->count) : turn * 4 - 120;
        uint8_t *copy = malloc(count + 1);
        memcpy(copy, f->bytes, count);
        CHECK(rc_silero_new(copy, count, &error) == NULL && error == RC_EDATA);
        free(copy);
    }
    uint8_t *copy = malloc(f->count);
    for (size_t at = 0; at < 158; at++) {
        memcpy(copy, f->bytes, f->count);
        copy[at] ^= (uint8_t)(1 + random_below(&random, 255));
        rc_silero *network = rc_silero_new(copy, f->count, &error); /* the version's bytes may differ */
        CHECK((network == NULL && error == RC_EDATA) || (at >= 18 && at < 30));
        rc_silero_free(network);
    }
    free(copy);
    rc_silero_free(NULL);
}

int main(void)
{
    static silero_file f;
    make_silero_file(&f);
    test_product();
    test_network(&f);
    test_broken_files(&f);
    return 0;
}
