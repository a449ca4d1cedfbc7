/* Two gates live through the same: pushes, key, mute and flushes, with the audio cut in other
 * places. What leaves them is the same, in order, and where everything leaves without being
 * resampled it is the input itself. */
#include "fuzz.h"
#include "rc_gate.h"

const char *const fuzz_seeds[] = {
    "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "",
};

enum { PUSH_MAX = 1200 };

typedef struct {
    rc_gate *gate;
    uint64_t digest, end, chunks, events;
} side;

static void digest_bytes(side *s, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    for (size_t n = 0; n < count; n++) /* FNV-1a */
        s->digest = (s->digest ^ at[n]) * UINT64_C(1099511628211);
}

static void collect(side *s, const rc_gate_config *config)
{
    rc_gate_chunk chunk;
    while (rc_gate_next(s->gate, &chunk)) {
        uint32_t longest_ms = config->chunk_ms > config->quiet_chunk_ms ? config->chunk_ms : config->quiet_chunk_ms;
        CHECK(chunk.samples > 0 && chunk.samples <= (size_t)config->wire_rate * longest_ms / 1000);
        CHECK(chunk.first_bytes + chunk.second_bytes == chunk.samples * (config->wire == RC_WIRE_PCM ? 2 : 1));
        CHECK(config->mode == RC_GATE_OPEN ? chunk.position == s->end : chunk.position >= s->end);
        s->end = chunk.position + chunk.samples;
        CHECK(s->end <= rc_gate_position(s->gate));
        s->chunks++;
        digest_bytes(s, &chunk.position, sizeof(chunk.position));
        digest_bytes(s, chunk.first, chunk.first_bytes);
        digest_bytes(s, chunk.second, chunk.second_bytes);
    }
    rc_gate_event event;
    while (rc_gate_take_event(s->gate, &event)) {
        CHECK(event.position <= rc_gate_position(s->gate));
        CHECK((event.kind == RC_GATE_SPEECH_STARTED) == (s->events++ % 2 == 0));
        digest_bytes(s, &event.position, sizeof(event.position));
    }
}

static void push(side *s, const rc_gate_config *config, const int16_t *samples, size_t count, size_t piece)
{
    for (size_t at = 0; at < count;) {
        size_t end = at + piece < count ? at + piece : count;
        while (at < end) {
            size_t taken = rc_gate_push(s->gate, samples + at, end - at);
            CHECK(taken > 0 && taken <= end - at);
            at += taken;
            collect(s, config);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t rates[] = {8000, 16000, 24000, 44100};
    static int16_t samples[PUSH_MAX];
    choices input = {data, size < 60 ? size : 60};
    unsigned bits = choose_byte(&input);
    rc_gate_config config = {
        .rate = rates[bits % 4],
        .wire = (rc_wire)(bits / 4 % 3),
        .wire_rate = bits / 4 % 3 == 0 ? 24000 : 8000,
        .mode = (rc_gate_mode)(choose_byte(&input) % 3),
        .chunk_ms = 10 + choose(&input, 191),
        .pre_roll_ms = choose(&input, 600),
        .hangover_ms = 10 + choose(&input, 200),
        .min_speech_ms = 10 + choose(&input, 100),
        .open_threshold = (float)choose_byte(&input) / 512.0f,
        .close_threshold = 0,
    };
    config.close_threshold = config.open_threshold / 2;
    if (bits / 12 % 2 == 1)
        config.quiet_chunk_ms = config.chunk_ms + choose(&input, 200);
    side one = {.gate = rc_gate_new(&config)}, two = {.gate = rc_gate_new(&config)};
    CHECK(one.gate != NULL && two.gate != NULL);
    uint64_t random = 7;
    while (input.left > 0) {
        unsigned what = choose_byte(&input);
        switch (what % 8) {
        case 0:
            rc_gate_flush(one.gate);
            rc_gate_flush(two.gate);
            break;
        case 1:
            rc_gate_set_talking(one.gate, what & 8);
            rc_gate_set_talking(two.gate, what & 8);
            break;
        case 2:
            rc_gate_set_muted(one.gate, what & 8);
            rc_gate_set_muted(two.gate, what & 8);
            break;
        default: {
            size_t count = choose(&input, PUSH_MAX);
            for (size_t n = 0; n < count; n++)
                samples[n] = (int16_t)(what & 16 ? (n % 100 < 8 ? 12000 : 0) : (int16_t)random_u32(&random) >> what / 32 * 2);
            push(&one, &config, samples, count, PUSH_MAX);
            push(&two, &config, samples, count, 1 + what);
        }
        }
        collect(&one, &config);
        collect(&two, &config);
        CHECK(one.digest == two.digest && one.chunks == two.chunks && one.events == two.events);
        CHECK(rc_gate_position(one.gate) == rc_gate_position(two.gate));
        CHECK(rc_gate_speaking(one.gate) == rc_gate_speaking(two.gate));
    }
    rc_gate_free(one.gate);
    rc_gate_free(two.gate);
    return 0;
}
