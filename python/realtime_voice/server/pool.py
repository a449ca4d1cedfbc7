"""Several speech workers as one: a turn or a sentence goes to the one with the least to do."""

import asyncio
from collections.abc import Sequence

from realtime_voice.server.interfaces import Json, Speech
from realtime_voice.server.speech import RemoteHearing, SpeechProcess


class SpeechPool:
    """A Recognizer and a Synthesizer over worker processes. Use `start` and `stop`; belongs to one event loop."""

    def __init__(self, workers: Sequence[SpeechProcess]) -> None:
        """Take at least one worker, not started yet."""
        self.workers = list(workers)

    @property
    def voice_name(self) -> str:
        """What speaks, the same in every worker."""
        return self.workers[0].voice_name

    async def start(self) -> None:
        """Start all workers. Raises RuntimeError with the reason when one cannot work; then none is left running."""
        results = await asyncio.gather(*(worker.start() for worker in self.workers), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            await self.stop()
            raise failures[0]

    async def stop(self) -> None:
        """End all workers; bounded, idempotent."""
        await asyncio.gather(*(worker.stop() for worker in self.workers))

    def listen(self, tools: Sequence[Json]) -> RemoteHearing:
        """Begin a turn."""
        return self._idlest().listen(tools)

    async def speak(self, text: str, *, rate: int, voice: str, speed: float) -> Speech:
        """Return `text` as PCM at `rate` Hz. Raises SynthesisError when the voice failed."""
        return await self._idlest().speak(text, rate=rate, voice=voice, speed=speed)

    def _idlest(self) -> SpeechProcess:
        return min(self.workers, key=lambda worker: worker.load)
