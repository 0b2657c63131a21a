"""Validate: hold the snapshot against the model's contract, and diff it with the last accepted panel."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pandas as pd

from evermix.config import ModelParams
from evermix.core.diff import diff_panels
from evermix.core.quality_record import to_text
from evermix.engines.calendars import add_holidays
from evermix.engines.contract import Outcome, check, refuse
from evermix.engines.sources import panel_bytes, read_panel, read_table
from evermix.engines.store import Store, fresh_folder, read_json, write_bytes, write_json, write_text
from evermix.engines.validation_page import render
from evermix.errors import DataError
from evermix.records import ValidationReport
from evermix.stages import quality
from evermix.stages.plan import read_plan


def run(store: Store, params: ModelParams) -> ValidationReport:
    """Write ``report.json``, ``report.html``, ``diff.json``, ``quality.csv`` and, if accepted, ``panel.parquet``.

    A plan of the weeks to come goes into ``plan.parquet``; what is wrong with one is a warning.

    Bytes that fail stay in the snapshot as they came; nothing is dropped or patched.
    """
    as_of = date.fromisoformat(read_json(store.week)["as_of"])
    before = read_panel(store.before / "panel.parquet")
    outcome = _outcome(store, params, as_of, before)
    plan = None
    if outcome.panel is not None:
        panel = add_holidays(outcome.panel, params.columns, params.source.week_start)
        plan, warnings = read_plan(store, params, as_of, panel)
        report = outcome.report.model_copy(update={"warnings": [*outcome.report.warnings, *warnings]})
        outcome = replace(outcome, report=report, panel=panel)
    with fresh_folder(store.validated) as draft:
        write_json(draft / "report.json", outcome.report.model_dump())
        write_text(draft / "report.html", render(outcome.report, outcome.grid, outcome.marks))
        diff = None
        if outcome.panel is None:
            write_json(draft / "diff.json", {"status": "quarantined: no panel to compare"})
        else:
            write_bytes(draft / "panel.parquet", panel_bytes(outcome.panel))
            if plan is not None:
                write_bytes(draft / "plan.parquet", panel_bytes(plan))
            diff = diff_panels(before, outcome.panel, outcome.report.masked)
            write_json(draft / "diff.json", diff.model_dump())
        write_text(draft / "quality.csv", to_text(quality.points_of(store, params, outcome, before, diff)))
    return outcome.report


def _outcome(store: Store, params: ModelParams, as_of: date, before: pd.DataFrame | None) -> Outcome:
    about = read_json(store.snapshot / "about.json")
    file = store.snapshot / f"data.{about['format']}"
    try:
        table = read_table(file.read_bytes(), about["format"])
    except DataError as err:
        return refuse(store.model, as_of, about["format"], ", ".join(about["files"]), str(err))
    return check(table.frame, store.model, params, as_of, before, _waived(store), is_cut=True)


def _waived(store: Store) -> list[str]:
    """Return the rules that a person has waived for this very delivery; weeks opened without orders have none."""
    return list(read_json(store.orders)["waivers"]) if store.orders.is_file() else []
