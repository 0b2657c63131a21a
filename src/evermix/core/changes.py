"""What is different since the champion was fitted: structure, calendar, restatements.  Numbers, no judgement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from evermix.config import ColumnParams, MaskedWeeks, ModelParams
from evermix.core.amend import plain_spec
from evermix.records import SnapshotDiff, VersionFile


def launched_columns(columns: ColumnParams, as_of: str) -> dict[str, Any]:
    """Return the columns of a fit as of a week: channels to be launched later are left out."""
    data = columns.model_dump()
    data["channels"] = {
        name: channel
        for name, channel in data["channels"].items()
        if channel["launched"] is None or channel["launched"] <= as_of
    }
    return dict(data)


def changed_channels(params: ModelParams, champion: VersionFile, panel: pd.DataFrame, as_of: str) -> dict[str, str]:
    """Return what happened to each channel that was launched or taken out of params since the champion's fit.

    Launched: it spends now and the champion lacks it, or knew it with zeros only.  A channel
    declared but never used is no change: there is nothing to learn from it yet.
    """
    known = champion.columns["channels"]
    trained = panel["week"] <= pd.Timestamp(champion.fitted_through)
    out = {name: "no longer in params" for name in known if name not in params.columns.channels}
    for name in launched_columns(params.columns, as_of)["channels"]:
        spend = panel[f"spend.{name}"]
        if not (spend > 0).any():
            continue
        if name not in known:
            out[name] = "spends, and the champion lacks it"
        elif not (spend[trained] > 0).any():
            out[name] = "spends, and was zero in the champion's training data"
    return out


def changed_settings(params: ModelParams, champion: VersionFile) -> list[str]:
    """Return the names of settings in params that differ from the champion's.

    The sampler's seed is left out: another seed is another run of the same fit.  So are the champion's amendments: they
    came from a review, and no params ever said them.  A channel that
    came or went is `changed_channels`; here a shared one must read the same source columns.
    """
    today = {
        "kind": params.kind,
        "spec": params.spec,
        "recipe": params.recipe,
        "sampler": _without(params.sampler.model_dump(), "seed"),
        "masked_weeks": masked_mondays(params.masked_weeks, champion.fitted_through),
    }
    theirs = {
        "kind": champion.kind,
        "spec": plain_spec(champion.spec),
        "recipe": champion.recipe,
        "sampler": _without(champion.sampler, "seed"),
        "masked_weeks": [week for week in champion.masked_weeks if week <= champion.fitted_through],
    }
    now, then = params.columns.model_dump(), champion.columns
    for role in ("date", "geo", "target", "controls", "events"):
        today[f"columns.{role}"], theirs[f"columns.{role}"] = now[role], then[role]
    for name in set(now["channels"]) & set(then["channels"]):
        key = f"columns.channels.{name}"
        today[key], theirs[key] = (
            {column: side["channels"][name][column] for column in ("spend", "exposure")} for side in (now, then)
        )
    return sorted(name for name in today if _canonical(today[name]) != _canonical(theirs[name]))


def masked_mondays(masked: Sequence[MaskedWeeks], through: str) -> list[str]:
    """Return every masked week up to one, as ISO Mondays in order."""
    out: set[str] = set()
    for span in masked:
        days = pd.date_range(span.first, min(span.last, through), freq="7D")
        out |= {day.strftime("%Y-%m-%d") for day in days}
    return sorted(out)


def weeks_between(first: str, last: str) -> float:
    """Return whole weeks from one Monday to another, both ISO dates."""
    return float((pd.Timestamp(last) - pd.Timestamp(first)).days // 7)


def restatement(
    diff: SnapshotDiff, before: pd.DataFrame | None, fitted_through: str, noise_sd: float
) -> dict[str, float]:
    """Return the ``restatement.*`` evidence of one delivery against the one before it.

    Returns
    -------
    dict
        ``target_sd``: largest |old - new| of a target cell, in noise sd of the champion; a withdrawn
        target counts with all of its old value.  ``spend_share``: per channel the sum of |old - new|
        over its old spend in the champion's training weeks, the largest; a channel without such
        spend counts 1.  ``cells``: number of restated cells.
    """
    target = max((_size(c.old, c.new) for c in diff.restated if c.column == "target"), default=0.0)
    moved: dict[str, float] = {}
    for cell in diff.restated:
        if cell.column.startswith("spend."):
            moved[cell.column] = moved.get(cell.column, 0.0) + _size(cell.old, cell.new)
    shares = [_share(size, column, before, fitted_through) for column, size in moved.items()]
    return {
        "restatement.target_sd": target / noise_sd,
        "restatement.spend_share": max(shares, default=0.0),
        "restatement.cells": float(len(diff.restated)),
    }


def _share(size: float, column: str, before: pd.DataFrame | None, fitted_through: str) -> float:
    if before is None or column not in before:
        return 1.0
    total = float(before.loc[before["week"] <= pd.Timestamp(fitted_through), column].sum())
    return size / total if total > 0 else 1.0


def _size(old: float | None, new: float | None) -> float:
    return abs((old or 0.0) - (new or 0.0))


def _without(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != key}


def _canonical(data: Any) -> str:
    # 1 and 1.0 are one setting: YAML and JSON do not agree on how to write it.
    return json.dumps(_floats(data), sort_keys=True)


def _floats(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(key): _floats(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_floats(value) for value in data]
    return float(data) if isinstance(data, int) and not isinstance(data, bool) else data
