#include "rc_json.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

enum { MAX_DEPTH = 512 };

const char *rc_json_fail(rc_json *json, const char *at, const char *reason)
{
    *json->error = (rc_text_error){(size_t)(at - json->start), at == json->end ? "the message ends too early" : reason};
    return NULL;
}

/* The place behind `c`, if that stands there (space is skipped before). */
static const char *expect(rc_json *json, const char *at, char c, const char *reason)
{
    at = rc_json_skip_space(json, at);
    return at < json->end && *at == c ? at + 1 : rc_json_fail(json, at, reason);
}

const char *rc_json_colon(rc_json *json, const char *at)
{
    at = expect(json, at, ':', "expected a colon");
    return at == NULL ? NULL : rc_json_skip_space(json, at);
}

/* Strings ------------------------------------------------------------------------------------ */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Behind a backslash. */
static const char *skip_escape(rc_json *json, const char *at)
{
    char c = rc_json_peek(json, at);
    if (c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' || c == 't')
        return at + 1;
    if (c != 'u')
        return rc_json_fail(json, at, "no such escape");
    for (int n = 0; n < 4; n++)
        if (++at == json->end || hex_value(*at) < 0)
            return rc_json_fail(json, at, "expected a hexadecimal digit");
    return at + 1;
}

/* The first that is a quote, a backslash or a control character, or the end. */
static inline const char *skip_plain(const char *at, const char *end)
{
#ifdef __SSE2__ /* part of every x86-64 */
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
    for (; end - at >= 16; at += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i special = _mm_or_si128(_mm_cmpeq_epi8(text, quote), _mm_cmpeq_epi8(text, backslash));
        special = _mm_or_si128(special, _mm_cmpeq_epi8(_mm_max_epu8(text, control), control));
        int found = _mm_movemask_epi8(special);
        if (found != 0)
            return at + __builtin_ctz((unsigned)found);
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

const char *rc_json_string(rc_json *json, const char *at, rc_json_text *text)
{
    if (rc_json_peek(json, at) != '"')
        return rc_json_fail(json, at, "expected a string");
    const char *from = at + 1;
    json->escaped = 0;
    for (at = skip_plain(from, json->end); rc_json_peek(json, at) == '\\'; at = skip_plain(at, json->end)) {
        json->escaped = 1;
        at = skip_escape(json, at + 1);
        if (at == NULL)
            return NULL;
    }
    if (rc_json_peek(json, at) != '"')
        return rc_json_fail(json, at, "control character in a string");
    *text = (rc_json_text){from, (size_t)(at - from)};
    return at + 1;
}

static uint32_t hex_of_four(const char *at)
{
    uint32_t code = 0;
    for (int n = 0; n < 4; n++)
        code = code << 4 | (uint32_t)hex_value(at[n]);
    return code;
}

static char *write_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xe0 | code >> 12);
        } else {
            *to++ = (char)(0xf0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 63));
        }
        *to++ = (char)(0x80 | (code >> 6 & 63));
    }
    *to++ = (char)(0x80 | (code & 63));
    return to;
}

size_t rc_json_unescape(char *out, rc_json_text text)
{
    char *to = out;
    const char *at = text.text, *end = text.text + text.length;
    while (at < end) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        char c = at[1];
        at += 2;
        if (c != 'u') {
            *to++ = c == 'b' ? '\b' : c == 'f' ? '\f' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
            continue;
        }
        uint32_t code = hex_of_four(at);
        at += 4;
        if (code >= 0xd800 && code < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
            uint32_t low = hex_of_four(at + 2);
            if (low >= 0xdc00 && low < 0xe000) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                at += 6;
            }
        }
        to = write_utf8(to, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
    }
    return (size_t)(to - out);
}

/* Other values ------------------------------------------------------------------------------- */

static const char *skip_digits(rc_json *json, const char *at)
{
    if (rc_json_peek(json, at) < '0' || rc_json_peek(json, at) > '9')
        return rc_json_fail(json, at, "expected a digit");
    while (rc_json_peek(json, at) >= '0' && rc_json_peek(json, at) <= '9')
        at++;
    return at;
}

static const char *skip_number(rc_json *json, const char *at)
{
    if (*at == '-')
        at++;
    at = rc_json_peek(json, at) == '0' ? at + 1 : skip_digits(json, at);
    if (at != NULL && rc_json_peek(json, at) == '.')
        at = skip_digits(json, at + 1);
    if (at != NULL && (rc_json_peek(json, at) == 'e' || rc_json_peek(json, at) == 'E')) {
        at++;
        if (rc_json_peek(json, at) == '+' || rc_json_peek(json, at) == '-')
            at++;
        at = skip_digits(json, at);
    }
    return at;
}

static const char *skip_word(rc_json *json, const char *at, const char *word)
{
    for (; *word != '\0'; word++, at++)
        if (rc_json_peek(json, at) != *word)
            return rc_json_fail(json, at, "expected a JSON value");
    return at;
}

static const char *skip_scalar(rc_json *json, const char *at)
{
    rc_json_text ignored;
    switch (rc_json_peek(json, at)) {
    case '"':
        return rc_json_string(json, at, &ignored);
    case 't':
        return skip_word(json, at, "true");
    case 'f':
        return skip_word(json, at, "false");
    case 'n':
        return skip_word(json, at, "null");
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return skip_number(json, at);
    default:
        return rc_json_fail(json, at, "expected a JSON value");
    }
}

static const char *skip_key(rc_json *json, const char *at)
{
    rc_json_text ignored;
    at = rc_json_string(json, rc_json_skip_space(json, at), &ignored);
    return at == NULL ? NULL : rc_json_colon(json, at);
}

/* Open brackets are kept as one bit each, so that the C stack stays flat. */
const char *rc_json_value(rc_json *json, const char *at)
{
    uint64_t is_object[MAX_DEPTH / 64];
    unsigned depth = 0;
    for (;;) {
        char c = rc_json_peek(json, at);
        if (c == '{' || c == '[') {
            if (depth == MAX_DEPTH)
                return rc_json_fail(json, at, "nested too deeply");
            uint64_t bit = UINT64_C(1) << depth % 64;
            is_object[depth / 64] = c == '{' ? is_object[depth / 64] | bit : is_object[depth / 64] & ~bit;
            depth++;
            at = rc_json_skip_space(json, at + 1);
            if (rc_json_peek(json, at) != (c == '{' ? '}' : ']')) {
                if (c == '{' && (at = skip_key(json, at)) == NULL)
                    return NULL;
                continue;
            }
        } else if ((at = skip_scalar(json, at)) == NULL) {
            return NULL;
        }
        /* a value has ended: close what ends with it, up to the next comma */
        for (;;) {
            if (depth == 0)
                return at;
            int object = (int)(is_object[(depth - 1) / 64] >> (depth - 1) % 64 & 1);
            at = rc_json_skip_space(json, at);
            if (rc_json_peek(json, at) == (object ? '}' : ']')) {
                depth--;
                at++;
                continue;
            }
            at = expect(json, at, ',', object ? "expected a comma or a brace" : "expected a comma or a bracket");
            if (at != NULL)
                at = object ? skip_key(json, at) : rc_json_skip_space(json, at);
            if (at == NULL)
                return NULL;
            break;
        }
    }
}
