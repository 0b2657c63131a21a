"""The report of one model's week as one HTML page that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evermix.core import contest_words as words
from evermix.core.amend import amendments_of, in_words
from evermix.core.budget_words import budget_words
from evermix.core.outcomes import TELL, rules_of
from evermix.core.prequential import log_table
from evermix.core.rule_costs import rule_costs
from evermix.engines.reports import figures as fig
from evermix.engines.reports.drift_plot import drift_plot
from evermix.engines.reports.plots import curves_plot, evaluation_figures, prequential_plot
from evermix.engines.reports.quality_plot import quality_plot
from evermix.records import QualityPoint, RuleCost, Score

CELLS_SHOWN = 20
EVENTS_SHOWN = 12
SCORES_SHOWN = 6
WEEKS_NAMED = 6
NARROW_SPACE = "\u202f"

DECISIONS = {
    "first_fit": "No version was in use yet: a first fit was made.",
    "keep": "Nothing new was published; the champion goes on serving.",
    "update": "The champion's draws were reweighted with the new week.",
    "refit": "A new fit was asked for and made; the gate judged it.",
    "review": "Something changed that a refit alone does not explain: a person should look.",
    "quarantine": "The delivery broke the data contract: nothing was computed from it, the champion goes on serving.",
}
VERDICTS = {
    "promote": "The challenger passed every check and became champion.",
    "hold": "A person decides; until then the champion goes on serving.",
    "reject": "The challenger's posterior cannot be trusted, so it is not used.",
}


@dataclass(frozen=True)
class WeekFiles:
    """What one week left behind, as read from its files; None where there is no such file.

    Attributes
    ----------
    decision, verdict, validation, diff, evidence, drift, champion, evaluation : dict | None
        The JSON files of the stages.
    scores : list
        The prequential log, oldest first.
    events : list
        The ledger, oldest first.
    evaluated : Path
        The folder of the evaluation's tables.
    budget : dict | None
        The present plan, by this week's fit or else by the champion; None before there is a version.
    curves : DataFrame | None
        Its response curves.
    slack : float
        k of the CUSUM of z, from params.
    quality : list
        Points of data quality, oldest first, those of this week's delivery last.
    posterior : dict | None
        Contributions and ROAS of the last year by the posterior of today; None before there is a version.
    drift_paths : DataFrame | None
        The series that drift was asked of, as ``core.drift.tested_paths`` gives them.
    """

    model: str
    as_of: str
    reconstructed: bool
    decision: Mapping[str, Any] | None
    verdict: Mapping[str, Any] | None
    validation: Mapping[str, Any] | None
    diff: Mapping[str, Any] | None
    evidence: Mapping[str, Any] | None
    drift: Mapping[str, Any] | None
    champion: Mapping[str, Any] | None
    evaluation: Mapping[str, Any] | None
    scores: Sequence[Mapping[str, Any]]
    reset_after: str | None
    events: Sequence[Mapping[str, Any]]
    evaluated: Path
    budget: Mapping[str, Any] | None
    curves: pd.DataFrame | None
    slack: float
    quality: Sequence[QualityPoint] = ()
    posterior: Mapping[str, Any] | None = None
    drift_paths: pd.DataFrame | None = None

    @property
    def missing(self) -> dict[str, str]:
        """Why a section of the page has nothing to show, by section; sections with data are not in it."""
        decided = self.decision
        stopped = "The delivery is in quarantine, so nothing was computed from it."
        stopped = stopped if decided and decided["decision"] == "quarantine" else ""
        unscored = "No week was scored yet: a version has to be in use before a week comes."
        drift = self.drift or {}
        why = {
            "decision": decided or "This week's decision is not in its commit.",
            "validation": self.validation or "No validation report is in this week's commit.",
            "diff": self.diff or stopped or "There is no earlier snapshot to compare with.",
            "scores": self.scores or stopped or unscored,
            "drift": drift.get("columns") or stopped or f"Input drift has no answer: {drift.get('status', 'no file')}.",
            "challenger": stopped or "No new fit was made this week.",
            "posterior": self.posterior
            or stopped
            or "No version is in use yet, or it cannot be asked about this panel.",
            "budget": self.budget or "No version is in use yet that could say what the channels bring.",
            "ledger": self.events or "The ledger has no event yet.",
        }
        if decided and decided["requested_now"] and self.verdict and not stopped:
            del why["challenger"]
        return {name: text for name, text in why.items() if isinstance(text, str)}


def week_report(week: WeekFiles, evidently: str | None = None) -> str:
    """Return the page of a week: what was decided and why, the evidence, the challenger, the ledger.

    Parameters
    ----------
    week : WeekFiles
        What the week left behind.
    evidently : str | None
        Relative address of Evidently's report, if one was written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    jinja = Environment(
        loader=PackageLoader("evermix.engines.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {"number": show_number, "weeks": list_weeks, "allowed": allowed_range, "change": relative_change}
    return jinja.get_template("week.html.j2").render(
        week=week,
        evidently=evidently,
        decisions=DECISIONS,
        verdicts=VERDICTS,
        rules=_fired_first(week.decision),
        costs=_costs(week),
        cells=_restated(week.diff),
        drift_rows=_drift_rows(week.drift),
        events=list(reversed(week.events[-EVENTS_SHOWN:])),
        approval=_approval(week),
        challenger=_challenger(week),
        contest=_contest(week),
        amended=in_words(amendments) if (amendments := amendments_of((week.champion or {}).get("spec", {}))) else None,
        recent=list(reversed(week.scores[-SCORES_SHOWN:])),
        metrics=_metrics(week),
        charts=_charts(week),
        outside=_outside(week),
        budget=budget_words(week.budget) if week.budget else None,
        cells_shown=CELLS_SHOWN,
        describe=describe_event,
    )


def show_number(value: Any) -> str:
    """Return a number for a table; a missing one reads "missing"."""
    if value is None or math.isnan(value):
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if math.isinf(value):
        return "infinite"
    whole = abs(value) >= 1000 or value == int(value)
    return f"{value:,.0f}".replace(",", NARROW_SPACE) if whole else f"{value:.4g}"


def allowed_range(check: Mapping[str, Any]) -> str:
    """Return the range that a check allows, in words."""
    low, high = check["low"], check["high"]
    if low is not None and high is not None:
        return f"{show_number(low)} to {show_number(high)}"
    return f"at least {show_number(low)}" if low is not None else f"at most {show_number(high)}"


def relative_change(cell: Mapping[str, Any]) -> str:
    """Return a restated cell's change in percent of its old value."""
    old, new = cell["old"], cell["new"]
    if old is None or new is None or old == 0:
        return ""
    return f"{100 * (new - old) / abs(old):+.1f} %"


def describe_event(event: Mapping[str, Any]) -> str:
    """Return one ledger event in words."""
    match event["event"]:
        case "decision":
            return f"{event.get('decision')}: {'; '.join(event.get('reasons', [])) or 'no rule fired'}"
        case "verdict":
            return f"{event.get('verdict')} for {event.get('version')}: {'; '.join(event.get('reasons', []))}"
        case "approval" | "hold":
            why = f" ({event['reason']})" if event.get("reason") else ""
            return f"{event.get('state', 'held')}: {event.get('version')}{why}"
        case "update":
            numbers = f"k-hat {event.get('khat'):.2f}, {event.get('ess'):.0f} effective draws"
            return f"{event.get('version')}: the draws of {event.get('parent')} weighed anew ({numbers})"
        case "promotion" | "rollback":
            return f"{event.get('version')} became champion (before: {event.get('previous_version') or 'none'})"
    return str(event.get("version") or event.get("reason") or "")


def list_weeks(weeks: Sequence[str]) -> str:
    """Return weeks by name, or the first, the last and the count of many."""
    if len(weeks) <= WEEKS_NAMED:
        return ", ".join(weeks) or "none"
    return f"{len(weeks)}, from {min(weeks)} to {max(weeks)}"


def _fired_first(decision: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the rules, fired ones first; ``needed`` is false for those behind a rule that had decided."""
    rules, decided = [], False
    for rule in rules_of(decision) if decision else ():
        rules.append({"rule": rule, "needed": not decided})
        decided = decided or (rule.fired and rule.decision != TELL)
    return sorted(rules, key=lambda row: not row["rule"].fired)


def _costs(week: WeekFiles) -> list[RuleCost]:
    """Return the rules that ever fired or decided, with what they cost so far."""
    return [cost for cost in rule_costs(week.events) if cost.fired or cost.decided]


def _restated(diff: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return list(diff.get("restated", []))[:CELLS_SHOWN] if diff else []


def _drift_rows(drift: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    rows = drift.get("columns", []) if drift else []
    return sorted(rows, key=lambda row: -row["ratio"])


def _approval(week: WeekFiles) -> Mapping[str, Any] | None:
    """Return the last approval event that belongs to this week."""
    found = [e for e in week.events if e["event"] == "approval" and e["as_of"] == week.as_of]
    return found[-1] if found else None


def _challenger(week: WeekFiles) -> str | None:
    """Return the id of the version that this week's fit made."""
    found = [e["version"] for e in week.events if e["event"] == "verdict" and e["as_of"] == week.as_of]
    return found[-1] if found else None


def _contest(week: WeekFiles) -> dict[str, Any] | None:
    """Return the tables of the fits that a review held against each other, None where there was no contest."""
    found = (week.evaluation or {}).get("contest")
    if found is None:
        return None
    tables = [("Leads", words.leads_table(found)), (words.ROAS, words.roas_table(found))]
    return {"text": words.contest_text(found), "tables": [(caption, table) for caption, table in tables if table[1]]}


def _metrics(week: WeekFiles) -> dict[str, Any]:
    return dict(sorted((week.evaluation or {}).get("metrics", {}).items()))


def _cusum_limit(week: WeekFiles) -> float | None:
    """Return the limit of the rule on the CUSUM, so that the chart shows what an alarm would be."""
    asked = [one for row in _fired_first(week.decision) for one in row["rule"].conditions()]
    return next((float(one.value) for one in asked if one.evidence == "surprise.cusum"), None)


def _outside(week: WeekFiles) -> list[QualityPoint]:
    """Return what of this week's deliveries lies outside its limits."""
    return [point for point in week.quality if point.as_of == week.as_of and point.outside]


def _charts(week: WeekFiles) -> dict[str, str]:
    """Return each chart that has data as inline SVG, by name."""
    from markupsafe import Markup

    with fig.styled():
        drawn = evaluation_figures(week.evaluated) if "challenger" not in week.missing else {}
        if week.scores:
            log = log_table([Score.model_validate(row) for row in week.scores], week.slack, week.reset_after)
            drawn["prequential"] = prequential_plot(log, _cusum_limit(week))
        if week.quality and (plot := quality_plot(week.quality)) is not None:
            drawn["quality"] = plot
        if week.budget and week.curves is not None and not week.curves.empty:
            drawn["curves"] = curves_plot(week.curves)
        rows = _drift_rows(week.drift)
        if week.drift_paths is not None and (plot := drift_plot(week.drift_paths, rows)) is not None:
            drawn["drift"] = plot
        return {name: Markup(fig.to_svg(figure, name)) for name, figure in drawn.items()}
