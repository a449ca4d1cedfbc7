#include "check.h"
#include "rc_base64.h"
#include "rc_err.h"

#include <string.h>

/* Buffers of the exact size, so that a sanitizer sees one byte too many. */
static char *encoded(const uint8_t *bytes, size_t count)
{
    char *text = malloc(rc_base64_encoded_size(count) + (count == 0));
    CHECK(rc_base64_encode(text, bytes, count) == rc_base64_encoded_size(count));
    return text;
}

static int decodes_to(const char *text, const char *want)
{
    size_t length = strlen(text), size = rc_base64_decoded_size(text, length), error;
    uint8_t *bytes = malloc(size + 1);
    int fits = rc_base64_decode(bytes, text, length, &error) == RC_OK && size == strlen(want) &&
               memcmp(bytes, want, size) == 0;
    free(bytes);
    return fits;
}

static size_t error_in(const char *text, size_t length)
{
    size_t error = SIZE_MAX;
    uint8_t *bytes = malloc(rc_base64_decoded_size(text, length) + 1);
    CHECK(rc_base64_decode(bytes, text, length, &error) == RC_EDATA);
    free(bytes);
    return error;
}

static void vectors_of_rfc_4648(void)
{
    static const char *const pairs[][2] = {{"", ""},           {"f", "Zg=="},         {"fo", "Zm8="},
                                           {"foo", "Zm9v"},    {"foob", "Zm9vYg=="},  {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        char *text = encoded((const uint8_t *)pairs[i][0], strlen(pairs[i][0]));
        CHECK(memcmp(text, pairs[i][1], strlen(pairs[i][1])) == 0);
        free(text);
        CHECK(decodes_to(pairs[i][1], pairs[i][0]));
    }
}

static void every_length_comes_back(void)
{
    uint64_t random = 3;
    for (size_t count = 0; count < 700; count++) {
        uint8_t *bytes = malloc(count + 1), *back = malloc(count + 1);
        for (size_t i = 0; i < count; i++)
            bytes[i] = (uint8_t)random_u32(&random);
        char *text = encoded(bytes, count);
        size_t error, length = rc_base64_encoded_size(count);
        CHECK(rc_base64_decoded_size(text, length) == count);
        CHECK(rc_base64_decode(back, text, length, &error) == RC_OK);
        CHECK(memcmp(bytes, back, count) == 0);
        free(text);
        free(bytes);
        free(back);
    }
}

static void the_error_is_where_it_is(void)
{
    static const struct {
        const char *text;
        size_t offset;
    } cases[] = {
        {"A", 1},     {"AB", 2},    {"ABC", 3},      {"AB=", 2},       {"A===", 1},     {"====", 0}, {"AA=A", 2},
        {"AB==", 1},  {"AAB=", 2},  {"QQ==QQ==", 2}, {"QUJD QUJ", 4},  {"QUJDQUJ\n", 7}, {"-AAA", 0}, {"AAA_", 3},
        {"QUJDA", 5}, {"QUJD*", 4}, {"QUJD=", 4},    {"\x80QUJ", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        CHECK(error_in(cases[i].text, strlen(cases[i].text)) == cases[i].offset);
    /* a bad character anywhere in a long text, whatever register it falls into */
    char text[400];
    for (size_t at = 0; at < sizeof(text); at++) {
        static const char bad[] = {'=', ' ', '-', '\0', (char)0xC1, (char)0xFF, '@', '[', '`', '{', ',', ':'};
        memset(text, 'x', sizeof(text));
        text[at] = bad[at % sizeof(bad)];
        if (text[at] == '=' && at >= sizeof(text) - 1)
            continue;
        CHECK(error_in(text, sizeof(text)) == at);
    }
}

static void groups_stop_at_the_first_that_is_none(void)
{
    uint8_t bytes[300];
    char text[401];
    memset(text, 'Q', sizeof(text));
    CHECK(rc_base64_decode_groups(bytes, text, 100) == 100);
    text[302] = '=';
    CHECK(rc_base64_decode_groups(bytes, text, 100) == 75);
}

int main(void)
{
    vectors_of_rfc_4648();
    every_length_comes_back();
    the_error_is_where_it_is();
    groups_stop_at_the_first_that_is_none();
    return 0;
}
