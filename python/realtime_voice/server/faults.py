"""What a server does wrong on purpose, to see what a client makes of it."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from realtime_voice.server.connection import Around, Socket


@dataclass(frozen=True, kw_only=True)
class Faults:
    """The fault menu of one session. Events are counted from 1, session.created included.

    Raises ValueError for a number that cannot be.
    """

    start_s: float = 0.0
    """Slow start: how long session.created lets wait for itself."""
    drop_at: int | None = None
    """The connection is cut, without CLOSE, in place of this event."""
    error_at: int | None = None
    """An `error` event comes before this event; the session goes on."""
    error_code: str = "server_error"
    expire_s: float | None = None
    """The session's time is over after this long: `session_expired`, close code 1001."""
    no_close: bool = False
    """The client's CLOSE is not answered."""
    late: Mapping[str, float] = field(default_factory=dict)
    """Events of these types come this many seconds late, behind what follows them."""
    duplicate: Collection[str] = ()
    """Events of these types come twice, the same to the letter."""
    delta_ms: int | None = None
    """Audio in one delta: 30000 makes frames above 1 MiB."""
    pace: float | None = None
    """Audio at this many times real time: 0 in one burst, below 1 in a trickle that starves the player."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("start_s", "drop_at", "error_at", "expire_s", "delta_ms", "pace"):
            value, least = getattr(self, name), 1 if name in {"drop_at", "error_at", "delta_ms"} else 0
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Faults":
        """Read "name=value" as the command line has it: drop_at=12, no_close=yes, late=response.done:0.5.

        `late` and `duplicate` may come several times. Raises ValueError for what is no fault.
        """
        values: dict[str, Any] = {}
        for text in texts:
            name, _, value = text.partition("=")
            if name not in {each.name for each in fields(cls)}:
                raise ValueError(f"no fault {name!r}: choose from {', '.join(each.name for each in fields(cls))}")
            try:
                if name == "late":
                    event, _, seconds = value.rpartition(":")
                    values.setdefault(name, {})[event] = float(seconds)
                elif name == "duplicate":
                    values.setdefault(name, []).append(value)
                elif name == "no_close":
                    values[name] = value.lower() in {"", "1", "yes", "true"}
                elif name == "error_code":
                    values[name] = value
                else:
                    values[name] = int(value) if name in {"drop_at", "error_at", "delta_ms"} else float(value)
            except ValueError:
                raise ValueError(f"fault {name}: not a number: {value!r}") from None
        return cls(**values)


class FaultySocket(Around):
    """A connection.Socket that passes events on with the faults of a session. `drop` cuts the connection."""

    def __init__(self, socket: Socket, faults: Faults, drop: Callable[[], None]) -> None:
        super().__init__(socket)
        self._faults = faults
        self._drop = drop
        self._sent = 0

    def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send text messages, or something else."""
        passed: list[tuple[str, bytes]] = []
        for name, text in messages:
            self._sent += 1
            if self._faults.drop_at is not None and self._sent >= self._faults.drop_at:
                self.inner.send(passed)
                self._drop()
                return
            if self._sent == self._faults.error_at:
                passed.append(("error", self._error()))
            if (late_s := self._faults.late.get(name)) is not None:
                asyncio.get_running_loop().call_later(late_s, self.inner.send, [(name, text)])
            else:
                passed += [(name, text)] * (2 if name in self._faults.duplicate else 1)
        self.inner.send(passed)

    def _error(self) -> bytes:
        details = {
            "type": "server_error" if self._faults.error_code == "server_error" else "invalid_request_error",
            "code": self._faults.error_code, "message": "An error on purpose.", "param": None, "event_id": None,
        }  # fmt: skip
        return msgspec.json.encode({"type": "error", "event_id": f"event_fault{self._sent}", "error": details})
