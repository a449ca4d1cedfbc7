"""What every client of the comparison meets: the same audio, a sound card that is a function, a socket that is a list.

Nothing here runs inside a client but the few lines that a real socket or sound card would run too. Live, the socket is
a real one, and the sound card calls at real-time pace.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
import sys
import types
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

RATE = 24000
BLOCK_MS = 20
BLOCK = RATE * BLOCK_MS // 1000
SILENCE = bytes(2 * BLOCK)
APPEND = '"input_audio_buffer.append"'

SESSION = {
    "id": "sess_CCXGP9",
    "object": "realtime.session",
    "type": "realtime",
    "model": "gpt-realtime",
    "output_modalities": ["audio"],
    "instructions": "",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": RATE},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
                "idle_timeout_ms": None,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"format": {"type": "audio/pcm", "rate": RATE}, "voice": "marin", "speed": 1.0},
    },
    "include": None,
}
USAGE = {
    "total_tokens": 120,
    "input_tokens": 72,
    "output_tokens": 48,
    "input_token_details": {"text_tokens": 40, "audio_tokens": 32, "image_tokens": 0, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 8, "audio_tokens": 40},
}


class Socket:
    """A connection whose peer answers the configuration, counts the appends, and says what it is told to say."""

    def __init__(self) -> None:
        self.appended = 0
        """Bytes of append messages handed over."""
        self.listener: Callable[[str | bytes], bool] | None = None
        """Who takes messages as they arrive, and not by `recv`."""
        self._incoming: deque[str | bytes] = deque()
        self._arrived = asyncio.Event()
        self._sent: asyncio.Future[None] | None = None
        self.say({"type": "session.created", "event_id": "event_0", "session": SESSION})

    async def send(self, message: str | bytes, **_: object) -> None:
        self.take(message)

    def take(self, message: str | bytes) -> None:
        ends = message[:200] + message[-200:]  # some write the type last
        if isinstance(ends, bytes):
            ends = ends.decode()
        if APPEND in ends:
            self.appended += len(message)
            if self._sent is not None and not self._sent.done():
                self._sent.set_result(None)
        elif '"session.update"' in ends:
            self.say({"type": "session.updated", "event_id": "event_1", "session": SESSION})

    def next_append(self) -> asyncio.Future[None]:
        """What the next append message fulfils."""
        self._sent = asyncio.get_running_loop().create_future()
        return self._sent

    def say(self, event: dict[str, object]) -> None:
        self._incoming.append(json.dumps(event))
        self._arrived.set()

    def hand(self, messages: list[str | bytes]) -> None:
        for message in messages:
            if self._incoming or self.listener is None or not self.listener(message):
                self._incoming.append(message)
                self._arrived.set()

    async def recv(self, **_: object) -> str | bytes:
        while not self._incoming:
            self._arrived.clear()
            await self._arrived.wait()
        return self._incoming.popleft()

    def __aiter__(self) -> Socket:
        return self

    async def __anext__(self) -> str | bytes:
        return await self.recv()

    async def close(self, *_: object, **__: object) -> None:
        pass


class Stream:
    """A PyAudio stream: the comparison calls `callback` as PortAudio does, or takes what is written."""

    def __init__(self, **options: object) -> None:
        self.callback = options.get("stream_callback")
        self.is_input = bool(options.get("input"))
        self.written = 0

    def write(self, pcm: bytes, *_: object) -> None:
        self.written += len(pcm)

    def start_stream(self) -> None: ...
    def stop_stream(self) -> None: ...
    def close(self) -> None: ...


_streams: list[Stream] = []


def install_pyaudio() -> list[Stream]:
    """Put a sound card of ours in PyAudio's place; returns the streams that are opened from now on, as they are."""
    streams = _streams
    streams.clear()
    if "pyaudio" in sys.modules:
        return streams

    class PyAudio:
        def open(self, **options: object) -> Stream:
            streams.append(Stream(**options))
            return streams[-1]

        def get_format_from_width(self, width: int) -> int:
            return width

        def terminate(self) -> None: ...

    module = types.ModuleType("pyaudio")
    module.PyAudio, module.Stream = PyAudio, Stream
    module.paInt16, module.paContinue = 8, 0
    module.get_sample_size = lambda _format: 2
    sys.modules["pyaudio"] = module
    return streams


def blocks(seconds: int) -> list[bytes]:
    """The microphone's blocks: noise at -40 dB, each another."""
    rng = random.Random(seconds)
    return [
        b"".join(int(rng.gauss(0, 300)).to_bytes(2, "little", signed=True) for _ in range(BLOCK))
        for _ in range(seconds * 1000 // BLOCK_MS)
    ]


# A live conversation, over and over: the agent answers, then the user speaks.
CYCLE_S = 5.0
ANSWER_S = 2.4
SPEECH_AT_S, SPEECH_S = 2.8, 1.6


def conversation(speech: bytes) -> bytes:
    """What the microphone hears in one cycle: a sentence in its time, noise at -60 dB else."""
    noise = random.Random(0).choices(range(-50, 50), k=int(CYCLE_S * RATE))
    heard = bytearray(b"".join(sample.to_bytes(2, "little", signed=True) for sample in noise))
    begin, sentence = 2 * int(SPEECH_AT_S * RATE), speech[: 2 * int(SPEECH_S * RATE)]
    heard[begin : begin + len(sentence)] = sentence
    return bytes(heard)


async def microphone(heard: bytes, begin: float) -> AsyncIterator[bytes]:
    """Yield the blocks of `heard`, over and over, each in its time by the loop's clock; for ever."""
    now = asyncio.get_running_loop().time
    blocks = [heard[at : at + 2 * BLOCK] for at in range(0, len(heard), 2 * BLOCK)]
    for index, block in enumerate(itertools.cycle(blocks)):
        await asyncio.sleep(begin + index * BLOCK_MS / 1000 - now())
        yield block


def answer(number: int, seconds: int, delta_ms: int) -> list[str]:
    """The messages of one spoken answer, as OpenAI's server orders them."""
    audio = random.Random(number).randbytes(2 * RATE * seconds)
    return [json.dumps(event) for event in answer_events(number, audio, delta_ms)]


def answer_events(number: int, audio: bytes, delta_ms: int, words: Sequence[str] = ()) -> list[dict[str, object]]:
    """The events of one spoken answer; `number` makes its ids. Of the words each goes before 300 ms of audio."""
    response, item = f"resp_CCXGQ4e1ht4cOra{number:06}", f"item_CCXGQ22EVLZ1kUc{number:06}"
    where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
    body = {
        "object": "realtime.response",
        "id": response,
        "status": "in_progress",
        "status_details": None,
        "output": [],
        "conversation_id": "conv_CCXGP9",
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "usage": None,
        "metadata": None,
    }
    message = {"id": item, "object": "realtime.item", "type": "message", "role": "assistant", "content": []}
    transcript = "".join(words) or "Hello."
    said = {**message, "status": "completed", "content": [{"type": "output_audio", "transcript": transcript}]}
    done = {**body, "status": "completed", "output": [said], "usage": USAGE}
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": body},
        {"type": "response.output_item.added", **body_less(where), "item": {**message, "status": "in_progress"}},
        {"type": "conversation.item.added", "previous_item_id": None, "item": {**message, "status": "in_progress"}},
        {"type": "response.content_part.added", **where, "part": {"type": "audio", "transcript": ""}},
    ]
    step, told = 2 * RATE * delta_ms // 1000, 0
    for at in range(0, len(audio), step):
        while told < min(len(words), 1 + at // (2 * RATE * 300 // 1000)):
            events.append({"type": "response.output_audio_transcript.delta", **where, "delta": words[told]})
            told += 1
        delta = base64.b64encode(audio[at : at + step]).decode()
        events.append({"type": "response.output_audio.delta", **where, "delta": delta})
    events.append({"type": "response.output_audio.done", **where})
    if words:
        events.append({"type": "response.output_audio_transcript.done", **where, "transcript": transcript})
    events += [
        {"type": "response.content_part.done", **where, "part": {"type": "audio", "transcript": transcript}},
        {"type": "conversation.item.done", "previous_item_id": None, "item": said},
        {"type": "response.output_item.done", **body_less(where), "item": said},
        {"type": "response.done", "response": done},
    ]
    return [
        {"type": event["type"], "event_id": f"event_{number:06}{index:06}", **event}
        for index, event in enumerate(events)
    ]


def body_less(where: dict[str, object]) -> dict[str, object]:
    """Where an item is: as for its audio, less the parts of itself."""
    return {key: where[key] for key in ("response_id", "output_index")}


async def until(done: object, *, polls: int = 20000) -> None:
    """Look once a millisecond whether `done()`; raises TimeoutError when it never is."""
    for _ in range(polls):
        if done():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError("the client did not do what it should")
