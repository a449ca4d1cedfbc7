/* ITU-T G.711: 16-bit samples as 8-bit mu-law or A-law and back.
 *
 * Exact: the mappings are those of the ITU-T's own reference (Recommendation G.191, Software
 * Tool Library, g711.c). One byte is one sample. Any thread.
 */
#ifndef RC_G711_H
#define RC_G711_H

#include <stddef.h>
#include <stdint.h>

void rc_g711_encode_ulaw(uint8_t *codes, const int16_t *samples, size_t count);
void rc_g711_decode_ulaw(int16_t *samples, const uint8_t *codes, size_t count);
void rc_g711_encode_alaw(uint8_t *codes, const int16_t *samples, size_t count);
void rc_g711_decode_alaw(int16_t *samples, const uint8_t *codes, size_t count);

#endif
