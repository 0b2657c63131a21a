"""Plain PSI for large tables: thousands of independent rows, where its textbook thresholds are right."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from evermix.core.drift_series import Floats
from evermix.errors import DataError
from evermix.records import Record

BINS = 10  # deciles of the reference
FLOOR = 1e-4  # share of an empty bin
MODERATE, LARGE = 0.1, 0.25  # Siddiqi 2006
MIN_ROWS = 1000  # below, the PSI of two samples of one population passes 0.1 by chance


class ColumnPsi(Record):
    """Plain PSI of one column in nats, in words at 0.1 and 0.25; ``quiet_psi`` is its mean when nothing changed."""

    column: str
    psi: float
    quiet_psi: float
    verdict: Literal["stable", "moderate", "large"]


def plain_psi(reference: Floats, current: Floats, bins: int = BINS) -> float:
    """Return textbook PSI: quantile bins of the reference, empty bins floored at 1e-4.

    Right for thousands of independent rows; on weekly series it fires nearly always.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    return _psi(_count_numbers(reference, edges), _count_numbers(current, edges))


def table_psi(reference: pd.DataFrame, current: pd.DataFrame) -> list[ColumnPsi]:
    """Return the plain PSI of every common column of two large tables, largest first.

    Numbers are cut at the deciles of the reference, anything else is counted by category; a missing value is a
    category of its own.

    Raises
    ------
    DataError
        When a table has fewer than 1,000 rows, or they have no column in common.
    """
    few = {name: len(t) for name, t in (("reference", reference), ("current", current)) if len(t) < MIN_ROWS}
    if few:
        raise DataError(
            f"plain PSI: {', '.join(f'{name} has {n} rows' for name, n in few.items())}, expected {MIN_ROWS} or more "
            "independent ones. For weekly series read the calibrated drift of `evermix monitor`."
        )
    columns = [column for column in map(str, reference) if column in current]
    if not columns:
        raise DataError("plain PSI: the two tables have no column in common. Give tables with the same header.")
    found = [_column_psi(column, reference[column], current[column]) for column in columns]
    return sorted(found, key=lambda row: -row.psi)


def _column_psi(name: str, reference: pd.Series, current: pd.Series) -> ColumnPsi:
    if pd.api.types.is_numeric_dtype(reference) and pd.api.types.is_numeric_dtype(current):
        edges = np.unique(np.nanquantile(reference.astype(float), np.linspace(0, 1, BINS + 1)[1:-1]))
        counts = [_count_numbers(x.to_numpy(float, na_value=np.nan), edges) for x in (reference, current)]
    else:
        known = pd.concat([reference, current]).astype("string").fillna("missing").unique()
        counts = [
            np.asarray(x.astype("string").fillna("missing").value_counts().reindex(known, fill_value=0), float)
            for x in (reference, current)
        ]
    value = _psi(*counts)
    verdict: Literal["stable", "moderate", "large"] = (
        "large" if value > LARGE else "moderate" if value > MODERATE else "stable"
    )
    bins = int(((counts[0] + counts[1]) > 0).sum())
    quiet = (bins - 1) * (1 / len(reference) + 1 / len(current))
    return ColumnPsi(column=name, psi=value, quiet_psi=quiet, verdict=verdict)


def _count_numbers(x: Floats, edges: Floats) -> Floats:
    """Return how many values fall between the edges, and how many are missing."""
    missing = np.isnan(x)
    filled = np.bincount(np.searchsorted(edges, x[~missing]), minlength=edges.size + 1)
    return np.append(filled, missing.sum()).astype(float)


def _psi(reference: Floats, current: Floats) -> float:
    # A bin that neither sample fills is no bin.
    filled = (reference + current) > 0
    q, p = (np.maximum(counts[filled] / counts.sum(), FLOOR) for counts in (reference, current))
    return float(((p - q) * np.log(p / q)).sum())
