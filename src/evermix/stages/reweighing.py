"""What monitor adds of the update: today's posterior as weights over the base, its evidence and its totals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evermix.config import ModelParams
from evermix.core import diagnostics
from evermix.core.amend import current_since
from evermix.core.changes import masked_mondays
from evermix.core.draws import hash_weights, stack_draws
from evermix.core.monitor import WeekFacts
from evermix.core.prequential import complete_inputs
from evermix.core.update import EVIDENCE, Reweighed, update_evidence
from evermix.engines.models import load_kind
from evermix.engines.models.drawsfile import weights_bytes
from evermix.engines.models.reweigh import restated_shifts, reweigh
from evermix.engines.store import write_bytes, write_json
from evermix.errors import DataError
from evermix.stages.posterior import Posterior

# A shift below it is not worth a word in the notes.
_TOLD_SD = 0.05


@dataclass(frozen=True)
class UpdateSeen:
    """The update of a week.

    Attributes
    ----------
    values, notes : dict
        ``update.*`` evidence, and words on it by the same names.
    reweighed : Reweighed or None
        The weights; None: the version cannot be asked, and the evidence is missing.
    record : dict
        What close needs to publish the weights as a version; empty without any.
    """

    values: dict[str, float | bool | None]
    notes: dict[str, str]
    reweighed: Reweighed | None
    record: dict[str, Any]


def observe_update(live: Posterior, facts: WeekFacts, params: ModelParams) -> UpdateSeen:
    """Return what the weeks since the fit make of the posterior in use."""
    version, base = live.version, live.base_panel
    panel, lost = complete_inputs(facts.panel, facts.before, version.columns)
    if base is None:
        return _unknown(f"the history does not hold the panel of {version.base}: refit, then updates are possible")
    lost += [f"geo {geo}" for geo in sorted(set(panel["geo"]) ^ set(base["geo"])) if f"geo {geo}" not in lost]
    if lost:
        return _unknown(f"the champion cannot be asked, for {', '.join(lost)}")
    draws = stack_draws(live.draws, live.draws.sizes["chain"] * live.draws.sizes["draw"])
    masked = masked_mondays(params.masked_weeks, facts.as_of)
    try:
        found = reweigh(version, draws, base, panel, masked)
        shifts = {}
        if facts.diff.restated and facts.before is not None:
            before, _ = complete_inputs(facts.before, facts.before, version.columns)
            shifts = restated_shifts(version, draws, found, before, panel, masked, params.monitor.draws)
    except DataError as err:
        return _unknown(f"the champion cannot be asked: {err}")
    notes = {"update.rows": f"{found.counted.rows} rows of {len(found.counted.weeks)} weeks since {version.base}"}
    if version.ess_bulk_min is None:
        notes["update.ess"] = f"{version.base} does not say its own ESS: refit, then it is known"
    moved = sorted(((sd, name) for name, sd in shifts.items() if sd >= _TOLD_SD), reverse=True)
    if moved:
        notes["update.restated_shift_sd"] = ", ".join(f"{name} by {sd:.2f} sd" for sd, name in moved[:3])
    values = update_evidence(found, version, max(shifts.values(), default=0.0))
    record = {
        "parent": version.base,
        "weights_hash": hash_weights(found.log_weights),
        "updated_through": found.through,
        "khat": found.khat,
        "ess": values["update.ess"],
    }
    return UpdateSeen(values, notes, found, record)


def write_update(folder: Path, live: Posterior, facts: WeekFacts, update: UpdateSeen, draws: int) -> None:
    """Write ``posterior.json``, and ``update.json`` with ``weights.npy`` where the posterior could be updated."""
    panel, lost = complete_inputs(facts.panel, facts.before, live.version.columns)
    totals = {} if lost else _totals(live, panel, update.reweighed, draws)
    write_json(folder / "posterior.json", totals)
    if update.reweighed is not None:
        write_json(folder / "update.json", update.record)
        write_bytes(folder / "weights.npy", weights_bytes(update.reweighed.log_weights))


def _totals(live: Posterior, panel: pd.DataFrame, found: Reweighed | None, draws: int) -> dict[str, Any]:
    """Return contributions and ROAS over the last year of the posterior of today, or of the one in use without it.

    Returns
    -------
    dict
        ``weeks``; ``totals`` by component {mean, low_90, high_90}; ``roas``: rows {channel, mean, low, high}.
    """
    version = live.version
    kind = load_kind(version.kind)
    log_weights = live.log_weights if found is None else found.log_weights
    weeks = panel["week"].drop_duplicates().sort_values()
    needed = weeks.iloc[-(diagnostics.WINDOW_WEEKS + kind.carry_weeks(version.spec)) :]
    recent = panel[panel["week"].isin(needed)].reset_index(drop=True)
    kept = stack_draws(live.draws, draws, log_weights)
    parts = kind.contributions(kept, recent, version.columns, version.spec, version.basis)
    channels = list(version.columns["channels"])
    since = current_since(version.spec, channels)
    spend = {name: value for name, value in diagnostics.recent_spend(recent, since).items() if name in channels}
    table = diagnostics.contribution_table(diagnostics.total_contributions(parts, since), None, spend)
    ends = table[["mean", "low_90", "high_90"]]
    return {
        "weeks": min(len(weeks), diagnostics.WINDOW_WEEKS),
        "totals": {str(name): diagnostics.finite_values(dict(ends.loc[name])) for name in ends.index},
        "roas": [
            {key: row[key] for key in ("channel", "mean", "low", "high")}
            for row in diagnostics.roas_rows(table)
            if row["version"] == "challenger"
        ],
    }


def _unknown(why: str) -> UpdateSeen:
    return UpdateSeen(dict.fromkeys(EVIDENCE), {"update.khat": why}, None, {})
