#include "rc_silero_kernels.h"

#include "rc_cpu.h"
#include "rc_lanes.h"
#include "rc_target.h"

#include <string.h>

typedef void product(float *out, const float *weights, const float *bias, const float *inputs, size_t rows,
                     size_t outs, size_t columns, size_t step);

static void product_plain(float *out, const float *weights, const float *bias, const float *inputs, size_t rows,
                          size_t outs, size_t columns, size_t step)
{
    size_t group = RC_SILERO_TILE / columns;
    for (size_t o = 0; o < outs; o += group) {
        float sums[RC_SILERO_TILE];
        for (size_t c = 0; c < columns; c++)
            memcpy(sums + c * group, bias + o, group * sizeof(float));
        for (size_t r = 0; r < rows; r++, weights += group)
            for (size_t c = 0; c < columns; c++) {
                float input = inputs[c * step + r];
                for (size_t n = 0; n < group; n++)
                    sums[c * group + n] += weights[n] * input;
            }
        for (size_t c = 0; c < columns; c++)
            memcpy(out + c * outs + o, sums + c * group, group * sizeof(float));
    }
}

#if defined(RC_X86) || defined(RC_ARM64)

/* One body for all register widths: W registers of a group's weights times C columns. */
#define PRODUCT_BODY(VECTOR, LANES, LOAD, LOADU, STORE, SET1, MUL, ADD, C)                                 \
    do {                                                                                                   \
        enum { W = RC_SILERO_TILE / (C) / (LANES) };                                                       \
        for (size_t o = 0; o < outs; o += (size_t)W * (LANES)) {                                           \
            VECTOR sums[C][W];                                                                             \
            RC_UNROLLED for (int c = 0; c < (C); c++)                                                      \
                RC_UNROLLED for (int w = 0; w < W; w++)                                                    \
                    sums[c][w] = LOADU(bias + o + (size_t)w * (LANES));                                    \
            for (size_t r = 0; r < rows; r++, weights += (size_t)W * (LANES))                              \
                RC_UNROLLED for (int c = 0; c < (C); c++) {                                                \
                    VECTOR input = SET1(inputs[(size_t)c * step + r]);                                     \
                    RC_UNROLLED for (int w = 0; w < W; w++)                                                \
                        sums[c][w] = ADD(sums[c][w], MUL(LOAD(weights + w * (LANES)), input));             \
                }                                                                                          \
            RC_UNROLLED for (int c = 0; c < (C); c++)                                                      \
                RC_UNROLLED for (int w = 0; w < W; w++)                                                    \
                    STORE(out + (size_t)c * outs + o + (size_t)w * (LANES), sums[c][w]);                   \
        }                                                                                                  \
    } while (0)

#endif

#ifdef RC_X86

#define AVX2_BODY(C)                                                                                           \
    PRODUCT_BODY(__m256, 8, _mm256_load_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_mul_ps, \
                 _mm256_add_ps, C)
#define AVX512_BODY(C)                                                                                          \
    PRODUCT_BODY(__m512, 16, _mm512_load_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_mul_ps, \
                 _mm512_add_ps, C)

RC_TARGET("avx2")
static void product_avx2(float *out, const float *weights, const float *bias, const float *inputs, size_t rows,
                         size_t outs, size_t columns, size_t step)
{
    if (columns == 1)
        AVX2_BODY(1);
    else if (columns == 2)
        AVX2_BODY(2);
    else
        AVX2_BODY(4);
}

RC_TARGET("avx512f")
static void product_avx512(float *out, const float *weights, const float *bias, const float *inputs, size_t rows,
                           size_t outs, size_t columns, size_t step)
{
    if (columns == 1)
        AVX512_BODY(1);
    else if (columns == 2)
        AVX512_BODY(2);
    else
        AVX512_BODY(4);
}

static product *choose(void)
{
    unsigned features = rc_cpu_features();
    return features & RC_CPU_AVX512 ? product_avx512 : features & RC_CPU_AVX2 ? product_avx2 : product_plain;
}

#elif defined(RC_ARM64)

#define NEON_BODY(C) PRODUCT_BODY(float32x4_t, 4, vld1q_f32, vld1q_f32, vst1q_f32, vdupq_n_f32, vmulq_f32, vaddq_f32, C)

static void product_neon(float *out, const float *weights, const float *bias, const float *inputs, size_t rows,
                         size_t outs, size_t columns, size_t step)
{
    if (columns == 1)
        NEON_BODY(1);
    else if (columns == 2)
        NEON_BODY(2);
    else
        NEON_BODY(4);
}

static product *choose(void)
{
    return rc_cpu_features() & RC_CPU_NEON ? product_neon : product_plain;
}

#else

static product *choose(void)
{
    return product_plain;
}

#endif

void rc_silero_product(float *out, const float *weights, const float *bias, const float *inputs, size_t rows,
                       size_t outs, size_t columns, size_t step)
{
    choose()(out, weights, bias, inputs, rows, outs, columns, step);
}
