/* The two loops over taps and bins that the echo check spends its time in. */
#ifndef RC_ECHO_KERNELS_H
#define RC_ECHO_KERNELS_H

enum {
    RC_ECHO_BINS = 112,
    RC_ECHO_TAPS = 50,
};

typedef struct {
    float re[RC_ECHO_BINS], im[RC_ECHO_BINS];
} rc_echo_spectrum;

/* What was played, hop by hop in a ring of which `newest` is the latest, and its power. */
typedef struct {
    rc_echo_spectrum spectra[RC_ECHO_TAPS];
    float power[RC_ECHO_TAPS][RC_ECHO_BINS];
    int newest;
} rc_echo_history;

/* The echo by the model: what was played k hops ago times path[k], over all k; and the power of
 * what was played, each hop's times share[k]. Every implementation gives the same floats. */
void rc_echo_predict(rc_echo_spectrum *echo, float power[RC_ECHO_BINS], const rc_echo_spectrum path[RC_ECHO_TAPS],
                     const float share[RC_ECHO_TAPS], const rc_echo_history *played);

/* path[k] += share[k] * step * conj(what was played k hops ago); and the energy of each path[k].
 * The same. */
void rc_echo_learn(rc_echo_spectrum path[RC_ECHO_TAPS], float energy[RC_ECHO_TAPS], const float share[RC_ECHO_TAPS],
                   const rc_echo_spectrum *step, const rc_echo_history *played);

#endif
