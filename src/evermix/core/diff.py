"""What one panel says that the one before it did not."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.records import Cell, SnapshotDiff

_KEYS = ["week", "geo"]
# Writers of CSV round in the last digits; a restatement is a change that a person would call one.
_RELATIVE_TOLERANCE = 1e-9


def differs(old: pd.Series, new: pd.Series) -> pd.Series:
    """Return where two aligned columns hold different values; two NaN are the same, NaN and a number are not."""
    return pd.Series(values_differ(old.to_numpy(float), new.to_numpy(float)), index=new.index)


def values_differ(old: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where two arrays of one shape hold different values; NaN as in `differs`."""
    return ~np.isclose(old, new, rtol=_RELATIVE_TOLERANCE, atol=0.0, equal_nan=True)


def diff_panels(before: pd.DataFrame | None, now: pd.DataFrame, masked: Collection[str] = ()) -> SnapshotDiff:
    """Return new and missing weeks, restated and completed cells, and columns and channels that came or went.

    A cell of a week both panels know is *completed* where it was NaN (a late target that arrived), and *restated* where
    two values differ or a value was withdrawn.  A channel is launched when its spend is first above zero, retired when
    its column is no longer asked for.

    Parameters
    ----------
    before : DataFrame or None
        The last accepted panel; None if there is none, when every week is new.
    now : DataFrame
        This week's panel.
    masked : collection of str
        Weeks (ISO Mondays) whose target was blanked by params: nobody withdrew it, so it is not compared.
    """
    if before is None:
        return SnapshotDiff(
            new_weeks=_iso(now["week"]),
            missing_weeks=[],
            restated=[],
            completed=[],
            columns_added=[],
            columns_removed=[],
            channels_launched=[],
            channels_retired=[],
        )
    cells = [c for c in _changed_cells(before, now) if c.column != "target" or c.week not in masked]
    old_channels, new_channels = _spending(before), _spending(now)
    return SnapshotDiff(
        new_weeks=_iso(now["week"][~now["week"].isin(before["week"])]),
        missing_weeks=_iso(before["week"][~before["week"].isin(now["week"])]),
        restated=[cell for cell in cells if cell.old is not None],
        completed=[cell for cell in cells if cell.old is None],
        columns_added=[c for c in _names(now) if c not in before],
        columns_removed=[c for c in _names(before) if c not in now],
        channels_launched=[name for name, on in new_channels.items() if on and not old_channels.get(name, False)],
        channels_retired=[name for name in old_channels if name not in new_channels],
    )


def _changed_cells(before: pd.DataFrame, now: pd.DataFrame) -> list[Cell]:
    columns = [c for c in _names(now) if c in before and c not in _KEYS]
    old, new = before.set_index(_KEYS)[columns], now.set_index(_KEYS)[columns]
    shared = new.index.intersection(old.index).sort_values()
    old, new = old.loc[shared], new.loc[shared]
    cells = []
    for name in columns:
        for week, geo in shared[differs(old[name], new[name])]:
            was, now_is = old[name].loc[(week, geo)], new[name].loc[(week, geo)]
            cells.append(Cell(week=week.date().isoformat(), geo=geo, column=name, old=_told(was), new=_told(now_is)))
    order = {name: place for place, name in enumerate(columns)}
    return sorted(cells, key=lambda cell: (cell.week, cell.geo, order[cell.column]))


def _told(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _spending(panel: pd.DataFrame) -> dict[str, bool]:
    return {c.removeprefix("spend."): bool((panel[c] > 0).any()) for c in _names(panel) if c.startswith("spend.")}


def _names(panel: pd.DataFrame) -> list[str]:
    return [str(column) for column in panel.columns]


def _iso(weeks: pd.Series) -> list[str]:
    return [week.date().isoformat() for week in weeks.drop_duplicates().sort_values()]
