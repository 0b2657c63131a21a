"""What a budget review means, in the words of those who spend the money.  Pure: a record in, sentences out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evermix.core.markdown import table_lines

# A plan that follows from a test is in use for about a year: then the calendar asks for a new fit.
USED_WEEKS = 52
# A regret within two Monte-Carlo errors of zero is none.
_CLEAR_ERRORS = 2.0


@dataclass(frozen=True)
class BudgetWords:
    """A budget review in words.

    Attributes
    ----------
    summary : str
        The plan, and what keeping it costs.
    head, rows : list
        The plans channel by channel, as a table of texts; no rows where the review does not apply.
    notes : list of str
        What else the numbers mean.
    experiment : str
        Which channel to switch off and why; empty where the review does not apply.
    points : list of str
        What the experiment costs, shows and pays.
    """

    summary: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str]
    experiment: str
    points: list[str]


def budget_words(record: Mapping[str, Any]) -> BudgetWords:
    """Return the record of a ``BudgetReview`` in words."""
    if record["status"] != "computed":
        return BudgetWords(f"Not applicable: {record['why']}.", [], [], [], "", [])
    target, total = record["target"], sum(row["spend"] for row in record["channels"])
    plan = (
        f"If spend goes on as in {record['source']} ({amount(total)} a week), media bring about "
        f"{amount(record['brought_per_week'])} {target} a week."
    )
    head, rows = _plans(record)
    notes = [
        "The model is not certain of what the channels do. Certainty would be worth another "
        f"{amount(record['perfect_information_per_week'])} {target} a week; no experiment is worth more than that."
    ]
    if "champion_best_spend" in record["channels"][0]:
        notes.insert(0, _disagreement(record))
    test = record["experiment"]
    return BudgetWords(f"{plan} {_keeping(record)}", head, rows, notes, _proposal(test), _points(test, target))


def budget_markdown(record: Mapping[str, Any]) -> list[str]:
    """Return a budget review as lines of Markdown."""
    words = budget_words(record)
    lines = [f"**Budget**: {words.summary}", ""]
    if words.rows:
        lines += table_lines(words.head, words.rows)
    lines += [line for note in words.notes for line in (note, "")]
    if words.experiment:
        lines += [f"**Experiment**: {words.experiment}", "", *(f"- {point}" for point in words.points), ""]
    return lines


def amount(value: float) -> str:
    """Return a number as people read it: whole from 10 on, else three digits."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.3g}"


def percent(share: float, digits: int = 0) -> str:
    """Return a share in percent."""
    return f"{100 * share:.{digits}f} %"


def _keeping(record: Mapping[str, Any]) -> str:
    regret, error, target = record["regret_per_week"], record["regret_se"], record["target"]
    same = f"the same money, with no channel moved by more than {percent(record['max_change'])}"
    if regret <= _CLEAR_ERRORS * error:
        return f"No other split of {same}, is clearly better."
    share = f" (+{percent(record['regret_share'], 1)})" if record["regret_share"] is not None else ""
    return (
        f"The best split of {same}, brings {amount(regret)} {target} a week more{share}: that is what keeping the plan "
        f"costs. The best split is the better one with probability {percent(record['chance_better'])}."
    )


def _disagreement(record: Mapping[str, Any]) -> str:
    cost, error = record["champion_plan_regret_per_week"], record["champion_plan_regret_se"]
    whose = "the best split of the version in use"
    if cost <= _CLEAR_ERRORS * error:
        return f"The two versions agree in money: {whose} would be as good if the new one is right."
    return f"If the new version is right, following {whose} costs {amount(cost)} {record['target']} a week."


def _plans(record: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    plans = {"best_spend": "best split", "champion_best_spend": "best split by the version in use"}
    told = [name for name in plans if name in record["channels"][0]]
    head = ["channel", f"brings a week ({record['target']})", "spend a week now", *(plans[name] for name in told)]
    rows = [
        [row["channel"], amount(row["brings"]), amount(row["spend"]), *(_moved(row["spend"], row[n]) for n in told)]
        for row in record["channels"]
    ]
    return head, rows


def _moved(spend: float, best: float) -> str:
    return f"{amount(best)} ({100 * (best / spend - 1.0):+.0f} %)" if spend > 0 else amount(best)


def _proposal(test: Mapping[str, Any] | None) -> str:
    if test is None:
        return "none: no channel can be switched off."
    where = f" in {', '.join(test['geos_off'])}, leave it on elsewhere," if test["geos_off"] else ""
    why = (
        f"the alarm suspects it (probability {percent(test['suspected'])})"
        if test["suspected"] is not None
        else "of all channels its effect is the one most worth knowing"
    )
    return f"switch {test['channel']} off{where} for {test['weeks']} weeks; {why}."


def _points(test: Mapping[str, Any] | None, target: str) -> list[str]:
    if test is None:
        return []
    return [
        f"It costs about {amount(test['lost'])} {target} in all, counted until the effect is back, "
        f"and saves {amount(test['saved'])} of spend.",
        f"The model says that each unit of that spend brings {amount(test['roas'])} {target}. {_shows(test)}",
        _pays(test, target),
    ]


def _shows(test: Mapping[str, Any]) -> str:
    difference = f"{amount(abs(test['detectable_roas']))} or more"
    odds = "with probability 80 % (a false alarm has 5 %)"
    if test["is_long_enough"]:
        return f"If the truth differs from that by {difference}, the test shows it {odds}."
    return f"It is small beside the noise: even {test['weeks']} weeks show only a difference of {difference} {odds}."


def _pays(test: Mapping[str, Any], target: str) -> str:
    worth = test["worth_per_week"]
    if worth * USED_WEEKS <= 0.005 * abs(test["lost"]):
        return "It would hardly change the plan: it is a check of the model, not an investment."
    plan = f"What it teaches is worth about {amount(worth)} {target} a week, by a better split"
    if test["lost"] > worth * USED_WEEKS:
        return f"{plan}: less in a year than the test costs, so it pays only if the spend that is saved counts as well."
    return f"{plan}: it makes up for the test in {max(1.0, test['lost'] / worth):.0f} weeks."
