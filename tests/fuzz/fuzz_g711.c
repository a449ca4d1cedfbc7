/* Samples and codes against the standard's intervals searched one by one, and streams in any pieces,
 * flushed and reset anywhere, against expanding, resampling and compressing one after the other. */
#include "fuzz.h"
#include "rc_cpu.h"
#include "rc_g711.h"

#include <stdlib.h>

const char *const fuzz_seeds[] = {"\1\1\1\2\1 samples, codes and pieces of a call from an old telephone", "\2\3\4\0", ""};

enum { LONGEST = 1 << 18 };

/* The interval a magnitude falls into, from the smallest on, and the value in its middle. */
static int interval_of(rc_g711_law law, int magnitude, int *middle)
{
    int begin = 0, end = law == RC_G711_ULAW ? 4 : 16, interval = 0;
    while (interval < 127 && magnitude >= end) {
        interval++;
        begin = end;
        end += law == RC_G711_ULAW ? 8 << interval / 16 : interval < 32 ? 16 : 16 << (interval / 16 - 1);
    }
    *middle = law == RC_G711_ULAW && interval == 0 ? 0 : (begin + end) / 2;
    return interval;
}

static void check_law(rc_g711_law law, const int16_t *samples, size_t count)
{
    uint8_t *codes = malloc(count + 1);
    int16_t *back = malloc(count * sizeof(int16_t) + 1);
    (law == RC_G711_ULAW ? rc_g711_encode_ulaw : rc_g711_encode_alaw)(codes, samples, count);
    (law == RC_G711_ULAW ? rc_g711_decode_ulaw : rc_g711_decode_alaw)(back, codes, count);
    for (size_t i = 0; i < count; i++) {
        int negative = samples[i] < 0, middle;
        int interval = interval_of(law, negative ? ~samples[i] : samples[i], &middle);
        CHECK(codes[i] == (law == RC_G711_ULAW ? 0xFF ^ (interval | negative << 7) : 0x55 ^ (interval | !negative << 7)));
        CHECK(back[i] == (negative ? -middle : middle));
    }
    free(codes);
    free(back);
}

/* A stage of the naive path: `made` samples out of `count`, in one piece in plain C. */
static size_t resampled(rc_resample *resample, int16_t *out, const int16_t *in, size_t count, int flush)
{
    if (resample == NULL) {
        memcpy(out, in, count * sizeof(int16_t));
        return count;
    }
    size_t made = rc_resample_process(resample, out, in, count);
    return flush ? made + rc_resample_flush(resample, out + made) : made;
}

/* What one input needs; making a resampler takes longer than using it, so the usual ones are kept. */
typedef struct {
    rc_g711_decoder *decoder;
    rc_g711_encoder *encoder;
    rc_resample *from_phone, *to_phone; /* NULL at the codes' own rate */
} stages;

static stages stages_new(rc_g711_law law, uint32_t rate, rc_resample_grade grade)
{
    int same = rate == RC_G711_RATE;
    return (stages){rc_g711_decoder_new(law, rate, grade), rc_g711_encoder_new(law, rate, grade),
                    same ? NULL : rc_resample_new(RC_G711_RATE, rate, grade),
                    same ? NULL : rc_resample_new(rate, RC_G711_RATE, grade)};
}

static void stages_free(stages s)
{
    rc_g711_decoder_free(s.decoder);
    rc_g711_encoder_free(s.encoder);
    rc_resample_free(s.from_phone);
    rc_resample_free(s.to_phone);
}

static void check_decoder(choices *in, rc_g711_law law, rc_g711_decoder *decoder, rc_resample *resample)
{
    static int16_t expanded[4096], expected[LONGEST], samples[LONGEST];
    size_t count = in->left / 2;
    choices steps = {in->at + count, in->left - count};
    for (int turn = 0; turn < 2; turn++) { /* the second shows that the flush began anew */
        size_t at = 0, made = 0;
        (law == RC_G711_ULAW ? rc_g711_decode_ulaw : rc_g711_decode_alaw)(expanded, in->at, count);
        rc_cpu_restrict(0);
        size_t wanted = resampled(resample, expected, expanded, count, 1);
        rc_cpu_restrict(choose_byte(&steps));
        while (at < count) {
            size_t piece = choose(&steps, 700) + (steps.left == 0);
            piece = piece < count - at ? piece : count - at;
            size_t promised = rc_g711_decoder_count(decoder, piece);
            CHECK(rc_g711_decoder_process(decoder, samples + made, in->at + at, piece) == promised);
            made += promised;
            at += piece;
        }
        size_t promised = rc_g711_decoder_flush_count(decoder);
        CHECK(rc_g711_decoder_flush(decoder, samples + made) == promised);
        CHECK(made + promised == wanted && memcmp(samples, expected, wanted * sizeof(int16_t)) == 0);
        rc_g711_decoder_process(decoder, samples, in->at, count / 3);
        rc_g711_decoder_reset(decoder);
    }
}

static void check_encoder(choices *in, rc_g711_law law, rc_g711_encoder *encoder, rc_resample *resample)
{
    static int16_t samples[4096], narrow[LONGEST];
    static uint8_t expected[LONGEST], codes[LONGEST];
    size_t count = in->left / 4;
    choices steps = {in->at + 2 * count, in->left - 2 * count};
    memcpy(samples, in->at, count * sizeof(int16_t));
    for (int turn = 0; turn < 2; turn++) {
        size_t at = 0, made = 0;
        rc_cpu_restrict(0);
        size_t wanted = resampled(resample, narrow, samples, count, 1);
        (law == RC_G711_ULAW ? rc_g711_encode_ulaw : rc_g711_encode_alaw)(expected, narrow, wanted);
        rc_cpu_restrict(choose_byte(&steps));
        while (at < count) {
            size_t piece = choose(&steps, 700) + (steps.left == 0);
            piece = piece < count - at ? piece : count - at;
            size_t promised = rc_g711_encoder_count(encoder, piece);
            CHECK(rc_g711_encoder_process(encoder, codes + made, samples + at, piece) == promised);
            made += promised;
            at += piece;
        }
        size_t promised = rc_g711_encoder_flush_count(encoder);
        CHECK(rc_g711_encoder_flush(encoder, codes + made) == promised);
        CHECK(made + promised == wanted && memcmp(codes, expected, wanted) == 0);
        rc_g711_encoder_process(encoder, codes, samples, count / 3);
        rc_g711_encoder_reset(encoder);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t rates[] = {8000, 16000, 24000, 48000, 44100, 192000};
    static stages kept[2][2][6];
    choices in = {data, size};
    rc_g711_law law = choose_byte(&in) % 2 ? RC_G711_ALAW : RC_G711_ULAW;
    rc_resample_grade grade = choose_byte(&in) % 4 ? RC_RESAMPLE_FAST : RC_RESAMPLE_BEST;
    unsigned choice = choose_byte(&in), is_usual = choice < 250;
    stages *s = &kept[law][grade][choice % 6], other;
    if (!is_usual)
        *(s = &other) = stages_new(law, 8000 + (uint32_t)choose(&in, 61000) * 3, grade);
    else if (s->decoder == NULL)
        *s = stages_new(law, rates[choice % 6], grade);
    int16_t *samples = malloc(in.left / 2 * 2 + 1);
    memcpy(samples, in.at, in.left / 2 * 2);
    check_law(law, samples, in.left / 2);
    free(samples);
    check_decoder(&in, law, s->decoder, s->from_phone);
    check_encoder(&in, law, s->encoder, s->to_phone);
    rc_cpu_restrict(RC_CPU_ALL);
    if (!is_usual)
        stages_free(other);
    return 0;
}
