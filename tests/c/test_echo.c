/* The echo check in rooms made here: echo alone is nobody, a second voice is somebody. */
#include "check.h"
#include "rc_cpu.h"
#include "rc_echo.h"
#include "rc_vad.h"

#include <math.h>
#include <string.h>

enum { RATE = 16000, SECONDS = 12, COUNT = SECONDS * RATE, HOPS = SECONDS * 100 };

static int16_t played[COUNT], captured[COUNT], voice[COUNT];
static float somebody[HOPS];

/* Coloured noise in syllables of a few tenths of a second: as much like speech as this needs. */
static void talk(int16_t *out, uint64_t seed, double amplitude)
{
    double low = 0, level = 0, target = 0;
    for (int n = 0; n < COUNT; n++) {
        if (n % (RATE / 8) == 0)
            target = random_below(&seed, 4) == 0 ? 0 : (1 + (double)random_below(&seed, 100)) / 100;
        level += 0.002 * (target - level);
        low += 0.3 * ((double)random_u32(&seed) / 4294967296.0 - 0.5 - low);
        out[n] = (int16_t)lrint(low * level * amplitude);
    }
}

/* A direct path and two reflections. */
static void echo_of(double gain, int delay)
{
    static const int after[3] = {0, 37, 410};
    static const double factor[3] = {0.8, -0.5, 0.3};
    for (int n = 0; n < COUNT; n++) {
        double sum = 0;
        for (int k = 0; k < 3; k++)
            sum += n >= delay + after[k] ? factor[k] * played[n - delay - after[k]] : 0;
        captured[n] = (int16_t)lrint(gain * sum);
    }
}

static int count_somebody(int from, int to)
{
    int count = 0;
    for (int hop = from; hop < to; hop++)
        count += somebody[hop] > 0.5f;
    return count;
}

static void run(rc_echo *echo)
{
    CHECK(rc_echo_hops(echo, COUNT) == HOPS);
    CHECK(rc_echo_process(echo, somebody, captured, played, COUNT) == HOPS);
}

static void test_echo_alone_is_nobody_and_a_voice_over_it_is(void)
{
    static const int delays_ms[] = {0, 40, 130, 290};
    static const double gains[] = {0.5, 0.1};
    for (int d = 0; d < 4; d++)
        for (int g = 0; g < 2; g++) {
            talk(played, 11, 40000);
            echo_of(gains[g], delays_ms[d] * RATE / 1000);
            rc_echo *echo = rc_echo_new(RATE);
            run(echo);
            CHECK(count_somebody(0, HOPS) == 0);
            CHECK(rc_echo_reduction_db(echo) > 12);
            rc_echo_reset(echo);
            CHECK(rc_echo_reduction_db(echo) == 0);
            talk(voice, 5, 40000 * gains[g]); /* as loud as the echo */
            for (int n = 6 * RATE; n < 8 * RATE; n++)
                captured[n] = (int16_t)(captured[n] + voice[n]);
            run(echo);
            CHECK(count_somebody(0, 600) == 0);
            CHECK(count_somebody(600, 650) > 10);
            CHECK(count_somebody(600, 800) > 80);
            CHECK(count_somebody(840, HOPS) == 0);
            rc_echo_free(echo);
        }
}

static void test_from_the_first_second(void)
{
    talk(played, 3, 40000);
    talk(voice, 4, 80000);
    rc_echo *echo = rc_echo_new(RATE);
    echo_of(0.1, RATE / 10);
    for (int n = RATE / 2; n < RATE; n++)
        captured[n] = (int16_t)(captured[n] + voice[n]); /* far louder than the echo */
    run(echo);
    CHECK(count_somebody(0, 50) == 0);
    CHECK(count_somebody(50, 100) > 0);
    rc_echo_free(echo);
}

static void test_silence_is_nobody_and_without_playing_any_sound_is_somebody(void)
{
    rc_echo *echo = rc_echo_new(RATE);
    memset(played, 0, sizeof(played));
    memset(captured, 0, sizeof(captured));
    run(echo);
    CHECK(count_somebody(0, HOPS) == 0);
    talk(captured, 9, 20000);
    run(echo);
    CHECK(count_somebody(0, HOPS) > HOPS / 2);
    rc_echo_free(echo);
}

/* Whatever comes in, a probability comes out, as often as announced and as often as from rc_vad. */
static void test_any_input(void)
{
    static const uint32_t rates[] = {8000, 11025, 16000, 44100, 48000, 192000};
    uint64_t random = 2;
    for (size_t r = 0; r < sizeof(rates) / sizeof(*rates); r++) {
        rc_echo *echo = rc_echo_new(rates[r]);
        rc_vad *vad = rc_vad_new(rates[r], NULL);
        for (int turn = 0; turn < 30; turn++) {
            size_t count = random_below(&random, 4000);
            random_samples(&random, captured, count);
            random_samples(&random, played, count);
            for (size_t n = 0; n < count; n++) {
                if (turn % 4 == 1)
                    captured[n] = n / 40 % 2 ? INT16_MAX : INT16_MIN;
                else if (turn % 4 == 2)
                    played[n] = 0;
                else if (turn % 4 == 3)
                    captured[n] = played[n];
            }
            size_t expected = rc_echo_hops(echo, count);
            CHECK(expected == rc_vad_hops(vad, count));
            rc_vad_process(vad, somebody, captured, count);
            CHECK(rc_echo_process(echo, somebody, captured, played, count) == expected);
            for (size_t n = 0; n < expected; n++)
                CHECK(somebody[n] >= 0 && somebody[n] <= 1);
            CHECK(isfinite(rc_echo_reduction_db(echo)));
        }
        rc_echo_free(echo);
        rc_vad_free(vad);
    }
    CHECK(rc_echo_new(7999) == NULL && rc_echo_new(192001) == NULL);
    rc_echo_free(NULL);
}

static void test_instruction_sets_agree(void)
{
    static float plain[HOPS];
    talk(played, 21, 40000);
    echo_of(0.3, RATE / 20);
    rc_echo *echo = rc_echo_new(RATE);
    rc_cpu_restrict(0);
    CHECK(rc_echo_process(echo, plain, captured, played, COUNT) == HOPS);
    float reduction = rc_echo_reduction_db(echo);
    rc_cpu_restrict(RC_CPU_ALL);
    rc_echo_reset(echo);
    run(echo);
    for (int hop = 0; hop < HOPS; hop++)
        CHECK(somebody[hop] == plain[hop]);
    CHECK(rc_echo_reduction_db(echo) == reduction);
    rc_echo_free(echo);
}

int main(void)
{
    test_instruction_sets_agree();
    test_echo_alone_is_nobody_and_a_voice_over_it_is();
    test_from_the_first_second();
    test_silence_is_nobody_and_without_playing_any_sound_is_somebody();
    test_any_input();
    return 0;
}
