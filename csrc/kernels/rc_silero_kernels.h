/* The matrix product that all layers of the network are made of. */
#ifndef RC_SILERO_KERNELS_H
#define RC_SILERO_KERNELS_H

#include <stddef.h>

/* Outputs whose sums are kept in registers at once, over all columns. */
#define RC_SILERO_TILE 64

/* out[c * outs + o] = bias[o] + sum over r of weight(o, r) * inputs[c * step + r]
 *
 * for `columns` (1, 2 or 4) columns of inputs that may overlap, `outs` a multiple of
 * TILE / columns. Weights lie in the order in which they are used, on a cache line: for each group
 * of TILE / columns outputs, for each r, the group's weights. Sums run over r in order, multiply
 * and add rounded separately, so every implementation gives the same floats. */
void rc_silero_product(float *out, const float *weights, const float *bias, const float *inputs, size_t rows,
                       size_t outs, size_t columns, size_t step);

#endif
