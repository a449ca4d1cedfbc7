#include "rc_frame.h"

#include <string.h>

#include "rc_base64.h"

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
