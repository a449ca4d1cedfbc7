"""The client's side of a Realtime conversation as a state machine without I/O.

Whoever owns the socket hands in messages and the time, and sends what comes out::

    protocol = ClientProtocol()
    protocol.configure({"type": "realtime"})
    socket.send(protocol.data_to_send())
    for event in protocol.receive(message, now): ...

The three tables below are all the state there is: what the session, the response and the user's turn become on an
event. An event that a state does not name leaves it as it is, so that a server's extra or repeated event does no harm.
"""

from __future__ import annotations

import enum
import re
from collections import OrderedDict, deque
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias, TypeVar

import msgspec

from realtime_voice import events as ev
from realtime_voice.conversation import Conversation, bound
from realtime_voice.errors import AuthenticationError, ConfigurationError, LocalProtocolError, ServerError
from realtime_voice.latency import TurnClock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Event: TypeAlias = ev.ServerEvent | ev.UnknownEvent | ev.SessionEvent
"""What `receive` returns: events of the wire and of the session above it."""


class SessionState(enum.Enum):
    """How far the session is."""

    CONNECTING = "connecting"
    CONFIGURING = "configuring"
    READY = "ready"
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
        "fatal error": SessionState.FAILED,
    },
    SessionState.CONFIGURING: {
        "session.updated": SessionState.READY,
        "session.update unanswered": SessionState.READY,
        "session.update refused": SessionState.FAILED,
        "fatal error": SessionState.FAILED,
    },
    SessionState.READY: {
        "fatal error": SessionState.FAILED,
    },
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
    "session_expired": Reach.FATAL,
    "conversation_already_has_active_response": Reach.RETRY,
    "response_cancel_not_active": Reach.IGNORE,
}
"""By the error's code; one that is not here is Reach.REQUEST."""

ALREADY_SHORTER: Final = re.compile(r"Audio content of (\d+)\s*ms is already shorter")
REQUEST_TAG: Final = "realtime_voice_request"
"""Key in a response's metadata that leads its answer back to who asked."""
ANSWER_TIMEOUT_S: Final = 10.0
"""How long a response that was asked for, or that a turn owes, may take to begin before the next may be asked for."""
PATIENCE_S: Final = 60.0
"""How long a call without a result, or speech beside the conversation, keeps responses waiting."""


class Heard(Protocol):
    """How much of an item was played when playout was cut."""

    @property
    def item_id(self) -> str:
        """The item."""

    @property
    def content_index(self) -> int:
        """Its part."""

    @property
    def played_ms(self) -> int:
        """Milliseconds that were heard."""

    @property
    def received_ms(self) -> int:
        """Milliseconds that had arrived."""


class _Call(msgspec.Struct):
    """A tool call without a result."""

    name: str
    since: float
    interruptions: int


class _Request(msgspec.Struct):
    """A client event that an error may answer."""

    event: ev.ClientEvent | dict[str, Any]
    type: str
    is_correction: bool = False


class ClientProtocol:
    """One connection's conversation. Not bound to a thread; calls must not overlap.

    `id_prefix` makes the ids of events and items made here unique among connections; at most 16 characters.
    """

    def __init__(self, id_prefix: str = "") -> None:
        self.session = SessionState.CONNECTING
        self.response = ResponseState.IDLE
        self.turn = TurnState.LISTENING
        self.failure: ServerError | None = None
        """Why the session cannot go on."""
        self.id = ""
        """The session's id at the server."""
        self.config: dict[str, Any] = {}
        """The session's configuration as the server last echoed it."""
        self.usage = ev.Usage()
        self.rate_limits: list[ev.RateLimit] = []
        self.conversation = Conversation()
        self.latency = TurnClock()
        self._prefix = id_prefix
        self._numbers = count(1)
        self._outgoing: list[bytes] = []
        self._requests: OrderedDict[str, _Request] = OrderedDict()
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._called: OrderedDict[str, None] = OrderedDict()
        self._active_id: str | None = None
        self._beside: set[str] = set()  # tags of out-of-band responses asked for, ids of those that run
        self._spoken: dict[str, float] = {}  # those of them that are heard, since when
        self._running_beside: set[str] = set()  # ids of those that have not been cancelled
        self._is_due = False  # a plain response.create waits for its moment
        self._special: deque[dict[str, Any]] = deque()  # response.create events with parameters that wait for theirs
        self._unseen: set[str] = set()  # items to respond to that are not yet in the server's conversation
        self._interruptions = 0
        self._commits = 0  # sent, not yet answered
        self._answer_owed = False  # the committed turn gets a response without our asking
        self._since = 0.0  # when response or turn last changed
        self._now = 0.0

    # --- in and out ---

    def receive(self, message: bytes | str, now: float) -> list[Event]:
        """Take one message of the server; returns what it means, the raw event first.

        Errors that need nothing from the application (see ERRORS) are not among them. After a fatal one `failure`
        says why. Raises RemoteProtocolError when the message is no event.
        """
        self._now = max(self._now, now)
        event = ev.decode_server(message)
        out: list[Event] = [event]
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(self, event, out)
        self._respond_if_due()
        return out

    def audio_received(self, response_id: str, item_id: str, now: float) -> list[Event]:
        """Note an audio delta that someone else has taken off the wire."""
        latency = None if response_id in self._beside else self.latency.received(response_id, item_id, now)
        return [] if latency is None else [latency]

    def data_to_send(self) -> list[bytes]:
        """Messages to send now, in this order; each is handed out once."""
        data, self._outgoing = self._outgoing, []
        return data

    def tick(self, now: float) -> None:
        """Let time pass: what is owed for too long blocks no longer. Call it about once a second."""
        self._now = max(self._now, now)
        if self._now - self._since > ANSWER_TIMEOUT_S:
            self._move("response.create unanswered")
            if self._active_id is None:
                self._move("response lost")
            self._move("turn lost")
        self._respond_if_due()

    # --- what the application says ---

    def send(self, event: ev.ClientEvent | Mapping[str, Any]) -> str:
        """Queue any client event; returns its event_id, which an error would name.

        A response.create waits until no other response is active. Raises LocalProtocolError after a fatal error.
        """
        if not isinstance(event, ev.WireEvent):
            event = dict(event)
            if event.get("type") == "response.create":
                return self._create_response(event)
        elif isinstance(event, ev.ResponseCreate):
            return self._create_response({"type": event.type, **msgspec.to_builtins(event)})
        return self._send(event)

    def configure(self, session: Mapping[str, Any]) -> str:
        """Queue a session.update; session.updated answers it, or an error."""
        return self._send({"type": "session.update", "session": {"type": "realtime", **session}})

    def configuration_unanswered(self) -> None:
        """Go on although the server has not answered the session.update."""
        self._move("session.update unanswered")

    def add_item(self, item: ev.Item, *, previous_item_id: str | None = None, respond: bool = False) -> str:
        """Queue an item of the conversation, and with `respond` a response to it; returns the item's id."""
        if item.id is None:
            item = msgspec.structs.replace(item, id=self._new_id("item"))
        item_id = item.id or ""
        self._send(ev.ConversationItemCreate(item=item, previous_item_id=previous_item_id))
        if respond:
            self._unseen.add(item_id)
            self.request_response()
        return item_id

    def send_tool_result(self, call_id: str, output: str, *, respond: bool | None = None) -> str:
        """Queue the result of a call. The response to it follows when no other call waits for a result.

        `respond` None: respond unless the user has interrupted the agent since the call.
        """
        call = self._calls.pop(call_id, None)
        if respond is None:
            respond = call is None or call.interruptions == self._interruptions
        item_id = self.add_item(ev.Item(type="function_call_output", call_id=call_id, output=output), respond=respond)
        self._respond_if_due()
        return item_id

    def request_response(self, params: ev.ResponseParams | Mapping[str, Any] | None = None) -> str:
        """Ask for a response as soon as there may be one. Requests without parameters are coalesced.

        One outside the conversation (`conversation: "none"`) need not wait; the others wait while it speaks.
        With parameters, returns the event's id, which an error names and which the answer carries in its metadata
        under REQUEST_TAG; otherwise "".
        """
        if params is None:
            self._is_due = True
            self._respond_if_due()
            return ""
        fields = msgspec.to_builtins(params) if isinstance(params, ev.ResponseParams) else dict(params)
        return self._create_response({"type": "response.create", "response": fields})

    def cancel_response(self) -> bool:
        """Stop the active response; False when there is none."""
        if self.response is not ResponseState.ACTIVE:
            return False
        self._send(ev.ResponseCancel(response_id=self._active_id))
        return True

    def interrupt(self, heard: Sequence[Heard], *, by_server: bool = False) -> list[ev.Interrupted]:
        """Tell the server what was heard after playout was cut, and stop the response unless the server does.

        `by_server`: the reason is the server's speech_started, on which it interrupts by itself where configured so.
        """
        if self.response is ResponseState.ACTIVE or any(item.item_id in self.conversation for item in heard):
            self._interruptions += 1
        if not (by_server and self.server_interrupts):
            self.cancel_response()
        for response_id in self._spoken.keys() & self._running_beside:  # no server interrupts these
            self._send(ev.ResponseCancel(response_id=response_id), moves=False)
        self._running_beside.clear()
        return [cut for item in heard if (cut := self._cut(item)) is not None]

    # --- what is known ---

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        """How the server finds turns; None when the application does, {} when nothing is known yet."""
        if not self.config:
            return {}
        audio = self.config.get("audio") or {}
        return (audio.get("input") or {}).get("turn_detection")

    @property
    def server_interrupts(self) -> bool:
        """The server stops its response by itself when the user speaks."""
        detection = self.turn_detection
        return detection is not None and detection.get("interrupt_response") is not False

    @property
    def server_responds(self) -> bool:
        """The server begins a response by itself when the user has spoken."""
        detection = self.turn_detection
        return detection is not None and detection.get("create_response") is not False and not self.only_transcribes

    @property
    def is_quiet(self) -> bool:
        """Nobody speaks: no response runs, is asked for or is owed, and the user is silent."""
        return self.response is ResponseState.IDLE and self.turn is TurnState.LISTENING and not self._spoken

    @property
    def only_transcribes(self) -> bool:
        """The session is a transcription session, in which no response is ever made."""
        return self.config.get("type") == "transcription"

    @property
    def pending_calls(self) -> list[str]:
        """Ids of tool calls without a result."""
        return list(self._calls)

    # --- how: sending ---

    def _send(self, event: ev.ClientEvent | dict[str, Any], *, moves: bool = True) -> str:
        if self.session is SessionState.FAILED:
            raise LocalProtocolError(f"the session has failed, nothing can be sent any more: {self.failure}")
        event_id = self._identify(event)
        kind = event["type"] if isinstance(event, dict) else event.type
        self._outgoing.append(ev.encode(event))
        if kind != "input_audio_buffer.append":
            self._requests[event_id] = _Request(event, kind)
            bound(self._requests)
        if kind == "input_audio_buffer.commit":
            self._commits += 1
            self.latency.speech_stopped(self._now, local=False)
        if moves:
            self._move(kind)
        return event_id

    def _identify(self, event: ev.ClientEvent | dict[str, Any]) -> str:
        """Give an event an id if it has none."""
        if isinstance(event, dict):
            return str(event.setdefault("event_id", self._new_id("event")))
        if event.event_id is None:
            event.event_id = self._new_id("event")
        return event.event_id

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{self._prefix}{next(self._numbers)}"

    def _move(self, trigger: str) -> None:
        before = self.response, self.turn
        self.session = SESSION[self.session].get(trigger, self.session)
        self.response = RESPONSE[self.response].get(trigger, self.response)
        self.turn = TURN[self.turn].get(trigger, self.turn)
        if (self.response, self.turn) != before:
            self._since = self._now

    # --- how: the response sequencer ---

    def _create_response(self, event: dict[str, Any]) -> str:
        """Send a response.create with parameters or an id of its own, now or in its turn."""
        event_id = self._identify(event)
        params = event.get("response")
        if params is not None:
            event["response"] = {**params, "metadata": {**(params.get("metadata") or {}), REQUEST_TAG: event_id}}
            if _is_out_of_band(event):
                self._beside.add(event_id)
                if "audio" in (params.get("output_modalities") or self.config.get("output_modalities") or ["audio"]):
                    self._spoken[event_id] = self._now
                return self._send(event, moves=False)
        self._special.append(event)
        self._respond_if_due()
        return event_id

    def _respond_if_due(self) -> None:
        if not (self._is_due or self._special) or not self._may_respond():
            return
        self._send(self._special.popleft() if self._special else ev.ResponseCreate())
        self._is_due = False
        self._unseen.clear()

    def _may_respond(self) -> bool:
        if self.session is not SessionState.READY or self.response is not ResponseState.IDLE:
            return False
        if self.turn in {TurnState.SPEAKING, TurnState.ENDING} or (
            self.turn is TurnState.COMMITTED and self._answer_owed
        ):
            return False
        waited_for = [*(call.since for call in self._calls.values()), *self._spoken.values()]
        return all(self._now - since >= PATIENCE_S for since in waited_for)

    def _on_response_created(self, event: ev.ResponseCreated, _out: list[Event]) -> None:
        response = event.response
        tag = (response.metadata or {}).get(REQUEST_TAG)
        if tag is not None and tag in self._beside:
            response_id = response.id or ""
            self._beside.discard(tag)
            self._beside.add(response_id)
            if tag in self._spoken:
                self._spoken[response_id] = self._spoken.pop(tag)
                self._running_beside.add(response_id)
            return
        self._active_id = response.id
        self._move(event.type)
        if not self._unseen:
            self._is_due = False  # it has seen all that was to be answered

    def _on_response_done(self, event: ev.ResponseDone, out: list[Event]) -> None:
        response = event.response
        self.usage.add_response(event.usage)
        for item in response.output or []:
            self._call(item, response.id or "", out)
        if response.status_details and (error := response.status_details.error):
            self._fail_if_fatal(error.message or "the response failed", error.code, kind=error.type)
        if response.id in self._beside:
            self._forget_beside(response.id or "")
        elif self._active_id in {None, response.id}:
            self._active_id = None
            self._move(event.type)

    def _forget_beside(self, key: str) -> None:
        self._beside.discard(key)
        self._running_beside.discard(key)
        self._spoken.pop(key, None)

    # --- how: interruption ---

    def _cut(self, heard: Heard) -> ev.Interrupted | None:
        received = heard.received_ms
        played = max(0, min(heard.played_ms, received))
        texts = self.conversation.cut(heard.item_id, heard.content_index, played, received)
        self.latency.cut(heard.item_id)
        if texts is None:
            return None
        if heard.item_id in self.conversation:  # what is beside the conversation cannot be cut in it
            if played > 0:
                self._send(
                    ev.ConversationItemTruncate(
                        item_id=heard.item_id, content_index=heard.content_index, audio_end_ms=played
                    )
                )
            elif heard.content_index == 0:
                self._send(ev.ConversationItemDelete(item_id=heard.item_id))
        return ev.Interrupted(
            item_id=heard.item_id,
            content_index=heard.content_index,
            played_ms=played,
            received_ms=received,
            heard=texts[0],
            full=texts[1],
        )

    # --- how: errors ---

    def _on_error(self, event: ev.Error, out: list[Event]) -> None:
        error = event.error
        request = self._requests.pop(error.event_id, None) if error.event_id else None
        reach = ERRORS.get(error.code or "", Reach.REQUEST)
        if self._fail_if_fatal(error.message, error.code, error.param, error.event_id, error.type):
            return
        if self.session is SessionState.CONFIGURING and (request is None or request.type == "session.update"):
            self.failure = ConfigurationError(error.message, error.code, error.param, error.event_id, error.type)
            self._move("session.update refused")
        elif reach is Reach.RETRY:
            self._retry(request)
            out.clear()
        elif reach is Reach.IGNORE:
            self._move("response.cancel refused")
            out.clear()
        elif request is not None and self._is_settled(request, error):
            out.clear()

    def _retry(self, request: _Request | None) -> None:
        if request is not None and isinstance(request.event, dict):
            self._special.appendleft(request.event)
        else:
            self._is_due = True
        self._move("response.create too early")

    def _is_settled(self, request: _Request, error: ev.ErrorDetails) -> bool:
        """Do what a refused request needs; True if the application need not hear of it."""
        match request.event:
            case ev.ConversationItemTruncate() as refused:
                shorter = ALREADY_SHORTER.search(error.message)
                if shorter and int(shorter[1]) > 0 and not request.is_correction:
                    event_id = self._send(
                        ev.ConversationItemTruncate(
                            item_id=refused.item_id, content_index=refused.content_index, audio_end_ms=int(shorter[1])
                        )
                    )
                    self._requests[event_id].is_correction = True
                return True
            case ev.ConversationItemDelete():
                return error.code == "item_delete_invalid_item_id"
            case ev.ConversationItemCreate(item=item):
                self._unseen.discard(item.id or "")
            case ev.InputAudioBufferCommit():
                self._commits = max(0, self._commits - 1)
            case _ if _is_out_of_band(request.event):
                self._forget_beside(error.event_id or "")
            case _ if request.type == "response.create":
                self._move("response.create refused")
        return False

    def _fail_if_fatal(
        self,
        message: str,
        code: str | None,
        param: str | None = None,
        event_id: str | None = None,
        kind: str | None = None,
    ) -> bool:
        if ERRORS.get(code or "") is not Reach.FATAL:
            return False
        error = AuthenticationError if code == "invalid_api_key" else ServerError
        self.failure = error(message, code, param, event_id, kind)
        self._move("fatal error")
        return True

    # --- how: everything else that arrives ---

    def _on_session(self, event: ev.SessionCreated | ev.SessionUpdated, _out: list[Event]) -> None:
        self.config = msgspec.json.decode(event.raw)["session"]
        if isinstance(event.session.id, str):
            self.id = event.session.id
        self._move(event.type)

    def _on_item(
        self, event: ev.ConversationItemAdded | ev.ConversationItemDone | ev.ConversationItemCreated, _out: list[Event]
    ) -> None:
        self._unseen.discard(event.item.id or "")
        self.conversation.place(event.item, event.previous_item_id)

    def _on_item_deleted(self, event: ev.ConversationItemDeleted, _out: list[Event]) -> None:
        self.conversation.delete(event.item_id)

    def _on_cleared(self, event: ev.InputAudioBufferCleared, _out: list[Event]) -> None:
        self._move(event.type)

    def _on_speech_started(self, event: ev.InputAudioBufferSpeechStarted, _out: list[Event]) -> None:
        self.conversation.speech_started(event.item_id, event.audio_start_ms)
        self._move(event.type)

    def _on_speech_stopped(self, event: ev.InputAudioBufferSpeechStopped, _out: list[Event]) -> None:
        silence_ms = (self.turn_detection or {}).get("silence_duration_ms") or 0
        self.latency.speech_stopped(self._now - silence_ms / 1000.0, local=False)
        self._move(event.type)

    def _on_committed(self, event: ev.InputAudioBufferCommitted, _out: list[Event]) -> None:
        by_client = self._commits > 0
        self._commits -= by_client
        self._answer_owed = self.server_responds and not by_client
        self.latency.committed()
        self._move(event.type)

    def _on_user_delta(self, event: ev.ConversationItemInputAudioTranscriptionDelta, out: list[Event]) -> None:
        if event.delta:
            out.append(self.conversation.user_text(event.item_id, event.content_index or 0, event.delta, None))

    def _on_user_text(self, event: ev.ConversationItemInputAudioTranscriptionCompleted, out: list[Event]) -> None:
        self.usage.add_transcription(event.usage)
        out.append(self.conversation.user_text(event.item_id, event.content_index, "", event.transcript))

    def _on_output_item(self, event: ev.ResponseOutputItemAdded | ev.ResponseOutputItemDone, out: list[Event]) -> None:
        if event.response_id not in self._beside:
            self.conversation.update(event.item)
        if isinstance(event, ev.ResponseOutputItemDone):
            self._call(event.item, event.response_id, out)

    def _on_agent_delta(
        self, event: ev.ResponseOutputAudioTranscriptDelta | ev.ResponseOutputTextDelta, out: list[Event]
    ) -> None:
        if event.response_id not in self._beside:
            out.append(self.conversation.agent_text(event, event.delta, None))

    def _on_agent_text(
        self, event: ev.ResponseOutputAudioTranscriptDone | ev.ResponseOutputTextDone, out: list[Event]
    ) -> None:
        if event.response_id not in self._beside:
            text = event.text if isinstance(event, ev.ResponseOutputTextDone) else event.transcript
            out.append(self.conversation.agent_text(event, "", text))

    def _on_audio_delta(self, event: ev.ResponseOutputAudioDelta, out: list[Event]) -> None:
        out.extend(self.audio_received(event.response_id, event.item_id, self._now))

    def _on_audio_done(self, event: ev.ResponseOutputAudioDone, _out: list[Event]) -> None:
        self.conversation.audio_done(event.item_id)

    def _on_rate_limits(self, event: ev.RateLimitsUpdated, _out: list[Event]) -> None:
        self.rate_limits = event.rate_limits

    def _call(self, item: ev.Item, response_id: str, out: list[Event]) -> None:
        """Hand out a finished function call, once."""
        call_id, name = item.call_id, item.name or ""
        if item.type != "function_call" or item.status not in {None, "completed"} or not call_id:
            return
        if call_id in self._called or response_id in self._beside:
            return
        self._called[call_id] = None
        bound(self._called)
        self._calls[call_id] = _Call(name, self._now, self._interruptions)
        try:
            arguments = msgspec.json.decode(item.arguments or "{}", type=dict[str, Any])
        except msgspec.DecodeError as error:
            output = tool_error(f"the arguments must be a JSON object: {error}")
            self.send_tool_result(call_id, output)
            out.append(ev.ToolResult(call_id=call_id, name=name, output=output, is_error=True))
        else:
            out.append(
                ev.ToolCall(
                    call_id=call_id, name=name, arguments=arguments, item_id=item.id or "", response_id=response_id
                )
            )

    _handlers: ClassVar[dict[type, Any]] = {
        ev.Error: _on_error,
        ev.SessionCreated: _on_session,
        ev.SessionUpdated: _on_session,
        ev.ConversationItemCreated: _on_item,
        ev.ConversationItemAdded: _on_item,
        ev.ConversationItemDone: _on_item,
        ev.ConversationItemDeleted: _on_item_deleted,
        ev.InputAudioBufferCleared: _on_cleared,
        ev.InputAudioBufferSpeechStarted: _on_speech_started,
        ev.InputAudioBufferSpeechStopped: _on_speech_stopped,
        ev.InputAudioBufferCommitted: _on_committed,
        ev.ConversationItemInputAudioTranscriptionDelta: _on_user_delta,
        ev.ConversationItemInputAudioTranscriptionCompleted: _on_user_text,
        ev.ResponseCreated: _on_response_created,
        ev.ResponseDone: _on_response_done,
        ev.ResponseOutputItemAdded: _on_output_item,
        ev.ResponseOutputItemDone: _on_output_item,
        ev.ResponseOutputAudioTranscriptDelta: _on_agent_delta,
        ev.ResponseOutputAudioTranscriptDone: _on_agent_text,
        ev.ResponseOutputTextDelta: _on_agent_delta,
        ev.ResponseOutputTextDone: _on_agent_text,
        ev.ResponseOutputAudioDelta: _on_audio_delta,
        ev.ResponseOutputAudioDone: _on_audio_done,
        ev.RateLimitsUpdated: _on_rate_limits,
    }


def tool_error(reason: str) -> str:
    """Return what the model is told when a tool failed: a JSON object with `error`."""
    return msgspec.json.encode({"error": reason}).decode()


def _is_out_of_band(event: ev.ClientEvent | dict[str, Any]) -> bool:
    """Whether it asks for a response outside the conversation."""
    if not isinstance(event, dict) or event.get("type") != "response.create":
        return False
    return (event.get("response") or {}).get("conversation") == "none"
