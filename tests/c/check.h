/* The whole test framework: CHECK, and random numbers that are the same on every machine. */
#ifndef CHECK_H
#define CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)

/* xorshift64* (S. Vigna, 2014); the state must not be zero. */
static inline uint32_t random_u32(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)(*state * 0x2545F4914F6CDD1Du >> 32);
}

static inline size_t random_below(uint64_t *state, size_t limit)
{
    return random_u32(state) % limit;
}

static inline void random_samples(uint64_t *state, int16_t *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        samples[i] = (int16_t)random_u32(state);
}

#endif
