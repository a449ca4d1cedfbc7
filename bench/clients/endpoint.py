"""The server of live clients: TLS and WebSocket at 127.0.0.1, in a process of its own; it converses at real-time pace.

    python bench/clients/endpoint.py FOLDER [--deflate]

FOLDER holds `speech.pcm`, what it says (PCM16, 24 kHz), and gets `authority.pem`, what clients are to trust. The port
is the first line out. The path says who comes and how long deltas it wants: wss://127.0.0.1:PORT/NAME/20/v1/realtime;
every line in, a NAME, is answered by the bytes of append messages that have come from it so far. A conversation begins
with a client's first append and then repeats itself every world.CYCLE_S: an answer, with a word of transcript for every
300 ms of it, and the user's turn as the server's turn detection tells of it. With --deflate it takes up the compression
that a client offers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import ssl
import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import trustme
import world
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

WORDS = ["It ", "is ", "eighty ", "four, ", "as ", "far ", "as ", "I know."]


class Endpoint:
    """What all conversations share."""

    def __init__(self, speech: bytes) -> None:
        size = int(2 * world.RATE * world.ANSWER_S)
        self._speech = (speech * (1 + size // len(speech)))[:size]
        self.appended: Counter[str] = Counter()
        """Bytes of append messages, by the name of the client."""

    @lru_cache(maxsize=64)  # noqa: B019  it lives as long as the process
    def cycle(self, number: int, delta_ms: int) -> list[tuple[float, str]]:
        """Return the messages of one cycle, each with its time in seconds."""
        timed: list[tuple[float, dict[str, Any]]] = []
        at = 0.0
        for event in world.answer_events(number, self._speech, delta_ms, WORDS):
            timed.append((at, event))
            at += delta_ms / 1000 if event["type"] == "response.output_audio.delta" else 0
        item = f"item_user{number:06}"
        begin, end = world.SPEECH_AT_S, world.SPEECH_AT_S + world.SPEECH_S
        said = {"id": item, "type": "message", "status": "completed", "role": "user"}
        said["content"] = [{"type": "input_audio", "transcript": None}]
        base_ms = round(number * world.CYCLE_S * 1000)
        for at, event in [
            (begin, {"type": "input_audio_buffer.speech_started", "audio_start_ms": base_ms + round(begin * 1000)}),
            (end, {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": base_ms + round(end * 1000)}),
            (end, {"type": "input_audio_buffer.committed", "previous_item_id": None}),
        ]:
            timed.append((at + 0.2, {**event, "item_id": item}))
        added = {"type": "conversation.item.added", "previous_item_id": None, "item": said}
        timed += [(end + 0.2, added), (end + 0.2, {**added, "type": "conversation.item.done"})]
        return [(at, json.dumps({"event_id": f"event_{number}_{i}", **event})) for i, (at, event) in enumerate(timed)]

    async def converse(self, connection: ServerConnection) -> None:
        """Be the server of one connection."""
        _, name, delta_ms, *_ = connection.request.path.split("/")
        session = world.SESSION
        speaking: asyncio.Task[None] | None = None
        await connection.send(json.dumps({"type": "session.created", "event_id": "event_s", "session": session}))
        try:
            async for message in connection:
                if world.APPEND in message[:200] or world.APPEND in message[-200:]:  # some write the type last
                    self.appended[name] += len(message)
                    if speaking is None:
                        speaking = asyncio.create_task(self._speak(connection, int(delta_ms)))
                    continue
                event = json.loads(message)
                if event["type"] == "session.update":
                    session = merged(session, event["session"])
                for index, reply in enumerate(replies(event, session)):
                    named = {"event_id": f"{event.get('event_id', 'event')}_{id(event)}_{index}", **reply}
                    await connection.send(json.dumps(named))
        except ConnectionClosed:
            pass
        finally:
            if speaking is not None:
                speaking.cancel()

    async def _speak(self, connection: ServerConnection, delta_ms: int) -> None:
        now = asyncio.get_running_loop().time
        begin, number = now(), 1
        with contextlib.suppress(ConnectionClosed):
            while True:
                for at, message in self.cycle(number, delta_ms):
                    if (wait_s := begin + at - now()) > 0:
                        await asyncio.sleep(wait_s)
                    await connection.send(message)
                begin, number = begin + world.CYCLE_S, number + 1
                await asyncio.sleep(begin - now())


def replies(event: dict[str, Any], session: dict[str, Any]) -> list[dict[str, Any]]:
    """What the real server answers to a client's event, as far as the clients' beginnings need it."""
    match event["type"]:
        case "session.update":
            return [{"type": "session.updated", "session": session}]
        case "conversation.item.create":
            item = {"id": "item_client", "status": "completed", **event["item"]}
            return [
                {"type": f"conversation.item.{kind}", "previous_item_id": None, "item": item}
                for kind in ("added", "done")
            ]
        case "conversation.item.truncate":
            return [{**event, "type": "conversation.item.truncated"}]
        case "response.create" | "response.cancel":  # the conversation has its own time
            code = "conversation_already_has_active_response"
            if event["type"] == "response.cancel":
                code = "response_cancel_not_active"
            error = {"type": "invalid_request_error", "code": code, "message": code, "param": None}
            return [{"type": "error", "error": {**error, "event_id": event.get("event_id")}}]
        case kind:
            raise RuntimeError(f"a client sent {kind}, which no conversation of this comparison calls for")


def merged(base: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    """Return a session's configuration with what an update says of it."""
    both = {key: merged(base[key], value) for key, value in update.items()
            if isinstance(value, dict) and isinstance(base.get(key), dict)}  # fmt: skip
    return {**base, **update, **both}


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--deflate", action="store_true")
    options = parser.parse_args()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(options.folder / "authority.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    endpoint = Endpoint((options.folder / "speech.pcm").read_bytes())
    compression = "deflate" if options.deflate else None
    async with serve(endpoint.converse, "127.0.0.1", 0, ssl=context, compression=compression) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        loop = asyncio.get_running_loop()
        while name := await loop.run_in_executor(None, sys.stdin.readline):
            print(endpoint.appended[name.strip()], flush=True)


if __name__ == "__main__":
    asyncio.run(main())
