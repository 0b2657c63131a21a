"""Writes ``docs/validity.md`` from the rows: tables and plots are functions of them and of params, nothing else."""

from __future__ import annotations

from pathlib import Path

from evermix.config import ModelParams
from evermix.validity import plots, sections, update_sections
from evermix.validity.replicate import SCENARIOS
from evermix.validity.rows import DRIFT_SEEDS
from evermix.validity.study import MCMC_SCENARIOS, measured, read_rows
from evermix.validity.tables import INPUTS, SEQUENTIAL, alarm_rules


def write_page(folder: Path, params: ModelParams) -> None:
    """Write the page beside ``folder`` and its plots into it."""
    quick, exact = (
        {name: read_rows(folder, posterior, name, measured(posterior, params)) for name in names}
        for posterior, names in (("surrogate", SCENARIOS), ("mcmc", MCMC_SCENARIOS))
    )
    sequential, inputs = alarm_rules(params.rules, SEQUENTIAL), alarm_rules(params.rules, INPUTS)
    plots.draw_all(folder, quick, exact, sequential)
    parts = [
        _INTRODUCTION,
        sections.scenario_table(quick, exact),
        sections.requirements(params, quick, exact),
        "## False alarms\n",
        sections.false_alarm_table(params, quick["nothing"], exact["nothing"]),
        "![Share of quiet years with an alarm, by week](validity/false_alarms.svg)\n",
        "## Power and delay\n",
        sections.power_table(quick, exact, sequential),
        sections.frontier_table(quick),
        "![Power against false alarms](validity/frontier.svg)\n",
        "![Delay](validity/delay.svg)\n",
        "## Inputs, outliers, restatements\n",
        sections.reaction_table(params, quick, sequential, inputs),
        "## Updates and refits\n",
        update_sections.refit_table(params, exact),
        update_sections.error_tables(exact),
        "![Error of an update against its effective sample size](validity/update_error.svg)\n",
        update_sections.score_table(exact),
        "## Surrogate and MCMC on the same seeds\n",
        update_sections.agreement_table(exact, sequential),
        update_sections.shipped_table(read_rows(folder, "shipped", "nothing", measured("shipped", params))),
        _LIMITS.format(drift=", ".join(f"{name} {count}" for name, count in DRIFT_SEEDS.items())),
    ]
    page = folder.parent / "validity.md"
    page.write_text("\n".join(parts), encoding="utf-8")


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
  compiling the graph alone takes ten times longer than such a fit.
- Thresholds were chosen on seeds from 100000 on; everything here comes from seeds 1 and up.
"""

_LIMITS = """## Limits

- The simulated brand is a well-specified model: noise is Gaussian and independent, curves are the model's
  own. Misspecified models err more often; the ledger's own rates (`evermix metrics`) say how often yours
  does.
- Alarms are never reset during a year here, as in the loop, where only a closed review resets them.
- A change before week 20 is looked for from a base that is young; later in a base's life the posterior is
  tighter and the alarm a little faster.
- The MCMC rows use the study's own sampler, 4 x 800 draws of it. A shipped fit has two to five times the effective
  draws (the table above), and is refitted less often than these rows say; a brand whose fit mixes worse, more often.
- Input drift, the slowest part, is tested on the first seeds alone ({drift}); it depends on inputs only, and is
  measured against the first base.
- One brand, no geos: panels were not measured.
"""
