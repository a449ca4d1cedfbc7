"""A server with scripted ears, voice and mind, a strict client for it, and a checker of event sequences."""

import asyncio
import base64
import contextlib
import json
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import pydantic
import pytest
import websockets
from openai.types.realtime import RealtimeServerEvent
from realtime_voice.server import Call, Context, Heard, RealtimeServer, RecognitionError, Say, Speech, serve

RATE = 24_000
BYTES_PER_MS = 48
MS_PER_WORD = 100
WIRE_EXTRAS = {"session.id", "session.object", "session.expires_at"}
SERVER_EVENTS = pydantic.TypeAdapter(RealtimeServerEvent)


def silence(ms: int) -> bytes:
    return bytes(BYTES_PER_MS * ms)


def speech(ms: int) -> bytes:
    return array("h", ([8000] * 12 + [-8000] * 12) * ms).tobytes()


class LoudnessDetector:
    """Speech is whatever is loud."""

    def __init__(self) -> None:
        self._rest = b""

    def process(self, pcm: bytes, /) -> list[float]:
        data = self._rest + pcm
        hops = [data[at : at + 320] for at in range(0, len(data) - 319, 320)]
        self._rest = data[320 * len(hops) :]
        return [1.0 if max(map(abs, array("h", hop))) > 4000 else 0.0 for hop in hops]


class ScriptedEars:
    """Hears the next of `texts`; an exception is raised instead. Keeps what it was given."""

    def __init__(self) -> None:
        self.texts: list[str | Exception] = []
        self.partials: list[str] = []
        self.turns: list[bytearray] = []
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def listen(self, tools: Sequence[Any]) -> "ScriptedHearing":
        self.turns.append(bytearray())
        return ScriptedHearing(self, self.turns[-1])


class ScriptedHearing:
    def __init__(self, ears: ScriptedEars, turn: bytearray) -> None:
        self._ears = ears
        self._turn = turn

    def accept(self, pcm: bytes) -> None:
        self._turn += pcm

    async def partial(self) -> str:
        return self._ears.partials.pop(0)

    async def finish(self) -> Heard:
        await self._ears.gate.wait()
        text = self._ears.texts.pop(0) if self._ears.texts else "hello"
        if isinstance(text, Exception):
            raise text
        return Heard(text)

    def cancel(self) -> None:
        self._ears.cancelled += 1


class ToneVoice:
    """A tenth of a second of the same sample for each word."""

    def __init__(self) -> None:
        self.spoken: list[tuple[str, str, float]] = []

    async def speak(self, text: str, *, rate: int, voice: str, speed: float) -> Speech:
        self.spoken.append((text, voice, speed))
        return Speech(array("h", [1000] * (rate * MS_PER_WORD // 1000 * len(text.split()))).tobytes())


class ScriptedMind:
    """Yields the next of `answers`; repeats what it heard when there is none. Keeps the contexts it was given."""

    def __init__(self) -> None:
        self.answers: list[list[Any]] = []
        self.contexts: list[Context] = []

    async def respond(self, context: Context) -> AsyncGenerator[Any]:
        self.contexts.append(context)
        heard = [part.transcript or part.text for item in context.items for part in item.content or []]
        for step in self.answers.pop(0) if self.answers else [Say(f"I heard {heard[-1]}" if heard else "Hello")]:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step


class SequenceChecker:
    """Asserts what must hold of every session's events: order, ids, sums of deltas, one done for each added."""

    def __init__(self) -> None:
        self.event_ids: set[str] = set()
        self.first = True
        self.items: list[str] = []
        self.items_open: set[str] = set()
        self.responses: dict[str, dict[str, Any]] = {}
        self.finished: set[str] = set()
        self.speaking: str | None = None
        self.committed: str | None = None

    def feed(self, event: dict[str, Any]) -> None:
        name = event["type"]
        assert event["event_id"] not in self.event_ids
        self.event_ids.add(event["event_id"])
        assert (name == "session.created") == self.first or name == "error"
        self.first = self.first and name == "error"
        if name.startswith(("response.mcp_call.", "mcp_list_tools.")):
            assert event["item_id"] in self.items_open
        elif name.startswith("response."):
            self._response(name, event)
        elif name.startswith(("conversation.item.added", "conversation.item.done")):
            self._item(name, event)
        elif name == "conversation.item.deleted":
            self.items.remove(event["item_id"])
        elif name == "input_audio_buffer.speech_started":
            assert self.speaking is None
            self.speaking = event["item_id"]
        elif name == "input_audio_buffer.speech_stopped":
            assert event["item_id"] == self.speaking
        elif name == "input_audio_buffer.committed":
            assert self.speaking in (None, event["item_id"])
            assert event["previous_item_id"] == (self.items[-1] if self.items else None)
            self.speaking, self.committed = None, event["item_id"]

    def _item(self, name: str, event: dict[str, Any]) -> None:
        item_id, previous = event["item"]["id"], event["previous_item_id"]
        if name.endswith("added"):
            assert item_id not in self.items
            at = self.items.index(previous) + 1 if previous is not None else 0
            self.items.insert(at, item_id)
            self.items_open.add(item_id)
            assert self.committed in (None, item_id), "a committed item comes next"
            self.committed = None
        else:
            self.items_open.remove(item_id)
            if item_id in self.items:
                at = self.items.index(item_id)
                assert previous == (self.items[at - 1] if at else None)
            assert event["item"]["type"].startswith("mcp_") or event["item"]["status"] in {"completed", "incomplete"}

    def _response(self, name: str, event: dict[str, Any]) -> None:
        if name == "response.created":
            response = event["response"]
            assert response["id"] not in self.responses
            assert (response["status"], response["output"], response["usage"]) == ("in_progress", [], None)
            self.responses[response["id"]] = {"items": [], "texts": {}, "audio": {}, "done": {}, "part": None}
            return
        response_id = event["response"]["id"] if name == "response.done" else event["response_id"]
        assert response_id in self.responses
        assert response_id not in self.finished, f"{name} after response.done"
        state = self.responses[response_id]
        if name == "response.done":
            self.finished.add(response_id)
            assert [item["id"] for item in event["response"]["output"]] == state["items"]
            assert all(state["done"][item["id"]] == item for item in event["response"]["output"])
            usage = event["response"]["usage"]
            assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        elif name == "response.output_item.added":
            assert event["output_index"] == len(state["items"])
            assert event["item"]["type"].startswith("mcp_") or event["item"]["status"] == "in_progress"
            state["items"].append(event["item"]["id"])
        elif name == "response.output_item.done":
            assert event["item"]["id"] == state["items"][event["output_index"]]
            assert event["item"]["id"] not in self.items_open, "conversation.item.done comes first"
            state["done"][event["item"]["id"]] = event["item"]
            content = event["item"].get("content") or [{}]
            said = content[0].get("transcript", content[0].get("text", event["item"].get("arguments")))
            asks = event["item"]["type"] == "mcp_approval_request"  # comes whole
            assert asks or said == state["texts"].get(event["item"]["id"], "")
        else:
            self._part(name, event, state)

    def _part(self, name: str, event: dict[str, Any], state: dict[str, Any]) -> None:
        item_id = event["item_id"]
        assert item_id == state["items"][event["output_index"]]
        assert item_id not in state["done"]
        if name == "response.content_part.added":
            assert event["content_index"] == 0
            state["part"] = item_id
        elif name.endswith("audio.delta"):
            assert state["part"] == item_id
            audio = base64.b64decode(event["delta"], validate=True)
            assert len(event["delta"]) < 512 * 1024
            state["audio"][item_id] = state["audio"].get(item_id, b"") + audio
        elif name.endswith(".delta"):
            state["texts"][item_id] = state["texts"].get(item_id, "") + event["delta"]
        elif name != "response.output_audio.done":
            part = event.get("part", event)
            whole = next(part[key] for key in ("transcript", "text", "arguments") if key in part)
            assert whole == state["texts"].get(item_id, "")

    def audio(self, item_id: str) -> bytes:
        return b"".join(state["audio"].get(item_id, b"") for state in self.responses.values())


def extra_fields(value: Any, path: str) -> set[str]:
    """Fields that the openai package's models do not know."""
    if isinstance(value, pydantic.BaseModel):
        found = {f"{path}.{key}".lstrip(".") for key in value.model_extra or {}}
        return found.union(
            *(extra_fields(getattr(value, key), f"{path}.{key}".lstrip(".")) for key in value.model_fields_set)
        )
    if isinstance(value, list):
        return set().union(*(extra_fields(item, path) for item in value))
    return set()


class Client:
    """A strict client: every event must validate against the openai package's models and fit the sequence."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.checker = SequenceChecker()
        self.log: list[dict[str, Any]] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def append(self, audio: bytes, *, chunk_ms: int = 20) -> None:
        size = chunk_ms * BYTES_PER_MS
        for at in range(0, len(audio), size):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(audio[at : at + size]).decode())

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            message = await self.socket.recv()
        assert isinstance(message, str)
        event: dict[str, Any] = json.loads(message)
        model = SERVER_EVENTS.validate_json(message)
        assert model.type == event["type"]
        assert extra_fields(model, "") <= WIRE_EXTRAS
        self.checker.feed(event)
        self.log.append(event)
        return event

    async def until(self, kind: str) -> dict[str, Any]:
        """Receive up to and with the next event of a kind; an unexpected error fails."""
        while True:
            event = await self.receive()
            if event["type"] == kind:
                return event
            assert event["type"] != "error", event

    async def nothing_more(self) -> None:
        """Assert that all the server had to say has been received."""
        await self.send("input_audio_buffer.clear")
        event = await self.receive()
        assert event["type"] == "input_audio_buffer.cleared", event

    async def update(self, **session: Any) -> dict[str, Any]:
        await self.send("session.update", session={"type": "realtime", **session})
        updated: dict[str, Any] = (await self.until("session.updated"))["session"]
        return updated

    async def refused(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send an event and return the `error` that answers it."""
        await self.send(kind, event_id="mine", **fields)
        event = await self.receive()
        assert event["type"] == "error", event
        assert event["error"]["event_id"] == "mine"
        error: dict[str, Any] = event["error"]
        return error

    def names(self) -> list[str]:
        """Names of the events received so far, runs of the same one folded."""
        names = [event["type"] for event in self.log]
        return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]

    def forget(self) -> None:
        self.log.clear()


@contextlib.asynccontextmanager
async def open_client(
    server: RealtimeServer, query: str = "?model=gpt-realtime", **options: Any
) -> AsyncIterator[Client]:
    async with websockets.connect(server.url + query, max_size=None, **options) as socket:
        yield Client(socket)


@pytest.fixture
def ears() -> ScriptedEars:
    return ScriptedEars()


@pytest.fixture
def tone_voice() -> ToneVoice:
    return ToneVoice()


@pytest.fixture
def mind() -> ScriptedMind:
    return ScriptedMind()


@pytest.fixture
def start(ears: ScriptedEars, tone_voice: ToneVoice, mind: ScriptedMind) -> Callable[..., Any]:
    """Start a scripted server: `async with start(pace=1) as server`."""

    def starter(**options: Any) -> Any:
        scripted = {
            "recognizer": ears, "synthesizer": tone_voice, "brain": mind, "detector": LoudnessDetector, "pace": 0,
        }  # fmt: skip
        return serve(**{**scripted, **options})

    return starter


@pytest.fixture
async def server(start: Callable[..., Any]) -> AsyncIterator[RealtimeServer]:
    async with start() as running:
        yield running


@pytest.fixture
async def client(server: RealtimeServer) -> AsyncIterator[Client]:
    """A client whose session.created has been read."""
    async with open_client(server) as opened:
        await opened.until("session.created")
        yield opened


@pytest.fixture
async def slow_client(start: Callable[..., Any]) -> AsyncIterator[Client]:
    """A client of a server that sends audio in real time."""
    async with start(pace=1) as running, open_client(running) as opened:
        await opened.until("session.created")
        yield opened


@pytest.fixture
def connect() -> Callable[..., Any]:
    return open_client


@pytest.fixture
def sounds() -> Any:
    class Sounds:
        speech = staticmethod(speech)
        silence = staticmethod(silence)
        turn = speech(400) + silence(700)
        recognition_error = RecognitionError("no ears today")
        call = Call

    return Sounds
