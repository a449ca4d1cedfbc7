"""A conversation with a Realtime server: socket, protocol, audio and tools in one object.

::

    async with connect(instructions="You are brief.", tools=[weather], audio=DeviceAudioIO()) as session:
        async for event in session:
            print(event)
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias, cast

from realtime_core.frame import append_message
from realtime_voice import endpoint as endpoints
from realtime_voice import events as ev
from realtime_voice.audio.base import check_audio_io
from realtime_voice.audio.clock import LoopClock
from realtime_voice.audio.wire import (
    AudioEvent,
    BargeIn,
    Heard,
    PlayoutDrained,
    PlayoutStarted,
    SpeechStarted,
    SpeechStopped,
    Wire,
)
from realtime_voice.configuration import finds_no_turns, session_config
from realtime_voice.errors import (
    ConfigurationError,
    ConnectionClosed,
    LocalProtocolError,
    RealtimeError,
    ServerError,
    SessionTimeout,
)
from realtime_voice.filler import Filler, saying
from realtime_voice.latency import Latencies
from realtime_voice.link import Limits, Link, Owner
from realtime_voice.protocol import REQUEST_TAG
from realtime_voice.protocol import Event as ProtocolEvent
from realtime_voice.queues import EventQueue
from realtime_voice.reconnect import ReconnectPolicy
from realtime_voice.running_tools import RunningTools
from realtime_voice.states import ResponseState, SessionState
from realtime_voice.tools import RESULT_BYTES, TOOL_TIMEOUT_S, Toolbox
from realtime_voice.waiter import Waiter

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
    from pathlib import Path

    from realtime_core.delta import Delta
    from realtime_voice.audio.base import AudioIO
    from realtime_voice.audio.clock import Clock
    from realtime_voice.audio.playout import Playout
    from realtime_voice.protocol import ClientProtocol
    from realtime_voice.reconnect import LinkState
    from realtime_voice.tools import ToolLike

Event: TypeAlias = ProtocolEvent | AudioEvent
"""What a session yields: events of the wire, of the conversation and of the audio side."""

APPEND_BYTES: Final = 15 * 1024 * 1024
"""Audio that one append may carry."""
ANSWER_TIMEOUT_S: Final = 10.0
"""How long the server may take to answer a request that is answered at once."""
RESPONSE_TIMEOUT_S: Final = 300.0
"""How long a response that somebody waits for may take, with the time until it may begin."""
FILLER_AFTER_S: Final = 1.5
FULL_LOOK_S: Final = 0.05
PLAYOUT_LOOK_S: Final = 0.02
LAST_WORDS_S: Final = 0.25
"""How long a stop waits for what is still to be sent."""
STOP_S: Final = 1.5
CONNECT_TIMEOUT_S: Final = 10.0
"""How long the handshake may take."""
COMMIT_MS: Final = 100
"""Less audio than this no server commits."""

_logger = logging.getLogger("realtime_voice.session")


def connect(
    *,
    model: str = "gpt-realtime",
    api_key: endpoints.Key | None = None,
    base_url: str | None = None,
    organization: str | None = None,
    project: str | None = None,
    instructions: str | None = None,
    voice: str | None = None,
    tools: Sequence[ToolLike] = (),
    audio: AudioIO | None = None,
    wire_in: Wire = Wire(),  # noqa: B008  frozen
    wire_out: Wire = Wire(),  # noqa: B008  frozen
    config: Mapping[str, Any] | None = None,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    configure_timeout_s: float = 10.0,
    silent_peer: Literal["raise", "warn"] = "raise",
    tool_timeout_s: float = TOOL_TIMEOUT_S,
    tool_result_bytes: int = RESULT_BYTES,
    local_barge_in: bool = False,
    local_turns: bool = False,
    greeting: str | None = None,
    filler: str | Path | None = None,
    filler_after_s: float = FILLER_AFTER_S,
    reconnect: ReconnectPolicy | None = ReconnectPolicy(),  # noqa: B008  frozen
    timeout_s: float | None = None,
    clock: Clock | None = None,
    endpoint: endpoints.Endpoint | None = None,
    ssl_context: ssl.SSLContext | None = None,
    allow_insecure: bool = False,
) -> Session:
    """Prepare a session; `async with` (or `start`) opens it. Nothing connects before.

    model, api_key, base_url, organization, project, ssl_context, allow_insecure: see realtime_voice.endpoint.
    endpoint: one made before, as by `realtime_voice.endpoint.azure`, instead of these.
    instructions, voice: what the agent is told, and how it sounds.
    tools: functions (plain or with @tool), or schemas, whose calls the application answers by `send_tool_result`.
    audio: microphone and speaker; None when the application sends and takes audio itself.
    wire_in, wire_out: audio formats on the wire.
    config: any field of session.update, merged last and deeply; None switches a field off. With `type` "transcription"
    the session only writes down what is said; `model` does not matter then.
    connect_timeout_s: how long the handshake may take; then `start` raises ConnectError.
    configure_timeout_s: how long the server may take to accept the configuration; then `silent_peer` "raise" raises
    SessionTimeout in `start`, and "warn" logs a line and goes on.
    tool_timeout_s: how long a tool may take.
    tool_result_bytes: what the model gets of a tool's result at most; of a longer one it gets an error.
    local_barge_in: let the events of the audio side's speech detector interrupt; for audio sides that cannot decide in
    their own callback (see `BargeInOptions`), where the microphone does not hear the speaker.
    local_turns: the audio side's speech detector ends the user's turns, each of which is committed and answered; for a
    server that does not look for them (`turn_detection` None), best with an audio side in the mode "gated".
    greeting: what the agent says first, before the user has spoken.
    filler: what the agent says ("One moment, please."), or the path of a short WAV file that is played, when a tool has
    run in silence for `filler_after_s`.
    reconnect: how a lost connection is replaced, and one whose time is nearly over; None: the session ends with its
    first connection.
    timeout_s: how long a connection may live, where that is less than the server allows.
    clock: what time it is; another than the event loop's is for tests.

    Raises ValueError for what is wrong in the arguments, TypeError for an `audio` that is none, AudioFileError for a
    filler that cannot be read.
    """
    if audio is not None:
        check_audio_io(audio)
    if local_turns and not finds_no_turns(config):
        raise ValueError(
            "local_turns needs a server that does not look for turns: "
            "config={'audio': {'input': {'turn_detection': None}}}"
        )
    toolbox = Toolbox(tools, timeout_s=tool_timeout_s, result_bytes=tool_result_bytes)
    if endpoint is None:
        endpoint = endpoints.resolve(
            model,
            base_url,
            api_key,
            organization,
            project,
            intent="transcription" if (config or {}).get("type") == "transcription" else None,
            ssl_context=ssl_context,
            allow_insecure=allow_insecure,
        )
    elif any((base_url, api_key, organization, project, ssl_context)):
        raise ValueError("endpoint comes with its URL, key, headers and TLS: give it alone")
    return Session(
        endpoint,
        session_config(
            instructions=instructions,
            voice=voice,
            tools=toolbox.configs,
            wire_in=wire_in,
            wire_out=wire_out,
            config=config,
        ),
        toolbox=toolbox,
        audio=audio,
        wire_in=wire_in,
        wire_out=wire_out,
        connect_timeout_s=connect_timeout_s,
        configure_timeout_s=configure_timeout_s,
        silent_peer=silent_peer,
        local_barge_in=local_barge_in,
        local_turns=local_turns,
        greeting=greeting,
        filler=filler,
        filler_after_s=filler_after_s,
        reconnect=reconnect,
        timeout_s=timeout_s,
        clock=clock,
        model=model,
    )


class Session:
    """One conversation. `async with` starts and stops it; made by `connect`.

    All of it belongs to one event loop. Every method is safe to cancel. When the session ends by itself, iteration
    raises the reason after the events before it, and methods that send raise it too.
    """

    def __init__(
        self,
        endpoint: endpoints.Endpoint,
        config: Mapping[str, Any],
        *,
        toolbox: Toolbox | None = None,
        audio: AudioIO | None = None,
        wire_in: Wire = Wire(),  # noqa: B008  frozen
        wire_out: Wire = Wire(),  # noqa: B008  frozen
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        configure_timeout_s: float = 10.0,
        silent_peer: Literal["raise", "warn"] = "raise",
        local_barge_in: bool = False,
        local_turns: bool = False,
        greeting: str | None = None,
        filler: str | Path | None = None,
        filler_after_s: float = FILLER_AFTER_S,
        reconnect: ReconnectPolicy | None = ReconnectPolicy(),  # noqa: B008  frozen
        timeout_s: float | None = None,
        clock: Clock | None = None,
        model: str = "",
    ) -> None:
        if not filler_after_s > 0:
            raise ValueError(f"filler_after_s must be above 0, got {filler_after_s}")
        self.endpoint = endpoint
        self.model = model
        self._allow_interruptions = True
        self._holds = 0  # blocks of `uninterrupted` that are open
        self._is_server_held = False  # it was told for them not to stop its answers
        self._release: asyncio.Task[None] | None = None
        self.local_barge_in = local_barge_in
        """True: the speech that the audio side detects silences the agent, before the server hears it."""
        self.latencies = Latencies()
        """How long the user has waited so far."""
        self._greeting = greeting
        self._filler = None if filler is None else Filler(filler, wire_out)
        self._tools = RunningTools(
            toolbox or Toolbox(),
            tell=self._tell,
            answer=self._answer_call,
            fill=None if filler is None else self._fill,
            fill_after_s=filler_after_s,
        )
        self._audio = audio
        self._playout: Playout | None = None
        self._tells_audio = False
        self._wire_in, self._wire_out = wire_in, wire_out
        self._given_clock = clock
        self._is_user_heard = False  # by the audio side's own detector
        self.local_turns = local_turns
        """True: what the audio side's detector takes for speech is a turn, committed and answered when it ends."""
        self._has_key = False  # speech is what is said while a key is down
        self._said_from: int | None = None  # first sample of a turn whose ends this side knows
        self._said: int | None = None  # samples said in it, to be committed
        self._link = Link(
            endpoint,
            dict(config),
            wire_in,
            policy=reconnect,
            limits=Limits(
                connect_timeout_s=connect_timeout_s,
                configure_timeout_s=configure_timeout_s,
                silent_peer=silent_peer,
                timeout_s=timeout_s,
            ),
            owner=Owner(
                receive=self._receive,
                has_room=self._has_room,
                room=self._room,
                tell=self._tell,
                end_item=self._end_item,
                is_busy=self._is_busy,
            ),
        )
        self._runner: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None
        self._configured: asyncio.Future[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._is_error_told = False
        self._is_over = asyncio.Event()
        self._events: EventQueue[Event] = EventQueue()
        self._waiters: dict[str, Waiter] = {}

    # --- life ---

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.stop()
        if kind is None:
            self._tell_error()

    async def start(self) -> None:
        """Open the audio side and the connection, and wait until the server has accepted the configuration.

        Raises ConnectError, AuthenticationError, ConfigurationError (with the server's `param`), SessionTimeout,
        AudioDeviceError, or LocalProtocolError when it was started before. After a failure everything is closed.
        """
        if self._runner is not None or self._stopping is not None:
            raise LocalProtocolError("a session is started once; call connect again for another")
        self._link.clock = self._given_clock or LoopClock()
        self._runner = asyncio.create_task(self._run(), name="realtime session")
        self._configured = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait({self._configured, self._runner}, return_when=asyncio.FIRST_COMPLETED)
            if not self._configured.done():
                self._tell_error()
                self._running()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the session and close everything, within about a second whatever the peer does; may be repeated."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name="realtime session stop")
        await asyncio.shield(self._stopping)

    async def wait(self) -> None:
        """Wait until the session ends; raises the reason when it did so by itself."""
        await self._is_over.wait()
        self._tell_error()

    async def _stop(self) -> None:
        if self._runner is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._link.empty()
            self._runner.cancel()
            await asyncio.wait({self._runner}, timeout=STOP_S)
        self._finish(None)
        if self._audio is not None:
            try:
                await self._audio.stop()
            except Exception as error:  # noqa: BLE001  the session ends all the same
                _logger.warning("closing failed: %s", error)

    async def _run(self) -> None:
        """Be the session: all its tasks until one fails."""
        error: BaseException | None = None
        try:
            if self._audio is not None:
                await self._audio.start(self._wire_in, self._wire_out, framed=True)
                self.attach_playout(self._audio.playout)
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._keep_connected(self._group), name="realtime connection")
                self._group.create_task(self._link.tick_all(), name="realtime tick")
        except asyncio.CancelledError:
            pass
        except BaseExceptionGroup as group:
            error = _first(group)
        except Exception as failure:  # noqa: BLE001  it is told where the application waits
            error = failure
        self._finish(error)

    async def _keep_connected(self, group: asyncio.TaskGroup) -> None:
        await self._link.connect(group)
        if self._configured is not None and not self._configured.done():
            self._configured.set_result(None)
        if self._greeting:
            self.protocol.request_response(saying(self._greeting))
            self._queue_outgoing()
        if self._audio is not None:
            self._hear(functools.partial(self._listen, self._audio))
            group.create_task(self._capture_all(self._audio), name="realtime capture")
        await self._link.keep(group)

    def _tell(self, event: Event) -> None:
        if isinstance(event, ev.TurnLatency | ev.ConnectionChanged):
            self.latencies.add(event)
        self._events.put(event)

    def _finish(self, error: BaseException | None) -> None:
        """Note the end, once."""
        if self._is_over.is_set():
            return
        if isinstance(error, ConnectionClosed) and error.code == 1000:
            error = None  # an orderly end
        self._error = error
        self._group = None
        self._hear(None)
        for waiter in self._waiters.values():
            waiter.fail(error or ConnectionClosed("the session has ended", 1000))
        self._waiters.clear()
        self._is_over.set()
        self._events.end()
        self._link.end()

    def _tell_error(self) -> None:
        if self._error is not None and not self._is_error_told:
            self._is_error_told = True
            raise self._error

    # --- events ---

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterate over what happens; ends with the session, and raises the reason when that ended by itself.

        Events are handed out once, also to several iterators. While somebody iterates and 1024 events wait, the
        server is read no further; before, or when nobody has taken any for 5 seconds, the oldest are dropped and
        counted.
        """
        return self

    async def __anext__(self) -> Event:
        """Wait for the next event. Cancelling loses none."""
        try:
            return await self._events.get()
        except StopAsyncIteration:
            self._tell_error()
            raise

    def events(self) -> AsyncIterator[ev.SessionEvent | AudioEvent]:
        """Iterate over what happens in the conversation, without the events of the wire, which are passed over."""
        return _ConversationEvents(self)

    @property
    def dropped_events(self) -> int:
        """Events that nobody took."""
        return self._events.dropped

    # --- what the application says ---

    async def send(self, event: ev.ClientEvent | Mapping[str, Any]) -> str:
        """Send any client event; returns its event_id. A response.create waits for its moment.

        Of an input_audio_buffer.append the audio alone is sent, as by `send_audio`; its id is "".
        """
        audio = _audio_of(event)
        if audio is not None:
            await self.send_audio(audio)
            return ""
        event_id = self._running().send(event)
        await self._sent()
        return event_id

    async def send_text(self, text: str, *, respond: bool = True) -> str:
        """Say something in writing; returns the item's id. With `respond` the agent answers."""
        part = ev.ContentPart(type="input_text", text=text)
        return await self._add_message([part], respond=respond)

    async def send_image(
        self, image: str | bytes, *, text: str | None = None, detail: str | None = None, respond: bool = True
    ) -> str:
        """Show a PNG or JPEG image (a `data:` URI, or the file's bytes), with a text; returns the item's id.

        Raises ValueError for anything else.
        """
        parts = [ev.ContentPart(type="input_image", image_url=_data_uri(image), detail=detail)]
        if text is not None:
            parts.append(ev.ContentPart(type="input_text", text=text))
        return await self._add_message(parts, respond=respond)

    async def _add_message(self, parts: list[ev.ContentPart], *, respond: bool) -> str:
        return await self.send_item(ev.Item(type="message", role="user", content=parts), respond=respond)

    async def send_item(
        self, item: ev.Item | Mapping[str, Any], *, previous_item_id: str | None = None, respond: bool = False
    ) -> str:
        """Add any item to the conversation, with all its fields; returns its id. With `respond` the agent answers.

        `previous_item_id`: put it behind that item ("root": in front of all), not at the end.
        Raises ValueError for what is no item.
        """
        item_id = self._running().add_item(item, previous_item_id=previous_item_id, respond=respond)
        await self._sent()
        return item_id

    async def send_audio(self, audio: bytes) -> None:
        """Send the user's audio, bare bytes in the wire's format, whole samples, at most 15 MiB (ValueError)."""
        if len(audio) > APPEND_BYTES:
            raise ValueError(f"{len(audio)} bytes of audio at once are more than {APPEND_BYTES}")
        if len(audio) % self._link.sample_bytes:
            raise ValueError(f"{len(audio)} bytes are not whole samples of {self._link.sample_bytes} bytes")
        self._running()
        self._link.send_chunk(append_message(audio))
        self._commit_said()
        await self._sent()

    async def commit_audio(self, *, respond: bool = True) -> None:
        """End the user's turn, where the server does not find its end by itself; with `respond` the agent answers."""
        protocol = self._running()
        protocol.send(ev.InputAudioBufferCommit())
        if respond:
            protocol.request_response()
        await self._sent()

    async def clear_audio(self) -> None:
        """Forget the user's audio that is not committed."""
        self._running().send(ev.InputAudioBufferClear())
        await self._sent()

    async def send_tool_result(self, call_id: str, output: str, *, respond: bool | None = None) -> None:
        """Answer a ToolCall. The agent goes on when all calls are answered.

        `respond` None: unless the user has interrupted the agent since the call; True or False: as told.
        """
        self._running().send_tool_result(call_id, output, respond=respond)
        await self._sent()

    async def create_response(self, params: ev.ResponseParams | Mapping[str, Any] | None = None) -> None:
        """Ask the agent to speak, as soon as it may. Raises TypeError for `params` that are none, as a bare text."""
        if params is not None:
            _check_params(params)
        self._running().request_response(params)
        await self._sent()

    async def say(self, text: str, *, interruptible: bool = True) -> ev.Response:
        """Have the agent say `text`, word for word as far as a model does that; returns when it has been generated.

        It is part of the conversation. With `interruptible` False the user cannot cut it short, and it returns when it
        has been heard. Raises what `ask` raises.
        """
        if interruptible:
            return await self.ask(saying(text))
        async with self.uninterrupted():
            return await self.ask(saying(text))

    @contextlib.asynccontextmanager
    async def uninterrupted(self) -> AsyncGenerator[None]:
        """Let the agent finish what it says within the block, which ends when that has been heard; blocks may overlap.

        The server is told not to stop its answers either. Raises ConfigurationError when it refuses that.
        """
        self._holds += 1
        self._tell_playout()
        try:
            await self._hold_server()
            yield
            await self.played()
        finally:
            self._holds -= 1
            self._tell_playout()
            if not self._holds:
                self._release_server()

    async def _hold_server(self) -> None:
        """Have the server not stop its answers, where it does or is about to do so again."""
        is_released = self._release is None or self._release.done()
        if self.protocol.server_interrupts or not is_released:
            self._is_server_held = True
            await self.update(_interrupting(self.protocol.turn_detection, interrupt=False))

    def _release_server(self) -> None:
        """Have the server stop its answers again; not awaited, so that it is said even when this is cancelled."""
        is_held, self._is_server_held = self._is_server_held, False
        detection = self.protocol.turn_detection
        if not is_held or detection is None or self._group is None or self.protocol.session is SessionState.FAILED:
            return
        waiter = self._update(_interrupting(detection, interrupt=True))
        self._release = self._group.create_task(self._released(waiter), name="realtime release")
        self._queue_outgoing()

    async def _released(self, waiter: Waiter) -> None:
        with contextlib.suppress(RealtimeError):  # an Error event tells it
            await self._answer_of(waiter)

    async def played(self) -> None:
        """Wait until nothing is generated and all of it has been heard, or the session is over."""
        while self.is_running and self._is_speaking:  # noqa: ASYNC110  the device's side has no events
            await asyncio.sleep(PLAYOUT_LOOK_S)

    async def press(self) -> None:
        """Push-to-talk: the user begins to speak. Silences the agent, if it may be interrupted.

        For sessions whose server does not look for turns (`turn_detection` None; else LocalProtocolError), and with an
        audio side in the mode "push_to_talk", or audio that the application sends.
        """
        protocol = self._without_turn_detection()
        if self.allow_interruptions and self._is_speaking:
            self._interrupt()
        if self._audio is not None:
            self._has_key = True
            self._audio.talking = True
        else:
            protocol.send(ev.InputAudioBufferClear())
        await self._sent()

    async def release(self) -> None:
        """Push-to-talk: the user has spoken; what was said is committed and answered, unless it was only a tap."""
        protocol = self._without_turn_detection()
        if self._audio is not None:
            self._audio.talking = False  # its last chunk comes with the next hop, and the end of speech behind it
            return
        protocol.send(ev.InputAudioBufferCommit())
        protocol.request_response()
        await self._sent()

    async def ask(
        self, params: ev.ResponseParams | Mapping[str, Any], *, timeout_s: float = RESPONSE_TIMEOUT_S
    ) -> ev.Response:
        """Ask for a response and wait for it to end; with `conversation: "none"` beside the conversation.

        It is known by the metadata that the server echoes. Raises ServerError when the server refuses it,
        SessionTimeout when it has not ended in time (it then goes on), the session's error when that ends first, and
        TypeError for `params` that are none, as a bare text.
        """
        _check_params(params)
        request_id = self._running().request_response(params)

        def is_answer(event: Event) -> bool:
            return isinstance(event, ev.ResponseDone) and (event.response.metadata or {}).get(REQUEST_TAG) == request_id

        done = await self._answer_of(self._waiter(request_id, is_answer), timeout_s=timeout_s)
        return cast("ev.ResponseDone", done).response

    async def update(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Change the session: any fields of session.update, None switches one off. Returns the configuration then.

        Raises ConfigurationError when the server refuses it; then nothing has changed.
        """
        await self._answer_of(self._update(config))
        return self.config

    async def retrieve(self, item_id: str) -> ev.Item:
        """Ask for an item as the server holds it, with its audio. Raises ServerError when there is none."""
        event_id = self._running().send(ev.ConversationItemRetrieve(item_id=item_id))

        def is_answer(event: Event) -> bool:
            return isinstance(event, ev.ConversationItemRetrieved) and event.item.id == item_id

        retrieved = await self._answer_of(self._waiter(event_id, is_answer))
        return cast("ev.ConversationItemRetrieved", retrieved).item

    async def delete(self, item_id: str) -> None:
        """Remove an item from the conversation. Raises ServerError when there is none."""
        event_id = self._running().send(ev.ConversationItemDelete(item_id=item_id))

        def is_answer(event: Event) -> bool:
            return isinstance(event, ev.ConversationItemDeleted) and event.item_id == item_id

        await self._answer_of(self._waiter(event_id, is_answer))

    async def approve(self, approval_request_id: str, *, approve: bool = True, reason: str | None = None) -> None:
        """Let a hosted MCP tool run that asks for it by an `mcp_approval_request` item, or not, and say why."""
        await self.send_item(
            ev.Item(
                type="mcp_approval_response", approval_request_id=approval_request_id, approve=approve, reason=reason
            )
        )

    def _update(self, config: Mapping[str, Any]) -> Waiter:
        event_id = self._running().configure({"type": self.config.get("type", "realtime"), **config})

        def is_answer(event: Event) -> bool:  # the answers come in order, and name no request
            return isinstance(event, ev.SessionUpdated) and not self.protocol.awaits(event_id)

        return self._waiter(event_id, is_answer, ConfigurationError)

    def _waiter(
        self, event_id: str, is_answer: Callable[[Event], bool], error: type[ServerError] = ServerError
    ) -> Waiter:
        """Wait from now on for the event that answers a request, or the error that does; what it is: `_answer_of`."""
        waiter = self._waiters[event_id] = Waiter(event_id, is_answer, error)
        return waiter

    async def _answer_of(self, waiter: Waiter, timeout_s: float | None = ANSWER_TIMEOUT_S) -> Event:
        try:
            await self._sent()
            async with asyncio.timeout(timeout_s):
                return await waiter.answer
        except TimeoutError as silence:
            if isinstance(silence, RealtimeError):
                raise
            self.protocol.give_up(waiter.event_id)
            raise SessionTimeout(f"{self.endpoint.name} has not answered a request within {timeout_s} s") from None
        finally:
            self._waiters.pop(waiter.event_id, None)

    async def cancel_response(self) -> None:
        """Stop what the agent generates, if it does; what was received still plays."""
        self._running().cancel_response()
        await self._sent()

    async def interrupt(self) -> list[ev.Interrupted]:
        """Make the agent silent at once: stop playout and response, and tell the server what was heard."""
        self._running()
        interrupted = self._interrupt()
        await self._sent()
        return interrupted

    def _without_turn_detection(self) -> ClientProtocol:
        protocol = self._running()
        if protocol.turn_detection is not None:
            raise LocalProtocolError(
                "push-to-talk needs a server that does not look for turns: "
                "connect(config={'audio': {'input': {'turn_detection': None}}})"
            )
        return protocol

    # --- what is known ---

    @property
    def audio(self) -> AudioIO | None:
        """The microphone and speaker, with `muted`, `talking` and `volume`."""
        return self._audio

    @property
    def protocol(self) -> ClientProtocol:
        """The protocol of the present connection."""
        return self._link.protocol

    @property
    def link(self) -> LinkState:
        """What the session does about its connection."""
        return self._link.state

    @property
    def generation(self) -> int:
        """Which of the session's connections this is, counted from 1."""
        return self._link.generation

    @property
    def id(self) -> str:
        """The session's id at the server; another one after the connection was replaced."""
        return self.protocol.id

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as the server last echoed it; {} before."""
        return self.protocol.config

    @property
    def usage(self) -> ev.Usage:
        """Tokens so far."""
        return self.protocol.usage

    @property
    def rate_limits(self) -> list[ev.RateLimit]:
        """What may still be asked for, as the server last told."""
        return self.protocol.rate_limits

    @property
    def is_running(self) -> bool:
        """Started and not ended."""
        return self._runner is not None and not self._is_over.is_set()

    def unheard_audio(self) -> bytes:
        """Return the user's audio that is in no turn yet, at most 30 s of it: what another session would have to hear.

        Bare, in the wire's format.
        """
        return self._link.unheard()

    def conversation(self) -> list[ev.Item]:
        """Return what was said so far, in order, as texts; of interrupted items what was heard."""
        return self.protocol.conversation.items()

    # --- audio ---

    @property
    def allow_interruptions(self) -> bool:
        """False: the agent goes on speaking when the user does; so also within `uninterrupted`."""
        return self._allow_interruptions and not self._holds

    @allow_interruptions.setter
    def allow_interruptions(self, allow: bool) -> None:
        self._allow_interruptions = allow
        self._tell_playout()

    def _tell_playout(self) -> None:
        if self._playout is not None:
            self._playout.interruptible = self.allow_interruptions

    @property
    def _heeds_server(self) -> bool:
        return self.allow_interruptions and (self._playout is None or self._playout.heeds_server)

    def attach_playout(self, playout: Playout | None, *, tell: bool = False) -> None:
        """Play the agent's audio there; None: no longer. With `tell` its deltas are yielded as events all the same.

        For playout that another host owns: it gets the audio as it arrives, the user's speech silences it, and the
        server is told its played position. The host hands its events to `audio_event`.
        """
        self._playout = playout
        self._tell_playout()
        self._tells_audio = tell
        self.protocol.latency.awaits_playout = playout is not None

    def audio_event(self, event: AudioEvent) -> None:
        """Take an event of the audio side, for hosts that own it."""
        self._events.put(event)
        if isinstance(event, SpeechStarted | SpeechStopped):
            self._is_user_heard = isinstance(event, SpeechStarted)
        if isinstance(event, SpeechStarted) and (self._has_key or self.local_turns):
            self._said_from = event.sample
        if isinstance(event, SpeechStopped) and self._said_from is not None:
            self._said = (self._said or 0) + event.sample - self._said_from
            self._said_from = None
        match event:
            case SpeechStarted() if self.local_barge_in and self.allow_interruptions and self.is_running:
                self._interrupt(speech_s=max(0.0, self._link.clock.time() - event.time))
            case SpeechStopped():
                self.protocol.latency.speech_stopped(event.time, local=True)
            case PlayoutStarted():
                latency = self.protocol.latency.played(event.item_id, event.time)
                if latency is not None:
                    self._tell(latency)
            case BargeIn(action="cut", heard=heard) if self.is_running:
                self._interrupted(heard, speech_s=event.after_s)
            case SpeechStarted() | PlayoutDrained() | BargeIn():
                pass

    def _take_audio_events(self) -> None:
        if self._audio is not None:
            for event in self._audio.events():
                self.audio_event(event)
        elif self._playout is not None:
            self._playout.tell_events()

    def _hear(self, listener: Callable[[], object] | None) -> None:
        if self._audio is not None and hasattr(self._audio, "listener"):  # else `captured` does alone
            self._audio.listener = listener

    def _listen(self, audio: AudioIO) -> None:
        """Send what was captured in the turn of the event loop that found it, unless too much waits for the socket."""
        if self._link.has_room:
            self._send_captured(audio.take())

    async def _capture_all(self, audio: AudioIO) -> None:
        """Send what was captured and could not be sent at once, and what is left when the input ends."""
        while (chunks := await audio.captured()) is not None:
            self._send_captured(chunks)
            await self._link.room()
        while True:  # the input has ended, the speaker has not
            self._take_audio_events()
            await asyncio.sleep(PLAYOUT_LOOK_S)

    def _send_captured(self, chunks: list[tuple[int, bytes]]) -> None:
        if self.protocol.session is SessionState.FAILED:
            return  # the session is about to end with the reason
        for _, message in chunks:
            self._link.send_chunk(message)
        self._take_audio_events()
        self._commit_said()

    def _commit_said(self) -> None:
        """Commit a turn whose end this side knows, if there is one, all of which has been sent.

        Not while the user speaks again: what was sent of that would go with it, or be cleared.
        """
        if self._said is None or self._said_from is not None:
            return
        samples, self._said = self._said, None
        if samples * 1000 < COMMIT_MS * self._wire_in.rate:
            self.protocol.send(ev.InputAudioBufferClear())
        else:
            self.protocol.send(ev.InputAudioBufferCommit())
            self.protocol.request_response()
        self._queue_outgoing()

    def _interrupt(self, *, by_server: bool = False, speech_s: float | None = None) -> list[ev.Interrupted]:
        heard = [] if self._playout is None else self._playout.flush()
        return self._interrupted(heard, by_server=by_server, speech_s=speech_s)

    def _interrupted(
        self, heard: Sequence[Heard], *, by_server: bool = False, speech_s: float | None = None
    ) -> list[ev.Interrupted]:
        """Say what follows from playout being silenced: to the server, to the application, to tools.

        `speech_s`: for how long the user had spoken by then, where that is the reason and known on this side.
        """
        if self._filler is not None:
            heard = [cut for cut in heard if not self._filler.is_sound(cut.item_id)]
        interrupted = self.protocol.interrupt(heard, by_server=by_server, speech_s=speech_s)
        for event in interrupted:
            self._events.put(event)
        if interrupted:
            self.latencies.add(interrupted[0])
            self._tools.interrupt()
        self._queue_outgoing()
        return interrupted

    # --- sending ---

    def _running(self) -> ClientProtocol:
        if self._is_over.is_set() or self._runner is None:
            if self._error is not None:
                self._is_error_told = True
                raise self._error
            raise LocalProtocolError("the session is not running")
        return self.protocol

    async def _sent(self) -> None:
        self._queue_outgoing()
        await self._link.room()

    def _queue_outgoing(self) -> None:
        self._link.flush()

    # --- receiving ---

    def _receive(self, message: bytes) -> None:
        self._take_audio_events()  # a cut that the device made came before the message, maybe seconds
        for event in self._read(message):
            self._handle(event)

    def _has_room(self) -> bool:
        return self._events.has_room and not (self._playout is not None and self._playout.full)

    async def _room(self) -> None:
        """Wait while the application or the speaker has too much already."""
        await self._events.room()
        while self._playout is not None and self._playout.full:  # noqa: ASYNC110  the device's side has no events
            await asyncio.sleep(FULL_LOOK_S)

    def _end_item(self, item_id: str) -> None:
        if self._playout is not None:
            self._playout.end_item(item_id)

    @property
    def _is_playing(self) -> bool:
        return self._playout is not None and self._playout.active

    @property
    def _is_speaking(self) -> bool:
        return self._is_playing or self.protocol.response is not ResponseState.IDLE

    def _is_busy(self) -> bool:
        return self._is_playing or self._is_user_heard or bool(self._waiters)

    def _read(self, message: bytes) -> Sequence[ProtocolEvent]:
        now = self._link.clock.time()
        if self._playout is not None:
            delta = self._playout.feed(message)
            if delta is not None:
                ms = delta.samples * 1000 / self._wire_out.rate
                events = self.protocol.audio_received(delta.response_id, delta.item_id, now, ms)
                return [_as_event(delta), *events] if self._tells_audio else events
        return self.protocol.receive(message, now)

    def _handle(self, event: ProtocolEvent) -> None:
        _logger.debug("received %s", getattr(event, "type", type(event).__name__))
        self._events.put(event)
        for waiter in self._waiters.values():
            if waiter.take(event):
                break
        match event:
            case ev.InputAudioBufferSpeechStarted() if self._heeds_server:
                self._interrupt(by_server=True)
            case ev.ResponseOutputAudioDone(item_id=item_id) if self._playout is not None:
                self._playout.end_item(item_id)
            case ev.ResponseOutputItemDone(item=item) if self._playout is not None:
                self._playout.end_item(item.id or "")
            case ev.ResponseCreated() if self._filler is not None:
                self._filler.hush()
            case ev.ToolCall() if self._group is not None:
                self._tools.begin(event, self._group)
            case ev.Error(error=error):
                _logger.info("server error %s about %s", error.code or error.type, error.param)
            case _:
                pass

    # --- tools ---

    def _answer_call(self, call_id: str, output: str, respond: bool | None) -> None:
        if self.protocol.session is not SessionState.FAILED:
            self.protocol.send_tool_result(call_id, output, respond=respond)
            self._queue_outgoing()

    def _fill(self) -> None:
        """Break the silence while a tool runs."""
        filler = self._filler
        if filler is None or not self.protocol.is_quiet or self._is_playing:
            return
        if filler.text:
            self.protocol.request_response(filler.params, again=False)
            self._queue_outgoing()
        elif self._playout is not None:
            filler.play(self._playout)


class _ConversationEvents:
    """The events of a session that are not of the wire. No generator: cancelling one would end it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ev.SessionEvent | AudioEvent:
        """Wait for the next event. Cancelling loses none."""
        while True:
            event = await anext(self._session)
            if isinstance(event, ev.SessionEvent | AudioEvent):
                return event


def _audio_of(event: ev.ClientEvent | Mapping[str, Any]) -> bytes | None:
    """Return the audio of an append event; None for any other. Raises ValueError for what is not base64."""
    if isinstance(event, ev.InputAudioBufferAppend):
        return base64.b64decode(event.audio, validate=True)
    if not isinstance(event, ev.WireEvent) and event.get("type") == "input_audio_buffer.append":
        return base64.b64decode(event.get("audio") or "", validate=True)
    return None


def _check_params(params: object) -> None:
    if not isinstance(params, ev.ResponseParams | Mapping):
        raise TypeError(
            'params must be a mapping, such as {"instructions": "..."}, '
            f"not {type(params).__name__}; say() speaks a text, send_text() puts it to the agent"
        )


def _interrupting(detection: Mapping[str, Any] | None, *, interrupt: bool) -> dict[str, Any]:
    """Return the configuration in which the server stops its answer when it hears the user, or does not."""
    return {"audio": {"input": {"turn_detection": {**(detection or {}), "interrupt_response": interrupt}}}}


def _as_event(delta: Delta) -> ev.ResponseOutputAudioDelta:
    return ev.ResponseOutputAudioDelta(
        response_id=delta.response_id,
        item_id=delta.item_id,
        output_index=delta.output_index,
        content_index=delta.content_index,
        delta=delta.audio,
    )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first single exception of a group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _data_uri(image: str | bytes) -> str:
    if isinstance(image, str):
        if not image.startswith("data:image/"):
            raise ValueError("an image is a data: URI (data:image/png;base64,...) or the bytes of a PNG or JPEG file")
        return image
    for signature, kind in ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg")):
        if image.startswith(signature):
            return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
    raise ValueError("the image is neither PNG nor JPEG")
