"""Figures in one hand: a colour per role, no clock, no random ids, no window system."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Ink and paper turn round in dark mode, so inside a page they become CSS variables.
INK, MUTED, LINE, PAPER = "#1b1f24", "#6b7280", "#d5d9df", "#fefefe"
BLUE, RED, AMBER = "#2f6db3", "#c2452d", "#b7791f"
SERIES = ("#2f6db3", "#d1873a", "#4d9078", "#a4508b", "#c2a83e", "#7a8b99", "#7fb2dd", "#b5533c", "#86b36b", "#5f4b8b")
WIDTH_IN = 9.2

_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", LINE: "var(--line)", PAPER: "var(--paper)", BLUE: "var(--blue)"}
_FONT = re.compile(r"font: ((?:\d+ )?[\d.]+px)[^;\"]*")
_STYLE: dict[str, Any] = {
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.spines.left": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.facecolor": "none",
    "font.size": 9,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "ytick.left": False,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save inside this block: the style of evermix, whatever the user's own."""
    # Its first run builds a font cache and says so.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(
    rows: int, height_in: float, ratios: list[float] | None = None, share: bool = True
) -> tuple[Figure, list[Axes]]:
    """Return a figure of the common width and its axes, one above the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    grid = {"height_ratios": ratios} if ratios else None
    axes = figure.subplots(rows, 1, sharex=share, squeeze=False, gridspec_kw=grid)
    return figure, [axis[0] for axis in axes]


def new_grid(panels: int, across: int, height_in: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of the common width with so many panels, side by side in rows of ``across``."""
    from matplotlib.figure import Figure

    down = -(-panels // across)
    figure = Figure(figsize=(WIDTH_IN, 0.4 + height_in * down), layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False).ravel())
    for axis in axes[panels:]:
        axis.remove()
    return figure, axes[:panels]


def to_svg(figure: Figure, salt: str) -> str:
    """Return a figure as inline SVG whose ids follow from ``salt`` and content alone."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    text = _FONT.sub(r"font: \1 var(--sans)", text)
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"|height="[\d.]+pt" |width="[\d.]+pt" ', "", text, count=2)


def to_png(figure: Figure, path: Path) -> None:
    """Write a figure on white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=130, facecolor="white", metadata={"Software": None})


def week_axis(axis: Axes) -> None:
    """Label an axis of weeks without repeating the year."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=4, maxticks=9)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def number_axis(axis: Axes) -> None:
    """Label large numbers as 12k or 3.4M."""
    axis.yaxis.set_major_formatter(lambda value, _: short_number(value))


def short_number(value: float) -> str:
    """Return a number in at most four characters and a suffix."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def legend_above(axis: Axes, columns: int) -> None:
    """Put the legend over the axes, where it hides no data."""
    axis.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=columns, handlelength=1.4, columnspacing=1.4)
