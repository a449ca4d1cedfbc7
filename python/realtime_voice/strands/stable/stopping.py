"""Tools that end a conversation in the words of other releases of Strands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from strands.hooks import AfterToolCallEvent

if TYPE_CHECKING:
    from strands.bidi import BidiAgent

_heeding: Final[WeakSet[BidiAgent]] = WeakSet()


def heed_stop_requests(agent: BidiAgent) -> None:
    """End the conversation when a tool asks for it by ``request_state["stop_event_loop"]``, as `strands_tools.stop`.

    Present releases know `agent.cancel` only and pass such a request over. More calls for the same agent do nothing.
    """
    if agent in _heeding:
        return
    _heeding.add(agent)
    agent.add_hook(_heed, AfterToolCallEvent)


def _heed(event: AfterToolCallEvent[BidiAgent]) -> None:
    if event.invocation_state.get("request_state", {}).get("stop_event_loop"):
        event.agent.cancel()
