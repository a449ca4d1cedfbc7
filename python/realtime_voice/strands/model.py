"""OpenAI's Realtime API, or any endpoint that speaks it, as a model for Strands' bidirectional agent.

Here is all that does not depend on the generation of Strands: connections, their renewal, tool calls, audio. What does
(events, configuration, content) is in `stable` and `experimental`, with one `BidiOpenAIRealtimeModel` each.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, TypedDict, cast

from realtime_voice import endpoint
from realtime_voice.audio import AudioEvent
from realtime_voice.configuration import finds_no_turns
from realtime_voice.errors import ConnectError, ConnectionClosed, LocalProtocolError, RealtimeError
from realtime_voice.events import (
    Interrupted,
    Reconnected,
    Renewed,
    ResponseOutputAudioDelta,
    ToolCall,
    ToolResult,
)
from realtime_voice.latency import Latencies
from realtime_voice.protocol import tool_error
from realtime_voice.reconnect import ReconnectPolicy, is_replaceable
from realtime_voice.session import Session, connect
from realtime_voice.strands import config as options
from realtime_voice.strands.assumed import AssumedPlayout
from realtime_voice.strands.convert import FromWire, ToWire
from realtime_voice.strands.history import CALL_ID_LENGTH, function_tool, history_items
from realtime_voice.strands.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence

    from realtime_voice.audio import Wire
    from realtime_voice.audio.playout import Playout
    from realtime_voice.session import Event

logger = logging.getLogger(__name__)

CONFIGURE_S = 2.0
"""How long to wait for a peer that says nothing after ``session.update``; then it is warned of, and all goes on."""

RECONNECT = ReconnectPolicy()
"""How the session replaces a lost connection by itself; Strands' agent renews it by plan, and after any other end."""

STABLE_S = 10.0
LOSSES = 3
"""So many sessions in a row may end before they have lived `STABLE_S` seconds; then the end is an error."""

TOOL_S = 60.0
"""After so long without a result of a tool the model is told that there is none; one that comes later is told too."""

CONNECT_WAITS_S = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Before each attempt to renew a connection while the endpoint cannot be reached."""

RENEWAL_S = 60.0
"""So long what is said after a session's end waits for the next one; then the end is an error to whoever said it."""

CONTINUE = (
    "The connection was renewed in the middle of the conversation. Go on where it was: no greeting, no introduction, "
    "the same language."
)
"""Told to a renewed session, whose history holds the words but not the sound of what was before."""

CUTS = 256
"""So many interrupted answers are remembered, for a renewed session to be told what was heard of them."""

GOODBYE_S = 15.0
"""Longest wait for a goodbye to be spoken; it is heard to its end by the audio output, which has a bound of its own."""

GOODBYE = "Goodbye!"
"""What the tool that ends a conversation answers to a model that has not said goodbye."""

_UNSET: Any = object()


class Stream(TypedDict):
    """Format of the application's audio one way, in the words of Strands' present releases."""

    sample_rate: int
    channels: int
    format: str


class Translator(Protocol):
    """Turns a session's events into those of one generation of Strands."""

    active_responses: set[str]
    """Ids of the responses that have been created and are not done."""
    responses_done: int
    """How many responses have ended."""
    spoke: bool
    """Whether the response that ended last had any audio."""
    barge_in: ClassVar[type]
    """The event that tells outputs to be silent."""

    def translate(self, event: Any) -> list[Any]:
        """Return the Strands events that `event` makes, in their order; mostly none."""
        ...


class Connection:
    """One session and what belongs to it alone."""

    def __init__(
        self, session: Session, translator: Translator, to_wire: ToWire, wire_out: Wire, *, history: list[Any]
    ) -> None:
        self.id = uuid.uuid4().hex
        self.history = history
        """The conversation before it, as the items it was told."""
        self.session = session
        self.wire_out = wire_out
        self.translator = translator
        self.to_wire = to_wire
        self.assumed: AssumedPlayout | None = None
        """Stands for the speaker while no output of ours has one."""
        self.calls: set[str] = set()
        """Ids of the tool calls that came from this connection."""
        self.since = asyncio.get_running_loop().time()
        self.ending: asyncio.Task[None] | None = None
        self._progress = asyncio.Event()

    def attach(self, playout: Playout | None, *, local_turns: bool = False) -> None:
        """Let the session feed and cut `playout`; None: assume that the outputs play what they get."""
        self.session.local_turns = local_turns
        if playout is not None:
            self.assumed = None
            self.session.attach_playout(playout, tell=True)
            return
        self.assumed = AssumedPlayout(self.wire_out, asyncio.get_running_loop().time)
        self.session.attach_playout(cast("Playout", self.assumed))
        self.session.protocol.latency.awaits_playout = False  # it does not tell when it plays

    def was_told(self, item: Any) -> bool:
        """Whether its history ends with what `item` says: the agent notes a message first, and then sends it."""
        said = [told["content"] for told in self.history if told["type"] == "message" and told["role"] == "user"]
        return bool(said) and said[-1] == item["content"]

    def has_output(self, call_id: str) -> bool:
        """Whether its history holds the output of a call."""
        known_as = call_id[:CALL_ID_LENGTH]
        return any(told["type"] == "function_call_output" and told["call_id"] == known_as for told in self.history)

    def handed_over(self, event: Event, outputs: Sequence[Any]) -> None:
        """Note that the agent has taken an event's outputs."""
        if self.assumed is not None:
            if isinstance(event, ResponseOutputAudioDelta):
                self.assumed.handed_over(event)
            elif any(isinstance(output, self.translator.barge_in) for output in outputs):
                self.assumed.flush()  # what was handed over late, and cleared with the rest
        self._progress.set()

    @property
    def expired(self) -> bool:
        """Whether the connection has reached its limit."""
        return self.ending is not None

    def expire(self) -> None:
        """End the session because its time is over."""
        self.ending = asyncio.create_task(self.session.stop())

    async def answered(self, *, begun: bool = True) -> None:
        """Wait until no response is active; unless one has `begun`, until the next one is done."""
        done = self.translator.responses_done
        while self.translator.active_responses or (not begun and self.translator.responses_done == done):
            self._progress.clear()
            await self._progress.wait()


class RealtimeModel(ABC):
    """What both generations' models are: a Realtime model on a `Session` of this project.

    Two ways to configure it, which may not be mixed for the same setting: the dictionaries of Strands' first
    bidirectional releases (`provider_config`, `client_config`), and the keywords of its present ones. What is missing
    comes from the environment: the key from ``OPENAI_API_KEY``, the endpoint from ``OPENAI_REALTIME_URL``,
    ``OPENAI_WEBSOCKET_BASE_URL`` or ``OPENAI_BASE_URL``, see `realtime_voice.endpoint`.

    Args:
        model_id: The model's name.
        provider_config: ``audio`` (`config.AudioOptions`) and ``inference`` (fields of ``session.update``, merged
            over everything else at every depth).
        client_config: `config.ClientOptions`.
        transcription_model_id: Writes down what the user says; None switches that off.
        api_key: The endpoint's key, or a function (plain or async) that is asked for it at every connection.
        organization: OpenAI's organization.
        project: OpenAI's project.
        timeout_s: Longest life of one connection in seconds, 1 to 3000.
        voice: The voice's name.
        params: The same as ``inference``.

    Raises:
        ValueError: A setting is wrong; the message names the field and what is allowed. Nothing is connected yet.
    """

    def __init__(
        self,
        model_id: str = options.DEFAULT_MODEL,
        provider_config: Mapping[str, Any] | None = None,
        client_config: Mapping[str, Any] | None = None,
        *,
        transcription_model_id: str | None = options.DEFAULT_TRANSCRIPTION,
        api_key: endpoint.Key | None = None,
        organization: str | None = None,
        project: str | None = None,
        timeout_s: float | None = None,
        voice: str | dict[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        check_model_id(model_id)
        provider = options.provider_config(provider_config)
        if voice is not None:
            provider["audio"] = _with("voice", voice, provider.get("audio", {}), "provider_config['audio']")
        self._audio, inference = options.provider_options(provider)
        fields = options.session_fields("params", params)
        if inference and fields:
            raise ValueError("give provider_config['inference'] or params, not both: they are the same setting")
        client = options.client_config(client_config)
        for name, value in (
            ("api_key", api_key),
            ("organization", organization),
            ("project", project),
            ("timeout_s", timeout_s),
        ):
            if value is not None:
                client = _with(name, value, client, "client_config")
        checked = options.client_options(client)
        if transcription_model_id is not None and not isinstance(transcription_model_id, str):
            raise ValueError(f"transcription_model_id must be a string or None, not {transcription_model_id!r}")
        self._transcription = transcription_model_id
        self.timeout_s = checked.timeout_s
        self._base_url = checked.base_url
        self._api_key = checked.api_key
        self._organization = checked.organization
        self._project = checked.project
        self._config: dict[str, Any] = {"model_id": model_id, "params": inference or fields}
        self._streams = self._resolve_streams(self._config["params"])
        self._endpoint()
        self.observer: Callable[[Event], object] | None = None
        """Called with every event of the wire and of the conversation as the agent takes it; set at any time."""
        self.silence_limit_s: float | None = None
        """After so many seconds without an answer to the configuration, `start` raises; None: see `CONFIGURE_S`."""
        self.latencies = Latencies()
        """How long the user has waited since `start`, over all connections."""
        self.telemetry = Telemetry()
        """Tells the same to OpenTelemetry."""
        self._connection: Connection | None = None
        self._standing = asyncio.Event()  # the present connection is not known to have ended
        self._left: Connection | None = None  # stopped, to be renewed
        self._connections = 0
        self._stops = 0  # how often it was stopped: a renewal that was under way ends then
        self._ended: tuple[float, str] | None = None  # when the present connection ended without us, and why
        self._audio_sent_at: float | None = None
        self._change: Renewed | Reconnected | None = None  # the last renewal, until `receive` tells it
        self._playout: Playout | None = None
        self._local_turns = False
        self._pending_calls: dict[str, asyncio.TimerHandle] = {}
        self._late_calls: dict[str, str] = {}  # calls answered in place of their tool -> the tool's name
        self._heard: dict[str, str] = {}  # answers that were interrupted -> what was heard of them
        self._tasks: set[asyncio.Task[None]] = set()
        self._losses = 0

    # What a generation says

    @abstractmethod
    def _translator(self, converter: FromWire, *, transcription: bool) -> Translator:
        """Make the translator of a new connection; `converter` turns the wire's audio into the application's."""

    @abstractmethod
    def _started(self, connection_id: str) -> Any:
        """Return the event that tells of a new connection."""

    @abstractmethod
    def _timeout(self, message: str) -> Exception:
        """Return the error by which `receive` asks the agent to renew the connection."""

    # What it is

    @property
    def _connection_id(self) -> str | None:
        """Strands' agent loop reads the connection's id by this name."""
        return None if self._connection is None else self._connection.id

    @property
    def wires(self) -> tuple[Wire, Wire]:
        """Formats of the audio sent and received on the wire."""
        return options.wires(self._audio, self._config["params"] or {})

    @property
    def session(self) -> Session | None:
        """The session of the present connection; None when the model is not started."""
        return None if self._connection is None else self._connection.session

    def _resolve_streams(self, fields: Mapping[str, Any] | None) -> tuple[Stream, Stream]:
        """Return the formats of the application's audio, in and out; always PCM16."""
        wire_in, wire_out = options.wires(self._audio, fields or {})
        rates = self._audio.input_rate or wire_in.rate, self._audio.output_rate or wire_out.rate
        stream_in, stream_out = (
            Stream(sample_rate=rate, channels=self._audio.channels, format="pcm") for rate in rates
        )
        return stream_in, stream_out

    def _endpoint(self) -> endpoint.Endpoint:
        return endpoint.resolve(
            self._config["model_id"], self._base_url, self._api_key, self._organization, self._project
        )

    # Connection

    async def start(
        self,
        system_prompt: str | None = None,
        tools: list[Any] | None = None,
        messages: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Connect, configure the session and tell it what was said before.

        Args:
            system_prompt: Instructions to the model.
            tools: The tools it may call.
            messages: What was said before.
            **kwargs: Ignored; for models that take more.

        Raises:
            RuntimeError: The model is started already.
            ConfigurationError: The server refused the configuration; the message and ``param`` say why.
            AuthenticationError: It refused the key.
            ConnectError: It cannot be reached.
            SessionTimeout: It said nothing for `silence_limit_s`.
        """
        del kwargs
        if self._connection is not None:
            raise RuntimeError("model already started | call stop before starting again")
        self._forget_calls()
        self._losses = self._connections = 0
        self._ended = self._audio_sent_at = self._change = self._left = None
        self._standing = asyncio.Event()
        self.latencies = Latencies()
        self._connection = await self._open(system_prompt, tools, messages)
        self._standing.set()

    async def _renew(self, system_prompt: str | None, tools: list[Any] | None, messages: Iterable[Any] | None) -> None:
        """Replace the connection by a new one that knows the conversation; the old one ends once the new one stands.

        What the user is saying is sent again. Raises RealtimeError when the new connection failed, and the old one is
        closed too, or when the model is stopped meanwhile.
        """
        old, stops = self._connection or self._left, self._stops
        try:
            new, attempts = await self._reopen(system_prompt, tools, messages)
        except BaseException:
            if self._stops == stops:
                await self.stop()
            raise
        replayed = await self._replay(old, new)
        if self._stops != stops:
            await new.session.stop()
            raise ConnectionClosed("the model was stopped while its connection was renewed", 1000)
        self._connection, self._left = new, None
        self._standing.set()
        self._change = self._changed(new, attempts, replayed)
        self.latencies.add(self._change)
        try:
            await new.session.send_item(
                {"type": "message", "role": "system", "content": [{"type": "input_text", "text": CONTINUE}]}
            )
        except RealtimeError as error:  # a nudge, without which the conversation goes on as well
            logger.warning("error=<%s> | the renewed session was not told to go on", error)
        if old is not None:
            await old.session.stop()

    async def _replay(self, old: Connection | None, new: Connection) -> int:
        """Let a new connection hear what the user has not yet finished to say; returns its samples."""
        if old is None or old.to_wire.wire != new.to_wire.wire or not (audio := old.session.unheard_audio()):
            return 0
        with contextlib.suppress(RealtimeError):  # whoever reads the connection finds out why
            await new.session.send_audio(audio)
        return len(audio) // (2 if new.to_wire.wire.encoding == "pcm" else 1)

    def _broken_off(self) -> list[dict[str, Any]]:
        """Return what was said of an answer that a renewal breaks off: the agent's history has it once it is whole."""
        old = self._connection or self._left
        if old is None:
            return []
        active = old.session.protocol.active_items
        return [
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": part.text} for part in item.content or ()],
            }
            for item in old.session.conversation()
            if item.id in active and item.type == "message"
        ]

    def _changed(self, new: Connection, attempts: int, replayed: int) -> Renewed | Reconnected:
        """Return how long the change of connections was felt."""
        now = asyncio.get_running_loop().time()
        ended, self._ended = self._ended, None
        kind = Renewed if ended is None else Reconnected
        return kind(
            generation=self._connections,
            attempts=attempts,
            reason="" if ended is None else ended[1],
            incoming_gap_s=0.0 if ended is None else now - ended[0],
            outgoing_gap_s=0.0 if self._audio_sent_at is None else now - self._audio_sent_at,
            replayed_samples=replayed,
            lost_samples=0,
            items=len(new.history),
        )

    async def stop(self) -> None:
        """End the connection, and one that is about to replace it; more calls do nothing."""
        self._stops += 1
        self._forget_calls()
        connection, self._connection = self._connection, None
        self._standing.set()  # nobody is to wait for another
        if connection is not None:
            await connection.session.stop()

    async def _reopen(
        self, system_prompt: str | None, tools: list[Any] | None, messages: Iterable[Any] | None
    ) -> tuple[Connection, int]:
        """Open a connection, again while the endpoint cannot be reached; returns the number of attempts, too."""
        for attempt, wait_s in enumerate(CONNECT_WAITS_S, 1):
            await asyncio.sleep(wait_s)
            try:
                return await self._open(system_prompt, tools, messages), attempt
            except ConnectError as error:
                if attempt == len(CONNECT_WAITS_S):
                    raise
                logger.info("error=<%s> | not renewed yet", error)
        raise AssertionError("CONNECT_WAITS_S is empty")

    async def _open(
        self, system_prompt: str | None, tools: list[Any] | None, messages: Iterable[Any] | None
    ) -> Connection:
        fields = self._config["params"] or {}
        session_config = options.session_config(
            self._audio, self._transcription, system_prompt, [function_tool(tool) for tool in tools or ()], fields
        )
        history = [*history_items(messages or (), self._pending_calls, self._heard), *self._broken_off()]
        wire_in, wire_out = self.wires
        stream_in, stream_out = self._streams
        session = connect(
            model=self._config["model_id"],
            api_key=self._api_key,
            base_url=self._base_url,
            organization=self._organization,
            project=self._project,
            wire_in=wire_in,
            wire_out=wire_out,
            config=session_config,
            configure_timeout_s=CONFIGURE_S if self.silence_limit_s is None else self.silence_limit_s,
            silent_peer="warn" if self.silence_limit_s is None else "raise",
            reconnect=RECONNECT,
        )
        translator = self._translator(
            FromWire(wire_out, stream_out["sample_rate"], stream_out["channels"]),
            transcription=session_config["audio"]["input"].get("transcription") is not None,
        )
        to_wire = ToWire(stream_in["sample_rate"], stream_in["channels"], wire_in)
        session.latencies = self.latencies
        connection = Connection(session, translator, to_wire, wire_out, history=history)
        connection.attach(self._playout, local_turns=self._local_turns)
        await session.start()
        try:
            for item in history:
                await session.send_item(item)
        except BaseException:
            await session.stop()
            raise
        self._connections += 1
        return connection

    # Conversation

    def _present(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("model not started | call start before sending")
        return self._connection

    async def _on_connection(self, act: Callable[[Connection], Awaitable[None]]) -> None:
        """Do something on the present connection; if that has ended, on the next one, once the agent has renewed it.

        Raises what `act` raises, and RuntimeError when there is no connection any more.
        """
        while True:
            connection = self._present()
            try:
                return await act(connection)
            except (ConnectionClosed, LocalProtocolError):
                if connection.session.is_running:
                    raise
                if connection is self._connection:
                    self._standing.clear()
                if not await self._renewed():
                    raise

    async def _renewed(self) -> bool:
        """Wait until the connection has been renewed, or the model stopped; False when neither comes."""
        try:
            async with asyncio.timeout(RENEWAL_S):
                return await self._standing.wait()
        except TimeoutError:
            return False

    async def _answer_call(self, connection: Connection, call_id: str, output: str) -> None:
        timer = self._pending_calls.pop(call_id, None)
        if timer is not None:
            timer.cancel()
        late = self._late_calls.pop(call_id, None)
        if late is not None:  # a call has one output only
            text = f"The result of {late}, which took longer than expected: {output}"
            content = [{"type": "input_text", "text": text}]
            await connection.session.send_item({"type": "message", "role": "system", "content": content}, respond=True)
            return
        # A call made before a renewal is known to the new session by the id its history gave it.
        known_as = call_id if call_id in connection.calls else call_id[:CALL_ID_LENGTH]
        if not connection.has_output(call_id):
            await connection.session.send_tool_result(known_as, output, respond=not self._pending_calls)
        elif not self._pending_calls:
            await connection.session.create_response()

    def _await_call(self, connection: Connection, call_id: str, name: str) -> None:
        """Note a call that the agent's tools are to answer, and see to it that the model does not wait for ever."""
        connection.calls.add(call_id)
        loop = asyncio.get_running_loop()
        self._pending_calls[call_id] = loop.call_later(TOOL_S, self._give_up, call_id, name)

    def _give_up(self, call_id: str, name: str) -> None:
        connection = self._connection
        if connection is None:
            return
        reason = f"{name} has not answered within {TOOL_S:g} s"
        logger.warning("tool_use_id=<%s> | %s: the model is told so", call_id, reason)
        if self.observer is not None:
            self.observer(ToolResult(call_id=call_id, name=name, output=reason, is_error=True, duration_s=TOOL_S))

        async def tell() -> None:
            with contextlib.suppress(RealtimeError):  # whoever reads the connection finds out why
                await self._answer_call(connection, call_id, tool_error(reason))
            self._late_calls[call_id] = name

        task = asyncio.create_task(tell(), name="tool given up")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _forget_calls(self) -> None:
        for timer in self._pending_calls.values():
            timer.cancel()
        self._pending_calls.clear()
        self._late_calls.clear()

    async def receive(self) -> AsyncGenerator[Any, None]:
        """Yield the events of the present connection until it ends.

        Raises:
            RuntimeError: The model is not started.
            ConnectionTimeoutError: The connection has reached its limit, or the server has ended it; the agent renews
                it. In older releases of Strands: BidiModelTimeoutError.
            RealtimeError: A lost connection could not be replaced, or a new one would meet the same.
        """
        connection = self._connection
        if connection is None:
            raise RuntimeError("model not started | call start before receiving")
        yield self._started(connection.id)
        if (change := self._change) is not None:
            self._change = None
            for output in self._take(connection, change):
                yield output
        timer = asyncio.get_running_loop().call_later(self.timeout_s, connection.expire)
        try:
            async for event in connection.session:
                if isinstance(event, Interrupted):
                    self._remember(event)
                if isinstance(event, ToolCall):
                    self._await_call(connection, event.call_id, event.name)
                outputs = self._take(connection, event)
                for output in outputs:
                    yield output
                connection.handed_over(event, outputs)
        except ConnectionClosed as error:
            if is_replaceable(error):  # and the session has not been able to
                raise
            end = error
        else:
            end = ConnectionClosed("the server ended the session", 1000)
        finally:
            timer.cancel()
        now = asyncio.get_running_loop().time()
        if connection.expired:
            self._ended = now, "the connection has reached its limit"
            raise self._timeout(f"timeout_s=<{self.timeout_s}> | the connection has reached its limit")
        if connection is self._connection:
            self._ended = now, str(end)
            self._end(connection, end)

    def _take(self, connection: Connection, event: Event) -> list[Any]:
        """Tell whoever observes of an event; returns what the agent's outputs get of it."""
        if self.observer is not None and not isinstance(event, AudioEvent):
            self.observer(event)
        self.telemetry.tell(event, self.latencies)
        return connection.translator.translate(event)

    async def _send_audio(self, connection: Connection, audio: bytes) -> None:
        """Send audio that is in the wire's format."""
        if audio:
            await connection.session.send_audio(audio)
            self._audio_sent_at = asyncio.get_running_loop().time()

    def _remember(self, cut: Interrupted) -> None:
        self._heard[cut.full] = cut.heard
        if len(self._heard) > CUTS:
            del self._heard[next(iter(self._heard))]

    def _end(self, connection: Connection, error: ConnectionClosed) -> NoReturn:
        """Have a connection renewed that the server has ended, unless it ends new ones as soon as they stand."""
        age = asyncio.get_running_loop().time() - connection.since
        self._losses = 1 if age > STABLE_S else self._losses + 1
        if self._losses > LOSSES:
            raise error
        raise self._timeout(f"connection ended: {error}") from error

    # For audio outputs and tools of ours

    def attach_playout(self, playout: Playout | None, *, local_turns: bool = False) -> None:
        """Let answers go from the socket straight into `playout`, in this connection and those that follow.

        It is flushed when the user speaks, and the model is told what was heard. The agent's outputs get the same
        audio as events. None detaches; what was heard is then assumed to be what the outputs had time to play.
        With `local_turns` the audio side that `playout` belongs to ends the user's turns.

        Raises:
            ValueError: With `local_turns`, unless ``turn_detection`` of the session is None.
        """
        if local_turns and not finds_no_turns(self._config["params"]):
            raise ValueError(
                "local_turns needs a server that does not look for turns: "
                "params={'audio': {'input': {'turn_detection': None}}}"
            )
        self._playout, self._local_turns = playout, local_turns
        if self._connection is not None:
            self._connection.attach(playout, local_turns=local_turns)

    async def say_goodbye(self, call_id: str, timeout_s: float) -> None:
        """Wait until the answer that called a tool is complete; if nothing was said in it, have a goodbye said.

        Args:
            call_id: The tool's call.
            timeout_s: Longest wait in seconds; then it returns.
        """
        connection = self._connection
        if connection is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await connection.answered()
                if connection.translator.spoke:
                    return
                await self._answer_call(connection, call_id, GOODBYE)
                await connection.answered(begun=False)
        except TimeoutError:
            logger.warning("no goodbye within %s s", timeout_s)


def follow(agent: Any) -> None:
    """Let a model of ours put its spans into those of the agent, which a model is not told."""
    if isinstance(agent.model, RealtimeModel):
        agent.model.telemetry.follow(agent)


def check_model_id(model_id: Any) -> None:
    """Raise ValueError for what is no model's name."""
    if not isinstance(model_id, str) or not model_id:
        raise ValueError(f"model_id must be a non-empty string, not {model_id!r}")


def _with(key: str, value: Any, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return `config` with the keyword's value, unless it is said there too."""
    if isinstance(config, dict) and config.get(key) is not None:
        raise ValueError(f"give {key} or {name}[{key!r}], not both")
    return {**config, key: value}
