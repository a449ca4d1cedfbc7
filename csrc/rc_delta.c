#include "rc_delta.h"

#include <stdlib.h>
#include <string.h>

#include "rc_base64.h"
#include "rc_err.h"
#include "rc_g711.h"
#include "rc_resample.h"

static int refuse(rc_text_error *error, size_t offset, const char *reason)
{
    *error = (rc_text_error){offset, reason};
    return RC_EDATA;
}

/* The message -------------------------------------------------------------------------------- */

/* The message is read by its keys that matter. Nearly always they stand there without escapes, so
 * they are compared where they stand, in their quotes: that is quicker than reading any string. */
typedef enum { OTHER, TYPE, DELTA, ITEM_ID, RESPONSE_ID, OUTPUT_INDEX, CONTENT_INDEX } key_name;

static inline int begins(const char *text, size_t length, const char *with, size_t size)
{
    return length >= size && memcmp(text, with, size) == 0;
}

#define BEGINS(literal) begins(text, length, literal, sizeof(literal) - 1)

static inline key_name key_at(const char *text, size_t length)
{
    return BEGINS("\"type\"")            ? TYPE
           : BEGINS("\"delta\"")         ? DELTA
           : BEGINS("\"item_id\"")       ? ITEM_ID
           : BEGINS("\"response_id\"")   ? RESPONSE_ID
           : BEGINS("\"output_index\"")  ? OUTPUT_INDEX
           : BEGINS("\"content_index\"") ? CONTENT_INDEX
                                         : OTHER;
}

/* A key, its colon and the space around them. */
static inline const char *read_key(rc_json *json, const char *at, key_name *name)
{
    static const unsigned char sizes[] = {0, 6, 7, 9, 13, 14, 15};
    char plain[6 * 13 + 2]; /* every character of the longest key as \u0000 */
    rc_json_text key;
    *name = key_at(at, (size_t)(json->end - at));
    if (*name != OTHER)
        return rc_json_colon(json, at + sizes[*name]);
    at = rc_json_string(json, at, &key);
    if (at == NULL)
        return NULL;
    if (json->escaped && key.length <= 6 * 13) {
        size_t length = rc_json_unescape(plain + 1, key);
        plain[0] = plain[length + 1] = '"';
        *name = key_at(plain, length + 2);
    }
    return rc_json_colon(json, at);
}

/* What is known of a message before its end is reached. Keys that matter in a delta may stand
 * before the type and mean something else in other messages, or be given again, so what is wrong
 * with them counts only at the end. */
typedef struct {
    rc_delta delta;
    int is_delta;
    int is_other;
    int has_audio;
    unsigned misfit; /* a bit for each key whose value does not fit where it stood last, */
    rc_text_error misfits[CONTENT_INDEX + 1]; /* and why */
} findings;

static void note_misfit(const rc_json *json, findings *found, key_name key, const char *at, const char *reason)
{
    found->misfit |= 1u << key;
    found->misfits[key] = (rc_text_error){(size_t)(at - json->start), reason};
}

static rc_text_error first_misfit(const findings *found)
{
    rc_text_error first = {SIZE_MAX, NULL};
    for (int key = 0; key <= CONTENT_INDEX; key++)
        if (found->misfit >> key & 1 && found->misfits[key].offset < first.offset)
            first = found->misfits[key];
    return first;
}

/* The audio is expected to be long, and base64, which is checked when it is decoded: its end is the
 * next quote, unless that is escaped. */
static const char *read_audio(rc_json *json, const char *at, findings *found)
{
    found->has_audio = rc_json_peek(json, at) == '"';
    if (!found->has_audio) {
        note_misfit(json, found, DELTA, at, "expected a string of base64");
        return rc_json_value(json, at);
    }
    const char *from = at + 1;
    const char *quote = memchr(from, '"', (size_t)(json->end - from));
    if (quote == NULL || quote[-1] == '\\')
        return rc_json_string(json, at, &found->delta.audio);
    found->delta.audio = (rc_json_text){from, (size_t)(quote - from)};
    return quote + 1;
}

/* null counts as left out */
static const char *read_id(rc_json *json, const char *at, findings *found, key_name key, rc_json_text *id)
{
    if (rc_json_peek(json, at) == '"')
        return rc_json_string(json, at, id);
    id->length = 0;
    if (rc_json_peek(json, at) != 'n')
        note_misfit(json, found, key, at, "expected a string");
    return rc_json_value(json, at);
}

static const char *read_index(rc_json *json, const char *at, findings *found, key_name key, uint32_t *index)
{
    const char *end = rc_json_value(json, at);
    uint64_t value = 0;
    *index = 0;
    if (end == NULL || *at == 'n')
        return end;
    for (const char *digit = at; digit < end; digit++) {
        value = value * 10 + (uint64_t)(*digit - '0');
        if (*digit < '0' || *digit > '9' || value > INT32_MAX) {
            note_misfit(json, found, key, at, "expected a whole number from 0 to 2147483647");
            return end;
        }
    }
    *index = (uint32_t)value;
    return end;
}

static int says(rc_json_text text, const char *what)
{
    return text.length == strlen(what) && memcmp(text.text, what, text.length) == 0;
}

static const char *read_type(rc_json *json, const char *at, findings *found)
{
    char plain[6 * 27]; /* every character of the longer type as \u0000 */
    rc_json_text type;
    found->is_delta = 0;
    if (rc_json_peek(json, at) != '"')
        return rc_json_value(json, at);
    at = rc_json_string(json, at, &type);
    if (at == NULL)
        return NULL;
    if (json->escaped && type.length <= sizeof(plain))
        type = (rc_json_text){plain, rc_json_unescape(plain, type)};
    found->is_delta = says(type, "response.output_audio.delta") || says(type, "response.audio.delta");
    found->is_other = !found->is_delta;
    return at;
}

static const char *read_member(rc_json *json, const char *at, findings *found)
{
    key_name key;
    at = read_key(json, rc_json_skip_space(json, at), &key);
    if (at == NULL)
        return NULL;
    found->misfit &= ~(1u << key);
    switch (key) {
    case TYPE:
        return read_type(json, at, found);
    case DELTA:
        return read_audio(json, at, found);
    case ITEM_ID:
        return read_id(json, at, found, ITEM_ID, &found->delta.item_id);
    case RESPONSE_ID:
        return read_id(json, at, found, RESPONSE_ID, &found->delta.response_id);
    case OUTPUT_INDEX:
        return read_index(json, at, found, OUTPUT_INDEX, &found->delta.output_index);
    case CONTENT_INDEX:
        return read_index(json, at, found, CONTENT_INDEX, &found->delta.content_index);
    default:
        return rc_json_value(json, at);
    }
}

/* The place behind the message; that behind the type when it is another; NULL on an error. */
static const char *read_message(rc_json *json, findings *found)
{
    const char *at = rc_json_skip_space(json, json->start);
    if (rc_json_peek(json, at) != '{')
        return rc_json_fail(json, at, "expected a JSON object");
    at = rc_json_skip_space(json, at + 1);
    if (rc_json_peek(json, at) == '}')
        return at + 1;
    for (;; at++) {
        at = read_member(json, at, found);
        if (at == NULL || found->is_other)
            return at;
        at = rc_json_skip_space(json, at);
        if (rc_json_peek(json, at) == '}')
            return at + 1;
        if (rc_json_peek(json, at) != ',')
            return rc_json_fail(json, at, "expected a comma or a brace");
    }
}

int rc_delta_find(rc_delta *delta, const char *message, size_t length, rc_text_error *error)
{
    rc_json json = {message, message + length, error, 0};
    rc_json_text nothing = {message, 0};
    findings found;
    found.delta = (rc_delta){nothing, nothing, nothing, 0, 0};
    found.is_delta = found.is_other = found.has_audio = 0;
    found.misfit = 0;
    const char *end = read_message(&json, &found);
    if (end == NULL)
        return RC_EDATA;
    if (found.is_other)
        return 0;
    end = rc_json_skip_space(&json, end);
    if (end != json.end)
        return refuse(error, (size_t)(end - message), "something follows the message");
    if (!found.is_delta)
        return refuse(error, length, "the message has no type");
    if (found.misfit != 0) {
        *error = first_misfit(&found);
        return RC_EDATA;
    }
    if (!found.has_audio)
        return refuse(error, length, "the message has no audio (key delta)");
    *delta = found.delta;
    return 1;
}

/* The audio ---------------------------------------------------------------------------------- */

enum {
    BLOCK_GROUPS = 128,                /* of four characters */
    BLOCK_BYTES = 3 * BLOCK_GROUPS,    /* an even number, so that samples stay whole */
    BLOCK_SAMPLES = BLOCK_BYTES * 25,  /* from 8 to 192 kHz, a byte a sample, and 1 % for an adjusted pace */
};

struct rc_delta_decoder {
    rc_wire wire;
    rc_resample *resample; /* NULL when the rates are the same */
    double ppm;
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
    if (decoder->resample == NULL)
        return;
    rc_resample_reset(decoder->resample);
    rc_resample_adjust(decoder->resample, decoder->ppm);
}

int rc_delta_decoder_adjust(rc_delta_decoder *decoder, double ppm)
{
    if (decoder->resample == NULL || rc_resample_adjust(decoder->resample, ppm) != RC_OK)
        return RC_EINVAL;
    decoder->ppm = ppm;
    return RC_OK;
}

size_t rc_delta_decoder_wire_samples(const rc_delta_decoder *decoder, rc_json_text audio)
{
    size_t bytes = rc_base64_decoded_size(audio.text, audio.length);
    return decoder->wire == RC_WIRE_PCM ? bytes / 2 : bytes;
}

size_t rc_delta_decoder_samples(const rc_delta_decoder *decoder, rc_json_text audio)
{
    size_t samples = rc_delta_decoder_wire_samples(decoder, audio);
    if (samples > RC_RESAMPLE_MAX_INPUT)
        return 0;
    return decoder->resample == NULL ? samples : rc_resample_count(decoder->resample, samples);
}

static int decode_base64(uint8_t *to, const char *text, size_t length, size_t offset, rc_text_error *error)
{
    size_t wrong;
    if (rc_base64_decode(to, text, length, &wrong) == RC_OK)
        return RC_OK;
    return refuse(error, offset + wrong,
                  wrong == length ? "base64 ends inside a group of four" : "not base64, or not where it stands");
}

/* Says what is wrong with the group at `at`. More text follows it, so padding is wrong there too: with
 * one character more it is not the end. */
static int refuse_group(rc_json_text audio, size_t at, rc_text_error *error)
{
    uint8_t group[3];
    return decode_base64(group, audio.text + at, 5, at, error);
}

/* Base64 straight into the two pieces; the group that straddles them is put together. */
static int decode_in_place(rc_ring_region to, rc_json_text audio, rc_text_error *error)
{
    size_t first_bytes = to.first_count * sizeof(int16_t);
    uint8_t *first = (uint8_t *)to.first, *second = (uint8_t *)to.second;
    if (to.second_count == 0)
        return decode_base64(first, audio.text, audio.length, 0, error);
    size_t groups = first_bytes / 3, straddling = first_bytes % 3, at = 4 * groups;
    size_t done = rc_base64_decode_groups(first, audio.text, groups);
    if (done < groups)
        return refuse_group(audio, 4 * done, error);
    if (straddling > 0) {
        uint8_t group[3] = {0};
        size_t length = audio.length - at < 4 ? audio.length - at : 4;
        size_t bytes = rc_base64_decoded_size(audio.text + at, length);
        if (audio.length - at > 4 && rc_base64_decode_groups(group, audio.text + at, 1) == 0)
            return refuse_group(audio, at, error);
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
static int check_base64(rc_json_text audio, rc_text_error *error)
{
    uint8_t bytes[BLOCK_BYTES];
    size_t at = 0;
    for (; audio.length - at > 4 * BLOCK_GROUPS; at += 4 * BLOCK_GROUPS) {
        size_t done = rc_base64_decode_groups(bytes, audio.text + at, BLOCK_GROUPS);
        if (done < BLOCK_GROUPS)
            return refuse_group(audio, at + 4 * done, error);
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

int rc_delta_decoder_decode(rc_delta_decoder *decoder, rc_ring_region to, rc_json_text audio, rc_text_error *error)
{
    if (rc_delta_decoder_wire_samples(decoder, audio) > RC_RESAMPLE_MAX_INPUT)
        return refuse(error, 0, "too much audio for one message");
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
