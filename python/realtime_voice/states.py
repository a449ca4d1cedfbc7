"""The states of a connection's conversation, and what errors and unanswered requests do, as tables.

What the session, the response and the user's turn become on an event. An event that a state does not name leaves it as
it is, so that a server's extra or repeated event does no harm.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias, TypeVar


class SessionState(enum.Enum):
    """How far the session is."""

    CONNECTING = "connecting"
    CONFIGURING = "configuring"
    READY = "ready"
    LOST = "lost"
    FAILED = "failed"


class ResponseState(enum.Enum):
    """What the default conversation's response does; out-of-band responses run beside it."""

    IDLE = "idle"
    REQUESTED = "requested"
    ACTIVE = "active"
    CANCELLING = "cancelling"


class TurnState(enum.Enum):
    """What the user does, as the server hears it."""

    LISTENING = "listening"
    SPEAKING = "speaking"
    ENDING = "ending"
    COMMITTED = "committed"


S = TypeVar("S", bound=enum.Enum)
Table: TypeAlias = dict[S, dict[str, S]]

SESSION: Table[SessionState] = {
    SessionState.CONNECTING: {
        "session.update": SessionState.CONFIGURING,
        "connection lost": SessionState.LOST,
        "fatal error": SessionState.FAILED,
    },
    SessionState.CONFIGURING: {
        "session.updated": SessionState.READY,
        "session.update unanswered": SessionState.READY,
        "session.update refused": SessionState.FAILED,
        "connection lost": SessionState.LOST,
        "fatal error": SessionState.FAILED,
    },
    SessionState.READY: {
        "connection lost": SessionState.LOST,
        "fatal error": SessionState.FAILED,
    },
    SessionState.LOST: {},
    SessionState.FAILED: {},
}
RESPONSE: Table[ResponseState] = {
    ResponseState.IDLE: {
        "response.create": ResponseState.REQUESTED,
        "response.created": ResponseState.ACTIVE,
        "response.create too early": ResponseState.ACTIVE,
    },
    ResponseState.REQUESTED: {
        "response.created": ResponseState.ACTIVE,
        "response.create too early": ResponseState.ACTIVE,
        "response.create refused": ResponseState.IDLE,
        "response.create unanswered": ResponseState.IDLE,
    },
    ResponseState.ACTIVE: {
        "response.cancel": ResponseState.CANCELLING,
        "response.done": ResponseState.IDLE,
        "response lost": ResponseState.IDLE,
    },
    ResponseState.CANCELLING: {
        "response.done": ResponseState.IDLE,
        "response.cancel refused": ResponseState.IDLE,
        "response lost": ResponseState.IDLE,
    },
}
TURN: Table[TurnState] = {
    TurnState.LISTENING: {
        "input_audio_buffer.speech_started": TurnState.SPEAKING,
        "input_audio_buffer.committed": TurnState.COMMITTED,
    },
    TurnState.SPEAKING: {
        "input_audio_buffer.speech_stopped": TurnState.ENDING,
        "input_audio_buffer.committed": TurnState.COMMITTED,
        "input_audio_buffer.cleared": TurnState.LISTENING,
    },
    TurnState.ENDING: {
        "input_audio_buffer.speech_started": TurnState.SPEAKING,
        "input_audio_buffer.committed": TurnState.COMMITTED,
        "input_audio_buffer.cleared": TurnState.LISTENING,
        "turn lost": TurnState.LISTENING,
    },
    TurnState.COMMITTED: {
        "input_audio_buffer.speech_started": TurnState.SPEAKING,
        "response.created": TurnState.LISTENING,
        "turn lost": TurnState.LISTENING,
    },
}


class Reach(enum.Enum):
    """What an error of the server ends."""

    FATAL = "the session"
    CONNECTION = "the connection: the session goes on with the next one"
    RETRY = "nothing: its request is repeated when the time has come"
    REQUEST = "the request it answers"
    IGNORE = "nothing: its request had become pointless"


ERRORS: Final[dict[str, Reach]] = {
    "invalid_api_key": Reach.FATAL,
    "missing_model": Reach.FATAL,
    "invalid_model": Reach.FATAL,
    "model_not_found": Reach.FATAL,
    "beta_api_shape_disabled": Reach.FATAL,
    "insufficient_quota": Reach.FATAL,
    "credit_balance_exhausted": Reach.FATAL,
    "billing_hard_limit_reached": Reach.FATAL,
    "account_deactivated": Reach.FATAL,
    "session_expired": Reach.CONNECTION,
    "conversation_already_has_active_response": Reach.RETRY,
    "response_cancel_not_active": Reach.IGNORE,
}
"""By the error's code; one that is not here is Reach.REQUEST."""


class Again(enum.Enum):
    """What becomes of a request that was not answered when its connection ended."""

    SEND = "it is sent again"
    BY_SAMPLE = "its samples that are in no turn are sent again"
    IN_TURN = "it is sent again behind the audio that it was about"
    RESPOND = "the response is asked for again; what was already said of it is not said again"
    DROP = "it has become pointless: the next connection is told the conversation as it is"


AGAIN: Final[dict[str, Again]] = {
    "session.update": Again.SEND,
    "input_audio_buffer.append": Again.BY_SAMPLE,
    "input_audio_buffer.commit": Again.IN_TURN,
    "input_audio_buffer.clear": Again.DROP,
    "conversation.item.create": Again.SEND,
    "conversation.item.retrieve": Again.SEND,
    "conversation.item.truncate": Again.DROP,
    "conversation.item.delete": Again.SEND,
    "response.create": Again.RESPOND,
    "response.cancel": Again.DROP,
    "output_audio_buffer.clear": Again.DROP,
}
"""By the request's type."""
