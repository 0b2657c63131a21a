"""From evidence to one decision, by the rule table of params; and the request that a decision makes.

Every rule is recorded with the number it saw.  Missing evidence never passes: it is a review.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import pandas as pd

from evermix.config import EVIDENCE, ModelParams, Rule
from evermix.core.amend import amended_spec, plain_spec
from evermix.core.changes import launched_columns, masked_mondays
from evermix.core.orders import obey, request_evidence
from evermix.core.outcomes import TELL, reached, told_rules
from evermix.records import Decision, DecisionName, RuleOutcome, Seen, VersionFile

Evidence = Mapping[str, float | bool | None]

QUIET = "no rule fired"
ASKING = ("refit", "review")
REQUESTING = ("first_fit", *ASKING)

# Evidence of whether the base can carry an update.
_BASE = ("update.", "structure.")

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
class Refused:
    """A person's no to a question, as `evermix.core.orders.refused_question` reads it off the ledger.

    It speaks for a lasting state that is as it was: not for news of a week, nor for an alarm, which the answer has
    reset, nor for evidence that has moved on by more than half of the rule's limit.
    """

    by: str
    until: str
    rules: frozenset[str]
    seen: Mapping[str, float | bool | None]

    def speaks_for(self, outcome: RuleOutcome) -> bool:
        """Return whether this no holds for what a rule sees now."""
        if outcome.name not in self.rules or not _asks(outcome):
            return False
        if outcome.missing:
            return all(self.seen.get(name) is None for name in outcome.missing)
        return all(
            EVIDENCE[one.evidence].lasts == "state" and not _is_worse(one, self.seen.get(one.evidence))
            for one in outcome.conditions()
        )


@dataclass(frozen=True)
class Judgement:
    """What the table says: the decision, its reasons, each rule's outcome, and the rules behind the decision.

    Of these the first decided; the others fired too, and a question about the decision covers them.
    """

    decision: DecisionName
    reasons: list[str]
    rules: list[RuleOutcome]
    because: list[str]


def judge_evidence(
    rules: Sequence[Rule], evidence: Evidence, pending: Pending | None, refused: Refused | None = None
) -> Judgement:
    """Return the decision of the first rule that fires or lacks its evidence; a rule that only tells decides nothing.

    A refit or review that a pending question covers, or to which a person said no, is recorded as fired and passed
    over, so that one lasting alarm asks once; a rule that fires beside it asks, and its question covers both.  An
    update goes on beside them, but not where they doubt the base: weights that cannot be trusted, or a model that is
    no longer the one in params, are not published because nobody has answered yet.

    Parameters
    ----------
    rules : sequence of Rule
        In order of precedence.
    evidence : mapping
        Number or bool by name; absent, None and NaN are missing.
    pending : Pending or None
        The question that waits, if any.
    refused : Refused or None
        What a person said no to, if that still holds.
    """
    outcomes = [_outcome(rule, evidence) for rule in rules]
    judged = _judge(outcomes, pending, refused)
    told = [f"told: {_reason(outcome)}" for outcome in told_rules(outcomes)]
    quiet = ["no rule that decides fired"] if told and judged.reasons == [QUIET] else judged.reasons
    return replace(judged, reasons=[*quiet, *told])


def _judge(outcomes: Sequence[RuleOutcome], pending: Pending | None, refused: Refused | None) -> Judgement:
    rules = list(outcomes)
    covered = pending.rules if pending is not None else frozenset()
    passed: list[RuleOutcome] = []
    why: list[str] = []
    deciding = [outcome for outcome in outcomes if outcome.decision != TELL]
    for i, outcome in enumerate(deciding):
        if not (outcome.missing or outcome.fired):
            continue
        name, still = outcome.name, "still lacks evidence" if outcome.missing else "still fires"
        if pending is not None and name in covered and outcome.decision == "first_fit":
            # Without a champion the rules below have no evidence: the pending question is all there is.
            return Judgement("keep", [f"the question of {pending.as_of} is pending"], rules, [])
        if pending is not None and name in covered and _asks(outcome):
            passed.append(outcome)
            why.append(f"the question of {pending.as_of} is pending (rule {name} {still})")
            continue
        if refused is not None and refused.speaks_for(outcome):
            passed.append(outcome)
            why.append(f"{refused.by} said no (rule {name} {still}); it may ask again after {refused.until}")
            continue
        decision = cast(DecisionName, "review" if outcome.missing else outcome.decision)
        if decision == "update" and any(one.evidence.startswith(_BASE) for o in passed for one in o.conditions()):
            break
        if decision not in ASKING:
            return Judgement(decision, [_reason(outcome), *why], rules, [name])
        # What else fires or is missing belongs to the same question, so that it is not asked again next week.
        later = _asking(deciding[i + 1 :])
        reasons = [_reason(o) for o in (outcome, *later)]
        return Judgement(decision, reasons, rules, [name, *[o.name for o in (*later, *passed)]])
    return Judgement("keep", why or [QUIET], rules, [])


def decide_week(
    model: str,
    as_of: str,
    params: ModelParams,
    evidence: Evidence,
    quarantined: bool,
    asked: tuple[Pending | None, Refused | None],
    orders: Mapping[str, Any],
) -> Decision:
    """Return the decision of a week, not yet with its request.

    A quarantined delivery has no panel, so whatever the table says, nothing is fitted on it.  What people have
    ordered (`evermix.core.orders.orders_for`) comes after the table.

    Parameters
    ----------
    asked : tuple
        The question that waits, and the one to which a person said no.
    """
    evidence = {**evidence, **request_evidence(orders)}
    judged = judge_evidence(params.rules, evidence, *asked)
    decision, reasons, because = judged.decision, judged.reasons, judged.because
    if quarantined and decision != "quarantine":
        decision, reasons = "quarantine", ["the delivery breaks the model's data contract, and no rule said so"]
        because = []
    decision, reasons, order = obey(decision, reasons, orders)
    if order is not None:
        because = [order, *[outcome.name for outcome in _asking(reached(judged.rules))]]
    return Decision(
        model=model,
        as_of=as_of,
        decision=decision,
        reasons=reasons,
        evidence={name: _told(value) for name, value in sorted(evidence.items())},
        rules=judged.rules,
        request=None,
        requested_now=decision in REQUESTING,
        because=because,
    )


def build_request(
    decision: Decision,
    params: ModelParams,
    panel: pd.DataFrame,
    champion: VersionFile | None,
    carried: Mapping[str, Any],
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the request, without its id, and the training panel: all that a fit depends on.

    The basis is the champion's, so that scales and time do not move; so are the amendments ``carried``.  Channels that
    are to be launched after ``as_of`` are left out of columns and panel.
    """
    settings = request_settings(params, decision.as_of)
    settings["spec"] = amended_spec(settings["spec"], carried)
    last = panel.loc[panel["target"].notna(), "week"].max()
    request = {
        **settings,
        "model": decision.model,
        "as_of": decision.as_of,
        "decision": decision.decision,
        "reasons": decision.reasons,
        "rules": sorted(decision.because),
        "basis": champion.basis if champion is not None else None,
        "champion": champion.id if champion is not None else None,
        "base": champion.base if champion is not None else None,
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
    if question is None or not _is_the_same_fit(question["as_of"], last_request, champion, params, as_of):
        return None
    return Pending(question["as_of"], frozenset(last_request["rules"]))


def refused_rules(
    refused: Mapping[str, Any] | None,
    last_request: Mapping[str, Any],
    champion: VersionFile | None,
    params: ModelParams,
    as_of: str,
) -> Refused | None:
    """Return what a person said no to, if today's params would ask for the very same fit of this champion.

    Parameters
    ----------
    refused : mapping or None
        `evermix.core.orders.refused_question`.
    last_request : mapping
        The request that led to the question.
    """
    if refused is None or not _is_the_same_fit(refused["as_of"], last_request, champion, params, as_of):
        return None
    return Refused(refused["by"], refused["until"], frozenset(refused["rules"]), refused["seen"])


def _asking(outcomes: Iterable[RuleOutcome]) -> list[RuleOutcome]:
    """Return the rules that ask for a fit or a person: by firing, or for want of evidence."""
    return [o for o in outcomes if o.decision != TELL and _asks(o)]


def _asks(outcome: RuleOutcome) -> bool:
    return bool(outcome.missing) or (outcome.fired and outcome.decision in ASKING)


def _is_the_same_fit(
    asked_in: str, request: Mapping[str, Any], champion: VersionFile | None, params: ModelParams, as_of: str
) -> bool:
    # Updates of one fit are versions of their own: a question asked under one of them holds under the next.
    asked_of = request.get("base", request.get("champion"))
    if asked_of != (champion.base if champion is not None else None) or request.get("as_of") != asked_in:
        return False
    today, then = request_settings(params, as_of), {**request, "spec": plain_spec(request["spec"])}
    return all(json.dumps(then[k], sort_keys=True) == json.dumps(today[k], sort_keys=True) for k in _RECIPE)


def _is_worse(now: Seen, then: float | bool | None) -> bool:
    """Return whether a number has moved on in the direction of its rule by more than half of the rule's limit."""
    if now.seen is None or then is None:
        return now.seen is not None
    step = {">": 1, ">=": 1, "<": -1, "<=": -1}.get(now.op)
    return now.seen != then if step is None else step * (now.seen - then) > abs(now.value) / 2


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
