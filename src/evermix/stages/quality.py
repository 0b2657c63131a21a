"""Quality: how good a source was, week by week: measured by validate, recorded by close, shown here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from evermix.config import Environment, ModelParams
from evermix.core.quality_record import read_points
from evermix.engines.history import read_branch_file
from evermix.engines.store import Store, read_json
from evermix.errors import ConfigError
from evermix.records import QualityPoint, SnapshotDiff

if TYPE_CHECKING:
    import pandas as pd

    from evermix.engines.contract import Outcome


def record_of(env: Environment, model: str) -> str:
    """Return the record of a model's quality at the tip of its branch; empty without one."""
    return (read_branch_file(env, model, f"live/{model}/quality.csv") or b"").decode()


def show(env: Environment, models: Sequence[str], as_of: str | None) -> list[dict[str, Any]]:
    """Return one object per model: the points of one delivery, and how often each series was outside before.

    Parameters
    ----------
    as_of : str or None
        A closed week; None: the last one.

    Raises
    ------
    ConfigError
        A week that was asked for has no record.
    """
    return [_shown(model, read_points(record_of(env, model)), as_of) for model in models]


def _shown(model: str, points: list[QualityPoint], as_of: str | None) -> dict[str, Any]:
    until = [point for point in points if as_of is None or point.as_of <= as_of]
    if as_of is not None and not any(point.as_of == as_of for point in until):
        raise ConfigError(
            f"--as-of: got {as_of}, a week of {model} without a record of quality. See `evermix history`."
        )
    last = (until[-1].as_of, until[-1].delivery) if until else None
    newest = [point for point in until if (point.as_of, point.delivery) == last]
    return {
        "model": model,
        "as_of": newest[0].as_of if newest else None,
        "points": [point.model_dump() for point in newest],
        "series": [point.model_dump() for point in until],
    }


def points_of(
    store: Store, params: ModelParams, outcome: Outcome, before: pd.DataFrame | None, diff: SnapshotDiff | None
) -> list[QualityPoint]:
    """Return the quality of the week's delivery against the record of the weeks before, accepted or refused."""
    # Loaded here: who only looks at the record does not need them.
    from evermix.core.quality_limits import measure_quality
    from evermix.core.quality_record import delivery_number, points_table
    from evermix.core.quality_series import Delivered

    record = store.before / "quality.csv"
    recorded = points_table(record.read_text(encoding="utf-8") if record.is_file() else "")
    week = read_json(store.week)
    as_of = date.fromisoformat(week["as_of"])
    arrived_on = read_json(store.snapshot / "about.json").get("arrived_on")
    seen = Delivered(
        as_of=as_of,
        number=delivery_number(recorded, as_of),
        frame=outcome.frame,
        rows=outcome.rows,
        grid=outcome.grid,
        before=before,
        diff=diff,
        accepted=outcome.panel is not None,
        arrived=date.fromisoformat(arrived_on) if arrived_on and not week["reconstructed"] else None,
    )
    return measure_quality(seen, recorded, params)


def points_to_draw(store: Store, params: ModelParams, weeks: int) -> list[QualityPoint]:
    """Return the record of a closed week, and for the weeks before its start what its delivery tells of them."""
    from evermix.core.panel import type_rows, weekly_grid
    from evermix.core.quality_limits import earlier_points
    from evermix.core.quality_series import Delivered
    from evermix.engines.sources import read_table

    path = store.live / "quality.csv"
    recorded = read_points(path.read_text(encoding="utf-8")) if path.is_file() else []
    panel = store.validated / "panel.parquet"
    if not panel.is_file():
        return recorded
    as_of = date.fromisoformat(read_json(store.week)["as_of"])
    format_ = read_json(store.snapshot / "about.json")["format"]
    frame = read_table((store.snapshot / f"data.{format_}").read_bytes(), format_).frame
    rows = type_rows(frame, params.columns, params.source)
    grid = weekly_grid(rows, params.columns, params.source, as_of)
    seen = Delivered(as_of, 1, frame, rows, grid, None, None, True, None)
    first = recorded[0].as_of if recorded else as_of.isoformat()
    return [point for point in earlier_points(seen, params, weeks) if point.as_of < first] + recorded
