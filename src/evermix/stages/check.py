"""Hold a source as it is now against its contract, outside the weekly loop: nothing is stored or decided."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from evermix.config import Environment, load_params
from evermix.core.orders import orders_for
from evermix.engines.history import read_branch_file
from evermix.engines.store import Store, read_json, write_bytes, write_json
from evermix.stages import validate
from evermix.stages.ingest import plan_place, take_snapshot
from evermix.stages.publish import branch_events


def check_source(env: Environment, model: str) -> dict[str, Any]:
    """Return the validation report of a model's source through the last week that has ended.

    What was accepted before and what people waived count as they do in a week: the history is asked for both.
    """
    params = load_params(env.project / "params.yaml").model(model)
    today = datetime.now(UTC).date()
    as_of = today - timedelta(days=today.weekday() + 7)
    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name), model)
        source, plan = env.source_path(params.source.path), plan_place(env, params.source)
        seen = take_snapshot(params, source, as_of, store.snapshot, plan, today=today)
        if seen.status == "waiting":
            # The source has not come to last week: what it has is checked, through its own last whole week.
            as_of = date.fromisoformat(str(seen.last_week))
            seen = take_snapshot(params, source, as_of, store.snapshot, plan, today=today)
        store.before.mkdir(parents=True)
        _lay_out_accepted(env, store)
        events, weeks = branch_events(env, model), params.gate.approval_expires_weeks
        write_json(store.orders, orders_for(events, as_of.isoformat(), seen.sha256, weeks))
        write_json(store.week, {"model": model, "as_of": as_of.isoformat(), "reconstructed": False})
        validate.run(store, params)
        return dict(read_json(store.validated / "report.json"))


def _lay_out_accepted(env: Environment, store: Store) -> None:
    panel = read_branch_file(env, store.model, f"live/{store.model}/panel.parquet")
    if panel is not None:
        write_bytes(store.before / "panel.parquet", panel)
