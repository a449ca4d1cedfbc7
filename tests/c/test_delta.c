/* Messages in memory of exactly their size, so that the sanitizer sees every byte read beyond them. */
#include "check.h"
#include "rc_base64.h"
#include "rc_delta.h"
#include "rc_err.h"

#include <string.h>

static const char head[] = "{\"type\":\"response.output_audio.delta\",\"item_id\":\"i\",\"delta\":\"";

static char *exact(const char *text, size_t length)
{
    char *copy = malloc(length + (length == 0));
    memcpy(copy, text, length);
    return copy;
}

/* Every beginning of a message is refused, and no byte after it is read. */
static void test_truncation(void)
{
    static const char message[] = "{ \"a\" : [ { } , -1.5e3, \"\\u00e9\\n\", true ], \"type\": "
                                  "\"response.output_audio.delta\", \"output_index\": 7, \"delta\": \"AAE=\" } ";
    rc_delta delta;
    rc_text_error error;
    for (size_t length = 0; length < sizeof(message) - 2; length++) {
        char *copy = exact(message, length);
        CHECK(rc_delta_find(&delta, copy, length, &error) == RC_EDATA);
        CHECK(error.offset <= length);
        free(copy);
    }
    CHECK(rc_delta_find(&delta, message, sizeof(message) - 1, &error) == 1);
    CHECK(delta.output_index == 7 && delta.audio.length == 4 && delta.item_id.length == 0);
}

/* Broken messages are refused or recognized, never read past their end. */
static void test_noise(void)
{
    static const char alphabet[] = "{}[]\",:\\u0a9.-eE typdlaA=/\x80\n";
    uint64_t random = 2;
    for (int turn = 0; turn < 20000; turn++) {
        char message[128];
        size_t length = sizeof(head) - 1;
        memcpy(message, head, length);
        memcpy(message + length, "AAE=\",\"x\":[{\"y\":1}]}", 21);
        length += 20;
        for (size_t changes = random_below(&random, 4); changes > 0; changes--)
            message[random_below(&random, length)] = alphabet[random_below(&random, sizeof(alphabet) - 1)];
        length -= random_below(&random, 3);
        char *copy = exact(message, length);
        rc_delta delta;
        rc_text_error error;
        int result = rc_delta_find(&delta, copy, length, &error);
        CHECK(result == 0 || result == 1 || (result == RC_EDATA && error.offset <= length && error.reason != NULL));
        if (result == 1) {
            char *plain = malloc(delta.audio.length + 1);
            CHECK(rc_json_unescape(plain, delta.item_id) <= delta.item_id.length);
            free(plain);
        }
        free(copy);
    }
}

/* The same samples wherever the region wraps, and nothing outside of it. */
static void test_regions(void)
{
    uint64_t random = 3;
    int16_t samples[500];
    char text[1400];
    random_samples(&random, samples, 500);
    for (size_t count = 0; count <= 500; count += 1 + random_below(&random, 9)) {
        rc_json_text audio = {text, rc_base64_encode(text, (const uint8_t *)samples, 2 * count)};
        rc_delta_decoder *decoder = rc_delta_decoder_new(RC_WIRE_PCM, 24000, 24000);
        CHECK(rc_delta_decoder_samples(decoder, audio) == count);
        for (size_t cut = 0; cut <= count; cut++) {
            int16_t *first = malloc(2 * cut + 1), *second = malloc(2 * (count - cut) + 1);
            rc_text_error error;
            rc_ring_region to = {first, cut, second, count - cut};
            CHECK(rc_delta_decoder_decode(decoder, to, audio, &error) == RC_OK);
            CHECK(memcmp(first, samples, 2 * cut) == 0);
            CHECK(memcmp(second, samples + cut, 2 * (count - cut)) == 0);
            if (audio.length > 2) {
                size_t at = random_below(&random, audio.length - 2); /* padding may be wrong before it */
                char was = text[at];
                text[at] = '\n';
                CHECK(rc_delta_decoder_decode(decoder, to, audio, &error) == RC_EDATA && error.offset == at);
                text[at] = was;
            }
            free(first);
            free(second);
        }
        rc_delta_decoder_free(decoder);
    }
}

/* Padding before the end is refused at its first character, wherever the region wraps: in the group
 * before, in that one, behind. */
static void test_padding_inside(void)
{
    enum { GROUPS = 6, SAMPLES = GROUPS * 3 / 2 };
    static const char *const padded[] = {"AA==", "AAA="};
    rc_delta_decoder *decoder = rc_delta_decoder_new(RC_WIRE_PCM, 24000, 24000);
    for (size_t group = 0; group < GROUPS - 1; group++)
        for (size_t kind = 0; kind < 2; kind++)
            for (size_t cut = 0; cut <= SAMPLES; cut++) {
                char text[4 * GROUPS];
                memset(text, 'A', sizeof(text));
                memcpy(text + 4 * group, padded[kind], 4);
                int16_t *first = malloc(2 * cut + 1), *second = malloc(2 * (SAMPLES - cut) + 1);
                rc_ring_region to = {first, cut, second, SAMPLES - cut};
                rc_text_error error;
                CHECK(rc_delta_decoder_decode(decoder, to, (rc_json_text){text, sizeof(text)}, &error) == RC_EDATA);
                CHECK(error.offset == 4 * group + 2 + kind);
                free(first);
                free(second);
            }
    rc_delta_decoder_free(decoder);
}

/* A wire that is 1000 ppm faster than it says gives so many samples fewer, before a reset and after it. */
static void test_pace(void)
{
    static int16_t samples[24000], out[48200];
    static char text[70000];
    rc_json_text audio = {text, rc_base64_encode(text, (const uint8_t *)samples, sizeof(samples))};
    rc_delta_decoder *decoder = rc_delta_decoder_new(RC_WIRE_PCM, 24000, 48000);
    CHECK(rc_delta_decoder_adjust(decoder, 1000) == RC_OK);
    CHECK(rc_delta_decoder_adjust(decoder, 10001) == RC_EINVAL);
    for (int turn = 0; turn < 2; turn++) {
        rc_text_error error;
        size_t count = rc_delta_decoder_samples(decoder, audio);
        CHECK(count >= 47951 && count <= 47954);
        CHECK(rc_delta_decoder_decode(decoder, (rc_ring_region){out, count, out, 0}, audio, &error) == RC_OK);
        rc_delta_decoder_reset(decoder);
    }
    rc_delta_decoder_free(decoder);
    decoder = rc_delta_decoder_new(RC_WIRE_PCM, 24000, 24000);
    CHECK(rc_delta_decoder_adjust(decoder, 1) == RC_EINVAL);
    rc_delta_decoder_free(decoder);
}

static void test_limits(void)
{
    CHECK(rc_delta_decoder_new(RC_WIRE_PCM, 7999, 24000) == NULL);
    CHECK(rc_delta_decoder_new(RC_WIRE_PCM, 24000, 192001) == NULL);
    CHECK(rc_delta_decoder_new((rc_wire)3, 24000, 24000) == NULL);
    rc_delta_decoder_free(NULL);
}

int main(void)
{
    test_truncation();
    test_noise();
    test_regions();
    test_padding_inside();
    test_pace();
    test_limits();
    return 0;
}
