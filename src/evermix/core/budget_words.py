"""What a budget review means, in the words of those who spend the money.  Pure: a record in, lines of Markdown out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evermix.core.experiment import USED_WEEKS

# A regret within two Monte-Carlo errors of zero is none.
_CLEAR_ERRORS = 2.0


def budget_lines(record: Mapping[str, Any]) -> list[str]:
    """Return what keeping the plan costs, the best allowed plan as a table, and what not knowing costs, as Markdown.

    Parameters
    ----------
    record : mapping
        Of ``evermix.core.budget.BudgetReview``.
    """
    if record["status"] != "computed":
        return [f"**Budget**: not applicable, {record['why']}.", ""]
    target, total = record["target"], sum(row["spend"] for row in record["channels"])
    return [
        f"**Budget**: the plan is {record['source']}, {amount(total)} of spend a week, which brings about "
        f"{amount(record['brought_per_week'])} {target} a week. {_keeping(record)}",
        "",
        *_plan_table(record),
        "Nobody knows the channels' effects exactly; knowing them would be worth about "
        f"{amount(record['perfect_information_per_week'])} {target} a week more. "
        "No experiment is worth more than that.",
        "",
    ]


def experiment_lines(record: Mapping[str, Any]) -> list[str]:
    """Return which channel to switch off, for how long, what it costs and what it could notice, as Markdown."""
    if record["status"] != "computed":
        return []
    test = record["experiment"]
    if test is None:
        return ["**Suggested experiment**: none, no channel can be switched off.", ""]
    target, channel = record["target"], test["channel"]
    where = f" in {', '.join(test['geos_off'])} and leave it on elsewhere" if test["geos_off"] else ""
    why = (
        f"the alarm suspects it (probability {test['suspected']:.0%})"
        if test["suspected"] is not None
        else "of all channels its effect is the one most worth knowing"
    )
    return [
        f"**Suggested experiment**: switch {channel} off{where} for {test['weeks']} weeks; {why}.",
        "",
        f"- It costs about {amount(test['lost'])} {target} in all, the weeks in which the effect fades and returns "
        f"included, and saves {amount(test['saved'])} of spend.",
        f"- The model says that one unit of that spend brings {amount(test['roas'])} {target}. {_notices(test)}",
        f"- {_pays(test, target)}",
        "",
    ]


def amount(value: float) -> str:
    """Return a number as people read it: whole from 100 on, else three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _keeping(record: Mapping[str, Any]) -> str:
    regret, error, target = record["regret_per_week"], record["regret_se"], record["target"]
    allowed = f"the same total with no channel moved by more than {record['max_change']:.0%}"
    if regret <= _CLEAR_ERRORS * error:
        return f"No plan of {allowed} is clearly better."
    share = f" ({record['regret_share']:.1%} more)" if record["regret_share"] is not None else ""
    return (
        f"Keeping it costs {amount(regret)} {target} a week{share}, against the best plan of {allowed}; "
        f"that the best one is better has probability {record['chance_better']:.0%}."
    )


def _plan_table(record: Mapping[str, Any]) -> list[str]:
    judged = "champion_best_spend" in record["channels"][0]
    head = ["channel", f"brings a week, {record['target']}", "spend a week now", "best plan"]
    head += ["best plan by the version in use"] if judged else []
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in record["channels"]:
        names = ("best_spend", "champion_best_spend") if judged else ("best_spend",)
        cells = [row["channel"], amount(row["brings"]), amount(row["spend"])]
        cells += [_moved(row["spend"], row[name]) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    if judged:
        cost = amount(max(0.0, record["champion_plan_regret_per_week"]))
        told = f"{cost} {record['target']} a week, if the new version is right."
        lines += [f"The best plan by the version in use would cost {told}", ""]
    return lines


def _moved(spend: float, best: float) -> str:
    return f"{amount(best)} ({best / spend - 1.0:+.0%})" if spend > 0 else amount(best)


def _notices(test: Mapping[str, Any]) -> str:
    difference = amount(abs(test["detectable_roas"]))
    if test["is_long_enough"]:
        return f"If it is off by {difference} or more, the test shows it in 4 cases of 5 (and is wrong in 1 of 20)."
    return (
        f"The channel is small beside the noise: even {test['weeks']} weeks would show only a difference of "
        f"{difference} or more in 4 cases of 5 (and be wrong in 1 of 20)."
    )


def _pays(test: Mapping[str, Any], target: str) -> str:
    worth = test["worth_per_week"]
    if worth * USED_WEEKS <= 0.005 * abs(test["lost"]):
        return "It would hardly change the plan: it is a check of the model, not an investment."
    plan = f"The better plan that follows is worth about {amount(worth)} {target} a week"
    if test["lost"] > worth * USED_WEEKS:
        return f"{plan}: less in a year than the test costs, unless the spend that is saved makes up for it."
    return f"{plan}, which makes up for the test in {max(1.0, test['lost'] / worth):.0f} weeks."
