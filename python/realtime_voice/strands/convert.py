"""The application's audio and the wire's, turned into each other by the C core.

Both are streams: each converter belongs to one direction of one connection and keeps what its resampler holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_core import base64, g711, pcm
from realtime_core.resample import Resampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_voice.audio import Wire

_ENCODE: dict[str, Callable[[bytes], bytes]] = {"pcmu": g711.encode_ulaw, "pcma": g711.encode_alaw}
_DECODE: dict[str, Callable[[bytes], bytes]] = {"pcmu": g711.decode_ulaw, "pcma": g711.decode_alaw}
G711_RATE = 8_000


class ToWire:
    """Turns what the application sends into bare wire audio.

    Args:
        rate: Sample rate in Hz of the application's PCM16.
        channels: 1, or 2 interleaved, which are mixed down.
        wire: What the connection carries.
    """

    def __init__(self, rate: int, channels: int, wire: Wire) -> None:
        self.wire = wire
        self._channels = channels
        self._resampler = None if rate == wire.rate else Resampler(rate, wire.rate)
        self._is_amid = False  # the resampler holds something of the stream
        self._from_g711 = None if wire.rate == G711_RATE else Resampler(G711_RATE, wire.rate)

    def convert(self, encoding: str, audio: bytes) -> bytes:
        """Return `audio` for the wire; may be empty while the resampler fills.

        Args:
            encoding: ``pcm``, at the rate and channels of the application, or ``pcmu`` or ``pcma`` (8 kHz mono).
            audio: A piece of the stream.

        Raises:
            ValueError: Another encoding, or PCM that is cut within a sample.
        """
        if encoding in _DECODE:
            if encoding == self.wire.encoding:
                return audio
            samples = _DECODE[encoding](audio)
            resampler = self._from_g711
        elif encoding == "pcm":
            samples = audio if self._channels == 1 else pcm.mix_down(audio, self._channels)
            resampler = self._resampler
            self._is_amid = True
        else:
            raise ValueError(f"audio format {encoding!r} is not supported: send 'pcm', 'pcmu' or 'pcma'")
        return self._encoded(samples if resampler is None else resampler.process(samples))

    def flush(self) -> bytes:
        """Return what the resampler still holds at the end of a stream of PCM, maybe nothing; it then starts anew."""
        if self._resampler is None or not self._is_amid:
            return b""
        self._is_amid = False
        return self._encoded(self._resampler.flush())

    def _encoded(self, samples: bytes) -> bytes:
        encode = _ENCODE.get(self.wire.encoding)
        return samples if encode is None else encode(samples)


class FromWire:
    """Turns the deltas of an answer into base64 PCM16 as the application wants it.

    Args:
        wire: What the connection carries.
        rate: Sample rate in Hz of the result.
        channels: 1, or 2 with the same samples in both.
    """

    def __init__(self, wire: Wire, rate: int, channels: int) -> None:
        self._wire = wire
        self._channels = channels
        self._resampler = None if rate == wire.rate else Resampler(wire.rate, rate)

    @property
    def identical(self) -> bool:
        """Whether the wire's audio already is what the application wants."""
        return self._resampler is None and self._channels == 1 and self._wire.encoding == "pcm"

    def convert(self, audio: str) -> str:
        """Return base64 audio of the wire as base64 PCM16. Raises ValueError for what is malformed."""
        return audio if self.identical else _text(self.samples(base64.decode(audio)))

    def samples(self, audio: bytes) -> bytes:
        """Return bare audio of the wire as PCM16. Raises ValueError for PCM that is cut within a sample."""
        decode = _DECODE.get(self._wire.encoding)
        samples = audio if decode is None else decode(audio)
        if self._resampler is not None:
            samples = self._resampler.process(samples)
        return self._spread(samples)

    def flush(self) -> str:
        """Return what the resampler still holds at the end of an answer, maybe nothing; it then starts anew."""
        return "" if self._resampler is None else _text(self._spread(self._resampler.flush()))

    def _spread(self, samples: bytes) -> bytes:
        return samples if self._channels == 1 else pcm.interleave(samples, samples)


def _text(audio: bytes) -> str:
    return base64.encode(audio).decode("ascii")
