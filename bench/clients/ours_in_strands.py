"""strands-agents with our classes: the same `BidiAgent`, on our model and our audio I/O."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import ours
from realtime_voice.strands import BidiAudioIO, BidiOpenAIRealtimeModel
from strands.bidi import BidiAgent
from world import until

if TYPE_CHECKING:
    from realtime_voice.audio import PushAudioIO, VirtualAudioIO


class _Running:
    """An agent that runs, and ends as a session does."""

    def __init__(self, running: asyncio.Future[None]) -> None:
        self._running = running

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


class Client(ours.Client):
    """An agent for each way; live, one for both."""

    async def _open(self, audio: VirtualAudioIO | PushAudioIO, url: str | None) -> _Running:
        client = {"api_key": "sk-none"} if url is None else {"api_key": "sk-none", "base_url": url}
        model = BidiOpenAIRealtimeModel("gpt-realtime", client_config=client, transcription_model_id=None)
        sound = BidiAudioIO(audio=audio)
        agent = BidiAgent(model=model)
        running = asyncio.ensure_future(agent.run(inputs=[sound.input()], outputs=[sound.output()]))
        await until(lambda: running.done() or audio._running)
        self._model = model  # of the speaker, the later one
        return _Running(running)

    async def down(self, messages: list[bytes], seconds: int) -> int:
        translator = self._model._connection.translator
        before = translator.responses_done
        played = await super().down(messages, seconds)
        await until(lambda: translator.responses_done > before)  # the agent is not ahead of the speaker
        return played
