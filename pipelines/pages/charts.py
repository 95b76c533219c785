"""
Charts as SVG: the same file for the same values, whatever machine drew it and when.

Colours are middling ones, which can be seen on white as well as on a dark page, and text is kept as
text. Labels are never read as mathematics: a book or a model may be called `$x^`.
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from matplotlib.typing import RcKeyType

WIDTH = 4.4
"""Inches of every chart: narrow enough for a telephone."""
LEGEND_CHARACTERS = 60
"""As many fit in a line of that width."""
INK, GRID = "#6b7684", "#8b95a3"
ACCENT, MUTED = "#2f7fd1", "#8793a2"
PALETTE = (ACCENT, "#c9741f", "#3a9a63", "#a05fc4", "#c9538f", "#1f9aa8", "#948a1d", MUTED)
STYLE: dict[RcKeyType, Any] = {
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",  # comes with matplotlib: widths are the same everywhere
    "font.size": 9,
    "legend.frameon": False,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "bookrec",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.color": GRID,
    "ytick.labelcolor": INK,
}
NEITHER_DATE_NOR_MAKER = dict.fromkeys(("Date", "Creator", "Format", "Type"))
PLACES = [(6, 0), (-6, 0), (0, 7), (0, -7), (6, 8), (-6, 8), (6, -8), (-6, -8), (0, 16), (0, -16)]
"""Where a label may stand beside its point, in typographic points, the best first."""


@dataclass(frozen=True)
class Estimate:
    """A number, and between which bounds it may truly lie; without bounds it is simply so."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def error(self) -> tuple[float, float]:
        """How far the bounds lie below and above; never negative."""
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        return max(self.value - low, 0.0), max(high - self.value, 0.0)


Series = Mapping[str, Estimate]
"""Estimates by label, in the order of drawing."""


def bars(estimates: Series, *, label: str, accent: str | None = None) -> str:
    """
    Horizontal bars with their bounds, the first on top.

    Args:
        estimates: At least one.
        label: What the axis measures.
        accent: Whose bar stands out.
    """

    def draw(axes: Axes) -> None:
        colours = [ACCENT if name == accent else MUTED for name in estimates]
        values, errors = _columns(estimates)
        axes.barh(_rows(estimates), values, 0.7, color=colours)
        if errors.any():  # numbers that are exact have no whiskers, not even of no length
            axes.errorbar(values, _rows(estimates), xerr=errors, **_whiskers(INK, marker="none"))
        _name_rows(axes, list(estimates), label)

    return _drawn(draw, height=_height(len(estimates)))


def dots(series: Mapping[str, Series], *, label: str) -> str:
    """
    Several series over the same rows, as dots with their bounds; the first stands out.

    Args:
        series: By name; rows are those of the first, and the others may lack some.
        label: What the axis measures.
    """
    rows = list(next(iter(series.values())))

    def draw(axes: Axes) -> None:
        for place, (name, estimates) in enumerate(series.items()):
            values, errors = _columns(estimates)
            at = [rows.index(row) + 0.28 * (place - (len(series) - 1) / 2) for row in estimates]
            style = _whiskers(PALETTE[place % len(PALETTE)], marker="o")
            axes.errorbar(values, at, xerr=errors, label=name, **style)
        _name_rows(axes, rows, label)
        _legend_above(axes)

    return _drawn(draw, height=_height(len(rows), each=0.34) + _legend_height(series))


def shares(rows: Mapping[str, Mapping[str, float]], *, label: str) -> str:
    """
    Bars made of parts, one a row, each part with its percentage where there is room for it.

    Args:
        rows: By label, the share of each part, all of which sum to 1; the same parts in each row.
        label: What the axis measures.
    """
    parts = list(next(iter(rows.values())))

    def draw(axes: Axes) -> None:
        left = np.zeros(len(rows))
        for place, part in enumerate(parts):
            widths = np.array([100 * row[part] for row in rows.values()])
            drawn = axes.barh(
                _rows(rows), widths, 0.7, left, color=PALETTE[place % len(PALETTE)], label=part
            )
            room = [f"{width:.0f}" if width >= 6 else "" for width in widths]
            axes.bar_label(drawn, room, label_type="center", color="white", fontsize=8)
            left += widths
        axes.set_xlim(0, 100)
        _name_rows(axes, list(rows), label)
        _legend_above(axes)

    return _drawn(draw, height=_height(len(rows)) + _legend_height(parts))


def scatter(
    points: Mapping[str, tuple[float, float]],
    *,
    labels: tuple[str, str],
    accent: str | None = None,
) -> str:
    """
    Points with their names beside them.

    Args:
        points: x and y by name, none of them negative.
        labels: What the axes measure, x and y.
        accent: Whose point stands out.
    """

    def draw(axes: Axes) -> None:
        for name, (x, y) in points.items():
            stands_out = name == accent
            colour, layer = (ACCENT, 4) if stands_out else (MUTED, 3)
            axes.scatter(x, y, 40, colour, zorder=layer, clip_on=False)
        axes.margins(0.15)
        axes.set_xlim(left=max(axes.get_xlim()[0], 0))
        axes.set_ylim(bottom=max(axes.get_ylim()[0], 0))
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.grid(color=GRID, alpha=0.25)
        _place_names(axes, points)

    return _drawn(draw, height=3.4)


def lines(
    series: Mapping[str, Mapping[float, Estimate]],
    *,
    labels: tuple[str, str],
    ticks: Mapping[float, str] | None = None,
) -> str:
    """
    Lines with bands between their bounds.

    Args:
        series: By name, the estimates by x, ascending.
        labels: What the axes measure, x and y.
        ticks: What to write at which x, if not numbers as they come.
    """

    def draw(axes: Axes) -> None:
        for place, (name, estimates) in enumerate(series.items()):
            colour, x = PALETTE[place % len(PALETTE)], list(estimates)
            values, (below, above) = _columns(estimates)
            axes.plot(x, values, "o-", color=colour, label=name, markersize=5)
            axes.fill_between(x, values - below, values + above, color=colour, alpha=0.2, lw=0)
        if ticks is not None:
            axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.grid(color=GRID, alpha=0.25)
        if len(series) > 1:
            _legend_above(axes)

    return _drawn(draw, height=2.8)


def histogram(counts: Sequence[int], edges: Sequence[float], *, labels: tuple[str, str]) -> str:
    """
    How many lie between each two edges.

    Args:
        counts: One fewer than edges.
        edges: Ascending.
        labels: What is counted by, and what is counted.
    """

    def draw(axes: Axes) -> None:
        axes.stairs(counts, edges, fill=True, color=ACCENT)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.grid(axis="y", color=GRID, alpha=0.25)

    return _drawn(draw, height=2.4)


def _drawn(draw: Callable[[Axes], None], *, height: float) -> str:
    """
    What `draw` does with empty axes, as an SVG document.

    A script that the font lacks is no fault: it is the reader's fonts that will show the text.
    """
    target = io.StringIO()
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()  # whatever the user's own matplotlibrc says
        mpl.rcParams.update(STYLE)
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure(figsize=(WIDTH, height))
        draw(figure.add_subplot())
        figure.savefig(target, format="svg", metadata=NEITHER_DATE_NOR_MAKER)
    # Groups are numbered from 1 in every figure, and ids have to be unique on a page.
    return re.sub(r'<g id="[^"]*"', "<g", target.getvalue())


def _rows(labels: Sequence[str] | Mapping[str, Any]) -> Any:
    return np.arange(len(labels))


def _columns(estimates: Mapping[Any, Estimate]) -> tuple[Any, Any]:
    """Values of shape (n,), and distances to the bounds of shape (2, n)."""
    values = np.array([e.value for e in estimates.values()], float)
    errors = np.array([e.error for e in estimates.values()], float).reshape(-1, 2).T
    return values, errors


def _height(n_rows: int, each: float = 0.28) -> float:
    return 0.75 + each * n_rows


def _whiskers(colour: str, *, marker: str) -> dict[str, Any]:
    return {"fmt": marker, "color": colour, "markersize": 5, "elinewidth": 1.3, "capsize": 2.5}


def _name_rows(axes: Axes, names: list[str], label: str) -> None:
    axes.set_yticks(_rows(names), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=GRID, lw=0.8)
    axes.grid(axis="x", color=GRID, alpha=0.25)
    axes.set_axisbelow(True)
    axes.set_xlabel(label)


def _legend_above(axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    _figure_of(axes).legend(handles, names, loc="outside upper center", ncols=_columns_for(names))


def _legend_height(names: Iterable[str]) -> float:
    listed = list(names)
    return 0.2 * math.ceil(len(listed) / _columns_for(listed))


def _columns_for(names: Sequence[str]) -> int:
    """How many of them fit beside each other, each with its colour."""
    return max(1, min(4, LEGEND_CHARACTERS // (max(map(len, names)) + 6)))


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101 - for mypy: `_drawn` gives only such axes
    return figure


def _place_names(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write each name where it covers least of the points and of the names written before."""
    _figure_of(axes).draw_without_rendering()  # the layout decides where points come to lie
    centres = axes.transData.transform(list(points.values()))
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in centres]
    for name, at in points.items():
        tries = [_beside(axes, name, at, place) for place in PLACES]
        boxes = [t.get_window_extent() for t in tries]
        best = min(range(len(PLACES)), key=lambda i: _covered(boxes[i], taken, axes.bbox))
        taken.append(boxes[best])
        for i, text in enumerate(tries):
            if i != best:
                text.remove()


def _beside(axes: Axes, name: str, at: tuple[float, float], place: tuple[int, int]) -> Annotation:
    side = {1: "left", 0: "center", -1: "right"}[int(np.sign(place[0]))]
    return axes.annotate(
        name, at, place, textcoords="offset points", ha=side, va="center", annotation_clip=False
    )


def _covered(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """The area of `box` over what is taken, and its area outside."""
    overlaps = [Bbox.intersection(box, other) for other in taken]
    within = Bbox.intersection(box, inside)
    outside = _area(box) - (_area(within) if within else 0)
    return outside + sum(_area(overlap) for overlap in overlaps if overlap)


def _area(box: Bbox) -> float:
    return float(box.width * box.height)
