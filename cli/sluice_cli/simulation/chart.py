"""A chart over time as SVG, without any library."""

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 900, 180, 60, 30, 40
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b")


def stacked_charts(title: str, panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]) -> str:
    """Return an SVG with one panel above the other over one axis of seconds; each holds step lines by name, as (second, value)."""
    end = max((point[0] for lines in panels.values() for line in lines.values() for point in line), default=0.0) or 1.0
    height = _TOP + len(panels) * (_HEIGHT + _GAP) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="15">{escape(title)}</text>',
    ]
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    for index, (heading, lines) in enumerate(panels.items()):
        parts += _panel(heading, lines, names, _TOP + index * (_HEIGHT + _GAP), end)
    for index, name in enumerate(names):
        x = _LEFT + index * 140
        parts.append(f'<rect x="{x}" y="{height - 16}" width="10" height="10" fill="{_colour(index)}"/>')
        parts.append(f'<text x="{x + 14}" y="{height - 7}">{escape(name)}</text>')
    return "\n".join((*parts, "</svg>", ""))


def _panel(
    heading: str, lines: Mapping[str, Sequence[tuple[float, float]]], names: Sequence[str], top: float, end: float
) -> list[str]:
    largest = max((value for line in lines.values() for _, value in line), default=0.0) or 1.0
    wide, bottom = _WIDTH - _LEFT - 20, top + _HEIGHT
    parts = [
        f'<text x="{_LEFT}" y="{top + 12}">{escape(heading)}</text>',
        f'<path d="M{_LEFT} {top + 18}V{bottom}H{_LEFT + wide}" fill="none" stroke="black"/>',
        f'<text x="{_LEFT - 6}" y="{top + 26}" text-anchor="end">{largest:g}</text>',
        f'<text x="{_LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{_LEFT + wide}" y="{bottom + 14}" text-anchor="end">{end:.0f} s</text>',
    ]
    for name, line in lines.items():
        points = [(_LEFT + wide * at / end, bottom - (_HEIGHT - 18) * value / largest) for at, value in line]
        if points:
            steps = "".join(f"H{x:.1f}V{y:.1f}" for x, y in points[1:])
            parts.append(
                f'<path d="M{points[0][0]:.1f} {points[0][1]:.1f}{steps}" fill="none" stroke="{_colour(names.index(name))}"/>'
            )
    return parts


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]
