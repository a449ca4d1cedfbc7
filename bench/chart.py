"""Plots as SVG of straight lines and text, without a plotting library."""

from dataclasses import dataclass, field
from html import escape
from math import log10

COLOURS = ["#0a7d4b", "#0b62c4", "#c2410c", "#777777", "#9333ea", "#b7791f", "#0e7490", "#be185d", "#4d7c0f"]


@dataclass
class Axis:
    """From a value to a place along the axis; ticks are the values written beside it."""

    title: str
    low: float
    high: float
    ticks: list[float]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Part of the axis, 0 to 1; values beyond its ends lie on them."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            return log10(value / self.low) / log10(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass
class Chart:
    """Lines and labelled points over two axes."""

    x: Axis
    y: Axis
    width: int = 640
    height: int = 360
    _marks: list[str] = field(default_factory=list)
    _names: list[tuple[str, str]] = field(default_factory=list)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return self.x.place(x) * self.width, (1 - self.y.place(y)) * self.height

    def line(self, name: str, points: list[tuple[float, float]], colour: str) -> None:
        """Draw a curve; its name goes into the legend."""
        path = " ".join("{:.1f},{:.1f}".format(*self._at(*point)) for point in points)
        self._marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        self._names.append((name, colour))

    def point(self, name: str, x: float, y: float, colour: str) -> None:
        """Draw a dot with its name beside it, on the side where there is room."""
        left, top = self._at(x, y)
        side = ("end", -8) if left > self.width * 0.7 else ("start", 8)
        self._marks.append(
            f'<circle cx="{left:.1f}" cy="{top:.1f}" r="4" fill="{colour}"/>'
            f'<text x="{left + side[1]:.1f}" y="{top + 4:.1f}" text-anchor="{side[0]}" fill="{colour}">{escape(name)}'
            "</text>"
        )

    def svg(self) -> str:
        """The whole picture."""
        width, height = self.width + 100, self.height + 75
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-70 -20 {width} {height}" font-size="12">',
            f'<rect x="-70" y="-20" width="{width}" height="{height}" fill="white"/>',
        ]
        for tick in self.x.ticks:
            left = self.x.place(tick) * self.width
            out.append(
                f'<line x1="{left:.1f}" x2="{left:.1f}" y1="0" y2="{self.height}" stroke="#ddd"/>'
                f'<text x="{left:.1f}" y="{self.height + 18}" text-anchor="middle">{tick:g}</text>'
            )
        for tick in self.y.ticks:
            top = (1 - self.y.place(tick)) * self.height
            out.append(
                f'<line x1="0" x2="{self.width}" y1="{top:.1f}" y2="{top:.1f}" stroke="#ddd"/>'
                f'<text x="-8" y="{top + 4:.1f}" text-anchor="end">{tick:g}</text>'
            )
        out.append(
            f'<text x="{self.width / 2}" y="{self.height + 42}" text-anchor="middle">{escape(self.x.title)}</text>'
            f'<text transform="translate(-52 {self.height / 2}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y.title)}</text>"
        )
        out += self._marks
        for index, (name, colour) in enumerate(self._names):
            top = self.height - 16 * (len(self._names) - index) - 4
            out.append(f'<text x="12" y="{top}" fill="{colour}">{escape(name)}</text>')
        return "\n".join([*out, "</svg>\n"])
