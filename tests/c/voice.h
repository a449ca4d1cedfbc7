/* Something a speech detector takes for a vowel: a pulse train through three formants, slowly swelling. */
#ifndef VOICE_H
#define VOICE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

static inline void make_voice(int16_t *samples, size_t count, int rate)
{
    static const double formants[3][2] = {{700, 110}, {1220, 120}, {2600, 160}}; /* Hz, width */
    const double pi = 3.14159265358979;
    double phase = 0, past[3][2] = {{0}};
    for (size_t n = 0; n < count; n++) {
        double time = (double)n / rate, sum = 0;
        phase += (120 + 15 * sin(2 * pi * 3 * time)) / rate;
        double pulse = phase >= 1;
        phase -= pulse;
        for (int f = 0; f < 3; f++) {
            double r = exp(-pi * formants[f][1] / rate);
            double y = pulse + 2 * r * cos(2 * pi * formants[f][0] / rate) * past[f][0] - r * r * past[f][1];
            past[f][1] = past[f][0];
            past[f][0] = y;
            sum += y;
        }
        double swell = 0.6 + 0.4 * sin(2 * pi * 4 * time) * sin(2 * pi * 4 * time);
        double sample = 400 * sum * swell;
        samples[n] = (int16_t)(sample > 20000 ? 20000 : sample < -20000 ? -20000 : sample);
    }
}

#endif
