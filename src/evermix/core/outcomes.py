"""What the rules of a decision said, read off their outcomes: who is to be told, how gravely, and what is news."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evermix.core.ledger import Event
from evermix.records import RuleOutcome

TELL = "tell"
_ENDS = ("quarantine", "first_fit")


def rules_of(decision: Mapping[str, Any]) -> list[RuleOutcome]:
    """Return the outcomes that a decision of the ledger keeps."""
    return [RuleOutcome.model_validate(rule) for rule in decision["rules"]]


def fired_lines(decision: Mapping[str, Any]) -> list[str]:
    """Return the rules that fired for a decision, in words with all that they saw."""
    return [rule.line() for rule in rules_of(decision) if rule.fired]


def reached(outcomes: Sequence[RuleOutcome]) -> Iterator[RuleOutcome]:
    """Yield the rules that had something to ask, in order.

    A quarantine and a first fit end the table, since behind them nobody was questioned and no evidence is known.
    """
    for outcome in outcomes:
        yield outcome
        if outcome.fired and outcome.decision in _ENDS:
            return


def told_rules(outcomes: Sequence[RuleOutcome]) -> list[RuleOutcome]:
    """Return the rules that only tell and had something to tell: they fired, or lack their evidence."""
    return [rule for rule in reached(outcomes) if rule.decision == TELL and (rule.fired or rule.missing)]


def news_of(events: Sequence[Event], place: int) -> list[RuleOutcome]:
    """Return the rules that tell something new with the decision at ``place``: one lasting condition is told once.

    News is a rule that fires, or lacks its evidence, and did not do so in the last week in which it could be answered.
    """
    before = [event for event in events[:place] if event["event"] == "decision"]
    return [rule for rule in told_rules(rules_of(events[place])) if _state(rule) != _last_state(before, rule.name)]


def rules_behind(events: Sequence[Event], place: int) -> list[RuleOutcome]:
    """Return the rules that fired for the decision of the week to which the event at ``place`` belongs."""
    as_of = events[place]["as_of"]
    decided = [e for e in events[: place + 1] if e["event"] == "decision" and e["as_of"] == as_of]
    found = rules_of(decided[-1]) if decided else []
    return [rule for rule in found if rule.fired and rule.decision == decided[-1]["decision"]]


def routes_of(rules: Sequence[RuleOutcome]) -> tuple[tuple[str, ...], bool]:
    """Return the routes that some rules name, and whether the routes of model and severity are to be taken as well.

    They are where a rule names none, and where no rule is behind an alert.
    """
    named = {route for rule in rules for route in rule.tell}
    return tuple(sorted(named)), not rules or any(not rule.tell for rule in rules)


def _last_state(decisions: Sequence[Event], name: str) -> str:
    for event in reversed(decisions):
        for rule in reached(rules_of(event)):
            if rule.name == name:
                return _state(rule)
    return "quiet"


def _state(rule: RuleOutcome) -> str:
    return "fired" if rule.fired else "missing" if rule.missing else "quiet"
