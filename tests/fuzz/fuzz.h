/* What every fuzzer has: the entry point that libFuzzer calls, inputs to begin with, CHECK, and a
 * reader that turns input bytes into choices. */
#ifndef FUZZ_H
#define FUZZ_H

#include "../c/check.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends with an empty string. Used by the driver only. */
extern const char *const fuzz_seeds[];

typedef struct {
    const uint8_t *at;
    size_t left;
} choices;

/* The next byte; zeros when the input has ended. */
static inline unsigned choose_byte(choices *from)
{
    if (from->left == 0)
        return 0;
    from->left--;
    return *from->at++;
}

static inline unsigned choose(choices *from, unsigned limit)
{
    unsigned high = choose_byte(from);
    return (high << 8 | choose_byte(from)) % limit;
}

#endif
