"""Binding of rc_duplex.h: the device callback and its rings."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from realtime_core._buffer cimport borrow_frames, samples_of
from realtime_core.pcm cimport rc_pcm_dbfs

_MAX_CHANNELS = 32
_MAX_CAPACITY = 1 << 30
_MAX_GAIN = 16.0
_MAX_BLOCK = 1 << 20
_MAX_CONFIRM_MS = 10_000
_KINDS = {
    RC_DUPLEX_STARTED: "started",
    RC_DUPLEX_DRAINED: "drained",
    RC_DUPLEX_FLUSHED: "flushed",
    RC_DUPLEX_CUT: "cut",
    RC_DUPLEX_DUCKED: "ducked",
    RC_DUPLEX_RESTORED: "restored",
}
_PRIORITIES = {
    RC_DUPLEX_PRIORITY_GRANTED: "granted",
    RC_DUPLEX_PRIORITY_REFUSED: "refused",
    RC_DUPLEX_PRIORITY_RETURNED: "returned",
}


cdef extern from *:
    """
    #if defined(__linux__)
    #include <pthread.h>
    #include <sched.h>
    #include <time.h>
    static int set_real_time(int real_time)
    {
        struct sched_param parameters = {.sched_priority = real_time ? 2 : 0}; /* below the sound server's */
        return pthread_setschedparam(pthread_self(), real_time ? SCHED_RR : SCHED_OTHER, &parameters);
    }
    static uint64_t get_thread_ns(void)
    {
        struct timespec used;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
        return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
    }
    static int (*const prioritize)(int) = set_real_time;
    static uint64_t (*const thread_ns)(void) = get_thread_ns;
    #else
    static int (*const prioritize)(int) = NULL; /* CoreAudio and WASAPI see to it themselves */
    static uint64_t (*const thread_ns)(void) = NULL;
    #endif
    """
    int (*prioritize)(int) noexcept nogil
    uint64_t (*thread_ns)() noexcept nogil


def _check(name, value, low, high):
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, got {value}")


@cython.final
cdef class _Handle:
    def __dealloc__(self):
        rc_duplex_free(self.duplex)


@cython.final
@cython.no_gc
cdef class DuplexEvent:
    def __repr__(self):
        return (f"DuplexEvent(kind={self.kind!r}, frame={self.frame}, position={self.position}, "
                f"jumped_to={self.jumped_to}, speech={self.speech}, probability={self.probability:.3f})")


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
        bint detects_speech=False,
        bint checks_echo=False,
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
        config.detects_speech = detects_speech
        config.checks_echo = checks_echo
        config.prioritize = prioritize
        config.thread_ns = thread_ns
        self.handle = _Handle()
        self.handle.duplex = self.duplex = rc_duplex_new(&config)
        if self.duplex == NULL:
            raise MemoryError(f"no memory for rings of {capture_capacity} and {playout_capacity} samples")
        self.rate = <int> rate
        self.capture_channels = <int> capture_channels
        self.playout_channels = <int> playout_channels
        self.detects_speech = detects_speech
        self.checks_echo = detects_speech and checks_echo
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
        borrow_frames(captured, &view, frames, self.capture_channels)
        try:
            rc_duplex_callback(samples_of(&view), PyBytes_AS_STRING(played), <unsigned long> frames, NULL, flags,
                               self.duplex)
            return played
        finally:
            PyBuffer_Release(&view)

    def restart(self):
        rc_duplex_restart(self.duplex)

    def flush(self):
        return rc_duplex_flush(self.duplex)

    def events(self):
        cdef rc_duplex_event event
        cdef DuplexEvent told
        events = []
        while rc_duplex_take_event(self.duplex, &event):
            told = DuplexEvent.__new__(DuplexEvent)
            told.kind = _KINDS[event.kind]
            told.frame = event.frame
            told.position = event.position
            told.jumped_to = event.jumped_to
            told.speech = event.speech
            told.probability = event.probability
            events.append(told)
        return events

    def listen(
        self,
        *,
        int confirm_ms,
        float confirm_probability=0.5,
        float onset_probability=0.5,
        double duck_db=-12.0,
    ):
        cdef rc_duplex_barge_in barge_in
        _check("confirm_ms", confirm_ms, 10, _MAX_CONFIRM_MS)
        _check("confirm_probability", confirm_probability, 0.0, 1.0)
        _check("onset_probability", onset_probability, 0.0, 1.0)
        _check("duck_db", duck_db, -120.0, 0.0)
        if not self.detects_speech:
            raise ValueError("listen() needs a Duplex with detects_speech=True")
        barge_in.onset_probability = onset_probability
        barge_in.confirm_probability = confirm_probability
        barge_in.confirm_ms = <unsigned> confirm_ms
        barge_in.duck = <float> (10 ** (duck_db / 20))
        rc_duplex_set_barge_in(self.duplex, &barge_in)

    def ignore(self):
        rc_duplex_set_barge_in(self.duplex, NULL)

    @property
    def generation(self):
        return rc_duplex_generation(self.duplex)

    def accept(self, unsigned int generation, /):
        rc_duplex_accept(self.duplex, generation)

    @property
    def frames(self):
        return self._stats().frames

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
    def prefill(self):
        return rc_duplex_prefill(self.duplex)

    @prefill.setter
    def prefill(self, Py_ssize_t value):
        _check("prefill", value, 0, _MAX_CAPACITY)
        rc_duplex_set_prefill(self.duplex, <size_t> value)

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

    @property
    def priority(self):
        return _PRIORITIES.get(self._stats().priority, "unasked")

    def timing(self):
        cdef rc_duplex_timing timing
        if not rc_duplex_get_timing(self.duplex, &timing):
            return None
        return timing.frames, timing.age_ns / 1e9, timing.input_delay, timing.output_delay

    def stats(self):
        cdef rc_duplex_stats stats = self._stats()
        cdef rc_duplex_timing timing
        timing.input_delay = timing.output_delay = 0.0
        rc_duplex_get_timing(self.duplex, &timing)
        return {
            "blocks": stats.blocks,
            "frames": stats.frames,
            "overruns": stats.overruns,
            "tap_overruns": stats.tap_overruns,
            "underruns": stats.underruns,
            "prefilled": stats.prefilled,
            "discarded": stats.discarded,
            "lost_events": stats.lost_events,
            "device_underflows": stats.device_underflows,
            "device_overflows": stats.device_overflows,
            "mean_callback_us": stats.callback_ns / 1e3 / max(stats.blocks, 1),
            "p99_callback_us": _most_below(stats, 0.99),
            "max_callback_us": stats.max_callback_ns / 1e3,
            "max_interval_ms": stats.max_interval_ns / 1e6,
            "input_delay_s": timing.input_delay,
            "output_delay_s": timing.output_delay,
            "echo_reduction_db": stats.echo_reduction_db,
        }


cdef double _most_below(rc_duplex_stats stats, double part) noexcept:
    """The least power of two, in microseconds, that this part of the callbacks stayed below."""
    cdef int n = 0
    cdef unsigned long long counted = stats.callback_times[0]
    while n < RC_DUPLEX_TIMES - 1 and <double> counted < part * <double> stats.blocks:
        n += 1
        counted += stats.callback_times[n]
    return <double> (1 << n)
