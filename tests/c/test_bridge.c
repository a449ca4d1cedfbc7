#include "check.h"
#include "rc_bridge.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define PI 3.14159265358979323846

static rc_duplex *new_duplex(uint32_t rate)
{
    rc_duplex_config config = {rate, 1, 1, rate, rate, 0, 0, 0, NULL, NULL};
    rc_duplex *duplex = rc_duplex_new(&config);
    CHECK(duplex != NULL);
    return duplex;
}

static rc_bridge *new_bridge(rc_duplex *duplex, const rc_bridge_config *config)
{
    rc_bridge *bridge = rc_bridge_new(duplex, config);
    CHECK(bridge != NULL);
    return bridge;
}

static rc_bridge_stats stats_of(const rc_bridge *bridge)
{
    rc_bridge_stats stats;
    rc_bridge_get_stats(bridge, &stats);
    return stats;
}

static void configuration_is_checked(void)
{
    rc_duplex *duplex = new_duplex(48000);
    rc_bridge_config good = {48000, 44100, 16000, 2, 2, 2, 0, 0, 0}, bad;
    rc_bridge_free(new_bridge(duplex, &good));
    bad = good, bad.capture_rate = 7999;
    CHECK(rc_bridge_new(duplex, &bad) == NULL);
    bad = good, bad.capture_channel = 3;
    CHECK(rc_bridge_new(duplex, &bad) == NULL);
    bad = good, bad.playout_channels = 33;
    CHECK(rc_bridge_new(duplex, &bad) == NULL);
    bad = good, bad.capture_block = 480;
    CHECK(rc_bridge_new(duplex, &bad) == NULL);
    rc_bridge_free(NULL);
    rc_duplex_free(duplex);
}

/* Amplitude of `hertz` in the samples, by their product with a sine and a cosine. */
static double amplitude(const int16_t *samples, size_t count, double hertz, double rate)
{
    double re = 0, im = 0;
    for (size_t i = 0; i < count; i++) {
        re += samples[i] * cos(2 * PI * hertz * (double)i / rate);
        im += samples[i] * sin(2 * PI * hertz * (double)i / rate);
    }
    return 2 * sqrt(re * re + im * im) / (double)count;
}

/* A tone from a device at one rate into the duplex at another, and another tone the other way, in blocks of any size. */
static void rates_and_channels_are_bridged(uint32_t rate, uint32_t device_rate)
{
    enum { SECONDS = 2, CHANNELS = 3 };
    static int16_t in[192000 * CHANNELS], out[192000 * CHANNELS], tone[48000 * SECONDS], heard[192000 * SECONDS];
    uint64_t random = rate + device_rate;
    rc_duplex *duplex = new_duplex(rate);
    rc_bridge_config config = {rate, device_rate, device_rate, CHANNELS, CHANNELS, 2, 3, 0, 0};
    rc_bridge *bridge = new_bridge(duplex, &config);
    size_t spoken = 0, fed = 0, taken = 0, sounded = 0, total = (size_t)device_rate * SECONDS;
    for (size_t i = 0; i < (size_t)rate * SECONDS; i++)
        tone[i] = (int16_t)lround(10000 * sin(2 * PI * 700 * (double)i / rate));
    static int16_t captured[48000 * SECONDS + 48000];
    while (spoken < total) {
        size_t frames = 1 + random_below(&random, 4000);
        frames = frames < total - spoken ? frames : total - spoken;
        for (size_t i = 0; i < frames; i++) {
            in[i * CHANNELS] = in[i * CHANNELS + 2] = 30000; /* not the channel that counts */
            in[i * CHANNELS + 1] = (int16_t)lround(10000 * sin(2 * PI * 500 * (double)(spoken + i) / device_rate));
        }
        fed += rc_ring_write(rc_duplex_playout(duplex), tone + fed, (size_t)rate * SECONDS - fed);
        CHECK(rc_bridge_callback(in, out, frames, NULL, 0, bridge) == 0);
        for (size_t i = 0; i < frames; i++) {
            CHECK(out[i * CHANNELS] == 0 && out[i * CHANNELS + 1] == 0);
            heard[sounded++] = out[i * CHANNELS + 2];
        }
        spoken += frames;
        taken += rc_ring_read(rc_duplex_capture(duplex), captured + taken, 48000 + 48000 * SECONDS - taken);
    }
    CHECK(fabs((double)taken - (double)rate * SECONDS) <= 8);
    CHECK(stats_of(bridge).starved == 0 && stats_of(bridge).dropped == 0);
    CHECK(fabs(amplitude(captured + rate / 10, rate, 500, rate) - 10000) < 100);
    CHECK(fabs(amplitude(heard + device_rate / 10, device_rate, 700, device_rate) - 10000) < 100);
    CHECK(rc_duplex_played(duplex) + 8 >= (uint64_t)rate * SECONDS);
    rc_bridge_free(bridge);
    rc_duplex_free(duplex);
}

static void one_side_may_be_missing(void)
{
    static int16_t block[960], got[960];
    rc_duplex *duplex = new_duplex(24000);
    rc_bridge_config config = {24000, 48000, 48000, 1, 1, 0, 0, 0, 0};
    rc_bridge *bridge = new_bridge(duplex, &config);
    for (size_t i = 0; i < 960; i++)
        block[i] = 1000;
    rc_bridge_callback(block, NULL, 960, NULL, 0, bridge);
    CHECK(rc_ring_read(rc_duplex_capture(duplex), got, 960) >= 480);
    CHECK(rc_duplex_played(duplex) == 0);
    rc_ring_write(rc_duplex_playout(duplex), block, 960);
    rc_bridge_callback(NULL, got, 960, NULL, 0, bridge);
    CHECK(rc_duplex_played(duplex) == 480 && rc_ring_readable(rc_duplex_capture(duplex)) == 0);
    CHECK(stats_of(bridge).starved == 0);
    rc_bridge_free(bridge);
    rc_duplex_free(duplex);
}

/* Two devices on clocks of their own. Time is the speaker's clock's. */
typedef struct {
    rc_duplex *duplex;
    rc_bridge *bridge;
    double rate, capture_rate; /* true rate of the microphone in the speaker's time */
    double capture_next;
    uint64_t spoken, blocks, random;
    double jitter;
    double slide, worst_slide; /* how far the microphone's audio has come to lie from where it was, seconds */
} machine;

enum { BLOCK = 160 };

static double lateness(machine *m)
{
    return m->jitter * (double)random_below(&m->random, 1000) / 1000;
}

/* The microphone hears a tone of 100 Hz, by whose phase its delay is known. */
static void speak(machine *m, double until)
{
    int16_t block[BLOCK];
    while (m->capture_next <= until) {
        for (size_t i = 0; i < BLOCK; i++)
            block[i] = (int16_t)lround(8000 * sin(2 * PI * 100 * (double)(m->spoken + i) / m->capture_rate));
        m->spoken += BLOCK;
        rc_stream_time time = {0, 1 + m->capture_next + lateness(m), 0};
        rc_bridge_capture_callback(block, NULL, BLOCK, &time, 0, m->bridge);
        m->capture_next += BLOCK / m->capture_rate;
    }
}

/* Phase of the 100 Hz tone in a captured second, as a delay within 10 ms. */
static double delay_of(const int16_t *samples, size_t count, double rate)
{
    double re = 0, im = 0;
    for (size_t i = 0; i < count; i++) {
        re += samples[i] * sin(2 * PI * 100 * (double)i / rate);
        im += samples[i] * -cos(2 * PI * 100 * (double)i / rate);
    }
    return atan2(im, re) / (2 * PI * 100);
}

static void run(machine *m, double seconds, double settled)
{
    static int16_t second[8000];
    int16_t out[BLOCK];
    size_t had = 0;
    double before = 0;
    uint64_t last = m->blocks + (uint64_t)(seconds * m->rate / BLOCK);
    for (uint64_t first = m->blocks; m->blocks < last; m->blocks++) {
        double now = (double)(m->blocks + 1) * BLOCK / m->rate;
        speak(m, now);
        rc_stream_time time = {0, 1 + now + lateness(m), 0};
        rc_bridge_callback(NULL, out, BLOCK, &time, 0, m->bridge);
        had += rc_ring_read(rc_duplex_capture(m->duplex), second + had, BLOCK);
        if (had < 8000)
            continue;
        had = 0;
        double delay = delay_of(second, 8000, m->rate);
        if ((double)(m->blocks - first) * BLOCK / m->rate < settled) {
            before = delay;
            m->slide = 0;
            continue;
        }
        double step = delay - before;
        step -= step > 0.005 ? 0.01 : step < -0.005 ? -0.01 : 0;
        m->slide += step;
        before = delay;
        if (fabs(m->slide) > m->worst_slide)
            m->worst_slide = fabs(m->slide);
    }
}

static machine new_machine(double ppm, double jitter)
{
    machine m = {.rate = 8000, .capture_rate = 8000 * (1 + ppm * 1e-6), .random = 7, .jitter = jitter};
    rc_bridge_config config = {8000, 8000, 8000, 1, 1, 0, 0, BLOCK, BLOCK};
    m.duplex = new_duplex(8000);
    m.bridge = new_bridge(m.duplex, &config);
    return m;
}

static void free_machine(machine *m)
{
    rc_bridge_free(m->bridge);
    rc_duplex_free(m->duplex);
}

#ifndef SANITIZED
static void without_times_the_fill_stays_bounded(void)
{
    int16_t block[BLOCK] = {0}, out[BLOCK];
    machine m = new_machine(0, 0);
    for (int n = 0; n < 100000; n++) {
        if (n % 2000 != 0) /* the microphone is 500 ppm slow */
            rc_bridge_capture_callback(block, NULL, BLOCK, NULL, 0, m.bridge);
        rc_bridge_callback(NULL, out, BLOCK, NULL, 0, m.bridge);
    }
    rc_bridge_stats stats = stats_of(m.bridge);
    CHECK(stats.fill < 0.2 && stats.dropped + stats.starved < 8000);
    free_machine(&m);
}

static void two_clocks_agree(double ppm, double jitter, double hours)
{
    machine m = new_machine(ppm, jitter);
    run(&m, 3600 * hours, 100);
    rc_bridge_stats stats = stats_of(m.bridge);
    printf("%+.0f ppm, %.0f ms of jitter, %g h: taken for %+.1f ppm, fill %.1f of %.1f ms, slid %.2f ms\n", ppm,
           jitter * 1e3, hours, stats.ppm, stats.fill * 1e3, stats.target * 1e3, m.worst_slide * 1e3);
    CHECK(fabs(stats.ppm - ppm) < 60 + 1e4 * jitter);
    CHECK(fabs(stats.fill - stats.target) < 0.002 + jitter);
    CHECK(m.worst_slide < 0.001);
    CHECK(stats.dropped <= 800); /* at the start */
    CHECK(stats.starved <= 800);
    free_machine(&m);
}

#endif

/* Without a correction 500 ppm slide 30 ms in a minute: the test above would see that. */
static void a_slide_would_be_seen(void)
{
    int16_t second[8000];
    double delays[2];
    for (int i = 0; i < 2; i++) {
        for (size_t n = 0; n < 8000; n++)
            second[n] = (int16_t)lround(8000 * sin(2 * PI * 100 * ((double)n - 16 * i) / 8000));
        delays[i] = delay_of(second, 8000, 8000);
    }
    CHECK(fabs(delays[1] - delays[0] - 0.002) < 1e-4);
}

static void a_microphone_that_stops_is_silence_and_comes_back(void)
{
    machine m = new_machine(100, 0.002);
    run(&m, 5, 5);
    rc_bridge_stats before = stats_of(m.bridge);
    m.capture_next += 2; /* nothing for two seconds */
    run(&m, 2, 5);
    rc_bridge_stats silent = stats_of(m.bridge);
    CHECK(silent.starved - before.starved > 8000 * 1.8 && silent.starved - before.starved < 8000 * 2.1);
    CHECK(rc_ring_head(rc_duplex_capture(m.duplex)) == (m.blocks)*BLOCK); /* no time is lost */
    run(&m, 5, 5);
    rc_bridge_stats after = stats_of(m.bridge);
    CHECK(after.starved - silent.starved < 8000 * 0.3);
    CHECK(fabs(after.fill - after.target) < 0.005);
    CHECK(after.target > before.target);
    free_machine(&m);
}

static void a_speaker_that_stops_does_not_make_the_microphone_late(void)
{
    machine m = new_machine(-100, 0.002);
    run(&m, 5, 5);
    m.blocks += 5 * 8000 / BLOCK; /* the speaker's callback did not come for five seconds */
    speak(&m, (double)m.blocks * BLOCK / m.rate);
    CHECK(stats_of(m.bridge).dropped >= 8000 * 2.5); /* the ring holds less */
    run(&m, 5, 5);
    CHECK(fabs(stats_of(m.bridge).fill - stats_of(m.bridge).target) < 0.01);
    free_machine(&m);
}

static atomic_int done;

static void *microphone(void *user)
{
    int16_t block[BLOCK] = {0};
    for (double now = 1; !atomic_load(&done); now += 0.02) {
        rc_stream_time time = {0, now, 0};
        rc_bridge_capture_callback(block, NULL, BLOCK, &time, 0, user);
        sched_yield();
    }
    return NULL;
}

static void two_threads_share_it(void)
{
    machine m = new_machine(0, 0);
    int16_t out[BLOCK];
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, microphone, m.bridge) == 0);
    for (int n = 0; n < 3000; n++) {
        rc_stream_time time = {0, 1 + n * 0.02, 0};
        rc_bridge_callback(NULL, out, BLOCK, &time, 0, m.bridge);
        stats_of(m.bridge);
        sched_yield();
    }
    atomic_store(&done, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    free_machine(&m);
}

/* The argument: how many hours of two clocks to simulate. */
int main(int count, char **arguments)
{
    configuration_is_checked();
    rates_and_channels_are_bridged(48000, 44100);
    rates_and_channels_are_bridged(48000, 16000);
    rates_and_channels_are_bridged(24000, 96000);
    rates_and_channels_are_bridged(48000, 48000);
    one_side_may_be_missing();
    a_slide_would_be_seen();
    a_microphone_that_stops_is_silence_and_comes_back();
    a_speaker_that_stops_does_not_make_the_microphone_late();
    two_threads_share_it();
#ifdef SANITIZED
    (void)count, (void)arguments;
#else /* long, and nothing in it that the others have not */
    double hours = count > 1 ? atof(arguments[1]) : 0.05;
    without_times_the_fill_stays_bounded();
    two_clocks_agree(500, 0.003, hours);
    two_clocks_agree(-500, 0.003, hours);
    two_clocks_agree(30, 0.010, hours);
#endif
    return 0;
}
