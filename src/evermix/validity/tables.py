"""What the rows add up to: rates with intervals, power, delay, refits, errors.  Rows in, numbers out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evermix.config import Rule
from evermix.validity.policy import RECORDED, first_fired
from evermix.validity.replicate import HORIZON

Row = dict[str, Any]
FirstAlarm = Callable[[Row], int | None]

SEQUENTIAL, INPUTS = ("alarm", "surprise"), ("drift",)
_Z_95 = 1.959964


@dataclass(frozen=True)
class Rate:
    """A share with its 95 % Wilson interval (1927), which holds near 0 and 1 too."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        """Return the share; NaN of nothing."""
        return self.hits / self.of if self.of else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Return the ends of the interval."""
        if not self.of:
            return float("nan"), float("nan")
        n, p, z = self.of, self.share, _Z_95
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        return max(0.0, float(middle - half)), min(1.0, float(middle + half))

    def __str__(self) -> str:
        """Return the share and its interval as the tables have them."""
        if not self.of:
            return "not run"
        low, high = self.interval
        return f"{self.share:.3f} [{low:.3f}, {high:.3f}]"


@dataclass(frozen=True)
class Detection:
    """How a change was found.

    Attributes
    ----------
    power : Rate
        Found within 32 weeks, among the series that had no alarm before the change.
    delay : float
        Median number of weeks of changed data until the alarm, among those found; NaN where none was.
    """

    power: Rate
    delay: float


def alarm_rules(rules: Sequence[Rule], groups: Iterable[str]) -> list[Rule]:
    """Return the rules that decide on evidence of these groups; those that only tell are not among them."""
    wanted = tuple(f"{group}." for group in groups)
    return [
        rule
        for rule in rules
        if rule.evidence.startswith(wanted) and rule.evidence in RECORDED and rule.decision != "tell"
    ]


def telling_rules(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules that alert and decide nothing, on evidence which the study has."""
    return [rule for rule in rules if rule.decision == "tell" and rule.evidence in RECORDED]


def first_of(rules: Sequence[Rule], records: str = "records") -> FirstAlarm:
    """Return what gives the week in which the first of these rules fires."""
    known: dict[int, int | None] = {}

    def first(row: Row) -> int | None:
        # A row is asked many times over, by week and by table.
        if id(row) not in known:
            known[id(row)] = first_fired(rules, row[records])
        return known[id(row)]

    return first


def oracle_at(threshold: float) -> FirstAlarm:
    """Return what gives the week in which the oracle passed a threshold, in nats."""
    return lambda row: _passed(row["oracle"], threshold)


def e_detector_at(threshold: float) -> FirstAlarm:
    """Return what gives the week in which the e-detector passed a threshold."""
    return lambda row: _passed(row["records"].get("alarm.e_detector", []), threshold)


def _passed(record: Sequence[Sequence[float]], threshold: float) -> int | None:
    return next((int(week) for week, value in record if value >= threshold), None)


def false_alarms(quiet: Sequence[Row], first: FirstAlarm) -> Rate:
    """Return the share of quiet years with an alarm."""
    return Rate(sum(first(row) is not None for row in quiet), len(quiet))


def detect(rows: Sequence[Row], first: FirstAlarm, within: int = HORIZON) -> Detection:
    """Return power and delay; a series with an alarm before its change counts in neither."""
    delays, asked = [], 0
    for row in rows:
        week = first(row)
        if week is not None and week < row["change"]:
            continue
        asked += 1
        if week is not None and week < row["change"] + within:
            delays.append(week - row["change"] + 1)
    return Detection(Rate(len(delays), asked), float(np.median(delays)) if delays else float("nan"))


def match_oracle(quiet: Sequence[Row], scenario: str, rate: float) -> tuple[float, Rate]:
    """Return the least threshold at which the oracle errs no more often than ``rate``, and how often it errs there."""
    if not quiet:
        return float("inf"), Rate(0, 0)
    tops = np.sort([row["oracle"][scenario] for row in quiet])[::-1]
    allowed = int(np.floor(rate * len(tops) + 1e-9))
    threshold = float(np.nextafter(tops[allowed], np.inf)) if allowed < len(tops) else 0.0
    return threshold, Rate(int((tops >= threshold).sum()), len(tops))


def by_week(rows: Sequence[Row], first: FirstAlarm, weeks: int) -> list[float]:
    """Return the share of rows with an alarm up to each week."""
    firsts = [first(row) for row in rows]
    return [sum(week is not None and week <= last for week in firsts) / max(len(rows), 1) for last in range(weeks)]


def refits_by_rule(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many refits each rule asked for; one that several rules asked for counts for each."""
    counts: dict[str, int] = {}
    for row in rows:
        for _, rules in row["refits"]:
            for rule in rules:
                counts[rule] = counts.get(rule, 0) + 1
    return counts


def looks_of(rows: Sequence[Row], path: str) -> list[Row]:
    """Return the comparisons with full refits on one path: ``rules`` or ``kept``."""
    return [look for row in rows for look in row["looks"] if look["path"] == path]


def quantile(values: Sequence[float], level: float) -> float:
    """Return a quantile; NaN of nothing."""
    return float(np.quantile(values, level)) if len(values) else float("nan")
