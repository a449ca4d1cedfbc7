#include "rc_frame.h"

#include <stdlib.h>
#include <string.h>

#include "rc_base64.h"
#include "rc_err.h"
#include "rc_g711.h"
#include "rc_resample.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

/* Append message ----------------------------------------------------------------------------- */

#define LITERAL_SIZE(literal) (sizeof(literal) - 1)

static const char append_head[] = "{\"type\":\"input_audio_buffer.append\",\"audio\":\"";
static const char append_id[] = "\",\"event_id\":\"";
static const char append_tail[] = "\"}";

/* Bytes that one byte of text takes inside a JSON string. */
static size_t escaped_size(char c)
{
    return c == '"' || c == '\\' ? 2 : (unsigned char)c < 0x20 ? 6 : 1;
}

static char *write_escaped(char *to, char c)
{
    static const char digits[] = "0123456789abcdef";
    size_t size = escaped_size(c);
    if (size == 6) {
        memcpy(to, "\\u00", 4);
        to[4] = digits[c >> 4];
        to[5] = digits[c & 15];
        return to + 6;
    }
    if (size == 2)
        *to++ = '\\';
    *to = c;
    return to + 1;
}

size_t rc_append_size(size_t audio_bytes, const char *event_id, size_t id_length)
{
    size_t size = LITERAL_SIZE(append_head) + rc_base64_encoded_size(audio_bytes) + LITERAL_SIZE(append_tail);
    if (event_id == NULL)
        return size;
    for (size_t n = 0; n < id_length; n++)
        size += escaped_size(event_id[n]);
    return size + LITERAL_SIZE(append_id);
}

static char *write_bytes(char *to, const char *from, size_t count)
{
    memcpy(to, from, count);
    return to + count;
}

/* Base64 of two pieces as if they were one: the group that straddles them is put together. */
static char *write_base64(char *to, const uint8_t *first, size_t first_bytes, const uint8_t *second,
                          size_t second_bytes)
{
    size_t whole = second_bytes == 0 ? first_bytes : first_bytes - first_bytes % 3;
    to += rc_base64_encode(to, first, whole);
    size_t left = first_bytes - whole;
    if (left > 0) {
        uint8_t group[3];
        size_t taken = 3 - left < second_bytes ? 3 - left : second_bytes;
        memcpy(group, first + whole, left);
        memcpy(group + left, second, taken);
        to += rc_base64_encode(to, group, left + taken);
        second += taken;
        second_bytes -= taken;
    }
    return to + rc_base64_encode(to, second, second_bytes);
}

size_t rc_append_write(char *message, const uint8_t *first, size_t first_bytes, const uint8_t *second,
                       size_t second_bytes, const char *event_id, size_t id_length)
{
    char *to = write_bytes(message, append_head, LITERAL_SIZE(append_head));
    to = write_base64(to, first, first_bytes, second, second_bytes);
    if (event_id != NULL) {
        to = write_bytes(to, append_id, LITERAL_SIZE(append_id));
        for (size_t n = 0; n < id_length; n++)
            to = write_escaped(to, event_id[n]);
    }
    to = write_bytes(to, append_tail, LITERAL_SIZE(append_tail));
    return (size_t)(to - message);
}

/* JSON --------------------------------------------------------------------------------------- */

enum { MAX_DEPTH = 512 };

/* A walk over a message. Every step returns 1, or 0 once `error` says where it stopped. */
typedef struct {
    const char *start;
    const char *at;
    const char *end;
    int escaped; /* whether the string read last holds escapes */
    rc_frame_error *error;
} walk;

static int fail(walk *json, const char *where, const char *reason)
{
    *json->error = (rc_frame_error){(size_t)(where - json->start), reason};
    return 0;
}

static int fail_here(walk *json, const char *reason)
{
    return fail(json, json->at, json->at == json->end ? "the message ends too early" : reason);
}

static void skip_space(walk *json)
{
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
        json->at++;
}

static char peek(const walk *json)
{
    return json->at < json->end ? *json->at : '\0';
}

static int expect(walk *json, char c, const char *reason)
{
    if (peek(json) != c || json->at == json->end)
        return fail_here(json, reason);
    json->at++;
    return 1;
}

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

/* After a backslash. */
static int skip_escape(walk *json)
{
    char c = peek(json);
    if (c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' || c == 't') {
        json->at++;
        return 1;
    }
    if (c != 'u')
        return fail_here(json, "no such escape");
    json->at++;
    for (int n = 0; n < 4; n++, json->at++)
        if (json->at == json->end || hex_value(*json->at) < 0)
            return fail_here(json, "expected a hexadecimal digit");
    return 1;
}

/* Skips what is neither a quote, a backslash nor a control character. */
static inline void skip_plain(walk *json)
{
    const char *at = json->at, *end = json->end;
#ifdef __SSE2__ /* part of every x86-64 */
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
    for (; end - at >= 16; at += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i special = _mm_or_si128(_mm_cmpeq_epi8(text, quote), _mm_cmpeq_epi8(text, backslash));
        special = _mm_or_si128(special, _mm_cmpeq_epi8(_mm_max_epu8(text, control), control));
        int found = _mm_movemask_epi8(special);
        if (found != 0) {
            json->at = at + __builtin_ctz((unsigned)found);
            return;
        }
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    json->at = at;
}

static int read_string(walk *json, rc_json_text *text)
{
    if (!expect(json, '"', "expected a string"))
        return 0;
    text->text = json->at;
    json->escaped = 0;
    for (;;) {
        skip_plain(json);
        char c = peek(json);
        if (c == '"')
            break;
        if (c != '\\')
            return fail_here(json, "control character in a string");
        json->at++;
        json->escaped = 1;
        if (!skip_escape(json))
            return 0;
    }
    text->length = (size_t)(json->at - text->text);
    json->at++;
    return 1;
}

/* A string that is expected to be long and to hold base64, which is checked when it is decoded: its
 * end is the next quote, unless that is escaped. */
static int read_base64_string(walk *json, rc_json_text *text)
{
    if (peek(json) == '"' && json->at < json->end) {
        const char *from = json->at + 1;
        const char *quote = memchr(from, '"', (size_t)(json->end - from));
        if (quote != NULL && quote[-1] != '\\') {
            *text = (rc_json_text){from, (size_t)(quote - from)};
            json->at = quote + 1;
            return 1;
        }
    }
    return read_string(json, text);
}

static int skip_digits(walk *json)
{
    if (peek(json) < '0' || peek(json) > '9')
        return fail_here(json, "expected a digit");
    while (peek(json) >= '0' && peek(json) <= '9')
        json->at++;
    return 1;
}

static int skip_number(walk *json)
{
    if (peek(json) == '-')
        json->at++;
    if (peek(json) == '0')
        json->at++;
    else if (!skip_digits(json))
        return 0;
    if (peek(json) == '.') {
        json->at++;
        if (!skip_digits(json))
            return 0;
    }
    if (peek(json) == 'e' || peek(json) == 'E') {
        json->at++;
        if (peek(json) == '+' || peek(json) == '-')
            json->at++;
        if (!skip_digits(json))
            return 0;
    }
    return 1;
}

static int skip_word(walk *json, const char *word)
{
    for (; *word != '\0'; word++)
        if (!expect(json, *word, "expected a JSON value"))
            return 0;
    return 1;
}

static int skip_scalar(walk *json)
{
    rc_json_text ignored;
    switch (peek(json)) {
    case '"':
        return read_string(json, &ignored);
    case 't':
        return skip_word(json, "true");
    case 'f':
        return skip_word(json, "false");
    case 'n':
        return skip_word(json, "null");
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return skip_number(json);
    default:
        return fail_here(json, "expected a JSON value");
    }
}

static int read_key(walk *json, rc_json_text *key)
{
    skip_space(json);
    if (!read_string(json, key))
        return 0;
    skip_space(json);
    if (!expect(json, ':', "expected a colon"))
        return 0;
    skip_space(json);
    return 1;
}

/* Any value. Open brackets are kept as one bit each, so that the C stack stays flat. */
static int skip_value(walk *json)
{
    uint64_t is_object[MAX_DEPTH / 64];
    rc_json_text key;
    unsigned depth = 0;
    for (;;) {
        char c = peek(json);
        if (c == '{' || c == '[') {
            if (depth == MAX_DEPTH)
                return fail_here(json, "nested too deeply");
            uint64_t bit = UINT64_C(1) << depth % 64;
            is_object[depth / 64] = c == '{' ? is_object[depth / 64] | bit : is_object[depth / 64] & ~bit;
            depth++;
            json->at++;
            skip_space(json);
            if (peek(json) != (c == '{' ? '}' : ']')) {
                if (c == '{' && !read_key(json, &key))
                    return 0;
                continue;
            }
        } else if (!skip_scalar(json)) {
            return 0;
        }
        /* a value has ended: close what ends with it, up to the next comma */
        for (;;) {
            if (depth == 0)
                return 1;
            int object = (int)(is_object[(depth - 1) / 64] >> (depth - 1) % 64 & 1);
            skip_space(json);
            c = peek(json);
            if (c == (object ? '}' : ']')) {
                depth--;
                json->at++;
                continue;
            }
            if (!expect(json, ',', object ? "expected a comma or a brace" : "expected a comma or a bracket"))
                return 0;
            if (object ? !read_key(json, &key) : (skip_space(json), 0))
                return 0;
            break;
        }
    }
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
        uint32_t code = 0;
        for (int n = 0; n < 4; n++)
            code = code << 4 | (uint32_t)hex_value(*at++);
        if (code >= 0xd800 && code < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
            uint32_t low = 0;
            for (int n = 0; n < 4; n++)
                low = low << 4 | (uint32_t)hex_value(at[2 + n]);
            if (low >= 0xdc00 && low < 0xe000) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                at += 6;
            }
        }
        if (code >= 0xd800 && code < 0xe000)
            code = 0xfffd;
        if (code < 0x80) {
            *to++ = (char)code;
        } else if (code < 0x800) {
            *to++ = (char)(0xc0 | code >> 6);
            *to++ = (char)(0x80 | (code & 63));
        } else if (code < 0x10000) {
            *to++ = (char)(0xe0 | code >> 12);
            *to++ = (char)(0x80 | (code >> 6 & 63));
            *to++ = (char)(0x80 | (code & 63));
        } else {
            *to++ = (char)(0xf0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 63));
            *to++ = (char)(0x80 | (code >> 6 & 63));
            *to++ = (char)(0x80 | (code & 63));
        }
    }
    return (size_t)(to - out);
}

/* Delta message ------------------------------------------------------------------------------ */

/* Whether the string read last says `literal`, in escapes or not. */
static inline int says(const walk *json, rc_json_text text, const char *literal, size_t size)
{
    char plain[6 * 32]; /* every character of the longest literal (27) as \u0000 */
    if (!json->escaped)
        return text.length == size && memcmp(text.text, literal, size) == 0;
    return text.length <= 6 * size && rc_json_unescape(plain, text) == size && memcmp(plain, literal, size) == 0;
}

#define SAYS(text, literal) says(json, text, literal, LITERAL_SIZE(literal))

/* What is known of a message before its end is reached. Keys that matter in a delta may stand
 * before the type and mean something else in other messages, so what is wrong with them counts
 * only once the type is known. */
typedef struct {
    rc_delta delta;
    int has_type;
    int has_audio;
    rc_frame_error misfit; /* the first; none when reason is NULL */
} findings;

static int skip_misfit(walk *json, findings *found, const char *reason)
{
    if (found->misfit.reason == NULL)
        found->misfit = (rc_frame_error){(size_t)(json->at - json->start), reason};
    return skip_value(json);
}

/* null counts as left out */
static int read_id(walk *json, findings *found, rc_json_text *text)
{
    text->length = 0;
    if (peek(json) == '"')
        return read_string(json, text);
    if (peek(json) == 'n')
        return skip_word(json, "null");
    return skip_misfit(json, found, "expected a string");
}

static int read_index(walk *json, findings *found, uint32_t *index)
{
    walk ahead = *json;
    uint64_t value = 0;
    *index = 0;
    if (peek(json) == 'n')
        return skip_word(json, "null");
    if (peek(json) == '-' || peek(json) == '"' || !skip_number(&ahead))
        return skip_misfit(json, found, "expected a whole number from 0 to 2147483647");
    for (const char *at = json->at; at < ahead.at; at++)
        if (*at < '0' || *at > '9' || (value = value * 10 + (uint64_t)(*at - '0')) > INT32_MAX)
            return skip_misfit(json, found, "expected a whole number from 0 to 2147483647");
    *index = (uint32_t)value;
    json->at = ahead.at;
    return 1;
}

enum { OTHER_TYPE = 2 };

/* One key and its value: 1 to go on, 0 on an error, OTHER_TYPE when the message is another. */
static int read_member(walk *json, findings *found)
{
    rc_json_text key, type;
    if (!read_key(json, &key))
        return 0;
    if (SAYS(key, "type") && peek(json) == '"') {
        if (!read_string(json, &type))
            return 0;
        found->has_type = 1;
        return SAYS(type, "response.output_audio.delta") || SAYS(type, "response.audio.delta") ? 1 : OTHER_TYPE;
    }
    if (SAYS(key, "delta")) {
        found->has_audio = peek(json) == '"';
        return found->has_audio ? read_base64_string(json, &found->delta.audio)
                                : skip_misfit(json, found, "expected a string of base64");
    }
    if (SAYS(key, "item_id"))
        return read_id(json, found, &found->delta.item_id);
    if (SAYS(key, "response_id"))
        return read_id(json, found, &found->delta.response_id);
    if (SAYS(key, "output_index"))
        return read_index(json, found, &found->delta.output_index);
    if (SAYS(key, "content_index"))
        return read_index(json, found, &found->delta.content_index);
    return skip_value(json);
}

static int read_message(walk *json, findings *found)
{
    skip_space(json);
    if (!expect(json, '{', "expected a JSON object"))
        return 0;
    skip_space(json);
    if (peek(json) == '}') {
        json->at++;
    } else {
        for (;;) {
            int result = read_member(json, found);
            if (result != 1)
                return result;
            skip_space(json);
            if (peek(json) == '}')
                break;
            if (!expect(json, ',', "expected a comma or a brace"))
                return 0;
        }
        json->at++;
    }
    skip_space(json);
    if (json->at != json->end)
        return fail(json, json->at, "something follows the message");
    if (!found->has_type)
        return fail(json, json->at, "the message has no type");
    if (found->misfit.reason != NULL) {
        *json->error = found->misfit;
        return 0;
    }
    return found->has_audio ? 1 : fail(json, json->at, "the message has no audio (key delta)");
}

int rc_delta_find(rc_delta *delta, const char *message, size_t length, rc_frame_error *error)
{
    walk json = {message, message, message + length, 0, error};
    rc_json_text nothing = {message, 0};
    findings found = {{nothing, nothing, nothing, 0, 0}, 0, 0, {0, NULL}};
    switch (read_message(&json, &found)) {
    case 1:
        *delta = found.delta;
        return 1;
    case OTHER_TYPE:
        return 0;
    default:
        return RC_EDATA;
    }
}

/* Audio of deltas ---------------------------------------------------------------------------- */

enum {
    BLOCK_GROUPS = 128,                /* of four characters */
    BLOCK_BYTES = 3 * BLOCK_GROUPS,    /* an even number, so that samples stay whole */
    BLOCK_SAMPLES = BLOCK_BYTES * 24,  /* from 8 to 192 kHz, a byte a sample */
};

struct rc_delta_decoder {
    rc_wire wire;
    rc_resample *resample; /* NULL when the rates are the same */
};

rc_delta_decoder *rc_delta_decoder_new(rc_wire wire, uint32_t wire_rate, uint32_t rate)
{
    if (wire > RC_WIRE_PCMA || wire_rate < RC_RESAMPLE_MIN_RATE || wire_rate > RC_RESAMPLE_MAX_RATE ||
        rate < RC_RESAMPLE_MIN_RATE || rate > RC_RESAMPLE_MAX_RATE)
        return NULL;
    rc_delta_decoder *decoder = calloc(1, sizeof(*decoder));
    if (decoder == NULL)
        return NULL;
    decoder->wire = wire;
    if (wire_rate != rate) {
        decoder->resample = rc_resample_new(wire_rate, rate, RC_RESAMPLE_FAST);
        if (decoder->resample == NULL) {
            free(decoder);
            return NULL;
        }
    }
    return decoder;
}

void rc_delta_decoder_free(rc_delta_decoder *decoder)
{
    if (decoder == NULL)
        return;
    rc_resample_free(decoder->resample);
    free(decoder);
}

void rc_delta_decoder_reset(rc_delta_decoder *decoder)
{
    if (decoder->resample != NULL)
        rc_resample_reset(decoder->resample);
}

size_t rc_delta_decoder_wire_samples(const rc_delta_decoder *decoder, rc_json_text audio)
{
    size_t bytes = rc_base64_decoded_size(audio.text, audio.length);
    return decoder->wire == RC_WIRE_PCM ? bytes / 2 : bytes;
}

size_t rc_delta_decoder_samples(const rc_delta_decoder *decoder, rc_json_text audio)
{
    size_t samples = rc_delta_decoder_wire_samples(decoder, audio);
    return decoder->resample == NULL ? samples : rc_resample_count(decoder->resample, samples);
}

static int refuse(rc_frame_error *error, size_t offset, const char *reason)
{
    *error = (rc_frame_error){offset, reason};
    return RC_EDATA;
}

static int decode_base64(uint8_t *to, const char *text, size_t length, size_t offset, rc_frame_error *error)
{
    size_t wrong;
    if (rc_base64_decode(to, text, length, &wrong) == RC_OK)
        return RC_OK;
    return refuse(error, offset + wrong,
                  wrong == length ? "base64 ends inside a group of four" : "not base64, or not where it stands");
}

/* Base64 straight into the two pieces; the group that straddles them is put together. */
static int decode_in_place(rc_ring_region to, rc_json_text audio, rc_frame_error *error)
{
    size_t first_bytes = to.first_count * sizeof(int16_t);
    uint8_t *first = (uint8_t *)to.first, *second = (uint8_t *)to.second;
    if (to.second_count == 0)
        return decode_base64(first, audio.text, audio.length, 0, error);
    size_t groups = first_bytes / 3, straddling = first_bytes % 3, at = 4 * groups;
    size_t done = rc_base64_decode_groups(first, audio.text, groups);
    if (done < groups) {
        uint8_t group[3];
        if (decode_base64(group, audio.text + 4 * done, 4, 4 * done, error) != RC_OK)
            return RC_EDATA;
        return refuse(error, 4 * done, "base64 is padded before its end");
    }
    if (straddling > 0) {
        uint8_t group[3] = {0};
        size_t length = audio.length - at < 4 ? audio.length - at : 4;
        size_t bytes = rc_base64_decoded_size(audio.text + at, length);
        if (decode_base64(group, audio.text + at, length, at, error) != RC_OK)
            return RC_EDATA;
        memcpy(first + 3 * groups, group, straddling);
        memcpy(second, group + straddling, bytes - straddling);
        second += bytes - straddling;
        at += length;
    }
    return decode_base64(second, audio.text + at, audio.length - at, at, error);
}

static rc_ring_region lay(rc_ring_region to, const int16_t *samples, size_t count)
{
    size_t first = count < to.first_count ? count : to.first_count;
    memcpy(to.first, samples, first * sizeof(int16_t));
    to.first += first;
    to.first_count -= first;
    if (count > first) {
        memcpy(to.second, samples + first, (count - first) * sizeof(int16_t));
        to.second += count - first;
        to.second_count -= count - first;
    }
    return to;
}

/* All of the text, a block at a time, for its errors only: the resampler must not have seen half
 * of a delta that turns out to be broken. */
static int check_base64(rc_json_text audio, rc_frame_error *error)
{
    uint8_t bytes[BLOCK_BYTES];
    size_t at = 0;
    for (; audio.length - at > 4 * BLOCK_GROUPS; at += 4 * BLOCK_GROUPS) {
        size_t done = rc_base64_decode_groups(bytes, audio.text + at, BLOCK_GROUPS);
        if (done < BLOCK_GROUPS) {
            at += 4 * done;
            if (decode_base64(bytes, audio.text + at, 4, at, error) != RC_OK)
                return RC_EDATA;
            return refuse(error, at, "base64 is padded before its end");
        }
    }
    return decode_base64(bytes, audio.text + at, audio.length - at, at, error);
}

/* One block of valid base64 to PCM at the wire's rate; returns the number of samples. */
static size_t decode_block(rc_wire wire, int16_t samples[BLOCK_BYTES], const char *text, size_t length)
{
    uint8_t bytes[BLOCK_BYTES];
    size_t count = rc_base64_decoded_size(text, length), ignored;
    (void)rc_base64_decode(bytes, text, length, &ignored); /* checked before */
    if (wire == RC_WIRE_PCMU) {
        rc_g711_decode_ulaw(samples, bytes, count);
        return count;
    }
    if (wire == RC_WIRE_PCMA) {
        rc_g711_decode_alaw(samples, bytes, count);
        return count;
    }
    memcpy(samples, bytes, count);
    return count / 2;
}

int rc_delta_decoder_decode(rc_delta_decoder *decoder, rc_ring_region to, rc_json_text audio, rc_frame_error *error)
{
    if (decoder->wire == RC_WIRE_PCM && rc_base64_decoded_size(audio.text, audio.length) % 2 != 0) {
        int result = check_base64(audio, error);
        return result == RC_OK ? refuse(error, audio.length, "16-bit audio ends inside a sample") : result;
    }
    if (decoder->wire == RC_WIRE_PCM && decoder->resample == NULL)
        return decode_in_place(to, audio, error);
    if (check_base64(audio, error) != RC_OK)
        return RC_EDATA;
    for (size_t at = 0; at < audio.length; at += 4 * BLOCK_GROUPS) {
        int16_t samples[BLOCK_BYTES], resampled[BLOCK_SAMPLES];
        size_t length = audio.length - at < 4 * BLOCK_GROUPS ? audio.length - at : 4 * BLOCK_GROUPS;
        size_t count = decode_block(decoder->wire, samples, audio.text + at, length);
        if (decoder->resample == NULL)
            to = lay(to, samples, count);
        else
            to = lay(to, resampled, rc_resample_process(decoder->resample, resampled, samples, count));
    }
    return RC_OK;
}

size_t rc_delta_decoder_flush_samples(const rc_delta_decoder *decoder)
{
    return decoder->resample == NULL ? 0 : rc_resample_flush_count(decoder->resample);
}

void rc_delta_decoder_flush(rc_delta_decoder *decoder, int16_t *out)
{
    if (decoder->resample != NULL)
        rc_resample_flush(decoder->resample, out);
}
