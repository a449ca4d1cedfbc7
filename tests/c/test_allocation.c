/* Only *_new allocates and only *_free frees: a counting allocator watches every function of the data
 * path (tests/test_layers.py looks that none is left out). */
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
#include "rc_vad.h"

#include <string.h>

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
static float floats[4800];
static uint8_t bytes[9600];
static char text[12800];
static volatile double ignored; /* what getters say */

static void use_ring(rc_ring *ring, uint32_t generation)
{
    rc_ring_region region = rc_ring_write_region(ring, 100);
    rc_ring_write_commit(ring, region.first_count + region.second_count);
    rc_ring_write(ring, samples, 480);
    rc_ring_write_entire(ring, samples, 480);
    rc_ring_mark(ring, generation);
    rc_ring_flush_to(ring, rc_ring_head(ring) - rc_ring_readable(ring) / 2);
    rc_ring_peek(ring, more, 480);
    rc_ring_take_flush(ring);
    region = rc_ring_read_region(ring, 10);
    rc_ring_read_release(ring, region.first_count + region.second_count);
    rc_ring_read(ring, more, 480);
    rc_ring_miss(ring, 10);
    rc_ring_read_entire(ring, more, 480);
    ignored = (double)(rc_ring_capacity(ring) + rc_ring_writable(ring) + rc_ring_flush_target(ring) +
                       rc_ring_generation(ring, 0) + rc_ring_tail(ring) + rc_ring_overruns(ring) +
                       rc_ring_underruns(ring));
}

static void use_resample(rc_resample *resample, size_t count)
{
    size_t promised = rc_resample_count(resample, count);
    CHECK(rc_resample_process(resample, more, samples, count) == promised);
    rc_resample_adjust(resample, 100);
    rc_resample_process(resample, more, samples, count);
    ignored = (double)(rc_resample_flush_count(resample) + rc_resample_clipped(resample)) +
              rc_resample_delay_in(resample) + rc_resample_delay_out(resample);
    rc_resample_flush(resample, more);
    rc_resample_reset(resample);
}

static void use_pcm(void)
{
    rc_pcm_gain(more, 480, 0, 1);
    rc_pcm_add(more, samples, 480);
    rc_pcm_mix_down(more, samples, 480, 2);
    rc_pcm_duplicate(more, samples, 480, 3);
    rc_pcm_interleave(more, samples, samples + 480, 480);
    rc_pcm_s16_to_f32(floats, samples, 4800);
    rc_pcm_gain_f32(floats, 4800, 0, 1);
    rc_pcm_add_f32(floats, floats + 2400, 2400);
    rc_pcm_f32_to_s16(more, floats, 4800);
    ignored = rc_pcm_dbfs(rc_pcm_peak(samples, 4800)) + (double)rc_pcm_energy(samples, 4800) +
              (double)rc_pcm_peak_f32(floats, 4800) + rc_pcm_energy_f32(floats, 4800);
}

static void use_g711(rc_g711_decoder *from_phone, rc_g711_encoder *to_phone)
{
    rc_g711_encode_ulaw(bytes, samples, 480);
    rc_g711_decode_ulaw(more, bytes, 480);
    rc_g711_encode_alaw(bytes, samples, 480);
    rc_g711_decode_alaw(more, bytes, 480);
    ignored = (double)(rc_g711_decoder_count(from_phone, 480) + rc_g711_encoder_count(to_phone, 480));
    rc_g711_decoder_process(from_phone, more, bytes, 480);
    rc_g711_encoder_process(to_phone, bytes, samples, 480);
    ignored = (double)(rc_g711_decoder_flush_count(from_phone) + rc_g711_encoder_flush_count(to_phone)) +
              rc_g711_decoder_delay(from_phone) + rc_g711_encoder_delay(to_phone);
    rc_g711_decoder_flush(from_phone, more);
    rc_g711_encoder_flush(to_phone, bytes);
    rc_g711_decoder_reset(from_phone);
    rc_g711_encoder_reset(to_phone);
}

static void use_base64(void)
{
    size_t error;
    CHECK(rc_base64_encode(text, bytes, 480) == rc_base64_encoded_size(480));
    CHECK(rc_base64_decoded_size(text, 640) == 480 && rc_base64_decode(bytes, text, 640, &error) == 0);
    CHECK(rc_base64_decode_groups(bytes, text, 160) == 160);
}

static void use_delta(rc_delta_decoder *decoder)
{
    static const char head[] = "{\"type\":\"response.output_audio.delta\",\"x\":[{}],\"delta\":\"";
    size_t length = sizeof(head) - 1;
    rc_text_error error;
    rc_delta delta;
    memcpy(text, head, length);
    length += rc_base64_encode(text + length, (const uint8_t *)samples, 960);
    memcpy(text + length, "\"}", 2);
    CHECK(rc_delta_find(&delta, text, length + 2, &error) == 1);
    CHECK(rc_delta_find(&delta, text, length, &error) < 0);
    size_t count = rc_delta_decoder_samples(decoder, delta.audio);
    CHECK(count == 960 && rc_delta_decoder_wire_samples(decoder, delta.audio) == 480);
    CHECK(rc_delta_decoder_decode(decoder, (rc_ring_region){more, count, more, 0}, delta.audio, &error) == 0);
    CHECK(rc_delta_decoder_flush_samples(decoder) < 9600);
    rc_delta_decoder_flush(decoder, more);
    rc_delta_decoder_adjust(decoder, 0);
    rc_delta_decoder_reset(decoder);
}

static void use_vad(rc_vad *vad)
{
    size_t hops = rc_vad_hops(vad, 4800);
    CHECK(rc_vad_process(vad, floats, samples, 4800) == hops);
    ignored = rc_vad_delay(vad);
    rc_vad_stagger(vad);
    rc_vad_reset(vad);
}

static void use_gate(rc_gate *gate, int turn)
{
    rc_gate_chunk chunk;
    rc_gate_event event;
    rc_gate_set_talking(gate, turn & 1);
    rc_gate_set_muted(gate, turn % 7 == 0);
    for (size_t at = 0; at < 4800;) {
        at += rc_gate_push(gate, samples + at, 4800 - at);
        while (rc_gate_next(gate, &chunk))
            CHECK(rc_append_write(text, chunk.first, chunk.first_bytes, chunk.second, chunk.second_bytes, NULL, 0) ==
                  rc_append_size(chunk.first_bytes + chunk.second_bytes, NULL, 0));
    }
    rc_gate_flush(gate);
    while (rc_gate_take_event(gate, &event))
        ;
    ignored = rc_gate_talking(gate) + rc_gate_muted(gate) + (double)rc_gate_position(gate) + rc_gate_speaking(gate) +
              (double)rc_gate_probability(gate);
}

static void use_duplex(rc_duplex *duplex, int turn)
{
    rc_duplex_barge_in barge_in = {0.0f, 0.0f, 30, 0.3f}; /* any sound is speech */
    rc_duplex_event event;
    rc_duplex_stats stats;
    rc_duplex_timing timing;
    if (turn % 10 == 0)
        rc_duplex_restart(duplex);
    rc_ring_write(rc_duplex_playout(duplex), samples, 480);
    rc_duplex_callback(samples, more, 480, NULL, 0, duplex);
    if (turn % 5 == 0)
        rc_duplex_flush(duplex);
    rc_duplex_set_expecting(duplex, turn % 3 > 0); /* underruns are concealed */
    rc_duplex_set_prefill(duplex, turn % 4 == 0 ? 100 : 0);
    rc_duplex_set_capture_gain(duplex, 0.5f);
    rc_duplex_set_playout_gain(duplex, 2.0f);
    rc_duplex_set_muted(duplex, turn % 6 == 0);
    rc_duplex_set_barge_in(duplex, &barge_in);
    rc_duplex_accept(duplex, rc_duplex_generation(duplex));
    rc_duplex_callback(samples, more, 960, NULL, 0, duplex);
    while (rc_duplex_take_event(duplex, &event))
        ;
    rc_duplex_get_stats(duplex, &stats);
    rc_duplex_get_timing(duplex, &timing);
    CHECK(rc_duplex_capture(duplex) != NULL && rc_duplex_tap(duplex) != NULL);
    ignored = (double)(rc_duplex_played(duplex) + rc_duplex_prefill(duplex)) + rc_duplex_expecting(duplex) +
              (double)(rc_duplex_capture_gain(duplex) + rc_duplex_playout_gain(duplex)) + rc_duplex_muted(duplex);
}

static void use_bridge(rc_bridge *bridge, int turn)
{
    rc_bridge_stats stats;
    rc_bridge_capture_callback(samples, NULL, 160, &(rc_stream_time){0, 1 + turn * 0.01, 0}, 0, bridge);
    rc_bridge_callback(NULL, more, 441, &(rc_stream_time){0, 1 + turn * 0.01, 0}, 0, bridge);
    rc_bridge_get_stats(bridge, &stats);
}

static void use_echo(rc_echo *echo, size_t count)
{
    size_t hops = rc_echo_hops(echo, count);
    CHECK(rc_echo_process(echo, floats, samples, more, count) == hops);
    ignored = (double)rc_echo_reduction_db(echo);
    rc_echo_reset(echo);
}

int main(void)
{
    uint64_t random = 1;
    random_samples(&random, samples, 4800);
    rc_ring *ring = rc_ring_new(4096);
    rc_resample *resample = rc_resample_new(48000, 24000, RC_RESAMPLE_BEST);
    rc_duplex_config config = {48000, 2, 2, 4096, 4096, 4096, 1, 1, NULL, NULL};
    rc_duplex *duplex = rc_duplex_new(&config);
    rc_duplex_config mono_config = {48000, 1, 1, 4096, 4096, 4096, 0, 0, NULL, NULL};
    rc_duplex *mono = rc_duplex_new(&mono_config);
    rc_bridge_config bridge_config = {48000, 16000, 44100, 2, 2, 1, 0, 160, 441};
    rc_bridge *bridge = rc_bridge_new(mono, &bridge_config);
    rc_gate_config gate_config = {48000, RC_WIRE_PCM, 24000, RC_GATE_GATED, 20, 0, 300, 100, 30, 0.1f, 0.05f, NULL, 0};
    rc_gate *gate = rc_gate_new(&gate_config);
    rc_vad *vad = rc_vad_new(48000, NULL);
    rc_g711_decoder *from_phone = rc_g711_decoder_new(RC_G711_ULAW, 24000, RC_RESAMPLE_FAST);
    rc_g711_encoder *to_phone = rc_g711_encoder_new(RC_G711_ALAW, 24000, RC_RESAMPLE_FAST);
    rc_delta_decoder *decoder = rc_delta_decoder_new(RC_WIRE_PCM, 24000, 48000);
    rc_echo *echo = rc_echo_new(48000);
    CHECK(calls >= 5); /* the counter counts */
    size_t before = calls;
    for (int turn = 0; turn < 100; turn++) {
        use_ring(ring, (uint32_t)turn);
        use_resample(resample, random_below(&random, 2400));
        use_pcm();
        use_g711(from_phone, to_phone);
        use_base64();
        use_delta(decoder);
        use_vad(vad);
        use_gate(gate, turn);
        use_duplex(duplex, turn);
        use_bridge(bridge, turn);
        use_echo(echo, random_below(&random, 4800));
    }
    CHECK(calls == before);
    CHECK(rc_duplex_generation(duplex) > 0);
    rc_ring_free(ring);
    rc_resample_free(resample);
    rc_duplex_free(duplex);
    rc_bridge_free(bridge);
    rc_duplex_free(mono);
    rc_gate_free(gate);
    rc_vad_free(vad);
    rc_g711_decoder_free(from_phone);
    rc_g711_encoder_free(to_phone);
    rc_delta_decoder_free(decoder);
    rc_echo_free(echo);
    CHECK(calls > before);
    return 0;
}
