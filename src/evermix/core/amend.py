"""Amendments: what a fit takes up beyond the spec of params, since the world has changed under the model.

They stand in the spec itself, under one reserved key, and so travel with whatever carries a version's spec.  Words and
bookkeeping only; what they do to a model is the kind's matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

KEY = "amendments"
# The plain refit's name among the fits of a review.
REFIT = "refit"

Spec = Mapping[str, Any]


def amendments_of(spec: Spec) -> dict[str, Any]:
    """Return the amendments of a spec.

    Returns
    -------
    dict
        ``effect_breaks``: ``{channel, from, sd}``, from that Monday on the channel's effect is multiplied by
        ``exp(step)``, a priori a normal step of that standard deviation; ``level_breaks``: Mondays from which on the
        level is another one; ``first_week``: Monday before which the target is not fitted and inputs lend their
        carry-over alone.  Each only where there is one.
    """
    return dict(spec.get(KEY, {}))


def plain_spec(spec: Spec) -> dict[str, Any]:
    """Return a spec as params would say it."""
    return {key: value for key, value in spec.items() if key != KEY}


def amended_spec(spec: Spec, amendments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec with these amendments in place of its own; none at all leaves no key behind."""
    plain = plain_spec(spec)
    return plain | {KEY: dict(amendments)} if amendments else plain


def join_amendments(old: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return both: breaks in order of time, one a channel and week (with the older prior), and the later first week."""
    breaks = {(one["from"], one["channel"]): dict(one) for one in (*_breaks(more), *_breaks(old))}
    levels = sorted({*old.get("level_breaks", ()), *more.get("level_breaks", ())})
    first = max((side["first_week"] for side in (old, more) if side.get("first_week")), default=None)
    parts = {"effect_breaks": [breaks[key] for key in sorted(breaks)], "level_breaks": levels, "first_week": first}
    return {key: value for key, value in parts.items() if value}


def keep_known(amendments: Mapping[str, Any], channels: Collection[str]) -> dict[str, Any]:
    """Return the amendments without the breaks of channels that the model no longer has."""
    known = [one for one in _breaks(amendments) if one["channel"] in channels]
    return join_amendments({}, {**amendments, "effect_breaks": known})


def break_name(one: Mapping[str, Any]) -> str:
    """Return the label of an effect break in draws and tables."""
    return f"{one['channel']} from {one['from']}"


def level_name(week: str) -> str:
    """Return the name of a level break among the components of the target."""
    return f"level from {week}"


def last_break(spec: Spec, channel: str) -> str | None:
    """Return the Monday since which a channel has the effect that it has now, None: since ever."""
    return max((one["from"] for one in _breaks(amendments_of(spec)) if one["channel"] == channel), default=None)


def current_since(spec: Spec, channels: Iterable[str]) -> dict[str, str]:
    """Return by channel the Monday since which its effect is what it is; one that never broke is left out."""
    return {name: week for name in channels if (week := last_break(spec, name)) is not None}


def in_words(amendments: Mapping[str, Any]) -> str:
    """Return the amendments for a person."""
    weeks: dict[str, list[str]] = {}
    for one in _breaks(amendments):
        weeks.setdefault(one["from"], []).append(one["channel"])
    parts = [f"another effect of {_listed(names)} from {week}" for week, names in sorted(weeks.items())]
    parts += [f"another level from {week}" for week in amendments.get("level_breaks", ())]
    if amendments.get("first_week"):
        parts.append(f"fitted on the weeks from {amendments['first_week']}")
    return "; ".join(parts) or "none"


def _breaks(amendments: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(amendments.get("effect_breaks", ()))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
