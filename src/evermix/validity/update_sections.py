"""The tables of ``docs/validity.md`` about updates, refits and MCMC, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evermix.config import ModelParams, Rule
from evermix.validity.rows import WEEKLY_REFITS, refit_rules
from evermix.validity.sections import number, table
from evermix.validity.tables import Row, first_of, looks_of, quantile, refits_by_rule

_ESS_BINS = ((0, 50), (50, 100), (100, 200), (200, 400), (400, 800), (800, 10**9))
_KHAT_BINS = ((-9.0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 1.0), (1.0, 99.0))


def refit_table(params: ModelParams, exact: Mapping[str, list[Row]]) -> str:
    """Return how often the rules ask for a refit, and which of them."""
    rules = [rule.name for rule in refit_rules(params)]
    rows: list[list[Any]] = []
    for name, found in exact.items():
        if not found:
            continue
        counts = refits_by_rule(found)
        numbers = [sum(why != ["backstop"] for _, why in row["refits"]) for row in found]
        by_rule = ", ".join(f"`{rule}` {counts[rule]}" for rule in rules if rule in counts)
        rows.append([name, len(found), number(float(np.mean(numbers))), max(numbers), by_rule])
    head = ["scenario", "series", "refits a year, backstop aside", "most", "how often each rule asked"]
    return table(head, rows)


def error_tables(exact: Mapping[str, list[Row]]) -> str:
    """Return how far updates are from full refits, by ESS and by k-hat."""
    looks = [look for rows in exact.values() for path in ("rules", "kept") for look in looks_of(rows, path)]
    head = ["comparisons", "median", "90th percentile"]

    def line(label: str, members: Sequence[Row]) -> list[Any]:
        worst = [look["worst"] for look in members]
        return [label, len(worst), number(quantile(worst, 0.5), 3), number(quantile(worst, 0.9), 3)]

    by_ess = [
        line(f"{low} to {high}" if high < 10**9 else f"{low} and more", [x for x in looks if low <= x["ess"] < high])
        for low, high in _ESS_BINS
    ]
    by_khat = [
        line(f"{low} to {high}" if low > -9 else f"below {high}", [x for x in looks if low <= x["khat"] < high])
        for low, high in _KHAT_BINS
    ]
    published = [line("published by the rules", [x for x in looks if x["published"]])]
    return (
        "Worst ROAS mean of the updated posterior against a full refit of the same data, in posterior sd, 13, 26, 39 "
        "and 52 weeks after the first base; bases that were kept all year are in it, so that bad weights are seen "
        "too.\n\n"
        + table(["effective ESS", *head], by_ess)
        + "\n"
        + table(["k-hat", *head], by_khat)
        + "\n"
        + table(["", *head], published)
    )


def score_table(exact: Mapping[str, list[Row]]) -> str:
    """Return the one-step log scores of updates and of weekly refits."""
    rows = []
    for name in WEEKLY_REFITS:
        for row in exact[name]:
            if "weekly_refits_score" in row:
                gap = row["score"] - row["weekly_refits_score"]
                rows.append(
                    [name, row["seed"], number(row["score"]), number(row["weekly_refits_score"]), f"{gap:+.2f}"]
                )
    return "One-step log score over 52 weeks, in nats:\n\n" + table(
        ["scenario", "seed", "updates and refits by the rules", "a refit every week", "difference"], rows
    )


def agreement_table(exact: Mapping[str, list[Row]], sequential: Sequence[Rule]) -> str:
    """Return how surrogate and MCMC agree on the same seeds."""
    rows: list[list[Any]] = []
    for name, found in exact.items():
        if not found:
            continue
        correlations = [float(np.corrcoef(row["z"], row["surrogate_z"])[0, 1]) for row in found]
        mine = [first_of(sequential)(row) for row in found]
        theirs = [first_of(sequential, "surrogate")(row) for row in found]
        same = np.mean([(a is None) == (b is None) for a, b in zip(mine, theirs, strict=True)])
        apart = [abs(a - b) for a, b in zip(mine, theirs, strict=True) if a is not None and b is not None]
        rows.append(
            [
                name,
                len(found),
                number(quantile(correlations, 0.5), 4),
                number(min(correlations), 4),
                number(float(same)),
                number(quantile(apart, 0.5), 0),
            ]
        )
    head = [
        "scenario",
        "series",
        "correlation of z, median",
        "least",
        "same answer: alarm or none",
        "median weeks apart",
    ]
    return table(head, rows)


def shipped_table(shipped: Sequence[Row]) -> str:
    """Return the shipped fits next to the study's own draws."""
    rows = [
        [
            row["seed"],
            number(row["roas_gap"], 3),
            ", ".join(number(ratio) for ratio in row["width_ratio"]),
            row["rhat"],
            row["ess"],
            row["ess_roas"],
            row["ess_own"],
        ]
        for row in shipped
    ]
    head = ["seed", "worst gap of a ROAS mean, sd", "widths, shipped over study's", "R-hat", "least ESS"]
    return "The shipped fit (nutpie, settings of params) next to the study's own draws, on the same base:\n\n" + table(
        [*head, "least ESS of a ROAS", "least ESS, study's"], rows
    )
