/* Delta messages: any bytes are refused or understood, within their bounds; audio that is
 * understood decodes alike into one piece and into two, on every instruction set, and a refused
 * one leaves the stream where it stood. */
#include "fuzz.h"
#include "rc_cpu.h"
#include "rc_err.h"
#include "rc_delta.h"

#include <stdlib.h>

const char *const fuzz_seeds[] = {
    "\1\1\1\1{\"type\":\"response.output_audio.delta\",\"item_id\":\"i\",\"output_index\":0,\"delta\":\"AAECAwQF\"}",
    "\1\2\1\3{ \"a\":[1,{\"b\":null},-2.5e+3,\"\\ud83c\\udfa7\"],\"delta\":\"//79/A==\", \"type\":\"response.output_audio.delta\"}",
    "\7\1\2\1{\"type\":\"response.done\",\"response\":{}}",
    "\4\3\1\1{\"type\":\"response.output_audio.delta\",\"delta\":\"AA==AAAA//79AAEC\"}",
    "",
};

/* The offset of what is wrong, NO_ERROR when nothing is. */
#define NO_ERROR SIZE_MAX

static size_t decode(rc_delta_decoder *decoder, int16_t *first, size_t cut, int16_t *second, size_t rest,
                     rc_json_text audio)
{
    rc_text_error error = {0, NULL};
    int result = rc_delta_decoder_decode(decoder, (rc_ring_region){first, cut, second, rest}, audio, &error);
    CHECK(result == RC_OK || (result == RC_EDATA && error.offset <= audio.length && error.reason != NULL));
    return result == RC_OK ? NO_ERROR : error.offset;
}

typedef struct {
    unsigned mask;
    rc_wire wire;
    uint32_t wire_rate, rate;
} setting;

static void check_audio(setting use, rc_json_text audio)
{
    rc_delta_decoder *one = rc_delta_decoder_new(use.wire, use.wire_rate, use.rate);
    rc_delta_decoder *two = rc_delta_decoder_new(use.wire, use.wire_rate, use.rate);
    size_t count = rc_delta_decoder_samples(one, audio), cut = count * (use.mask & 15) / 15;
    for (int turn = 0; turn < 2; turn++) { /* the second delta shows where the first left the stream */
        int16_t *whole = malloc(2 * count + 16), *first = malloc(2 * cut + 1), *second = malloc(2 * (count - cut) + 1);
        rc_cpu_restrict(RC_CPU_ALL);
        size_t expected = decode(one, whole, count, NULL, 0, audio);
        rc_cpu_restrict(use.mask);
        CHECK(decode(two, first, cut, second, count - cut, audio) == expected);
        if (expected == NO_ERROR) {
            CHECK(memcmp(first, whole, 2 * cut) == 0);
            CHECK(memcmp(second, whole + cut, 2 * (count - cut)) == 0);
        }
        free(whole);
        free(first);
        free(second);
        size_t next = rc_delta_decoder_samples(one, audio);
        CHECK(expected == NO_ERROR || next == count);
        count = next;
        cut = cut < count ? cut : count;
    }
    rc_delta_decoder_free(one);
    rc_delta_decoder_free(two);
}

/* The bytes as nearly base64: whole groups, letters, now and then padding where it should not be. */
static void check_letters(setting use, choices input)
{
    static const char letters[] = "Aw=+/AAAAAAAAAAAAAAAAAAAAAAAAAA";
    size_t length = input.left / 4 * 4;
    use.rate = use.wire_rate; /* making resamplers takes long */
    char *text = malloc(length + 1);
    for (size_t n = 0; n < length; n++)
        text[n] = letters[choose_byte(&input) % (sizeof(letters) - 1)];
    check_audio(use, (rc_json_text){text, length});
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t rates[] = {24000, 8000, 48000, 11025};
    choices input = {data, size};
    setting use = {.mask = choose_byte(&input)};
    use.wire = (rc_wire)(choose_byte(&input) % 3);
    use.wire_rate = rates[choose_byte(&input) % 4];
    use.rate = rates[choose_byte(&input) % 4];
    char *message = malloc(input.left + 1);
    memcpy(message, input.at, input.left);
    rc_delta delta;
    rc_text_error error = {0, NULL};
    int result = rc_delta_find(&delta, message, input.left, &error);
    CHECK(result == 0 || result == 1 || (result == RC_EDATA && error.offset <= input.left && error.reason != NULL));
    if (result == 1) {
        char *plain = malloc(delta.item_id.length + 1);
        CHECK(rc_json_unescape(plain, delta.item_id) <= delta.item_id.length);
        free(plain);
        check_audio(use, delta.audio);
    }
    check_letters(use, input);
    rc_cpu_restrict(RC_CPU_ALL);
    free(message);
    return 0;
}
