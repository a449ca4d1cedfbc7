from libc.stdint cimport int16_t, uint8_t, uint32_t

from realtime_core.resample cimport rc_resample_grade


cdef extern from "rc_g711.h" nogil:
    void rc_g711_encode_ulaw(uint8_t *codes, const int16_t *samples, size_t count)
    void rc_g711_decode_ulaw(int16_t *samples, const uint8_t *codes, size_t count)
    void rc_g711_encode_alaw(uint8_t *codes, const int16_t *samples, size_t count)
    void rc_g711_decode_alaw(int16_t *samples, const uint8_t *codes, size_t count)

    ctypedef enum rc_g711_law:
        RC_G711_ULAW
        RC_G711_ALAW

    ctypedef struct rc_g711_decoder:
        pass

    rc_g711_decoder *rc_g711_decoder_new(rc_g711_law law, uint32_t rate, rc_resample_grade grade)
    void rc_g711_decoder_free(rc_g711_decoder *decoder)
    void rc_g711_decoder_reset(rc_g711_decoder *decoder)
    size_t rc_g711_decoder_count(const rc_g711_decoder *decoder, size_t count)
    size_t rc_g711_decoder_process(rc_g711_decoder *decoder, int16_t *samples, const uint8_t *codes, size_t count)
    size_t rc_g711_decoder_flush_count(const rc_g711_decoder *decoder)
    size_t rc_g711_decoder_flush(rc_g711_decoder *decoder, int16_t *samples)
    double rc_g711_decoder_delay(const rc_g711_decoder *decoder)

    ctypedef struct rc_g711_encoder:
        pass

    rc_g711_encoder *rc_g711_encoder_new(rc_g711_law law, uint32_t rate, rc_resample_grade grade)
    void rc_g711_encoder_free(rc_g711_encoder *encoder)
    void rc_g711_encoder_reset(rc_g711_encoder *encoder)
    size_t rc_g711_encoder_count(const rc_g711_encoder *encoder, size_t count)
    size_t rc_g711_encoder_process(rc_g711_encoder *encoder, uint8_t *codes, const int16_t *samples, size_t count)
    size_t rc_g711_encoder_flush_count(const rc_g711_encoder *encoder)
    size_t rc_g711_encoder_flush(rc_g711_encoder *encoder, uint8_t *codes)
    double rc_g711_encoder_delay(const rc_g711_encoder *encoder)


cdef class Decoder:
    cdef rc_g711_decoder *handle
    cdef readonly str law
    cdef readonly int rate


cdef class Encoder:
    cdef rc_g711_encoder *handle
    cdef readonly str law
    cdef readonly int rate
