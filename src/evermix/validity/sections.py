"""The tables of ``docs/validity.md``: functions of the rows and of params, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evermix.config import ModelParams, Rule
from evermix.core.markdown import table_lines
from evermix.validity.plots import E_GRID
from evermix.validity.replicate import HORIZON
from evermix.validity.rows import DRIFT_SEEDS
from evermix.validity.tables import (
    INPUTS,
    SEQUENTIAL,
    Row,
    alarm_rules,
    detect,
    e_detector_at,
    false_alarms,
    first_of,
    looks_of,
    match_oracle,
    oracle_at,
    quantile,
    telling_rules,
)

MOST_REFITS = 2
STEPS = ("level_shift", "effect_halves", "large_level_shift", "small_effect_halves")
_ABOUT = {
    "nothing": "a well-specified year, nothing happens",
    "spend_shift": "one channel's spend doubles and stays (channels in turn)",
    "large_spend_shift": "one channel's spend is four times what it was and stays",
    "effect_halves": "the effect of search halves: the target's mean falls by 1.0 noise sd",
    "small_effect_halves": "the same of a small channel: by 0.26 noise sd",
    "level_shift": "the level moves by 1.0 noise sd, up or down, for good",
    "large_level_shift": "by 2.0 noise sd",
    "outlier": "one week lies 5 noise sd off, up or down",
    "restated": "26 past weeks of one channel's spend are restated by +10 %",
}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as text that ends its paragraph."""
    return "\n".join(table_lines(head, rows))


def number(value: float, digits: int = 2) -> str:
    """Return a number to so many digits; NaN, which nothing was measured for, is a dash."""
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def _with_drift(rows: Sequence[Row], scenario: str) -> list[Row]:
    return [row for row in rows if row["seed"] <= DRIFT_SEEDS.get(scenario, 0)]


def scenario_table(quick: Mapping[str, Sequence[Row]], exact: Mapping[str, Sequence[Row]]) -> str:
    """Return what happens in each scenario, and how many years of it were played."""
    rows = [[name, _ABOUT[name], len(found), len(exact.get(name, [])) or "-"] for name, found in quick.items()]
    return table(["scenario", "what happens", "years, surrogate", "years, MCMC"], rows)


def requirements(params: ModelParams, quick: Mapping[str, list[Row]], exact: Mapping[str, list[Row]]) -> str:
    """Return what was asked of the rules, and what was measured."""
    sequential, inputs = alarm_rules(params.rules, SEQUENTIAL), alarm_rules(params.rules, INPUTS)
    quiet, whole = quick["nothing"], _with_drift(quick["nothing"], "nothing")
    together = false_alarms(whole, first_of([*sequential, *inputs]))
    rows: list[list[Any]] = [
        [
            "P(any alarm in 52 quiet weeks), sequential alarms",
            "at most 0.10",
            false_alarms(quiet, first_of(sequential)),
        ],
        ["the same, input drift too", "at most 0.10", together],
        ["P(any drift call in 52 quiet weeks), all columns", "at most 0.05", false_alarms(whole, first_of(inputs))],
    ]
    for name in ("level_shift", "effect_halves"):
        found, oracle = detect(quick[name], first_of(sequential)), _oracle(quick, name, sequential)
        rows.append(
            [f"{name}: found within {HORIZON} weeks", "at least 0.85", f"{found.power} (oracle {oracle.power})"]
        )
        ratio = found.delay / oracle.delay
        rows.append(
            [
                f"{name}: median delay",
                "at most 1.5 times the oracle's",
                f"{number(found.delay, 1)} weeks, {number(ratio)} times",
            ]
        )
    doubled = _with_drift(quick["spend_shift"], "spend_shift")
    rows.append(
        ["spend doubles: called within 26 weeks", "at least 0.95", detect(doubled, first_of(inputs), within=26).power]
    )
    published = [look["worst"] for found in exact.values() for look in looks_of(found, "rules") if look["published"]]
    rows.append(
        [
            "published update against a full refit: worst ROAS mean, 90th percentile",
            "at most 0.15 sd",
            f"{number(quantile(published, 0.9), 3)} sd ({len(published)} comparisons)",
        ]
    )
    gaps = [
        row["score"] - row["weekly_refits_score"] for r in exact.values() for row in r if "weekly_refits_score" in row
    ]
    worst = max((abs(gap) for gap in gaps), default=float("nan"))
    rows.append(
        [
            "one-step log score over 52 weeks against weekly refits",
            "within 0.5 nat",
            f"{number(worst)} at worst ({len(gaps)} series)",
        ]
    )
    refits = [sum(rules != ["backstop"] for _, rules in row["refits"]) for row in exact["nothing"]]
    within = sum(count <= MOST_REFITS for count in refits)
    rows.append(
        [
            "refits in 52 quiet weeks, backstop aside",
            f"at most {MOST_REFITS}",
            f"{number(_mean(refits))} on average, at most {MOST_REFITS} in {within} of {len(refits)} years, "
            f"{max(refits, default=0)} at worst",
        ]
    )
    return "## What was asked, and what was measured\n\n" + table(["claim", "asked", "measured"], rows)


def _oracle(quick: Mapping[str, list[Row]], scenario: str, sequential: Sequence[Rule]) -> Any:
    rate = false_alarms(quick["nothing"], first_of(sequential)).share
    threshold, _ = match_oracle(quick["nothing"], scenario, rate)
    return detect(quick[scenario], oracle_at(threshold))


def false_alarm_table(params: ModelParams, quiet: Sequence[Row], exact: Sequence[Row]) -> str:
    """Return how often each rule errs in a quiet year, by itself and together."""
    sequential, inputs = alarm_rules(params.rules, SEQUENTIAL), alarm_rules(params.rules, INPUTS)
    whole = _with_drift(quiet, "nothing")
    rows: list[list[Any]] = []
    told = telling_rules(params.rules)
    for rule in params.rules:
        if rule not in [*sequential, *inputs, *told]:
            if rule.evidence.startswith(tuple(f"{group}." for group in (*SEQUENTIAL, *INPUTS))):
                rows.append([f"`{rule.name}` (`{rule.evidence} {rule.op} {rule.value:g}`)", "not measured", "not run"])
            continue
        asked = whole if rule in inputs else quiet
        shown = false_alarms(exact, first_of([rule])) if rule in sequential else "not run"
        rows.append(
            [
                f"`{rule.name}` (`{rule.evidence} {rule.op} {rule.value:g}`)",
                false_alarms(asked, first_of([rule])),
                shown,
            ]
        )
    rows.append(
        ["all sequential alarms", false_alarms(quiet, first_of(sequential)), false_alarms(exact, first_of(sequential))]
    )
    rows.append(["all, input drift too", false_alarms(whole, first_of([*sequential, *inputs])), "not run"])
    if told:
        everything = first_of([*sequential, *inputs, *told])
        rows.append(["all, and those that only tell", false_alarms(whole, everything), "not run"])
    head = ["rule", "P(alarm in 52 quiet weeks), surrogate", "by MCMC"]
    return table(head, rows) + "\nShares with 95 % Wilson intervals.\n"


def power_table(quick: Mapping[str, list[Row]], exact: Mapping[str, list[Row]], sequential: Sequence[Rule]) -> str:
    """Return how often and how soon a step is found, next to an oracle."""
    rate = false_alarms(quick["nothing"], first_of(sequential)).share
    rows: list[list[Any]] = []
    for name in STEPS:
        found = detect(quick[name], first_of(sequential))
        threshold, errs = match_oracle(quick["nothing"], name, rate)
        oracle = detect(quick[name], oracle_at(threshold))
        mcmc = detect(exact[name], first_of(sequential)) if name in exact else None
        rows.append(
            [
                name,
                found.power,
                number(found.delay, 1),
                f"{oracle.power} (errs in {errs.share:.3f})",
                number(oracle.delay, 1),
                number(found.power.share / oracle.power.share if oracle.power.hits else float("nan")),
                f"{mcmc.power}, {number(mcmc.delay, 1)}" if mcmc is not None else "not run",
            ]
        )
    head = [
        "scenario",
        f"found within {HORIZON} weeks",
        "median delay, weeks",
        "oracle",
        "its delay",
        "share of the oracle's",
        "by MCMC",
    ]
    return table(head, rows) + (
        "\nThe oracle knows size, sign and shape of the change and sees the same residuals; its threshold is the least "
        "at which it errs in a quiet year no more often than the shipped sequential alarms together.\n"
    )


def frontier_table(quick: Mapping[str, list[Row]]) -> str:
    """Return what other thresholds would give."""
    rows = []
    for threshold in E_GRID:
        first = e_detector_at(threshold)
        cells: list[Any] = [f"{threshold:g}", false_alarms(quick["nothing"], first)]
        for name in ("level_shift", "effect_halves"):
            found = detect(quick[name], first)
            cells += [found.power, number(found.delay, 1)]
        rows.append(cells)
    head = ["threshold of the e-detector alone", "P(alarm in 52 quiet weeks)"]
    return "The frontier, for whoever wants another trade:\n\n" + table(
        [*head, "level_shift", "delay", "effect_halves", "delay"], rows
    )


def reaction_table(
    params: ModelParams, quick: Mapping[str, list[Row]], sequential: Sequence[Rule], inputs: Sequence[Rule]
) -> str:
    """Return what the rules make of spend that moves, of an outlier, and of a restated past."""
    rows: list[list[Any]] = []
    for name in ("spend_shift", "large_spend_shift"):
        tested = _with_drift(quick[name], name)
        found = detect(tested, first_of(inputs), within=26)
        rows.append([name, "input drift, within 26 weeks", found.power, number(found.delay, 1)])
        for rule in telling_rules(params.rules):
            told = detect(quick[name], first_of([rule]), within=26)
            rows.append([name, f"`{rule.name}` told, within 26 weeks", told.power, number(told.delay, 1)])
        false = detect(quick[name], first_of(sequential))
        rows.append(
            [name, f"any sequential alarm, within {HORIZON} weeks (a false one)", false.power, number(false.delay, 1)]
        )
    outlier = alarm_rules([rule for rule in params.rules if rule.evidence == "surprise.max_abs_z"], SEQUENTIAL)
    others = [rule for rule in sequential if rule not in outlier]
    rows.append(
        ["outlier", "the outlier rule, in that week", detect(quick["outlier"], first_of(outlier), within=1).power, "1"]
    )
    rows.append(
        ["outlier", f"any other alarm, within {HORIZON} weeks", detect(quick["outlier"], first_of(others)).power, "-"]
    )
    rows.append(
        [
            "restated",
            f"any sequential alarm, within {HORIZON} weeks",
            detect(quick["restated"], first_of(sequential)).power,
            "-",
        ]
    )
    return table(["scenario", "what", "share", "median delay, weeks"], rows)
