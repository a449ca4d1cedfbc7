"""Files in the place of a microphone and a speaker."""

from pathlib import Path

from typing_extensions import Unpack

from realtime_voice.audio.clock import Clock
from realtime_voice.audio.engine import CaptureOptions
from realtime_voice.audio.virtual import VirtualAudioIO
from realtime_voice.audio.wav import WavWriter, read_wav


class FileAudioIO(VirtualAudioIO):
    """Speaks a WAV file into the session at real-time pace and writes what the user hears to another.

    After the file the microphone hears silence, so that the peer can notice the end of the turn. The
    input ends once neither side has made a sound for `linger_s` seconds; None lets it go on until `stop`.
    `input` and `output` may each be left out: silence in, nothing kept. Reading raises AudioFileError
    here and not when the session starts.
    """

    def __init__(
        self,
        input: str | Path | None = None,  # noqa: A002 - the name of the option
        output: str | Path | None = None,
        *,
        rate: int = 48000,
        speed: float = 1.0,
        linger_s: float | None = 10.0,
        record: str | Path | None = None,
        clock: Clock | None = None,
        **options: Unpack[CaptureOptions],
    ) -> None:
        super().__init__(rate=rate, speed=speed, heard=self._write, record=record, clock=clock, **options)
        if input is not None:
            self.say(*read_wav(input, rate))
        self._output = output
        self._writer: WavWriter | None = None
        self._linger_s = linger_s
        self._sounded = 0.0

    async def _open(self) -> None:
        if self._output is not None:
            self._writer = WavWriter(self._output, self.rate)
        await super()._open()
        self._sounded = self._clock.time()

    async def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, block: bytes) -> None:
        if self._writer is not None:
            self._writer.write(block)

    def _hop(self) -> None:
        if self._ended:
            self._pump()
            return
        now = self._clock.time()
        if not self.silent or self.playout.active:
            self._sounded = now
        super()._hop()
        if self._linger_s is not None and now - self._sounded > self._linger_s:
            self._end()
