"""The rules of the data contract in words: what is broken, expected, to be done, and whether it may be waived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evermix.core.newest import FROZEN_WEEKS, SHORT_MEDIA, SHORT_WEEK
from evermix.core.past import ONE_FACTOR_SHARE
from evermix.core.quality import EVEN_JUMP, MAX_LOST_WEEKS, STEADY_WEEKS
from evermix.records import Fault


@dataclass(frozen=True)
class Rule:
    """Wording of a rule; ``{...}`` is filled with the numbers of params and of the delivery.

    A fault of degree is ``waivable``: a panel can be computed, and a person may say that it is true all the same.
    """

    what: str
    expected: str
    action: str
    severity: Literal["fault", "warning"] = "fault"
    waivable: bool = False

    def fault(self, name: str, where: str, value: str, facts: dict[str, object]) -> Fault:
        """Return the record of one place where the rule is broken."""
        texts = {key: getattr(self, key).format(**facts).strip() for key in ("what", "expected", "action")}
        return Fault(rule=name, where=where, value=value, **texts)


CORRECT = "Correct the cell in the source and deliver again."

RULES = {
    "unreadable_file": Rule("the file cannot be read", "a whole {format} file", "{action}"),
    "missing_column": Rule(
        "a column that params name is not there",
        "column {column!r} ({role})",
        "Deliver it, or mend columns in params. {hint}",
    ),
    "duplicate_column": Rule(
        "a column name stands twice in the header", "each name once", "Rename or drop one of them."
    ),
    "no_rows": Rule(
        "no row has a readable week up to as_of", "rows from the first week to {as_of}", "Deliver the history."
    ),
    "unreadable_date": Rule("not a date of the column's format", "a date like {date_example}, all rows alike", CORRECT),
    "off_weekday": Rule(
        "a weekly row is dated on {found_weekday}",
        "{weekday} (label {label}, week_start {week_start})",
        "Correct the date; if all rows are so, set {suggestion} in params.",
    ),
    "missing_geo": Rule("the geo is blank", "the name of a geo", CORRECT),
    "not_a_number": Rule("text where a number is due", "a plain number such as 1234.5", "{number_hint}"),
    "not_finite": Rule("not a finite number", "a finite number, or blank if unknown", CORRECT),
    "missing_value": Rule("the value is blank", "a number in every row", "Fill the cell (0 where nothing happened)."),
    "negative": Rule("a negative amount", "0 or more", "Book credits outside the feed, or correct the sign."),
    "missing_week": Rule(
        "no row tells of this week",
        "a row for every week up to {as_of}",
        "Deliver the week (zeros, if nothing happened).",
    ),
    "missing_geo_week": Rule("a geo lacks a week that others have", "a row for every geo and week", "Deliver the row."),
    "duplicate_row": Rule(
        "several rows tell of the same date and geo", "one row", "Keep the right one, drop the others."
    ),
    "missing_days": Rule(
        "days of the week are missing", "7 days", "Deliver the missing days (zeros, if nothing happened)."
    ),
    "missing_target": Rule(
        "the target is blank", "a number, except in the last {delay} week(s) (label_delay_weeks)", "Deliver the value."
    ),
    "below_minimum": Rule("the target is too small", "at least {target_min:g} (target_min)", CORRECT, waivable=True),
    "target_slip": Rule(
        "the target leaves its scale",
        "less than {target_jump:g} times the 52-week median (target_jump), or twice the 52-week maximum; "
        "if not 0, more than 1/{low_jump:g} of that median (of a steady one, 1/{target_jump:g} of the 52-week minimum)",
        "Check the unit (pence or pounds, thousands); if it is true, waive it (`evermix accept`), "
        "and mask the week or name its event.",
        waivable=True,
    ),
    "spend_slip": Rule(
        "the spend leaves its scale",
        "at most {spend_jump:g} times the channel's 52-week maximum (spend_jump), or what all channels usually cost; "
        f"{EVEN_JUMP:g} times at most, where the channel is even and never paused; "
        "where its active weeks are of one size, no less than 1/{spend_jump:g} of their 52-week minimum",
        "Check the unit (pence or pounds, thousands); if it is true, waive it (`evermix accept`).",
        waivable=True,
    ),
    "too_few_weeks": Rule(
        "too few weeks for a first fit",
        "at least {min_weeks} weeks with a target (min_weeks)",
        "Deliver a longer history.",
    ),
    "zero_target_share": Rule(
        "too many of the last 13 weeks have no target at all",
        "a share of at most {max_zero:g} (max_zero_target_share)",
        "Check the target's export.",
        waivable=True,
    ),
    "lost_history": Rule(
        "weeks of the last accepted delivery are gone",
        f"at most {MAX_LOST_WEEKS} lost",
        "Deliver the whole history.",
        waivable=True,
    ),
    "shorter_history": Rule(
        "the oldest weeks of the last accepted delivery are gone", "the whole history", "Deliver it.", "warning"
    ),
    "sudden_zero": Rule(
        f"zero after {STEADY_WEEKS} weeks that all had more",
        "more than 0",
        "Check the export. If it is true, name it in params (retired: Monday, or bursty: true) or waive this fault.",
        waivable=True,
    ),
    "pause": Rule(
        f"zero after {STEADY_WEEKS} weeks that all had more, in a channel that has paused or wound down before",
        "more than 0, or bursty: true",
        "Check that this is so.",
        "warning",
    ),
    "input_slip": Rule(
        "the value leaves its scale",
        "of a steady column, {input_low} to {input_high} times its 52-week range",
        "Check the unit (pence or pounds, thousands, percent).",
        waivable=True,
    ),
    "spend_after_retirement": Rule(
        "spend in a channel that params retire on {retired}",
        "0 or blank",
        "Mend the row, or columns.channels.*.retired in params.",
        waivable=True,
    ),
    "rounded_by_spreadsheet": Rule(
        "written in a spreadsheet's short form, so that digits are lost",
        "all digits, such as 123456.78",
        "Format the column as a number before it is saved, and deliver again.",
        waivable=True,
    ),
    "personal_data": Rule(
        "a column that looks like personal data",
        "none, unless validation.personal_data_allowed names the column",
        "Drop the column from the export, or allow it by name. evermix kept none of its values.",
    ),
    "mixed_currency": Rule(
        "several currencies in one history",
        "one currency for all rows of a geo",
        "Convert the amounts before delivery.",
    ),
    "unnamed_column": Rule(
        "a column without a name holds values",
        "a name for every column",
        "Save without the index column; check that no column has moved.",
        "warning",
    ),
    "future_target": Rule(
        "a target of a week that has not begun",
        "planned rows have a blank target",
        "Correct the date, or leave the target blank.",
        waivable=True,
    ),
    "too_large": Rule(
        "more weeks and geos than a history has",
        "at most {grid_limit} cells of week and geo",
        "Check the date and the geo column.",
    ),
    "lost_geo": Rule(
        "a geo of the last accepted delivery is gone",
        "all its geos",
        "Deliver its rows; if it was renamed, keep the name.",
        waivable=True,
    ),
    "new_geo": Rule(
        "a geo that the last accepted delivery does not have",
        "its geos: {geos}",
        "Check the name; a new geo is waived once.",
        waivable=True,
    ),
    "rewritten_history": Rule(
        "the past was rewritten, not restated",
        "at most {rewritten_share:.0%} of a column's past cells changed by 1 % or more "
        f"({ONE_FACTOR_SHARE:.0%} of a media column's, where one factor explains them), fewer than 8 to 0, none by ten",
        "Check unit, currency, dates and order of columns; if it is true, waive this fault.",
        waivable=True,
    ),
    "swapped_columns": Rule(
        "two columns hold each other's values",
        "each its own, as in the last accepted delivery and the year before",
        "Check the order of columns in the export.",
        waivable=True,
    ),
    "short_week": Rule(
        "target and all media fell together, as in a week that lacks days",
        f"one of them above {SHORT_WEEK:g} of the median of its last four weeks",
        "Check that the export ran after the week's end; if it is true, waive this fault.",
        waivable=True,
    ),
    "short_media": Rule(
        "all media fell together, and the target did not",
        f"one of them above {SHORT_MEDIA:g} of the median of its last four weeks",
        "Check unit and completeness of the export of spend; if it is true, waive this fault.",
        waivable=True,
    ),
    "spend_fell": Rule(
        "the spend of an even channel fell far below its 52-week minimum",
        f"at least 1/{EVEN_JUMP:g} of it",
        "Check the unit, and that the export is whole.",
        "warning",
    ),
    "swapped_geos": Rule(
        "two geos hold each other's values",
        "each its own, as in the year before",
        "Check the order of rows and the names of geos in the export; if it is true, waive this fault.",
        waivable=True,
    ),
    "copied_geo": Rule(
        "two geos hold one value, and never did before",
        "each its own",
        "Check the names of geos in the export; if it is true, waive this fault.",
        waivable=True,
    ),
    "copied_column": Rule(
        "two columns hold one value, and never did before",
        "each its own",
        "Check the order of columns in the export; if it is true, waive this fault.",
        waivable=True,
    ),
    "exchange_corrected": Rule(
        "two columns exchanged values of the last accepted delivery, and fit no worse now",
        "each its own, as it was accepted",
        "Check which delivery was right.",
        "warning",
    ),
    "misplaced_week": Rule(
        "holds what another week held when it was accepted",
        "its own values, as in the last accepted delivery",
        "Check the order of rows and dates in the export; if it is true, waive this fault.",
        waivable=True,
    ),
    "stale_week": Rule(
        "the week repeats an earlier one in every column", "values of its own", "Refresh the export.", waivable=True
    ),
    "stale_media": Rule(
        "all media of the week repeat an earlier one",
        "values of its own, in channels that hardly ever repeat one",
        "Refresh the export of spend; if it is true, waive this fault.",
        waivable=True,
    ),
    "frozen": Rule(
        f"the same value for {FROZEN_WEEKS} weeks or more, in a column that never repeated one",
        "a value of its own for every week",
        "Check that the export is refreshed; if it is true, waive this fault.",
        waivable=True,
    ),
}

WAIVABLE: frozenset[str] = frozenset(name for name, rule in RULES.items() if rule.waivable)
"""Names of the faults of degree, which a person may waive for one delivery."""
