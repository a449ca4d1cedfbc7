"""The client's side of a Realtime conversation as a state machine without I/O.

Whoever owns the socket hands in messages and the time, and sends what comes out::

    protocol = ClientProtocol()
    protocol.configure({"type": "realtime"})
    socket.send(protocol.data_to_send())
    for event in protocol.receive(message, now): ...

All the state there is stands in the tables of `realtime_voice.states`.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias

import msgspec

from realtime_voice import events as ev
from realtime_voice.conversation import REMEMBERED, Conversation, bound
from realtime_voice.errors import (
    AuthenticationError,
    ConfigurationError,
    LocalProtocolError,
    ServerError,
    SessionTimeout,
)
from realtime_voice.latency import TurnClock
from realtime_voice.states import (
    AGAIN,
    ERRORS,
    RESPONSE,
    SESSION,
    TURN,
    Again,
    Reach,
    ResponseState,
    SessionState,
    TurnState,
)
from realtime_voice.turn_audio import TurnAudio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Audio: TypeAlias = "Callable[[int, int], Sequence[bytes]]"
"""Returns the append messages that hold the user's audio from one sample of the session up to another."""
Event: TypeAlias = ev.ServerEvent | ev.UnknownEvent | ev.SessionEvent
"""What `receive` returns: events of the wire and of the session above it."""


ALREADY_SHORTER: Final = re.compile(r"Audio content of (\d+)\s*ms is already shorter")
REQUEST_TAG: Final = "realtime_voice_request"
"""Key in a response's metadata that leads its answer back to who asked."""
REQUEST_BYTES: Final = 64 * 1024 * 1024
"""Of the requests that are kept to be sent again, together; beyond, the oldest are not."""
ANSWER_TIMEOUT_S: Final = 10.0
"""How long a response that was asked for, or that a turn owes, may take to begin before the next may be asked for."""
PATIENCE_S: Final = 60.0
"""How long a call without a result, or speech beside the conversation, keeps responses waiting, and how long the
server may say nothing while a response runs."""
TRANSCRIPT_S: Final = 5.0
"""How long a renewal waits for the transcript of what the user said."""
CONTINUE: Final = (
    "The connection broke in the middle of your last answer. Go on exactly where its words in the conversation end: "
    "no greeting, no apology, nothing said twice."
)
"""What the model is told, for one response, when its answer was broken off and it is to go on."""


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
    since: float
    size: int
    """Bytes of its message."""
    is_own: bool = False
    """Made here, not by the application: a refusal is none of its business."""
    is_correction: bool = False

    def __getitem__(self, name: str) -> Any:
        return self.event.get(name) if isinstance(self.event, dict) else getattr(self.event, name, None)


class ClientProtocol:
    """One connection's part of a conversation. Not bound to a thread; calls must not overlap.

    `id_prefix` makes the ids of events and items made here unique among connections; at most 16 characters.
    `input_rate`: samples per second of the user's audio on the wire.
    `before`: the protocol of the connection that this one is to succeed. Both know the same conversation, usage and
    latency; when the time has come `tell` and `take_over` move the rest.
    """

    def __init__(self, id_prefix: str = "", *, input_rate: int = 24000, before: ClientProtocol | None = None) -> None:
        self.session = SessionState.CONNECTING
        self.response = ResponseState.IDLE
        self.turn = TurnState.LISTENING
        self.failure: ServerError | None = None
        """Why the session cannot go on."""
        self.expired: ServerError | None = None
        """Why this connection cannot go on, while another could."""
        self.overdue: SessionTimeout | None = None
        """Connected, and an answer is owed that has been asked for again in vain."""
        self.id = ""
        """The session's id at the server."""
        self.config: dict[str, Any] = {}
        """The session's configuration as the server last echoed it."""
        self.requested: dict[str, Any] = {}
        """The configuration that was asked for and accepted: what a successor is configured with."""
        self.usage: ev.Usage = before.usage if before else ev.Usage()
        self.rate_limits: list[ev.RateLimit] = before.rate_limits if before else []
        self.conversation: Conversation = before.conversation if before else Conversation()
        self.latency: TurnClock = before.latency if before else TurnClock()
        self.audio = TurnAudio(input_rate)
        """Which of the user's audio is in the conversation."""
        self._prefix = id_prefix
        self._numbers = count(1)
        self._outgoing: list[bytes] = []
        self._requests: OrderedDict[str, _Request] = OrderedDict()
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._called: OrderedDict[str, None] = OrderedDict()
        self._active_id: str | None = None
        self._active_items: dict[str, bool] = {}  # the active response's items, and which of them are complete
        self._active_calls = False  # it has called a tool: what follows is owed to the results
        self._requested_id: str | None = None  # the response.create with parameters that was sent last
        self._asked: OrderedDict[str, dict[str, Any]] = OrderedDict()  # response.create with parameters, until done
        self._told: dict[str, ev.Item] = {}  # items of connections before, as this server knows them
        self._beside: set[str] = set()  # tags of out-of-band responses asked for, ids of those that run
        self._spoken: dict[str, float] = {}  # those of them that are heard, since when
        self._running_beside: set[str] = set()  # ids of those that have not been cancelled
        self._is_due = False  # a plain response.create waits for its moment
        self._special: deque[dict[str, Any]] = deque()  # response.create events with parameters that wait for theirs
        self._unseen: set[str] = set()  # items to respond to that are not yet in the server's conversation
        self._interruptions = 0
        self._speech_s = 0.0  # for how long the user had spoken when the server noticed
        self._present: OrderedDict[str, None] = OrderedDict()  # items that this server has told of
        self._transcripts: OrderedDict[str, float] = OrderedDict()  # items whose text is to come, since when
        self._asked_again = False  # once, for an answer that is owed and does not come
        self._last_event = 0.0
        self._answer_owed = False  # the committed turn gets a response without our asking
        self._since = 0.0  # when response or turn last changed
        self._now = 0.0

    # --- in and out ---

    def receive(self, message: bytes | str, now: float) -> list[Event]:
        """Take one message of the server; returns what it means, the raw event first.

        Errors that need nothing from the application (see ERRORS) are not among them. After a fatal one `failure`
        says why. Raises RemoteProtocolError when the message is no event.
        """
        self._now = self._last_event = max(self._now, now)
        event = ev.decode_server(message)
        out: list[Event] = [event]
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(self, event, out)
        self._respond_if_due()
        return out

    def audio_received(self, response_id: str, item_id: str, now: float, ms: float = 0.0) -> list[Event]:
        """Note an audio delta of `ms` milliseconds that someone else has taken off the wire."""
        self._last_event = now
        self.conversation.received(item_id, ms)
        latency = None if response_id in self._beside else self.latency.received(response_id, item_id, now)
        return [] if latency is None else [latency]

    def data_to_send(self) -> list[bytes]:
        """Messages to send now, in this order; each is handed out once."""
        data, self._outgoing = self._outgoing, []
        return data

    def tick(self, now: float) -> list[Event]:
        """Let time pass. Call it about once a second.

        An answer that is owed for too long is asked for again, once, and that is told; after that `overdue` is set.
        What blocks for too long without being owed blocks no longer.
        """
        self._now = max(self._now, now)
        out: list[Event] = []
        owed = self._owed()
        waited = self._now - self._since
        if owed and (self._asked_again or self.response is ResponseState.ACTIVE):
            self.overdue = SessionTimeout(f"the server is connected and silent: {owed}, although asked for again")
        elif owed:
            self._asked_again = True
            self._ask_again()
            out.append(ev.AnswerOverdue(owed=owed, waited_s=waited))
        elif waited > ANSWER_TIMEOUT_S:
            self._unblock()
        self._respond_if_due()
        return out

    def forgive(self) -> None:
        """Wait no longer for the answer that is overdue."""
        self.overdue = None
        self._unblock()

    # --- what the application says ---

    def send(self, event: ev.ClientEvent | Mapping[str, Any]) -> str:
        """Queue any client event; returns its event_id, which an error would name.

        A response.create waits until no other response is active. Raises LocalProtocolError after a fatal error,
        ValueError for what is no event.
        """
        if not isinstance(event, ev.WireEvent):
            event = dict(event)
            if event.get("type") in {None, ""}:
                raise ValueError("an event needs a 'type', such as 'response.create'")
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
        self._accept_update()
        self._move("session.update unanswered")

    def awaits(self, event_id: str) -> bool:
        """Whether a request has no answer yet."""
        return event_id in self._requests

    def give_up(self, event_id: str) -> None:
        """Wait no longer for the answer to a request."""
        self._requests.pop(event_id, None)

    def add_item(
        self, item: ev.Item | Mapping[str, Any], *, previous_item_id: str | None = None, respond: bool = False
    ) -> str:
        """Queue an item of the conversation, and with `respond` a response to it; returns the item's id.

        One that is no `Item` is sent with all its fields, known here or not. Raises ValueError for what is no item.
        """
        if not isinstance(item, ev.Item):
            msgspec.convert(item, ev.Item)
            item = dict(item)
        item_id = _id_of(item) or self._new_id("item")
        if isinstance(item, ev.Item):
            item = msgspec.structs.replace(item, id=item_id)
            self._send(ev.ConversationItemCreate(item=item, previous_item_id=previous_item_id))
        else:
            event = {"type": "conversation.item.create", "item": {**item, "id": item_id}}
            self._send(event if previous_item_id is None else {**event, "previous_item_id": previous_item_id})
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

    def request_response(
        self, params: ev.ResponseParams | Mapping[str, Any] | None = None, *, again: bool = True
    ) -> str:
        """Ask for a response as soon as there may be one. Requests without parameters are coalesced.

        One outside the conversation (`conversation: "none"`) need not wait; the others wait while it speaks.
        With parameters, returns the event's id, which an error names and which the answer carries in its metadata
        under REQUEST_TAG; otherwise "". With `again` one with parameters is asked for on the next connection too
        when this one ends before it is done.
        """
        if params is None:
            self._is_due = True
            self._respond_if_due()
            return ""
        fields = msgspec.to_builtins(params) if isinstance(params, ev.ResponseParams) else dict(params)
        return self._create_response({"type": "response.create", "response": fields}, again=again)

    def cancel_response(self) -> bool:
        """Stop the active response; False when there is none."""
        if self.response is not ResponseState.ACTIVE:
            return False
        self._send(ev.ResponseCancel(response_id=self._active_id))
        return True

    def interrupt(
        self, heard: Sequence[Heard], *, by_server: bool = False, speech_s: float | None = None
    ) -> list[ev.Interrupted]:
        """Tell the server what was heard after playout was cut, and stop the response unless the server does.

        `by_server`: the reason is the server's speech_started, on which it interrupts by itself where configured so.
        `speech_s`: how long the user had spoken by then; where `by_server`, known here.
        """
        if by_server:
            speech_s = self._speech_s
        if self.response is ResponseState.ACTIVE or any(item.item_id in self.conversation for item in heard):
            self._interruptions += 1
        if not (by_server and self.server_interrupts):
            self.cancel_response()
        for response_id in self._spoken.keys() & self._running_beside:  # no server interrupts these
            self._send(ev.ResponseCancel(response_id=response_id), moves=False)
        self._running_beside.clear()
        return [cut for item in heard if (cut := self._cut(item, speech_s)) is not None]

    # --- succession ---

    def lose(self) -> list[Event]:
        """Note that the connection has ended; returns the last words of the answer that broke off.

        What is said from now on waits for the successor.
        """
        self._move("connection lost")
        self._outgoing.clear()
        out: list[Event] = []
        for item_id in self._active_items:
            if (entry := self.conversation.get(item_id)) is not None:
                self.conversation.place(entry.item, None)  # where the server had no time to tell its place
        for item_id in self.open_items:
            texts = self.conversation.break_off(item_id)
            out += [
                ev.AgentTranscript(
                    response_id=self._active_id or "",
                    item_id=item_id,
                    content_index=index,
                    delta="",
                    text=text,
                    final=True,
                )
                for index, text in texts.items()
            ]
        return out

    def tell(self, items: Sequence[ev.Item]) -> None:
        """Make the server's conversation these items, which come from connections before.

        What it was not told is added, what has changed since is replaced, what is gone is removed.
        """
        wanted = {item.id for item in items}
        for item_id in [item_id for item_id in self._told if item_id not in wanted]:
            del self._told[item_id]
            self._send(ev.ConversationItemDelete(item_id=item_id), is_own=True)
        last = max((place for place, item in enumerate(items) if item.id in self._told), default=-1)
        previous = "root"
        for place, item in enumerate(items):
            item_id = item.id or ""
            known = self._told.get(item_id)
            if known is None:
                self._told[item_id] = item
                self._send(
                    ev.ConversationItemCreate(item=item, previous_item_id=previous if place < last else None),
                    is_own=True,
                )
            elif known != item:
                item_id = self._retell(item_id, item, previous)
            previous = item_id

    def take_over(self, before: ClientProtocol, start: int, audio: Audio) -> None:
        """Go on where the connection before has ended: with its unanswered requests, the user's audio, what is owed.

        `start`: the sample of the session's audio to begin with.
        """
        self._now = self._since = max(self._now, before._now)
        self.audio.begin(start)
        self.rate_limits = before.rate_limits
        self._calls, self._called = before._calls, before._called
        self._interruptions = before._interruptions
        self._unseen |= before._unseen
        if before.requested != self.requested:
            self._send({"type": "session.update", "session": before.requested}, is_own=True)
        for request in before._requests.values():
            if AGAIN.get(request.type) is Again.SEND and not request.is_own:
                self._send_again(request)
        self._replay(before.audio, before._requests, audio)
        if before.turn in {TurnState.SPEAKING, TurnState.ENDING}:
            self.turn = TurnState.ENDING  # the server hears it again; if it does not, the turn is lost
        self._take_over_responses(before)
        self._respond_if_due()

    @property
    def active_items(self) -> list[str]:
        """Items of the active response."""
        return list(self._active_items)

    @property
    def open_items(self) -> list[str]:
        """Items of the active response that are not complete."""
        return [item_id for item_id, is_done in self._active_items.items() if not is_done]

    def needed_from(self, delivered: int) -> int:
        """First sample of the session's audio that a successor has to be sent, where all before `delivered` arrived."""
        return self.audio.needed_from(delivered, server_listens=bool(self.turn_detection))

    def kept_from(self, delivered: int) -> int:
        """First sample of the session's audio that may still be asked for: with what has no text yet."""
        if not self.transcribes:
            return 0
        spoken = (self.conversation.get(item_id) for item_id in self._transcripts)
        starts = [entry.samples[0] for entry in spoken if entry is not None and entry.samples is not None]
        return min([self.needed_from(delivered), *starts])

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
    def is_settled(self) -> bool:
        """Quiet, and nothing is to come: no answer to a request, no result of a tool, no transcript."""
        unanswered = any(self._now - request.since < ANSWER_TIMEOUT_S for request in self._requests.values())
        asked = unanswered or self._asked or self._calls or self._is_due or self._special
        awaited = any(self._now - since < TRANSCRIPT_S for since in self._transcripts.values())
        return self.is_quiet and not asked and not awaited

    @property
    def transcribes(self) -> bool:
        """What the user says gets a text."""
        audio = self.config.get("audio") or {}
        return (audio.get("input") or {}).get("transcription") is not None

    @property
    def only_transcribes(self) -> bool:
        """The session is a transcription session, in which no response is ever made."""
        return self.config.get("type") == "transcription"

    @property
    def pending_calls(self) -> list[str]:
        """Ids of tool calls without a result."""
        return list(self._calls)

    # --- how: sending ---

    def _send(self, event: ev.ClientEvent | dict[str, Any], *, moves: bool = True, is_own: bool = False) -> str:
        if self.session is SessionState.FAILED:
            raise LocalProtocolError(f"the session has failed, nothing can be sent any more: {self.failure}")
        event_id = self._identify(event)
        kind = event["type"] if isinstance(event, dict) else event.type
        message = ev.encode(event)
        if self.session is not SessionState.LOST:
            self._outgoing.append(message)
        if kind != "input_audio_buffer.append":
            self._remember(event_id, _Request(event, kind, self._now, len(message), is_own))
        if kind == "input_audio_buffer.commit":
            self.audio.commits.append((event_id, self.audio.sent))
            self.latency.speech_stopped(self._now, local=False)
        elif kind == "input_audio_buffer.clear":
            self.audio.clear()
        if moves:
            self._move(kind)
        return event_id

    def _remember(self, event_id: str, request: _Request) -> None:
        self._requests[event_id] = request
        bound(self._requests)
        if request.size > REQUEST_BYTES // REMEMBERED:  # else they cannot be too many together
            while sum(kept.size for kept in self._requests.values()) > REQUEST_BYTES and len(self._requests) > 1:
                self._requests.popitem(last=False)

    def _answered(self, kind: str, is_it: Callable[[_Request], bool] = lambda _: True) -> _Request | None:
        """Return the oldest request of a type that is now answered, and wait for it no longer."""
        for event_id, request in self._requests.items():
            if request.type == kind and is_it(request):
                return self._requests.pop(event_id)
        return None

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

    def _create_response(self, event: dict[str, Any], *, again: bool = True) -> str:
        """Send a response.create with parameters or an id of its own, now or in its turn."""
        event_id = self._identify(event)
        params = event.get("response")
        if params is not None:
            event["response"] = {**params, "metadata": {**(params.get("metadata") or {}), REQUEST_TAG: event_id}}
            if again:
                self._asked[event_id] = event
                bound(self._asked)
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
        event = self._special.popleft() if self._special else ev.ResponseCreate()
        event_id = self._send(event)
        self._requested_id = event_id if isinstance(event, dict) else None
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
            self._requests.pop(tag, None)
            return
        self._answered("response.create", lambda request: _is_plain(request) or request["event_id"] == tag)
        self._requested_id = tag or self._requested_id
        self._active_id, self._active_items, self._active_calls = response.id, {}, False
        self._asked_again = False
        self._move(event.type)
        if not self._unseen:
            self._is_due = False  # it has seen all that was to be answered

    def _on_response_done(self, event: ev.ResponseDone, out: list[Event]) -> None:
        response = event.response
        self.usage.add_response(event.usage)
        self._asked.pop((response.metadata or {}).get(REQUEST_TAG, ""), None)
        for item in response.output or []:
            self._call(item, response.id or "", out)
        if response.status_details and (error := response.status_details.error):
            self._fail_if_fatal(error.message or "the response failed", error.code, kind=error.type)
        if response.id in self._beside:
            self._forget_beside(response.id or "")
        elif self._active_id in {None, response.id}:
            self._asked.pop(self._requested_id or "", None)
            self._answered("response.cancel")
            self._active_id, self._active_items, self._requested_id = None, {}, None
            self._move(event.type)

    def _forget_beside(self, key: str) -> None:
        self._beside.discard(key)
        self._running_beside.discard(key)
        self._spoken.pop(key, None)

    def _owed(self) -> str | None:
        """Say what the server owes for too long."""
        if self.session is not SessionState.READY:
            return None
        if self.response is ResponseState.ACTIVE and self._active_id is not None:
            return "a response has not gone on" if self._now - self._last_event > PATIENCE_S else None
        if self._now - self._since <= ANSWER_TIMEOUT_S:
            return None
        if self.response is ResponseState.REQUESTED:
            return "response.create was not answered"
        if self.turn is TurnState.COMMITTED and self._answer_owed and self.response is ResponseState.IDLE:
            return "the user's turn was not answered"
        return None

    def _ask_again(self) -> None:
        request = self._requests.pop(self._requested_id or "", None)
        if self.response is ResponseState.REQUESTED and request is not None and isinstance(request.event, dict):
            self._special.appendleft(request.event)
        else:
            self._is_due = True
        self._unblock()

    def _unblock(self) -> None:
        self._move("response.create unanswered")
        if self._active_id is None or self.response is ResponseState.CANCELLING:
            self._active_id = None
            self._move("response lost")
        self._move("turn lost")

    # --- how: succession ---

    def _send_again(self, request: _Request) -> None:
        event = request.event
        if request.type == "conversation.item.create":
            if _id_of(request["item"]) in self._told:
                return
            previous = request["previous_item_id"]
            if previous not in {None, "root"} and previous not in self._told:
                event = {**msgspec.to_builtins(event), "type": request.type, "previous_item_id": None}
        self._send(event)

    def _replay(self, before: TurnAudio, requests: Mapping[str, _Request], messages: Audio) -> None:
        """Send the user's audio that is in no item, with the commits in it."""
        for event_id, position in before.commits:
            self._send_audio(messages, position)
            if event_id in requests:
                self._send(requests[event_id].event)
        self._send_audio(messages, before.sent)

    def _send_audio(self, messages: Audio, end: int) -> None:
        if self.audio.sent < end:
            self._outgoing += messages(self.audio.sent, end)
            self.audio.sent = end

    def _take_over_responses(self, before: ClientProtocol) -> None:
        """Ask for the responses that were asked for or owed and are not done."""
        is_broken = before.response is ResponseState.ACTIVE and before._active_id is not None
        entries = (self.conversation.get(item_id) for item_id in before._active_items)
        was_said = any(entry is not None and any(entry.texts.values()) for entry in entries)
        self._is_due = before._is_due
        for event_id, event in before._asked.items():
            going_on = is_broken and was_said and event_id == before._requested_id
            self._create_response(self._continuation(event) if going_on else event)
        self._special.extend(event for event in before._special if event["event_id"] not in before._asked)
        if before.response is ResponseState.REQUESTED:
            self._is_due |= before._requested_id is None
        elif is_broken and before._requested_id not in before._asked and not before._active_calls:
            if self.turn is TurnState.ENDING:
                pass  # the user has interrupted it
            elif was_said:
                self._create_response(self._continuation({"type": "response.create"}))
            else:
                self._is_due = True
        elif before.turn is TurnState.COMMITTED and before._answer_owed:
            self._is_due = True

    def _continuation(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return a response.create that goes on with what was already said."""
        params = event.get("response") or {}
        instructions = params.get("instructions") or self.config.get("instructions")
        said = "\n\n".join(filter(None, [instructions, CONTINUE]))
        return {**event, "response": {**params, "instructions": said}}

    def _retell(self, item_id: str, item: ev.Item | None, previous: str) -> str:
        """Replace what the server was told of an item, by nothing or by an item that gets a new id; returns that."""
        del self._told[item_id]
        self._send(ev.ConversationItemDelete(item_id=item_id), is_own=True)
        if item is None:
            self.conversation.delete(item_id)
            return previous
        new = msgspec.structs.replace(item, id=self._new_id("item"))
        self.conversation.rename(item_id, new.id or "")
        self._told[new.id or ""] = new
        self._send(ev.ConversationItemCreate(item=new, previous_item_id=previous), is_own=True)
        return new.id or ""

    def _before(self, item_id: str) -> str:
        """Return the id of the item before among those that the server knows, or "root"."""
        previous = self.conversation.previous(item_id)
        while previous != "root" and previous not in self._told and previous not in self._present:
            previous = self.conversation.previous(previous)
        return previous

    # --- how: interruption ---

    def _cut(self, heard: Heard, speech_s: float | None) -> ev.Interrupted | None:
        received = heard.received_ms
        played = max(0, min(heard.played_ms, received))
        texts = self.conversation.cut(heard.item_id, heard.content_index, played, received)
        self.latency.cut(heard.item_id)
        if texts is None:
            return None
        if heard.item_id in self._told:  # here it is a text, which cannot be truncated
            self._retell(heard.item_id, _said(texts[0]), self._before(heard.item_id))
        elif heard.item_id in self.conversation:  # what is beside the conversation cannot be cut in it
            if played > 0:
                self._send(
                    ev.ConversationItemTruncate(
                        item_id=heard.item_id, content_index=heard.content_index, audio_end_ms=played
                    ),
                    is_own=True,
                )
            elif heard.content_index == 0:
                self._send(ev.ConversationItemDelete(item_id=heard.item_id), is_own=True)
        return ev.Interrupted(
            item_id=heard.item_id,
            content_index=heard.content_index,
            played_ms=played,
            received_ms=received,
            heard=texts[0],
            full=texts[1],
            speech_to_silence_s=speech_s,
        )

    # --- how: errors ---

    def _on_error(self, event: ev.Error, out: list[Event]) -> None:
        error = event.error
        request = self._requests.pop(error.event_id, None) if error.event_id else None
        reach = ERRORS.get(error.code or "", Reach.REQUEST)
        if self._fail_if_fatal(error.message, error.code, error.param, error.event_id, error.type):
            return
        if reach is Reach.CONNECTION:
            self.expired = ServerError(error.message, error.code, error.param, error.event_id, error.type)
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
        elif request is not None and (self._is_let_go(request, error) or request.is_own):
            out.clear()

    def _retry(self, request: _Request | None) -> None:
        if request is not None and isinstance(request.event, dict):
            self._special.appendleft(request.event)
        else:
            self._is_due = True
        self._move("response.create too early")

    def _is_let_go(self, request: _Request, error: ev.ErrorDetails) -> bool:
        """Do what a refused request needs; True if the application need not hear of it."""
        match request.event:
            case ev.ConversationItemTruncate() as refused:
                shorter = ALREADY_SHORTER.search(error.message)
                if shorter and int(shorter[1]) > 0 and not request.is_correction:
                    event_id = self._send(
                        ev.ConversationItemTruncate(
                            item_id=refused.item_id, content_index=refused.content_index, audio_end_ms=int(shorter[1])
                        ),
                        is_own=True,
                    )
                    self._requests[event_id].is_correction = True
                return True
            case ev.ConversationItemCreate(item=item):
                self._unseen.discard(item.id or "")
                if request.is_own:
                    self._told.pop(item.id or "", None)
            case ev.InputAudioBufferCommit():
                self.audio.refused(error.event_id)
            case _ if _is_out_of_band(request.event):
                self._asked.pop(error.event_id or "", None)
                self._forget_beside(error.event_id or "")
            case _ if request.type == "response.create":
                self._asked.pop(error.event_id or "", None)
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
        if isinstance(event, ev.SessionUpdated):
            self._accept_update()
        if isinstance(event.session.id, str):
            self.id = event.session.id
        self._move(event.type)

    def _accept_update(self) -> None:
        request = self._answered("session.update")
        if request is not None:
            self.requested = merge(self.requested, msgspec.to_builtins(request["session"] or {}))

    def _on_item(
        self, event: ev.ConversationItemAdded | ev.ConversationItemDone | ev.ConversationItemCreated, out: list[Event]
    ) -> None:
        item, item_id = event.item, event.item.id or ""
        request = self._answered("conversation.item.create", lambda request: _id_of(request["item"]) == item_id)
        self._unseen.discard(item_id)
        if item_id in self._told:
            out.clear()
            return
        if request is not None and (content := _content_of(request["item"])):
            item = msgspec.structs.replace(item, content=content)  # no server sends an image back
        self.conversation.place(item, event.previous_item_id)
        self._present[item_id] = None
        bound(self._present)

    def _on_item_deleted(self, event: ev.ConversationItemDeleted, out: list[Event]) -> None:
        request = self._answered("conversation.item.delete", lambda request: request["item_id"] == event.item_id)
        self._told.pop(event.item_id, None)
        if event.item_id in self.conversation:
            self.conversation.delete(event.item_id)
        elif request is not None and request.is_own:
            out.clear()

    def _on_item_truncated(self, event: ev.ConversationItemTruncated, _out: list[Event]) -> None:
        self._answered("conversation.item.truncate", lambda request: request["item_id"] == event.item_id)

    def _on_item_retrieved(self, event: ev.ConversationItemRetrieved, _out: list[Event]) -> None:
        self._answered("conversation.item.retrieve", lambda request: request["item_id"] == event.item.id)

    def _on_cleared(self, event: ev.InputAudioBufferCleared, _out: list[Event]) -> None:
        self._answered("input_audio_buffer.clear")
        self._move(event.type)

    def _on_speech_started(self, event: ev.InputAudioBufferSpeechStarted, _out: list[Event]) -> None:
        self.audio.speech_started(event.audio_start_ms)
        self.conversation.speech_started(event.item_id, self.audio.session_ms(event.audio_start_ms))
        padding_ms = (self.turn_detection or {}).get("prefix_padding_ms") or 0  # the turn begins before the speech
        self._speech_s = self.audio.sent_since_s(event.audio_start_ms + padding_ms)
        self._move(event.type)

    def _on_idle_timeout(self, event: ev.InputAudioBufferTimeoutTriggered, _out: list[Event]) -> None:
        self.audio.speech_started(event.audio_start_ms)
        self.audio.speech_stopped(event.audio_end_ms)

    def _on_speech_stopped(self, event: ev.InputAudioBufferSpeechStopped, _out: list[Event]) -> None:
        self.audio.speech_stopped(event.audio_end_ms)
        silence_ms = (self.turn_detection or {}).get("silence_duration_ms") or 0
        self.latency.speech_stopped(self._now - silence_ms / 1000.0, local=False)
        self._move(event.type)

    def _on_committed(self, event: ev.InputAudioBufferCommitted, _out: list[Event]) -> None:
        event_id, samples = self.audio.committed()
        self._requests.pop(event_id or "", None)
        self.conversation.spoken(event.item_id, samples, awaits_text=self.transcribes)
        if self.transcribes:
            self._transcripts[event.item_id] = self._now
            bound(self._transcripts)
        self._answer_owed = self.server_responds and event_id is None
        self.latency.committed()
        self._move(event.type)

    def _on_user_delta(self, event: ev.ConversationItemInputAudioTranscriptionDelta, out: list[Event]) -> None:
        if event.delta:
            out.append(self.conversation.user_text(event.item_id, event.content_index or 0, event.delta, None))

    def _on_user_text(self, event: ev.ConversationItemInputAudioTranscriptionCompleted, out: list[Event]) -> None:
        self.usage.add_transcription(event.usage)
        self._transcripts.pop(event.item_id, None)
        out.append(self.conversation.user_text(event.item_id, event.content_index, "", event.transcript))

    def _on_no_user_text(self, event: ev.ConversationItemInputAudioTranscriptionFailed, _out: list[Event]) -> None:
        self._transcripts.pop(event.item_id, None)
        self.conversation.transcription_failed(event.item_id)

    def _on_output_item(self, event: ev.ResponseOutputItemAdded | ev.ResponseOutputItemDone, out: list[Event]) -> None:
        is_done = isinstance(event, ev.ResponseOutputItemDone)
        if event.response_id not in self._beside:
            self.conversation.update(event.item)
            if event.response_id == self._active_id:
                self._active_items[event.item.id or ""] = is_done
        if is_done:
            self._call(event.item, event.response_id, out)

    def _on_agent_delta(
        self, event: ev.ResponseOutputAudioTranscriptDelta | ev.ResponseOutputTextDelta, out: list[Event]
    ) -> None:
        if event.response_id not in self._beside:
            if event.response_id == self._active_id:
                self._active_items.setdefault(event.item_id, False)
            out.extend(filter(None, [self.conversation.agent_text(event, event.delta, None)]))

    def _on_agent_text(
        self, event: ev.ResponseOutputAudioTranscriptDone | ev.ResponseOutputTextDone, out: list[Event]
    ) -> None:
        if event.response_id not in self._beside:
            text = event.text if isinstance(event, ev.ResponseOutputTextDone) else event.transcript
            out.extend(filter(None, [self.conversation.agent_text(event, "", text)]))

    def _on_audio_delta(self, event: ev.ResponseOutputAudioDelta, out: list[Event]) -> None:
        ms = len(event.delta) * 3 / 4 / _bytes_per_ms(self.config)
        out.extend(self.audio_received(event.response_id, event.item_id, self._now, ms))

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
        self._active_calls |= response_id == self._active_id
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
        ev.ConversationItemTruncated: _on_item_truncated,
        ev.ConversationItemRetrieved: _on_item_retrieved,
        ev.InputAudioBufferCleared: _on_cleared,
        ev.InputAudioBufferSpeechStarted: _on_speech_started,
        ev.InputAudioBufferSpeechStopped: _on_speech_stopped,
        ev.InputAudioBufferCommitted: _on_committed,
        ev.InputAudioBufferTimeoutTriggered: _on_idle_timeout,
        ev.ConversationItemInputAudioTranscriptionDelta: _on_user_delta,
        ev.ConversationItemInputAudioTranscriptionCompleted: _on_user_text,
        ev.ConversationItemInputAudioTranscriptionFailed: _on_no_user_text,
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


def _is_plain(request: _Request) -> bool:
    """Whether it asks for a response without parameters."""
    return isinstance(request.event, ev.ResponseCreate)


def _id_of(item: Any) -> str | None:
    return item.get("id") if isinstance(item, dict) else getattr(item, "id", None)


def _content_of(item: Any) -> list[ev.ContentPart] | None:
    """Return the content of an item that was sent, None where it is none that is known here."""
    try:
        return msgspec.convert(item, ev.Item).content
    except msgspec.ValidationError:
        return None


def _said(text: str) -> ev.Item | None:
    """Return a text as something that the agent said."""
    if not text:
        return None
    return ev.Item(type="message", role="assistant", content=[ev.ContentPart(type="output_text", text=text)])


def _bytes_per_ms(config: Mapping[str, Any]) -> int:
    """Return how many bytes of the server's audio are a millisecond."""
    output = (config.get("audio") or {}).get("output") or {}
    return 48 if (output.get("format") or {}).get("type", "audio/pcm") == "audio/pcm" else 8


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge deeply: mappings field by field, everything else (None, lists) as `over` has it."""
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        merged[key] = merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged
