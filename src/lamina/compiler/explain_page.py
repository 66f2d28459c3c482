"""The page of an explanation: one file, nothing fetched. A program is drawn as its rows in the order they run, with an arc from each
kernel to those that read what it made.

Here: HTML and SVG. Not here: what is told (explain.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

ROW, LEFT, BAR, TEXT = 22, 150, 120, 900
"""Pixels: a row's height; where arcs, bars and text have their room."""

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
pre { background: #f6f6f4; padding: 1em; overflow-x: auto }
svg { font: 12px ui-monospace, monospace; display: block }
path { fill: none; stroke: #8a93a6; stroke-opacity: .55 }
path:hover { stroke: #c0392b; stroke-opacity: 1; stroke-width: 2 }
circle { fill: #34495e }
circle.call { fill: #c0392b }
rect { fill: #9fb8d9 }
"""


def page(title: str, text: str, programs: Sequence[tuple[str, Sequence[Any]]]) -> str:
    """HTML of a title, the explanation's text, and programs: (name, steps)."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f"<pre>{escape(text)}</pre>",
    ]
    for name, steps in programs:
        parts.append(
            f"<h2>{escape(name)}</h2><p>Bars: time where it was measured, else bytes moved. Red: a call into NumPy.</p>"
        )
        parts.extend(_drawn(steps))
    return "\n".join([*parts, "</body></html>\n"])


def _drawn(steps: Sequence[Any]) -> Iterator[str]:
    yield f'<svg width="{LEFT + BAR + TEXT}" height="{ROW * (len(steps) + 1)}">'
    yield from _arcs(steps)
    sizes = [_size(step) for step in steps]
    most = max((*sizes, 1))
    for n, (step, size) in enumerate(zip(steps, sizes, strict=True)):
        y = ROW * n + ROW // 2 + 4
        kind = ' class="call"' if step.account is None else ""
        title = escape("\n".join((step.what, *step.lines)))
        yield f'<g><title>{title}</title><circle cx="{LEFT}" cy="{y}" r="4"{kind}/>'
        yield f'<rect x="{LEFT + 10}" y="{y - 6}" width="{BAR * size / most:.1f}" height="12"/>'
        yield f'<text x="{LEFT + BAR + 20}" y="{y + 4}">{escape(step.what[:120])}</text></g>'
    yield "</svg>"


def _arcs(steps: Sequence[Any]) -> Iterator[str]:
    maker: dict[Any, int] = {}
    for n, step in enumerate(steps):
        y = ROW * n + ROW // 2 + 4
        sources = {maker[v]: v for v in step.reads if v in maker and maker[v] != n}
        for source, v in sorted(sources.items(), key=lambda pair: pair[0]):
            start = ROW * source + ROW // 2 + 4
            out = LEFT - min(LEFT - 10, 14 + 6 * (n - source))
            yield f'<path d="M{LEFT} {start} C{out} {start} {out} {y} {LEFT} {y}"><title>{v!r}, {v.nbytes} bytes</title></path>'
        for v in step.writes:
            maker[v] = n


def _size(step: Any) -> int:
    if step.ns is not None:
        return int(step.ns)
    return 0 if step.account is None else int(step.account.read + step.account.written)
