/* Whatever was played: what goes on is no louder, ends when it shall, and is the same in any pieces. */
#include "check.h"
#include "rc_conceal.h"

#include <math.h>
#include <string.h>

enum { LONGEST = 6000 };

static void play(rc_conceal *conceal, const int16_t *samples, size_t count)
{
    for (size_t at = 0; at < count; at += RC_CONCEAL_PIECE)
        rc_conceal_remember(conceal, samples + at, count - at < RC_CONCEAL_PIECE ? count - at : RC_CONCEAL_PIECE);
}

static void any_sound_in_any_pieces(uint32_t rate)
{
    static int16_t sound[20000], out[2][LONGEST];
    uint64_t random = rate;
    for (int turn = 0; turn < 40; turn++) {
        int16_t loudest = (int16_t)(random_below(&random, 32000) + 1);
        size_t length = random_below(&random, LONGEST / 2) + 1, count = random_below(&random, 20000);
        for (size_t n = 0; n < count; n++) {
            size_t period = random_below(&random, 100) + rate / 300; /* a hoarse square */
            sound[n] = turn % 2 ? (int16_t)(n / period % 2 ? loudest : -loudest)
                                : (int16_t)((int)random_below(&random, 2 * (size_t)loudest + 1) - loudest);
        }
        for (int pieces = 0; pieces < 2; pieces++) {
            rc_conceal *conceal = rc_conceal_new(rate);
            play(conceal, sound, count);
            memset(out[pieces], 0, sizeof(out[pieces]));
            rc_conceal_add(conceal, out[pieces], 100);
            CHECK(out[pieces][0] == 0); /* nothing was asked for */
            rc_conceal_start(conceal, length);
            CHECK(rc_conceal_left(conceal) == length);
            for (size_t at = 0; at < LONGEST;) {
                size_t piece = pieces == 0 ? LONGEST : random_below(&random, 300) + 1;
                piece = piece < LONGEST - at ? piece : LONGEST - at;
                rc_conceal_add(conceal, out[pieces] + at, piece);
                at += piece;
            }
            CHECK(rc_conceal_left(conceal) == 0);
            rc_conceal_free(conceal);
        }
        CHECK(memcmp(out[0], out[1], sizeof(out[0])) == 0);
        for (size_t n = 0; n < LONGEST; n++) {
            CHECK(n < length || out[0][n] == 0);
            CHECK(abs(out[0][n]) <= (n < length ? (double)loudest * (double)(length - n) / (double)length + 1 : 0));
        }
    }
}

static void a_voice_goes_on_without_a_step(uint32_t rate)
{
    enum { HZ = 140 };
    static int16_t sound[20000], out[LONGEST];
    size_t length = rate * 30 / 1000, count = rate / 10;
    int step = 0;
    for (size_t n = 0; n < count + LONGEST; n++) {
        double phase = 2 * 3.14159265358979 * HZ * (double)n / rate;
        sound[n] = (int16_t)(6000 * sin(phase) + 4000 * sin(2 * phase + 1) + 3000 * sin(5 * phase + 2));
        step = n > 0 && abs(sound[n] - sound[n - 1]) > step ? abs(sound[n] - sound[n - 1]) : step;
    }
    rc_conceal *conceal = rc_conceal_new(rate);
    play(conceal, sound, count);
    memset(out, 0, sizeof(out));
    rc_conceal_start(conceal, length);
    rc_conceal_add(conceal, out, length / 2);
    CHECK(abs(out[0] - sound[count - 1]) < 1.3 * step);
    for (size_t n = 1; n < length / 2; n++) {
        double level = (double)(length - n) / (double)length;
        CHECK(abs(out[n] - out[n - 1]) < 1.3 * step && fabs(out[n] - sound[count + n] * level) < 1500);
    }
    rc_conceal_shorten(conceal, 100);
    CHECK(rc_conceal_left(conceal) == 100);
    rc_conceal_add(conceal, out + length / 2, LONGEST / 2);
    for (size_t n = length / 2; n < length / 2 + 100; n++)
        CHECK(abs(out[n] - out[n - 1]) < 1.3 * step);
    CHECK(out[length / 2 + 50] != 0 && out[length / 2 + 100] == 0);
    rc_conceal_free(conceal);
}

int main(void)
{
    static const uint32_t rates[] = {8000, 11025, 15999, 16000, 24000, 44100, 48000, 192000};
    for (size_t n = 0; n < sizeof(rates) / sizeof(*rates); n++)
        any_sound_in_any_pieces(rates[n]);
    for (size_t n = 3; n < 7; n++)
        a_voice_goes_on_without_a_step(rates[n]);
    rc_conceal_free(NULL);
    return 0;
}
