"""From evidence to one decision, by the rule table of params; and the request that a decision makes.

Every rule is recorded with the number it saw.  Missing evidence never passes: it is a review.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from evermix.config import ModelParams, Rule
from evermix.core.changes import launched_columns, masked_mondays
from evermix.core.orders import obey
from evermix.core.outcomes import TELL, told_rules
from evermix.records import Decision, DecisionName, RuleOutcome, Seen, VersionFile

Evidence = Mapping[str, float | bool | None]

QUIET = "no rule fired"
REQUESTING = ("first_fit", "refit", "review")

_COMPARE = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
# What these keys hold decides what is fitted; as_of and the data may differ and it is still the same question.
_RECIPE = ("kind", "spec", "columns", "sampler", "recipe", "seed", "evaluation")


@dataclass(frozen=True)
class Pending:
    """A question that waits for a person: the week it was asked in, and the rules that it already covers."""

    as_of: str
    rules: frozenset[str]


@dataclass(frozen=True)
class Judgement:
    """What the table says: the decision, its reasons, each rule's outcome, and the rules the decision covers."""

    decision: DecisionName
    reasons: list[str]
    rules: list[RuleOutcome]
    covers: list[str]


def judge_evidence(rules: Sequence[Rule], evidence: Evidence, pending: Pending | None) -> Judgement:
    """Return the decision of the first rule that fires or lacks its evidence; a rule that only tells decides nothing.

    A refit or review that a pending question covers is recorded as fired and passed over, so
    that one lasting alarm asks once; a rule that the question does not cover supersedes it.

    Parameters
    ----------
    rules : sequence of Rule
        In order of precedence.
    evidence : mapping
        Number or bool by name; absent, None and NaN are missing.
    pending : Pending or None
        The question that waits, if any.
    """
    outcomes = [_outcome(rule, evidence) for rule in rules]
    judged = _judge(outcomes, pending)
    told = [f"told: {_reason(outcome)}" for outcome in told_rules(outcomes)]
    quiet = ["no rule that decides fired"] if told and judged.reasons == [QUIET] else judged.reasons
    return replace(judged, reasons=[*quiet, *told])


def _judge(outcomes: Sequence[RuleOutcome], pending: Pending | None) -> Judgement:
    rules = list(outcomes)
    covered = pending.rules if pending is not None else frozenset()
    waiting: list[RuleOutcome] = []
    deciding = [outcome for outcome in outcomes if outcome.decision != TELL]
    for i, outcome in enumerate(deciding):
        if not (outcome.missing or outcome.fired):
            continue
        if outcome.name in covered and outcome.decision == "first_fit":
            # Without a champion the rules below have no evidence: the pending question is all there is.
            return Judgement("keep", [f"the question of {pending.as_of} is pending"], rules, [])  # type: ignore[union-attr]
        if outcome.name in covered and outcome.decision in ("refit", "review"):
            waiting.append(outcome)
            continue
        decision: DecisionName = "review" if outcome.missing else outcome.decision  # type: ignore[assignment]
        if decision not in ("refit", "review"):
            return Judgement(decision, [_reason(outcome)], rules, [outcome.name] if decision == "first_fit" else [])
        # What else fires or is missing belongs to the same question, so that it is not asked again next week.
        later = [o for o in deciding[i + 1 :] if o.fired or o.missing]
        reasons = [_reason(o) for o in (outcome, *later)]
        return Judgement(decision, reasons, rules, [o.name for o in (*waiting, outcome, *later)])
    if waiting and pending is not None:
        names = ", ".join(f"rule {o.name} {'still fires' if o.fired else 'still lacks evidence'}" for o in waiting)
        return Judgement("keep", [f"the question of {pending.as_of} is pending ({names})"], rules, [])
    return Judgement("keep", [QUIET], rules, [])


def decide_week(
    model: str,
    as_of: str,
    params: ModelParams,
    evidence: Evidence,
    quarantined: bool,
    pending: Pending | None,
    orders: Mapping[str, Any],
) -> tuple[Decision, list[str]]:
    """Return the decision of a week, not yet with its request, and the rules that it covers.

    A quarantined delivery has no panel, so whatever the table says, nothing is fitted on it.  What people have
    ordered (`evermix.core.orders.orders_for`) comes after the table.
    """
    judged = judge_evidence(params.rules, evidence, pending)
    decision, reasons = judged.decision, judged.reasons
    if quarantined and decision != "quarantine":
        decision, reasons = "quarantine", ["the delivery breaks the model's data contract, and no rule said so"]
    decision, reasons = obey(decision, reasons, orders)
    record = Decision(
        model=model,
        as_of=as_of,
        decision=decision,
        reasons=reasons,
        evidence={name: _told(value) for name, value in sorted(evidence.items())},
        rules=judged.rules,
        request=None,
        requested_now=decision in REQUESTING,
    )
    return record, judged.covers if record.requested_now else []


def build_request(
    decision: Decision,
    covers: Sequence[str],
    params: ModelParams,
    panel: pd.DataFrame,
    champion: VersionFile | None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the request, without its id, and the training panel: all that a fit depends on.

    The basis is the champion's, so that scales and time do not move.  Channels that are to be
    launched after ``as_of`` are left out of columns and panel.
    """
    settings = request_settings(params, decision.as_of)
    last = panel.loc[panel["target"].notna(), "week"].max()
    request = {
        **settings,
        "model": decision.model,
        "as_of": decision.as_of,
        "decision": decision.decision,
        "reasons": decision.reasons,
        "rules": sorted(covers),
        "basis": champion.basis if champion is not None else None,
        "champion": champion.id if champion is not None else None,
        "fitted_through": last.strftime("%Y-%m-%d"),
        "masked_weeks": masked_mondays(params.masked_weeks, panel["week"].max().strftime("%Y-%m-%d")),
    }
    named = {f"{kind}.{c}" for c in settings["columns"]["channels"] for kind in ("spend", "exposure")}
    kept = [c for c in map(str, panel) if not c.startswith(("spend.", "exposure.")) or c in named]
    return request, panel[kept]


def request_settings(params: ModelParams, as_of: str) -> dict[str, Any]:
    """Return the part of a request that comes from params as of a week."""
    return {
        "kind": params.kind,
        "spec": params.spec,
        "columns": launched_columns(params.columns, as_of),
        "sampler": params.sampler.model_dump(),
        "recipe": params.recipe,
        "seed": params.sampler.seed,
        "evaluation": params.evaluation.model_dump(),
    }


def request_id(request: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    """Return the first 16 hex digits of the SHA-256 of a request's content and of the files beside it."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    text = json.dumps({"request": request, "files": hashes}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def pending_question(
    question: Mapping[str, Any] | None,
    last_request: Mapping[str, Any],
    champion: VersionFile | None,
    params: ModelParams,
    as_of: str,
) -> Pending | None:
    """Return the question that waits, if today's params would ask for the very same fit of this champion.

    Parameters
    ----------
    question : mapping or None
        ``{version, as_of, decision, ...}`` of the question that closing left open.
    last_request : mapping
        The request that led to it.
    """
    if question is None or last_request.get("champion") != (champion.id if champion is not None else None):
        return None
    if last_request.get("as_of") != question["as_of"]:
        return None
    today = request_settings(params, as_of)
    if any(json.dumps(last_request[k], sort_keys=True) != json.dumps(today[k], sort_keys=True) for k in _RECIPE):
        return None
    return Pending(question["as_of"], frozenset(last_request["rules"]))


def _outcome(rule: Rule, evidence: Evidence) -> RuleOutcome:
    """Kleene's conjunction: one condition that fails settles the rule, whatever evidence the others lack."""
    seen = [
        Seen(evidence=c.evidence, op=c.op, value=c.value, seen=_told(evidence.get(c.evidence)))
        for c in rule.conditions()
    ]
    holds = [one.seen is None or bool(_COMPARE[one.op](one.seen, one.value)) for one in seen]
    unseen = [one.evidence for one in seen if one.seen is None]
    return RuleOutcome(
        **seen[0].model_dump(),
        name=rule.name,
        also=seen[1:],
        missing=unseen if all(holds) else [],
        fired=all(holds) and not unseen,
        decision=rule.decision,
        severity=rule.severity,
        tell=rule.tell,
        why=rule.why,
    )


def _told(value: float | bool | None) -> float | bool | None:
    """NaN is how a number says that it is missing; an infinite one is no measurement either."""
    if value is None or isinstance(value, bool):
        return value
    return float(value) if math.isfinite(value) else None


def _reason(outcome: RuleOutcome) -> str:
    if outcome.missing:
        return f"evidence {' and '.join(outcome.missing)} is missing (rule {outcome.name})"
    return f"{outcome.name}: {outcome.why} ({outcome.text()})"
