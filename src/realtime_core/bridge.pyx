"""Binding of rc_bridge.h: sound devices of other rates, channels and clocks before a duplex."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uintptr_t

from realtime_core._buffer cimport borrow_frames, samples_of

_MAX_CHANNELS = 32
_MAX_BLOCK = 1 << 16


def _check(name, value, low, high):
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, got {value}")


@cython.final
cdef class Bridge:
    def __cinit__(
        self,
        Duplex duplex not None,
        *,
        Py_ssize_t capture_rate,
        Py_ssize_t playout_rate,
        Py_ssize_t capture_channels=1,
        Py_ssize_t playout_channels=1,
        Py_ssize_t capture_channel=0,
        Py_ssize_t playout_channel=0,
        Py_ssize_t capture_block=0,
        Py_ssize_t playout_block=0,
    ):
        _check("capture_rate", capture_rate, 8000, 192000)
        _check("playout_rate", playout_rate, 8000, 192000)
        _check("capture_channels", capture_channels, 1, _MAX_CHANNELS)
        _check("playout_channels", playout_channels, 1, _MAX_CHANNELS)
        _check("capture_channel", capture_channel, 0, capture_channels)
        _check("playout_channel", playout_channel, 0, playout_channels)
        _check("capture_block", capture_block, 0, _MAX_BLOCK)
        _check("playout_block", playout_block, 0, _MAX_BLOCK)
        if (capture_block > 0) != (playout_block > 0):
            raise ValueError("capture_block and playout_block belong together: both for two devices, else neither")
        if (duplex.capture_channels, duplex.playout_channels) != (1, 1):
            raise ValueError("the duplex behind a bridge has one channel each way")
        cdef rc_bridge_config config
        config.rate = <uint32_t> duplex.rate
        config.capture_rate = <uint32_t> capture_rate
        config.playout_rate = <uint32_t> playout_rate
        config.capture_channels = <unsigned> capture_channels
        config.playout_channels = <unsigned> playout_channels
        config.capture_channel = <unsigned> capture_channel
        config.playout_channel = <unsigned> playout_channel
        config.capture_block = <size_t> capture_block
        config.playout_block = <size_t> playout_block
        self.duplex = duplex
        self.capture_channels = <int> capture_channels
        self.playout_channels = <int> playout_channels
        self.bridge = rc_bridge_new(duplex.duplex, &config)
        if self.bridge == NULL:
            raise MemoryError(f"no memory for a bridge between {capture_rate}, {playout_rate} and {duplex.rate} Hz")

    def __dealloc__(self):
        rc_bridge_free(self.bridge)

    @property
    def callback_address(self):
        return <uintptr_t> &rc_bridge_callback

    @property
    def capture_callback_address(self):
        return <uintptr_t> &rc_bridge_capture_callback

    @property
    def state_address(self):
        return <uintptr_t> self.bridge

    def process(self, captured, Py_ssize_t frames, *, double time=0.0):
        cdef Py_buffer view
        cdef rc_stream_time times
        times.input_adc_time = times.output_dac_time = 0.0
        times.current_time = time
        _check("frames", frames, 0, _MAX_BLOCK)
        played = PyBytes_FromStringAndSize(NULL, frames * self.playout_channels * 2)
        cdef char *output = PyBytes_AS_STRING(played)
        if captured is None:
            rc_bridge_callback(NULL, output, <unsigned long> frames, &times, 0, self.bridge)
            return played
        borrow_frames(captured, &view, frames, self.capture_channels)
        try:
            rc_bridge_callback(samples_of(&view), output, <unsigned long> frames, &times, 0, self.bridge)
            return played
        finally:
            PyBuffer_Release(&view)

    def stats(self):
        cdef rc_bridge_stats stats
        rc_bridge_get_stats(self.bridge, &stats)
        return {
            "capture_blocks": stats.capture_blocks,
            "starved": stats.starved,
            "dropped": stats.dropped,
            "fill_s": stats.fill,
            "target_s": stats.target,
            "ppm": stats.ppm,
        }
