#include "rc_silero.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/rc_silero_kernels.h"
#include "rc_activation.h"
#include "rc_err.h"
#include "rc_fft.h"
#include "rc_memory.h"

enum {
    STEP = 128,    /* samples from one spectrum to the next */
    SPECTRA = 4,
    SAMPLES = RC_SILERO_CONTEXT + RC_SILERO_CHUNK,
    REFLECTED = 64, /* samples mirrored at the end */
    UNITS = RC_SILERO_UNITS,
    LAYERS = 5,    /* four convolutions and the LSTM's gates */
};

/* Every layer as one matrix product. A convolution's rows are its taps, each with all channels:
 * with frames one after another in memory that is a window on its input. Taps that only ever meet
 * the zeros around the input are left out. */
typedef struct {
    unsigned channels, taps, first_tap, used_taps, outs, columns;
} layer;

static const layer layers[LAYERS] = {
    {RC_FFT_BINS, 3, 0, 3, 128, SPECTRA},
    {128, 3, 0, 3, 64, 2}, /* every second frame */
    {64, 3, 1, 2, 64, 1},  /* of two frames, before the first nothing */
    {64, 3, 1, 1, 128, 1}, /* of one frame */
    {2 * UNITS, 1, 0, 1, 4 * UNITS, 1},
};

struct rc_silero {
    rc_fft fft;
    float *weights[LAYERS];
    float bias[LAYERS][4 * UNITS];
    float output[UNITS];
    float output_bias;
};

static size_t rows_of(const layer *l)
{
    return (size_t)l->used_taps * l->channels;
}

/* The file: a header, then tensors, each with its name, kind and sizes --------------------------- */

typedef struct {
    const uint8_t *at;
    size_t left;
} reader;

typedef struct {
    const uint8_t *data;
    size_t count;
    int half; /* 16-bit floats, else 32-bit */
} tensor;

static int take(reader *from, size_t bytes, const uint8_t **at)
{
    if (bytes > from->left)
        return 0;
    *at = from->at;
    from->at += bytes;
    from->left -= bytes;
    return 1;
}

static int take_number(reader *from, uint32_t *number)
{
    const uint8_t *at;
    if (!take(from, 4, &at))
        return 0;
    *number = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    return 1;
}

static int take_exactly(reader *from, const uint32_t *numbers, size_t count)
{
    uint32_t number;
    for (size_t n = 0; n < count; n++)
        if (!take_number(from, &number) || number != numbers[n])
            return 0;
    return 1;
}

static int take_header(reader *from)
{
    static const uint32_t magic_and_length[] = {0x67676d6c, 10};
    static const uint32_t shape[] = {RC_SILERO_CHUNK, RC_SILERO_CONTEXT, 4, RC_FFT_BINS, 128, 3, 128, 64, 3,
                                     64, 64, 3, 64, 128, 3, UNITS, UNITS, UNITS, 1};
    const uint8_t *name, *version;
    return take_exactly(from, magic_and_length, 2) && take(from, 10, &name) && memcmp(name, "silero-16k", 10) == 0 &&
           take(from, 12, &version) && take_exactly(from, shape, sizeof(shape) / sizeof(*shape));
}

static int take_tensor(reader *from, tensor *t, const uint8_t **name, uint32_t *name_length)
{
    uint32_t dimensions, kind;
    if (!take_number(from, &dimensions) || !take_number(from, name_length) || !take_number(from, &kind) ||
        dimensions > 4 || kind > 1)
        return 0;
    t->half = kind == 1;
    t->count = 1;
    for (uint32_t n = 0; n < dimensions; n++) {
        uint32_t size;
        if (!take_number(from, &size) || size > 1 << 20 || (t->count *= size) > 1 << 20)
            return 0;
    }
    return take(from, *name_length, name) && take(from, t->count * (t->half ? 2 : 4), &t->data);
}

/* IEEE 754 half precision; subnormal halves by their value, what is not finite as beyond 65536. */
static float half_to_float(uint32_t half)
{
    uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
    uint32_t bits = sign | (exponent + 112) << 23 | fraction << 13;
    float value;
    if (exponent == 0) {
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static float element(const tensor *t, size_t n)
{
    float value;
    if (t->half)
        return half_to_float((uint32_t)t->data[2 * n] | (uint32_t)t->data[2 * n + 1] << 8);
    const uint8_t *at = t->data + 4 * n;
    uint32_t bits = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Far beyond any weight there is; with smaller ones no sum of the network overflows. */
static int is_sound(const tensor *t)
{
    for (size_t n = 0; n < t->count; n++)
        if (!(fabsf(element(t, n)) <= 1000.0f))
            return 0; /* NaN too */
    return 1;
}

/* The tensor of that name, which must have `count` elements. */
static int find_named(reader from, tensor *t, const char *wanted, size_t wanted_length, size_t count)
{
    const uint8_t *name;
    uint32_t length;
    while (take_tensor(&from, t, &name, &length))
        if (length == wanted_length && memcmp(name, wanted, length) == 0)
            return t->count == count && is_sound(t);
    return 0;
}

/* `wanted` is an array, a literal or not, that ends with its zero */
#define find_tensor(from, t, wanted, count) find_named(from, t, wanted, sizeof(wanted) - 1, count)

/* Weight (output, row) at the place where the product wants it. */
static float *place(const layer *l, float *packed, size_t out, size_t row)
{
    size_t group = RC_SILERO_TILE / l->columns;
    return packed + (out / group * rows_of(l) + row) * group + out % group;
}

static int read_convolution(rc_silero *network, reader from, size_t index)
{
    const layer *l = &layers[index];
    tensor weight, bias;
    char name[] = "_model.encoder.0.reparam_conv.weight", bias_name[] = "_model.encoder.0.reparam_conv.bias";
    name[15] = bias_name[15] = (char)('0' + index);
    if (!find_tensor(from, &weight, name, (size_t)l->outs * l->channels * l->taps) ||
        !find_tensor(from, &bias, bias_name, l->outs))
        return 0;
    for (size_t out = 0; out < l->outs; out++) {
        network->bias[index][out] = element(&bias, out);
        for (size_t channel = 0; channel < l->channels; channel++)
            for (size_t tap = 0; tap < l->used_taps; tap++)
                *place(l, network->weights[index], out, tap * l->channels + channel) =
                    element(&weight, (out * l->channels + channel) * l->taps + l->first_tap + tap);
    }
    return 1;
}

static int read_lstm(rc_silero *network, reader from)
{
    const layer *l = &layers[LAYERS - 1];
    tensor input, hidden, input_bias, hidden_bias;
    if (!find_tensor(from, &input, "_model.decoder.rnn.weight_ih", 4 * UNITS * UNITS) ||
        !find_tensor(from, &hidden, "_model.decoder.rnn.weight_hh", 4 * UNITS * UNITS) ||
        !find_tensor(from, &input_bias, "_model.decoder.rnn.bias_ih", 4 * UNITS) ||
        !find_tensor(from, &hidden_bias, "_model.decoder.rnn.bias_hh", 4 * UNITS))
        return 0;
    for (size_t out = 0; out < 4 * UNITS; out++) {
        network->bias[LAYERS - 1][out] = element(&input_bias, out) + element(&hidden_bias, out);
        for (size_t n = 0; n < UNITS; n++) {
            *place(l, network->weights[LAYERS - 1], out, n) = element(&input, out * UNITS + n);
            *place(l, network->weights[LAYERS - 1], out, UNITS + n) = element(&hidden, out * UNITS + n);
        }
    }
    return 1;
}

static int read_network(rc_silero *network, reader from)
{
    tensor output, bias;
    if (!take_header(&from) || !read_lstm(network, from) ||
        !find_tensor(from, &output, "_model.decoder.decoder.2.weight", UNITS) ||
        !find_tensor(from, &bias, "_model.decoder.decoder.2.bias", 1))
        return 0;
    for (size_t index = 0; index < LAYERS - 1; index++)
        if (!read_convolution(network, from, index))
            return 0;
    for (size_t n = 0; n < UNITS; n++)
        network->output[n] = element(&output, n);
    network->output_bias = element(&bias, 0);
    return 1;
}

rc_silero *rc_silero_new(const uint8_t *file, size_t bytes, int *error)
{
    rc_silero *network = calloc(1, sizeof(*network));
    *error = RC_ENOMEM;
    if (network == NULL)
        return NULL;
    for (size_t n = 0; n < LAYERS; n++) {
        network->weights[n] = rc_lines_new(rows_of(&layers[n]) * layers[n].outs * sizeof(float));
        if (network->weights[n] == NULL) {
            rc_silero_free(network);
            return NULL;
        }
    }
    if (!read_network(network, (reader){file, bytes})) {
        *error = RC_EDATA;
        rc_silero_free(network);
        return NULL;
    }
    rc_fft_prepare(&network->fft);
    *error = RC_OK;
    return network;
}

void rc_silero_free(rc_silero *network)
{
    if (network == NULL)
        return;
    for (size_t n = 0; n < LAYERS; n++)
        rc_lines_free(network->weights[n]);
    free(network);
}

/* The network -------------------------------------------------------------------------------- */

static void spectra(const rc_silero *network, float magnitude[SPECTRA][RC_FFT_BINS], const rc_silero_stream *stream,
                    const int16_t *chunk)
{
    float samples[SAMPLES + REFLECTED];
    for (int n = 0; n < RC_SILERO_CONTEXT; n++)
        samples[n] = (float)stream->context[n] * (1.0f / 32768);
    for (int n = 0; n < RC_SILERO_CHUNK; n++)
        samples[RC_SILERO_CONTEXT + n] = (float)chunk[n] * (1.0f / 32768);
    for (int n = 0; n < REFLECTED; n++)
        samples[SAMPLES + n] = samples[SAMPLES - 2 - n];
    for (int s = 0; s < SPECTRA; s++) {
        rc_fft_power(&network->fft, magnitude[s], samples + s * STEP);
        for (int k = 0; k < RC_FFT_BINS; k++)
            magnitude[s][k] = sqrtf(magnitude[s][k]);
    }
}

static void apply(const rc_silero *network, size_t index, float *out, const float *inputs, size_t step)
{
    const layer *l = &layers[index];
    rc_silero_product(out, network->weights[index], network->bias[index], inputs, rows_of(l), l->outs, l->columns,
                      step);
}

static void rectify(float *values, size_t count)
{
    for (size_t n = 0; n < count; n++)
        values[n] = values[n] > 0 ? values[n] : 0;
}

/* Gates in the order input, forget, cell, output. */
static void step_lstm(rc_silero_stream *stream, const float gates[4 * UNITS])
{
    for (int n = 0; n < UNITS; n++) {
        float fresh = rc_logistic(gates[n]) * rc_tanh(gates[2 * UNITS + n]);
        stream->cell[n] = rc_logistic(gates[UNITS + n]) * stream->cell[n] + fresh;
    }
    for (int n = 0; n < UNITS; n++)
        stream->hidden[n] = rc_logistic(gates[3 * UNITS + n]) * rc_tanh(stream->cell[n]);
}

float rc_silero_process(const rc_silero *network, rc_silero_stream *stream, const int16_t chunk[RC_SILERO_CHUNK])
{
    /* frames of zeros around what is convolved */
    float first[SPECTRA + 2][RC_FFT_BINS], second[SPECTRA + 1][128], third[2][64], fourth[64];
    float inputs[2 * UNITS], gates[4 * UNITS], logit = network->output_bias;

    memset(first, 0, sizeof(first));
    memset(second, 0, sizeof(second));
    spectra(network, first + 1, stream, chunk);
    memcpy(stream->context, chunk + RC_SILERO_CHUNK - RC_SILERO_CONTEXT, sizeof(stream->context));

    apply(network, 0, second[1], first[0], RC_FFT_BINS);
    rectify(second[1], SPECTRA * 128);
    apply(network, 1, third[0], second[0], 2 * 128);
    rectify(third[0], 2 * 64);
    apply(network, 2, fourth, third[0], 0);
    rectify(fourth, 64);
    apply(network, 3, inputs, fourth, 0);
    rectify(inputs, UNITS);
    memcpy(inputs + UNITS, stream->hidden, sizeof(stream->hidden));
    apply(network, 4, gates, inputs, 0);
    step_lstm(stream, gates);
    for (int n = 0; n < UNITS; n++)
        logit += network->output[n] * (stream->hidden[n] > 0 ? stream->hidden[n] : 0);
    return rc_logistic(logit);
}
