"""The speech worker: ears and voice in a process of their own (`python -m realtime_voice.server.worker`).

It talks through its standard input and output in `messages`; everything else that would go to standard output goes to
standard error. It ends when its input does.
"""

import contextlib
import ctypes
import os
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from realtime_core.resample import Resampler
from realtime_voice.server.ears import Ears
from realtime_voice.server.messages import (
    HEADER,
    MAX_MESSAGE_BYTES,
    Cancel,
    Failed,
    Finish,
    Listen,
    Peek,
    Ready,
    Reply,
    Request,
    Speak,
    Spoken,
    Understood,
    frame,
    request_decoder,
)
from realtime_voice.server.voice import Voice, find_voice

MAX_EARS = 8
"""Turns decoded at once; further ones wait with their audio."""
MAX_REQUESTS = 64
"""Requests taken from the pipe ahead of the work."""
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Audio of all turns not decoded yet; a turn that would exceed it fails."""
PCM_SLICE = 3200
"""Bytes decoded before the next request is looked at: 100 ms."""


class _Turn:
    """A turn in the worker: its audio until ears are free, then its ears."""

    def __init__(self, tools: Sequence[dict[str, Any]]) -> None:
        self.tools = tools
        self.waiting: deque[bytes | Peek] = deque()
        self.ears: Ears | None = None
        self.complete = False
        self.failure: str | None = None


class SpeechWorker:
    """Serves requests one slice at a time: sentences first, because someone waits for them, then audio in turns.

    Raises ImportError when there are no ears.
    """

    def __init__(self, send: Callable[[Reply], None], voice: Voice) -> None:
        self._send = send
        self._voice = voice
        self._turns: dict[int, _Turn] = {}
        self._free = [Ears()]
        self._made = 1

    def handle(self, request: Request) -> None:
        """Take one request."""
        if isinstance(request, Speak):
            self._speak(request)
        elif isinstance(request, Listen):
            self._turns[request.turn] = _Turn(request.tools)
        elif (turn := self._turns.get(request.turn)) is None:
            return
        elif isinstance(request, Cancel):
            self._release(request.turn)
        elif isinstance(request, Finish):
            turn.complete = True
        elif turn.failure is not None:
            if isinstance(request, Peek):
                self._send(Failed(request.request, turn.failure))
        elif isinstance(request, Peek):
            turn.waiting.append(request)
        elif self._waiting_bytes() + len(request.pcm) > MAX_WAITING_BYTES:
            self._fail(turn, "recognition failed: too much audio is waiting")
        else:
            turn.waiting.extend(request.pcm[at : at + PCM_SLICE] for at in range(0, len(request.pcm), PCM_SLICE))

    def work(self) -> bool:
        """Decode one slice of every turn; return whether anything is left to do."""
        busy = False
        for number, turn in list(self._turns.items()):
            try:
                busy = self._advance(number, turn) or busy
            except (RuntimeError, ValueError) as error:
                self._fail(turn, f"recognition failed: {error}")
                busy = True
        return busy

    def _advance(self, number: int, turn: _Turn) -> bool:
        if turn.failure is not None:
            if turn.complete:  # told when it is asked for: before, nobody waits for it
                self._release(number)
                self._send(Failed(number, turn.failure))
            return False
        if turn.ears is None:
            if (ears := self._take_ears()) is None:
                return True
            turn.ears = ears.start(turn.tools)
        if turn.waiting:
            following = turn.waiting.popleft()
            if isinstance(following, Peek):
                self._send(Understood(following.request, turn.ears.partial(), rejected=False))
            else:
                turn.ears.accept(following)
            return True
        if turn.complete:
            ears, turn.ears = turn.ears, None
            self._free.append(ears)
            heard = ears.finish()
            del self._turns[number]
            self._send(Understood(number, heard.text, heard.rejected))
        return False

    def _take_ears(self) -> Ears | None:
        if self._free:
            return self._free.pop()
        if self._made < MAX_EARS:
            self._made += 1
            return Ears()
        return None

    def _waiting_bytes(self) -> int:
        return PCM_SLICE * sum(len(turn.waiting) for turn in self._turns.values())

    def _fail(self, turn: _Turn, reason: str) -> None:
        """Forget the turn's audio; who asks for it is told why."""
        turn.failure = reason
        for waiting in turn.waiting:
            if isinstance(waiting, Peek):
                self._send(Failed(waiting.request, reason))
        turn.waiting.clear()
        self._free_ears(turn)

    def _release(self, number: int) -> None:
        self._free_ears(self._turns.pop(number))

    def _free_ears(self, turn: _Turn) -> None:
        if turn.ears is not None:
            with contextlib.suppress(RuntimeError):
                turn.ears.cancel()
            self._free.append(turn.ears)
            turn.ears = None

    def _speak(self, request: Speak) -> None:
        try:
            speech = self._voice.speak(request.text, request.voice, request.speed)
            pcm = resampled(speech.pcm, self._voice.rate, request.rate)
        except (OSError, ValueError, RuntimeError) as error:
            self._send(Failed(request.request, f"synthesis failed: {error}"))
        else:
            self._send(Spoken(request.request, pcm, list(speech.unspoken)))


def resampled(pcm: bytes, rate_in: int, rate_out: int) -> bytes:
    """Return a whole PCM16 mono recording at another rate."""
    if rate_in == rate_out or not pcm:
        return pcm
    resampler = Resampler(rate_in, rate_out, "best")
    result = resampler.process(pcm) + resampler.flush()
    return result[2 * round(resampler.delay_out) :]


def _read_requests(source: BinaryIO, requests: "queue.Queue[Request | None]") -> None:
    while (header := source.read(HEADER.size)) and len(header) == HEADER.size:
        (size,) = HEADER.unpack(header)
        if size > MAX_MESSAGE_BYTES or len(body := source.read(size)) < size:
            break
        requests.put(request_decoder.decode(body))
    requests.put(None)


def _end_with_parent() -> None:
    """Have the kernel end this process with its parent (Linux), however busy it is; elsewhere its input's end does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def main(voice_name: str | None = None) -> None:
    """Serve requests from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's; it closes our input
    _end_with_parent()
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(reply: Reply) -> None:
        replies.write(frame(reply))
        replies.flush()

    try:
        voice = find_voice(voice_name)
        worker = SpeechWorker(send, voice)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        send(Ready("", str(error)))
        return
    send(Ready(voice.name, None))
    requests: queue.Queue[Request | None] = queue.Queue(MAX_REQUESTS)
    threading.Thread(target=_read_requests, args=(sys.stdin.buffer, requests), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        _serve(worker, requests)


def _serve(worker: SpeechWorker, requests: "queue.Queue[Request | None]") -> None:
    busy = False
    while True:
        pending: list[Request | None] = []
        with contextlib.suppress(queue.Empty):
            pending.append(requests.get(block=not busy))
            while len(pending) < MAX_REQUESTS:  # else a fast writer would keep us from the work
                pending.append(requests.get_nowait())
        pending.sort(key=lambda request: not isinstance(request, Speak))
        for request in pending:
            if request is None:
                return
            worker.handle(request)
        busy = worker.work()


if __name__ == "__main__":
    main(*sys.argv[1:])
