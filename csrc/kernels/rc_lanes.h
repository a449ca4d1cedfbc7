/* Neighbours in memory, taken together: four floats where the compiler knows vectors (every x86-64
 * and arm64 has registers for them, whatever the optimisation), else one. Arithmetic is written with
 * the plain operators and gives the same floats either way. */
#ifndef RC_LANES_H
#define RC_LANES_H

#include <string.h>

#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define RC_LANES 4
#endif
#endif

#ifdef RC_LANES

typedef float rc_lanes __attribute__((vector_size(16)));

/* Every second of the eight floats a, b: the first, third ... or the second, fourth ... */
static inline rc_lanes rc_even(rc_lanes a, rc_lanes b)
{
    return __builtin_shufflevector(a, b, 0, 2, 4, 6);
}

static inline rc_lanes rc_odd(rc_lanes a, rc_lanes b)
{
    return __builtin_shufflevector(a, b, 1, 3, 5, 7);
}

static inline rc_lanes rc_reverse(rc_lanes a)
{
    return __builtin_shufflevector(a, a, 3, 2, 1, 0);
}

/* Lane n of all four to at[n * step]. */
static inline void rc_store_columns(float *at, int step, const rc_lanes rows[4])
{
    rc_lanes low01 = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
    rc_lanes high01 = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
    rc_lanes low23 = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
    rc_lanes high23 = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
    rc_lanes columns[4] = {
        __builtin_shufflevector(low01, low23, 0, 1, 4, 5),
        __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
        __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
        __builtin_shufflevector(high01, high23, 2, 3, 6, 7),
    };
    for (int n = 0; n < 4; n++)
        memcpy(at + n * step, &columns[n], sizeof(rc_lanes));
}

#else

#define RC_LANES 1
typedef float rc_lanes;

static inline rc_lanes rc_even(rc_lanes a, rc_lanes b)
{
    return (void)b, a;
}

static inline rc_lanes rc_odd(rc_lanes a, rc_lanes b)
{
    return (void)a, b;
}

static inline rc_lanes rc_reverse(rc_lanes a)
{
    return a;
}

static inline void rc_store_columns(float *at, int step, const rc_lanes rows[4])
{
    (void)step;
    memcpy(at, rows, 4 * sizeof(float));
}

#endif

/* Before a short loop: it is written out, so that the arrays in it become registers at -O2 as well. */
#if defined(__clang__)
#define RC_UNROLLED _Pragma("unroll")
#elif defined(__GNUC__)
#define RC_UNROLLED _Pragma("GCC unroll 16")
#else
#define RC_UNROLLED
#endif

static inline rc_lanes rc_load(const float *at)
{
    rc_lanes lanes;
    memcpy(&lanes, at, sizeof(lanes));
    return lanes;
}

static inline void rc_store(float *at, rc_lanes lanes)
{
    memcpy(at, &lanes, sizeof(lanes));
}

#endif
