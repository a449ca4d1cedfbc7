/* Between sound devices and a duplex: other rates, other channels, and a second clock.
 *
 * A duplex has one rate and one clock. A bridge stands before it where a device has another rate or
 * other channels, or where microphone and speaker are two devices: the clocks of two devices
 * never agree (some 10 to 500 parts per million), and a microphone paired with what the speaker
 * plays would slide against it.
 *
 *   one device:   rc_bridge_callback          -> resample -> duplex -> resample -> device
 *   two devices:  rc_bridge_capture_callback  -> resample -> ring    (microphone's thread)
 *                 rc_bridge_callback          ring -> duplex -> resample -> device (speaker's thread)
 *
 * The speaker's clock leads. The ring's fill, in seconds between what the microphone gave and what
 * the duplex took, is compared with its target at every block of the speaker, and a slow control loop
 * adjusts the microphone's resampler until it stays: then both clocks agree. Both callbacks have
 * the signature of PortAudio's PaStreamCallback; nothing waits and nothing is allocated in them. Whoever owns
 * the streams closes them before the bridge is freed, and frees the bridge before the duplex.
 */
#ifndef RC_BRIDGE_H
#define RC_BRIDGE_H

#include "rc_duplex.h"

#include <stddef.h>
#include <stdint.h>

typedef struct rc_bridge rc_bridge;

typedef struct {
    uint32_t rate;                               /* the duplex's, Hz; its channels are one and one */
    uint32_t capture_rate, playout_rate;         /* the devices', 8000 to 192000 Hz */
    unsigned capture_channels, playout_channels; /* the devices', 1 to 32 */
    unsigned capture_channel, playout_channel;   /* the one that counts, from 1; 0: all, mixed down and given to each */
    size_t capture_block, playout_block;         /* two devices: frames in a block of each. One device: 0 */
} rc_bridge_config;

/* NULL when the configuration is out of range or memory is short. */
rc_bridge *rc_bridge_new(rc_duplex *duplex, const rc_bridge_config *config);
void rc_bridge_free(rc_bridge *bridge);

/* A stream of both sides or of either alone, or the speaker's of two devices. `user` is the bridge. */
int rc_bridge_callback(const void *input, void *output, unsigned long frames, const rc_stream_time *time,
                       rc_stream_flags flags, void *user);
/* The microphone's stream of two devices. */
int rc_bridge_capture_callback(const void *input, void *output, unsigned long frames, const rc_stream_time *time,
                               rc_stream_flags flags, void *user);

/* What happened so far, in samples at the duplex's rate. Any thread. */
typedef struct {
    uint64_t capture_blocks; /* of the microphone's own stream */
    uint64_t starved;        /* silence captured because the microphone's stream was late or has stopped */
    uint64_t dropped;        /* captured samples thrown away because the speaker's stream was late or has stopped */
    double fill, target;     /* of the ring, seconds */
    double ppm;              /* how much faster than the speaker's the microphone's clock is taken to be */
} rc_bridge_stats;
void rc_bridge_get_stats(const rc_bridge *bridge, rc_bridge_stats *stats);

#endif
