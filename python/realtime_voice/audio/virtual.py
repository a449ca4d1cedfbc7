"""A sound device without hardware, on any clock."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

from typing_extensions import Buffer, Unpack

from realtime_core.resample import Resampler
from realtime_voice.audio.clock import Clock
from realtime_voice.audio.engine import CaptureOptions
from realtime_voice.audio.ticked import HOP_S, TickedAudioIO


class VirtualAudioIO(TickedAudioIO):
    """A microphone that hears what `say` is given, and silence else, and a speaker that can be listened to.

    It drives the same duplex a sound card does, block by block, at real-time pace or `speed` times
    as fast, or on a `clock` of yours. A block lasts `block_s` (10 ms to 100 ms, whole milliseconds);
    `heard` is called with every one that the speaker gets, PCM16 mono at `rate`. When the session does
    not take what it captures, time stands still rather than audio being lost.
    """

    def __init__(
        self,
        *,
        rate: int = 48000,
        block_s: float = HOP_S,
        speed: float = 1.0,
        heard: Callable[[bytes], object] | None = None,
        record: str | Path | None = None,
        clock: Clock | None = None,
        **options: Unpack[CaptureOptions],
    ) -> None:
        if rate % 100 or not 8000 <= rate <= 192000:
            raise ValueError(f"rate must be a multiple of 100 from 8000 to 192000, got {rate}")
        if not 0.01 <= block_s <= 0.1 or round(rate * block_s) * 1000 != round(block_s * 1000) * rate:
            raise ValueError(
                f"block_s must be 0.01 to 0.1 seconds and whole frames of whole milliseconds, got {block_s}"
            )
        super().__init__(record=record, clock=clock, **options)
        self.rate = rate
        self._block_s = block_s
        self._speed = speed
        self._heard = heard
        self._microphone: deque[memoryview] = deque()

    def say(self, pcm: Buffer, rate: int) -> None:
        """Put speech, PCM16 mono at `rate`, behind what the microphone has still to hear."""
        samples = memoryview(pcm).cast("B")
        if rate != self.rate:
            resampler = Resampler(rate, self.rate, "fast")
            samples = memoryview(resampler.process(samples) + resampler.flush())
        if samples:
            self._microphone.append(samples)

    @property
    def silent(self) -> bool:
        """Everything said has been heard by the microphone."""
        return not self._microphone

    async def silence(self) -> None:
        """Wait until the microphone has heard everything said."""
        while self._running and not self.silent:
            await self._clock.sleep_until(self._clock.time() + HOP_S)

    def hush(self) -> None:
        """Forget what the microphone has not heard yet."""
        self._microphone.clear()

    async def _open(self) -> None:
        self._assemble(self.rate)
        self.playout.latency_s = self._block_s  # a block begins to sound when it is handed over

    async def _close(self) -> None:
        pass

    def _next(self, due: float) -> float:
        return due + self._block_s  # a late tick is made up for: every block of this device's time happens

    def _hop(self) -> None:
        if self._behind:
            self._pump()
            return
        frames = round(self.rate * self._block_s)
        played = self.duplex.process(self._listen(2 * frames), frames)
        super()._hop()
        if self._heard is not None:
            self._heard(played)

    def _listen(self, size: int) -> bytes:
        """Take the microphone's next `size` bytes."""
        block = bytearray()
        while self._microphone and len(block) < size:
            speech = self._microphone[0]
            missing = size - len(block)
            block += speech[:missing]
            if len(speech) > missing:
                self._microphone[0] = speech[missing:]
            else:
                self._microphone.popleft()
        return bytes(block).ljust(size, b"\0")
