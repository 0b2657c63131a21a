"""Quality over time: one small plot per series that ever moved, with the limits that its own past set it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evermix.core.quality_series import MEASURES
from evermix.engines.reports import figures as fig
from evermix.engines.reports.plots import WEEKS_SHOWN
from evermix.records import QualityPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
ROW_IN = 1.25


def moving_series(points: Sequence[QualityPoint]) -> dict[tuple[str, str], list[QualityPoint]]:
    """Return the last year of each series that moved or was ever outside, in the order of measures."""
    series: dict[tuple[str, str], list[QualityPoint]] = {}
    weeks = sorted({point.as_of for point in points})[-WEEKS_SHOWN:]
    for point in points:
        if point.as_of >= weeks[0] and point.value is not None:
            series.setdefault((point.measure, point.column), []).append(point)
    order = list(MEASURES)
    moved = {k: v for k, v in series.items() if len({p.value for p in v}) > 1 or any(p.outside for p in v)}
    return dict(sorted(moved.items(), key=lambda item: (order.index(item[0][0]), item[0][1])))


def quality_plot(points: Sequence[QualityPoint]) -> Figure | None:
    """Return small plots of all series that moved within a year, None where none did.

    Parameters
    ----------
    points : sequence of QualityPoint
        Oldest first; refused deliveries are drawn hollow.
    """
    from matplotlib.figure import Figure

    series = moving_series(points)
    if not series:
        return None
    rows = -(-len(series) // COLUMNS)
    # Laid out by hand: the constrained layout takes seconds for so many axes.
    height = 0.4 + ROW_IN * rows
    figure = Figure(figsize=(fig.WIDTH_IN, height))
    figure.subplots_adjust(left=0.06, right=0.99, top=1 - 0.25 / height, bottom=0.3 / height, hspace=0.45, wspace=0.22)
    axes = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True).ravel()
    for axis, (key, told) in zip(axes, series.items(), strict=False):
        draw_series(axis, f"{key[0]}: {key[1]}", told)
    for axis in axes[len(series) :]:
        axis.set_visible(False)
    for axis in axes[max(0, len(series) - COLUMNS) : len(series)]:
        axis.tick_params(labelbottom=True)
    return figure


def draw_series(axis: Axes, title: str, points: Sequence[QualityPoint]) -> None:
    """Draw one series: its values, the band of its limits, and what lies outside."""
    table = pd.DataFrame([point.model_dump() for point in points])
    weeks = pd.to_datetime(table["as_of"])
    value, low, high = (table[name].astype(float).to_numpy() for name in ("value", "low", "high"))
    shown = np.concatenate([value, low, high])
    floor, top = float(np.nanmin(shown)), float(np.nanmax(shown))
    limited = ~(np.isnan(low) & np.isnan(high))
    if limited.any():
        band = (np.where(np.isnan(low), floor, low)[limited], np.where(np.isnan(high), top, high)[limited])
        axis.fill_between(weeks[limited], *band, color=fig.BLUE, alpha=0.14, lw=0)
    if MEASURES[points[0].measure].limit == "spread" and floor > 0.0:
        axis.set_yscale("log")
        axis.minorticks_off()
    taken, outside = table["accepted"].to_numpy(bool), table["outside"].to_numpy(bool)
    # A line over weeks that say nothing would invent what happened there.
    gaps = weeks.diff().gt(pd.Timedelta(weeks=1)).cumsum()
    for _, part in table.assign(week=weeks, value=value)[taken].groupby(gaps[taken]):
        axis.plot(part["week"], part["value"], color=fig.INK, lw=0.9, marker="o", ms=1.6)
    axis.plot(weeks[~taken], value[~taken], "o", ms=3.4, mfc="none", mec=fig.MUTED)
    axis.plot(weeks[outside], value[outside], "D", ms=3.6, color=fig.RED)
    axis.set_title(title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…", fontsize=6.8)
    axis.tick_params(labelsize=7)
    fig.number_axis(axis)
    _few_weeks(axis)


_TITLE = 48


def _few_weeks(axis: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=2, maxticks=4)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
