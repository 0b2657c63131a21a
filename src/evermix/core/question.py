"""The question put to a person, in words: what happened, the evidence, what each answer does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evermix.core.budget_words import budget_markdown
from evermix.core.contest_words import contest_lines
from evermix.core.markdown import table_lines
from evermix.core.outcomes import rules_of

_HOLD = "**Hold** signs that somebody has looked, changes nothing and leaves the question open until it expires."


def question_markdown(
    model: str, question: Mapping[str, Any], decision: Mapping[str, Any], verdict: Mapping[str, Any]
) -> str:
    """Return a pending question as Markdown.

    Parameters
    ----------
    question : mapping
        ``version, as_of, decision, verdict, promotable, reasons, champion`` and, as `shown_of` keeps them, ``roas``,
        ``coverage`` and ``budget`` (a question of an earlier version has none of them) and, of a review that an alarm
        opened, ``contest``.
    decision, verdict : mapping
        The ledger's events of that week; empty ones leave their tables out.
    """
    champion, version = question["champion"] or "none", question["version"]
    lines = [
        f"**{model}, week {question['as_of']}**: {question['decision']}. "
        f"The gate's verdict on the challenger: **{question['verdict']}**.",
        "",
        *[f"- {reason}" for reason in question["reasons"]],
        "",
        f"In use: `{champion}`. Asks to replace it: `{version}`.",
        "",
    ]
    lines += [*_roas_lines(question.get("roas", [])), *_coverage_lines(question.get("coverage", {}))]
    lines += budget_markdown(question["budget"]) if question.get("budget") else []
    lines += contest_lines(question["contest"]) if "contest" in question else []
    fired = [rule for rule in rules_of(decision) if rule.fired] if decision else []
    if fired:
        lines += table_lines(["rule", "what it saw"], [[rule.name, rule.text()] for rule in fired])
    if verdict.get("checks"):
        lines += table_lines(
            ["check of the gate", "allowed", "seen", "passed"], [_check_row(c) for c in verdict["checks"]]
        )
    if question["promotable"]:
        lines.append(f"**Approve** makes `{version}` the champion. **Reject** keeps `{champion}`. {_HOLD}")
    else:
        lines.append(
            f"The gate rejected `{version}`, so it cannot be promoted: "
            f"Approve and Reject both keep `{champion}` and close the review. {_HOLD}"
        )
    return "\n".join(lines)


def shown_of(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a question keeps of the challenger's evaluation: ROAS, training coverage, budget, contest."""
    values = evaluation.get("values", {})
    coverage = {level: values[f"coverage_{level}"] for level in ("50", "90") if f"coverage_{level}" in values}
    kept = {name: evaluation[name] for name in ("budget", "contest") if name in evaluation}
    return {"roas": list(evaluation.get("roas", [])), "coverage": coverage, **kept}


def _roas_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the return on ad spend per channel by the version in use and by the one that asks, with the change."""
    by_channel: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        by_channel.setdefault(row["channel"], {})[row["version"]] = row
    if not by_channel:
        return []
    head = ["return on ad spend", "in use (90 % interval)", "asks (90 % interval)", "change"]
    pairs = [(name, both.get("champion"), both.get("challenger")) for name, both in by_channel.items()]
    return table_lines(head, [[name, _interval(old), _interval(new), _change(old, new)] for name, old, new in pairs])


def _interval(row: Mapping[str, Any] | None) -> str:
    return f"{row['mean']:.3g} ({row['low']:.3g} to {row['high']:.3g})" if row is not None else "not known"


def _change(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """Return the change in percent, in bold where the new mean lies outside the old interval."""
    if old is None or new is None or old["mean"] == 0:
        return ""
    text = f"{100 * (new['mean'] / old['mean'] - 1):+.0f} %"
    return text if old["low"] <= new["mean"] <= old["high"] else f"**{text}**"


def _coverage_lines(coverage: Mapping[str, float | None]) -> list[str]:
    known = {level: value for level, value in coverage.items() if value is not None}
    if not known:
        return []
    text = " and ".join(f"{100 * value:.0f} % of them in its {level} % interval" for level, value in known.items())
    return [f"Of the weeks that it was fitted on, the challenger has {text}.", ""]


def _check_row(check: Mapping[str, Any]) -> list[str]:
    low, high = _number(check["low"]), _number(check["high"])
    allowed = f"{low} to {high}" if check["low"] is not None and check["high"] is not None else ""
    allowed = allowed or (f"at least {low}" if check["low"] is not None else f"at most {high}")
    if check["seen"] is None and check["passed"]:
        return [check["metric"], allowed, "", check["why"]]
    return [check["metric"], allowed, _number(check["seen"]), "yes" if check["passed"] else "**no**"]


def _number(value: Any) -> str:
    if value is None:
        return "missing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
