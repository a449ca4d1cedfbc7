/* Where libFuzzer is not to be had: changes the seeds and what came of them at random.
 *
 *     fuzz_NAME SECONDS [SEED]     a second is a second of processor time
 *     fuzz_NAME FILE ...           replays inputs
 *
 * An input that ends the program is left in fuzz_NAME.last, to be replayed. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LONGEST = 4096, POOL = 256 };

typedef struct {
    size_t size;
    uint8_t data[LONGEST];
} input;

static input pool[POOL], current;
static size_t pooled;

static void mutate(uint64_t *random)
{
    current = pool[random_below(random, pooled)];
    for (size_t changes = 1 + random_below(random, 6); changes > 0; changes--) {
        size_t at = random_below(random, current.size + 1), room = LONGEST - current.size;
        size_t count = 1 + random_below(random, 32), rest = current.size - at;
        switch (random_below(random, 5)) {
        case 0: /* change a byte */
            if (rest > 0)
                current.data[at] = (uint8_t)random_u32(random);
            break;
        case 1: /* flip a bit */
            if (rest > 0)
                current.data[at] ^= (uint8_t)(1 << random_below(random, 8));
            break;
        case 2: /* remove */
            count = count < rest ? count : rest;
            memmove(current.data + at, current.data + at + count, rest - count);
            current.size -= count;
            break;
        case 3: /* insert noise */
            count = count < room ? count : room;
            memmove(current.data + at + count, current.data + at, rest);
            for (size_t n = 0; n < count; n++)
                current.data[at + n] = (uint8_t)random_u32(random);
            current.size += count;
            break;
        default: { /* insert a piece of another input */
            const input *other = &pool[random_below(random, pooled)];
            size_t from = random_below(random, other->size + 1);
            count = count < other->size - from ? count : other->size - from;
            count = count < room ? count : room;
            memmove(current.data + at + count, current.data + at, rest);
            memcpy(current.data + at, other->data + from, count);
            current.size += count;
        }
        }
    }
}

static void replay(const char *name)
{
    FILE *file = fopen(name, "rb");
    CHECK(file != NULL);
    current.size = fread(current.data, 1, LONGEST, file);
    fclose(file);
    LLVMFuzzerTestOneInput(current.data, current.size);
}

static const char *program; /* NULL when all went well */

static void keep_input(void)
{
    char name[512];
    if (program == NULL)
        return;
    snprintf(name, sizeof(name), "%s.last", program);
    FILE *file = fopen(name, "wb");
    if (file == NULL)
        return;
    fwrite(current.data, 1, current.size, file);
    fclose(file);
    fprintf(stderr, "the input is in %s\n", name);
}

/* The sanitizers end a program without its atexit functions. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

int main(int count, char **arguments)
{
    char *end;
    double seconds = count > 1 ? strtod(arguments[1], &end) : 1;
    if (count > 1 && *end != '\0') {
        for (int n = 1; n < count; n++)
            replay(arguments[n]);
        return 0;
    }
    uint64_t random = count > 2 ? strtoull(arguments[2], NULL, 10) * 2 + 1 : 1;
    for (; *fuzz_seeds[pooled] != '\0'; pooled++) {
        pool[pooled].size = strlen(fuzz_seeds[pooled]);
        memcpy(pool[pooled].data, fuzz_seeds[pooled], pool[pooled].size);
    }
    size_t runs = 0;
    program = arguments[0];
    atexit(keep_input);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_input);
    for (clock_t start = clock(); (double)(clock() - start) < seconds * CLOCKS_PER_SEC; runs++) {
        mutate(&random);
        LLVMFuzzerTestOneInput(current.data, current.size);
        if (pooled < POOL)
            pool[pooled++] = current;
        else if (random_below(&random, 4) == 0)
            pool[random_below(&random, POOL)] = current;
    }
    program = NULL;
    printf("%s: %zu inputs in %.0f s\n", arguments[0], runs, seconds);
    return 0;
}
