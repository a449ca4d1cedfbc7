"""From the peer's messages to the speaker, with an exact account of what the user has heard."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Literal, cast

from realtime_core.delta import Delta, DeltaDecoder
from realtime_voice.audio.barge_in import BargeInRule
from realtime_voice.audio.pace import Pace
from realtime_voice.audio.prefill import Prefill
from realtime_voice.audio.wire import AudioEvent, BargeIn, Heard, PlayoutDrained, PlayoutStarted, Wire

if TYPE_CHECKING:
    from realtime_core.duplex import Duplex, DuplexEvent

BACKLOG_BYTES: Final = 32 * 1024 * 1024
ITEMS_KEPT: Final = 256
HISTORY: Final = 1024


class _Item:
    """One response item's audio: how much came, and which ring positions it went to."""

    def __init__(self, item_id: str, content_index: int) -> None:
        self.item_id = item_id
        self.content_index = content_index
        self.received = 0  # samples at the wire's rate
        self.response_id = ""
        self.segments: list[tuple[int, int]] = []  # ring positions; one pair unless items interleave
        self.played = 0  # samples of earlier parts
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


class _Run:
    """A stretch of the ring that is played without a gap: one sample per frame of the device."""

    __slots__ = ("end", "frame", "start")

    def __init__(self, frame: int, start: int, end: int | None = None) -> None:
        self.frame = frame
        self.start = start
        self.end = end  # None: it goes on

    def reached(self, frame: int | None) -> int:
        """Position reached before a frame, or in the end."""
        position = self.start if frame is None else self.start + max(0, frame - self.frame)
        if self.end is None:
            return position
        return self.end if frame is None else min(position, self.end)


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
        barge_in: BargeInRule = BargeInRule(),  # noqa: B008  frozen
        prefill: Prefill | None = None,
    ) -> None:
        self.backlog_bytes = backlog_bytes
        """Bytes that may wait beyond the ring before `full`."""
        self.late = 0
        """Messages for an item already cut, not played."""
        self.dropped = 0
        """Bytes refused because a host went on feeding twice the backlog's bound."""
        self.observer: Callable[[AudioEvent], object] | None = None
        """Called with each event as it happens, whoever takes it from `events`."""
        self.tell_events: Callable[[], object] = lambda: None
        """Makes an owner other than the session hand it the events; called before each of the peer's messages."""
        self.latency_s = latency_s
        """Seconds by which the device's count of frames is ahead of what sounds."""
        self.measure: Callable[[int], float] | None = None
        """Tells `latency_s` of that many frames, for a device that knows better than by a constant."""
        self._duplex = duplex
        self._ring = duplex.playout
        self._rate = rate
        self._wire = wire
        self._clock = clock
        self._decoder = DeltaDecoder(self._ring, rate, wire_format=wire.encoding, wire_rate=wire.rate)
        self._backlog: deque[tuple[_Item, memoryview]] = deque()
        self._backlog_bytes = 0
        self.barge_in = barge_in
        """Who may interrupt."""
        self._interruptible = self._attended = True
        self._prefill = prefill or Prefill(0)
        self._pace = Pace()
        self._ppm = 0.0
        self._is_streaming = False  # at the last look
        self._items: OrderedDict[str, _Item] = OrderedDict()
        self._unheard: dict[str, _Item] = {}  # those whose beginning or end is still to be told
        self._current: _Item | None = None
        self._streaming_cut: set[str] = set()  # cut items whose deltas may still come
        self._cut_responses: set[str] = set()  # that may go on with other items
        self._generation = duplex.generation
        self._frames = 0  # the device has asked for
        self._runs: deque[_Run] = deque([_Run(0, 0, 0)], maxlen=HISTORY)
        self._events: deque[AudioEvent] = deque(maxlen=HISTORY)
        self._observe()
        self._listen()

    # What the peer sends

    def feed(self, message: bytes | str) -> Delta | None:
        """Take one whole message; None when it is not output audio.

        Raises ValueError for a malformed audio delta. A delta of an item or response already cut is
        returned and not played.
        """
        self._follow()
        delta = self._decoder.feed(message)
        if delta is None:
            return None
        if delta.item_id not in self._items and delta.response_id in self._cut_responses:
            self._refuse()
            return delta
        item = self._item(delta.item_id, delta.content_index)
        if item.cut:
            self._refuse()
            return delta
        if self._cut_responses:
            self._cut_responses.clear()
            self._settle()
        item.response_id = delta.response_id
        self._arrived(item, delta.samples)
        self._take(item, delta.start, delta.end, delta.pcm)
        return delta

    def feed_audio(self, item_id: str, audio_base64: str, content_index: int = 0) -> None:
        """Take the base64 audio of one delta, for hosts that hand over no messages; ValueError when malformed."""
        self._follow()
        item = self._item(item_id, content_index)
        start, end, pcm = self._decoder.feed_audio(audio_base64)
        if item.cut:
            self._refuse()
            return
        bytes_per_sample = 2 if self._wire.encoding == "pcm" else 1
        padding = len(audio_base64) - len(audio_base64.rstrip("="))
        self._arrived(item, (len(audio_base64) * 3 // 4 - padding) // bytes_per_sample)
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
            self._prefill.ended()
            self._take(item, *self._decoder.flush())
            self._settle()

    # Whether the user may speak

    @property
    def interruptible(self) -> bool:
        """False: nothing that the user says silences the agent; for the session."""
        return self._interruptible

    @interruptible.setter
    def interruptible(self, interruptible: bool) -> None:
        self._interruptible = interruptible
        self._listen()

    @property
    def attended(self) -> bool:
        """False: the microphone is muted, or the key to talk is not held; for the audio side."""
        return self._attended

    @attended.setter
    def attended(self, attended: bool) -> None:
        self._attended = attended
        self._listen()

    @property
    def heeds_server(self) -> bool:
        """The server's word that the user speaks is to silence the agent."""
        return self._interruptible and self.barge_in.heeds_server

    # What the user hears

    def flush(self) -> list[Heard]:
        """Silence the speaker at the device's next block and drop what waits; late deltas will not play.

        Returns how much was heard of each item not yet played to its end, oldest first.
        """
        self._observe()
        heard = self._cut(self._duplex.played, self._sounding)
        self._duplex.flush()
        return heard

    def played_ms(self, item_id: str) -> int:
        """Milliseconds of the item that reached the speaker so far; 0 for an item not known."""
        item = self._items.get(item_id)
        if item is None:
            return 0
        self._observe()
        return self._played_ms(item, self._sounding)

    def received_ms(self, item_id: str) -> int:
        """Milliseconds of the item that have arrived; 0 for an item not known."""
        item = self._items.get(item_id)
        return 0 if item is None else self._received_ms(item)

    def pump(self) -> None:
        """Move what waits into the ring and note what the speaker has reached; called every hop."""
        if self._backlog:
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
                _, last = self._frames_of(item) or (0, self._sounding)
                self._tell(PlayoutDrained(item.item_id, self._time_of(min(last, self._sounding))))

    def events(self) -> list[AudioEvent]:
        """Playout events since the last call."""
        self._follow()
        events = list(self._events)
        self._events.clear()
        return events

    @property
    def has_events(self) -> bool:
        """Something happened since `events` was called."""
        return bool(self._events)

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
        run = self._runs[-1]
        return self._sounding < run.frame or run.reached(self._sounding) < self._ring.head

    @property
    def pace_ppm(self) -> float:
        """How much faster than the speaker's clock a source in real time runs, as it is allowed for."""
        return self._pace.ppm

    # How

    def _keep_pace(self) -> None:
        streaming = self._current is not None and not self._backlog
        if not streaming and not self._is_streaming:
            return
        self._is_streaming = streaming
        waiting_s = (self._ring.head - self._duplex.played) / self._rate
        ppm = self._pace.observe(self._clock(), waiting_s, streaming=streaming)
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
                self._settle()
                self._unheard.pop(oldest, None)
        if not item.cut and item is not self._current:
            item.ended = item.drained = False  # another content part of the same item goes on where it ended
            self._unheard[item_id] = item
            self._current = item
            self._duplex.expecting = True
        return item

    def _arrived(self, item: _Item, samples: int) -> None:
        self._prefill.arrived(self._clock(), samples / self._wire.rate, begins=item.received == 0)
        item.received += samples
        self._duplex.prefill = round(self._prefill.seconds * self._rate)

    def _listen(self) -> None:
        rule = self.barge_in
        if not rule.is_local:
            return
        if self._interruptible and self._attended:
            self._duplex.listen(
                confirm_ms=rule.confirm_ms,
                confirm_probability=rule.confirm_probability,
                onset_probability=rule.confirm_probability,
                duck_db=rule.duck_db,
            )
        else:
            self._duplex.ignore()

    def _refuse(self) -> None:
        self.late += 1
        self._decoder.reset()

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
        # While deltas of a cut item or response may come the decoder must not write before it is known whose they are.
        self._decoder.hold = bool(self._backlog or self._streaming_cut or self._cut_responses)
        self._duplex.expecting = bool(self._backlog or self._current is not None)

    def _unfinished(self, played: int) -> Iterator[_Item]:
        for item in self._items.values():
            if not item.cut and not item.drained and not (item.ended and not item.waiting and played >= item.end):
                yield item

    def _cut(self, played: int, frame: int | None) -> list[Heard]:
        """Refuse what ends beyond a ring position; return what was heard of it before a frame, or in the end."""
        heard = []
        for item in self._unfinished(played):
            heard.append(Heard(item.item_id, item.content_index, self._played_ms(item, frame), self._received_ms(item)))
            item.cut = True
            item.waiting = 0
            if item.response_id:
                self._cut_responses.add(item.response_id)
            if not item.ended:
                self._streaming_cut.add(item.item_id)
        self._backlog.clear()
        self._backlog_bytes = 0
        self._current = None
        self._decoder.reset()
        self._settle()
        return heard

    # What the device did

    def _follow(self) -> None:
        """Learn of a cut that the callback made, before anything is written that may belong to what it cut."""
        if self._duplex.generation != self._generation:
            self._observe()

    def _observe(self) -> None:
        self._frames = self._duplex.frames  # first: all that happened in these frames is told then
        if self.measure is not None:
            self.latency_s = self.measure(self._frames)
        for event in self._duplex.events():
            run = self._runs[-1]
            if event.kind == "started":
                self._runs.append(_Run(event.frame, event.position))
            elif event.kind in {"drained", "flushed", "cut"} and run.end is None:
                run.end = event.position
            if event.kind == "flushed":
                self._runs.append(_Run(event.frame, event.jumped_to, event.jumped_to))
            elif event.kind in {"ducked", "cut", "restored"}:
                self._barge_in(event)

    def _barge_in(self, event: "DuplexEvent") -> None:
        action = cast('Literal["ducked", "cut", "restored"]', event.kind)
        heard: list[Heard] = []
        if action == "cut":
            heard = self._cut(event.position, None)
            self._generation += 1
            self._duplex.accept(self._generation)
            self._runs.append(_Run(event.frame, self._ring.head, self._ring.head))  # nothing before it is played
        time = self._time_of(event.frame)
        after_s = (event.frame - event.speech) / self._rate
        self._tell(BargeIn(action, time, after_s, event.probability, tuple(heard)))

    @property
    def _sounding(self) -> int:
        """The device's frame that sounds now."""
        return self._frames - round(self.latency_s * self._rate)

    def _time_of(self, frame: int) -> float:
        """When a frame sounds, on the audio clock."""
        return self._clock() + (frame - self._sounding) / self._rate

    def _frames_of(self, item: _Item) -> tuple[int, int] | None:
        """Find the frame of the item's first sample played and the one behind its last; None while none was."""
        frames = [
            (run.frame + max(start, run.start) - run.start, run.frame + min(end, reached) - run.start)
            for run in self._runs
            for reached in (run.reached(self._frames),)
            for start, end in item.segments
            if max(start, run.start) < min(end, reached)
        ]
        return (frames[0][0], frames[-1][1]) if frames else None

    def _played(self, item: _Item, frame: int | None) -> int:
        """Count the samples of the item that sounded before a frame, or in the end."""
        played = item.played
        for run in self._runs:
            reached = run.reached(frame)
            for start, end in item.segments:
                played += max(0, min(end, reached) - max(start, run.start))
        return played

    def _played_ms(self, item: _Item, frame: int | None) -> int:
        return min(self._played(item, frame) * 1000 // self._rate, self._received_ms(item))

    def _received_ms(self, item: _Item) -> int:
        return item.received * 1000 // self._wire.rate

    def _note(self) -> None:
        """Tell of beginnings and ends that have been heard, and forget what is over."""
        if not self._unheard and len(self._runs) == 1:
            return
        sounding = self._sounding
        position = max(run.reached(sounding) for run in self._runs if run.frame <= max(0, sounding))
        for item in list(self._unheard.values()):
            if not item.segments:
                if item.cut or (item.ended and not item.waiting):
                    del self._unheard[item.item_id]  # it never had a sound
                continue
            is_over = position >= item.end and not item.waiting and (item.ended or item.cut)
            if item.started and not is_over:
                continue
            frames = self._frames_of(item)
            if not item.started and frames is not None and sounding > frames[0]:
                item.started = True
                self._tell(PlayoutStarted(item.item_id, self._time_of(frames[0])))
            if is_over:
                item.drained = True
                del self._unheard[item.item_id]
                item.played = self._played(item, sounding)
                item.segments.clear()
                if item.started and frames is not None:
                    self._tell(PlayoutDrained(item.item_id, self._time_of(frames[1])))
        if len(self._runs) == 1:
            return
        oldest = min((item.segments[0][0] for item in self._unheard.values() if item.segments), default=position)
        while len(self._runs) > 1 and self._runs[1].start <= min(oldest, position) and self._runs[1].frame <= sounding:
            self._runs.popleft()

    def _tell(self, event: AudioEvent) -> None:
        self._events.append(event)
        if self.observer is not None:
            self.observer(event)
