"""What a review fitted, in words and tables, for the person who is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evermix.core.amend import REFIT
from evermix.core.markdown import table_lines

ROAS = "Return on ad spend of the last year, of a changed effect since its change (90 % interval)"

Table = tuple[list[str], list[list[str]]]


def contest_lines(contest: Mapping[str, Any]) -> list[str]:
    """Return what a review fitted, how each fit foretold the last weeks, and the ROAS that each gives, as Markdown.

    Parameters
    ----------
    contest : mapping
        From `evermix.core.contest.settle`.
    """
    lines = [contest_text(contest), "", *table_lines(*leads_table(contest))]
    head, rows = roas_table(contest)
    return [*lines, f"{ROAS}:", "", *table_lines(head, rows)] if rows else lines


def contest_text(contest: Mapping[str, Any]) -> str:
    """Return in a sentence how the fits were held against each other."""
    return (
        f"{len(contest['rows'])} fits foretold the last {contest['weeks']} weeks one by one, without having seen them. "
        "A lead is in nats, with its standard error: below two or three of them it may be luck."
    )


def leads_table(contest: Mapping[str, Any]) -> Table:
    """Return a head and one row per fit: what may have changed by it, its leads, and whether it converged."""
    head = ["fit", "what may have changed", "lead over the refit", "lead over the champion", "converged"]
    return head, [_row(row) for row in contest["rows"]]


def roas_table(contest: Mapping[str, Any]) -> Table:
    """Return a head and one row per version, the champion first, with the return on ad spend of each channel."""
    rows = contest["rows"]
    channels = list(dict.fromkeys(one["channel"] for row in rows for one in row.get("roas", [])))
    if not channels:
        return [], []
    told = [["in use", *(_roas(rows[0], channel, "champion") for channel in channels)]]
    told += [[row["name"], *(_roas(row, channel, "challenger") for channel in channels)] for row in rows]
    return ["fit", *channels], told


def _row(row: Mapping[str, Any]) -> list[str]:
    name = f"{row['name']} (proposed)" if row["proposed"] else row["name"]
    if row["status"] != "fitted":
        return [name, row["why"], "", "", f"not fitted: {row['fault']}"]
    leads = [_lead(row[key], row[f"{key}_se"]) for key in ("lead", "champion_lead")]
    return [name, row["why"], "" if row["name"] == REFIT else leads[0], leads[1], "yes" if row["converged"] else "no"]


def _lead(lead: float | None, error: float | None) -> str:
    if lead is None:
        return "missing"
    return f"{lead:+.1f}" if error is None else f"{lead:+.1f} ± {error:.1f}"


def _roas(row: Mapping[str, Any], channel: str, version: str) -> str:
    found = [one for one in row.get("roas", []) if (one["channel"], one["version"]) == (channel, version)]
    if found:
        return f"{found[0]['mean']:.3g} ({found[0]['low']:.3g} to {found[0]['high']:.3g})"
    # A fit has no return of a channel that rested; the version in use may not know one.
    return {"champion": "not known", "challenger": "no spend"}[version] if row.get("roas") else ""
