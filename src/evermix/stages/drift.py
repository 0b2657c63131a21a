"""Plain PSI of two large tables: what people know, where it is right."""

from __future__ import annotations

from typing import Any

import pandas as pd

from evermix.core.psi import table_psi
from evermix.engines.sources import fetch, read_table

NOTE = (
    "Moderate above 0.1, large above 0.25, for thousands of independent rows. Wrong on weekly series: there the "
    "calibrated drift of `evermix monitor` counts."
)


def run(reference: str, current: str) -> dict[str, Any]:
    """Return ``{"rows", "columns", "note"}``: the plain PSI of every common column, largest first."""
    tables = {name: _read(path) for name, path in (("reference", reference), ("current", current))}
    found = table_psi(tables["reference"], tables["current"])
    return {
        "rows": {name: len(table) for name, table in tables.items()},
        "columns": [column.model_dump() for column in found],
        "note": NOTE,
    }


def _read(path: str) -> pd.DataFrame:
    """Return a table whose columns are numbers where every cell that says something is one."""
    delivery = fetch(path, "parquet" if path.endswith((".parquet", ".pq")) else "csv")
    text = read_table(delivery.data, delivery.format).frame
    text = text.mask(text == "")
    numbers = text.apply(pd.to_numeric, errors="coerce")
    is_number = numbers.notna().sum() == text.notna().sum()
    return pd.DataFrame({column: numbers[column] if is_number[column] else text[column] for column in text})
