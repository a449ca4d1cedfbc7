"""A recorded session played back as a server: for regression tests of an agent against what really happened.

The server's events come in their order and with their pauses (times a scale), each after the client has sent what it
had sent before it in the recording: events of the same types, and as much audio. What the client says differently (ids,
instructions, metadata) is put into the server's events in place of what was recorded.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from realtime_voice.server.connection import Socket
from realtime_voice.server.recording import Line

PATIENCE_S = 30.0
"""Longest wait for what the recording has the client do next."""
APPEND = "input_audio_buffer.append"
MAX_WAITING = 4096


class Deviation(Exception):  # noqa: N818  # an outcome of a test, not a fault of this code
    """The client did not do what the recording has it do."""


class Replay:
    """One session being played back over one socket."""

    def __init__(self, lines: Sequence[Line], socket: Socket, *, time_scale: float, patience_s: float) -> None:
        self._lines = lines
        self._socket = socket
        self._scale = time_scale
        self._patience_s = patience_s
        self._events: list[dict[str, Any]] = []
        self._audio = 0  # characters of base64 received and not yet asked for
        self._arrived = asyncio.Event()
        self._instead: dict[str, str] = {}
        self._shift_s = 0.0
        self.deviations: list[str] = []
        """What the client sent that the recording does not have, in order."""

    def received(self, message: str) -> None:
        """Take one text message of the client."""
        try:
            event = json.loads(message)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            self.deviations.append("a message that is no JSON object")
        elif event.get("type") == APPEND:
            self._audio += len(str(event.get("audio", "")))
        elif len(self._events) < MAX_WAITING:
            self._events.append(event)
        self._arrived.set()

    async def play(self) -> None:
        """Play to the end.

        Raises:
            Deviation: the client does not send what comes next; it has been told so with an `error` event.

        """
        loop = asyncio.get_running_loop()
        now, at = loop.time(), 0.0
        for line in self._lines:
            if line.sender == "client":
                if line.event.get("type") == APPEND:
                    waited = await self._hear(len(str(line.event.get("audio", ""))))
                else:
                    waited = await self._match(line.event)
                if waited:
                    now, at = loop.time(), line.at
            else:
                await asyncio.sleep(max(0.0, now + (line.at - at) * self._scale - loop.time()))
                self._send(line.event)
                await self._socket.room()
        self.deviations += [f"{_name(event)} after the end" for event in self._events]

    async def _hear(self, characters: int) -> bool:
        """Wait for as much audio; return whether it was not there yet."""
        waited = self._audio < characters
        while self._audio < characters:
            await self._more("more audio")
        self._audio -= characters
        return waited

    async def _match(self, expected: Mapping[str, Any]) -> bool:
        waited = not self._events
        while True:
            while not self._events:
                await self._more(_name(expected))
            event = self._events.pop(0)
            if _name(event) == _name(expected):
                self._learn(expected, event)
                return waited
            self.deviations.append(f"{_name(event)} instead of {_name(expected)}")

    async def _more(self, what: str) -> None:
        self._arrived.clear()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._arrived.wait()
        except TimeoutError:
            words = f"the recording has the client send {what} now"
            self.deviations.append(f"no {what}")
            details = {"type": "invalid_request_error", "code": "replay_deviation", "message": words}
            self._send({"type": "error", "event_id": "event_replay", "error": details})
            raise Deviation(words) from None

    def _learn(self, recorded: Any, sent: Any) -> None:
        """Note where the client's strings differ from the recorded ones."""
        if isinstance(recorded, str) and isinstance(sent, str):
            if recorded and recorded != sent:
                self._instead[recorded] = sent
        elif isinstance(recorded, dict) and isinstance(sent, dict):
            for key in recorded.keys() & sent.keys() - {"type"}:
                self._learn(recorded[key], sent[key])
        elif isinstance(recorded, list) and isinstance(sent, list):
            for one, other in zip(recorded, sent, strict=False):
                self._learn(one, other)

    def _send(self, event: Mapping[str, Any]) -> None:
        event = _replaced(event, self._instead)
        session = event.get("session")
        if isinstance(session, dict) and isinstance(session.get("expires_at"), int):
            if event["type"] == "session.created":  # the hour begins now, not when it was recorded
                self._shift_s = time.time() + 3600 - session["expires_at"]
            session["expires_at"] += int(self._shift_s)
        self._socket.send([(str(event.get("type")), msgspec.json.encode(event))])


def _name(event: Mapping[str, Any]) -> str:
    """Return an event's type, with that of the item it creates."""
    item = event.get("item")
    kind = f" ({item.get('type')})" if isinstance(item, dict) else ""
    return f"{event.get('type')}{kind}"


def _replaced(value: Any, instead: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: item if key == "type" else _replaced(item, instead) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, instead) for item in value]
    return instead.get(value, value) if isinstance(value, str) else value
