from libc.stdint cimport int16_t, int32_t, uint64_t


cdef extern from "rc_pcm.h" nogil:
    const double RC_PCM_FLOOR_DB

    int32_t rc_pcm_peak(const int16_t *samples, size_t count)
    uint64_t rc_pcm_energy(const int16_t *samples, size_t count)
    double rc_pcm_dbfs(double amplitude)
    void rc_pcm_gain(int16_t *samples, size_t count, float start, float end)
    void rc_pcm_add(int16_t *samples, const int16_t *more, size_t count)
    float rc_pcm_peak_f32(const float *samples, size_t count)
    double rc_pcm_energy_f32(const float *samples, size_t count)
    void rc_pcm_gain_f32(float *samples, size_t count, float start, float end)
    void rc_pcm_add_f32(float *samples, const float *more, size_t count)
    void rc_pcm_mix_down(int16_t *mono, const int16_t *interleaved, size_t frames, unsigned channels)
    void rc_pcm_duplicate(int16_t *interleaved, const int16_t *mono, size_t frames, unsigned channels)
    void rc_pcm_interleave(int16_t *stereo, const int16_t *left, const int16_t *right, size_t frames)
    void rc_pcm_s16_to_f32(float *out, const int16_t *samples, size_t count)
    void rc_pcm_f32_to_s16(int16_t *out, const float *samples, size_t count)
