"""From the peer's messages to the speaker, with an exact account of what the user has heard."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from realtime_core.delta import Delta, DeltaDecoder
from realtime_voice.audio.pace import Pace
from realtime_voice.audio.wire import AudioEvent, Heard, PlayoutDrained, PlayoutStarted, Wire

if TYPE_CHECKING:
    from realtime_core.duplex import Duplex

BACKLOG_BYTES: Final = 32 * 1024 * 1024
ITEMS_KEPT: Final = 256
HISTORY: Final = 1024


class _Item:
    """One response item's audio: how much came, and which ring positions it went to."""

    def __init__(self, item_id: str, content_index: int) -> None:
        self.item_id = item_id
        self.content_index = content_index
        self.received = 0  # samples at the wire's rate
        self.segments: list[tuple[int, int]] = []  # ring positions; one pair unless items interleave
        self.waiting = 0  # bytes in the backlog
        self.ended = False
        self.cut = False
        self.started = False
        self.drained = False

    def place(self, start: int, end: int) -> None:
        """Note that ring positions [start, end) hold this item."""
        if start == end:
            return
        if self.segments and self.segments[-1][1] == start:
            start = self.segments.pop()[0]
        self.segments.append((start, end))

    @property
    def end(self) -> int:
        """Ring position behind the item's last sample; 0 when nothing was placed."""
        return self.segments[-1][1] if self.segments else 0


class Playout:
    """The speaker side of a session: ring, delta decoder, marks and a bounded backlog.

    Answers arrive several times faster than they are spoken. What the ring cannot hold waits in a
    backlog, in order; when that is at its bound `full` asks the session to stop reading its socket.
    Positions are counted in the ring's samples, so what was heard is a fact and not an estimate:
    frames handed to the device, minus the device's latency, minus what a flush skipped.

    All methods belong to the event loop's thread; only the device reads the ring.
    """

    def __init__(
        self,
        duplex: "Duplex",
        rate: int,
        wire: Wire,
        *,
        clock: Callable[[], float],
        latency_s: float = 0.0,
        backlog_bytes: int = BACKLOG_BYTES,
    ) -> None:
        self.backlog_bytes = backlog_bytes
        """Bytes that may wait beyond the ring before `full`."""
        self.late = 0
        """Messages for an item already cut, not played."""
        self.dropped = 0
        """Bytes refused because a host went on feeding twice the backlog's bound."""
        self.observer: Callable[[AudioEvent], object] | None = None
        """Called with each event as it happens, whoever takes it from `events`."""
        self.latency_s = latency_s
        """Seconds from the device's taking a sample to the speaker's sounding it."""
        self._duplex = duplex
        self._ring = duplex.playout
        self._rate = rate
        self._wire = wire
        self._clock = clock
        self._decoder = DeltaDecoder(self._ring, rate, wire_format=wire.encoding, wire_rate=wire.rate)
        self.backlog_bytes = backlog_bytes
        """How much may wait before `full`."""
        self._backlog: deque[tuple[_Item, memoryview]] = deque()
        self._backlog_bytes = 0
        self._pace = Pace()
        self._ppm = 0.0
        self._items: OrderedDict[str, _Item] = OrderedDict()
        self._current: _Item | None = None
        self._streaming_cut: set[str] = set()  # cut items whose deltas may still come
        self._skipped: deque[tuple[int, int]] = deque(maxlen=HISTORY)
        self._observed: deque[tuple[int, int]] = deque(maxlen=HISTORY)  # (device frames, ring position played)
        self._events: deque[AudioEvent] = deque(maxlen=HISTORY)
        self._observe()

    # What the peer sends

    def feed(self, message: bytes | str) -> Delta | None:
        """Take one whole message; None when it is not output audio.

        Raises ValueError for a malformed audio delta. A delta of an item already cut is returned
        and not played.
        """
        delta = self._decoder.feed(message)
        if delta is None:
            return None
        item = self._item(delta.item_id, delta.content_index)
        if self._refused(item):
            return delta
        item.received += delta.samples
        self._take(item, delta.start, delta.end, delta.pcm)
        return delta

    def feed_audio(self, item_id: str, audio_base64: str, content_index: int = 0) -> None:
        """Take the base64 audio of one delta, for hosts that hand over no messages; ValueError when malformed."""
        item = self._item(item_id, content_index)
        start, end, pcm = self._decoder.feed_audio(audio_base64)
        if self._refused(item):
            return
        bytes_per_sample = 2 if self._wire.encoding == "pcm" else 1
        padding = len(audio_base64) - len(audio_base64.rstrip("="))
        item.received += (len(audio_base64) * 3 // 4 - padding) // bytes_per_sample
        self._take(item, start, end, pcm)

    def end_item(self, item_id: str) -> None:
        """No more audio of this item will come; an unknown or ended item changes nothing."""
        item = self._items.get(item_id)
        if item is None or item.ended:
            return
        item.ended = True
        if item.cut:
            self._streaming_cut.discard(item_id)
            self._settle()
        if item is self._current:
            self._current = None
            self._take(item, *self._decoder.flush())
            self._settle()

    # What the user hears

    def flush(self) -> list[Heard]:
        """Silence the speaker at the device's next block and drop what waits; late deltas will not play.

        Returns how much was heard of each item not yet played to its end, oldest first.
        """
        self._observe()
        heard = []
        for item in self._unfinished():
            received = self._received_ms(item)
            heard.append(Heard(item.item_id, item.content_index, self._played_ms(item), received))
            item.cut = True
            item.waiting = 0
            if not item.ended:
                self._streaming_cut.add(item.item_id)
        self._backlog.clear()
        self._backlog_bytes = 0
        self._current = None
        self._decoder.reset()
        self._duplex.flush()
        self._settle()
        return heard

    def played_ms(self, item_id: str) -> int:
        """Milliseconds of the item that reached the speaker so far; 0 for an item not known."""
        item = self._items.get(item_id)
        if item is None:
            return 0
        self._observe()
        return self._played_ms(item)

    def received_ms(self, item_id: str) -> int:
        """Milliseconds of the item that have arrived; 0 for an item not known."""
        item = self._items.get(item_id)
        return 0 if item is None else self._received_ms(item)

    def pump(self) -> None:
        """Move what waits into the ring and note what the speaker has reached; called every hop."""
        self._fill()
        self._settle()
        self._observe()
        self._note()
        self._keep_pace()

    def close(self) -> None:
        """Playing ends here: tell the end of every item that had begun to sound."""
        self.pump()
        for item in self._items.values():
            if item.started and not item.drained:
                item.drained = True
                end = min(self._last_played(item), self._position())
                self._tell(PlayoutDrained(item.item_id, self._clock() - self._since(end, self._observed[0])))

    def events(self) -> list[AudioEvent]:
        """Playout events since the last call."""
        events = list(self._events)
        self._events.clear()
        return events

    @property
    def full(self) -> bool:
        """The backlog is at its bound: do not read the socket until it is not."""
        return self._backlog_bytes >= self.backlog_bytes

    @property
    def active(self) -> bool:
        """Something is waiting, queued or still sounding."""
        if self._backlog or self._duplex.played < self._ring.head:
            return True
        self._observe()
        return self._position() < self._ring.head

    @property
    def pace_ppm(self) -> float:
        """How much faster than the speaker's clock a source in real time runs, as it is allowed for."""
        return self._pace.ppm

    # How

    def _keep_pace(self) -> None:
        waiting_s = (self._ring.head - self._duplex.played) / self._rate
        ppm = self._pace.observe(self._clock(), waiting_s, streaming=self._current is not None and not self._backlog)
        if ppm != self._ppm:
            self._ppm = ppm
            self._decoder.adjust(ppm)

    def _item(self, item_id: str, content_index: int) -> _Item:
        item = self._items.get(item_id)
        if item is None:
            if self._current is not None:
                self.end_item(self._current.item_id)
            item = self._items[item_id] = _Item(item_id, content_index)
            if len(self._items) > ITEMS_KEPT:
                oldest, _ = self._items.popitem(last=False)
                self._streaming_cut.discard(oldest)
        if not item.cut and item is not self._current:
            item.ended = item.drained = False  # another content part of the same item goes on where it ended
            self._current = item
            self._duplex.expecting = True
        return item

    def _refused(self, item: _Item) -> bool:
        if not item.cut:
            return False
        self.late += 1
        self._decoder.reset()
        return True

    def _take(self, item: _Item, start: int, end: int, pcm: bytes | None) -> None:
        item.place(start, end)
        if not pcm:
            return
        start = self._ring.head
        if not self._backlog and self._ring.write_entire(pcm):
            item.place(start, self._ring.head)
        elif self._backlog_bytes + len(pcm) > 2 * self.backlog_bytes:
            self.dropped += len(pcm)
        else:
            self._backlog.append((item, memoryview(pcm)))
            self._backlog_bytes += len(pcm)
            item.waiting += len(pcm)
            self._fill()
            self._settle()

    def _fill(self) -> None:
        while self._backlog:
            item, pcm = self._backlog[0]
            start = self._ring.head
            taken = self._ring.write(pcm[: 2 * self._ring.writable])
            item.place(start, start + taken)
            item.waiting -= 2 * taken
            self._backlog_bytes -= 2 * taken
            if 2 * taken < len(pcm):
                self._backlog[0] = (item, pcm[2 * taken :])
                break
            self._backlog.popleft()

    def _settle(self) -> None:
        # While deltas of a cut item may come the decoder must not write before the item is known.
        self._decoder.hold = bool(self._backlog or self._streaming_cut)
        self._duplex.expecting = bool(self._backlog or self._current is not None)

    def _unfinished(self) -> Iterator[_Item]:
        played = self._duplex.played
        for item in self._items.values():
            if not item.cut and not item.drained and not (item.ended and not item.waiting and played >= item.end):
                yield item

    def _observe(self) -> None:
        self._skipped.extend(self._duplex.flushes())
        frames = int(self._duplex.stats()["frames"])
        if self._observed and self._observed[-1][0] == frames:
            self._observed.pop()
        self._observed.append((frames, self._duplex.played))
        while len(self._observed) > 2 and self._observed[1][0] < self._sounding:
            self._observed.popleft()

    @property
    def _sounding(self) -> int:
        """The device's frame that sounds now; the first two observations enclose it."""
        return self._observed[-1][0] - round(self.latency_s * self._rate)

    def _position(self) -> int:
        """Ring position that has reached the speaker, by the last observation.

        The device took every frame in turn, silence included; between two observations the ring
        position grew with the frames until it met the second one.
        """
        frames, played = self._observed[0]
        if len(self._observed) == 1 or self._sounding < frames:
            return played
        return min(self._observed[1][1], played + self._sounding - frames)

    def _since(self, position: int, observation: tuple[int, int]) -> float:
        """Seconds since a ring position sounded, counted from an observation that joins it without silence."""
        frames, played = observation
        return max(0.0, (self._sounding - frames - (position - played)) / self._rate)

    def _played(self, item: _Item) -> int:
        """Count the samples of the item that have reached the speaker."""
        position = self._position()
        samples = 0
        for start, end in item.segments:
            stop = min(end, position)
            samples += max(0, stop - start)
            samples -= sum(max(0, min(stop, jump) - max(start, skip)) for skip, jump in self._skipped)
        return samples

    def _played_ms(self, item: _Item) -> int:
        return min(self._played(item) * 1000 // self._rate, self._received_ms(item))

    def _received_ms(self, item: _Item) -> int:
        return item.received * 1000 // self._wire.rate

    def _note(self) -> None:
        position = self._position()
        now = self._clock()
        for item in self._items.values():
            if item.drained or not item.segments:
                continue
            start = item.segments[0][0]
            if not item.started and position > start and self._played(item) > 0:
                item.started = True
                after = self._observed[min(1, len(self._observed) - 1)]  # silence, if any, came before it
                self._tell(PlayoutStarted(item.item_id, now - self._since(start, after)))
            end = self._last_played(item)
            if position >= end and not item.waiting and (item.ended or item.cut):
                item.drained = True
                if item.started:
                    before = self._observed[0]  # silence, if any, comes after it
                    self._tell(PlayoutDrained(item.item_id, now - self._since(end, before)))

    def _tell(self, event: AudioEvent) -> None:
        self._events.append(event)
        if self.observer is not None:
            self.observer(event)

    def _last_played(self, item: _Item) -> int:
        """Ring position where the item's sound ends: behind its last sample, or where a flush stopped it."""
        start = item.segments[0][0]
        return min([item.end, *(skip for skip, _ in self._skipped if start <= skip < item.end)])
