"""livekit-agents: an `AgentSession` on its OpenAI model; microphone and speaker are its `AudioInput` and `AudioOutput`.

Their own code appends 100 ms at a time; the room, which a deployment has in between, is left out.
"""

from __future__ import annotations

import asyncio

import aiohttp
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.llm._realtime import openai as engine
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins import openai
from world import BLOCK, RATE, Socket, microphone, until


class Microphone(AudioInput):
    """Frames from a queue."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self.frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.frames.get()


class Speaker(AudioOutput):
    """Takes frames as they come."""

    def __init__(self) -> None:
        super().__init__(label="speaker", capabilities=AudioOutputCapabilities(pause=False), sample_rate=RATE)
        self.played = bytearray()
        self.played_s = 0.0
        self._segment_s = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self.played += frame.data
        self._segment_s += frame.duration
        self.played_s += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._segment_s:
            self.on_playback_finished(playback_position=self._segment_s, interrupted=False)
            self._segment_s = 0.0

    def clear_buffer(self) -> None:
        pass


class _Connection:
    """The three calls that aiohttp's connection is used for."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.send_str, self.close = socket.send, socket.close

    async def receive(self) -> aiohttp.WSMessage:
        return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, await self._socket.recv(), "")


class Client:
    """One session for both ways."""

    async def start(self, url: str | None = None) -> None:
        if url is None:
            self._socket = Socket()

            async def connect(_session: object) -> _Connection:
                return _Connection(self._socket)

            engine.RealtimeSession._create_ws_conn = connect
        endpoint = {} if url is None else {"base_url": url}
        self._microphone, self._speaker = Microphone(), Speaker()
        self._model = openai.realtime.RealtimeModel(api_key="sk-none", **endpoint)
        # Else it would not listen during the first three seconds of speech, which are before the measurement.
        self._session = AgentSession(llm=self._model, aec_warmup_duration=None)
        self._session.input.audio, self._session.output.audio = self._microphone, self._speaker
        await self._session.start(Agent(instructions="You are brief."))
        await asyncio.sleep(0.5)

    async def up(self, blocks: list[bytes]) -> int:
        before = self._socket.appended
        for at in range(0, len(blocks), 5):  # what one of its appends holds
            sent = self._socket.next_append()
            for block in blocks[at : at + 5]:
                self._microphone.frames.put_nowait(rtc.AudioFrame(block, RATE, 1, BLOCK))
            await sent
        return self._socket.appended - before

    async def down(self, messages: list[str], seconds: int) -> int:
        self._speaker.played.clear()
        self._socket.hand(messages)
        await until(lambda: len(self._speaker.played) >= 2 * RATE * seconds)
        return len(self._speaker.played)

    @property
    def played_s(self) -> float:
        return self._speaker.played_s

    async def converse(self, heard: bytes, begin: float) -> None:
        async for block in microphone(heard, begin):
            self._microphone.frames.put_nowait(rtc.AudioFrame(block, RATE, 1, BLOCK))
            self._speaker.played.clear()

    async def stop(self) -> None:
        await self._session.aclose()
        await self._model.aclose()
