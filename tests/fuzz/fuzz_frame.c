/* Append messages: what a naive encoder and escaper write. */
#include "fuzz.h"
#include "rc_cpu.h"
#include "rc_frame.h"

#include <stdio.h>
#include <stdlib.h>

const char *const fuzz_seeds[] = {"\1\2\3abcdefgh", "\x1f\x40\x20some audio \" \\ and \n an id", ""};

static char *naive_base64(char *to, const uint8_t *bytes, size_t count)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t n = 0; n < count; n += 3) {
        uint32_t group = (uint32_t)bytes[n] << 16;
        group |= n + 1 < count ? (uint32_t)bytes[n + 1] << 8 : 0;
        group |= n + 2 < count ? bytes[n + 2] : 0u;
        for (int k = 0; k < 4; k++)
            *to++ = n + (size_t)k > count ? '=' : alphabet[group >> (18 - 6 * k) & 63];
    }
    return to;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices input = {data, size};
    rc_cpu_restrict(choose_byte(&input));
    size_t cut = choose(&input, (unsigned)input.left + 1), id_length = choose(&input, 64);
    id_length = id_length < input.left ? id_length : input.left;
    const uint8_t *audio = input.at + id_length;
    size_t bytes = input.left - id_length;
    cut = cut < bytes ? cut : bytes;
    const char *id = (const char *)input.at;

    char *expected = malloc(2 * bytes + 6 * id_length + 200), *to = expected;
    to += sprintf(to, "{\"type\":\"input_audio_buffer.append\",\"audio\":\"");
    to = naive_base64(to, audio, bytes);
    to += sprintf(to, "\",\"event_id\":\"");
    for (size_t n = 0; n < id_length; n++)
        if ((unsigned char)id[n] < 0x20)
            to += sprintf(to, "\\u%04x", (unsigned)id[n]);
        else
            to += id[n] == '"' || id[n] == '\\' ? sprintf(to, "\\%c", id[n]) : (*to = id[n], 1);
    to += sprintf(to, "\"}");

    size_t length = rc_append_size(bytes, id, id_length);
    CHECK(length == (size_t)(to - expected));
    char *message = malloc(length); /* exact: the sanitizer sees one byte too many */
    CHECK(rc_append_write(message, audio, cut, audio + cut, bytes - cut, id, id_length) == length);
    CHECK(memcmp(message, expected, length) == 0);
    free(message);
    free(expected);
    rc_cpu_restrict(RC_CPU_ALL);
    return 0;
}
