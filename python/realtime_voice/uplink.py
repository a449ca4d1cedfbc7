"""The user's audio on its way to the server, kept as long as it may have to be sent again."""

from __future__ import annotations

import base64
from collections import deque
from typing import TYPE_CHECKING, Final

from realtime_core.frame import append_message

if TYPE_CHECKING:
    from realtime_voice.audio.wire import Wire

_AUDIO: Final = b'"audio":"'


class Uplink:
    """Append messages by the index of their first sample, counted at the wire's rate from the session's first sample.

    The index runs on whatever connection carries the audio. At most `keep_s` seconds are kept, the newest; the session
    forgets earlier what no server will have to hear again.
    """

    def __init__(self, wire: Wire, keep_s: float) -> None:
        self.rate = wire.rate
        self.sample_bytes = 2 if wire.encoding == "pcm" else 1
        self.start = 0
        """Index of the first sample that is kept."""
        self.end = 0
        """Index behind the last sample."""
        self._keep = max(1, round(keep_s * wire.rate))
        self._chunks: deque[tuple[int, int, bytes]] = deque()  # first sample, behind the last, append message

    def add(self, message: bytes) -> int:
        """Keep an append message; returns how many samples it holds."""
        first, self.end = self.end, self.end + _length(message) // self.sample_bytes
        self._chunks.append((first, self.end, message))
        self.forget(self.end - self._keep)
        return self.end - first

    def forget(self, before: int) -> None:
        """Forget the chunks that lie before an index entirely."""
        while self._chunks and self._chunks[0][1] <= before:
            self._chunks.popleft()
        self.start = self._chunks[0][0] if self._chunks else self.end

    def since(self, start: int, end: int | None = None) -> list[bytes]:
        """Return append messages that hold exactly the samples from `start` to `end` of those that are kept."""
        end = self.end if end is None else end
        messages = []
        for first, last, message in self._chunks:
            begin, stop = max(first, start), min(last, end)
            if begin < stop:
                whole = (begin, stop) == (first, last)
                messages.append(message if whole else append_message(self._part(message, begin - first, stop - first)))
        return messages

    def audio(self, start: int, end: int) -> bytes | None:
        """Return the bare audio from `start` to `end`; None when not all of it is kept."""
        if not self.start <= start < end <= self.end:
            return None
        return b"".join(base64.b64decode(_encoded(message)) for message in self.since(start, end))

    def _part(self, message: bytes, start: int, end: int) -> bytes:
        return base64.b64decode(_encoded(message))[start * self.sample_bytes : end * self.sample_bytes]


def _encoded(message: bytes) -> bytes:
    start = message.index(_AUDIO) + len(_AUDIO)
    return message[start : message.index(b'"', start)]


def _length(message: bytes) -> int:
    """Return how many bytes of audio a message holds."""
    start = message.index(_AUDIO) + len(_AUDIO)
    end = message.index(b'"', start)
    return (end - start) * 3 // 4 - message.count(b"=", end - 2, end)
