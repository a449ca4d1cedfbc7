"""What one client or one long turn may take: turns, sentences, audio that waits."""

import logging
import signal
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from realtime_voice.server import SynthesisError, messages, turns, worker
from realtime_voice.server.assistant import MAX_RESULT, MAX_SENTENCE, result_text, shortened
from realtime_voice.server.speech import SpeechProcess
from realtime_voice.server.voice import WordBankVoice
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import InvalidMessage


class _AlwaysSpeech:
    def process(self, pcm: bytes, /) -> list[float]:
        return [1.0] * (len(pcm) // 320)


def test_turn_without_a_pause_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_TURN_MS", 2_000)
    buffer = turns.InputBuffer(_AlwaysSpeech)
    buffer.configure("audio/pcm", {"type": "server_vad", "silence_duration_ms": 500, "prefix_padding_ms": 0})
    stopped = []
    for happening in buffer.append(bytes(48 * 5_000)):
        if isinstance(happening, turns.Stopped):
            stopped.append(happening.ms)
            buffer.commit()
    assert stopped == [2_000, 4_000]


async def test_long_sentences_are_cut_and_the_voice_refuses_what_is_longer() -> None:
    sentence = shortened("word " * 1000)
    assert len(sentence) <= MAX_SENTENCE
    assert sentence.endswith("word, and so on.")
    assert shortened("Hello.") == "Hello."
    assert len(result_text("7" * 1_000_000)) <= MAX_RESULT
    assert result_text("[" * 50_000)
    with pytest.raises(SynthesisError, match="several"):
        await SpeechProcess("words").speak("x" * 5000, rate=16_000, voice="alloy", speed=1.0)


def test_audio_that_waits_for_the_worker_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MAX_WAITING_BYTES", 64_000)
    replies: list[messages.Reply] = []
    serving = worker.SpeechWorker(replies.append, WordBankVoice())
    serving.handle(messages.Listen(1, []))
    serving.handle(messages.Listen(2, []))
    serving.handle(messages.Hear(1, bytes(32_000)))
    serving.handle(messages.Hear(2, bytes(48_000)))
    serving.handle(messages.Peek(2, 3))
    serving.handle(messages.Finish(2))
    serving.handle(messages.Finish(1))
    while serving.work():
        pass
    answers = {reply.number: type(reply) for reply in replies if not isinstance(reply, messages.Ready)}
    assert answers == {1: messages.Understood, 2: messages.Failed, 3: messages.Failed}


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no signal that stops a process")
async def test_worker_that_does_not_listen_is_killed() -> None:
    speech = SpeechProcess("words")
    await speech.start()
    process = speech._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    await speech.stop()
    assert process.returncode == -signal.SIGKILL


class _Counting(_AlwaysSpeech):
    def __init__(self) -> None:
        self.bytes = 0

    def process(self, pcm: bytes, /) -> list[float]:
        self.bytes += len(pcm)
        return super().process(pcm)


def test_nobody_listens_for_speech_without_turn_detection() -> None:
    detectors: list[_Counting] = []

    def make() -> _Counting:
        detectors.append(_Counting())
        return detectors[-1]

    buffer = turns.InputBuffer(make)
    buffer.configure("audio/pcm", None)
    assert [type(happening) for happening in buffer.append(bytes(48 * 205))] == [turns.Spoken]
    assert not any(detector.bytes for detector in detectors)
    buffer.configure("audio/pcm", {"type": "server_vad", "silence_duration_ms": 500, "prefix_padding_ms": 0})
    started = [happening for happening in buffer.append(bytes(48 * 100)) if isinstance(happening, turns.Started)]
    assert [happening.ms for happening in started] == [205], "the clock goes on while nobody listens"
    assert detectors[-1].bytes


async def test_a_client_that_leaves_during_the_handshake_is_no_error(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prepare = web.WebSocketResponse.prepare

    async def reset_and_prepare(socket: web.WebSocketResponse, request: web.BaseRequest) -> object:
        assert request.transport is not None
        request.transport.abort()
        return await prepare(socket, request)

    monkeypatch.setattr(web.WebSocketResponse, "prepare", reset_and_prepare)
    caplog.set_level(logging.DEBUG, "realtime_voice.server")
    async with start() as server:
        with pytest.raises((InvalidMessage, ConnectionError)):
            await websocket_connect(f"{server.url}?model=m", proxy=None)
    assert "a client left during the handshake" in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
