/* What a kernel's file may use: RC_X86 or RC_ARM64 is defined when this compiler can build that
 * machine's instruction sets, RC_TARGET() lets one function use more of them than the rest of the
 * file. Whether the running machine has them is asked of rc_cpu.h before each call. */
#ifndef RC_TARGET_H
#define RC_TARGET_H

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#define RC_X86 1
#include <immintrin.h>
#define RC_TARGET(features) __attribute__((target(features)))
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define RC_ARM64 1
#include <arm_neon.h>
#endif

#endif
