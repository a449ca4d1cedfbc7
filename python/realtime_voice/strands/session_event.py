"""What a session knows and Strands has no event for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

from strands.types._events import TypedEvent  # type: ignore[attr-defined]  # its home in both generations

if TYPE_CHECKING:
    from realtime_voice import audio
    from realtime_voice import events as wire

Event: TypeAlias = "wire.ServerEvent | wire.SessionEvent | wire.UnknownEvent | audio.AudioEvent"
"""All that a session's iterator yields."""


class BidiSessionEvent(TypedEvent):
    """Something a session knows and Strands has no event for, for outputs that want it; all others pass it over.

    Its `event` is an `Interrupted` (what was heard of an answer that was cut), a `TurnLatency`, a `Reconnecting`,
    `Reconnected` or `Renewed` (how long the change of connections was felt), an `Error` of the server, a transcription
    that failed, or one of the audio side's events (`realtime_voice.audio`): when the user began and ended to speak, and
    when an answer began and ended to sound.
    """

    def __init__(self, event: Event) -> None:
        super().__init__({"type": "realtime_session_event", "event": event})

    @property
    def event(self) -> Event:
        """The session's event."""
        return cast("Event", self["event"])
