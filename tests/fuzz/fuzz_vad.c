/* The light detector and the file that brings the other one's network: any partition of any input
 * gives the same probabilities; any bytes are refused as a file. */
#include "fuzz.h"
#include "rc_err.h"
#include "rc_vad.h"

const char *const fuzz_seeds[] = {"\1\2\3\4\5\6\7\x08\x09", "lmgg\n", "\x40\x80\xff\xff\x20", ""};

enum { SAMPLES = 3000, HOPS = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t rates[] = {8000, 16000, 22050, 48000};
    static int16_t samples[SAMPLES];
    float whole[2 * HOPS], pieces[2 * HOPS];
    int error;
    CHECK(rc_silero_new(data, size, &error) == NULL && error == RC_EDATA);

    choices input = {data, size};
    uint32_t rate = rates[choose_byte(&input) % 4];
    uint64_t random = choose(&input, 65535) + 1;
    unsigned shape = choose_byte(&input), loudness = choose_byte(&input) % 16;
    for (size_t n = 0; n < SAMPLES; n++) {
        int noise = (int16_t)random_u32(&random) >> loudness;
        samples[n] = (int16_t)(shape % 3 == 0 ? noise : n / (20 + shape % 60) % 2 ? noise : 32767 >> loudness);
    }
    rc_vad *one = rc_vad_new(rate, NULL), *two = rc_vad_new(rate, NULL);
    size_t hops = rc_vad_hops(one, SAMPLES), done = 0;
    CHECK(hops <= HOPS && rc_vad_process(one, whole, samples, SAMPLES) == hops);
    for (size_t at = 0; at < SAMPLES;) {
        size_t count = 1 + choose(&input, 700);
        count = count < SAMPLES - at ? count : SAMPLES - at;
        size_t expected = rc_vad_hops(two, count);
        CHECK(rc_vad_process(two, pieces + done, samples + at, count) == expected);
        done += expected;
        at += count;
    }
    CHECK(done == hops);
    for (size_t n = 0; n < hops; n++)
        CHECK(whole[n] >= 0 && whole[n] <= 1 && whole[n] == pieces[n]);
    rc_vad_free(one);
    rc_vad_free(two);
    return 0;
}
