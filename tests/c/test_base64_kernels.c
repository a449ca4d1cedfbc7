/* Every instruction set against plain C: every length, every alignment, buffers of the exact size. */
#include "check.h"
#include "kernels.h"
#include "rc_base64.h"
#include "rc_err.h"

#include <string.h>

enum { LONGEST = 4096 };

static uint8_t bytes[LONGEST];
static char text[LONGEST / 3 * 4 + 8];

/* `size` bytes that end where their memory ends and begin at `alignment`, filled with a pattern. */
typedef struct {
    uint8_t *memory, *data;
} exact;

static exact exact_new(size_t size, size_t alignment)
{
    exact e = {malloc(alignment + size + 1), NULL};
    memset(e.memory, 0xA5, alignment + size + 1);
    e.data = e.memory + alignment;
    return e;
}

static void exact_free(exact e, size_t size, size_t alignment)
{
    for (size_t i = 0; i < alignment; i++)
        CHECK(e.memory[i] == 0xA5);
    CHECK(e.data[size] == 0xA5);
    free(e.memory);
}

static void same_as_plain_c(size_t length, size_t alignment)
{
    rc_cpu_restrict(0);
    size_t size = rc_base64_encode(text, bytes, length);
    FOR_EACH_KERNEL {
        size_t error = 0;
        exact source = exact_new(length, alignment), out = exact_new(size, alignment), back = exact_new(length, alignment);
        memcpy(source.data, bytes, length);
        CHECK(rc_base64_encode((char *)out.data, source.data, length) == size);
        CHECK(memcmp(out.data, text, size) == 0);
        CHECK(rc_base64_decode(back.data, (char *)out.data, size, &error) == RC_OK);
        CHECK(memcmp(back.data, bytes, length) == 0);
        exact_free(source, length, alignment);
        exact_free(out, size, alignment);
        exact_free(back, length, alignment);
    }
}

/* The same in memory that is not allocated anew: guards on both sides, 64 alignments each of what is
 * read and of what is written. */
enum { GUARD = 64, ARENA = GUARD + 64 + LONGEST / 3 * 4 + 8 + GUARD };

typedef struct {
    _Alignas(64) uint8_t memory[ARENA];
} arena;

static uint8_t *arena_place(arena *a, size_t alignment, size_t size)
{
    uint8_t *data = a->memory + GUARD + alignment;
    memset(data - GUARD, 0xA5, GUARD);
    memset(data + size, 0xA5, GUARD);
    return data;
}

static void check_guards(const uint8_t *data, size_t size)
{
    static uint8_t guard[GUARD];
    memset(guard, 0xA5, GUARD);
    CHECK(memcmp(data - GUARD, guard, GUARD) == 0);
    CHECK(memcmp(data + size, guard, GUARD) == 0);
}

static void same_as_plain_c_at_every_alignment(size_t length)
{
    static arena source_arena, text_arena, back_arena;
    rc_cpu_restrict(0);
    size_t size = rc_base64_encode(text, bytes, length), error = 0;
    for (size_t alignment = 0; alignment < 64; alignment++) {
        uint8_t *source = arena_place(&source_arena, alignment, length);
        memcpy(source, bytes, length);
        FOR_EACH_KERNEL {
            if (kernel_masks[kernel_] == 0)
                continue; /* plain C itself: the first line above */
            uint8_t *out = arena_place(&text_arena, (alignment * 5 + length) % 64, size);
            uint8_t *back = arena_place(&back_arena, (alignment * 3 + length) % 64, length);
            CHECK(rc_base64_encode((char *)out, source, length) == size);
            CHECK(memcmp(out, text, size) == 0);
            check_guards(out, size);
            CHECK(rc_base64_decode(back, (char *)out, size, &error) == RC_OK);
            CHECK(memcmp(back, bytes, length) == 0);
            check_guards(back, length);
        }
    }
}

/* All 256 characters, everywhere in a text that fills each kernel's registers and leaves a rest. */
static void every_character_is_judged_alike(void)
{
    enum { LENGTH = 64 + 32 + 12 };
    uint8_t out[LENGTH];
    for (size_t at = 0; at < LENGTH; at++) {
        for (int character = 0; character < 256; character++) {
            memset(text, 'k', LENGTH);
            text[at] = (char)character;
            rc_cpu_restrict(0);
            size_t expected_error = 0;
            int expected = rc_base64_decode(out, text, LENGTH, &expected_error);
            FOR_EACH_KERNEL {
                size_t error = 0;
                CHECK(rc_base64_decode(out, text, LENGTH, &error) == expected);
                CHECK(expected == RC_OK || error == expected_error);
            }
        }
    }
}

int main(void)
{
    uint64_t random = 17;
    for (size_t i = 0; i < LONGEST; i++)
        bytes[i] = (uint8_t)random_u32(&random);
#ifdef SANITIZED
    size_t step = 61;
#else
    size_t step = 1;
#endif
    for (size_t length = 0; length <= LONGEST; length += step)
        same_as_plain_c_at_every_alignment(length);
    for (size_t length = 0; length <= LONGEST; length++)
        same_as_plain_c(length, length * 7 % 64);
    for (size_t alignment = 0; alignment < 64; alignment++)
        for (size_t length = 0; length < 200; length += 1 + length / 20)
            same_as_plain_c(length, alignment);
    every_character_is_judged_alike();
    return 0;
}
