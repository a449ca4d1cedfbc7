from libc.stdint cimport int16_t, uint8_t


cdef extern from "rc_g711.h" nogil:
    void rc_g711_encode_ulaw(uint8_t *codes, const int16_t *samples, size_t count)
    void rc_g711_decode_ulaw(int16_t *samples, const uint8_t *codes, size_t count)
    void rc_g711_encode_alaw(uint8_t *codes, const int16_t *samples, size_t count)
    void rc_g711_decode_alaw(int16_t *samples, const uint8_t *codes, size_t count)
