"""The plots of ``docs/validity.md``: the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evermix.config import Rule
from evermix.validity.replicate import HORIZON, WEEKS
from evermix.validity.tables import (
    Row,
    by_week,
    detect,
    e_detector_at,
    false_alarms,
    first_of,
    looks_of,
    match_oracle,
    oracle_at,
)

E_GRID = (50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0, 520.0, 700.0, 1000.0, 2000.0)
"""Thresholds of the e-detector at which the frontier is drawn."""
_RATES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3)
_SHOWN = {"level_shift": "#4269d0", "effect_halves": "#ff725c"}


def draw_all(
    folder: Path, quick: Mapping[str, Sequence[Row]], exact: Mapping[str, Sequence[Row]], sequential: Sequence[Rule]
) -> None:
    """Write all plots as SVG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    # Fixed ids and no date: a page that did not change is no change for git.
    with mpl.rc_context(
        {"svg.hashsalt": "evermix", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        for name, draw in (
            ("false_alarms", lambda axes: _false_alarms(axes, quick["nothing"], sequential)),
            ("frontier", lambda axes: _frontier(axes, quick)),
            ("delay", lambda axes: _delay(axes, quick, sequential)),
            ("update_error", lambda axes: _update_error(axes, exact)),
        ):
            figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
            draw(axes)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            plt.close(figure)


def _false_alarms(axes: Any, quiet: Sequence[Row], sequential: Sequence[Rule]) -> None:
    weeks = range(1, WEEKS + 1)
    for rule in sequential:
        axes.step(weeks, by_week(quiet, first_of([rule]), WEEKS), where="post", label=rule.name)
    axes.step(weeks, by_week(quiet, first_of(sequential), WEEKS), where="post", color="black", label="together")
    axes.axhline(0.10, color="grey", linestyle=":")
    axes.set(xlabel="weeks after the fit", ylabel="share of quiet years with an alarm")
    axes.legend(frameon=False)


def _frontier(axes: Any, quick: Mapping[str, Sequence[Row]]) -> None:
    for name, colour in _SHOWN.items():
        quiet = quick["nothing"]
        mine = [
            (false_alarms(quiet, e_detector_at(x)).share, detect(quick[name], e_detector_at(x)).power.share)
            for x in E_GRID
        ]
        matched = [match_oracle(quiet, name, rate) for rate in _RATES]
        best = [(errs.share, detect(quick[name], oracle_at(x)).power.share) for x, errs in matched]
        axes.plot(*zip(*mine, strict=True), color=colour, marker="o", markersize=3, label=f"{name}, e-detector")
        axes.plot(*zip(*best, strict=True), color=colour, linestyle="--", label=f"{name}, oracle")
    axes.set(xlim=(0.0, 0.3), ylim=(0.0, 1.02))
    axes.set(xlabel="P(alarm in 52 quiet weeks)", ylabel=f"found within {HORIZON} weeks")
    axes.legend(frameon=False, loc="lower right")


def _delay(axes: Any, quick: Mapping[str, Sequence[Row]], sequential: Sequence[Rule]) -> None:
    rate = false_alarms(quick["nothing"], first_of(sequential)).share
    weeks = range(1, HORIZON + 1)
    for name, colour in _SHOWN.items():
        oracle = oracle_at(match_oracle(quick["nothing"], name, rate)[0])
        for first, style, label in ((first_of(sequential), "-", "shipped alarms"), (oracle, "--", "oracle")):
            shares = [detect(quick[name], first, within=week).power.share for week in weeks]
            axes.plot(weeks, shares, color=colour, linestyle=style, label=f"{name}, {label}")
    axes.set(xlabel="weeks since the change", ylabel="share found", ylim=(0.0, 1.02))
    axes.legend(frameon=False, loc="lower right")


def _update_error(axes: Any, exact: Mapping[str, Sequence[Row]]) -> None:
    for path, colour in (("kept", "#bbbbbb"), ("rules", "#4269d0")):
        looks = [look for rows in exact.values() for look in looks_of(rows, path)]
        label = {"kept": "first base kept all year", "rules": "by the rules"}[path]
        axes.scatter([x["ess"] for x in looks], [x["worst"] for x in looks], s=8, color=colour, label=label)
    axes.axhline(0.15, color="grey", linestyle=":")
    axes.set(xscale="log", yscale="log", xlabel="effective ESS", ylabel="worst ROAS mean against a refit, sd")
    axes.legend(frameon=False)
