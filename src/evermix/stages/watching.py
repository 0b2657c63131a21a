"""What monitor adds of the alarms: the evidence of all weeks since the last reset, as the model sees them today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.config import ModelParams
from evermix.core.alarms import SHARES, AlarmReport
from evermix.core.draws import stack_draws
from evermix.core.monitor import WeekFacts
from evermix.core.prequential import complete_inputs
from evermix.core.watch import judge_watched, watched_rows
from evermix.engines.models import load_kind
from evermix.records import Score
from evermix.stages.posterior import Posterior
from evermix.stages.reweighing import UpdateSeen

EVIDENCE = ("alarm.e_detector", *(f"alarm.{family}" for family in SHARES))

# What a channel adds on average is needed to a few per cent only, and costs most of the time.
_MEAN_DRAWS = 200


@dataclass(frozen=True)
class AlarmsSeen:
    """``alarm.*`` evidence, words on it by the same names, and the whole report as JSON."""

    values: dict[str, float | bool | None]
    notes: dict[str, str]
    report: dict[str, Any]


def observe_alarms(
    live: Posterior, facts: WeekFacts, update: UpdateSeen, scores: Sequence[Score], params: ModelParams
) -> AlarmsSeen:
    """Return the evidence against "nothing has changed" after this week's scores.

    A model that cannot be asked about the panel leaves it missing, which no rule takes for a pass; so does a family of
    hypotheses that the model does not have.
    """
    if update.reweighed is None:
        why = next(iter(update.notes.values()), "the champion cannot be asked")
        return AlarmsSeen(dict.fromkeys(EVIDENCE), {"alarm.e_detector": why}, {"status": why})
    panel, _ = complete_inputs(facts.panel, facts.before, live.version.columns)
    unseen = update.reweighed.counted.now & ~_fitted(live, panel)
    report = _judge(live, panel, unseen, [*facts.log, *scores], facts.reset_after, params)
    values: dict[str, float | bool | None] = dict.fromkeys(EVIDENCE) | {"alarm.e_detector": report.e_detector}
    values |= {f"alarm.{family}": value for family, value in report.families.items()}
    return AlarmsSeen(values, {"alarm.e_detector": _words(report)}, {"status": "watched", **report.model_dump()})


def _fitted(live: Posterior, panel: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows of the panel the fit saw, as they were told then: a restated row is not learned twice."""
    keys, base = ["week", "geo"], live.base_panel
    if base is None:
        return np.zeros(len(panel), dtype=bool)
    seen = pd.MultiIndex.from_frame(base.loc[base["target"].notna(), keys])
    return np.asarray(pd.MultiIndex.from_frame(panel[keys]).isin(seen))


def _judge(
    live: Posterior,
    panel: pd.DataFrame,
    unseen: NDArray[np.bool_],
    log: Sequence[Score],
    reset_after: str | None,
    params: ModelParams,
) -> AlarmReport:
    version, kind = live.version, load_kind(live.version.kind)
    needed = watched_rows(log, panel, reset_after).rows | unseen
    carry = pd.Timedelta(weeks=kind.carry_weeks(version.spec))
    # Only the weeks that count, and those that carry over into them, are asked for.
    start = panel["week"][needed].min() - carry if needed.any() else panel["week"].max()
    recent = (panel["week"] >= start).to_numpy()
    panel, unseen = panel[recent].reset_index(drop=True), unseen[recent]
    args = (panel, version.columns, version.spec, version.basis)
    predictive = kind.predict(stack_draws(live.draws, params.monitor.draws), *args)
    parts = kind.contributions(stack_draws(live.draws, _MEAN_DRAWS), *args)
    watched = watched_rows(log, panel, reset_after)
    return judge_watched(watched, unseen, panel, predictive, *_channel_means(parts, version.columns))


def _channel_means(parts: xr.DataArray, columns: dict[str, Any]) -> tuple[NDArray[np.float64], list[str]]:
    """Return what each channel adds to each row of the panel, shape (row, channel), and the channels."""
    channels = [str(name) for name in parts["component"].to_numpy() if str(name) in columns["channels"]]
    mean = parts.sel(component=channels).mean("draw").transpose("week", "geo", "component").to_numpy()
    return mean.reshape(mean.shape[0] * mean.shape[1], len(channels)), channels


def _words(report: AlarmReport) -> str:
    if report.change_point is None or not report.suspects:
        return "no week has been scored since the last reset"
    point, leading = report.change_point, report.suspects[:3]
    named = ", ".join(f"{suspect.name} {suspect.probability:.0%}" for suspect in leading)
    return (
        f"{report.weeks} weeks since the last reset; if something changed, then most likely from {point.week} "
        f"({point.low} to {point.high}), first suspects {named}"
    )
