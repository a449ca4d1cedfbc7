from libc.stdint cimport uint8_t


cdef extern from "rc_base64.h" nogil:
    size_t rc_base64_encoded_size(size_t count)
    size_t rc_base64_encode(char *text, const uint8_t *bytes, size_t count)
    size_t rc_base64_decoded_size(const char *text, size_t length)
    int rc_base64_decode(uint8_t *bytes, const char *text, size_t length, size_t *error_offset)
    size_t rc_base64_decode_groups(uint8_t *bytes, const char *text, size_t groups)
