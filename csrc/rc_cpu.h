/* Which instruction sets the running machine has, and which of them may be used.
 *
 * Kernels are chosen by these bits at every call; plain C is always there and gives the same
 * output. Any thread may ask at any time.
 */
#ifndef RC_CPU_H
#define RC_CPU_H

enum {
    RC_CPU_AVX2 = 1,        /* x86: AVX2 */
    RC_CPU_AVX512 = 2,      /* x86: AVX-512 F, BW and VL */
    RC_CPU_AVX512_VBMI = 4, /* x86: byte permutes; implies RC_CPU_AVX512 */
    RC_CPU_AVX512_VNNI = 8, /* x86: 16-bit dot products; implies RC_CPU_AVX512 */
    RC_CPU_NEON = 16,       /* arm64, where it is always there */
    RC_CPU_ALL = 31,
};

/* Instruction sets to use: those of the machine within what rc_cpu_restrict() allows. */
unsigned rc_cpu_features(void);

/* Allows only the instruction sets in `mask` (0: plain C, RC_CPU_ALL: everything again) and
 * returns those that remain. For tests, fuzzers and measurements. */
unsigned rc_cpu_restrict(unsigned mask);

#endif
