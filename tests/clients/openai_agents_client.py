"""openai-agents: RealtimeRunner with its default player clock, which truncates."""

import asyncio
import logging

from agents import function_tool, set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimeRunner
from user import INSTRUCTIONS, MODEL, URL, User, calculate

set_tracing_disabled(True)
logging.basicConfig(level=logging.WARNING)


@function_tool
def calculator(expression: str) -> str:
    """Calculates.

    Args:
        expression: what to work out.
    """
    return calculate(expression)


async def main() -> None:
    agent = RealtimeAgent(name="Assistant", instructions=INSTRUCTIONS, tools=[calculator])
    config = {"url": f"{URL}?model={MODEL}", "api_key": "local"}
    async with await RealtimeRunner(agent).run(model_config=config) as session:
        user = User(session.send_audio)
        reading = asyncio.ensure_future(read(session, user))
        await user.converse()
        reading.cancel()


async def read(session, user) -> None:
    async for event in session:
        if event.type == "audio":
            user.hear(event.audio.data)
        elif event.type == "audio_interrupted":
            user.stop_playing()
        elif event.type == "error":
            raise RuntimeError(str(event.error))


asyncio.run(main())
