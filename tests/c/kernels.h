/* Runs a piece of code once for each instruction set that this machine has, plain C included. */
#ifndef KERNELS_H
#define KERNELS_H

#include "rc_cpu.h"

static const unsigned kernel_masks[] = {
    0,
    RC_CPU_AVX2,
    RC_CPU_AVX2 | RC_CPU_AVX512,
    RC_CPU_AVX512 | RC_CPU_AVX512_VBMI,
    RC_CPU_AVX512 | RC_CPU_AVX512_VNNI,
    RC_CPU_NEON,
    RC_CPU_ALL,
};

#define FOR_EACH_KERNEL                                                                                       \
    for (size_t kernel_ = 0; kernel_ < sizeof(kernel_masks) / sizeof(*kernel_masks);                          \
         rc_cpu_restrict(RC_CPU_ALL), kernel_++)                                                              \
        if (rc_cpu_restrict(kernel_masks[kernel_]) == kernel_masks[kernel_] || kernel_masks[kernel_] == RC_CPU_ALL)

#endif
