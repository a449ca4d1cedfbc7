/* The network on weights made here: every instruction set gives the same floats, the product is
 * what its formula says, and a broken file is refused. */
#include "check.h"
#include "kernels/rc_silero_kernels.h"
#include "rc_cpu.h"
#include "rc_err.h"
#include "rc_silero.h"

#include <string.h>

static const unsigned masks[] = {RC_CPU_ALL, RC_CPU_AVX2, 0};

static float random_float(uint64_t *random)
{
    return (float)random_below(random, 2001) / 1000.0f - 1.0f;
}

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

typedef struct {
    uint8_t bytes[2000000];
    size_t count;
} file;

static void put(file *f, const void *bytes, size_t count)
{
    memcpy(f->bytes + f->count, bytes, count);
    f->count += count;
}

static void put_number(file *f, uint32_t number)
{
    uint8_t bytes[] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16), (uint8_t)(number >> 24)};
    put(f, bytes, 4);
}

static void put_tensor(file *f, uint64_t *random, const char *name, int half, size_t count)
{
    put_number(f, 1);
    put_number(f, (uint32_t)strlen(name));
    put_number(f, half ? 1 : 0);
    put_number(f, (uint32_t)count);
    put(f, name, strlen(name));
    for (size_t n = 0; n < count; n++) {
        float value = random_float(random) / 10;
        uint32_t bits;
        memcpy(&bits, &value, 4);
        uint16_t small = (uint16_t)((bits >> 16 & 0x8000) | (random_below(random, 8) + 6) << 10 | (bits & 0x3ff));
        if (half)
            put(f, &small, 2);
        else
            put(f, &value, 4);
    }
}

static void make_file(file *f)
{
    static const uint32_t numbers[] = {6, 2, 0, 512, 64, 4, 129, 128, 3, 128, 64, 3, 64, 64, 3, 64, 128, 3, 128, 128, 128, 1};
    static const size_t sizes[] = {128 * 129 * 3, 64 * 128 * 3, 64 * 64 * 3, 128 * 64 * 3}, outs[] = {128, 64, 64, 128};
    uint64_t random = 2;
    put_number(f, 0x67676d6c);
    put_number(f, 10);
    put(f, "silero-16k", 10);
    for (size_t n = 0; n < sizeof(numbers) / sizeof(*numbers); n++)
        put_number(f, numbers[n]);
    for (size_t n = 0; n < 4; n++) {
        char weight[] = "_model.encoder.0.reparam_conv.weight", bias[] = "_model.encoder.0.reparam_conv.bias";
        weight[15] = bias[15] = (char)('0' + n);
        put_tensor(f, &random, weight, 1, sizes[n]);
        put_tensor(f, &random, bias, 0, outs[n]);
    }
    put_tensor(f, &random, "_model.decoder.rnn.weight_ih", 0, 512 * 128);
    put_tensor(f, &random, "_model.decoder.rnn.weight_hh", 0, 512 * 128);
    put_tensor(f, &random, "_model.decoder.rnn.bias_ih", 0, 512);
    put_tensor(f, &random, "_model.decoder.rnn.bias_hh", 0, 512);
    put_tensor(f, &random, "_model.decoder.decoder.2.weight", 1, 128);
    put_tensor(f, &random, "_model.decoder.decoder.2.bias", 0, 1);
}

static void test_network(const file *f)
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
static void test_broken_files(const file *f)
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
    static file f;
    make_file(&f);
    test_product();
    test_network(&f);
    test_broken_files(&f);
    return 0;
}
