/* Any text: every instruction set agrees with plain C, and what decodes encodes to the same text. */
#include "fuzz.h"
#include "rc_cpu.h"
#include "rc_base64.h"
#include "rc_err.h"

#include <stdlib.h>

const char *const fuzz_seeds[] = {"\37QUJD", "\37QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQQ==", ""};

static int decode(uint8_t *out, const char *text, size_t length, unsigned features, size_t *error)
{
    *error = 0;
    rc_cpu_restrict(features);
    return rc_base64_decode(out, text, length, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices in = {data, size};
    unsigned features = choose_byte(&in);
    char *text = malloc(in.left > 0 ? in.left : 1); /* of the exact size, for the sanitizer */
    memcpy(text, in.at, in.left);
    size_t error, plain_error, bytes = rc_base64_decoded_size(text, in.left);
    uint8_t *out = malloc(bytes + 1), *plain = malloc(bytes + 1);
    int result = decode(out, text, in.left, features, &error);
    CHECK(decode(plain, text, in.left, 0, &plain_error) == result && error == plain_error);
    if (result == RC_OK) {
        CHECK(memcmp(out, plain, bytes) == 0 && rc_base64_encoded_size(bytes) == in.left);
        char *again = malloc(in.left + 1);
        rc_cpu_restrict(features);
        CHECK(rc_base64_encode(again, out, bytes) == in.left && memcmp(again, text, in.left) == 0);
        free(again);
    } else {
        CHECK(error <= in.left);
    }
    free(out);
    free(plain);

    /* and any bytes come back */
    size_t length = rc_base64_encoded_size(in.left);
    char *encoded = malloc(length + 1);
    uint8_t *back = malloc(in.left + 1);
    CHECK(rc_base64_encode(encoded, in.at, in.left) == length);
    CHECK(decode(back, encoded, length, 0, &error) == RC_OK && memcmp(back, in.at, in.left) == 0);
    free(encoded);
    free(text);
    free(back);
    rc_cpu_restrict(RC_CPU_ALL);
    return 0;
}
