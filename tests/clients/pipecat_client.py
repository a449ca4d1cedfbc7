"""pipecat: its realtime service in a pipeline between a microphone and a speaker of our own."""

import asyncio

from loguru import logger
from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import EndFrame, InputAudioRawFrame, InterruptionFrame, LLMRunFrame, TTSAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime.events import SessionProperties
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from user import INSTRUCTIONS, MODEL, RATE, URL, User, calculate

logger.remove()
TOOL = FunctionSchema(
    name="calculator", description="Calculates.", properties={"expression": {"type": "string"}}, required=["expression"]
)


class Speaker(FrameProcessor):
    def __init__(self, user: User) -> None:
        super().__init__()
        self._user = user

    async def process_frame(self, frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self._user.hear(frame.audio)
        elif isinstance(frame, InterruptionFrame):
            self._user.stop_playing()
        await self.push_frame(frame, direction)


async def calculator(params) -> None:
    await params.result_callback(calculate(params.arguments["expression"]))


async def main() -> None:
    properties = SessionProperties(instructions=INSTRUCTIONS)
    settings = OpenAIRealtimeLLMService.Settings(model=MODEL, session_properties=properties)
    service = OpenAIRealtimeLLMService(api_key="local", base_url=URL, settings=settings)
    service.register_function("calculator", calculator)
    context = LLMContext(tools=ToolsSchema(standard_tools=[TOOL]))
    aggregators = LLMContextAggregatorPair(context)
    waiting: asyncio.Queue[bytes] = asyncio.Queue()
    user = User(waiting.put)
    pipeline = Pipeline([aggregators.user(), service, Speaker(user), aggregators.assistant()])
    task = PipelineTask(pipeline, params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE))

    async def microphone() -> None:
        await task.queue_frame(LLMRunFrame())
        while True:
            pcm = await waiting.get()
            await task.queue_frame(InputAudioRawFrame(audio=pcm, sample_rate=RATE, num_channels=1))

    listening = asyncio.ensure_future(microphone())
    running = asyncio.ensure_future(PipelineRunner(handle_sigint=False).run(task))
    await asyncio.sleep(3)  # the greeting that pipecat asks for
    try:
        await user.converse()
    finally:
        listening.cancel()
        await task.queue_frame(EndFrame())
        await asyncio.wait({running}, timeout=5)


asyncio.run(main())
