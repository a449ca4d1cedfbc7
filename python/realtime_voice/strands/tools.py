"""Tools for the agent."""

from __future__ import annotations

from strands import ToolContext, tool

from realtime_voice.strands.model import BidiOpenAIRealtimeModel

GOODBYE_S = 15.0
"""Longest wait for a goodbye to be spoken; it is heard to its end by the audio output, which has a bound of its own."""


@tool(context=True)
async def stop_conversation(tool_context: ToolContext) -> str:
    """End this conversation.

    Use it only when the user says "stop conversation". Do not use it for a goodbye or for words such as
    stop, quit, exit or end alone.
    """
    agent = tool_context.agent
    if isinstance(agent.model, BidiOpenAIRealtimeModel):
        await agent.model.say_goodbye(tool_context.tool_use["toolUseId"], GOODBYE_S)
    agent.cancel()
    return "The conversation ends now."
