/* A weight file of the speech network as its package ships it, with weights made here. */
#ifndef SILERO_FILE_H
#define SILERO_FILE_H

#include "check.h"

#include <stdint.h>
#include <string.h>

static inline float random_float(uint64_t *random)
{
    return (float)random_below(random, 2001) / 1000.0f - 1.0f;
}

enum { SILERO_TENSORS = 14 };

typedef struct {
    uint8_t bytes[2000000];
    size_t count;
    size_t tensors[SILERO_TENSORS]; /* where each begins */
    size_t tensor_count;
} silero_file;

static inline void put(silero_file *f, const void *bytes, size_t count)
{
    memcpy(f->bytes + f->count, bytes, count);
    f->count += count;
}

static inline void put_number(silero_file *f, uint32_t number)
{
    uint8_t bytes[] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16), (uint8_t)(number >> 24)};
    put(f, bytes, 4);
}

static inline void put_tensor(silero_file *f, uint64_t *random, const char *name, int half, size_t count)
{
    f->tensors[f->tensor_count++] = f->count;
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

static inline void make_silero_file(silero_file *f)
{
    static const uint32_t numbers[] = {6,  2, 0,  512, 64, 4,   129, 128, 3,   128, 64,
                                       3, 64, 64, 3, 64,  128, 3,  128, 128, 128, 1};
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

#endif
