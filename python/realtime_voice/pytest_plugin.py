"""pytest plugin: test a voice agent against the local Realtime server, without a key, a network or a sound card.

    @pytest.mark.realtime_server(brain=Scripted([Rule(says="weather", do=[Call("get_weather", {"city": "Oslo"})])]))
    async def test_weather(realtime_server):
        agent = asyncio.create_task(run_my_agent())     # finds the server by OPENAI_REALTIME_URL and its like
        await realtime_server.say("how is the weather")
        call = await realtime_server.expect_tool("get_weather", city="Oslo")
        spoken = await realtime_server.expect_spoken("sunny")

The server runs in a thread of its own, so a test may be plain or a coroutine: what is expected is awaited, or waited
for with `.wait()`. The marker takes the options of RealtimeServer. It needs the extra `local`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence

    from realtime_voice.server import RealtimeServer
    from realtime_voice.server.speech import SpeechProcess

T = TypeVar("T")
PATIENCE_S: Final = 20.0
"""Longest wait for what is expected, unless the test says otherwise."""
CONFIGURED_S: Final = 1.0
"""How long a session may take to be configured before the user speaks."""
POLL_S: Final = 0.01
PACE: Final = 10.0
"""How many times faster than real time answers come."""
KEY: Final = "local"
ENVIRONMENT: Final = ("OPENAI_REALTIME_URL", "OPENAI_BASE_URL", "OPENAI_API_KEY")


@dataclass(frozen=True)
class CalledTool:
    """A function call that the agent has answered."""

    name: str
    arguments: dict[str, Any]
    output: str
    """What the agent gave back, as it is on the wire."""


@dataclass(frozen=True)
class Spoken:
    """One message of the agent, spoken or written."""

    text: str
    audio: bytes = field(repr=False)
    """Its audio: PCM16 mono, 24 kHz (in the session's output format where that is G.711)."""
    status: str
    """"completed", or "incomplete" when it was interrupted."""


class Expectation(Generic[T]):
    """Something that will happen: await it in a coroutine, `wait` for it in a plain test."""

    def __init__(self, future: Future[T], words: str) -> None:
        self._future = future
        self.words = words
        self.asked = False

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for it in a coroutine."""
        self.asked = True
        return asyncio.wrap_future(self._future).__await__()

    def wait(self) -> T:
        """Wait for it in a plain test; in a coroutine this would hold up the agent. Raises AssertionError."""
        self.asked = True
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            raise AssertionError(f"await {self.words}: wait() would hold up this event loop")
        return self._future.result()

    def cancel(self) -> None:
        """Expect it no longer."""
        self._future.cancel()


class RealtimeTestServer:
    """The server of one test. What is expected is looked for in order: each match begins behind the one before."""

    def __init__(self, server: RealtimeServer, host: _Host, log: _Log) -> None:
        self.server = server
        self._host = host
        self._log = log
        self._expectations: list[Expectation[Any]] = []
        self._calls = 0
        self._messages = 0

    @property
    def url(self) -> str:
        """WebSocket URL; also in OPENAI_REALTIME_URL."""
        return self.server.url

    @property
    def base_url(self) -> str:
        """HTTP base URL; also in OPENAI_BASE_URL."""
        return self.server.base_url

    @property
    def api_key(self) -> str:
        """Key that clients must show; also in OPENAI_API_KEY."""
        return KEY

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What was sent so far: ("client" or "server", event), without audio."""
        return list(self._log.events)

    @property
    def sent_audio(self) -> bytes:
        """All audio of the agent so far (see Spoken.audio)."""
        return bytes(self._log.sent)

    @property
    def received_audio(self) -> bytes:
        """All audio of the user so far, in the session's input format."""
        return bytes(self._log.received)

    def say(self, text: str, *, timeout: float = PATIENCE_S) -> Expectation[None]:
        """Have the user say something: a turn as any other, understood word for word.

        Waits for a session that has been configured. The audio of the turn is synthesized; to have the agent's own
        microphone path tested, play `speech` to it instead.
        """
        return self._expect(self._say(text, timeout), f"say({text!r})")

    def speech(self, text: str, rate: int = 24_000) -> bytes:
        """Return a sentence spoken, as PCM16 mono: what the agent's microphone may be given. Blocks for a moment."""
        return self._host.run(self._host.speak(text, rate)).result(PATIENCE_S)

    def expect_tool(self, name: str, *, timeout: float = PATIENCE_S, **arguments: Any) -> Expectation[CalledTool]:
        """Expect the function `name` to be called with these arguments (others may come on top) and to be answered."""

        def fits(call: CalledTool) -> bool:
            return call.name == name and all(
                key in call.arguments and call.arguments[key] == value for key, value in arguments.items()
            )

        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        words = f"a call of {name}({given})"
        return self._expect(self._find("_calls", self._log.calls, fits, words, timeout), words)

    def expect_spoken(self, text: str | re.Pattern[str], *, timeout: float = PATIENCE_S) -> Expectation[Spoken]:
        """Expect the agent to say `text` in a message: words, whatever their case; numbers fit their words."""
        from realtime_voice.server.assistant import normalized

        def fits(spoken: Spoken) -> bool:
            if isinstance(text, re.Pattern):
                return text.search(spoken.text) is not None
            return f" {normalized(text)} " in f" {normalized(spoken.text)} "

        words = f"{text!r} to be spoken"
        return self._expect(self._find("_messages", self._log.messages, fits, words, timeout), words)

    def close(self) -> list[str]:
        """Expect nothing any more; return what was expected and never waited for."""
        for expectation in self._expectations:
            expectation.cancel()
        return [expectation.words for expectation in self._expectations if not expectation.asked]

    def _expect(self, what: Coroutine[Any, Any, T], words: str) -> Expectation[T]:
        expectation = Expectation(self._host.run(what), words)
        self._expectations.append(expectation)
        return expectation

    async def _say(self, text: str, patience_s: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + patience_s
        while not self._log.sessions:
            if loop.time() > end:
                raise AssertionError(f"nobody connected within {patience_s:g} s: the user cannot say {text!r}")
            await asyncio.sleep(POLL_S)
        configured_by = min(end, loop.time() + CONFIGURED_S)
        while not self._log.configured and loop.time() < configured_by:  # noqa: ASYNC110  # two conditions, polled
            await asyncio.sleep(POLL_S)
        await self.server.say(text)

    async def _find(
        self, cursor: str, entries: Sequence[T], fits: Callable[[T], bool], words: str, patience_s: float
    ) -> T:
        loop = asyncio.get_running_loop()
        end = loop.time() + patience_s
        begin: int = getattr(self, cursor)
        at = begin
        while True:
            while at < len(entries):
                entry = entries[at]
                at += 1
                if fits(entry):
                    setattr(self, cursor, at)
                    return entry
            if loop.time() > end:
                so_far = "".join(f"\n  {entry}" for entry in entries[begin:]) or " nothing of the kind"
                raise AssertionError(f"expected {words} within {patience_s:g} s; there was{so_far}")
            await asyncio.sleep(POLL_S)


class _Log:
    """What was said, called and answered (see recording.Watcher). Lives in the server's thread."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.calls: list[CalledTool] = []
        self.messages: list[Spoken] = []
        self.sent = bytearray()
        self.received = bytearray()
        self.sessions = 0
        self.configured = False
        self._audio: dict[str, bytearray] = {}
        self._called: dict[str, tuple[str, str]] = {}

    def client(self, _session: int, message: str | bytes) -> None:
        with contextlib.suppress(ValueError, TypeError):  # a wrong event is the server's to answer
            event = json.loads(message)
            if not isinstance(event, dict):
                return
            if event.get("type") == "input_audio_buffer.append":
                self.received += base64.b64decode(event.get("audio") or "")
                return
            self.events.append(("client", event))
            item = event.get("item")
            if isinstance(item, dict) and item.get("type") == "function_call_output":
                self._answered(item)

    def server(self, _session: int, message: str | bytes) -> None:
        event = json.loads(message)
        kind = event["type"]
        if kind == "response.output_audio.delta":
            audio = base64.b64decode(event["delta"])
            self.sent += audio
            self._audio.setdefault(event["item_id"], bytearray()).extend(audio)
            return
        self.events.append(("server", event))
        if kind == "session.created":
            self.sessions += 1
            self.configured = False
        elif kind == "session.updated":
            self.configured = True
        elif kind == "response.output_item.done":
            self._item(event["item"])

    def _item(self, item: dict[str, Any]) -> None:
        if item["type"] == "function_call":
            self._called[item["call_id"]] = item["name"], item["arguments"]
        elif item["type"] == "message":
            text = "".join(part.get("transcript") or part.get("text") or "" for part in item["content"])
            self.messages.append(Spoken(text, bytes(self._audio.pop(item["id"], b"")), item["status"]))

    def _answered(self, item: dict[str, Any]) -> None:
        called = self._called.pop(str(item.get("call_id")), None)
        if called is not None:
            self.calls.append(CalledTool(called[0], json.loads(called[1]), str(item.get("output"))))


class _Host:
    """The thread the servers of all tests run in, with one speech worker for all of them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="realtime-server", daemon=True)
        self._thread.start()
        self._speech: SpeechProcess | None = None

    def run(self, what: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the thread."""
        return asyncio.run_coroutine_threadsafe(what, self._loop)

    def speech(self) -> SpeechProcess:
        """Return ears and voice, started at their first use."""
        if self._speech is None:
            from realtime_voice.server.speech import SpeechProcess

            self._speech = SpeechProcess()
            self.run(self._speech.start()).result(60)
        return self._speech

    async def speak(self, text: str, rate: int) -> bytes:
        speech = self._speech
        assert speech is not None  # noqa: S101  # started with the server
        return (await speech.speak(text, rate=rate, voice="echo", speed=1.0)).pcm

    def close(self) -> None:
        """End worker and thread."""
        if self._speech is not None:
            with contextlib.suppress(FutureTimeoutError):
                self.run(self._speech.stop()).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line("markers", "realtime_server(**options): options of the RealtimeServer behind the fixture")


@pytest.fixture(scope="session")
def _realtime_host() -> Iterator[_Host]:
    host = _Host()
    yield host
    host.close()


@pytest.fixture
def realtime_server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _realtime_host: _Host
) -> Iterator[RealtimeTestServer]:
    """Run a local Realtime server for the test; agents find it by the environment variables of OpenAI's clients."""
    from realtime_voice.server import RealtimeServer

    log = _Log()
    marker = request.node.get_closest_marker("realtime_server")
    options: dict[str, Any] = {"pace": PACE, "api_key": KEY, "watchers": [log], **(marker.kwargs if marker else {})}
    if "replay" not in options and "upstream" not in options:
        speech = _realtime_host.speech()
        options = {"recognizer": speech, "synthesizer": speech, **options}
    server = RealtimeServer(**options)
    _realtime_host.run(server.start()).result(PATIENCE_S)
    for name, value in zip(ENVIRONMENT, (server.url, server.base_url, KEY), strict=True):
        monkeypatch.setenv(name, value)
    test = RealtimeTestServer(server, _realtime_host, log)
    try:
        yield test
    finally:
        forgotten = test.close()
        _realtime_host.run(server.stop()).result(PATIENCE_S)
    if forgotten:
        pytest.fail(f"never waited for: {', '.join(forgotten)} (await it, or call .wait())")
