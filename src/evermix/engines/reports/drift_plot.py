"""The inputs as drift sees them: each about its season, with the range of the training weeks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evermix.engines.reports import figures as fig

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SERIES_SHOWN = 6


def drift_plot(paths: pd.DataFrame, columns: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Return the series that come nearest their drift limits; called windows are red.  None: there is none.

    Parameters
    ----------
    paths : DataFrame
        As ``core.drift.tested_paths`` gives them.
    columns : sequence of mapping
        ``column, aspect, ratio, called, window_weeks`` of each tested series.
    """
    levels = [row for row in columns if row["aspect"] in ("level", "mix")]
    shown = sorted(levels, key=lambda row: -row["ratio"])[:SERIES_SHOWN]
    if not shown:
        return None
    figure, axes = fig.new_figure(len(shown), 0.6 + 1.25 * len(shown))
    for axis, row in zip(axes, shown, strict=True):
        path = paths[(paths["column"] == row["column"]) & (paths["aspect"] == row["aspect"])]
        week, apart = path["week"].to_numpy(), path["apart"].to_numpy(float)
        axis.fill_between(week, path["low"], path["high"], color=fig.BLUE, alpha=0.16, lw=0, label="90 % of training")
        axis.plot(week, apart, color=fig.INK, lw=1.0, label="distance from its season")
        if path["since"].any():
            axis.axvline(path.loc[path["since"], "week"].iloc[0], color=fig.MUTED, lw=0.9, ls=":", label="fit")
        if row["called"]:
            window = slice(-row["window_weeks"], None)
            axis.plot(week[window], apart[window], color=fig.RED, lw=2.0, label="called")
        axis.set_ylabel(f"{row['column'].partition('.')[2]}\n{row['aspect']}")
    fig.legend_above(axes[0], 4)
    fig.week_axis(axes[-1])
    return figure
