"""strands-agents: a `BidiAgent` on its OpenAI model with its own `AudioIO`, run as its documentation runs it."""

from __future__ import annotations

import asyncio

from world import BLOCK, BLOCK_MS, SILENCE, Socket, install_pyaudio, microphone, until


class Client:
    """One agent for both ways."""

    played_s = 0.0

    async def start(self, url: str | None = None) -> None:
        streams = install_pyaudio()
        from strands.bidi import BidiAgent
        from strands.bidi.io import AudioIO
        from strands.bidi.models.openai import realtime

        if url is None:
            self._socket = Socket()

            async def connect(*_: object, **__: object) -> Socket:
                return self._socket

            realtime.websockets.connect = connect
        else:
            realtime.OPENAI_REALTIME_URL = url
        model = realtime.OpenAIRealtimeModel(model_id="gpt-realtime", transcription_model_id=None, api_key="sk-none")
        audio = AudioIO(input_frames_per_buffer=BLOCK, output_frames_per_buffer=BLOCK)
        self._output = audio.output()
        agent = BidiAgent(model=model)
        self._running = asyncio.ensure_future(agent.run(inputs=[audio.input()], outputs=[self._output]))
        await until(lambda: len(streams) == 2)
        await asyncio.sleep(0.1)
        self._microphone = next(stream.callback for stream in streams if stream.is_input)
        self._speaker = next(stream.callback for stream in streams if not stream.is_input)

    async def up(self, blocks: list[bytes]) -> int:
        before = self._socket.appended
        for block in blocks:
            sent = self._socket.next_append()
            self._microphone(block, BLOCK, None, 0)
            await sent
        return self._socket.appended - before

    async def down(self, messages: list[str], seconds: int) -> int:
        self._socket.hand(messages)
        arrived = self._output._buffer._buffer
        deltas = sum('"response.output_audio.delta"' in message[:60] for message in messages)
        await until(lambda: arrived.qsize() >= deltas)
        return sum(len(self._speaker(None, BLOCK, None, 0)[0]) for _ in range(seconds * 1000 // BLOCK_MS))

    async def converse(self, heard: bytes, begin: float) -> None:
        async for block in microphone(heard, begin):
            self._microphone(block, BLOCK, None, 0)
            pcm, _ = self._speaker(None, BLOCK, None, 0)
            if pcm != SILENCE:
                self.played_s += BLOCK_MS / 1000

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
