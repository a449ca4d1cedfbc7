/* JSON text (RFC 8259) read value by value: no tree, no allocation, a flat stack.
 *
 * A reader takes the place of a value in the text and returns the place behind it, or NULL once
 * `error` says what is wrong and where. Strings stay as they were sent, escapes and all; whether
 * they are UTF-8 is not checked. Any thread.
 */
#ifndef RC_JSON_H
#define RC_JSON_H

#include <stddef.h>
#include <stdint.h>

/* What is wrong and where: bytes from the beginning of the text. */
typedef struct {
    size_t offset;
    const char *reason;
} rc_text_error;

/* A string inside the text, between its quotes. */
typedef struct {
    const char *text;
    size_t length;
} rc_json_text;

typedef struct {
    const char *start;
    const char *end;
    rc_text_error *error;
    int escaped; /* whether the string read last holds escapes */
} rc_json;

/* Sets the error, which is that the text has ended when `at` is its end; NULL. */
const char *rc_json_fail(rc_json *json, const char *at, const char *reason);

/* A string; a colon and the space around it; any value, at most 512 brackets deep. */
const char *rc_json_string(rc_json *json, const char *at, rc_json_text *text);
const char *rc_json_colon(rc_json *json, const char *at);
const char *rc_json_value(rc_json *json, const char *at);

/* Resolves the escapes of a string into at most `length` bytes of UTF-8; returns their number. A
 * lone surrogate, which UTF-8 cannot say, becomes U+FFFD. */
size_t rc_json_unescape(char *out, rc_json_text text);

/* The character there, zero at the end of the text. */
static inline char rc_json_peek(const rc_json *json, const char *at)
{
    return at < json->end ? *at : '\0';
}

static inline const char *rc_json_skip_space(const rc_json *json, const char *at)
{
    const uint64_t spaces = UINT64_C(1) << ' ' | 1 << '\n' | 1 << '\r' | 1 << '\t';
    while (at < json->end && (unsigned char)*at <= ' ' && (spaces >> *at & 1))
        at++;
    return at;
}

#endif
