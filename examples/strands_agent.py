"""Talk to a Strands agent that calculates: "What is twelve times fifteen?" Say "stop conversation" to end.

Needs the extra ``strands``, a microphone and a speaker, and either a key of OpenAI's (below, or in OPENAI_API_KEY) or
a local server: run ``realtime serve`` and set OPENAI_REALTIME_URL to the URL it prints.
"""

import asyncio

from realtime_voice.strands import (
    BidiAgent,
    BidiAudioIO,
    BidiOpenAIRealtimeModel,
    BidiTextIO,
    stop_conversation,
)
from strands_tools import calculator


async def main() -> None:
    model = BidiOpenAIRealtimeModel(
        model_id="gpt-realtime",
        provider_config={"audio": {"voice": "coral"}},
        client_config={"api_key": "<OPENAI_API_KEY>"},
    )
    # stop_conversation tool allows user to verbally stop agent execution.
    agent = BidiAgent(model=model, tools=[calculator, stop_conversation])
    audio_io = BidiAudioIO()
    text_io = BidiTextIO()
    await agent.run(inputs=[audio_io.input()], outputs=[audio_io.output(), text_io.output()])


if __name__ == "__main__":
    asyncio.run(main())
