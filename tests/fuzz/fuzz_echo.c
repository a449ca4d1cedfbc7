/* The echo check: any partition of any two signals, on any instruction set, gives the same
 * probabilities. */
#include "fuzz.h"
#include "rc_cpu.h"
#include "rc_echo.h"

#include <math.h>

const char *const fuzz_seeds[] = {"\1\2\3\4\5\6\7\x08\x09", "\0\0\0\0\0", "\2\x40\x80\xff\xff\x20\x10", ""};

enum { SAMPLES = 4000, HOPS = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t rates[] = {8000, 16000, 22050, 48000};
    static int16_t captured[SAMPLES], played[SAMPLES];
    float whole[HOPS], pieces[HOPS];
    choices input = {data, size};
    uint32_t rate = rates[choose_byte(&input) % 4];
    uint64_t random = choose(&input, 65535) + 1;
    unsigned shape = choose_byte(&input), loudness = choose_byte(&input) % 16, delay = choose(&input, 2000);
    for (size_t n = 0; n < SAMPLES; n++) {
        int noise = (int16_t)random_u32(&random) >> loudness;
        played[n] = (int16_t)(shape % 3 == 0 ? noise : n / (20 + shape % 60) % 2 ? noise : 32767 >> loudness);
        captured[n] = (int16_t)(shape % 2 && n >= delay ? played[n - delay] / 2 : -noise / 3);
    }
    rc_echo *one = rc_echo_new(rate), *two = rc_echo_new(rate);
    rc_cpu_restrict(RC_CPU_ALL);
    size_t hops = rc_echo_hops(one, SAMPLES), done = 0;
    CHECK(hops <= HOPS && rc_echo_process(one, whole, captured, played, SAMPLES) == hops);
    rc_cpu_restrict(choose_byte(&input));
    for (size_t at = 0; at < SAMPLES;) {
        size_t count = 1 + choose(&input, 700);
        count = count < SAMPLES - at ? count : SAMPLES - at;
        size_t expected = rc_echo_hops(two, count);
        CHECK(rc_echo_process(two, pieces + done, captured + at, played + at, count) == expected);
        done += expected;
        at += count;
    }
    CHECK(done == hops);
    for (size_t n = 0; n < hops; n++)
        CHECK(whole[n] >= 0 && whole[n] <= 1 && whole[n] == pieces[n]);
    CHECK(isfinite(rc_echo_reduction_db(one)) && rc_echo_reduction_db(one) == rc_echo_reduction_db(two));
    rc_echo_free(one);
    rc_echo_free(two);
    return 0;
}
