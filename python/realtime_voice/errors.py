"""Every exception of realtime_voice, by blame.

::

    RealtimeError
    ├── LocalProtocolError        the application asked for something the protocol does not allow now
    ├── RemoteProtocolError       the peer sent something that is not the protocol
    ├── ServerError               the peer's `error` event, with its code, message, param and event id
    │   ├── ConfigurationError    it refused the session's configuration
    │   └── AuthenticationError   it refused the key
    ├── ConnectError              the endpoint could not be reached
    ├── ConnectionClosed          an open connection ended before the session did
    ├── SessionTimeout            the peer is connected but did not answer in time (also a TimeoutError)
    ├── AudioDeviceError          a sound device could not be opened or died
    ├── AudioFileError            an audio file cannot be read, used or written
    └── ToolError                 a tool failed; the model is told its message

Wrong arguments of the application raise ValueError or TypeError, as everywhere in Python.
"""

from __future__ import annotations

__all__ = [
    "AudioDeviceError",
    "AudioFileError",
    "AuthenticationError",
    "ConfigurationError",
    "ConnectError",
    "ConnectionClosed",
    "LocalProtocolError",
    "RealtimeError",
    "RemoteProtocolError",
    "ServerError",
    "SessionTimeout",
    "ToolError",
]


class RealtimeError(Exception):
    """Base of all exceptions raised by realtime_voice."""


class LocalProtocolError(RealtimeError):
    """The application asked for something that the protocol does not allow in this state."""


class RemoteProtocolError(RealtimeError):
    """The peer sent something that is not an event of the protocol.

    `code` and `param` are what an `error` event says about it: `missing_required_parameter`, `invalid_type` or
    `invalid_event`, and the path of the field (`session.audio.output.speed`). `event_id` is the offending event's.
    """

    def __init__(
        self, message: str, code: str = "invalid_event", param: str | None = None, event_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.event_id = event_id


class ServerError(RealtimeError):
    """An `error` event of the server: `event_id` is the client event it answers, `param` the field it is about."""

    def __init__(
        self,
        message: str,
        code: str | None = None,
        param: str | None = None,
        event_id: str | None = None,
        type: str | None = None,  # noqa: A002  the protocol's name
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.event_id = event_id
        self.type = type

    def __str__(self) -> str:
        details = [f"{name} {value}" for name, value in (("code", self.code), ("param", self.param)) if value]
        return f"{self.message} ({', '.join(details)})" if details else self.message


class ConfigurationError(ServerError):
    """The server refused the session's configuration; `param` names the field."""


class AuthenticationError(ServerError):
    """The server refused the key."""


class ConnectError(RealtimeError):
    """The endpoint could not be reached; the message names host and reason.

    `status` is what it answered the handshake with, where it did by HTTP.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConnectionClosed(RealtimeError):  # noqa: N818  the field's name for it
    """The connection ended: `code` is the WebSocket close code (1006 when there was none), `reason` the peer's text."""

    def __init__(self, message: str, code: int = 1006, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class SessionTimeout(RealtimeError, TimeoutError):  # noqa: N818  a kind of TimeoutError
    """The peer is connected but owes an answer for too long."""


class AudioDeviceError(RealtimeError):
    """A sound device could not be opened, or stopped working."""


class AudioFileError(RealtimeError):
    """An audio file cannot be read, used or written; the message names it and the reason."""


class ToolError(RealtimeError):
    """A tool failed: it raised, got arguments it does not take, ran out of time or returned something unusable.

    Raise it in a tool to tell the model a message of your own.
    """
