"""The rules of weeks by panel column: masks over the whole grid, True where a week keeps the rule."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from evermix.core import quality
from evermix.core.findings import Reading
from evermix.core.newest import has_whole_media, is_not_frozen, is_own_week, is_whole_week

Mask = Callable[[pd.Series], pd.Series | bool]


def calendar_rules(reading: Reading) -> dict[str, dict[str, Mask]]:
    """Return the rules of weeks and geos that have rows, or too many, or too few."""
    grid, daily = reading.grid, reading.params.source.frequency == "daily"
    told = grid["rows"] > 0
    some_geo_told = told.groupby(level="week").transform("any")
    rules = {
        "rows": {
            "missing_week": _fixed(some_geo_told),
            "missing_geo_week": _fixed(told | ~some_geo_told),
            "duplicate_row": _fixed(grid["rows"] <= (grid["days"] if daily else 1)),
            "stale_media": _fixed(~_has_new_media(reading) | is_own_week(grid, _media(grid)) | ~is_own_week(grid)),
            "short_media": _fixed(~_has_new_media(reading) | has_whole_media(grid) | ~is_whole_week(grid)),
        }
    }
    return rules | ({"days": {"missing_days": _fixed(~told | (grid["days"] == 7))}} if daily else {})


def _media(grid: pd.DataFrame) -> list[str]:
    return [str(name) for name in grid if str(name).startswith(("spend.", "exposure."))]


def _has_new_media(reading: Reading) -> pd.Series:
    """Return where spend or exposure of some channel is new; what was accepted once is not asked again."""
    new = pd.Series(False, index=reading.grid.index)
    for name in _media(reading.grid):
        accepted = reading.accepted(name)
        new |= quality.newest_cells(quality.changed_cells(reading.grid[name], accepted), accepted)
    return new


def target_rules(reading: Reading) -> dict[str, Mask]:
    """Return the rules of the target; those of degree are asked of new and changed cells."""
    grid, params, limits = reading.grid, reading.params, reading.params.validation
    target, told = grid["target"], grid["rows"] > 0
    accepted = reading.accepted("target")
    changed = quality.changed_cells(target, accepted)
    new = quality.newest_cells(changed, accepted)
    late = quality.late_weeks(grid, reading.as_of, params.label_delay_weeks)
    enough = reading.before is not None or reading.weeks_with_target >= limits.min_weeks
    return {
        "missing_target": _fixed(~told | target.notna() | late | reading.is_masked),
        "below_minimum": _fixed(~(target < limits.target_min)),
        "target_slip": _fixed(~changed | quality.target_keeps_scale(target, limits.target_jump)),
        "sudden_zero": _fixed(~new | quality.is_not_suddenly_zero(target)),
        "stale_week": _fixed(~new | is_own_week(grid)),
        "short_week": _fixed(~new | is_whole_week(grid)),
        "frozen": _fixed(is_not_frozen(target, accepted)),
        "zero_target_share": lambda _: quality.zero_target_share(target) <= limits.max_zero_target_share,
        "too_few_weeks": lambda _: enough,
    }


def media_rules(reading: Reading, name: str) -> dict[str, Mask]:
    """Return the rules of a channel's spend or exposure."""
    grid, limits = reading.grid, reading.params.validation
    kind, channel = name.split(".", 1)
    told = reading.params.columns.channels[channel]
    values, total = grid[name], grid.filter(like=f"{kind}.").sum(axis=1)
    accepted = reading.accepted(name)
    changed = quality.changed_cells(values, accepted)
    new = quality.newest_cells(changed, accepted)
    ended = quality.is_after(grid, told.retired)
    is_fine = ~new | ended | told.bursty | quality.is_not_suddenly_zero(values)
    slips = quality.spend_keeps_scale(values, total, limits.spend_jump)
    return {
        "spend_slip": _fixed(~changed | slips),
        "spend_fell": _fixed(~new | ended | told.bursty | ~slips | quality.spend_holds(values)),
        "sudden_zero": _fixed(is_fine | quality.has_wound_down(values)),
        "pause": _fixed(is_fine | ~quality.has_wound_down(values)),
        "frozen": _fixed(is_not_frozen(values, accepted)),
        "spend_after_retirement": _fixed(~ended | ~(values > 0)),
    }


def input_rules(reading: Reading, name: str) -> dict[str, Mask]:
    """Return the rules of a control or event."""
    values, accepted = reading.grid[name], reading.accepted(name)
    keeps_scale = quality.input_keeps_scale(values, reading.params.validation.target_jump)
    rules = {"input_slip": _fixed(~quality.changed_cells(values, accepted) | keeps_scale)}
    # A price may stand still for months, an event most of the year: only what always moves can be seen to freeze.
    return rules | ({} if name.startswith("event.") else {"frozen": _fixed(is_not_frozen(values, accepted))})


def _fixed(mask: pd.Series) -> Mask:
    """A mask that needed the whole grid, as a function of one of its columns."""
    return lambda column: pd.Series(mask.to_numpy(bool), index=column.index)
