"""Recognises what the columns of a stranger's table are, as the person who writes a model entry would.

Names decide first, numbers confirm.  What is not recognised is left out and named: a wrong control is worse than none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from evermix.config import SourceParams
from evermix.core import roles
from evermix.core.findings import number_hint
from evermix.core.panel import PLAIN_NUMBER, last_day, parse_numbers, week_of
from evermix.engines.onboard.rhythm import find_date, find_geo, find_rhythm
from evermix.engines.onboard.table import Table

_MAX_CHANNELS, _MAX_CONTROLS = 10, 6
_MIN_SPEND_SHARE, _MIN_ACTIVE_SHARE, _MIN_ACTIVE_WEEKS = 0.01, 0.10, 8
# Silent for a quarter at the start: launched later, rather than paused.
_LAUNCH_WEEKS = 13
# So close to the target, week by week, that it is likely a part of it.
_LEAK_CORRELATION = 0.97


@dataclass(frozen=True)
class Recognised:
    """What was found in a table.

    Attributes
    ----------
    source, columns : dict
        Blocks of a model entry, in the schema of params.
    roles, left_out : dict
        Why a column plays its role, or none, by column.
    weeks : list of str
        Whole weeks that have a row, ISO Mondays.
    label_delay_weeks : int
        Weeks at the end without a target.
    tracked : dict
        Columns by channel that count what it delivered: watched, not modelled.
    """

    source: dict[str, Any]
    columns: dict[str, Any]
    roles: dict[str, str]
    left_out: dict[str, str]
    weeks: list[str]
    label_delay_weeks: int
    tracked: dict[str, list[str]]


def recognise(
    frame: pd.DataFrame, path: str, format: str, query: str | None = None, label: str | None = None
) -> Recognised:
    """Return source and columns of a model entry for a text table.

    Parameters
    ----------
    frame : DataFrame of text
        As `sources.read_table` gives it.
    path, format, query : str
        Written into the entry as they are.
    label : str or None
        ``start`` or ``end``: which day of its week a weekly row is dated by; None: told by name and weekday.

    Raises
    ------
    DataError
        No rows, no date, no target, nothing to explain it by, or rows that are neither daily nor weekly.
    ConfigError
        A label for daily rows.
    """
    table = Table(path, frame)
    if frame.empty or not len(frame.columns):
        raise table.error(f"got {len(frame)} rows, expected a header and a history. Name a whole file.")
    if frame.columns.has_duplicates:
        twice = ", ".join(frame.columns[frame.columns.duplicated()].unique())
        raise table.error(f"column name(s) {twice} stand twice in the header, expected each once. Rename one.")
    date, dates = find_date(table)
    geo = find_geo(table, dates)
    source = SourceParams(path=path, format=format, query=query, **find_rhythm(table, date, dates, label))
    _leave_out_unusable(table)
    target = _find_target(table)
    weekly = _weekly_sums(table, dates, source)
    channels = _find_channels(table, weekly)
    controls, events = _find_inputs(table, weekly, target)
    if not (channels or controls or events):
        why = (
            "; ".join(f"{column}: {reason}" for column, reason in table.left_out.items()) or "there is no other column"
        )
        raise table.error(f"nothing but date and target was recognised ({why}), expected tv_spend, price or the like.")
    tracked = _find_tracked(table, channels)
    for column in table.open_columns():
        table.left_out[column] = roles.why_left_out(column)
    told = weekly[target].notna()
    columns = {
        "date": date,
        "geo": geo,
        "target": {"column": target, "aggregate": "sum"},
        "channels": channels,
        "controls": controls,
        "events": events,
    }
    weeks = [week.date().isoformat() for week in weekly.index]
    late = int((~told[::-1]).astype(int).cummin().sum())
    # Optional keys that say nothing stay out of the entry.
    return Recognised(
        source.model_dump(exclude_defaults=True), columns, table.roles, table.left_out, weeks, late, tracked
    )


def as_of_range(weeks: list[str], min_weeks: int) -> str:
    """Return in words from which Monday to which a week can be closed on these weeks."""
    if len(weeks) < min_weeks:
        return f"{len(weeks)} weeks are too few for a first fit, which needs {min_weeks} (validation.min_weeks)"
    return f"Mondays from {weeks[min_weeks - 1]} (validation.min_weeks) to {weeks[-1]} (the last whole week)"


def _leave_out_unusable(table: Table) -> None:
    for column in table.open_columns():
        text = table.frame[column].str.strip()
        bad = text[text.ne("") & ~text.str.fullmatch(PLAIN_NUMBER).astype(bool)]
        if text.eq("").all():
            table.left_out[column] = "empty"
        elif text.nunique() == 1:
            table.left_out[column] = f"always {text.iloc[0][:40]!r}"
        elif len(bad):
            table.left_out[column] = f"text, such as {bad.iloc[0][:40]!r}. {number_hint(bad.iloc[0])}"
        elif parse_numbers(text).fillna(0.0).nunique() == 1:
            table.left_out[column] = "no number but 0"


def _find_target(table: Table) -> str:
    ranked = [(rank, column) for column in table.open_columns() if (rank := roles.target_rank(column)) is not None]
    filled = [(rank, column) for rank, column in ranked if table.frame[column].str.strip().ne("").mean() >= 0.8]
    if not filled:
        numeric = ", ".join(table.open_columns()[:12]) or "none"
        bad = {c: why for c, why in table.left_out.items() if roles.target_rank(c) is not None}
        hint = "".join(f" {column} was left out: {why}" for column, why in bad.items())
        raise table.error(
            f"no column is named like a target; numeric columns: {numeric}. Expected revenue, sales, orders, y or the "
            f"like. Rename the one to be explained.{hint}"
        )
    target = min(filled, key=lambda pair: pair[0])[1]
    others = [column for _, column in filled if column != target]
    table.roles[target] = "target" + (f", preferred to {', '.join(others[:4])}" if others else "")
    for column in table.open_columns("outcome"):
        table.left_out[column] = f"part or consequence of what {target} measures; it would leak the answer"
    return target


def _weekly_sums(table: Table, dates: pd.Series, source: SourceParams) -> pd.DataFrame:
    """Return (week, numeric column) totals of whole weeks; NaN where every cell is blank."""
    usable = [c for c in table.frame if c not in table.left_out and table.frame[c].str.strip().ne("").any()]
    numbers = pd.DataFrame({column: parse_numbers(table.frame[column]) for column in usable}).dropna(axis=1, how="all")
    weeks = week_of(dates, source.week_start)
    sums = numbers.groupby(weeks).sum(min_count=1)
    if source.frequency == "daily":
        ends = pd.Timestamp(last_day(sums.index[-1].date(), source.week_start))
        sums = sums.iloc[int(dates.groupby(weeks).nunique().iloc[0] < 7) :]
        sums = sums if dates.max() >= ends else sums.iloc[:-1]
    return sums


def _find_channels(table: Table, weekly: pd.DataFrame) -> dict[str, Any]:
    spends = table.open_columns("spend")
    # Bare names (tv, x1) are media where no money column of the same name stands beside them.
    stems = {roles.channel_name(column, set()) for column in spends}
    bare = [c for c in table.open_columns("media") if roles.words_of(c) not in stems]
    total = float(weekly[spends].clip(lower=0).sum().sum()) or 1.0
    kept = []
    for column in spends + bare:
        week = weekly[column].fillna(0.0)
        active = week.gt(0)
        first = int(active.to_numpy().argmax())
        share, busy = week.sum() / total, float(active.iloc[first:].mean())
        if (parse_numbers(table.frame[column]) < 0).any():
            table.left_out[column] = "has negative amounts, which no spend is"
        elif active.sum() < min(_MIN_ACTIVE_WEEKS, len(week)) or busy < _MIN_ACTIVE_SHARE:
            table.left_out[column] = f"in use in {int(active.sum())} of {len(week)} weeks only"
        elif column in spends and share < _MIN_SPEND_SHARE:
            table.left_out[column] = f"{share:.2%} of all spend, too little to learn from"
        else:
            kept.append((week.sum(), column, first))
    kept.sort(reverse=True)
    for _, column, _ in kept[_MAX_CHANNELS:]:
        table.left_out[column] = f"spends less than the {_MAX_CHANNELS} channels that were taken"
    chosen = {column: first for _, column, first in kept[:_MAX_CHANNELS]}
    channels = {}
    for column in [c for c in table.frame if c in chosen]:
        first = chosen[column]
        launched = weekly.index[first].date().isoformat() if first >= _LAUNCH_WEEKS else None
        name = roles.channel_name(column, table.names)
        channels[name] = {"spend": column, "exposure": None, "launched": launched}
        money = f", {weekly[column].sum() / total:.0%} of all spend" if column in spends else ""
        began = f", silent before {launched}" if launched else ""
        used = weekly[column].fillna(0.0).iloc[first:].gt(0).mean()
        table.roles[column] = f"channel {name}: in use in {used:.0%} of weeks{money}{began}"
    return channels


def _find_tracked(table: Table, channels: dict[str, Any]) -> dict[str, list[str]]:
    """Return the clicks and impressions that are named like the spend of a channel that was taken."""
    found: dict[str, list[str]] = {}
    by_stem = {roles.channel_name(channel["spend"], set()): name for name, channel in channels.items()}
    for column in table.open_columns("exposure"):
        name = by_stem.get(roles.exposure_stem(column))
        if name is not None:
            found.setdefault(name, []).append(column)
            table.roles[column] = f"count of channel {name}: watched for tracking breaks, not modelled"
    return found


def _find_inputs(table: Table, weekly: pd.DataFrame, target: str) -> tuple[dict[str, Any], dict[str, Any]]:
    controls: dict[str, Any] = {}
    events: dict[str, Any] = {}
    for column in table.open_columns("event", "competitor", "price", "input", "unknown"):
        numbers, role = parse_numbers(table.frame[column]), roles.role_by_name(column)
        is_flag = numbers.dropna().isin([0.0, 1.0]).all()
        if role == "unknown" and not is_flag:
            continue
        if numbers.isna().any():
            table.left_out[column] = f"{int(numbers.isna().sum())} blank cells; fill them (0 where nothing happened)"
        elif is_flag or role == "event":
            name = roles.channel_name(column, table.names)
            events[name] = {"column": column, "aggregate": "max"}
            table.roles[column] = f"event {name}: " + (
                f"1 in {numbers.mean():.1%} of rows" if is_flag else "named like one"
            )
        elif weekly[column].nunique() == 1:
            table.left_out[column] = "the same every week"
        elif weekly[target].nunique() > 1 and abs(weekly[column].corr(weekly[target])) > _LEAK_CORRELATION:
            table.left_out[column] = f"moves with {target} (correlation over {_LEAK_CORRELATION}): likely a part of it"
        elif len(controls) == _MAX_CONTROLS:
            table.left_out[column] = f"{_MAX_CONTROLS} controls were taken before it"
        else:
            name = roles.channel_name(column, table.names)
            controls[name] = {"column": column, "aggregate": "sum" if roles.sums_up(column) else "mean"}
            table.roles[column] = (
                f"control {name}: {'price' if role == 'price' else 'an influence from outside'}, by its name"
            )
    return controls, events
