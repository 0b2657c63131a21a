"""Which models a review fits beside the plain refit: those that could be right if the alarm is.

A refit on all data averages what was true before a change and after.  A challenger lets the part that an alarm points
at be another one: a break at the estimated change point, an effect that moves, or fewer old weeks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from evermix.config import ColumnParams
from evermix.core.amend import in_words, join_amendments, keep_known
from evermix.core.changes import launched_columns
from evermix.core.prequential import one_step
from evermix.records import Decision, Score, VersionFile

# The one in which every effect and the level may have changed.
BREAK_ANY = "break_any"
# Standard deviation a priori of the log of what an effect is multiplied by: halved and doubled lie at 1 sd.
BREAK_SD = 0.7
# A random walk of the log effect, one step in half a year.
STEP_SD, STEP_WEEKS = 0.35, 26
# So many suspects have a challenger of their own, if the evidence against them is at least this share.
SUSPECTS, LEAST_SHARE = 2, 0.1
# The shorter window: a year and a half, and half a year of carry-over at least before it.
WINDOW_WEEKS, WINDOW_LEAD = 78, 26


def has_alarm(decision: Decision) -> bool:
    """Return whether a decision is a review that a sequential alarm opened, alone or with others."""
    rules = [rule for rule in decision.rules if rule.fired and rule.name in decision.because]
    asked = [one.evidence for rule in rules for one in (rule, *rule.also)]
    return decision.decision == "review" and any(n.startswith("alarm.") or n == "surprise.cusum" for n in asked)


def kept_amendments(
    champion: VersionFile | None, columns: ColumnParams, as_of: str, orders: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the champion's amendments that its successor keeps, for the world has not changed back.

    Breaks of channels that the model no longer has are dropped, and all of them where a person or an upstream has
    asked for a refit of the plain spec.
    """
    if champion is None or any((orders.get(who) or {}).get("plain") for who in ("refit", "upstream")):
        return {}
    return keep_known(champion.amendments, launched_columns(columns, as_of)["channels"])


def challenge(
    alarm: Mapping[str, Any],
    carried: Mapping[str, Any],
    request: Mapping[str, Any],
    panel: pd.DataFrame,
    scores: Sequence[Score],
) -> dict[str, Any]:
    """Return what a request says of a contest: ``challengers``, and the log scores of the versions of then.

    Parameters
    ----------
    request : mapping
        Of the plain refit.
    panel : DataFrame
        Its training panel.
    scores : sequence of Score
        The prequential log, this week's rows included.
    """
    known = panel.loc[panel["target"].notna(), "week"].drop_duplicates().sort_values()
    weeks = [week.strftime("%Y-%m-%d") for week in known]
    held = set(weeks[-request["evaluation"]["holdout_weeks"] :])
    return {
        "challengers": list_challengers(alarm, carried, list(request["columns"]["channels"]), weeks),
        "champion_scores": [
            {"week": row.week, "geo": row.geo, "log_score": row.log_score}
            for row in one_step(scores)
            if row.week in held
        ],
    }


def list_challengers(
    alarm: Mapping[str, Any], carried: Mapping[str, Any], channels: Sequence[str], weeks: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the challengers of a review that an alarm opened, beside the plain refit.

    Parameters
    ----------
    alarm : mapping
        ``suspects`` {name, family, probability}, likeliest first, and ``change_point`` {week, low, high} if there is
        one.
    carried : mapping
        Amendments that the plain refit has too.
    weeks : sequence of str
        Mondays that have a target, in order.

    Returns
    -------
    list of dict
        ``name``, ``amendments`` (all of the fit's), ``why``.
    """
    point = alarm.get("change_point")
    if point is None or not weeks[0] < point["week"] <= weeks[-1]:
        return []
    since = point["week"]
    every = _effects(channels, since, BREAK_SD) | {"level_breaks": [since]}
    found = {BREAK_ANY: (every, "which part changed is not known for sure")}
    suspects = [s for s in alarm["suspects"] if s["probability"] >= LEAST_SHARE]
    for suspect in suspects[:SUSPECTS]:
        share = f"{suspect['probability']:.0%} of the evidence"
        if suspect["family"] == "channel" and suspect["name"] in channels:
            found[f"break_{suspect['name']}"] = _effects([suspect["name"]], since, BREAK_SD), share
        elif suspect["family"] in ("level", "geo"):
            found["break_level"] = {"level_breaks": [since]}, share
    accused = next((s["name"] for s in alarm["suspects"] if s["family"] == "channel" and s["name"] in channels), None)
    if accused is not None:
        found[f"moving_{accused}"] = _moving(accused, since, weeks), "an effect may have moved more than once"
    if len(weeks) >= WINDOW_WEEKS + WINDOW_LEAD:
        found["window"] = {"first_week": weeks[-WINDOW_WEEKS]}, "old weeks may be no guide any more"
    plans, known = [], [dict(carried)]
    for name, (more, why) in found.items():
        whole = join_amendments(carried, more)
        if whole not in known:
            known.append(whole)
            plans.append({"name": name, "amendments": whole, "why": f"{in_words(more)}: {why}"})
    return plans


def _effects(channels: Sequence[str], since: str, sd: float) -> dict[str, Any]:
    return {"effect_breaks": [{"channel": name, "from": since, "sd": sd} for name in channels]}


def _moving(channel: str, since: str, weeks: Sequence[str]) -> dict[str, Any]:
    """Return steps of a channel's effect at the change point and every half year before and after it."""
    at = weeks.index(since) if since in weeks else len(weeks)
    starts = range(at % STEP_WEEKS or STEP_WEEKS, len(weeks), STEP_WEEKS)
    return {"effect_breaks": [{"channel": channel, "from": weeks[i], "sd": STEP_SD} for i in starts]}
