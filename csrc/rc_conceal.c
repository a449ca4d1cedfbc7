#include "rc_conceal.h"

#include "rc_pcm.h"

#include <stdlib.h>
#include <string.h>

/* The period is looked for from 75 to 400 Hz by comparing the last 8 ms with what was one period
 * before: first at about 8 kHz, then sample by sample around the best. */
#define LOWEST_HZ 75
#define HIGHEST_HZ 400
#define COARSE_RATE 8000
#define KEPT_MS 30
#define COMPARED_MS 8
#define JOIN_MS 1
#define COARSE_KEPT (2 * COARSE_RATE * KEPT_MS / 1000)

struct rc_conceal {
    uint32_t rate;
    size_t kept;     /* samples of history needed */
    size_t filled;   /* of the history's memory; the latest `kept` of them count */
    int16_t *memory; /* history, then one period */
    int16_t *period;
    size_t length;   /* of the period */
    size_t join;     /* samples in which the loop is joined to the last sample */
    int32_t step; /* by which the last sample is off the loop */
    int32_t lowest, highest; /* of the period and the last sample */
    size_t at, left, whole; /* samples given; until silence; `left` of full level */
};

rc_conceal *rc_conceal_new(uint32_t rate)
{
    rc_conceal *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->rate = rate;
    c->kept = rate * KEPT_MS / 1000;
    c->join = rate * JOIN_MS / 1000;
    size_t history = 2 * c->kept + RC_CONCEAL_PIECE;
    c->memory = calloc(history + c->kept, sizeof(int16_t));
    if (c->memory == NULL) {
        free(c);
        return NULL;
    }
    c->period = c->memory + history;
    c->filled = c->kept;
    return c;
}

void rc_conceal_free(rc_conceal *c)
{
    if (c == NULL)
        return;
    free(c->memory);
    free(c);
}

void rc_conceal_remember(rc_conceal *c, const int16_t *played, size_t count)
{
    if (c->filled + count > 2 * c->kept + RC_CONCEAL_PIECE) { /* move the latest to the front, now and then */
        memmove(c->memory, c->memory + c->filled - c->kept, c->kept * sizeof(int16_t));
        c->filled = c->kept;
    }
    memcpy(c->memory + c->filled, played, count * sizeof(int16_t));
    c->filled += count;
}

/* How alike the last `count` samples before `end` are to those `lag` before: positive, or no likeness. */
static float likeness(const int16_t *end, size_t count, size_t lag)
{
    int64_t product = 0, energy = 0;
    for (const int16_t *now = end - count; now < end; now++) {
        product += (int32_t)now[0] * *(now - lag);
        energy += (int32_t)*(now - lag) * *(now - lag);
    }
    return product > 0 ? (float)product / (float)energy * (float)product : 0;
}

static size_t most_alike(const int16_t *end, size_t count, size_t first, size_t last)
{
    size_t best = last;
    float most = 0;
    for (size_t lag = first; lag <= last; lag++) {
        float alike = likeness(end, count, lag);
        if (alike > most) {
            most = alike;
            best = lag;
        }
    }
    return best;
}

static size_t find_period(const rc_conceal *c)
{
    const int16_t *end = c->memory + c->filled;
    size_t step = c->rate / COARSE_RATE, count = c->kept / step;
    size_t shortest = c->rate / HIGHEST_HZ, longest = c->rate / LOWEST_HZ;
    int16_t coarse[COARSE_KEPT];
    for (size_t n = 0; n < count; n++) {
        int32_t sum = 0;
        for (size_t i = 0; i < step; i++)
            sum += *(end - (count - n) * step + i);
        coarse[n] = (int16_t)(sum / (int32_t)step);
    }
    size_t found = step * most_alike(coarse + count, c->rate / step * COMPARED_MS / 1000, shortest / step, longest / step);
    size_t from = found < shortest + step ? shortest : found - step, to = found + step > longest ? longest : found + step;
    return step == 1 ? found : most_alike(end, c->rate * COMPARED_MS / 1000, from, to);
}

/* One period that joins itself: what was played last, turning into what was played before it. */
static void make_period(rc_conceal *c)
{
    const int16_t *end = c->memory + c->filled;
    int32_t length = (int32_t)(c->length = find_period(c));
    for (int32_t n = 0; n < length; n++)
        c->period[n] = (int16_t)((*(end - length + n) * (length - n) + *(end - 2 * length + n) * n) / length);
    c->step = end[-1] - *(end - 1 - length);
    c->lowest = c->highest = end[-1];
    for (int32_t n = 0; n < length; n++) {
        c->lowest = c->period[n] < c->lowest ? c->period[n] : c->lowest;
        c->highest = c->period[n] > c->highest ? c->period[n] : c->highest;
    }
}

void rc_conceal_start(rc_conceal *c, size_t length)
{
    make_period(c);
    c->at = 0;
    c->left = c->whole = length;
}

void rc_conceal_shorten(rc_conceal *c, size_t length)
{
    if (c->left <= length)
        return;
    c->whole = c->whole * length / c->left; /* the level stays what it is */
    c->left = length;
}

size_t rc_conceal_left(const rc_conceal *c)
{
    return c->left;
}

void rc_conceal_add(rc_conceal *c, int16_t *out, size_t count)
{
    size_t length = count < c->left ? count : c->left;
    for (size_t i = 0; i < length; i++, c->at++, c->left--) {
        int32_t sample = c->period[c->at % c->length];
        if (c->at < c->join) {
            sample += c->step * (int32_t)(c->join - c->at) / (int32_t)c->join;
            sample = sample < c->lowest ? c->lowest : sample > c->highest ? c->highest : sample;
        }
        int16_t more = (int16_t)(sample * (int32_t)c->left / (int32_t)c->whole);
        rc_pcm_add(out + i, &more, 1);
    }
}
