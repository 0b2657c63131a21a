"""Each plot: frames in, a figure out.  The same figure goes into the page (SVG) and into MLflow (PNG)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evermix.engines.reports import figures as fig

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GEOS_SHOWN = 6
WEEKS_SHOWN = 52
COMPONENTS_SHOWN = 9
CURVES_ACROSS = 3
BASELINES = ("seasonal_naive", "ridge")


def forecast_plot(rows: pd.DataFrame, title: str) -> Figure:
    """Return observed values over predictive intervals, one panel per geo.

    Parameters
    ----------
    rows : DataFrame
        ``week, geo, observed, mean, low_50, high_50, low_90, high_90`` in target units, and any of
        the columns in ``BASELINES``.
    """
    geos = list(rows["geo"].unique())[:GEOS_SHOWN]
    figure, axes = fig.new_figure(len(geos), 0.6 + 2.2 * len(geos))
    for axis, geo in zip(axes, geos, strict=True):
        draw_forecast(axis, rows[rows["geo"] == geo])
        axis.set_ylabel(title if geo == "all" else f"{title}, {geo}")
    fig.legend_above(axes[0], 8)
    fig.week_axis(axes[-1])
    return figure


def draw_forecast(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw the intervals, the mean, the baselines and the observed values of one geo."""
    weeks = rows["week"].to_numpy()
    axis.fill_between(weeks, rows["low_90"], rows["high_90"], color=fig.BLUE, alpha=0.16, lw=0, label="90 % interval")
    axis.fill_between(weeks, rows["low_50"], rows["high_50"], color=fig.BLUE, alpha=0.28, lw=0, label="50 % interval")
    axis.plot(weeks, rows["mean"], color=fig.BLUE, lw=1.2, label="predicted mean")
    for name, dash in zip(BASELINES, ("--", ":"), strict=True):
        if name in rows:
            axis.plot(weeks, rows[name], color=fig.AMBER, lw=1.2, ls=dash, label=name.replace("_", "-"))
    missed = (rows["observed"] < rows["low_90"]) | (rows["observed"] > rows["high_90"])
    axis.plot(weeks[~missed], rows["observed"][~missed], "o", ms=3.4, color=fig.INK, label="observed")
    if missed.any():
        axis.plot(weeks[missed], rows["observed"][missed], "D", ms=4.6, color=fig.RED, label="outside 90 %")
    fig.number_axis(axis)


def prequential_plot(log: pd.DataFrame, limit: float | None) -> Figure:
    """Return each week as it was predicted before it came, and the sums that turn small surprises into an alarm.

    Parameters
    ----------
    log : DataFrame
        The prequential log as ``core.prequential.log_table`` gives it, oldest first; its last 52 weeks are drawn.
    limit : float | None
        The CUSUM at which a rule fires, drawn as a dotted line.
    """
    log = log.assign(week=pd.to_datetime(log["week"]))
    log = log[log["week"] >= np.sort(log["week"].unique())[-WEEKS_SHOWN:][0]]
    geos = list(log["geo"].unique())
    shown = geos[:GEOS_SHOWN]
    figure, axes = fig.new_figure(len(shown) + 1, 2.4 + 2.2 * len(shown), [*[2.2] * len(shown), 1.4])
    for axis, geo in zip(axes, shown, strict=False):
        draw_forecast(axis, log[log["geo"] == geo])
        axis.set_ylabel("target" if geo == "all" else geo)
    sums = axes[-1]
    for place, geo in enumerate(geos):
        rows = log[log["geo"] == geo]
        colour, label = (fig.MUTED, "z") if len(geos) == 1 else (fig.SERIES[(place + 1) % len(fig.SERIES)], f"z, {geo}")
        sums.vlines(rows["week"], 0, rows["z"], color=colour, lw=1.8, alpha=0.75, label=label)
    path = log.dropna(subset="cusum").drop_duplicates(["as_of", "week"])
    sums.plot(path["week"], path["cusum"], color=fig.BLUE, lw=1.5, label="CUSUM of z")
    sums.axhline(0, color=fig.MUTED, lw=0.8)
    if limit is not None:
        sums.axhline(limit, color=fig.RED, lw=1.1, ls=":", label="a rule fires")
    sums.set_ylabel("z and its CUSUM")
    fig.legend_above(axes[0], 7)
    fig.legend_above(sums, 7)
    fig.week_axis(sums)
    return figure


def roas_plot(roas: Sequence[Mapping[str, Any]]) -> Figure:
    """Return the intervals of each channel's return on ad spend, champion beside challenger."""
    table = pd.DataFrame(list(roas))
    channels = list(table["channel"].unique())
    versions = [name for name in ("champion", "challenger") if name in set(table["version"])]
    figure, (axis,) = fig.new_figure(1, 0.9 + 0.42 * len(channels))
    for place, version in enumerate(versions):
        rows = table[table["version"] == version].set_index("channel").reindex(channels)
        shift = 0.0 if len(versions) == 1 else 0.15 - 0.3 * place
        y = -np.arange(len(channels)) + shift
        colour = fig.BLUE if version == "challenger" else fig.MUTED
        axis.hlines(y, rows["low"], rows["high"], color=colour, lw=2.4)
        axis.plot(rows["mean"], y, "o", ms=5, color=colour, label=version)
    axis.set_yticks(-np.arange(len(channels)), channels)
    axis.grid(axis="x")
    axis.grid(visible=False, axis="y")
    axis.set_xlim(left=min(0.0, float(table["low"].min())))
    axis.set_xlabel("return on ad spend: target per unit of spend, 90 % intervals")
    fig.legend_above(axis, 2)
    return figure


def curves_plot(rows: pd.DataFrame) -> Figure:
    """Return what each channel brings by weekly spend, with 90 % interval; the present spend is a dotted line.

    Parameters
    ----------
    rows : DataFrame
        ``version, channel, factor, spend, mean, low_90, high_90``; champion beside challenger where there are both.
    """
    channels = list(rows["channel"].unique())
    figure, axes = fig.new_grid(len(channels), CURVES_ACROSS, 2.3)
    both = set(rows["version"]) == {"champion", "challenger"}
    for axis, channel in zip(axes, channels, strict=False):
        of_channel = rows[rows["channel"] == channel]
        for version, part in of_channel.groupby("version", sort=True):
            colour = fig.MUTED if both and version == "champion" else fig.BLUE
            axis.fill_between(part["spend"], part["low_90"], part["high_90"], color=colour, alpha=0.16, lw=0)
            axis.plot(part["spend"], part["mean"], color=colour, lw=1.6, label=str(version))
        now = float(of_channel.loc[of_channel["factor"] == 1.0, "spend"].iloc[0])
        axis.axvline(now, color=fig.AMBER, lw=1.2, ls=":", label="spend now")
        axis.set_title(str(channel))
        axis.set_xlabel("spend a week")
        fig.number_axis(axis)
        axis.xaxis.set_major_formatter(lambda value, _: fig.short_number(value))
    axes[0].set_ylabel("brings a week, target units")
    axes[0].legend(loc="upper left")
    return figure


def contributions_plot(rows: pd.DataFrame) -> Figure:
    """Return what each component adds to the target over time, stacked; all geos together.

    Parameters
    ----------
    rows : DataFrame
        Long form: ``week, component, mean`` in target units.
    """
    wide = rows.pivot_table(index="week", columns="component", values="mean", aggfunc="sum", observed=True)
    order = wide.abs().sum().sort_values(ascending=False).index
    table = wide[list(order[:COMPONENTS_SHOWN])].copy()
    if len(order) > COMPONENTS_SHOWN:
        table[f"{len(order) - COMPONENTS_SHOWN} more"] = wide[list(order[COMPONENTS_SHOWN:])].sum(axis=1)
    figure, (axis,) = fig.new_figure(1, 3.6)
    above, below = np.zeros(len(table)), np.zeros(len(table))
    for colour, (name, values) in zip(fig.SERIES, table.items(), strict=False):
        plus, minus = values.clip(lower=0).to_numpy(), values.clip(upper=0).to_numpy()
        axis.fill_between(table.index, above, above + plus, color=colour, alpha=0.85, lw=0, label=name)
        axis.fill_between(table.index, below, below + minus, color=colour, alpha=0.85, lw=0)
        above, below = above + plus, below + minus
    axis.axhline(0, color=fig.MUTED, lw=0.8)
    axis.set_ylabel("contribution, target units")
    fig.legend_above(axis, 5)
    fig.number_axis(axis)
    fig.week_axis(axis)
    return figure


def read_rows(path: Path) -> pd.DataFrame | None:
    """Return a CSV of the evaluation with typed weeks; None where the file is absent or has no rows."""
    if not path.is_file():
        return None
    rows = pd.read_csv(path)
    if rows.empty:
        return None
    if "geo" not in rows:
        rows["geo"] = "all"
    return rows.assign(week=pd.to_datetime(rows["week"]))


def decision_plots(evaluated: Path, folder: Path) -> list[Path]:
    """Write the plots of an evaluation as PNGs and return their paths.

    Parameters
    ----------
    evaluated : Path
        ``out/<model>/evaluate``; a file that is absent leaves its plot out.
    folder : Path
        Where the PNGs go.
    """
    made = []
    with fig.styled():
        for name, figure in evaluation_figures(evaluated).items():
            fig.to_png(figure, folder / f"{name}.png")
            made.append(folder / f"{name}.png")
    return made


def evaluation_figures(evaluated: Path) -> dict[str, Figure]:
    """Return the figures of an evaluation by name: ``roas, contributions, fitted, holdout``, those that have data."""
    out = {}
    path = evaluated / "evaluation.json"
    roas = json.loads(path.read_text(encoding="utf-8")).get("roas") if path.is_file() else None
    if roas:
        out["roas"] = roas_plot(roas)
    contributions = read_rows(evaluated / "contributions.csv")
    if contributions is not None:
        out["contributions"] = contributions_plot(contributions)
    for name, file, title in (
        ("fitted", "ppc.csv", "target, training weeks"),
        ("holdout", "holdout.csv", "target, held-out weeks"),
    ):
        rows = read_rows(evaluated / file)
        if rows is not None:
            out[name] = forecast_plot(rows, title)
    return out
