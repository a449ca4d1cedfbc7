"""A conversation drawn on one time axis: user, tool and agent, and where the agent was cut.

The picture is SVG written as plain text; it follows the reader's light or dark setting.
"""

import json
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Final, Literal

import msgspec

from realtime_voice.audio.wire import PlayoutDrained, PlayoutStarted, SpeechStarted, SpeechStopped
from realtime_voice.events import AgentTranscript, Interrupted, ToolCall, ToolResult, TurnLatency, UserTranscript

Lane = Literal["user", "tool", "agent"]

LANES: Final[tuple[Lane, ...]] = ("user", "tool", "agent")
LEFT: Final = 84
RIGHT: Final = 36
LANE_TOPS: Final = {"user": 88, "tool": 196, "agent": 306}
BOTTOM: Final = 438
BAR_HEIGHT: Final = 44
LINE_HEIGHT: Final = 15
CHARACTER: Final = 6.3
PIXELS_PER_SECOND: Final = 42.0
MIN_WIDTH: Final = 900
MAX_WIDTH: Final = 2600
MAX_LINES: Final = {"user": 3, "tool": 2, "agent": 5}
LEVEL_STEP_S: Final = 0.04
LEVELS_KEPT: Final = 90_000  # an hour
LEVEL_FLOOR_DB: Final = -54.0

STYLE: Final = """\
    .paper { fill: #ffffff } .frame { fill: none; stroke: #d8dee6 }
    text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2733;
      paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round }
    .title { font-size: 16px; font-weight: 600 } .lane { font-size: 13px; font-weight: 600 }
    .dim { fill: #667382; font-size: 11px } .rule { stroke: #e6eaf0 } .axis { stroke: #b4bfcb }
    .user { fill: #2f7de1 } .tool { fill: #c07a12 } .agent { fill: #1f9d6b }
    .bed { opacity: .16 } .wave { opacity: .95 } .unheard { fill: url(#unheard) } .edge { fill: none; opacity: .55 }
    .edge.user { stroke: #2f7de1; fill: none } .edge.tool { stroke: #c07a12; fill: none }
    .edge.agent { stroke: #1f9d6b; fill: none } .hatch { stroke: #1f9d6b; opacity: .45 }
    .cut { stroke: #d6365a; stroke-width: 1.6; stroke-dasharray: 4 3 } .cutword { fill: #d6365a; font-weight: 600 }
    .wait { stroke: #667382; fill: none } .arrow { fill: #667382 }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #12171e } .frame { stroke: #2c3541 } text { fill: #e4eaf1; stroke: #12171e } .dim { fill: #95a3b3 }
      .rule { stroke: #222a34 } .axis { stroke: #4a5665 }
      .user { fill: #5aa2ff } .tool { fill: #e8a33d } .agent { fill: #41c98f }
      .edge.user { stroke: #5aa2ff } .edge.tool { stroke: #e8a33d } .edge.agent { stroke: #41c98f }
      .hatch { stroke: #41c98f } .cut { stroke: #ff6685 } .cutword { fill: #ff6685 }
      .wait { stroke: #95a3b3 } .arrow { fill: #95a3b3 }
    }"""


class Span(msgspec.Struct, omit_defaults=True):
    """Something that lasted: the user's or the agent's speech, or a tool's work."""

    lane: Lane
    start: float
    """Seconds on the conversation's clock."""
    end: float
    text: str = ""
    full_s: float | None = None
    """Seconds of speech there would have been, where the user cut it."""
    wait_s: float | None = None
    """Seconds from the end of the user's speech to the first sound of this answer."""


class Level(msgspec.Struct):
    """How loud both sides were at one moment."""

    time: float
    user_db: float
    """Peak, dBFS."""
    agent_db: float
    """Peak, dBFS."""


class Timeline(msgspec.Struct):
    """What happened when; `save` keeps it as JSON, `svg` draws it."""

    title: str = "conversation"
    spans: list[Span] = []
    levels: list[Level] = []

    def hear(self, time: float, user_db: float, agent_db: float) -> None:
        """Note both sides' loudness, dBFS peaks; calls closer than 40 ms keep the louder; after an hour no more."""
        if self.levels and time - self.levels[-1].time < LEVEL_STEP_S:
            last = self.levels[-1]
            last.user_db = max(last.user_db, user_db)
            last.agent_db = max(last.agent_db, agent_db)
        elif len(self.levels) < LEVELS_KEPT:
            self.levels.append(Level(time, user_db, agent_db))

    def save(self, path: str | Path) -> None:
        """Write the timeline as JSON. Raises OSError."""
        Path(path).write_bytes(msgspec.json.encode(self))

    @staticmethod
    def load(path: str | Path) -> "Timeline":
        """Read what `save` wrote. Raises OSError, or ValueError naming the file when it is something else."""
        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=Timeline)
        except msgspec.DecodeError as error:
            raise ValueError(f"{path} is not a saved timeline: {error}") from error

    def svg(self) -> str:
        """Draw the conversation as an SVG document."""
        return _Drawing(self).document()


class TimelineBuilder:
    """Makes a timeline out of a session's and an audio side's events as they happen."""

    def __init__(self, title: str) -> None:
        self.timeline = Timeline(title)
        self._speech: Span | None = None  # speech that goes on
        self._user: list[Span] = []  # speech not yet known as text
        self._tools: dict[str, Span] = {}
        self._agent: dict[str, Span] = {}

    def observe(self, event: object, time: float) -> None:
        """Note one event that came at `time`, seconds of the audio clock; events of no interest are left alone."""
        match event:
            case SpeechStarted(time=start):
                self._speech = self._add(Span("user", start, start))
                self._user.append(self._speech)
            case SpeechStopped(time=end) if self._speech is not None:
                self._speech.end = end
                self._speech = None
            case UserTranscript(text=text, final=True):
                self._hear(text, time)
            case ToolCall(call_id=call_id, name=name, arguments=arguments):
                self._tools[call_id] = self._add(Span("tool", time, time, call(name, arguments)))
            case ToolResult(call_id=call_id, output=output) if call_id in self._tools:
                span = self._tools[call_id]
                span.end = time
                span.text += f" → {output}"
            case PlayoutStarted(item_id=item_id, time=start):
                span = self._answer(item_id)
                span.start, span.end = start, start
                self._add(span)
            case PlayoutDrained(item_id=item_id, time=end):
                self._answer(item_id).end = end
            case AgentTranscript(item_id=item_id, text=text) if self._answer(item_id).full_s is None:
                self._answer(item_id).text = text
            case Interrupted(item_id=item_id, played_ms=played, received_ms=received, heard=heard):
                span = self._answer(item_id)
                span.text, span.full_s, span.end = heard, received / 1000, span.start + played / 1000
            case TurnLatency(item_id=item_id, speech_end_to_played_s=wait):
                self._answer(item_id).wait_s = wait

    def _add(self, span: Span) -> Span:
        self.timeline.spans.append(span)
        return span

    def _answer(self, item_id: str) -> Span:
        return self._agent.setdefault(item_id, Span("agent", 0.0, 0.0))

    def _hear(self, text: str, time: float) -> None:
        """Everything said since the last transcript was this text; pauses within it do not split it."""
        if not self._user:
            self._add(Span("user", time, time, text))
            return
        first, *others = self._user
        first.text = text
        first.end = max(span.end for span in self._user)
        for span in others:
            self.timeline.spans.remove(span)
        if self._speech in others:  # its end is still to come
            self._speech = first
        self._user.clear()


def call(name: str, arguments: dict[str, object]) -> str:
    """Write a tool call the way Python does: name(argument=value)."""
    return f"{name}({', '.join(f'{key}={json.dumps(value, ensure_ascii=False)}' for key, value in arguments.items())})"


class _Drawing:
    """One drawing: the scale and the pieces."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        spans = sorted(timeline.spans, key=lambda span: span.start)
        self.spans = spans
        self.begin = min((span.start for span in spans), default=0.0) - 0.5
        self.finish = max((span.end for span in spans), default=1.0) + 2.0
        length = self.finish - self.begin
        width = min(max(length * PIXELS_PER_SECOND, MIN_WIDTH), MAX_WIDTH)
        self.scale = width / length
        self.width = LEFT + width + RIGHT
        self.height = BOTTOM + 34

    def x(self, time: float) -> float:
        return LEFT + (time - self.begin) * self.scale

    def y(self, lane: Lane) -> float:
        return LANE_TOPS[lane]

    def document(self) -> str:
        pieces = (self.paper, self.axis, self.lanes, self.bars, self.waits, self.cuts, self.words)
        body = "\n".join(line for piece in pieces for line in piece())
        width, height = round(self.width), round(self.height)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img">\n'
            f"<title>{escape(self.timeline.title)}</title>\n<style>\n{STYLE}\n</style>\n"
            '<defs><pattern id="unheard" width="6" height="6" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><path d="M0 0V6" class="hatch" stroke-width="2"/></pattern></defs>\n'
            f"{body}\n</svg>\n"
        )

    def paper(self) -> Iterable[str]:
        yield f'<rect class="paper" width="{self.width:.0f}" height="{self.height:.0f}" rx="12"/>'
        yield (
            f'<rect class="frame" x=".5" y=".5" width="{self.width - 1:.0f}" height="{self.height - 1:.0f}" rx="11.5"/>'
        )
        yield f'<text class="title" x="24" y="34">{escape(self.timeline.title)}</text>'

    def axis(self) -> Iterable[str]:
        step = next((step for step in (1, 2, 5, 10, 30, 60, 300) if step * self.scale >= 38), 600)
        second = 0
        while second <= self.finish - self.begin - 0.5:
            x = self.x(self.begin + 0.5 + second)
            yield f'<path class="rule" d="M{x:.1f} {LANE_TOPS["user"] - 14}V{BOTTOM}"/>'
            yield f'<text class="dim" x="{x:.1f}" y="{BOTTOM + 18}" text-anchor="middle">{second} s</text>'
            second += step
        yield f'<path class="axis" d="M{LEFT - 8} {BOTTOM}H{self.width - RIGHT:.1f}"/>'

    def lanes(self) -> Iterable[str]:
        for lane in LANES:
            y = self.y(lane) + BAR_HEIGHT / 2 + 4
            yield f'<text class="lane {lane}" x="24" y="{y:.1f}">{lane}</text>'

    def bars(self) -> Iterable[str]:
        for position, span in enumerate(self.spans):
            x, y = self.x(span.start), self.y(span.lane)
            width = max(4.0, self.x(span.end) - x)
            box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR_HEIGHT}" rx="6"'
            yield f'<rect class="{span.lane} bed" {box}/>'
            yield f'<rect class="edge {span.lane}" {box}/>'
            if span.lane != "tool":
                yield from self.wave(span)
            if span.full_s is not None and span.full_s > span.end - span.start:
                edge = min(self.x(span.start + span.full_s), self.next_start(position) - 4, self.width - RIGHT)
                yield (
                    f'<rect class="unheard" x="{x + width:.1f}" y="{y + 6:.1f}" '
                    f'width="{max(0.0, edge - x - width):.1f}" height="{BAR_HEIGHT - 12}" rx="4"/>'
                )

    def room(self, position: int) -> float:
        """Pixels for the words of a span: up to the next span of its lane."""
        return min(self.next_start(position) - self.x(self.spans[position].start) - 10, 300.0)

    def next_start(self, position: int) -> float:
        """Where the next span of the same lane begins."""
        lane = self.spans[position].lane
        following = (other.start for other in self.spans[position + 1 :] if other.lane == lane)
        return self.x(next(following, self.finish))

    def words(self) -> Iterable[str]:
        for position, span in enumerate(self.spans):
            columns = max(8, int(self.room(position) / CHARACTER))
            for number, line in enumerate(_wrap(span.text, columns, MAX_LINES[span.lane])):
                y = self.y(span.lane) + BAR_HEIGHT + 17 + number * LINE_HEIGHT
                yield f'<text x="{self.x(span.start):.1f}" y="{y:.1f}">{escape(line)}</text>'

    def wave(self, span: Span) -> Iterable[str]:
        middle = self.y(span.lane) + BAR_HEIGHT / 2
        points = []
        for level in self.timeline.levels:
            if span.start <= level.time <= span.end:
                db = level.user_db if span.lane == "user" else level.agent_db
                size = max(0.0, 1.0 - db / LEVEL_FLOOR_DB) ** 1.5
                points.append((self.x(level.time), max(0.8, size * (BAR_HEIGHT / 2 - 4))))
        if len(points) < 2:
            return
        upper = " ".join(f"{x:.1f} {middle - size:.1f}" for x, size in points)
        lower = " ".join(f"{x:.1f} {middle + size:.1f}" for x, size in reversed(points))
        yield f'<path class="{span.lane} wave" d="M{upper} {lower}Z"/>'

    def waits(self) -> Iterable[str]:
        """From the end of the user's speech to the first sound of the answer."""
        for span in self.spans:
            if span.lane != "agent" or span.wait_s is None:
                continue
            start, end = self.x(span.start - span.wait_s), self.x(span.start)
            top, bottom = self.y("user") + BAR_HEIGHT, self.y("agent") - 12
            yield f'<path class="wait" d="M{start:.1f} {top + 2}V{bottom}H{end - 4:.1f}" stroke-dasharray="1 3"/>'
            yield f'<path class="arrow" d="M{end:.1f} {bottom}l-6 -3.5v7z"/>'
            yield (f'<text class="dim" x="{end + 4:.1f}" y="{bottom + 4}">{_seconds(span.wait_s)} to answer</text>')

    def cuts(self) -> Iterable[str]:
        for span in self.spans:
            if span.full_s is None:
                continue
            x = self.x(span.end)
            yield f'<path class="cut" d="M{x:.1f} {self.y("user") - 22}V{self.y("agent") + BAR_HEIGHT + 6}"/>'
            words = f"cut: {span.end - span.start:.1f} s of {span.full_s:.1f} s heard"
            yield f'<text class="cutword" x="{x + 6:.1f}" y="{self.y("user") - 14}">{words}</text>'


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1.0 else f"{seconds:.2f} s"


def _wrap(text: str, columns: int, most: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= columns:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1] + " …"]
