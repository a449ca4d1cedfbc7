/* Base64 kernels: one pair of functions per instruction set, all with the same contract.
 *
 * Encoding turns three bytes into four characters, decoding four characters into three bytes.
 * A kernel does as many whole groups as its registers allow from the front and returns how many;
 * a decoding kernel stops in front of the block that holds a character outside the alphabet.
 * Plain C does the rest, so a kernel may do nothing at all. No byte outside `groups` groups is
 * read or written.
 */
#ifndef RC_BASE64_KERNELS_H
#define RC_BASE64_KERNELS_H

#include <stddef.h>
#include <stdint.h>

size_t rc_base64_encode_kernel(char *text, const uint8_t *bytes, size_t groups);
size_t rc_base64_decode_kernel(uint8_t *bytes, const char *text, size_t groups);

#endif
