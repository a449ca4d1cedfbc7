"""What a server and its speech worker say to each other: 4 bytes of length (big endian), then MessagePack."""

import struct
from typing import Any

import msgspec

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
HEADER = struct.Struct(">I")


class Listen(msgspec.Struct, tag="listen", array_like=True):
    """Begin a turn."""

    turn: int
    tools: list[dict[str, Any]]


class Hear(msgspec.Struct, tag="hear", array_like=True):
    """More of a turn: 16 kHz PCM."""

    turn: int
    pcm: bytes


class Peek(msgspec.Struct, tag="peek", array_like=True):
    """What has been heard of a turn so far? Answered by Understood or Failed with the request's number."""

    turn: int
    request: int


class Finish(msgspec.Struct, tag="finish", array_like=True):
    """A turn is complete; answered by Understood or Failed."""

    turn: int


class Cancel(msgspec.Struct, tag="cancel", array_like=True):
    """Forget a turn."""

    turn: int


class Speak(msgspec.Struct, tag="speak", array_like=True):
    """Speak a sentence; answered by Spoken or Failed."""

    request: int
    text: str
    rate: int
    voice: str
    speed: float


class Ready(msgspec.Struct, tag="ready", array_like=True):
    """The worker's first message: which voice speaks, and why the worker cannot work (None: it can)."""

    voice: str
    failure: str | None


class Understood(msgspec.Struct, tag="understood", array_like=True):
    """What was heard of a turn."""

    number: int
    text: str
    rejected: bool


class Spoken(msgspec.Struct, tag="spoken", array_like=True):
    """A spoken sentence, PCM at the rate asked for."""

    number: int
    pcm: bytes
    unspoken: list[str]


class Failed(msgspec.Struct, tag="failed", array_like=True):
    """A turn or a sentence failed."""

    number: int
    message: str


Request = Listen | Hear | Peek | Finish | Cancel | Speak
Reply = Ready | Understood | Spoken | Failed

request_decoder = msgspec.msgpack.Decoder(Request)
reply_decoder = msgspec.msgpack.Decoder(Reply)


def frame(message: Request | Reply) -> bytes:
    """Return a message as it goes through a pipe."""
    body = msgspec.msgpack.encode(message)
    return HEADER.pack(len(body)) + body
