"""Sessions in a file: what client and server said to each other and when, audio included, keys removed.

The file is JSON lines: a header, then one line per event with its time in seconds since its session began. Nothing is
written unless it is asked for.
"""

import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import msgspec

from realtime_voice.server.connection import Around, Socket

FORMAT: Literal[1] = 1
MAX_BYTES = 2 * 1024**3
"""Longest recording; what comes later is not kept, and a line in the log says so."""
SECRET_KEYS = frozenset({"authorization", "api_key", "headers", "client_secret", "access_token", "password", "secret"})
"""Fields whose values never reach the file, at any depth."""
REMOVED = "[removed]"
_SECRET = re.compile(r"\b(?:sk|ek|rk)[-_][A-Za-z0-9_-]{8,}|\bBearer\s+\S+")
_log = logging.getLogger("realtime_voice.server")


class Line(msgspec.Struct, kw_only=True):
    """One event: when (seconds since the session began), in which session (from 1), from whom."""

    at: float
    session: int
    sender: Literal["client", "server"]
    event: dict[str, Any]


class Header(msgspec.Struct, kw_only=True):
    """The first line of the file."""

    recorded_at: float
    """Seconds since 1970."""
    realtime_recording: Literal[1]
    """The format's version."""


class Watcher(Protocol):
    """Who is told of every message."""

    def client(self, session: int, message: str | bytes) -> None:
        """Take what a client sent in a session (numbered from 1)."""

    def server(self, session: int, message: str | bytes) -> None:
        """Take what it was sent."""


class Recorder:
    """Writes sessions to a file. Raises OSError when it cannot be written."""

    def __init__(self, path: str | Path) -> None:
        self._file = Path(path).open("wb")  # noqa: SIM115  # open for as long as the server
        self._written = 0
        self._began: dict[int, float] = {}
        self._write(Header(realtime_recording=FORMAT, recorded_at=time.time()))

    def client(self, session: int, message: str | bytes) -> None:
        """Keep what a client sent; what is no JSON object is left out."""
        self._keep(session, "client", message)

    def server(self, session: int, message: str | bytes) -> None:
        """Keep what a client was sent."""
        self._keep(session, "server", message)

    def flush(self) -> None:
        """Have everything in the file. No-op when it is closed."""
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        """End the recording. Idempotent."""
        self._file.close()

    def _keep(self, session: int, sender: Literal["client", "server"], message: str | bytes) -> None:
        now = time.monotonic()
        began = self._began.setdefault(session, now)
        try:
            event = json.loads(message)
        except ValueError:
            return
        if isinstance(event, dict) and not self._file.closed and self._written < MAX_BYTES:
            self._write(Line(at=round(now - began, 4), session=session, sender=sender, event=without_keys(event)))

    def _write(self, line: Line | Header) -> None:
        data = msgspec.json.encode(line) + b"\n"
        self._file.write(data)
        self._written += len(data)
        if self._written >= MAX_BYTES:
            _log.warning("the recording has %d bytes and ends here", self._written)


class WatchedSocket(Around):
    """A connection.Socket that tells watchers what passes."""

    def __init__(self, socket: Socket, watchers: Sequence[Watcher], session: int) -> None:
        super().__init__(socket)
        self._watchers = watchers
        self._session = session

    def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Tell the watchers, then send."""
        for _, text in messages:
            for watcher in self._watchers:
                watcher.server(self._session, text)
        self.inner.send(messages)


def without_keys(value: Any) -> Any:
    """Return a JSON value without what looks like a key and without the fields that hold one."""
    if isinstance(value, dict):
        return {
            key: REMOVED if key.lower() in SECRET_KEYS and item is not None else without_keys(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [without_keys(item) for item in value]
    return _SECRET.sub(REMOVED, value) if isinstance(value, str) else value


class Recording:
    """The sessions of a recorded file, in the order they began."""

    def __init__(self, sessions: Sequence[Sequence[Line]]) -> None:
        self.sessions = [list(lines) for lines in sessions]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no recording; the message says which line is wrong.

        """
        sessions: dict[int, list[Line]] = {}
        for line in _lines(Path(path)):
            sessions.setdefault(line.session, []).append(line)
        if not sessions:
            raise ValueError(f"{path}: the recording has no session")
        return cls(list(sessions.values()))


def _lines(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            try:
                if number == 1:
                    msgspec.json.decode(text, type=Header)
                else:
                    yield msgspec.json.decode(text, type=Line)
            except (msgspec.DecodeError, ValueError) as error:
                raise ValueError(f"{path}, line {number}: not a recording of sessions: {error}") from None
        if file.tell() == 0:
            raise ValueError(f"{path}: the file is empty")
