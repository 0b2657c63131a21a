"""What each rule of the table costs: how often it fired, what it decided, and how many fits a year that makes.

Read off one model's ledger, so it is a rate that was observed and not one that a study promises.
"""

from __future__ import annotations

from collections.abc import Sequence

from scipy.special import gammaincinv

from evermix.config import PERSON
from evermix.core.ledger import Event
from evermix.core.outcomes import reached, rules_of
from evermix.records import RuleCost, RuleOutcome

WEEKS_A_YEAR = 52
INTERVAL = 0.95
FITS = ("first_fit", "refit", "review")


def rule_costs(events: Sequence[Event]) -> list[RuleCost]:
    """Return the costs of each rule in the order of the latest table, rules that it no longer has behind it.

    A decision counts for the rule that made it, the first among its causes, though others may have fired beside it;
    a person's order is a rule of its own here, asked in every week that was accepted.  Of a quarantined week only the
    decision that holds counts, so one that was healed counts as what it became.
    """
    weeks = list({event["as_of"]: event for event in events if event["event"] == "decision"}.values())
    seen = [(week, {rule.name: rule for rule in reached(rules_of(week))}) for week in weeks]
    names = dict.fromkeys(rule["name"] for week in reversed(weeks) for rule in week["rules"])
    return [*[_cost(name, [(w, r[name]) for w, r in seen if name in r], weeks) for name in names], *_person(weeks)]


def yearly_rate(count: int, weeks: int) -> tuple[float, float, float]:
    """Return events per 52 weeks with the ends of their exact 95 % interval (Garwood 1936, for a Poisson count).

    Weeks are taken as independent; where one lasting state fires week after week the interval is too narrow.

    Parameters
    ----------
    weeks : int
        At least 1.
    """
    tail, year = (1 - INTERVAL) / 2, WEEKS_A_YEAR / weeks
    low = float(gammaincinv(count, tail)) if count else 0.0
    return count * year, low * year, float(gammaincinv(count + 1, 1 - tail)) * year


def cause_of(decision: Event) -> str | None:
    """Return the rule or order that made a decision, None: a quiet week.

    Ledgers of earlier versions do not say; there it is the first rule that fired for it, or lacked its evidence.
    """
    if "because" in decision:
        return next(iter(decision["because"]), None)
    made = decision["decision"]
    if made == "keep":
        return None
    fired = [rule.name for rule in rules_of(decision) if rule.fired and rule.decision == made]
    lacking = [rule.name for rule in rules_of(decision) if rule.missing and made == "review"]
    return next(iter([*fired, *lacking]), PERSON if made == "refit" else None)


def _cost(name: str, asked: Sequence[tuple[Event, RuleOutcome]], weeks: Sequence[Event]) -> RuleCost:
    answered = [rule for _, rule in asked if not rule.missing]
    last = next(rule for week in reversed(weeks) for rule in rules_of(week) if rule.name == name)
    made = [week for week, _ in asked if cause_of(week) == name]
    return _counted(
        name, last.decision, len(answered), len(asked) - len(answered), sum(r.fired for r in answered), made
    )


def _person(weeks: Sequence[Event]) -> list[RuleCost]:
    accepted = [week for week in weeks if week["decision"] != "quarantine"]
    made = [week for week in accepted if cause_of(week) == PERSON]
    fired = sum(bool(week["evidence"].get("request.person")) or week in made for week in accepted)
    return [_counted(PERSON, "refit", len(accepted), 0, fired, made)] if made else []


def _counted(name: str, leads_to: str, weeks: int, missing: int, fired: int, made: Sequence[Event]) -> RuleCost:
    decided: dict[str, int] = {}
    for week in made:
        decided[week["decision"]] = decided.get(week["decision"], 0) + 1
    fits = sum(decided.get(decision, 0) for decision in FITS)
    rate, low, high = yearly_rate(fits, weeks + missing) if weeks + missing else (None, None, None)
    return RuleCost(
        rule=name,
        leads_to=leads_to,
        weeks=weeks,
        missing=missing,
        fired=fired,
        decided=decided,
        fits=fits,
        fits_per_year=rate,
        low_95=low,
        high_95=high,
    )
