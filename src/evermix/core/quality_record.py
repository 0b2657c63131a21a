"""The record of quality, one line a point: text in, points out; and what a week's points say to rules and people."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date

import pandas as pd

from evermix.core.quality_series import ALL
from evermix.records import QualityPoint

_ASKED = ("completeness", "freshness_days", "label_delay_weeks", "restated_share")
_FIELDS = tuple(QualityPoint.model_fields)


def to_text(points: Sequence[QualityPoint]) -> str:
    """Return points as CSV; blank where there is no value or no limit."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_FIELDS)
    writer.writerows(["" if value is None else value for value in point.model_dump().values()] for point in points)
    return out.getvalue()


def append_points(past: str, week: str) -> str:
    """Return the record with a week's points at its end."""
    return past + week.split("\n", 1)[1] if past else week


def read_points(text: str) -> list[QualityPoint]:
    """Return the points of a record, oldest first."""
    return [
        QualityPoint(**{name: None if row[name] == "" else row[name] for name in _FIELDS})  # type: ignore[arg-type]
        for row in csv.DictReader(io.StringIO(text))
    ]


def latest_delivery(text: str) -> str:
    """Return the part of a record that tells of its last delivery, so that not all of it need be read."""
    header, *lines = text.splitlines(keepends=True) or [""]
    last = ",".join(lines[-1].split(",")[:2]) + "," if lines else ""
    return "".join([header, *(line for line in lines if line.startswith(last))])


def points_table(text: str) -> pd.DataFrame:
    """Return a record as a table, which is all that limits need; empty of an empty text."""
    if not text:
        return pd.DataFrame(columns=list(_FIELDS))
    kinds = {"as_of": "str", "measure": "str", "column": "str", "limit": "str", "accepted": "bool", "outside": "bool"}
    blank = {name: [""] for name in ("value", "low", "high")}
    return pd.read_csv(io.StringIO(text), dtype=kinds, keep_default_na=False, na_values=blank)


def delivery_number(recorded: pd.DataFrame, as_of: date) -> int:
    """Return the number of a week's next delivery: one more than were recorded of it."""
    if recorded.empty:
        return 1
    return int(recorded.loc[recorded["as_of"] == as_of.isoformat(), "delivery"].nunique()) + 1


def quality_evidence(points: Sequence[QualityPoint]) -> tuple[dict[str, float], dict[str, str]]:
    """Return the numbers that rules may ask of a delivery's quality, and in words what lies outside its limits.

    What was not measured (the freshness of a week rebuilt later) is left out: to a rule that asks it, it is missing.
    """
    outside = [point for point in points if point.outside]
    numbers = {
        "quality.breaks": float(len(outside)),
        "quality.tracking_breaks": float(sum(point.measure == "tracking" for point in outside)),
        "quality.outliers": float(sum(point.measure == "outlier" for point in outside)),
    }
    numbers |= {
        f"quality.{point.measure}": point.value
        for point in points
        if point.measure in _ASKED and point.column == ALL and point.value is not None
    }
    notes = {"quality.breaks": "; ".join(map(describe_point, outside))} if outside else {}
    return numbers, notes


def describe_point(point: QualityPoint) -> str:
    """Return a point and its limits in words."""
    value = "not measured" if point.value is None else f"{point.value:.4g}"
    if point.low is None and point.high is None:
        return f"{point.measure} of {point.column}: {value} ({point.limit})"
    low, high = ("" if end is None else f"{end:.4g}" for end in (point.low, point.high))
    span = f"{low} to {high}" if low and high else f"at most {high}" if high else f"at least {low}"
    return f"{point.measure} of {point.column}: {value}, limits {span}"
