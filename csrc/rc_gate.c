#include "rc_gate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rc_g711.h"
#include "rc_resample.h"
#include "rc_ring.h"
#include "rc_vad.h"

enum {
    HOPS_A_SECOND = 100,
    HOP_MAX = RC_RESAMPLE_MAX_RATE / HOPS_A_SECOND + 1, /* input samples */
    PENDING_MAX = 2,                                    /* hops that one hop of input can complete */
    PATIENCE = 4, /* times min_speech in which a possible onset must prove to be one */
    /* Until a detector knows its surroundings it is slow: what it finds early may have begun with
     * the stream. */
    SETTLING_MS = 1500,
    /* A network takes a faint consonant for speech only once the vowel comes. The light detector
     * hears it at once: where that one was already on, speech began up to so much earlier. */
    EARLIER = 30, /* hops */
};

struct rc_gate {
    rc_gate_config config;
    rc_resample *resample; /* NULL when the input has the wire's rate */
    rc_vad *vad;
    rc_vad *light;    /* beside a network, else NULL */
    rc_ring *ring;    /* wire samples at their positions; before its tail all has left or is forgotten */
    int16_t *scratch; /* one hop at the wire's rate */
    uint8_t *codes;   /* one chunk in G.711 */
    size_t chunk, quiet_chunk, memory; /* wire samples: of a chunk, and kept while nothing leaves */
    double delay;     /* seconds that the wire lags behind the detector */
    unsigned min_speech, hangover; /* hops */
    int talking, muted;

    /* Input. A flush lengthens the wire by the resampler's tail, so the way from input to wire
     * positions starts anew there. */
    uint64_t input, hop; /* samples seen; hops complete */
    uint64_t input_base, wire_base;
    float pending[PENDING_MAX]; /* judged when the hop of input is complete */
    float pending_light[PENDING_MAX];
    size_t pending_count;

    /* Decisions. */
    uint64_t judged; /* hops */
    float probability;
    int speaking;
    unsigned run;  /* hops: of speech towards an onset, or of silence towards the end */
    uint64_t edge; /* hop in which that run began */
    uint64_t onset, end; /* hops in which speech began, would it start now, and last ended */
    unsigned light_run;  /* hops for which the light detector has been on */
    unsigned quiet;      /* hops since one that might be speech */
    int waking;          /* what silence has left is to go at once */

    /* What leaves: from the ring's tail up to `until`. */
    int sending, closing; /* closing: the rest before `until` leaves, however short, then sending ends */
    uint64_t until;
    size_t handed; /* samples in the caller's hands */

    rc_gate_event events[RC_GATE_EVENTS];
    uint64_t event_head, event_tail;
};

/* Set-up ------------------------------------------------------------------------------------- */

static int within(uint32_t value, uint32_t low, uint32_t high)
{
    return value >= low && value <= high;
}

static int is_valid(const rc_gate_config *c)
{
    return within(c->rate, RC_RESAMPLE_MIN_RATE, RC_RESAMPLE_MAX_RATE) && c->wire <= RC_WIRE_PCMA &&
           within(c->wire_rate, RC_RESAMPLE_MIN_RATE, RC_RESAMPLE_MAX_RATE) && c->mode <= RC_GATE_PUSH_TO_TALK &&
           within(c->chunk_ms, 10, 1000) &&
           (c->quiet_chunk_ms == 0 || within(c->quiet_chunk_ms, c->chunk_ms, 1000)) &&
           c->pre_roll_ms <= 5000 && within(c->hangover_ms, 10, 5000) &&
           within(c->min_speech_ms, 10, 1000) && c->close_threshold >= 0 &&
           c->close_threshold <= c->open_threshold && c->open_threshold <= 1;
}

static unsigned hops_in(uint32_t ms)
{
    return (ms + 9) / 10;
}

rc_gate *rc_gate_new(const rc_gate_config *config)
{
    if (!is_valid(config))
        return NULL;
    rc_gate *gate = calloc(1, sizeof(*gate));
    if (gate == NULL)
        return NULL;
    size_t wire_rate = config->wire_rate;
    size_t wire_hop = (wire_rate + HOPS_A_SECOND - 1) / HOPS_A_SECOND;
    gate->config = *config;
    gate->chunk = gate->quiet_chunk = wire_rate * config->chunk_ms / 1000;
    if (config->mode == RC_GATE_OPEN && config->quiet_chunk_ms > config->chunk_ms)
        gate->quiet_chunk = wire_rate * config->quiet_chunk_ms / 1000;
    gate->min_speech = hops_in(config->min_speech_ms);
    gate->hangover = hops_in(config->hangover_ms);
    size_t kept_ms = config->pre_roll_ms > SETTLING_MS ? config->pre_roll_ms : SETTLING_MS;
    if (config->mode == RC_GATE_GATED) /* in the other modes nothing leaves late */
        gate->memory = wire_rate * kept_ms / 1000 + (PATIENCE * gate->min_speech + EARLIER + 4) * wire_hop;
    gate->vad = rc_vad_new(config->rate, config->network);
    gate->scratch = calloc(2 * wire_hop + 2, sizeof(int16_t));
    gate->codes = calloc(gate->quiet_chunk, 1);
    /* beyond memory and a chunk: the current hop and the resampler's tail, some milliseconds */
    gate->ring = rc_ring_new(gate->memory + gate->quiet_chunk + 10 * wire_hop);
    if (config->rate != config->wire_rate)
        gate->resample = rc_resample_new(config->rate, config->wire_rate, RC_RESAMPLE_FAST);
    if (config->network != NULL)
        gate->light = rc_vad_new(config->rate, NULL);
    if (gate->vad == NULL || gate->scratch == NULL || gate->codes == NULL || gate->ring == NULL ||
        (gate->light == NULL && config->network != NULL) ||
        (gate->resample == NULL && config->rate != config->wire_rate)) {
        rc_gate_free(gate);
        return NULL;
    }
    if (config->staggered)
        rc_vad_stagger(gate->vad);
    gate->delay = -rc_vad_delay(gate->vad);
    if (gate->resample != NULL)
        gate->delay += rc_resample_delay_out(gate->resample) / config->wire_rate;
    gate->sending = config->mode == RC_GATE_OPEN;
    return gate;
}

void rc_gate_free(rc_gate *gate)
{
    if (gate == NULL)
        return;
    rc_resample_free(gate->resample);
    rc_vad_free(gate->vad);
    rc_vad_free(gate->light);
    rc_ring_free(gate->ring);
    free(gate->scratch);
    free(gate->codes);
    free(gate);
}

/* Events ------------------------------------------------------------------------------------- */

static void tell(rc_gate *gate, rc_gate_event_kind kind, uint64_t position)
{
    gate->events[gate->event_head++ % RC_GATE_EVENTS] = (rc_gate_event){kind, position};
    if (gate->event_head - gate->event_tail > RC_GATE_EVENTS)
        gate->event_tail++;
}

int rc_gate_take_event(rc_gate *gate, rc_gate_event *event)
{
    if (gate->event_tail == gate->event_head)
        return 0;
    *event = gate->events[gate->event_tail++ % RC_GATE_EVENTS];
    return 1;
}

/* What leaves -------------------------------------------------------------------------------- */

static void forget_before(rc_gate *gate, uint64_t position)
{
    uint64_t tail = rc_ring_tail(gate->ring);
    if (position > tail)
        rc_ring_read_release(gate->ring, (size_t)(position - tail));
}

static void start_sending(rc_gate *gate, uint64_t from)
{
    if (!gate->sending)
        forget_before(gate, from);
    gate->sending = 1;
    gate->closing = 0;
}

static void close_at(rc_gate *gate, uint64_t position)
{
    gate->until = position;
    gate->closing = gate->sending;
}

static int is_quiet(const rc_gate *gate)
{
    return gate->quiet >= RC_GATE_QUIET_MS / 10;
}

/* How many of the samples that wait make the next chunk; 0: not enough. */
static size_t next_chunk(const rc_gate *gate, size_t ready)
{
    size_t least = is_quiet(gate) ? gate->quiet_chunk : gate->chunk;
    if (gate->waking || (gate->closing && ready < least))
        return ready < gate->quiet_chunk ? ready : gate->quiet_chunk;
    return ready < least ? 0 : least;
}

int rc_gate_next(rc_gate *gate, rc_gate_chunk *chunk)
{
    rc_ring_read_release(gate->ring, gate->handed);
    gate->handed = 0;
    if (!gate->sending)
        return 0;
    uint64_t tail = rc_ring_tail(gate->ring);
    size_t ready = gate->until > tail ? (size_t)(gate->until - tail) : 0;
    if (ready == 0 && gate->closing) {
        gate->closing = 0;
        gate->sending = gate->config.mode == RC_GATE_OPEN ||
                        (gate->config.mode == RC_GATE_PUSH_TO_TALK && gate->talking);
    }
    gate->handed = next_chunk(gate, ready);
    gate->waking &= gate->handed < ready; /* until nothing waits */
    if (gate->handed == 0)
        return 0;
    rc_ring_region samples = rc_ring_read_region(gate->ring, gate->handed);
    *chunk = (rc_gate_chunk){tail,
                             gate->handed,
                             (const uint8_t *)samples.first,
                             samples.first_count * sizeof(int16_t),
                             (const uint8_t *)samples.second,
                             samples.second_count * sizeof(int16_t)};
    if (gate->config.wire == RC_WIRE_PCM)
        return 1;
    void (*encode)(uint8_t *, const int16_t *, size_t) =
        gate->config.wire == RC_WIRE_PCMU ? rc_g711_encode_ulaw : rc_g711_encode_alaw;
    encode(gate->codes, samples.first, samples.first_count);
    encode(gate->codes + samples.first_count, samples.second, samples.second_count);
    chunk->first = gate->codes;
    chunk->first_bytes = gate->handed;
    chunk->second_bytes = 0;
    return 1;
}

/* Decisions ---------------------------------------------------------------------------------- */

/* Wire position at which the sound of the detector's hop begins. */
static uint64_t wire_position(const rc_gate *gate, uint64_t hop)
{
    double rate = gate->config.rate, wire_rate = gate->config.wire_rate;
    double seconds = (double)hop / HOPS_A_SECOND - (double)gate->input_base / rate + gate->delay;
    double position = (double)gate->wire_base + floor(seconds * wire_rate + 0.5);
    uint64_t head = rc_ring_head(gate->ring);
    return position < 0 ? 0 : position > (double)head ? head : (uint64_t)position;
}

static void start_speaking(rc_gate *gate)
{
    uint64_t onset = wire_position(gate, gate->onset);
    uint64_t pre_roll = (uint64_t)gate->config.wire_rate * gate->config.pre_roll_ms / 1000;
    uint64_t settling = (uint64_t)gate->config.wire_rate * SETTLING_MS / 1000;
    gate->speaking = 1;
    gate->run = 0;
    tell(gate, RC_GATE_SPEECH_STARTED, onset);
    if (gate->config.mode == RC_GATE_GATED)
        start_sending(gate, onset > pre_roll && onset > settling ? onset - pre_roll : 0);
}

static void stop_speaking(rc_gate *gate, uint64_t hop, uint64_t position)
{
    gate->speaking = 0;
    gate->run = 0;
    gate->end = hop;
    tell(gate, RC_GATE_SPEECH_STOPPED, position);
    if (gate->config.mode == RC_GATE_GATED)
        close_at(gate, rc_ring_head(gate->ring));
}

/* The hop in which speech began that the detector notices in `hop`. */
static uint64_t onset_before(const rc_gate *gate, uint64_t hop)
{
    uint64_t earlier = gate->light_run > 0 ? gate->light_run - 1 : 0, since_end = hop - gate->end;
    earlier = earlier < EARLIER ? earlier : EARLIER;
    return hop - (earlier < since_end ? earlier : since_end);
}

/* One hop's probability, and the light detector's beside a network, through the hysteresis. */
static void judge(rc_gate *gate, float probability, float light)
{
    uint64_t hop = gate->judged++;
    gate->probability = probability;
    int may_be_speech = probability >= gate->config.close_threshold || light >= gate->config.close_threshold;
    gate->waking |= may_be_speech && is_quiet(gate) && gate->quiet_chunk > gate->chunk;
    gate->quiet = may_be_speech ? 0 : gate->quiet + 1;
    gate->light_run = gate->light != NULL && light >= gate->config.close_threshold ? gate->light_run + 1 : 0;
    if (gate->config.mode == RC_GATE_PUSH_TO_TALK)
        return;
    int counts = gate->speaking ? probability < gate->config.close_threshold
                                : probability >= gate->config.open_threshold;
    int breaks = gate->speaking ? !counts : probability < gate->config.close_threshold;
    if (breaks || (!gate->speaking && gate->run > 0 && hop - gate->edge >= PATIENCE * gate->min_speech))
        gate->run = 0;
    if (!counts)
        return;
    if (gate->run++ == 0) {
        gate->edge = hop;
        if (!gate->speaking)
            gate->onset = onset_before(gate, hop);
    }
    if (!gate->speaking && gate->run >= gate->min_speech)
        start_speaking(gate);
    else if (gate->speaking && gate->run >= gate->hangover)
        stop_speaking(gate, gate->edge, wire_position(gate, gate->edge));
}

/* Input -------------------------------------------------------------------------------------- */

static void to_wire(rc_gate *gate, const int16_t *samples, size_t count)
{
    if (gate->resample == NULL) {
        rc_ring_write(gate->ring, samples, count);
        return;
    }
    size_t made = rc_resample_process(gate->resample, gate->scratch, samples, count);
    rc_ring_write(gate->ring, gate->scratch, made);
}

/* The hop of input is complete: now, and at no other time, are decisions taken. */
static void end_hop(rc_gate *gate)
{
    gate->hop++;
    for (size_t n = 0; n < gate->pending_count; n++)
        judge(gate, gate->pending[n], gate->pending_light[n]);
    gate->pending_count = 0;
    uint64_t head = rc_ring_head(gate->ring);
    if (gate->sending && !gate->closing)
        gate->until = head;
    if (!gate->sending && head > gate->memory)
        forget_before(gate, head - gate->memory);
}

size_t rc_gate_push(rc_gate *gate, const int16_t *samples, size_t count)
{
    static const int16_t silence[HOP_MAX];
    uint64_t boundary = (gate->hop + 1) * gate->config.rate / HOPS_A_SECOND;
    size_t taken = boundary - gate->input < count ? (size_t)(boundary - gate->input) : count;
    if (gate->muted)
        samples = silence;
    to_wire(gate, samples, taken);
    if (gate->light != NULL)
        rc_vad_process(gate->light, gate->pending_light + gate->pending_count, samples, taken);
    gate->pending_count += rc_vad_process(gate->vad, gate->pending + gate->pending_count, samples, taken);
    gate->input += taken;
    if (gate->input == boundary)
        end_hop(gate);
    else if (gate->sending && !gate->closing && gate->config.mode != RC_GATE_GATED && gate->quiet_chunk == gate->chunk)
        gate->until = rc_ring_head(gate->ring);
    return taken;
}

void rc_gate_flush(rc_gate *gate)
{
    if (gate->resample != NULL && gate->input > gate->input_base) { /* else its tail would be silence */
        size_t made = rc_resample_flush(gate->resample, gate->scratch);
        rc_ring_write(gate->ring, gate->scratch, made);
    }
    gate->input_base = gate->input;
    gate->wire_base = rc_ring_head(gate->ring);
    gate->run = gate->light_run = 0;
    if (gate->speaking && gate->config.mode != RC_GATE_PUSH_TO_TALK)
        stop_speaking(gate, gate->judged, gate->wire_base);
    if (gate->sending && !gate->closing)
        close_at(gate, gate->wire_base);
}

/* Key, mute, state --------------------------------------------------------------------------- */

void rc_gate_set_talking(rc_gate *gate, int talking)
{
    uint64_t head = rc_ring_head(gate->ring);
    if (!talking == !gate->talking)
        return;
    gate->talking = talking;
    if (gate->config.mode != RC_GATE_PUSH_TO_TALK)
        return;
    gate->speaking = talking;
    tell(gate, talking ? RC_GATE_SPEECH_STARTED : RC_GATE_SPEECH_STOPPED, head);
    if (talking)
        start_sending(gate, head);
    else
        close_at(gate, head);
}

int rc_gate_talking(const rc_gate *gate)
{
    return gate->talking;
}

void rc_gate_set_muted(rc_gate *gate, int muted)
{
    gate->muted = muted;
}

int rc_gate_muted(const rc_gate *gate)
{
    return gate->muted;
}

uint64_t rc_gate_position(const rc_gate *gate)
{
    return rc_ring_head(gate->ring);
}

int rc_gate_speaking(const rc_gate *gate)
{
    return gate->speaking;
}

float rc_gate_probability(const rc_gate *gate)
{
    return gate->probability;
}
