"""What the rules of a decision said, read off their outcomes: which of them told people something."""

from __future__ import annotations

from collections.abc import Sequence

from evermix.records import RuleOutcome

TELL = "tell"
_ENDS = ("quarantine", "first_fit")


def told_rules(outcomes: Sequence[RuleOutcome]) -> list[RuleOutcome]:
    """Return the rules that only tell and had something to tell: they fired, or lack their evidence.

    A quarantine and a first fit end the table, since behind them nobody was questioned and no evidence is known.
    """
    told: list[RuleOutcome] = []
    for outcome in outcomes:
        if outcome.decision == TELL and (outcome.fired or outcome.missing):
            told.append(outcome)
        elif outcome.fired and outcome.decision in _ENDS:
            break
    return told
