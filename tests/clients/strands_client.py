"""Strands' own model: it plays an answer that is complete to its end, and never truncates."""

import asyncio
import base64

from strands import tool
from strands.bidi import BidiAgent
from strands.bidi.models.openai import realtime
from strands.bidi.models.openai.realtime import OpenAIRealtimeModel
from user import INSTRUCTIONS, MODEL, URL, User, calculate

realtime.OPENAI_REALTIME_URL = URL


@tool
def calculator(expression: str) -> str:
    """Calculates.

    Args:
        expression: what to work out.
    """
    return calculate(expression)


async def main() -> None:
    model = OpenAIRealtimeModel(model_id=MODEL, transcription_model_id="whisper-1", api_key="local")
    agent = BidiAgent(model=model, tools=[calculator], system_prompt=INSTRUCTIONS)
    waiting: asyncio.Queue[bytes] = asyncio.Queue()
    user = User(waiting.put)

    async def microphone() -> dict:
        pcm = await waiting.get()
        return {"audio_delta": {"format": "pcm", "source": {"bytes": pcm}}}

    async def speaker(event) -> None:
        if event.get("type") == "bidi_audio_delta":
            user.hear(base64.b64decode(event["audio"]))
        elif event.get("type") == "bidi_barge_in":
            user.stop_playing()

    running = asyncio.ensure_future(agent.run(inputs=[microphone], outputs=[speaker]))
    conversing = asyncio.ensure_future(user.converse())
    await asyncio.wait({running, conversing}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        conversing.cancel()
        await running
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


asyncio.run(main())
