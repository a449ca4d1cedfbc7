"""pipecat: a pipeline of its local audio transport and its OpenAI service, as its examples run it."""

from __future__ import annotations

import asyncio

from world import BLOCK, RATE, Socket, install_pyaudio, microphone, until


class Client:
    """One pipeline for both ways."""

    async def start(self, url: str | None = None) -> None:
        streams = install_pyaudio()
        from loguru import logger
        from pipecat.frames.frames import LLMRunFrame
        from pipecat.pipeline.pipeline import Pipeline
        from pipecat.pipeline.worker import PipelineParams, PipelineWorker
        from pipecat.processors.aggregators.llm_context import LLMContext
        from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
        from pipecat.services.openai.realtime import llm as service
        from pipecat.transports.local.audio import LocalAudioTransport, LocalAudioTransportParams
        from pipecat.workers.runner import WorkerRunner

        logger.remove()
        if url is None:
            self._socket = Socket()

            async def connect(*_: object, **__: object) -> Socket:
                return self._socket

            service.websocket_connect = connect
        transport = LocalAudioTransport(
            LocalAudioTransportParams(
                audio_in_enabled=True, audio_out_enabled=True, audio_in_sample_rate=RATE, audio_out_sample_rate=RATE
            )
        )
        endpoint = {} if url is None else {"base_url": url}
        model = service.OpenAIRealtimeLLMService(api_key="sk-none", **endpoint)
        aggregators = LLMContextAggregatorPair(LLMContext())
        stages = [transport.input(), aggregators.user(), model, transport.output(), aggregators.assistant()]
        params = PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE)
        worker = PipelineWorker(Pipeline(stages), params=params)
        self._runner = WorkerRunner(handle_sigint=False)
        await self._runner.add_workers(worker)
        self._running = asyncio.ensure_future(self._runner.run())
        await until(lambda: len(streams) == 2)
        await asyncio.sleep(0.5)
        await worker.queue_frames([LLMRunFrame()])
        await asyncio.sleep(0.5)
        self._microphone = next(stream.callback for stream in streams if stream.is_input)
        self._speaker = next(stream for stream in streams if not stream.is_input)

    async def up(self, blocks: list[bytes]) -> int:
        before = self._socket.appended
        for block in blocks:
            sent = self._socket.next_append()
            self._microphone(block, BLOCK, None, 0)
            await sent
        return self._socket.appended - before

    async def down(self, messages: list[str], seconds: int) -> int:
        before = self._speaker.written
        self._socket.hand(messages)
        await until(lambda: self._speaker.written - before >= 2 * RATE * seconds)
        return self._speaker.written - before

    @property
    def played_s(self) -> float:
        return self._speaker.written / 2 / RATE

    async def converse(self, heard: bytes, begin: float) -> None:
        async for block in microphone(heard, begin):
            self._microphone(block, BLOCK, None, 0)

    async def stop(self) -> None:
        await self._runner.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
