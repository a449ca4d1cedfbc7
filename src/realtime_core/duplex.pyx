"""Binding of rc_duplex.h: the device callback and its rings."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uintptr_t

from realtime_core._buffer cimport borrow_samples, count_of, samples_of
from realtime_core.pcm cimport rc_pcm_dbfs

_MAX_CHANNELS = 32
_MAX_CAPACITY = 1 << 30
_MAX_GAIN = 16.0
_MAX_BLOCK = 1 << 20


def _check(name, value, low, high):
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, got {value}")


@cython.final
cdef class _Handle:
    def __dealloc__(self):
        rc_duplex_free(self.duplex)


@cython.final
cdef class Duplex:
    def __cinit__(
        self,
        Py_ssize_t rate,
        *,
        Py_ssize_t capture_channels=1,
        Py_ssize_t playout_channels=1,
        Py_ssize_t capture_capacity,
        Py_ssize_t playout_capacity,
        Py_ssize_t tap_capacity=0,
    ):
        _check("rate", rate, 8000, 192000)
        _check("capture_channels", capture_channels, 1, _MAX_CHANNELS)
        _check("playout_channels", playout_channels, 1, _MAX_CHANNELS)
        _check("capture_capacity", capture_capacity, 1, _MAX_CAPACITY)
        _check("playout_capacity", playout_capacity, 1, _MAX_CAPACITY)
        _check("tap_capacity", tap_capacity, 0, _MAX_CAPACITY)
        cdef rc_duplex_config config
        config.rate = <uint32_t> rate
        config.capture_channels = <unsigned> capture_channels
        config.playout_channels = <unsigned> playout_channels
        config.capture_capacity = <size_t> capture_capacity
        config.playout_capacity = <size_t> playout_capacity
        config.tap_capacity = <size_t> tap_capacity
        self.handle = _Handle()
        self.handle.duplex = self.duplex = rc_duplex_new(&config)
        if self.duplex == NULL:
            raise MemoryError(f"no memory for rings of {capture_capacity} and {playout_capacity} samples")
        self.rate = <int> rate
        self.capture_channels = <int> capture_channels
        self.playout_channels = <int> playout_channels
        self.capture = Ring.borrow(rc_duplex_capture(self.duplex), self.handle)
        self.playout = Ring.borrow(rc_duplex_playout(self.duplex), self.handle)
        if tap_capacity > 0:
            self.tap = Ring.borrow(rc_duplex_tap(self.duplex), self.handle)

    @property
    def callback_address(self):
        return <uintptr_t> &rc_duplex_callback

    @property
    def state_address(self):
        return <uintptr_t> self.duplex

    def process(self, captured, Py_ssize_t frames, *, unsigned long flags=0):
        cdef Py_buffer view
        _check("frames", frames, 0, _MAX_BLOCK)
        played = PyBytes_FromStringAndSize(NULL, frames * self.playout_channels * 2)
        if captured is None:
            rc_duplex_callback(NULL, PyBytes_AS_STRING(played), <unsigned long> frames, NULL, flags, self.duplex)
            return played
        borrow_samples(captured, &view)
        try:
            if count_of(&view) != <size_t> (frames * self.capture_channels):
                raise ValueError(f"{frames} frames of {self.capture_channels} channels are "
                                 f"{frames * self.capture_channels} samples, got {count_of(&view)}")
            rc_duplex_callback(samples_of(&view), PyBytes_AS_STRING(played), <unsigned long> frames, NULL, flags,
                               self.duplex)
            return played
        finally:
            PyBuffer_Release(&view)

    def flush(self):
        return rc_duplex_flush(self.duplex)

    def flushes(self):
        cdef rc_duplex_cut cut
        cuts = []
        while rc_duplex_take_cut(self.duplex, &cut):
            cuts.append((cut.stopped_at, cut.jumped_to))
        return cuts

    @property
    def played(self):
        return rc_duplex_played(self.duplex)

    @property
    def expecting(self):
        return rc_duplex_expecting(self.duplex) != 0

    @expecting.setter
    def expecting(self, bint value):
        rc_duplex_set_expecting(self.duplex, value)

    @property
    def capture_gain(self):
        return rc_duplex_capture_gain(self.duplex)

    @capture_gain.setter
    def capture_gain(self, float value):
        _check("capture_gain", value, 0.0, _MAX_GAIN)
        rc_duplex_set_capture_gain(self.duplex, value)

    @property
    def playout_gain(self):
        return rc_duplex_playout_gain(self.duplex)

    @playout_gain.setter
    def playout_gain(self, float value):
        _check("playout_gain", value, 0.0, _MAX_GAIN)
        rc_duplex_set_playout_gain(self.duplex, value)

    @property
    def muted(self):
        return rc_duplex_muted(self.duplex) != 0

    @muted.setter
    def muted(self, bint value):
        rc_duplex_set_muted(self.duplex, value)

    @property
    def capture_level(self):
        return rc_pcm_dbfs(self._stats().capture_peak)

    @property
    def playout_level(self):
        return rc_pcm_dbfs(self._stats().playout_peak)

    cdef rc_duplex_stats _stats(self) noexcept:
        cdef rc_duplex_stats stats
        rc_duplex_get_stats(self.duplex, &stats)
        return stats

    def stats(self):
        cdef rc_duplex_stats stats = self._stats()
        return {
            "blocks": stats.blocks,
            "frames": stats.frames,
            "overruns": stats.overruns,
            "tap_overruns": stats.tap_overruns,
            "underruns": stats.underruns,
            "device_underflows": stats.device_underflows,
            "device_overflows": stats.device_overflows,
            "mean_callback_us": stats.callback_ns / 1e3 / max(stats.blocks, 1),
            "max_callback_us": stats.max_callback_ns / 1e3,
            "output_delay_s": stats.output_delay,
        }
