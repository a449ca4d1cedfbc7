/* Only *_new allocates and only *_free frees: a counting allocator watches the data path. */
#include "check.h"
#include "rc_base64.h"
#include "rc_bridge.h"
#include "rc_duplex.h"
#include "rc_delta.h"
#include "rc_echo.h"
#include "rc_g711.h"
#include "rc_gate.h"
#include "rc_pcm.h"
#include "rc_resample.h"
#include "rc_ring.h"

static size_t calls;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);

void *__wrap_malloc(size_t size)
{
    calls++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    calls++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    calls++;
    return __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    calls++;
    return __real_aligned_alloc(alignment, size);
}

void __wrap_free(void *memory)
{
    calls++;
    __real_free(memory);
}

static int16_t samples[4800], more[9600];
static uint8_t bytes[9600];
static char text[12800];

int main(void)
{
    uint64_t random = 1;
    size_t error;
    random_samples(&random, samples, 4800);
    rc_ring *ring = rc_ring_new(4096);
    rc_resample *resample = rc_resample_new(48000, 24000, RC_RESAMPLE_BEST);
    rc_duplex_config config = {48000, 2, 2, 4096, 4096, 4096, 1, 1, NULL};
    rc_duplex_barge_in barge_in = {0.0f, 0.0f, 30, 0.3f}; /* any sound is speech */
    rc_duplex *duplex = rc_duplex_new(&config);
    rc_duplex_config mono_config = {48000, 1, 1, 4096, 4096, 4096, 0, 0, NULL};
    rc_duplex *mono = rc_duplex_new(&mono_config);
    rc_bridge_config bridge_config = {48000, 16000, 44100, 2, 2, 1, 0, 160, 441};
    rc_bridge *bridge = rc_bridge_new(mono, &bridge_config);
    rc_gate_config gate_config = {48000, RC_WIRE_PCM, 24000, RC_GATE_GATED, 20, 300, 100, 30, 0.1f, 0.05f, NULL, 0};
    rc_gate *gate = rc_gate_new(&gate_config);
    rc_gate_chunk chunk;
    rc_g711_decoder *from_phone = rc_g711_decoder_new(RC_G711_ULAW, 24000, RC_RESAMPLE_FAST);
    rc_g711_encoder *to_phone = rc_g711_encoder_new(RC_G711_ALAW, 24000, RC_RESAMPLE_FAST);
    rc_delta_decoder *decoder = rc_delta_decoder_new(RC_WIRE_PCM, 24000, 48000);
    rc_text_error text_error;
    rc_echo *echo = rc_echo_new(48000);
    float somebody[16];
    CHECK(calls >= 5); /* the counter counts */
    size_t before = calls;
    for (int turn = 0; turn < 100; turn++) {
        rc_ring_write(ring, samples, 480);
        rc_ring_mark(ring, (uint32_t)turn);
        rc_ring_read(ring, more, 480);
        rc_resample_process(resample, more, samples, random_below(&random, 4800));
        rc_resample_flush(resample, more);
        rc_resample_reset(resample);
        rc_ring_write(rc_duplex_playout(duplex), samples, 480);
        rc_duplex_callback(samples, more, 480, NULL, 0, duplex);
        if (turn % 5 == 0)
            rc_duplex_flush(duplex);
        rc_duplex_set_expecting(duplex, turn % 3 > 0); /* underruns are concealed */
        rc_duplex_set_barge_in(duplex, &barge_in);
        rc_duplex_accept(duplex, rc_duplex_generation(duplex));
        rc_duplex_callback(samples, more, 960, NULL, 0, duplex);
        rc_echo_process(echo, somebody, samples, more, random_below(&random, 4800));
        rc_echo_reset(echo);
        rc_bridge_capture_callback(samples, NULL, 160, &(rc_stream_time){0, 1 + turn * 0.01, 0}, 0, bridge);
        rc_bridge_callback(NULL, more, 441, &(rc_stream_time){0, 1 + turn * 0.01, 0}, 0, bridge);
        rc_pcm_gain(more, 480, 0, 1);
        rc_pcm_mix_down(more, samples, 480, 2);
        rc_g711_encode_ulaw(bytes, samples, 480);
        rc_g711_decode_alaw(more, bytes, 480);
        rc_g711_decoder_process(from_phone, more, bytes, 480);
        rc_g711_decoder_flush(from_phone, more);
        rc_g711_encoder_process(to_phone, bytes, samples, 480);
        rc_g711_encoder_flush(to_phone, bytes);
        rc_base64_encode(text, bytes, 480);
        CHECK(rc_base64_decode(bytes, text, 640, &error) == 0);
        for (size_t at = 0; at < 4800;) {
            at += rc_gate_push(gate, samples + at, 4800 - at);
            while (rc_gate_next(gate, &chunk))
                rc_append_write(text, chunk.first, chunk.first_bytes, chunk.second, chunk.second_bytes, NULL, 0);
        }
        rc_gate_flush(gate);
        rc_json_text audio = {text, rc_base64_encode(text, (const uint8_t *)samples, 960)};
        CHECK(rc_delta_decoder_decode(decoder, (rc_ring_region){more, 960, more, 0}, audio, &text_error) == 0);
    }
    CHECK(calls == before);
    CHECK(rc_duplex_generation(duplex) > 0);
    rc_gate_free(gate);
    rc_g711_decoder_free(from_phone);
    rc_g711_encoder_free(to_phone);
    rc_delta_decoder_free(decoder);
    rc_ring_free(ring);
    rc_resample_free(resample);
    rc_duplex_free(duplex);
    rc_echo_free(echo);
    rc_bridge_free(bridge);
    rc_duplex_free(mono);
    CHECK(calls > before);
    return 0;
}
