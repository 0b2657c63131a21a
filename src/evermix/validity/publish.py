"""Writes ``docs/validity.md`` from the rows: tables and plots are functions of them and of params, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evermix.config import ModelParams, Rule
from evermix.validity import plots
from evermix.validity.plots import E_GRID
from evermix.validity.replicate import HORIZON, SCENARIOS
from evermix.validity.study import DRIFT_SEEDS, MCMC_SCENARIOS, WEEKLY_REFITS, measured, read_rows, refit_rules
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
    refits_by_rule,
)

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
_ESS_BINS = ((0, 50), (50, 100), (100, 200), (200, 400), (400, 800), (800, 10**9))
_KHAT_BINS = ((-9.0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 1.0), (1.0, 99.0))


def write_page(folder: Path, params: ModelParams) -> None:
    """Write the page beside ``folder`` and its plots into it."""
    quick, exact = (
        {name: read_rows(folder, posterior, name, measured(posterior, params)) for name in names}
        for posterior, names in (("surrogate", SCENARIOS), ("mcmc", MCMC_SCENARIOS))
    )
    sequential, inputs = alarm_rules(params.rules, SEQUENTIAL), alarm_rules(params.rules, INPUTS)
    plots.draw_all(folder, quick, exact, sequential)
    parts = [
        _INTRODUCTION.format(quick=_counts(quick), exact=_counts(exact)),
        _requirements(params, quick, exact),
        "## False alarms\n",
        _false_alarm_table(params, quick["nothing"], exact["nothing"]),
        "![Share of quiet years with an alarm, by week](validity/false_alarms.svg)\n",
        "## Power and delay\n",
        _power_table(quick, exact, sequential),
        _frontier_table(quick),
        "![Power against false alarms](validity/frontier.svg)\n",
        "![Delay](validity/delay.svg)\n",
        "## Inputs, outliers, restatements\n",
        _reaction_table(params, quick, sequential, inputs),
        "## Updates and refits\n",
        _refit_table(params, exact),
        _error_tables(exact),
        "![Error of an update against its effective sample size](validity/update_error.svg)\n",
        _score_table(exact),
        "## Surrogate and MCMC on the same seeds\n",
        _agreement_table(exact, sequential),
        _shipped_table(read_rows(folder, "shipped", "nothing", measured("shipped", params))),
        _LIMITS.format(drift=", ".join(f"{name} {count}" for name, count in DRIFT_SEEDS.items())),
    ]
    page = folder.parent / "validity.md"
    page.write_text("\n".join(parts), encoding="utf-8")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _counts(rows: Mapping[str, Sequence[Row]]) -> str:
    return ", ".join(f"{name} {len(found)}" for name, found in rows.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def _number(value: float, digits: int = 2) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def _with_drift(rows: Sequence[Row], scenario: str) -> list[Row]:
    return [row for row in rows if row["seed"] <= DRIFT_SEEDS.get(scenario, 0)]


def _requirements(params: ModelParams, quick: Mapping[str, list[Row]], exact: Mapping[str, list[Row]]) -> str:
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
                f"{_number(found.delay, 1)} weeks, {_number(ratio)} times",
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
            f"{_number(quantile(published, 0.9), 3)} sd ({len(published)} comparisons)",
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
            f"{_number(worst)} at worst ({len(gaps)} series)",
        ]
    )
    refits = [sum(rules != ["backstop"] for _, rules in row["refits"]) for row in exact["nothing"]]
    rows.append(
        [
            "refits in 52 quiet weeks, backstop aside",
            "at most 2",
            f"{_number(_mean(refits))} on average, {max(refits, default=0)} at most",
        ]
    )
    return "## What was asked, and what was measured\n\n" + _table(["claim", "asked", "measured"], rows)


def _oracle(quick: Mapping[str, list[Row]], scenario: str, sequential: Sequence[Rule]) -> Any:
    rate = false_alarms(quick["nothing"], first_of(sequential)).share
    threshold, _ = match_oracle(quick["nothing"], scenario, rate)
    return detect(quick[scenario], oracle_at(threshold))


def _false_alarm_table(params: ModelParams, quiet: Sequence[Row], exact: Sequence[Row]) -> str:
    sequential, inputs = alarm_rules(params.rules, SEQUENTIAL), alarm_rules(params.rules, INPUTS)
    whole = _with_drift(quiet, "nothing")
    rows: list[list[Any]] = []
    for rule in params.rules:
        if rule not in [*sequential, *inputs]:
            if rule.evidence.startswith(tuple(f"{group}." for group in (*SEQUENTIAL, *INPUTS))):
                rows.append([f"`{rule.name}` (`{rule.evidence} {rule.op} {rule.value:g}`)", "not measured", "not run"])
            continue
        asked = whole if rule in inputs else quiet
        shown = "not run" if rule in inputs else false_alarms(exact, first_of([rule]))
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
    head = ["rule", "P(alarm in 52 quiet weeks), surrogate", "by MCMC"]
    return _table(head, rows) + "\nShares with 95 % Wilson intervals.\n"


def _power_table(quick: Mapping[str, list[Row]], exact: Mapping[str, list[Row]], sequential: Sequence[Rule]) -> str:
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
                _number(found.delay, 1),
                f"{oracle.power} (errs in {errs.share:.3f})",
                _number(oracle.delay, 1),
                _number(found.power.share / oracle.power.share if oracle.power.hits else float("nan")),
                f"{mcmc.power}, {_number(mcmc.delay, 1)}" if mcmc is not None else "not run",
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
    return _table(head, rows) + (
        "\nThe oracle knows size, sign and shape of the change and sees the same residuals; its threshold is the least "
        "at which it errs in a quiet year no more often than the shipped sequential alarms together.\n"
    )


def _frontier_table(quick: Mapping[str, list[Row]]) -> str:
    rows = []
    for threshold in E_GRID:
        first = e_detector_at(threshold)
        cells: list[Any] = [f"{threshold:g}", false_alarms(quick["nothing"], first)]
        for name in ("level_shift", "effect_halves"):
            found = detect(quick[name], first)
            cells += [found.power, _number(found.delay, 1)]
        rows.append(cells)
    head = ["threshold of the e-detector alone", "P(alarm in 52 quiet weeks)"]
    return "The frontier, for whoever wants another trade:\n\n" + _table(
        [*head, "level_shift", "delay", "effect_halves", "delay"], rows
    )


def _reaction_table(
    params: ModelParams, quick: Mapping[str, list[Row]], sequential: Sequence[Rule], inputs: Sequence[Rule]
) -> str:
    rows: list[list[Any]] = []
    for name in ("spend_shift", "large_spend_shift"):
        tested = _with_drift(quick[name], name)
        found = detect(tested, first_of(inputs), within=26)
        rows.append([name, "input drift, within 26 weeks", found.power, _number(found.delay, 1)])
        false = detect(quick[name], first_of(sequential))
        rows.append(
            [name, f"any sequential alarm, within {HORIZON} weeks (a false one)", false.power, _number(false.delay, 1)]
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
    return _table(["scenario", "what", "share", "median delay, weeks"], rows)


def _refit_table(params: ModelParams, exact: Mapping[str, list[Row]]) -> str:
    rules = [rule.name for rule in refit_rules(params)]
    rows: list[list[Any]] = []
    for name, found in exact.items():
        if not found:
            continue
        counts = refits_by_rule(found)
        numbers = [sum(why != ["backstop"] for _, why in row["refits"]) for row in found]
        by_rule = ", ".join(f"`{rule}` {counts[rule]}" for rule in rules if rule in counts)
        rows.append([name, len(found), _number(float(np.mean(numbers))), max(numbers), by_rule])
    head = ["scenario", "series", "refits a year, backstop aside", "most", "how often each rule asked"]
    return _table(head, rows)


def _error_tables(exact: Mapping[str, list[Row]]) -> str:
    looks = [look for rows in exact.values() for path in ("rules", "kept") for look in looks_of(rows, path)]
    head = ["comparisons", "median", "90th percentile"]

    def line(label: str, members: Sequence[Row]) -> list[Any]:
        worst = [look["worst"] for look in members]
        return [label, len(worst), _number(quantile(worst, 0.5), 3), _number(quantile(worst, 0.9), 3)]

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
        + _table(["effective ESS", *head], by_ess)
        + "\n"
        + _table(["k-hat", *head], by_khat)
        + "\n"
        + _table(["", *head], published)
    )


def _score_table(exact: Mapping[str, list[Row]]) -> str:
    rows = []
    for name in WEEKLY_REFITS:
        for row in exact[name]:
            if "weekly_refits_score" in row:
                gap = row["score"] - row["weekly_refits_score"]
                rows.append(
                    [name, row["seed"], _number(row["score"]), _number(row["weekly_refits_score"]), f"{gap:+.2f}"]
                )
    return "One-step log score over 52 weeks, in nats:\n\n" + _table(
        ["scenario", "seed", "updates and refits by the rules", "a refit every week", "difference"], rows
    )


def _agreement_table(exact: Mapping[str, list[Row]], sequential: Sequence[Rule]) -> str:
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
                _number(quantile(correlations, 0.5), 4),
                _number(min(correlations), 4),
                _number(float(same)),
                _number(quantile(apart, 0.5), 0),
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
    return _table(head, rows)


def _shipped_table(shipped: Sequence[Row]) -> str:
    rows = [
        [
            row["seed"],
            _number(row["roas_gap"], 3),
            ", ".join(_number(ratio) for ratio in row["width_ratio"]),
            row["rhat"],
            row["ess"],
            row["ess_roas"],
            row["ess_own"],
        ]
        for row in shipped
    ]
    head = ["seed", "worst gap of a ROAS mean, sd", "widths, shipped over study's", "R-hat", "least ESS"]
    return "The shipped fit (nutpie, settings of params) next to the study's own draws, on the same base:\n\n" + _table(
        [*head, "least ESS of a ROAS", "least ESS, study's"], rows
    )


_INTRODUCTION = """# Validity

How often the shipped rules err, how soon they see a change, and how exact an update is: measured on simulated
brands, by the code that ships. Written by `make validity` (resumable: `SHARDS=2 REPLICATES=1000 MCMC=50`);
the rows are in [docs/validity](validity), with the versions that made them. They hold the evidence; the rules
of `params.yaml` (model `brand`) are asked of it as this page is written. Tests fail where rules, spec or monitor
settings are not the ones measured, where this page is not what the rows say, and where three rows computed anew
differ.

A replicate is the simulator's brand (4 channels, price, promotions, holidays, trend and season; noise 3.5 %
of the level) with 156 weeks of history and 52 weeks after the fit. What happens begins in one of the first 20
weeks, each as likely as the next. An effect that halves is scaled for the very series: search, which is
always on, is worth 2.0 noise sd on average over the 32 weeks after the change (0.52 in the small scenario),
so that the mean falls by 1.0 (0.26).

- The **surrogate** is Laplace's approximation of the same model, taken anew each week: a year in a fifth of a
  second.
- **MCMC** draws from the exact posterior (its density equals the PyMC graph's to 1e-7), with the weekly update
  by the shipped Pareto-smoothed weights and a refit whenever a rule asks. The sampler is the study's own, since
  nutpie on the graph needs ten times longer.
- Thresholds were chosen on seeds from 100000 on; everything here comes from seeds 1 and up.

Rows by the surrogate: {quick}. By MCMC: {exact}.
"""

_LIMITS = """## Limits

- The simulated brand is a well-specified model: noise is Gaussian and independent, curves are the model's
  own. Misspecified models err more often; the ledger's own rates (`evermix metrics`) say how often yours
  does.
- Alarms are never reset during a year here, as in the loop, where only a closed review resets them.
- A change before week 20 is looked for from a base that is young; later in a base's life the posterior is
  tighter and the alarm a little faster.
- The MCMC rows use the study's own sampler: 4 x 800 of its draws stand for the 4 x 2,000 of a shipped fit, which
  have as many effective draws. A brand whose fit mixes worse is refitted more often.
- Input drift, the slowest part, is tested on the first seeds alone ({drift}); it depends on inputs only, and is
  measured against the first base.
- One brand, no geos: panels were not measured.
"""
