"""The `openai` package: its events, its own player's bookkeeping."""

import asyncio
import base64
import json
import time

from openai import AsyncOpenAI
from user import BASE_URL, INSTRUCTIONS, MODEL, User, calculate

TOOL = {
    "type": "function", "name": "calculator", "description": "Calculates.",
    "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
}  # fmt: skip


async def main() -> None:
    client = AsyncOpenAI(base_url=BASE_URL, api_key="local")
    async with client.realtime.connect(model=MODEL) as connection:
        await connection.session.update(session={"type": "realtime", "instructions": INSTRUCTIONS, "tools": [TOOL]})
        user = User(lambda pcm: connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode()))
        reading = asyncio.ensure_future(read(connection, user))
        await user.converse()
        reading.cancel()


async def read(connection, user) -> None:
    playing, began, got_ms = None, 0.0, 0.0
    async for event in connection:
        if event.type == "response.output_audio.delta":
            pcm = base64.b64decode(event.delta)
            if event.item_id != playing:
                playing, began, got_ms = event.item_id, time.monotonic(), 0.0
            got_ms += len(pcm) / 48
            user.hear(pcm)
        elif event.type == "input_audio_buffer.speech_started" and playing is not None:
            played_ms = int(min(got_ms, (time.monotonic() - began) * 1000))
            if played_ms < got_ms:
                user.stop_playing()
                await connection.conversation.item.truncate(item_id=playing, content_index=0, audio_end_ms=played_ms)
            playing = None
        elif event.type == "response.done":
            calls = [item for item in event.response.output if item.type == "function_call"]
            for call in calls:
                output = calculate(json.loads(call.arguments)["expression"])
                item = {"type": "function_call_output", "call_id": call.call_id, "output": output}
                await connection.conversation.item.create(item=item)
            if calls:
                await connection.response.create()
        elif event.type == "error":
            raise RuntimeError(event.error.message)


asyncio.run(main())
