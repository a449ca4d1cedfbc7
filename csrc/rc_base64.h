/* Base64 (RFC 4648, section 4), strict: the standard alphabet, padded, no white space, and the
 * unused bits of the last character zero. So every text that decodes is what encoding its bytes
 * gives, letter for letter.
 *
 * Input and output must not overlap.
 */
#ifndef RC_BASE64_H
#define RC_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Characters that `count` bytes become. */
size_t rc_base64_encoded_size(size_t count);
/* Encodes `count` bytes; returns the number of characters written (no terminating zero). */
size_t rc_base64_encode(char *text, const uint8_t *bytes, size_t count);

/* Bytes that `length` characters become, the padding at their end taken into account; exact when
 * the text is valid, enough room when it is not. */
size_t rc_base64_decoded_size(const char *text, size_t length);
/* Decodes `length` characters into rc_base64_decoded_size() bytes. RC_OK, or RC_EDATA with the
 * offset of the first character that cannot stand where it stands in `*error_offset` (`length`
 * itself when the text ends inside a group of four); `bytes` then holds nothing of use. */
int rc_base64_decode(uint8_t *bytes, const char *text, size_t length, size_t *error_offset);

/* Decodes whole groups (four characters without padding into three bytes each) and returns how
 * many; less than `groups` when the next one is not such a group. For text that arrives or is
 * stored in pieces. */
size_t rc_base64_decode_groups(uint8_t *bytes, const char *text, size_t groups);

#endif
