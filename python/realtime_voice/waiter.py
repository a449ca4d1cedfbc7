"""Somebody who waits for the server's answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from realtime_voice import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_voice.errors import ServerError
    from realtime_voice.protocol import Event


class Waiter:
    """Somebody waits for the answer to a request: an event, or the error that names the request."""

    def __init__(self, event_id: str, is_answer: Callable[[Event], bool], error: type[ServerError]) -> None:
        self.answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self.event_id = event_id
        self._is_answer = is_answer
        self._error = error

    def take(self, event: Event) -> bool:
        """Whether the event was what is waited for."""
        if self.answer.done():
            return False
        if isinstance(event, ev.Error) and event.error.event_id == self.event_id:
            refused = event.error
            self.fail(self._error(refused.message, refused.code, refused.param, refused.event_id, refused.type))
            return True
        if self._is_answer(event):
            self.answer.set_result(event)
            return True
        return False

    def fail(self, error: BaseException) -> None:
        """Raise where is waited."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # who waited may have gone
