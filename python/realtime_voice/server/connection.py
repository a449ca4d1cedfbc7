"""One client at the server: its socket, its ServerProtocol, and the tasks that listen and fill responses.

Independent of the web library: a Socket is anything that sends text.
"""

import asyncio
import contextlib
import logging
from typing import Protocol

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
from realtime_voice.server.response import Response
from realtime_voice.server.wire import WIRE_RATES, bytes_per_ms, from_pcm

DELTA_MS = 100
"""Audio in one delta: far below any client's frame limit."""
FIRST_DELTAS = 2
"""Deltas sent at once, before pacing begins, so that a player has something to start on."""
MAX_UNSENT = 512
"""Events that may wait for a slow client; beyond it nothing is read or produced."""

_log = logging.getLogger("realtime_voice.server")


class Socket(Protocol):
    """Where events go."""

    async def send_text(self, text: str) -> None:
        """Send one text message; waits while the client is slow."""


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
        pace: float,
    ) -> None:
        self._session = session
        self._socket = socket
        self._brain = brain
        self._recognizer = recognizer
        self._synthesizer = synthesizer
        self._pace = pace
        self._unsent: list[events.ServerEvent] = []
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._hearings: dict[str, Hearing] = {}
        self._understanding: dict[str, asyncio.Task[None]] = {}
        self._considering: set[asyncio.Task[None]] = set()
        self._responding: dict[str, asyncio.Task[None]] = {}
        self._writer = asyncio.create_task(self._write())
        self.progress()

    async def received(self, message: str) -> None:
        """Take one text message; waits while the client does not read what it is sent."""
        self._session.receive(message)
        self.progress()
        await self._room()

    async def received_binary(self) -> None:
        """Take a binary message."""
        self._session.receive_binary()
        self.progress()
        await self._room()

    async def expire(self) -> None:
        """Tell the client that the session is over, and wait until it has been told."""
        self._session.expire()
        self.progress()
        await self.drained()

    async def drained(self) -> None:
        """Wait until every event has been sent."""
        while self._unsent and not self._writer.done():
            self._drained.clear()
            await self._drained.wait()

    async def close(self) -> None:
        """End all tasks. Idempotent."""
        tasks = [*self._responding.values(), *self._understanding.values(), *self._considering, self._writer]
        for hearing in self._hearings.values():
            hearing.cancel()
        self._hearings.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def progress(self) -> None:
        """Do what the session asks for and pass its events to the writer."""
        for action in self._session.actions():
            self._do(action)
        if waiting := self._session.take():
            self._unsent += waiting
            self._wake.set()

    # --- sending ---

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._unsent:
                    event = self._unsent[0]
                    await self._socket.send_text(events.encode(event).decode())
                    del self._unsent[0]
                self._drained.set()
        except (ConnectionError, RuntimeError) as error:  # the client is gone; the reader notices and closes
            _log.debug("cannot send: %s", error)
        finally:
            self._drained.set()

    async def _room(self) -> None:
        if len(self._unsent) > MAX_UNSENT:
            await self.drained()

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
        pacer = Pacer(self._pace)
        async with contextlib.aclosing(self._brain.respond(_context(response))) as steps:
            async for step in steps:
                match step:
                    case Say(text):
                        await self._say(response, text, pacer)
                    case Call(name, arguments):
                        response.call(name, arguments)
                    case Wait(seconds):
                        await asyncio.sleep(seconds)
                    case Fail(code, message):
                        return code, message
                self.progress()
                await self._room()
                if not response.active or response.exhausted:
                    break
        return None

    async def _all_heard(self, context: list[Entry]) -> None:
        """Wait until the user's turns in `context` are understood."""
        ids = {entry.item.id for entry in context}
        waiting = [task for item_id, task in self._understanding.items() if item_id in ids]
        if waiting:
            await asyncio.wait(waiting)

    async def _say(self, response: Response, text: str, pacer: "Pacer") -> None:
        if response.modality == "text":
            response.say(text)
            return
        output = response.settings["audio"]["output"]
        rate = WIRE_RATES[response.wire_format]
        voice = output["voice"] if isinstance(output["voice"], str) else output["voice"]["id"]
        speech = await self._synthesizer.speak(text, rate=rate, voice=voice, speed=output["speed"] or 1.0)
        response.say(text)
        audio = from_pcm(speech.pcm, response.wire_format)
        size = DELTA_MS * bytes_per_ms(response.wire_format)
        for at in range(0, len(audio), size):
            await pacer.wait()
            response.audio(audio[at : at + size])
            pacer.sent(len(audio[at : at + size]) * DELTA_MS / size / 1000)
            self.progress()
            await self._room()
            if not response.active or response.exhausted:
                return


class Pacer:
    """Holds audio back so that it leaves at `pace` times real time; 0 does not hold back."""

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._start: float | None = None
        self._sent_s = 0.0

    async def wait(self) -> None:
        """Wait until more audio may leave."""
        if not self._pace:
            await asyncio.sleep(0)
            return
        now = asyncio.get_running_loop().time()
        if self._start is None:
            self._start = now
        ahead_s = self._sent_s - FIRST_DELTAS * DELTA_MS / 1000
        await asyncio.sleep(max(0.0, self._start + ahead_s / self._pace - now))

    def sent(self, seconds: float) -> None:
        """Count audio that has left."""
        self._sent_s += seconds


def _context(response: Response) -> Context:
    settings = response.settings
    return Context(
        items=[_with_transcript(entry) for entry in response.context],
        tools=settings["tools"] or [],
        tool_choice=settings["tool_choice"],
        instructions=settings["instructions"] or "",
        modality=response.modality,
    )


def _with_transcript(entry: Entry) -> Item:
    """Return the item with what was heard of the user, whether or not the client asked for transcripts."""
    item = shown(entry.item)
    for part in item.content or []:
        if part.type == "input_audio" and (part.transcript is None or part.transcript is msgspec.UNSET):
            part.transcript = entry.heard or ""
    return item
