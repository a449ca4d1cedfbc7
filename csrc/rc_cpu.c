#include "rc_cpu.h"

#include <stdatomic.h>

/* The bit says that the machine was asked, so that "nothing found" is remembered too. */
#define RC_CPU_KNOWN (1u << 31)

/* The one mutable global of the library. Relaxed order: the value depends on nothing else, and
 * two threads that ask the machine at the same time store the same answer. */
static _Atomic unsigned cpu_features;

static unsigned detect(void)
{
    unsigned found = 0;
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
    /* The compiler's own test also asks whether the system saves the wide registers. */
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        found |= RC_CPU_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        found |= RC_CPU_AVX512;
        if (__builtin_cpu_supports("avx512vbmi"))
            found |= RC_CPU_AVX512_VBMI;
        if (__builtin_cpu_supports("avx512vnni"))
            found |= RC_CPU_AVX512_VNNI;
    }
#elif defined(__aarch64__) && defined(__ARM_NEON)
    found = RC_CPU_NEON;
#endif
#ifdef RC_CPU_LIMIT
    found &= RC_CPU_LIMIT;
#endif
    return found;
}

unsigned rc_cpu_features(void)
{
    unsigned known = atomic_load_explicit(&cpu_features, memory_order_relaxed);
    if (known == 0)
        return rc_cpu_restrict(RC_CPU_ALL);
    return known & RC_CPU_ALL;
}

unsigned rc_cpu_restrict(unsigned mask)
{
    unsigned allowed = detect() & mask;
    if (!(allowed & RC_CPU_AVX512))
        allowed &= ~(unsigned)(RC_CPU_AVX512_VBMI | RC_CPU_AVX512_VNNI);
    atomic_store_explicit(&cpu_features, allowed | RC_CPU_KNOWN, memory_order_relaxed);
    return allowed;
}
