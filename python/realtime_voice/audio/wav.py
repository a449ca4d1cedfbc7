"""WAV files: any common one read as 16-bit mono, and written so that they are whole at any moment."""

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, Self

from typing_extensions import Buffer

from realtime_core import g711
from realtime_voice.errors import AudioFileError

if TYPE_CHECKING:
    import numpy as np

MIN_RATE: Final = 8000
MAX_RATE: Final = 192000
MAX_BYTES: Final = 1 << 30
HEADER: Final = 44
UNKNOWN_SIZE: Final = 0xFFFFFFFF

_logger = logging.getLogger(__name__)

PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE


class _Format(NamedTuple):
    tag: int
    channels: int
    rate: int
    bits: int


def read_wav(path: str | Path, rate: int | None = None) -> tuple[bytes, int]:
    """Read a whole WAV file as 16-bit mono PCM; returns it and its rate.

    PCM of 8, 16, 24 or 32 bits, float of 32 or 64, A-law and mu-law; any number of channels, mixed
    down; 8 to 192 kHz, resampled when `rate` is given. A file cut short is read as far as it goes, with a
    warning in the log. Raises AudioFileError, which names the file and the reason.
    """
    try:
        with Path(path).open("rb") as file:
            form, data = _chunks(file, path)
    except OSError as error:
        raise AudioFileError(f"cannot read {path}: {error.strerror or error}") from error
    import numpy as np  # whole files only; no session needs them

    samples = _decode(form, data, path)
    if form.channels > 1:
        samples = samples[: len(samples) // form.channels * form.channels].reshape(-1, form.channels).mean(axis=1)
    if not len(samples):
        raise AudioFileError(f"cannot use {path}: it holds no audio")
    if rate is not None and rate != form.rate:
        import soxr  # type: ignore[import-untyped]

        samples = soxr.resample(samples, form.rate, rate, quality="HQ")
    pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2").tobytes()
    return pcm, form.rate if rate is None else rate


def _chunks(file: BinaryIO, path: str | Path) -> tuple[_Format, bytes]:
    riff, _, wave = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
    if riff != b"RIFF" or wave != b"WAVE":
        raise AudioFileError(f"cannot use {path}: it is not a WAV file")
    form: _Format | None = None
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            if form is None:
                raise AudioFileError(f"cannot use {path}: its data comes before its format")
            data = file.read(min(size, MAX_BYTES + 1))  # a size beyond the file's end means: to its end
            if len(data) > MAX_BYTES:
                raise AudioFileError(f"cannot use {path}: more than {MAX_BYTES >> 20} MiB of audio")
            if len(data) < size <= MAX_BYTES:  # larger ones are from programs that did not know the size
                _logger.warning("%s is cut short: it holds %d of %d bytes of audio", path, len(data), size)
            return form, data
        if name == b"fmt ":
            form = _format(file.read(min(size, 4096)), path)
        else:
            file.seek(size, 1)
        file.seek(size & 1, 1)
    raise AudioFileError(f"cannot use {path}: it holds no audio data")


def _format(fields: bytes, path: str | Path) -> _Format:
    if len(fields) < 16:
        raise AudioFileError(f"cannot use {path}: its format is cut short")
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", fields[:16])
    if tag == EXTENSIBLE and len(fields) >= 26:
        (tag,) = struct.unpack("<H", fields[24:26])
    form = _Format(tag, channels, rate, bits)
    if channels == 0:
        raise AudioFileError(f"cannot use {path}: it has no channels")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioFileError(f"cannot use {path}: its rate is {rate} Hz, not one of {MIN_RATE} to {MAX_RATE}")
    known = {PCM: (8, 16, 24, 32), FLOAT: (32, 64), ALAW: (8,), MULAW: (8,)}
    if bits not in known.get(tag, ()):
        raise AudioFileError(
            f"cannot use {path}: format {tag} with {bits} bits is neither PCM of 8, 16, 24 or 32 bits, "
            "float, A-law nor mu-law; convert it to 16-bit PCM"
        )
    return form


def _decode(form: _Format, data: bytes, path: str | Path) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    import numpy as np

    data = data[: len(data) // (form.bits // 8) * (form.bits // 8)]
    match form.tag, form.bits:
        case 1, 8:
            return (np.frombuffer(data, "u1").astype(np.float64) - 128.0) / 128.0
        case 1, 16:
            return np.frombuffer(data, "<i2") / 32768.0
        case 1, 24:
            wide = np.zeros((len(data) // 3, 4), "u1")
            wide[:, 1:] = np.frombuffer(data, "u1").reshape(-1, 3)
            return wide.reshape(-1).view("<i4") / 2147483648.0
        case 1, _:
            return np.frombuffer(data, "<i4") / 2147483648.0
        case 3, _:
            samples = np.frombuffer(data, f"<f{form.bits // 8}").astype(np.float64)
            if not np.isfinite(samples).all():
                raise AudioFileError(f"cannot use {path}: it holds samples that are not numbers")
            return samples
        case 6, _:
            return np.frombuffer(g711.decode_alaw(data), "<i2") / 32768.0
        case _:
            return np.frombuffer(g711.decode_ulaw(data), "<i2") / 32768.0


class WavWriter:
    """A 16-bit WAV file that grows: its header is brought up to date every second of audio.

    Whatever ends the program, the file on disk is a WAV that plays. Raises AudioFileError, naming
    the file, when it cannot be created or written.
    """

    def __init__(self, path: str | Path, rate: int, *, channels: int = 1) -> None:
        self.path = Path(path)
        self.frames = 0
        """Frames written so far."""
        self._rate = rate
        self._channels = channels
        self._whole = 0  # frames the header tells of
        with self._naming_the_file():
            self._file = self.path.open("wb")
            self._file.write(self._header())

    def write(self, pcm: Buffer) -> None:
        """Append interleaved PCM16; nothing happens once the file is closed."""
        if self._file.closed:
            return
        with self._naming_the_file():
            self.frames += self._file.write(pcm) // (2 * self._channels)
            if self.frames - self._whole >= self._rate:
                self._make_whole()

    def close(self) -> None:
        """Finish the file; more calls do nothing."""
        if self._file.closed:
            return
        with self._naming_the_file(), self._file:
            self._make_whole()

    def _make_whole(self) -> None:
        self._file.seek(0)
        self._file.write(self._header())
        self._file.seek(0, 2)
        self._file.flush()
        self._whole = self.frames

    def _header(self) -> bytes:
        frame = 2 * self._channels
        size = self.frames * frame
        # Beyond 4 GiB the sizes say "to the end of the file", which players understand.
        riff, data = (size + HEADER - 8, size) if size + HEADER < UNKNOWN_SIZE else (UNKNOWN_SIZE, UNKNOWN_SIZE)
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, PCM, self._channels, self._rate, self._rate * frame, frame, 16)
        return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + form + struct.pack("<4sI", b"data", data)

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AudioFileError(f"cannot write {self.path}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
