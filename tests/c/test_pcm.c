#include "check.h"
#include "rc_pcm.h"

#include <math.h>
#include <string.h>

static void levels(void)
{
    int16_t samples[] = {0, -32768, 16384, 100};
    CHECK(rc_pcm_peak(samples, 4) == 32768);
    CHECK(rc_pcm_peak(samples + 2, 2) == 16384);
    CHECK(rc_pcm_peak(samples, 0) == 0);
    CHECK(rc_pcm_energy(samples, 2) == (uint64_t)1 << 30);
    CHECK(rc_pcm_dbfs(32768) == 0);
    CHECK(fabs(rc_pcm_dbfs(16384) + 6.0206) < 1e-4);
    CHECK(rc_pcm_dbfs(0) == RC_PCM_FLOOR_DB && rc_pcm_dbfs(1e-9) == RC_PCM_FLOOR_DB);
}

static void gain_ramps_and_limits(void)
{
    int16_t samples[] = {1000, 1000, 1000, 1000};
    rc_pcm_gain(samples, 4, 0, 1);
    CHECK(samples[0] == 0 && samples[1] == 250 && samples[2] == 500 && samples[3] == 750);
    int16_t loud[] = {32767, -32768, 1};
    rc_pcm_gain(loud, 3, 4, 4);
    CHECK(loud[0] == 32767 && loud[1] == -32768 && loud[2] == 4);
    rc_pcm_gain(loud, 3, NAN, NAN);
    CHECK(loud[0] == 0);
    rc_pcm_gain(loud, 0, 0, 1);
    int16_t all[65536], unity[65536];
    for (int i = 0; i < 65536; i++)
        all[i] = unity[i] = (int16_t)i;
    rc_pcm_gain(unity, 65536, 1, 1);
    CHECK(memcmp(all, unity, sizeof(all)) == 0);
}

static void sums_are_limited(void)
{
    int16_t samples[] = {30000, -30000, 5}, more[] = {10000, -10000, -7};
    rc_pcm_add(samples, more, 3);
    CHECK(samples[0] == 32767 && samples[1] == -32768 && samples[2] == -2);
}

static void channels(void)
{
    int16_t stereo[] = {1, 2, -1, -2, 32767, 32767, -32768, -32768}, mono[4], back[12];
    rc_pcm_mix_down(mono, stereo, 4, 2);
    CHECK(mono[0] == 2 && mono[1] == -2 && mono[2] == 32767 && mono[3] == -32768);
    rc_pcm_duplicate(back, mono, 4, 3);
    CHECK(back[0] == 2 && back[2] == 2 && back[3] == -2 && back[11] == -32768);
    rc_pcm_mix_down(back, back, 4, 3); /* in place */
    CHECK(memcmp(back, mono, sizeof(mono)) == 0);
    rc_pcm_interleave(stereo, mono, mono, 4);
    CHECK(stereo[0] == 2 && stereo[1] == 2 && stereo[6] == -32768);
}

static void formats(void)
{
    static int16_t all[65536], back[65536];
    static float floats[65536];
    for (int i = 0; i < 65536; i++)
        all[i] = (int16_t)i;
    rc_pcm_s16_to_f32(floats, all, 65536);
    CHECK(floats[32768] == -1.0f && floats[16384] == 0.5f);
    rc_pcm_f32_to_s16(back, floats, 65536);
    CHECK(memcmp(all, back, sizeof(all)) == 0);
    float odd[] = {2, -2, NAN, INFINITY, -INFINITY, 0.99999f, 1.5f / 32768, 2.5f / 32768};
    rc_pcm_f32_to_s16(back, odd, 8);
    CHECK(back[0] == 32767 && back[1] == -32768 && back[2] == 0 && back[3] == 32767 && back[4] == -32768);
    CHECK(back[5] == 32767 && back[6] == 2 && back[7] == 2); /* halves to even */
}

/* Against loops without lanes, at lengths that leave every rest. */
static void floats(void)
{
    float samples[100], more[100], expected[100];
    uint64_t random = 3;
    for (size_t count = 0; count <= 100; count++) {
        float peak = 0;
        double energy = 0;
        for (size_t i = 0; i < count; i++) {
            samples[i] = (float)(int32_t)random_u32(&random) / 1e9f;
            more[i] = (float)(int32_t)random_u32(&random) / 1e9f;
            peak = fmaxf(peak, fabsf(samples[i]));
            energy += (double)samples[i] * samples[i];
            expected[i] = samples[i] + more[i];
        }
        CHECK(rc_pcm_peak_f32(samples, count) == peak);
        CHECK(fabs(rc_pcm_energy_f32(samples, count) - energy) <= 1e-12 * energy);
        rc_pcm_add_f32(samples, more, count);
        CHECK(memcmp(samples, expected, count * sizeof(float)) == 0);
        for (size_t i = 0; i < count; i++)
            expected[i] = samples[i] * (3 + (float)i * (-4.0f / (float)count)); /* beyond full scale: not limited */
        rc_pcm_gain_f32(samples, count, 3, -1);
        CHECK(memcmp(samples, expected, count * sizeof(float)) == 0);
    }
    float odd[20] = {[3] = NAN, [7] = -2, [19] = NAN};
    CHECK(rc_pcm_peak_f32(odd, 20) == 2 && rc_pcm_energy_f32(odd, 20) == 4);
}

/* A ramp goes on evenly beyond the stretches it is made in. */
static void long_ramps(void)
{
    enum { COUNT = 200000 };
    float *f32 = malloc(COUNT * sizeof(float));
    int16_t *s16 = malloc(COUNT * sizeof(int16_t));
    for (int i = 0; i < COUNT; i++) {
        f32[i] = 1;
        s16[i] = 20000;
    }
    rc_pcm_gain_f32(f32, COUNT, 1, 0);
    rc_pcm_gain(s16, COUNT, 1, 0);
    for (int i = 0; i < COUNT; i++) {
        double gain = 1 - (double)i / COUNT;
        CHECK(fabs(f32[i] - gain) < 1e-6 && fabs(s16[i] - 20000 * gain) < 0.6);
    }
    free(f32);
    free(s16);
}

int main(void)
{
    floats();
    long_ramps();
    levels();
    gain_ramps_and_limits();
    sums_are_limited();
    channels();
    formats();
    return 0;
}
