"""livekit-agents: an AgentSession without a room, with a microphone and a speaker of our own."""

import asyncio
import time

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice import io
from livekit.plugins.openai.realtime import RealtimeModel
from user import BASE_URL, INSTRUCTIONS, RATE, User, calculate


class Microphone(io.AudioInput):
    def __init__(self) -> None:
        super().__init__(label="user")
        self.waiting: asyncio.Queue[bytes] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        pcm = await self.waiting.get()
        return rtc.AudioFrame(pcm, RATE, 1, len(pcm) // 2)


class Speaker(io.AudioOutput):
    """Plays on the clock: a segment lasts as long as its audio, or until it is cleared."""

    def __init__(self, user: User) -> None:
        super().__init__(label="speaker", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE)
        self._user = user
        self._began = 0.0
        self._length_s = 0.0
        self._ending: asyncio.Task[None] | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._length_s:
            self._began = time.monotonic()
            self.on_playback_started(created_at=time.time())
        self._length_s += frame.duration
        self._user.hear(bytes(frame.data))

    def flush(self) -> None:
        super().flush()
        if self._length_s and self._ending is None:
            self._ending = asyncio.ensure_future(self._play_out())

    def clear_buffer(self) -> None:
        if self._length_s:
            self._user.stop_playing()
            self._finish(interrupted=True)

    async def _play_out(self) -> None:
        await asyncio.sleep(max(0.0, self._began + self._length_s - time.monotonic()))
        self._ending = None
        self._finish(interrupted=False)

    def _finish(self, *, interrupted: bool) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        position = min(self._length_s, time.monotonic() - self._began)
        self._length_s = 0.0
        self.on_playback_finished(playback_position=position, interrupted=interrupted)


@function_tool
async def calculator(expression: str) -> str:
    """Calculates."""
    return calculate(expression)


async def main() -> None:
    microphone = Microphone()
    user = User(microphone.waiting.put)
    session = AgentSession(llm=RealtimeModel(base_url=BASE_URL, api_key="local"), aec_warmup_duration=None)
    session.input.audio = microphone
    session.output.audio = Speaker(user)
    await session.start(agent=Agent(instructions=INSTRUCTIONS, tools=[calculator]))
    try:
        await user.converse()
    finally:
        await session.aclose()


asyncio.run(main())
