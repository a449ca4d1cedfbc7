/* Base64 kernels: a pair of functions per instruction set, all with the same contract.
 *
 * Encoding turns three bytes into four characters, decoding four characters into three bytes. A
 * kernel does whole groups from the front, as many as suit its registers, and returns how many; a
 * decoding kernel stops in front of the block that holds a character outside the alphabet. Plain
 * C does the rest, so a kernel may stop anywhere. No byte outside the `groups` groups is read or
 * written.
 */
#ifndef RC_BASE64_KERNELS_H
#define RC_BASE64_KERNELS_H

#include "rc_target.h"

#include <stddef.h>
#include <stdint.h>

#ifdef RC_X86
size_t rc_base64_encode_avx2(char *text, const uint8_t *bytes, size_t groups);
size_t rc_base64_decode_avx2(uint8_t *bytes, const char *text, size_t groups);
size_t rc_base64_encode_avx512(char *text, const uint8_t *bytes, size_t groups);
size_t rc_base64_decode_avx512(uint8_t *bytes, const char *text, size_t groups);
#endif
#ifdef RC_ARM64
size_t rc_base64_encode_neon(char *text, const uint8_t *bytes, size_t groups);
size_t rc_base64_decode_neon(uint8_t *bytes, const char *text, size_t groups);
#endif

#endif
