"""All evidence of one week, gathered: what monitor writes, before it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.config import ModelParams
from evermix.core import changes
from evermix.core import prequential as pq
from evermix.core.drift import DriftReport, measure_drift
from evermix.core.horizons import weekly_total
from evermix.core.predictive import Predictive
from evermix.records import Score, SnapshotDiff, ValidationReport, VersionFile

# From a panel and a mask of rows that have a target to what the champion says of these rows.
Predict = Callable[[pd.DataFrame, NDArray[np.bool_]], Predictive]


@dataclass(frozen=True)
class WeekFacts:
    """What is known when an accepted week is monitored.

    Attributes
    ----------
    champion : VersionFile
        In use before the week came; it alone is questioned.
    before : DataFrame or None
        The last accepted panel.
    log : list of Score
        The prequential log before the week, in order of arrival.
    reset_after : str or None
        Weeks up to this one count no longer in sequential alarms.
    """

    as_of: str
    champion: VersionFile
    panel: pd.DataFrame
    before: pd.DataFrame | None
    diff: SnapshotDiff
    log: list[Score]
    reset_after: str | None


@dataclass(frozen=True)
class WeekSeen:
    """Evidence by name with notes, the new scores, and the drift report."""

    evidence: dict[str, Any]
    scores: list[Score]
    drift: dict[str, Any]


def not_run(report: ValidationReport) -> WeekSeen:
    """Return the evidence of a week in which nobody is questioned: a quarantine, or no champion yet."""
    values: dict[str, float | bool | None] = {"quality.faults": float(len(report.faults))}
    if report.status == "quarantined":
        status = "not run: quarantined"
    else:
        status = "not run: no champion"
        values["structure.has_champion"] = False
    return WeekSeen({"status": status, "values": values, "notes": {}}, [], {"status": status})


def observe_week(facts: WeekFacts, params: ModelParams, predict: Predict) -> WeekSeen:
    """Return everything the rules may ask about an accepted week.

    Parameters
    ----------
    predict : callable
        The champion's predictive distribution of some rows of a panel; called only when there is something to score.

    Notes
    -----
    Weeks that the champion cannot predict leave ``surprise.*`` None, which decide treats as
    missing evidence.
    """
    champion, notes = facts.champion, dict[str, str]()
    changed = changes.changed_channels(params, champion, facts.panel, facts.as_of)
    settings = changes.changed_settings(params, champion)
    if changed:
        notes["structure.channels_changed"] = "; ".join(f"{name} {what}" for name, what in sorted(changed.items()))
    if settings:
        notes["structure.spec_changed"] = "differs from the champion: " + ", ".join(settings)
    scores, surprise = score_week(facts, params, predict, notes)
    drift = measure_drift(facts.panel, pd.Timestamp(champion.fitted_through), params.monitor)
    notes["drift.calls"] = _drift_note(drift)
    values: dict[str, float | bool | None] = {
        "quality.faults": 0.0,
        "structure.has_champion": True,
        "structure.channels_changed": float(len(changed)),
        "structure.spec_changed": bool(settings),
        "calendar.weeks_since_fit": changes.weeks_between(champion.fitted_as_of, facts.as_of),
        **changes.restatement(facts.diff, facts.before, champion.fitted_through, champion.noise_sd),
        **surprise,
        **drift.evidence(),
    }
    return WeekSeen({"status": "observed", "values": values, "notes": notes}, scores, drift.model_dump())


def score_week(
    facts: WeekFacts, params: ModelParams, predict: Predict, notes: dict[str, str]
) -> tuple[list[Score], dict[str, float | None]]:
    """Return the scores of the rows that came, and the ``surprise.*`` evidence with them; the notes say why not."""
    champion, slack = facts.champion, params.monitor.cusum_slack
    panel, lost = pq.complete_inputs(facts.panel, facts.before, champion.columns)
    due = pq.rows_to_score(panel, facts.before, champion.fitted_through, facts.log)
    scores: list[Score] = []
    if due.any():
        if lost:
            notes["surprise.max_abs_z"] = f"not scored: the champion cannot be asked, for {', '.join(lost)}"
            return [], dict.fromkeys(("surprise.max_abs_z", "surprise.cusum", "surprise.weeks_scored"))
        predictive, rows = predict(panel, due), panel[due]
        total = weekly_total(predictive, rows, panel["geo"].nunique())
        for said, of in ((predictive, rows), *([total] if total is not None else [])):
            scores += pq.score_rows(said, of, facts.as_of, champion.id, params.monitor.seed)
    else:
        notes["surprise.weeks_scored"] = "no new week has a target yet"
    return scores, {**pq.surprise(facts.log, scores, slack, facts.reset_after)}


def add_evidence(evidence: dict[str, Any], values: Mapping[str, float | bool | None], notes: Mapping[str, str]) -> None:
    """Add numbers, and what there is to say of them, to a week's evidence."""
    evidence["values"].update(values)
    evidence["notes"].update(notes)


def flat_metrics(evidence: dict[str, Any], log: Sequence[Score]) -> dict[str, float]:
    """Return the numbers among the evidence, and means over the log, under flat names."""
    numbers = {name.replace(".", "_"): float(value) for name, value in evidence["values"].items() if value is not None}
    return numbers | {f"log_{name}": value for name, value in pq.log_summary(log).items()}


def _drift_note(drift: DriftReport) -> str:
    if drift.status != "tested":
        return f"{drift.status}: {drift.reference_weeks} reference weeks"
    called = [f"{c.column} {c.aspect} ({c.ratio:.2f} of its limit)" for c in drift.columns if c.called]
    return "calls " + ", ".join(called) if called else f"{len(drift.columns)} series within their limits"
