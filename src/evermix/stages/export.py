"""Export: contributions, ROAS, forecasts and decisions as tidy tables, to Parquet or a database."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from evermix.config import Environment, parse_params
from evermix.config.environment import without_secrets
from evermix.core import ledger, tables
from evermix.core.amend import current_since
from evermix.core.draws import stack_draws
from evermix.core.prequential import champion_inputs
from evermix.engines.history.reading import open_history
from evermix.engines.models import load_kind
from evermix.engines.models.drawsfile import load_posterior, load_weights
from evermix.engines.sources import read_panel
from evermix.engines.store import write_bytes
from evermix.engines.tables_out import Rows, parquet_bytes, write_sql
from evermix.errors import ConfigError, DataError, EvermixError
from evermix.records import Score, VersionFile
from evermix.stages.plan import plan_of

# As many as monitor and the served model use.
DRAWS = 1000

Read = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Export:
    """One model's tables as of a week; ``notes`` say what a table lacks and why."""

    model: str
    as_of: str
    version: str | None
    rows: dict[str, Rows]
    notes: list[str]


def run(env: Environment, models: Sequence[str], to: str, as_of: str | None) -> dict[str, Any]:
    """Write the tables of some models and return how many rows each got.

    Everything is read from the commits of the models' branches, without a lock: what was committed is exported.

    Parameters
    ----------
    to : str
        A folder, which gets ``<table>/<model>.parquet``, or a SQLAlchemy URL.
    as_of : str or None
        A closed week; None: the last one of each model.

    Raises
    ------
    ConfigError
        A week that was asked for is not closed, or no model has a closed week.
    """
    found = [export for model in models if (export := _export(env, model, as_of)) is not None]
    if not found:
        raise ConfigError(
            f"{', '.join(models)}: no week is closed yet. Run `evermix week --model MODEL --as-of MONDAY`."
        )
    if "://" in to:
        write_sql(to, [(export.model, export.as_of, export.rows) for export in found])
    else:
        for export in found:
            for name, rows in export.rows.items():
                write_bytes(Path(to).expanduser() / name / f"{export.model}.parquet", parquet_bytes(name, rows))
    return {
        "to": without_secrets(to),
        "rows": {name: sum(len(export.rows[name]) for export in found) for name in tables.TABLES},
        "models": [
            {
                "model": export.model,
                "as_of": export.as_of,
                "version": export.version,
                "rows": {name: len(rows) for name, rows in export.rows.items()},
                "notes": export.notes,
            }
            for export in found
        ],
    }


def _export(env: Environment, model: str, as_of: str | None) -> Export | None:
    with open_history(env, model) as history:
        commits = [] if history.tip is None else history.log(history.tip)
        closed = f"closed {model} {as_of or ''}"
        # A commit `computed` has a week's inputs before it is decided: what holds is the one before.
        wanted = [c for c in commits if c.subject.startswith(closed) or (as_of is None and "computed" not in c.subject)]
        if not wanted and as_of is not None and commits:
            raise ConfigError(f"--as-of: got {as_of}, a week of {model} that is not closed. See `evermix history`.")
        if not wanted:
            return None
        return _tables(model, lambda path: history.blob(f"{wanted[-1].id}:{path}"))


def _tables(model: str, read: Read) -> Export | None:
    book = read(f"live/{model}/ledger.jsonl")
    events = ledger.from_lines(book.decode()) if book else []
    as_of = ledger.last_decided(events)
    if as_of is None:
        return None
    log = json.loads(read(f"live/{model}/prequential.json") or b'{"rows": []}')["rows"]
    frames = {name: [pd.DataFrame()] for name in tables.TABLES}
    frames["decisions"] = [tables.decision_rows(ledger.fold_weeks(events, model))]
    frames["forecasts"] = [tables.one_step_rows([Score.model_validate(row) for row in log])]
    pointer, notes = read(f"live/{model}/champion.json"), []
    version = VersionFile.model_validate_json(pointer) if pointer else None
    if version is None:
        notes.append("no version is in use yet: no contributions, ROAS or forecasts of planned weeks")
    else:
        try:
            _add_what_the_champion_says(frames, notes, version, read)
        except DataError as err:
            notes.append(f"the champion cannot be asked about the last accepted panel: {err}")
    rows = {
        name: [row for part in parts for row in tables.tidy(name, part, model, version and version.id, as_of)]
        for name, parts in frames.items()
    }
    return Export(model, as_of, version.id if version else None, rows, notes)


def _add_what_the_champion_says(
    frames: dict[str, list[pd.DataFrame]], notes: list[str], version: VersionFile, read: Read
) -> None:
    model, kind = version.model, load_kind(version.kind)
    with tempfile.TemporaryDirectory() as name:
        for part in ("base.nc", "panel.parquet", "weights.npy"):
            write_bytes(Path(name) / part, read(f"live/{model}/{part}") or b"")
        weights = load_weights(Path(name) / "weights.npy") if version.weights_hash is not None else None
        draws = stack_draws(load_posterior(Path(name) / "base.nc"), DRAWS, weights)
        panel = _panel(read_panel(Path(name) / "panel.parquet"), version)
    args = (version.columns, version.spec, version.basis)
    contributions, channels = kind.contributions(draws, panel, *args), list(version.columns["channels"])
    frames["contributions"].append(tables.contribution_rows(contributions, version.columns))
    frames["roas"].append(tables.roas_rows(contributions, panel, channels, current_since(version.spec, channels)))
    planned = _planned(read, model, panel, notes)
    if planned is not None:
        whole = pd.concat([panel, planned], ignore_index=True)
        after = (whole["week"] > panel["week"].max()).to_numpy()
        predictive = kind.predict(draws, whole, *args).rows(after)
        frames["forecasts"].append(tables.plan_rows(predictive, whole[after]))


def _panel(panel: pd.DataFrame | None, version: VersionFile) -> pd.DataFrame:
    if panel is None:
        raise DataError("it is not in the history")
    # A channel that params no longer name is 0; a control or event that is gone has no such value.
    absent = [c for c in champion_inputs(version.columns) if c not in panel and c.startswith(("spend.", "exposure."))]
    return panel.assign(**dict.fromkeys(absent, 0.0))


def _planned(read: Read, model: str, panel: pd.DataFrame, notes: list[str]) -> pd.DataFrame | None:
    """Return the plan that came with the week as a panel that follows the accepted one; None without a good one."""
    data, text = read(f"in/{model}/snapshot/plan.csv"), read("params.yaml")
    if data is None or text is None:
        return None
    try:
        params = parse_params(yaml.safe_load(text), f"params.yaml of {model}'s week").model(model)
        last = date.fromisoformat(panel["week"].max().date().isoformat())
        planned, faults = plan_of(data, params, last, panel)
    except EvermixError as err:
        notes.append(f"the plan cannot be read: {err}")
        return None
    if planned is None:
        notes += [f"{fault.where}: {fault.what}, got {fault.value}, expected {fault.expected}" for fault in faults[:3]]
        return None
    gone = [c for c in panel if c not in planned]
    planned = planned.assign(**{c: 0.0 for c in gone if c.startswith(("spend.", "exposure."))})
    if lost := [c for c in gone if c not in planned]:
        notes.append(f"the plan has no {', '.join(lost)}, which the last accepted panel has")
        return None
    return planned[list(panel.columns)]
