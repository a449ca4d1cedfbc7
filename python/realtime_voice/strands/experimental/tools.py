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
    model = tool_context.agent.model
    if isinstance(model, RealtimeModel):
        await model.say_goodbye(tool_context.tool_use["toolUseId"], GOODBYE_S)
    # Later releases of this generation end by this word, the first ones by the tool's name.
    tool_context.invocation_state.setdefault("request_state", {})["stop_event_loop"] = True
    return "The conversation ends now."
