"""One client at the server: its socket, its ServerProtocol, and the tasks that listen and fill responses.

Independent of the web library: a Socket is anything that sends text.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from realtime_voice import events
from realtime_voice.events import Item
from realtime_voice.server import protocol
from realtime_voice.server.conversation import Entry, shown
from realtime_voice.server.interfaces import (
    Brain,
    Call,
    Context,
    Fail,
    Hearing,
    RecognitionError,
    Recognizer,
    Say,
    SynthesisError,
    Synthesizer,
    Wait,
)
from realtime_voice.server.mcp import (
    McpFailure,
    McpOutput,
    McpServers,
    McpTool,
    as_calls,
    as_functions,
    find,
    needs_approval,
)
from realtime_voice.server.pacing import Pacer, Schedule
from realtime_voice.server.response import Response
from realtime_voice.server.wire import WIRE_RATES, bytes_per_ms, from_pcm

DELTA_MS = 100
"""Audio in one delta: far below any client's frame limit."""
USER_VOICE = "echo"
"""Voice of a user who is made to say something."""
STALLED_S = 0.02
"""How long audio waits before it is tried again with a client that does not read."""

_log = logging.getLogger("realtime_voice.server")


class Socket(Protocol):
    """Where events go."""

    @property
    def full(self) -> bool:
        """Whether so much waits for a slow client that nothing more should be produced."""

    def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send text messages, each an event's name and its JSON; never waits. No-op when the client has gone."""

    async def room(self) -> None:
        """Wait while `full`."""


class Around:
    """A Socket around another, for those that do something else when they send."""

    def __init__(self, socket: Socket) -> None:
        self.inner = socket

    @property
    def full(self) -> bool:
        """Whether the inner socket is."""
        return self.inner.full

    async def room(self) -> None:
        """Wait for the inner socket."""
        await self.inner.room()


class Connection:
    """Runs one session over one socket. All in one event loop."""

    def __init__(
        self,
        session: protocol.ServerProtocol,
        socket: Socket,
        *,
        brain: Brain,
        recognizer: Recognizer,
        synthesizer: Synthesizer,
        pacer: Pacer,
        pace: float,
        delta_ms: int = DELTA_MS,
    ) -> None:
        self._session = session
        self._socket = socket
        self._brain = brain
        self._recognizer = recognizer
        self._synthesizer = synthesizer
        self._pacer = pacer
        self._pace = pace
        self.delta_ms = delta_ms
        self._hearings: dict[str, Hearing] = {}
        self._understanding: dict[str, asyncio.Task[None]] = {}
        self._considering: set[asyncio.Task[None]] = set()
        self._responding: dict[str, asyncio.Task[None]] = {}
        self.progress()

    async def received(self, message: str) -> None:
        """Take one text message; waits while the client does not read what it is sent."""
        self._session.receive(message)
        self.progress()
        if self._socket.full:
            await self._socket.room()

    async def received_binary(self) -> None:
        """Take a binary message."""
        self._session.receive_binary()
        self.progress()
        if self._socket.full:
            await self._socket.room()

    @property
    def busy(self) -> bool:
        """Whether a response is in progress, or a turn is being understood."""
        return bool(self._responding or self._understanding)

    async def say(self, text: str) -> None:
        """Have the user say something (see ServerProtocol.say)."""
        wire_format = self._session.configuration.input["format"]["type"]
        try:
            rate = WIRE_RATES[wire_format]
            pcm = (await self._synthesizer.speak(text, rate=rate, voice=USER_VOICE, speed=1.0)).pcm
        except SynthesisError as error:
            _log.warning("%s", error)
            pcm = b""
        self._session.say(text, from_pcm(pcm, wire_format))
        self.progress()

    async def close(self) -> None:
        """End all tasks. Idempotent."""
        tasks = [*self._responding.values(), *self._understanding.values(), *self._considering]
        for hearing in self._hearings.values():
            hearing.cancel()
        self._hearings.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def progress(self) -> None:
        """Do what the session asks for and send its events."""
        for action in self._session.actions():
            self._do(action)
        if waiting := self._session.take():
            self._socket.send([(event.type, events.encode(event)) for event in waiting])

    # --- ears ---

    def _do(self, action: protocol.Action) -> None:
        match action:
            case protocol.Listen(item_id, tools):
                self._hearings[item_id] = self._recognizer.listen(tools)
            case protocol.Hear(item_id, pcm):
                self._hearings[item_id].accept(pcm)
            case protocol.Consider(item_id):
                self._keep(asyncio.create_task(self._consider(item_id, self._hearings[item_id])))
            case protocol.Forget(item_id):
                self._hearings.pop(item_id).cancel()
            case protocol.Understand(item_id):
                task = asyncio.create_task(self._understand(item_id, self._hearings.pop(item_id)))
                self._understanding[item_id] = task
            case protocol.Host(item_id, tool, arguments):
                self._keep(asyncio.create_task(self._host(item_id, tool, arguments)))
            case protocol.Respond(response):
                self._responding[response.id] = asyncio.create_task(self._respond(response))
            case protocol.Abandon(response):
                if (task_ := self._responding.get(response.id)) is not None:
                    task_.cancel()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._considering.add(task)
        task.add_done_callback(self._considering.discard)

    async def _consider(self, item_id: str, hearing: Hearing) -> None:
        try:
            text = await hearing.partial()
        except RecognitionError as error:  # the turn ends by silence alone
            _log.warning("%s", error)
        else:
            self._session.considered(item_id, text)
            self.progress()

    async def _understand(self, item_id: str, hearing: Hearing) -> None:
        try:
            self._session.heard(item_id, await hearing.finish())
        except RecognitionError as error:
            _log.warning("%s", error)
            self._session.heard(item_id, None, str(error))
        finally:
            del self._understanding[item_id]
        self.progress()

    # --- hosted MCP tools ---

    async def _host(self, item_id: str, tool: McpTool, arguments: Mapping[str, Any]) -> None:
        self._session.hosted(item_id, await _run(tool, arguments))
        self.progress()

    async def _call(self, response: Response, name: str, arguments: Mapping[str, Any]) -> None:
        hosted = find(name, response.settings["tools"] or [], self._session.mcp)
        if hosted is None:
            response.call(name, arguments)
            return
        config, tool = hosted
        label = str(config["server_label"])
        if needs_approval(config, name):
            response.ask_approval(label, name, arguments)
            return
        response.begin_hosted(label, name, arguments)
        self.progress()
        response.end_hosted(await _run(tool, arguments))

    # --- mind and voice ---

    async def _respond(self, response: Response) -> None:
        failure: tuple[str, str] | None = None
        try:
            failure = await self._fill(response)
        except SynthesisError as error:
            _log.warning("%s", error)
            failure = "server_error", str(error)
        except Exception:  # noqa: BLE001  # whatever a brain raises ends its response, not the session
            _log.exception("the brain failed")
            failure = "server_error", "The server had an error while processing your request."
        finally:
            self._responding.pop(response.id, None)
        self._session.finished(response, failure)
        self.progress()

    async def _fill(self, response: Response) -> tuple[str, str] | None:
        await self._all_heard(response.context)
        schedule = Schedule(self._pace) if self._pace else None
        async with contextlib.aclosing(self._brain.respond(_context(response, self._session.mcp))) as steps:
            async for step in steps:
                match step:
                    case Say(text):
                        await self._say(response, text, schedule)
                    case Call(name, arguments):
                        await self._call(response, name, arguments)
                    case Wait(seconds):
                        await asyncio.sleep(seconds)
                    case Fail(code, message):
                        return code, message
                self.progress()
                await self._socket.room()
                if not response.active or response.exhausted:
                    break
        return None

    async def _all_heard(self, context: list[Entry]) -> None:
        """Wait until the user's turns in `context` are understood."""
        ids = {entry.item.id for entry in context}
        waiting = [task for item_id, task in self._understanding.items() if item_id in ids]
        if waiting:
            await asyncio.wait(waiting)

    async def _say(self, response: Response, text: str, schedule: Schedule | None) -> None:
        if response.modality == "text":
            response.say(text)
            return
        output = response.settings["audio"]["output"]
        rate = WIRE_RATES[response.wire_format]
        voice = output["voice"] if isinstance(output["voice"], str) else output["voice"]["id"]
        speech = await self._synthesizer.speak(text, rate=rate, voice=voice, speed=output["speed"] or 1.0)
        response.say(text)
        audio = from_pcm(speech.pcm, response.wire_format)
        if schedule is not None:
            await self._send_paced(response, audio, schedule)
            return
        size = self.delta_ms * bytes_per_ms(response.wire_format)
        for at in range(0, len(audio), size):
            response.audio(audio[at : at + size])
            self.progress()
            await asyncio.sleep(0)
            await self._socket.room()
            if not response.active or response.exhausted:
                return

    async def _send_paced(self, response: Response, audio: bytes, schedule: Schedule) -> None:
        sentence = _Sentence(response, audio, schedule, self)
        self._pacer.add(sentence, schedule.begin(asyncio.get_running_loop().time()))
        try:
            await sentence.sent
        finally:
            sentence.cancel()

    def give(self, response: Response, audio: bytes) -> bool:
        """Send the next audio of a response; return False when the client does not keep up and it must wait."""
        if self._socket.full:
            return False
        response.audio(audio)
        self.progress()
        return True


class _Sentence:
    """A spoken sentence on its way to the client (see pacing.Stream)."""

    def __init__(self, response: Response, audio: bytes, schedule: Schedule, connection: Connection) -> None:
        self._response = response
        self._audio = memoryview(audio)
        self._schedule = schedule
        self._connection = connection
        self._bytes_per_s = 1000 * bytes_per_ms(response.wire_format)
        self._size = connection.delta_ms * bytes_per_ms(response.wire_format)
        self.sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def cancel(self) -> None:
        """Send nothing more."""
        self._audio = self._audio[:0]

    def advance(self) -> float | None:
        try:
            return self._advance()
        except Exception as error:  # noqa: BLE001  # it ends this response, not the clock of all the others
            self.sent.set_exception(error)
            return None

    def _advance(self) -> float | None:
        piece = self._audio[: self._size]
        if not piece or not self._response.active or self._response.exhausted:
            if not self.sent.done():
                self.sent.set_result(None)
            return None
        if not self._connection.give(self._response, bytes(piece)):
            return self._schedule.stalled(STALLED_S)
        self._audio = self._audio[self._size :]
        return self._schedule.sent(len(piece) / self._bytes_per_s)


async def _run(tool: McpTool, arguments: Mapping[str, Any]) -> McpOutput:
    """Return what a scripted MCP tool gives; what it raises is its failure."""
    await asyncio.sleep(tool.delay_s)
    try:
        output = tool.output(arguments) if callable(tool.output) else tool.output
        return await output if inspect.isawaitable(output) else output
    except Exception as error:  # noqa: BLE001  # whatever a tool raises is told to the client, not to the session
        return McpFailure(f"{type(error).__name__}: {error}")


def _context(response: Response, servers: McpServers) -> Context:
    settings = response.settings
    return Context(
        items=[item for entry in response.context for item in as_calls(_with_transcript(entry))],
        tools=as_functions(settings["tools"] or [], servers),
        tool_choice=settings["tool_choice"],
        instructions=settings["instructions"] or "",
        modality=response.modality,
    )


def _with_transcript(entry: Entry) -> Item:
    """Return the item with what was heard of the user, whether or not the client asked for transcripts."""
    item, heard = shown(entry.item), entry.heard or ""
    for part in item.content or []:
        if part.type == "input_audio":
            if part.transcript is None or part.transcript is msgspec.UNSET:
                part.transcript = heard
            heard = ""  # it is of all the parts, and stands at the first
    return item
