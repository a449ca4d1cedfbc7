/* The gate on loud nonsense: chunks follow each other, however the input is cut. */
#include "check.h"
#include "rc_gate.h"

#include <string.h>

enum { INPUT = 40000, OUTPUT = 1 << 18 };

typedef struct {
    uint8_t audio[OUTPUT];
    size_t bytes, chunks;
    uint64_t end;
    rc_gate_event events[RC_GATE_EVENTS];
    size_t event_count;
} record;

static int16_t input[INPUT];
static record whole, pieces;

static void take(rc_gate *gate, record *r, int contiguous)
{
    rc_gate_chunk chunk;
    while (rc_gate_next(gate, &chunk)) {
        CHECK(contiguous ? chunk.position == r->end : chunk.position >= r->end);
        CHECK(chunk.samples > 0 && r->bytes + chunk.first_bytes + chunk.second_bytes <= OUTPUT);
        memcpy(r->audio + r->bytes, chunk.first, chunk.first_bytes);
        memcpy(r->audio + r->bytes + chunk.first_bytes, chunk.second, chunk.second_bytes);
        r->bytes += chunk.first_bytes + chunk.second_bytes;
        r->end = chunk.position + chunk.samples;
        r->chunks++;
    }
}

static void run(const rc_gate_config *config, record *r, size_t largest, uint64_t *random)
{
    rc_gate *gate = rc_gate_new(config);
    CHECK(gate != NULL);
    memset(r, 0, sizeof(*r));
    for (size_t at = 0; at < INPUT;) {
        size_t count = random_below(random, largest);
        count = count < INPUT - at ? count : INPUT - at;
        while (count > 0) {
            size_t taken = rc_gate_push(gate, input + at, count);
            CHECK(taken > 0 && taken <= count);
            at += taken;
            count -= taken;
            take(gate, r, config->mode == RC_GATE_OPEN);
        }
        while (r->event_count < RC_GATE_EVENTS && rc_gate_take_event(gate, &r->events[r->event_count]))
            r->event_count++;
    }
    rc_gate_flush(gate);
    take(gate, r, config->mode == RC_GATE_OPEN);
    CHECK(config->mode != RC_GATE_OPEN || r->end == rc_gate_position(gate));
    rc_gate_free(gate);
}

int main(void)
{
    static const uint32_t rates[] = {8000, 11025, 44100, 48000, 192000};
    uint64_t random = 5;
    size_t gated_chunks = 0;
    /* bursts of noise and of pulses at 150 a second, so that the detector has something to decide */
    random_samples(&random, input, INPUT);
    for (size_t n = 0; n < INPUT; n++)
        input[n] = n / 5000 % 2 ? (int16_t)(n % 107 < 9 ? 20000 : input[n] / 500) : (int16_t)(input[n] / 300);
    for (size_t r = 0; r < sizeof(rates) / sizeof(*rates); r++)
        for (int mode = RC_GATE_OPEN; mode <= RC_GATE_GATED; mode++)
            for (int wire = RC_WIRE_PCM; wire <= RC_WIRE_PCMA; wire++) {
                rc_gate_config config = {rates[r], (rc_wire)wire, wire == RC_WIRE_PCM ? 24000 : 8000,
                                         (rc_gate_mode)mode, 20, 0, 300, 100, 30, 0.4f, 0.2f, NULL, 0};
                run(&config, &whole, INPUT + 1, &random);
                run(&config, &pieces, 1000, &random);
                CHECK(memcmp(&whole, &pieces, sizeof(whole)) == 0);
                config.quiet_chunk_ms = 130;
                run(&config, &whole, INPUT + 1, &random);
                run(&config, &pieces, 1000, &random);
                CHECK(memcmp(&whole, &pieces, sizeof(whole)) == 0);
                gated_chunks += mode == RC_GATE_GATED ? whole.chunks : 0;
            }
    CHECK(gated_chunks > 0);
    rc_gate_config config = {16000, RC_WIRE_PCM, 24000, RC_GATE_OPEN, 20, 0, 300, 300, 60, 0.6f, 0.35f, NULL, 0};
    config.chunk_ms = 9;
    CHECK(rc_gate_new(&config) == NULL);
    config.chunk_ms = 20;
    config.quiet_chunk_ms = 19;
    CHECK(rc_gate_new(&config) == NULL);
    config.quiet_chunk_ms = 0;
    config.close_threshold = 0.7f;
    CHECK(rc_gate_new(&config) == NULL);
    rc_gate_free(NULL);
    return 0;
}
