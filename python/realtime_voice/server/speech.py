"""Ears and voice of a server: one worker process, restarted when it dies, ended with the server.

What waits for the worker is bounded: sentences by count, audio by bytes in the pipe.
"""

import asyncio
import contextlib
import itertools
import logging
import sys
from collections.abc import Sequence

import msgspec

from realtime_voice.server import messages
from realtime_voice.server.interfaces import Heard, Json, RecognitionError, Speech, SynthesisError

MAX_WAITING = 256
"""Turns and sentences the worker may owe an answer for."""
MAX_PIPE_BYTES = 64 * 1024 * 1024
"""Audio that may wait in the pipe; a turn that would exceed it fails."""
START_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 60.0
MAX_SENTENCE_CHARACTERS = 4000
"""Longest text spoken at once; the voice is shared by all clients."""
STOP_TIMEOUT_S = 0.5
"""Less than what `realtime serve` waits after Ctrl-C, so that a busy worker is killed before."""
RESTART_DELAY_S = 0.5

_log = logging.getLogger("realtime_voice.server")


class SpeechProcess:
    """The worker's host: a Recognizer and a Synthesizer in one. Use `start` and `stop`; belongs to one event loop."""

    def __init__(self, voice: str | None = None) -> None:
        """Prepare; `voice` is one of realtime_voice.server.voice.VOICES, None for the best that is installed."""
        self._voice = voice
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[messages.Reply]] = {}
        self._stopped = False
        self.voice_name = ""
        self.restarts = -1
        self.listening = 0
        """Turns begun and not ended."""

    async def start(self) -> None:
        """Start the worker (no-op while it runs). Raises RuntimeError with the reason when it cannot work."""
        async with self._starting:
            if self._alive or self._stopped:
                return
            arguments = [self._voice] if self._voice is not None else []
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "realtime_voice.server.worker", *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            self._process = process
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    ready = await self._read(process)
            except (TimeoutError, asyncio.IncompleteReadError, msgspec.DecodeError) as error:
                await self._end(process)
                raise RuntimeError("the speech worker did not start") from error
            if not isinstance(ready, messages.Ready) or ready.failure:
                await self._end(process)
                raise RuntimeError(getattr(ready, "failure", "the speech worker did not start"))
            self.voice_name = ready.voice
            self.restarts += 1
            self._reader = asyncio.create_task(self._receive(process))

    async def stop(self) -> None:
        """End the worker within STOP_TIMEOUT_S; whoever waits for it gets an error. Idempotent."""
        self._stopped = True
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.gather(self._restarting, return_exceptions=True)
        process, self._process = self._process, None
        if process is not None:
            await self._end(process)
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        self._fail_waiting()

    @property
    def load(self) -> int:
        """How much it has to do: turns it listens to and answers it owes."""
        return self.listening + len(self._waiting)

    def listen(self, tools: Sequence[Json]) -> "RemoteHearing":
        """Begin a turn."""
        return RemoteHearing(self, self.next_number(), tools)

    async def speak(self, text: str, *, rate: int, voice: str, speed: float) -> Speech:
        """Return `text` as PCM at `rate` Hz. Raises SynthesisError when the voice failed."""
        if len(text) > MAX_SENTENCE_CHARACTERS:
            raise SynthesisError(f"a sentence has at most {MAX_SENTENCE_CHARACTERS} characters: say it in several")
        try:
            await self.start()
            number = self.next_number()
            reply = await self.ask(number, messages.Speak(number, text, rate, voice, speed))
        except (RuntimeError, OSError, TimeoutError) as error:
            raise SynthesisError(str(error) or "the speech worker did not answer") from error
        if not isinstance(reply, messages.Spoken):
            raise SynthesisError(reply.message if isinstance(reply, messages.Failed) else "unexpected answer")
        if reply.unspoken:
            _log.warning("the %s cannot speak: %s", self.voice_name, " ".join(reply.unspoken))
        return Speech(reply.pcm, tuple(reply.unspoken))

    def next_number(self) -> int:
        """Return a fresh number for a turn or a request."""
        return next(self._numbers)

    def send(self, request: messages.Request) -> None:
        """Write one request. Raises RuntimeError when the worker is not there or too far behind."""
        process = self._process
        if process is None or process.stdin is None or process.stdin.is_closing() or not self._alive:
            raise RuntimeError("the speech worker is not running")
        if process.stdin.transport.get_write_buffer_size() > MAX_PIPE_BYTES:
            raise RuntimeError("the speech worker is too far behind")
        process.stdin.write(messages.frame(request))

    async def ask(self, number: int, request: messages.Request) -> messages.Reply:
        """Write a request and return its reply. Raises RuntimeError or TimeoutError."""
        if len(self._waiting) >= MAX_WAITING:
            raise RuntimeError("the speech worker has too much to do")
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self.send(request)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._waiting[number]
        finally:
            del self._waiting[number]

    @property
    def _alive(self) -> bool:
        return self._process is not None and self._process.returncode is None and self._reader is not None and not (
            self._reader.done()
        )  # fmt: skip

    async def _receive(self, process: asyncio.subprocess.Process) -> None:
        try:
            while True:
                reply = await self._read(process)
                if isinstance(reply, messages.Ready):
                    continue
                future = self._waiting.get(reply.number)
                if future is not None and not future.done():
                    future.set_result(reply)
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError):
            if not self._stopped:
                _log.warning("the speech worker ended unexpectedly; starting it again")
                self._restarting = asyncio.create_task(self._start_again())
        finally:
            self._fail_waiting()

    async def _start_again(self) -> None:
        await asyncio.sleep(RESTART_DELAY_S)
        with contextlib.suppress(RuntimeError, OSError):  # whoever speaks next tries again, and is told
            await self.start()

    async def _read(self, process: asyncio.subprocess.Process) -> messages.Reply:
        assert process.stdout is not None  # noqa: S101  # made with a pipe
        (size,) = messages.HEADER.unpack(await process.stdout.readexactly(messages.HEADER.size))
        reply: messages.Reply = messages.reply_decoder.decode(await process.stdout.readexactly(size))
        return reply

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _fail_waiting(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(RuntimeError("the speech worker ended"))


class RemoteHearing:
    """One turn being listened to by the worker (see interfaces.Hearing)."""

    def __init__(self, speech: SpeechProcess, number: int, tools: Sequence[Json]) -> None:
        self._speech = speech
        self._number = number
        self._failure: str | None = None
        self._open = True
        speech.listening += 1
        self._send(messages.Listen(number, [dict(tool) for tool in tools]))

    def accept(self, pcm: bytes) -> None:
        """Take the next audio (16 kHz); returns at once."""
        self._send(messages.Hear(self._number, pcm))

    async def partial(self) -> str:
        """Return what has been heard so far. Raises RecognitionError when the worker failed."""
        number = self._speech.next_number()
        return (await self._understood(number, messages.Peek(self._number, number))).text

    async def finish(self) -> Heard:
        """End the turn and return what was heard. Raises RecognitionError when the worker failed."""
        self._end()
        reply = await self._understood(self._number, messages.Finish(self._number))
        return Heard(reply.text, reply.rejected)

    async def _understood(self, number: int, request: messages.Request) -> messages.Understood:
        if self._failure is not None:
            raise RecognitionError(self._failure)
        try:
            reply = await self._speech.ask(number, request)
        except (RuntimeError, OSError, TimeoutError) as error:
            raise RecognitionError(str(error) or "the speech worker did not answer") from error
        if not isinstance(reply, messages.Understood):
            raise RecognitionError(reply.message if isinstance(reply, messages.Failed) else "unexpected answer")
        return reply

    def cancel(self) -> None:
        """Forget the turn."""
        self._end()
        self._send(messages.Cancel(self._number))

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._speech.listening -= 1

    def _send(self, request: messages.Request) -> None:
        if self._failure is None:
            try:
                self._speech.send(request)
            except RuntimeError as error:
                self._failure = str(error)
