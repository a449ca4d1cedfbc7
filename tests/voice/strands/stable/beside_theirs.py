"""The same scene with Strands' own classes and with ours: what fails there, and what happens here.

``python -m tests.voice.strands.stable.beside_theirs`` prints both beside each other, with the installed release of
Strands. Everything talks to a scripted peer on the loopback interface.
"""

from __future__ import annotations

import array
import asyncio
import base64
import contextlib
import inspect
import os
import socket
import sys
import types
import wave
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from unittest import mock

from realtime_voice.audio import PushAudioIO
from realtime_voice.errors import ConfigurationError
from realtime_voice.events import ConversationItemInputAudioTranscriptionFailed
from realtime_voice.strands import BidiAgent, BidiAudioIO, BidiOpenAIRealtimeModel, BidiSessionEvent
from strands import tool
from strands.bidi.models import OpenAIRealtimeModel
from strands.bidi.types import AudioDelta, BidiTranscriptStartEvent

from tests.voice.strands.conftest import Peer, scripted_peer

if TYPE_CHECKING:
    from collections.abc import Callable

realtime: Final[Any] = sys.modules[OpenAIRealtimeModel.__module__]
SENTENCE: Final = Path(__file__).parents[3] / "data" / "speech_slt.wav"
PATIENCE_S: Final = 20
CLOSE_TIMEOUT_S: Final = 0.3
"""In place of the 10 s that websockets waits for an answer to CLOSE unless told otherwise."""
RATE: Final = 24000
ANSWER_MS: Final = 2000
HEARD_MS: Final = 500
KEY: Final = "sk-none"


@dataclass
class Outcome:
    """How a scene ended."""

    right: bool
    seen: str
    """In a few words."""


def loud_ms(pcm: bytes) -> int:
    """How long something sounded, to 10 ms."""
    hops = range(0, len(pcm), RATE // 100 * 2)
    return 10 * sum(any(array.array("h", pcm[at : at + RATE // 100 * 2])) for at in hops)


class Speaker(ABC):
    """The audio I/O of one side on a device that stands still unless it is listened to."""

    io: Any

    @abstractmethod
    def received_ms(self) -> int:
        """How much of the answer waits to be played."""

    @abstractmethod
    def listen(self, ms: int) -> bytes:
        """Let the device run for so long; returns what was to be heard."""


class TheirSpeaker(Speaker):
    """Strands' `AudioIO` on a PyAudio whose callback is called by hand."""

    def __init__(self) -> None:
        streams: list[dict[str, Any]] = []

        class PyAudio:
            def open(self, **options: Any) -> mock.Mock:
                streams.append(options)
                return mock.Mock()

            def terminate(self) -> None: ...

        fake: Any = types.ModuleType("pyaudio")
        fake.PyAudio, fake.Stream, fake.paInt16, fake.paContinue = PyAudio, object, 8, 0
        fake.get_sample_size = lambda _format: 2
        sys.modules.setdefault("pyaudio", fake)
        from strands.bidi.io import audio

        audio.pyaudio = fake
        self._streams = streams
        self.io = audio.AudioIO(console=mock.Mock(output=mock.AsyncMock))
        self._output = self.io.output()
        self.io.output = lambda: self._output

    def received_ms(self) -> int:
        return sum(map(len, self._output._buffer._buffer.queue)) * 1000 // (2 * RATE)

    def listen(self, ms: int) -> bytes:
        (callback,) = (stream["stream_callback"] for stream in self._streams if stream.get("output"))
        return b"".join(callback(None, RATE // 100, None, 0)[0] for _ in range(ms // 10))


class OurSpeaker(Speaker):
    """Our `BidiAudioIO` on an audio side that is pulled by hand."""

    def __init__(self) -> None:
        self._audio = PushAudioIO(rate=RATE)
        self.io = BidiAudioIO(audio=self._audio)

    def received_ms(self) -> int:
        return self._audio.playout.received_ms("item")

    def listen(self, ms: int) -> bytes:
        return b"".join(self._audio.pull(RATE // 100) for _ in range(ms // 10))


class Side:
    """Whose classes hold the scene."""

    def __init__(self, name: str, model: Callable[..., Any], speaker: Callable[[], Speaker]) -> None:
        self.name = name
        self.model = model
        self.speaker = speaker

    def __repr__(self) -> str:
        return self.name


def _their_model(**options: Any) -> Any:
    return OpenAIRealtimeModel(
        **{"model_id": "gpt-realtime", "transcription_model_id": "gpt-4o-transcribe", "api_key": KEY, **options}
    )


def _our_model(**options: Any) -> Any:
    return BidiOpenAIRealtimeModel(**{"model_id": "gpt-realtime", "api_key": KEY, **options})


THEIRS: Final = Side("theirs", _their_model, TheirSpeaker)
OURS: Final = Side("ours", _our_model, OurSpeaker)


@contextlib.contextmanager
def reached(peer: Peer) -> Any:
    """Let both sides' default endpoint be the peer, which for theirs is a constant."""
    with (
        mock.patch.object(realtime, "OPENAI_REALTIME_URL", peer.url),
        mock.patch.dict(os.environ, {"OPENAI_REALTIME_URL": peer.url}),
    ):
        yield


class Talk:
    """A running agent with its speaker; an output that keeps what it gets."""

    def __init__(self, side: Side, peer: Peer, tools: list[Any] | None = None) -> None:
        self.peer = peer
        self.speaker = side.speaker()
        self.agent = BidiAgent(model=side.model(), tools=tools)
        self.events: list[Any] = []
        self._reached = reached(peer)

    async def __aenter__(self) -> Self:
        self._reached.__enter__()
        io = self.speaker.io
        outputs: Any = [io.output(), self._keep]
        self.run = asyncio.create_task(self.agent.run(inputs=[io.input()], outputs=outputs))
        await self.peer.connected(1)
        await self.until(lambda: bool(self.events))  # the outputs, too, have been started
        return self

    async def __aexit__(self, *_: object) -> None:
        self.run.cancel()
        await asyncio.wait([self.run])
        self._reached.__exit__(None, None, None)

    async def _keep(self, event: Any) -> None:
        self.events.append(event)

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until it is so, or the agent has ended."""
        async with asyncio.timeout(PATIENCE_S):
            while not met() and not self.run.done():  # noqa: ASYNC110 - Strands' queues set no event
                await asyncio.sleep(0.005)

    def error(self) -> BaseException | None:
        """What ended the agent."""
        error: BaseException | None = self.run.exception() if self.run.done() else None
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return error


async def _interrupted(side: Side, peer: Peer) -> tuple[int, list[dict[str, Any]]]:
    """Speak while a whole answer waits to be played; returns how much of it still sounds, and the truncates."""
    where = {"response_id": "response", "item_id": "item", "output_index": 0, "content_index": 0}
    item = {"id": "item", "type": "message", "role": "assistant", "status": "completed", "content": []}
    response = {"id": "response", "object": "realtime.response", "status": "completed", "output": [item]}
    async with Talk(side, peer) as talk:
        pcm = base64.b64encode(b"\x00\x10" * (RATE * ANSWER_MS // 2000)).decode()
        await peer.say(
            {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
            {"type": "response.output_item.added", "response_id": "response", "output_index": 0, "item": item},
            {"type": "conversation.item.added", "item": item, "previous_item_id": None},
            {"type": "response.output_audio.delta", **where, "delta": pcm},
            {"type": "response.output_audio.delta", **where, "delta": pcm},
            {"type": "response.output_audio.done", **where},
            {"type": "response.done", "response": response},
        )
        await talk.until(lambda: talk.speaker.received_ms() == ANSWER_MS)
        assert loud_ms(talk.speaker.listen(HEARD_MS)) == HEARD_MS
        await peer.say({"type": "input_audio_buffer.speech_started", "item_id": "user", "audio_start_ms": 0})
        await talk.until(lambda: any(isinstance(event, BidiTranscriptStartEvent) for event in talk.events))
        await talk.agent.send("a message behind all that")
        await peer.got("conversation.item.create")
        truncates = [event for event in peer.received[-1] if event["type"] == "conversation.item.truncate"]
        return loud_ms(talk.speaker.listen(ANSWER_MS)), truncates


async def interruption(side: Side, peer: Peer) -> Outcome:
    """The user speaks while an answer that is complete on the wire still plays."""
    ms, _ = await _interrupted(side, peer)
    return Outcome(ms <= 20, f"{ms} ms still played" if ms > 20 else f"silent after {ms} ms")


async def truncation(side: Side, peer: Peer) -> Outcome:
    """The server is told what was heard."""
    _, truncates = await _interrupted(side, peer)
    ends = [truncate["audio_end_ms"] for truncate in truncates]
    return Outcome(ends == [HEARD_MS], f"truncated at {ends[0]} of {ANSWER_MS} ms" if ends else "no truncate")


async def refused_configuration(side: Side, peer: Peer) -> Outcome:
    """The server refuses the voice."""
    peer.refusal = {"message": "Invalid value: 'nobody'.", "param": "session.audio.output.voice"}
    with reached(peer):
        model = side.model(voice="nobody")
        try:
            await model.start()
        except ConfigurationError as error:
            return Outcome(error.param == "session.audio.output.voice", f"start() raises: {error}")
        await model.stop()
        return Outcome(right=False, seen="start() returns")


async def renewal(side: Side, peer: Peer) -> Outcome:
    """The connection is renewed, and the server does not answer CLOSE."""
    arguments: list[dict[str, Any]] = []
    connect = realtime.websockets.connect

    def brief(*given: Any, **options: Any) -> Any:
        arguments.append(options)
        return connect(*given, **{"close_timeout": CLOSE_TIMEOUT_S, **options})

    still_open: list[bool] = []

    def configured(event: dict[str, Any]) -> list[dict[str, Any]]:
        if event["type"] == "session.update" and len(peer.sockets) == 2:
            still_open.append(not _is_closing(peer.sockets[0]))
        return []

    peer.on_event = configured
    with reached(peer), mock.patch.object(realtime.websockets, "connect", brief):
        model = side.model()
        await model.start()
        await peer.connected(1)
        peer.sockets[0].transport.pause_reading()
        begun = asyncio.get_running_loop().time()
        await model.restart()
        lasted_s = asyncio.get_running_loop().time() - begun
        await peer.connected(2)
        await model.stop()
        peer.sockets[0].transport.abort()
    if still_open == [True]:
        return Outcome(right=True, seen="the old connection is open until the new one stands")
    assert not any("close_timeout" in options for options in arguments)
    default_s = inspect.signature(connect).parameters["close_timeout"].default
    assert lasted_s > 0.9 * CLOSE_TIMEOUT_S
    return Outcome(right=False, seen=f"no connection for {default_s} s (here shortened: {lasted_s:.1f} s)")


def _is_closing(connection: Any) -> bool:
    """Whether a connection that is not read has been told to close: its CLOSE waits in the kernel, or its end."""
    waiting = socket.socket(fileno=os.dup(connection.transport.get_extra_info("socket").fileno()))
    with waiting:
        try:
            data = waiting.recv(1 << 20, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
    return not data or b"\x88\x82" in data  # the end, or a masked CLOSE with a code


async def network_loss(side: Side, peer: Peer) -> Outcome:
    """The connection breaks in the middle of the conversation."""
    async with Talk(side, peer) as talk:
        peer.sockets[0].transport.abort()
        await talk.until(lambda: len(peer.sockets) == 2 and bool(peer.received[1]))
        if (error := talk.error()) is not None:
            return Outcome(right=False, seen=f"the agent ends: {type(error).__name__}")
        await talk.agent.send("Still there?")
        await peer.got("conversation.item.create")
        return Outcome(right=True, seen="a new connection, the conversation goes on")


async def failed_transcription(side: Side, peer: Peer) -> Outcome:
    """What the user said could not be written down."""
    kind = "conversation.item.input_audio_transcription.failed"
    async with Talk(side, peer) as talk:
        error = {"type": "transcription_error", "message": "The audio could not be decoded."}
        await peer.say({"type": kind, "item_id": "user", "content_index": 0, "error": error})
        await talk.until(
            lambda: any(
                isinstance(event.event, ConversationItemInputAudioTranscriptionFailed)
                for event in talk.events
                if isinstance(event, BidiSessionEvent)
            )
        )
        if (ended := talk.error()) is not None:
            return Outcome(right=False, seen=f"the agent ends: {type(ended).__name__}")
        await talk.agent.send("Still there?")
        await peer.got("conversation.item.create")
        return Outcome(right=True, seen="an event, the conversation goes on")


async def image_of_a_tool(side: Side, peer: Peer) -> Outcome:
    """A tool returns an image."""

    @tool
    def photograph() -> dict[str, Any]:
        """Take a photograph."""
        image = {"image": {"format": "png", "source": {"bytes": b"image"}}}
        return {"status": "success", "content": [image]}

    called = {"type": "function_call", "id": "item", "call_id": "call", "name": "photograph", "arguments": "{}"}
    response = {"id": "response", "object": "realtime.response", "status": "completed", "output": []}
    async with Talk(side, peer, [photograph]) as talk:
        await peer.say(
            {"type": "response.created", "response": {**response, "status": "in_progress"}},
            {
                "type": "response.output_item.done",
                "response_id": "response",
                "output_index": 0,
                "item": {**called, "status": "completed"},
            },
            {"type": "response.done", "response": response},
        )
        await talk.until(lambda: any(event["type"] == "response.create" for event in peer.received[0]))
        if (ended := talk.error()) is not None:
            return Outcome(right=False, seen=f"the agent ends: {type(ended).__name__}")
        shown, output = [event["item"] for event in await peer.got("conversation.item.create", 2)]
        right = shown["content"][-1]["type"] == "input_image" and output["type"] == "function_call_output"
        return Outcome(right, "the model sees it, and answers")


async def _destination(side: Side, peer: Peer, environment: dict[str, str]) -> tuple[str, Any]:
    """Start a model in an environment; returns the URL it asked for and the headers that arrived."""
    asked: list[str] = []

    def refuse(url: str, **_: Any) -> Any:
        asked.append(url)
        raise ConnectionRefusedError(url)

    options = {} if "OPENAI_API_KEY" in environment or side is OURS else {"api_key": KEY}
    with mock.patch.dict(os.environ, environment), mock.patch.object(realtime.websockets, "connect", refuse):
        model = side.model(**{"api_key": None, **options})
        try:
            await model.start()
        except ConnectionRefusedError:
            return asked[0], None
        await model.stop()
    return peer.paths[0], peer.headers[0]


async def base_url(side: Side, peer: Peer) -> Outcome:
    """OPENAI_BASE_URL names another endpoint."""
    http = peer.url.replace("ws:", "http:").removesuffix("/realtime")
    url, headers = await _destination(side, peer, {"OPENAI_BASE_URL": http, "OPENAI_API_KEY": KEY})
    return Outcome(headers is not None, "goes there" if headers is not None else f"goes to {url.partition('?')[0]}")


async def azure(side: Side, peer: Peer) -> Outcome:
    """AZURE_OPENAI_ENDPOINT and its key are set, and no key of OpenAI's."""
    http = peer.url.replace("ws:", "http:").removesuffix("/v1/realtime")
    environment = {"AZURE_OPENAI_ENDPOINT": http, "AZURE_OPENAI_API_KEY": "azure-key"}
    url, headers = await _destination(side, peer, environment)
    if headers is None:
        return Outcome(right=False, seen=f"goes to {url.partition('?')[0]}")
    right = headers.get("api-key") == "azure-key" and url.startswith("/openai/")
    return Outcome(right, f"goes to {url.partition('?')[0]} with the header api-key")


async def ephemeral_keys(side: Side, peer: Peer) -> Outcome:
    """Each connection has a key of its own, that a function fetches."""
    keys = iter(("ek_1", "ek_2"))

    async def fetch() -> str:
        return next(keys)

    with reached(peer):
        model = side.model(api_key=fetch)
        await model.start()
        await peer.connected(1)
        await model.restart()
        await peer.connected(2)
        await model.stop()
    sent = [headers["Authorization"].removeprefix("Bearer ") for headers in peer.headers]
    right = sent == ["ek_1", "ek_2"]
    return Outcome(right, "asked at every connection" if right else f"sends {sent[0].partition(' at ')[0]}...")


async def push_to_talk(side: Side, peer: Peer) -> Outcome:
    """The server does not look for turns; a key says when the user speaks."""
    with reached(peer):
        model = side.model(params={"audio": {"input": {"turn_detection": None}}})
        try:
            await model.start()
        except ValueError as error:
            return Outcome(right=False, seen=f"start() raises: {error}")
        await model.session.press()
        await model.send(AudioDelta(format="pcm", source={"bytes": bytes(2 * RATE)}))
        await model.session.release()
        await peer.got("response.create")
        await model.stop()
    sent = [event["type"] for event in peer.received[0][1:]]
    said = [f"input_audio_buffer.{what}" for what in ("clear", "append", "commit")]
    return Outcome(sent == [*said, "response.create"], "clear, append, commit, response.create")


async def local_turns(side: Side, peer: Peer) -> Outcome:
    """The server does not look for turns; the microphone's speech detector does."""
    with reached(peer):
        model = side.model(params={"audio": {"input": {"turn_detection": None}}})
        agent = BidiAgent(model=model)
        microphone = PushAudioIO(rate=16000, mode="gated")
        io = BidiAudioIO(audio=microphone, local_turns=side is OURS)
        run = asyncio.create_task(agent.run(inputs=[io.input()], outputs=[io.output()]))  # type: ignore[list-item]
        async with asyncio.timeout(PATIENCE_S):
            while not microphone._running and not run.done():  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.005)
        if run.done():
            return Outcome(right=False, seen=f"start() raises: {run.exception()}")
        with wave.open(str(SENTENCE)) as file:
            microphone.push(file.readframes(file.getnframes()) + bytes(2 * 16000))
        await peer.got("response.create")
        run.cancel()
        await asyncio.wait({run})
    kinds = [event["type"] for event in peer.received[0][1:]]
    seconds = sum(len(base64.b64decode(event.get("audio", ""))) for event in peer.received[0]) / 48000
    right = kinds[-2:] == ["input_audio_buffer.commit", "response.create"] and 1.0 < seconds < 2.3
    return Outcome(right, f"{seconds:.1f} s of speech, commit, response.create")


async def telephone(side: Side, peer: Peer) -> Outcome:
    """The wire has G.711."""
    mu_law = {"format": {"type": "audio/pcmu"}}
    with reached(peer):
        try:
            model = side.model(params={"audio": {"input": mu_law, "output": mu_law}})
        except ValueError as error:
            return Outcome(right=False, seen=f"refused: {error}")
        await model.start()
        rate = model.get_audio_config()["input"]["sample_rate"]
        await model.send(AudioDelta(format="pcm", source={"bytes": bytes(2 * rate)}))
        (append,) = await peer.got("input_audio_buffer.append")
        await model.stop()
    right = base64.b64decode(append["audio"]) == b"\xff" * 8000
    return Outcome(right, "one second of silence is 8000 bytes of mu-law")


SCENES: Final = (
    interruption,
    truncation,
    refused_configuration,
    renewal,
    network_loss,
    failed_transcription,
    image_of_a_tool,
    base_url,
    azure,
    ephemeral_keys,
    push_to_talk,
    local_turns,
    telephone,
)


async def main() -> None:
    """Print the table."""
    rows = [f"| | Strands' own ({version('strands-agents')}) | here |", "| --- | --- | --- |"]
    for scene in SCENES:
        cells = []
        for side in (THEIRS, OURS):
            async with scripted_peer() as peer:
                outcome = await scene(side, peer)
                cells.append(f"{'' if outcome.right else '**'}{outcome.seen}{'' if outcome.right else '**'}")
        rows.append(f"| {(scene.__doc__ or '').rstrip('.')} | {' | '.join(cells)} |")
    sys.stdout.write("\n".join([*rows, ""]))


if __name__ == "__main__":
    asyncio.run(main())
