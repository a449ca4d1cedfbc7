/* Values are read to their end or refused at the byte that is wrong; escapes become UTF-8. */
#include "check.h"
#include "rc_json.h"

#include <string.h>

/* The offset behind the value that `text` begins with, or minus that of the error, minus 1. */
static long read(const char *text)
{
    size_t length = strlen(text);
    char *copy = malloc(length + (length == 0)); /* of the exact size, for the sanitizer */
    memcpy(copy, text, length);
    rc_text_error error = {0, NULL};
    rc_json json = {copy, copy + length, &error, 0};
    const char *end = rc_json_value(&json, copy);
    long result = end != NULL ? (long)(end - copy) : -(long)error.offset - 1;
    CHECK((end == NULL) == (error.reason != NULL) && error.offset <= length);
    free(copy);
    return result;
}

static void test_values(void)
{
    static const char *const values[] = {
        "null", "true", "false", "0", "-0", "12", "-1.5e+30", "2E7", "\"\"", "\"a \\\" \\u00e9\"", "[]", "{}", "[[],{}]",
        "[1, [2 , 3 ] ,{\"a\" : {\"b\":[ ] } , \"c\":null}]", "\"sixteen characters and more of them\"",
    };
    for (size_t n = 0; n < sizeof(values) / sizeof(*values); n++) {
        char more[128];
        CHECK(read(values[n]) == (long)strlen(values[n]));
        snprintf(more, sizeof(more), "%s ,", values[n]);
        CHECK(read(more) == (long)strlen(values[n]));
    }
}

static void test_errors(void)
{
    static const struct {
        const char *text;
        long offset;
    } broken[] = {
        {"", 0}, {"x", 0}, {"nul", 3}, {"nulL", 3}, {"-", 1}, {"-x", 1}, {"1.", 2}, {"1.x", 2}, {"1e", 2}, {"1e+", 3},
        {"\"", 1}, {"\"a\n\"", 2}, {"\"\\", 2}, {"\"\\x\"", 2}, {"\"\\u12", 5}, {"\"\\u12g4\"", 5}, {"[", 1}, {"[1", 2},
        {"[1 2]", 3}, {"[1,]", 3}, {"[1}", 2}, {"{", 1}, {"{\"a\"}", 4}, {"{\"a\":}", 5}, {"{\"a\":1]", 6}, {"{1:2}", 1},
    };
    for (size_t n = 0; n < sizeof(broken) / sizeof(*broken); n++)
        CHECK(read(broken[n].text) == -broken[n].offset - 1);
}

static void test_depth(void)
{
    char text[2 * 513 + 1] = {0};
    memset(text, '[', 512);
    memset(text + 512, ']', 512);
    CHECK(read(text) == 1024);
    memset(text, '[', 513);
    memset(text + 513, ']', 513);
    CHECK(read(text) == -513);
}

static void test_unescape(void)
{
    static const char text[] = "\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83c\\udfa7\\ud83c\\u0041\\udfa7\\ud83c";
    static const char plain[] = "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\xa7\xef\xbf\xbd" "A\xef\xbf\xbd\xef\xbf\xbd";
    char out[sizeof(text)];
    CHECK(rc_json_unescape(out, (rc_json_text){text, sizeof(text) - 1}) == sizeof(plain) - 1);
    CHECK(memcmp(out, plain, sizeof(plain) - 1) == 0);
}

int main(void)
{
    test_values();
    test_errors();
    test_depth();
    test_unescape();
    return 0;
}
