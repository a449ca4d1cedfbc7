/* The weight file of the speech network, cut and damaged with its structure in view: it is refused
 * as such, or the network made of it still gives probabilities, the same every time. */
#include "../c/silero_file.h"
#include "fuzz.h"
#include "rc_err.h"
#include "rc_silero.h"

const char *const fuzz_seeds[] = {"\1\2\3\4\5\6", "\5\5\5\5\5\5\5\5\5\5", "\3\1\1\1\1\1", "\4 any \2 thing \3 else \1", ""};

static uint32_t choose_number(choices *input)
{
    static const uint32_t edges[] = {0, 1, 2, 4, 5, 36, 128, 512, 1 << 20, (1 << 20) + 1, INT32_MAX, UINT32_MAX};
    unsigned choice = choose_byte(input) % 16;
    return choice < sizeof(edges) / sizeof(*edges) ? edges[choice] : choose(input, 65536) << 16 | choose(input, 65536);
}

/* Where in the file: a number of its header or of a tensor's, near the beginning of a tensor, or
 * anywhere. */
static size_t choose_place(choices *input, const silero_file *whole)
{
    unsigned choice = choose_byte(input);
    size_t tensor = whole->tensors[choice / 4 % SILERO_TENSORS];
    switch (choice % 4) {
    case 0:
        return ((size_t)choose(input, 65536) << 8 | choose_byte(input)) % whole->count;
    case 1:
        return 18 + 4 * choose(input, 22);
    case 2:
        return tensor + 4 * choose(input, 4);
    default:
        return tensor + choose(input, 64);
    }
}

static void damage(choices *input, const silero_file *whole, uint8_t *bytes, size_t *count)
{
    size_t at = choose_place(input, whole);
    unsigned kind = choose_byte(input) % 6;
    if (at + 64 > *count)
        return;
    size_t rest = *count - at, length = 1 + choose(input, 64);
    uint32_t number = choose_number(input);
    switch (kind) {
    case 0: /* another byte */
        bytes[at] = (uint8_t)number;
        break;
    case 1: /* another number */
        memcpy(bytes + at, &number, 4);
        break;
    case 2: /* cut off */
        *count = at;
        break;
    case 3: /* bytes missing */
        length = length < rest ? length : rest;
        memmove(bytes + at, bytes + at + length, rest - length);
        *count -= length;
        break;
    case 4: /* bytes twice */
        memmove(bytes + at + length, bytes + at, rest);
        *count += length;
        break;
    default: { /* one tensor's beginning on another's */
        const uint8_t *from = whole->bytes + whole->tensors[number % SILERO_TENSORS];
        memcpy(bytes + at, from, length < 64 ? length : 64);
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static silero_file whole;
    static uint8_t bytes[sizeof(whole.bytes)];
    if (whole.count == 0)
        make_silero_file(&whole);
    choices input = {data, size};
    size_t count = whole.count;
    memcpy(bytes, whole.bytes, count);
    for (unsigned changes = choose_byte(&input) % 5; changes > 0; changes--)
        damage(&input, &whole, bytes, &count);

    uint8_t *file = malloc(count); /* exact: the sanitizer sees one byte too many */
    memcpy(file, bytes, count);
    int error;
    rc_silero *network = rc_silero_new(file, count, &error);
    free(file); /* the network keeps nothing of it */
    CHECK(error == (network != NULL ? RC_OK : RC_EDATA));
    if (network == NULL) {
        CHECK(count != whole.count || memcmp(bytes, whole.bytes, count) != 0);
        return 0;
    }
    rc_silero_stream one = {{0}, {0}, {0}}, two = {{0}, {0}, {0}};
    int16_t chunk[RC_SILERO_CHUNK];
    uint64_t random = 1 + choose(&input, 65536);
    for (int n = 0; n < 3; n++) {
        random_samples(&random, chunk, RC_SILERO_CHUNK);
        float probability = rc_silero_process(network, &one, chunk);
        CHECK(probability >= 0 && probability <= 1);
        CHECK(probability == rc_silero_process(network, &two, chunk));
    }
    rc_silero_free(network);
    return 0;
}
