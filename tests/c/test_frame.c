/* Messages in buffers of exactly their size, so that the sanitizer sees every byte out of place. */
#include "check.h"
#include "rc_frame.h"

#include <string.h>

/* Audio in two pieces gives the message of one piece, wherever it is cut. */
static void test_append_of_two_pieces(void)
{
    static const char id[] = "quote \" and \n";
    uint64_t random = 1;
    uint8_t audio[64];
    for (size_t n = 0; n < 64; n++)
        audio[n] = (uint8_t)random_u32(&random);
    for (size_t bytes = 0; bytes <= 64; bytes++) {
        size_t size = rc_append_size(bytes, id, sizeof(id) - 1);
        char *whole = malloc(size), *pieces = malloc(size);
        CHECK(rc_append_write(whole, audio, bytes, NULL, 0, id, sizeof(id) - 1) == size);
        CHECK(memcmp(whole + size - 33, "\"event_id\":\"quote \\\" and \\u000a\"}", 33) == 0);
        for (size_t cut = 0; cut <= bytes; cut++) {
            CHECK(rc_append_write(pieces, audio, cut, audio + cut, bytes - cut, id, sizeof(id) - 1) == size);
            CHECK(memcmp(whole, pieces, size) == 0);
        }
        free(whole);
        free(pieces);
    }
}

int main(void)
{
    test_append_of_two_pieces();
    return 0;
}
