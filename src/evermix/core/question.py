"""The question put to a person, in words: what happened, the evidence, what each answer does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def question_markdown(
    model: str, question: Mapping[str, Any], decision: Mapping[str, Any], verdict: Mapping[str, Any]
) -> str:
    """Return a pending question as Markdown.

    Parameters
    ----------
    question : mapping
        ``version, as_of, decision, verdict, promotable, reasons, champion``.
    decision, verdict : mapping
        The ledger's events of that week; empty ones leave their tables out.
    """
    champion, version = question["champion"] or "none", question["version"]
    lines = [
        f"**{model}, week {question['as_of']}**: {question['decision']}, verdict {question['verdict']}.",
        "",
        *[f"- {reason}" for reason in question["reasons"]],
        "",
        f"In use: `{champion}`. Asks to replace it: `{version}`.",
        "",
    ]
    fired = [rule for rule in decision.get("rules", []) if rule["fired"]]
    if fired:
        lines += _table(["rule", "evidence", "limit", "seen"], [_rule_row(rule) for rule in fired])
    if verdict.get("checks"):
        lines += _table(["check of the gate", "allowed", "seen", "passed"], [_check_row(c) for c in verdict["checks"]])
    if question["promotable"]:
        lines.append(f"**Approve** makes `{version}` the champion. **Reject** keeps `{champion}`.")
    else:
        lines.append(
            f"The gate rejected `{version}`, so it cannot be promoted: "
            f"both answers keep `{champion}` and close the review."
        )
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *[f"| {' | '.join(row)} |" for row in rows], ""]


def _rule_row(rule: Mapping[str, Any]) -> list[str]:
    return [rule["name"], rule["evidence"], f"{rule['op']} {_number(rule['value'])}", _number(rule["seen"])]


def _check_row(check: Mapping[str, Any]) -> list[str]:
    low, high = _number(check["low"]), _number(check["high"])
    allowed = f"{low} to {high}" if check["low"] is not None and check["high"] is not None else ""
    allowed = allowed or (f"at least {low}" if check["low"] is not None else f"at most {high}")
    return [check["metric"], allowed, _number(check["seen"]), "yes" if check["passed"] else "**no**"]


def _number(value: Any) -> str:
    if value is None:
        return "missing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
