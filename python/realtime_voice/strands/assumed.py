"""What is assumed to have been heard where outputs play that tell nothing: a browser's, a telephone's, another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_voice.audio import Heard, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from realtime_core.delta import Delta
    from realtime_voice.events import ResponseOutputAudioDelta


class AssumedPlayout:
    """Stands for a speaker out of sight: it plays each answer from when it was handed over, in real time.

    A session asks it what was heard when the user speaks, as it would ask a `Playout`.

    Args:
        wire: Format of the deltas.
        clock: Seconds of the caller's clock.
    """

    full = False
    interruptible = heeds_server = True

    def __init__(self, wire: Wire, clock: Callable[[], float]) -> None:
        self._bytes_per_s = wire.rate * (2 if wire.encoding == "pcm" else 1)
        self._clock = clock
        self._ends = 0.0  # when all that was handed over will have been played
        self._items: dict[str, _Item] = {}

    @property
    def active(self) -> bool:
        """Whether something is still to be played."""
        return self._clock() < self._ends

    def feed(self, message: bytes | str) -> Delta | None:
        """Leave the message to the session; its event comes back by `handed_over`."""
        del message
        return None

    def end_item(self, item_id: str) -> None:
        """Do nothing: an item is over when it was played."""

    def tell_events(self) -> None:
        """Do nothing: there are none."""

    def handed_over(self, event: ResponseOutputAudioDelta) -> None:
        """Note that the outputs got a delta."""
        now = self._clock()
        item = self._items.get(event.item_id) or _Item(event.content_index)
        if now >= self._ends:
            self._items.clear()  # all others were heard to their end
        self._items[event.item_id] = item
        begins = max(now, self._ends)
        seconds = (len(event.delta) * 3 // 4 - event.delta[-2:].count("=")) / self._bytes_per_s
        self._ends = begins + seconds
        item.add(begins, self._ends)

    def flush(self) -> list[Heard]:
        """Forget what is not yet played; return how much was heard of each item cut, oldest first."""
        now = self._clock()
        heard = [
            Heard(item_id, item.content_index, round(1000 * item.played(now)), round(1000 * item.played(self._ends)))
            for item_id, item in self._items.items()
            if item.ends > now
        ]
        self._items.clear()
        self._ends = now
        return heard


class _Item:
    """When one item is played: spans of time, one unless its audio came too late."""

    def __init__(self, content_index: int) -> None:
        self.content_index = content_index
        self._spans: list[tuple[float, float]] = []

    @property
    def ends(self) -> float:
        """When its last sample is played."""
        return self._spans[-1][1]

    def add(self, begins: float, ends: float) -> None:
        """Note that more of it is played then."""
        if self._spans and self._spans[-1][1] == begins:
            begins = self._spans.pop()[0]
        self._spans.append((begins, ends))

    def played(self, now: float) -> float:
        """Seconds of it that were played by then."""
        return sum(max(0.0, min(now, ends) - begins) for begins, ends in self._spans)
