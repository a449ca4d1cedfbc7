"""A Realtime server whose every word is known beforehand, so that what is lost or doubled can be counted.

Samples of the microphone carry their index: positive while the user speaks, negative in silence. The n-th thing the
user says is answered by WORDS words, each of which sounds as one sample value; an answer that has been begun in the
conversation is gone on with where its text ends. Speech is 65 ms a character, so that text and audio end together.
"""

from __future__ import annotations

import array
import asyncio
import base64
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any, Self

from openai.types.realtime import RealtimeClientEvent
from pydantic import TypeAdapter
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

RATE = 24000
LABELS = 30000
"""Samples are counted modulo this; a microphone's turn is shorter."""
WORDS = 6
WORD_MS = 4 * 65
SILENCE_MS = 100
client_events: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)


def word(turn: int, number: int) -> str:
    return f"{chr(96 + turn)}{number:02d} "


def level(turn: int, number: int) -> int:
    """The sample value that a word sounds as."""
    return 1000 * turn + 10 * (number + 1)


@dataclass
class Script:
    """What is settled for all connections of a test."""

    tool_turns: frozenset[int] = frozenset()
    hold_after: dict[int, int] = field(default_factory=dict)
    """Turn -> so many words are said on the first connection that answers it, and no more."""
    life_s: int = 3600
    accept: bool = True
    transcribe: bool = True
    mute: bool = False
    """Responses that are asked for never begin."""
    refuse: str = ""
    """The code of a fatal error, instead of accepting a configuration."""
    padding: int = 0
    """Bytes that make the next message larger."""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """What was held is said after all."""


class ScriptedPeer:
    """The server; `lines` are its connections in order."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.lines: list[Line] = []
        self.held: set[int] = set()
        self.calls = 0
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, max_size=None, close_timeout=0.2, ping_interval=None, backlog=512
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    @property
    def line(self) -> Line:
        return self.lines[-1]

    async def _serve(self, socket: ServerConnection) -> None:
        line = Line(self, socket, len(self.lines))
        self.lines.append(line)
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                await line.take(json.loads(message))
        line.end()


class Line:
    """One connection: its conversation, its buffer of audio, its response."""

    def __init__(self, peer: ScriptedPeer, socket: ServerConnection, number: int) -> None:
        self.peer, self.socket, self.number = peer, socket, number
        self.items: list[dict[str, Any]] = []
        self.heard: list[int] = []
        """Every sample that came."""
        self.turns: list[list[int]] = []
        """Samples of each committed turn."""
        self.received: list[str] = []
        self.update: dict[str, Any] = {}
        self.detection: dict[str, Any] | None = {}
        self._begin: int | None = None  # where the speech of the running turn begins
        self._last_loud = 0
        self._committed = 0
        self._count = 0
        self._response: asyncio.Task[None] | None = None
        self._response_id = ""

    @property
    def said(self) -> list[int]:
        """The sample with which each thing begins that the user said, in the order of the conversation."""
        return [_label(item) for item in self.items if item.get("role") == "user"]

    def end(self) -> None:
        if self._response is not None:
            self._response.cancel()

    async def take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "input_audio_buffer.append":
            await self._hear(array.array("h", base64.b64decode(event["audio"])))
            return
        client_events.validate_python(event)
        self.received.append(kind)
        match kind:
            case "session.update":
                self.update = event["session"]
                if self.peer.script.refuse:
                    await self.refuse(event, self.peer.script.refuse)
                elif self.peer.script.accept:
                    await self.configure()
            case "input_audio_buffer.commit":
                if len(self.heard) == self._committed:
                    await self.refuse(event, "input_audio_buffer_commit_empty")
                else:
                    await self._commit(self._committed, len(self.heard), respond=False)
            case "conversation.item.create":
                await self._add(event)
            case "conversation.item.delete":
                self.items = [item for item in self.items if item["id"] != event["item_id"]]
                await self.say("conversation.item.deleted", item_id=event["item_id"])
            case "conversation.item.truncate":
                await self._truncate(event)
            case "response.create":
                if self._response is not None:
                    await self.refuse(event, "conversation_already_has_active_response")
                elif not self.peer.script.mute:
                    self._respond((event.get("response") or {}).get("metadata"))
            case "conversation.item.retrieve":
                found = [item for item in self.items if item["id"] == event["item_id"]]
                if found:
                    await self.say("conversation.item.retrieved", item=found[0])
                else:
                    await self.refuse(event, "item_retrieve_invalid_item_id")
            case "response.cancel":
                await self._cancel("client_cancelled")

    async def say(self, kind: str, **fields: Any) -> None:
        self._count += 1
        padding = {"obfuscation": "x" * self.peer.script.padding} if self.peer.script.padding else {}
        self.peer.script.padding = 0
        message = {"type": kind, "event_id": f"event_{self.number}_{self._count}", **fields, **padding}
        with contextlib.suppress(ConnectionClosed):
            await self.socket.send(json.dumps(message))

    async def refuse(self, event: dict[str, Any], code: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": code, "event_id": event.get("event_id")}
        await self.say("error", error=error)

    # --- configuration, items ---

    async def configure(self) -> None:
        """Accept the last session.update."""
        session = self.update
        given = session.get("audio", {}).get("input", {})
        self.detection = given.get("turn_detection", {"type": "server_vad", "silence_duration_ms": SILENCE_MS})
        session = {
            **session,
            "id": f"sess_{self.number}",
            "expires_at": int(time.time()) + self.peer.script.life_s,
            "audio": {
                **session.get("audio", {}),
                "input": {"transcription": {"model": "m"}, **given, "turn_detection": self.detection},
            },
        }
        await self.say("session.created", session=session)
        await self.say("session.updated", session=session)

    async def _add(self, event: dict[str, Any]) -> None:
        item, previous = event["item"], event.get("previous_item_id")
        ids = [known["id"] for known in self.items]
        if previous not in {None, "root", *ids} or item["id"] in ids:
            await self.refuse(event, "item_create_invalid")
            return
        place = len(ids) if previous is None else 0 if previous == "root" else ids.index(previous) + 1
        before = ids[place - 1] if place else None
        self.items.insert(place, item)
        await self.say("conversation.item.added", item=item, previous_item_id=before)
        await self.say("conversation.item.done", item=item, previous_item_id=before)

    async def _truncate(self, event: dict[str, Any]) -> None:
        item = next((item for item in self.items if item["id"] == event["item_id"]), None)
        if item is None or "sounds" not in item:
            await self.refuse(event, "item_truncate_invalid_item_id")
            return
        words = event["audio_end_ms"] // WORD_MS
        item["content"][0]["transcript"] = "".join(
            word(item["turn"], item["first"] + number) for number in range(words)
        )
        await self.say(
            "conversation.item.truncated",
            item_id=item["id"],
            content_index=0,
            audio_end_ms=event["audio_end_ms"],
        )

    # --- ears ---

    async def _hear(self, samples: array.array[int]) -> None:
        is_change = (max(samples) > 0) != (self._begin is not None) or min(samples) < 0 < max(samples)
        if self.detection is None or (not is_change and (min(samples) > 0 or self._begin is None)):
            self.heard.extend(samples)
            self._last_loud = len(self.heard) - 1
            return
        for value in samples:
            position = len(self.heard)
            self.heard.append(value)
            if value > 0:
                self._last_loud = position
                if self._begin is None:
                    self._begin = position
                    start = {"audio_start_ms": position * 1000 // RATE, "item_id": self._next_user_id()}
                    await self.say("input_audio_buffer.speech_started", **start)
                    await self._cancel("turn_detected")
            elif self._begin is not None and position - self._last_loud >= SILENCE_MS * RATE // 1000:
                begin, end = self._begin, len(self.heard)
                end -= end % (RATE // 1000)
                stop = {"audio_end_ms": end * 1000 // RATE, "item_id": self._next_user_id()}
                await self.say("input_audio_buffer.speech_stopped", **stop)
                await self._commit(begin - begin % (RATE // 1000), end, respond=True)

    def _next_user_id(self) -> str:
        return f"item_{self.number}_u{len(self.turns)}"

    async def _commit(self, begin: int, end: int, *, respond: bool) -> None:
        item_id = self._next_user_id()
        self._begin, self._committed = None, end
        self.turns.append(self.heard[begin:end])
        previous = self.items[-1]["id"] if self.items else None
        item = {"id": item_id, "type": "message", "role": "user", "status": "completed"}
        item["content"] = [{"type": "input_audio", "transcript": None}]
        self.items.append({**item, "label": abs(self.heard[begin])})
        await self.say("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous)
        await self.say("conversation.item.added", item=item, previous_item_id=previous)
        await self.say("conversation.item.done", item=item, previous_item_id=previous)
        if self.peer.script.transcribe:
            await self.say(
                "conversation.item.input_audio_transcription.completed",
                item_id=item_id,
                content_index=0,
                transcript=f"said at {abs(self.heard[begin])}",
                usage={"type": "duration", "seconds": 1},
            )
        if respond:
            self._respond(None)

    # --- voice ---

    def _respond(self, metadata: dict[str, str] | None) -> None:
        self._response_id = f"resp_{self.number}_{self._count}"
        self._response = asyncio.create_task(self._speak(self._response_id, metadata))

    async def _cancel(self, reason: str) -> None:
        if self._response is not None and not self._response.done():
            response, self._response = self._response, None
            response.cancel()
            details = {"type": "cancelled", "reason": reason}
            await self.say("response.done", response=self._shown("cancelled", status_details=details))

    def _shown(self, status: str, **fields: Any) -> dict[str, Any]:
        return {
            "object": "realtime.response",
            "id": self._response_id,
            "status": status,
            "status_details": None,
            "output": [],
            "conversation_id": "conv_1",
            "usage": None,
            "metadata": None,
            **fields,
        }

    async def _speak(self, response_id: str, metadata: dict[str, str] | None) -> None:
        turn = sum(item.get("role") == "user" for item in self.items)
        await self.say("response.created", response=self._shown("in_progress", metadata=metadata))
        since = max((n for n, item in enumerate(self.items) if item.get("role") == "user"), default=0)
        later = self.items[since:]
        if turn in self.peer.script.tool_turns and not any(item["type"] == "function_call" for item in later):
            await self._call(response_id)
        else:
            said = sum(len(_text(item).split()) for item in later if item.get("role") == "assistant")
            await self._say_words(response_id, turn, said)
        self._response = None
        await self.say("response.done", response=self._shown("completed", metadata=metadata))

    async def _call(self, response_id: str) -> None:
        self.peer.calls += 1
        call = {"id": f"fc_{self.peer.calls}", "type": "function_call", "status": "completed", "name": "add"}
        call |= {"call_id": f"call_{self.peer.calls}", "arguments": '{"a": 2, "b": 3}'}
        where = {"response_id": response_id, "output_index": 0}
        await self.say("response.output_item.added", **where, item={**call, "status": "in_progress", "arguments": ""})
        previous = self.items[-1]["id"] if self.items else None
        self.items.append(call)
        await self.say("conversation.item.added", item=call, previous_item_id=previous)
        await self.say("conversation.item.done", item=call, previous_item_id=previous)
        await self.say("response.output_item.done", **where, item=call)

    async def _say_words(self, response_id: str, turn: int, first: int) -> None:
        item: dict[str, Any] = {"id": f"item_{response_id}", "type": "message", "role": "assistant"}
        item |= {"status": "in_progress", "content": []}
        where = {"response_id": response_id, "output_index": 0, "item_id": item["id"], "content_index": 0}
        await self.say("response.output_item.added", response_id=response_id, output_index=0, item=item)
        previous = self.items[-1]["id"] if self.items else None
        await self.say("conversation.item.added", item=item, previous_item_id=previous)
        mine = {**item, "sounds": True, "turn": turn, "first": first}
        mine["content"] = [{"type": "output_audio", "transcript": ""}]
        self.items.append(mine)
        for number in range(first, WORDS):
            limit = self.peer.script.hold_after.get(turn)
            if limit is not None and number >= limit and turn not in self.peer.held:
                self.peer.held.add(turn)
                await self.peer.script.go_on.wait()
            text = word(turn, number)
            mine["content"][0]["transcript"] += text
            await self.say("response.output_audio_transcript.delta", **where, delta=text)
            audio = array.array("h", [level(turn, number)]) * (WORD_MS * RATE // 1000)
            await self.say("response.output_audio.delta", **where, delta=base64.b64encode(audio.tobytes()).decode())
        await self.say("response.output_audio.done", **where)
        text = mine["content"][0]["transcript"]
        await self.say("response.output_audio_transcript.done", **where, transcript=text)
        done = {**item, "status": "completed", "content": [{"type": "output_audio", "transcript": text}]}
        await self.say("conversation.item.done", item=done, previous_item_id=previous)
        await self.say("response.output_item.done", response_id=response_id, output_index=0, item=done)


def _label(item: dict[str, Any]) -> int:
    part = item["content"][0]
    if "label" in item:
        return int(item["label"])
    if part["type"] == "input_audio":
        return abs(array.array("h", base64.b64decode(part["audio"]))[0])
    return int(part["text"].split()[-1])


def _text(item: dict[str, Any]) -> str:
    return "".join(part.get("text") or part.get("transcript") or "" for part in item.get("content", []))
