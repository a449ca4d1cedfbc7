"""Tools for the agent."""

from __future__ import annotations

from strands import ToolContext, tool

from realtime_voice.strands.model import GOODBYE_S, RealtimeModel


@tool(context=True)
async def stop_conversation(tool_context: ToolContext) -> str:
    """End this conversation.

    Use it only when the user says "stop conversation". Do not use it for a goodbye or for words such as
    stop, quit, exit or end alone.
    """
    agent = tool_context.agent
    if isinstance(agent.model, RealtimeModel):
        await agent.model.say_goodbye(tool_context.tool_use["toolUseId"], GOODBYE_S)
    agent.cancel()
    return "The conversation ends now."
