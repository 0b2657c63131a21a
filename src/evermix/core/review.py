"""The gate: from a challenger's numbers to a verdict, check by check.

A number that is missing or not finite never passes.  One that does not apply (there is no
champion to compare a first fit with) passes only if evaluate said so and why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evermix.config import Check
from evermix.records import CheckOutcome, Verdict, VerdictName


def judge_challenger(
    model: str,
    request: Mapping[str, Any],
    checks: Sequence[Check],
    values: Mapping[str, float | None],
    not_applicable: Mapping[str, str],
) -> Verdict:
    """Return ``reject`` if a rejecting check fails, else ``hold`` if any fails, else ``promote``.

    A request that came from a review is never promoted by itself: a person must look.  At a first fit no version is
    in use that a hold could keep, so each check has an own answer for it in params.

    Parameters
    ----------
    request : mapping
        With ``id`` (None: nothing was requested, no verdict) and ``decision``.
    values : mapping
        Numbers by metric.
    not_applicable : mapping
        Reason by metric; a metric that has a number is judged by it all the same.
    """
    if request["id"] is None:
        return Verdict(model=model, request=None, verdict=None, reasons=["nothing was requested"], checks=[])
    first = request["decision"] == "first_fit"
    outcomes = [_outcome(check, values.get(check.metric), not_applicable.get(check.metric), first) for check in checks]
    failed = [outcome for outcome in outcomes if not outcome.passed]
    verdict: VerdictName = "promote"
    if any(outcome.otherwise == "reject" for outcome in failed):
        verdict = "reject"
    elif any(outcome.otherwise == "hold" for outcome in failed):
        verdict = "hold"
    if not outcomes:
        return Verdict(model=model, request=request["id"], verdict="hold", reasons=["params name no check"], checks=[])
    reasons = [_reason(outcome) for outcome in sorted(failed, key=lambda o: o.otherwise != "reject")]
    if verdict == "promote" and request["decision"] == "review":
        verdict = "hold"
        reasons.append("the fit was asked for by a review: a person must look before it is used")
    return Verdict(
        model=model,
        request=request["id"],
        verdict=verdict,
        reasons=reasons or [f"all {len(outcomes)} checks passed"],
        checks=outcomes,
    )


def _outcome(check: Check, value: float | None, not_applicable: str | None, first: bool) -> CheckOutcome:
    seen = float(value) if value is not None and math.isfinite(value) else None
    why = check.why
    if seen is None:
        passed = not_applicable is not None
        # A note is for a number that was seen and is bad; one that is missing is not known to be harmless.
        otherwise: str = check.otherwise
        why = f"not applicable: {not_applicable}" if passed else why
    else:
        otherwise = check.at_first_fit if first else check.otherwise
        passed = (check.low is None or seen >= check.low) and (check.high is None or seen <= check.high)
    return CheckOutcome(
        metric=check.metric,
        seen=seen,
        low=check.low,
        high=check.high,
        passed=passed,
        otherwise=otherwise,
        why=why,
    )


def _reason(outcome: CheckOutcome) -> str:
    if outcome.seen is None:
        return f"{outcome.otherwise}: {outcome.metric} is missing, and missing evidence never passes"
    limits = " and ".join(
        text
        for text, bound in ((f"at least {outcome.low}", outcome.low), (f"at most {outcome.high}", outcome.high))
        if bound is not None
    )
    return f"{outcome.otherwise}: {outcome.why} ({outcome.metric} = {outcome.seen:.4g}, expected {limits})"
