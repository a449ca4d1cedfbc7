"""Audio an application brings itself: from a socket, a telephone line, another program."""

from typing_extensions import Buffer, Unpack

from realtime_core import pcm as samples
from realtime_voice.audio.clock import Clock
from realtime_voice.audio.engine import CaptureOptions, EngineAudioIO
from realtime_voice.errors import LocalProtocolError


class PushAudioIO(EngineAudioIO):
    """An audio side without a device, thread, task or timer: the application pushes and pulls PCM16.

    `push` what the user says and `pull` what the user shall hear, both at `rate` with `channels`
    interleaved, each as often and in pieces as large as it suits the application; pulling is what plays. Call from
    the event loop's thread.
    """

    def __init__(
        self,
        *,
        rate: int = 24000,
        channels: int = 1,
        latency_s: float = 0.0,
        clock: Clock | None = None,
        **options: Unpack[CaptureOptions],
    ) -> None:
        if channels not in {1, 2}:
            raise ValueError(f"channels must be 1 or 2, got {channels}")
        super().__init__(clock=clock, **options)
        self.rate = rate
        self.channels = channels
        self.overruns = 0
        """Bytes pushed while the session took nothing, and lost."""
        self._latency_s = latency_s

    def push(self, pcm: Buffer) -> None:
        """Hand in what the microphone heard. Raises LocalProtocolError before `start` and after `end` or `stop`."""
        if not self._running or self._ended:
            raise LocalProtocolError("push() needs a started session whose input has not ended")
        if self._behind:
            self.overruns += memoryview(pcm).nbytes
            return
        self._capture(pcm if self.channels == 1 else samples.mix_down(pcm, self.channels))
        if self._has_news:
            self._wake()

    def pull(self, frames: int) -> bytes:
        """Take the next `frames` frames for the speaker, silence where there is nothing; empty unless started."""
        if not self._running:
            return b""
        played = self.duplex.process(None, frames)
        self.playout.pump()
        if self._has_news:
            self._wake()
        return played

    def end(self) -> None:
        """End the input: what was pushed is still sent, then `captured` returns None."""
        if self._running:
            self._end()

    async def _open(self) -> None:
        self._assemble(self.rate, playout_channels=self.channels, capture=False)
        self.playout.latency_s = self._latency_s

    async def _close(self) -> None:
        pass
