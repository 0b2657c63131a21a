"""The panel as arrays, and the basis that keeps them comparable from fit to fit.  NumPy only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.core.amend import amendments_of, break_name, level_name
from evermix.errors import DataError, FitError

Floats = NDArray[np.float64]

_WEEK = np.timedelta64(7, "D")


@dataclass(frozen=True)
class Design:
    """A panel as arrays in the units of a basis.

    Attributes
    ----------
    weeks : ndarray, shape (week,)
        Mondays.
    target : ndarray, shape (week, geo)
        Target units; NaN where it is late.
    raw_media : ndarray, shape (week, geo, channel)
        Exposure, or spend where no exposure is declared.
    media_scale : ndarray, shape (geo, channel)
        What media are divided by; NaN for a channel that no fit has seen in use.
    controls : ndarray, shape (week, geo, control)
        Trend if asked for, then controls in sd from their pinned mean, events in pinned maxima, level breaks (0 or 1).
    """

    weeks: NDArray[np.datetime64]
    geos: tuple[str, ...]
    channels: tuple[str, ...]
    control_names: tuple[str, ...]
    target: Floats
    raw_media: Floats
    media_scale: Floats
    controls: Floats

    @property
    def day_of_year(self) -> NDArray[np.int64]:
        """Day of year of each Monday, 1 to 366, shape (week,)."""
        return pd.DatetimeIndex(self.weeks).dayofyear.to_numpy().astype(np.int64)

    @property
    def media(self) -> Floats:
        """Media in pinned maxima, shape (week, geo, channel); zero for a channel that no fit has seen in use.

        Draws of such a channel are its prior: predicting with them would be noise, not knowledge.
        """
        return np.nan_to_num(self.raw_media / self.media_scale, nan=0.0)


def make_design(
    panel: pd.DataFrame, columns: Mapping[str, Any], basis: Mapping[str, Any], spec: Mapping[str, Any]
) -> Design:
    """Return the arrays of a panel.

    Parameters
    ----------
    panel : DataFrame
        Rows sorted by week and geo, every geo in every week, weeks without gaps.
    columns : mapping
        Roles of the columns, as in params.
    basis : mapping
        What :func:`pin_basis` returned.
    spec : mapping
        Its ``trend`` says whether the pinned linear trend comes first among the controls; the level breaks of its
        amendments come last.

    Raises
    ------
    DataError
        If weeks have gaps, a geo is missing or unknown to the basis, or a column is not there.
    """
    weeks, geos = _shape(panel)
    unknown = [geo for geo in geos if geo not in basis["geos"]]
    if unknown:
        raise DataError(f"panel: geo {unknown[0]!r} is not in the basis ({basis['geos']}). Ask for a refit.")
    size = (len(weeks), len(geos))
    channels, controls, events = (tuple(columns[role]) for role in ("channels", "controls", "events"))
    trend, levels = spec["trend"], amendments_of(spec).get("level_breaks", [])
    layers = [_trend(weeks, basis, size)] if trend else []
    for name in controls:
        pinned = basis["controls"][name]
        layers.append((_column(panel, f"control.{name}").reshape(size) - pinned["mean"]) / pinned["sd"])
    layers += [_column(panel, f"event.{name}").reshape(size) / basis["events"][name]["scale"] for name in events]
    layers += [np.broadcast_to(_holds(weeks, week)[:, None], size) for week in levels]
    scale = [[basis["media"][name][geo] for name in channels] for geo in geos]
    return Design(
        weeks=weeks,
        geos=geos,
        channels=channels,
        control_names=(*(("trend",) if trend else ()), *controls, *events, *map(level_name, levels)),
        target=_column(panel, "target").reshape(size),
        raw_media=_stack([_media(panel, columns, name).reshape(size) for name in channels], size),
        media_scale=np.array(scale, dtype=np.float64).reshape(len(geos), len(channels)),
        controls=_stack(layers, size),
    )


def effect_breaks(spec: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the breaks of channels' effects by label, in the order of the dim ``effect_break`` of the draws."""
    return {break_name(one): one for one in amendments_of(spec).get("effect_breaks", [])}


def break_mask(design: Design, spec: Mapping[str, Any]) -> Floats:
    """Return where each break of an effect holds, 0 or 1, shape (effect_break, week, channel)."""
    breaks = effect_breaks(spec).values()
    masks = [np.outer(_holds(design.weeks, b["from"]), np.array(design.channels) == b["channel"]) for b in breaks]
    return np.array(masks, dtype=np.float64).reshape(len(breaks), len(design.weeks), len(design.channels))


def effect_factor(draws: xr.Dataset, mask: Floats, spec: Mapping[str, Any]) -> Floats:
    """Return what effects are multiplied by: 1 before the first break, ``exp`` of the sum of steps after.

    Steps add up on the log scale, so several breaks of one channel are a random walk of its effect.

    Parameters
    ----------
    draws : Dataset
        With ``effect_step``, dims (draw, effect_break), where the spec has breaks.
    mask : ndarray, shape (effect_break, ...)
        Where each break holds, 0 or 1.

    Returns
    -------
    ndarray, shape (draw or 1, ...)
    """
    breaks = list(effect_breaks(spec))
    if not breaks:
        return np.ones((1, *mask.shape[1:]))
    if "effect_step" not in draws:
        raise FitError(f"draws: effect_step is missing, expected one for {', '.join(breaks)}. Fit this model again.")
    steps = draws["effect_step"].sel(effect_break=breaks).transpose("draw", "effect_break").to_numpy()
    return np.asarray(np.exp(np.tensordot(steps, mask, axes=1)))


def pin_basis(panel: pd.DataFrame, columns: Mapping[str, Any], basis: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return scales and time basis: taken from the rows that have a target, and never changed once they are set.

    Data-driven scales move from week to week and make old draws meaningless; here they move by decision only. A
    channel that was never in use has no scale yet (null): it gets one at the first fit that sees it.

    Returns
    -------
    dict
        JSON: ``geos``; ``time`` {origin, unit_weeks}; ``target`` per geo {max, mean, sd}; ``media`` per channel and geo
        (maximum or null); ``controls`` {mean, sd}; ``events`` {scale}.
    """
    weeks, geos = _shape(panel)
    known = panel[np.isfinite(panel["target"].to_numpy())]
    if known.empty:
        raise DataError("panel: no row has a target. Nothing can be fitted; look at the source's target column.")
    old: dict[str, Any] = dict(basis) if basis is not None else {}
    targets = dict(old.get("target", {}))
    for geo in geos:
        if geo not in targets:
            targets[geo] = _target_scales(_column(known[known["geo"] == geo], "target"), geo)
    return {
        "geos": [*old.get("geos", []), *(geo for geo in geos if geo not in old.get("geos", []))],
        "time": old.get("time") or _time_basis(weeks),
        "target": targets,
        "media": _keep(old, "media", columns["channels"], lambda name: {})
        | {name: _media_scales(known, columns, name, geos, old) for name in columns["channels"]},
        "controls": _keep(old, "controls", columns["controls"], lambda name: _mean_and_sd(known, f"control.{name}")),
        "events": _keep(old, "events", columns["events"], lambda name: {"scale": _event_scale(known, name)}),
    }


def target_scale(basis: Mapping[str, Any], geos: Iterable[str], key: str) -> Floats:
    """Return one pinned number of the target per geo, shape (geo,)."""
    return np.array([basis["target"][geo][key] for geo in geos], dtype=np.float64)


def _keep(old: Mapping[str, Any], part: str, names: Iterable[str], make: Any) -> dict[str, Any]:
    kept = dict(old.get(part, {}))
    return kept | {name: make(name) for name in names if name not in kept}


def _shape(panel: pd.DataFrame) -> tuple[NDArray[np.datetime64], tuple[str, ...]]:
    rows = panel["week"].to_numpy().astype("datetime64[D]")
    weeks = np.unique(rows)
    geos = tuple(sorted({str(geo) for geo in panel["geo"]}))
    expected = np.repeat(weeks, len(geos))
    if len(panel) != len(expected) or (rows != expected).any() or list(panel["geo"]) != list(geos) * len(weeks):
        raise DataError("panel: expected every geo in every week, sorted by week and geo. Build it with core/panel.py.")
    gaps = np.flatnonzero(np.diff(weeks) != _WEEK)
    if len(gaps):
        raise DataError(f"panel: no week follows {weeks[gaps[0]]} by 7 days; carry-over needs every week. Add it.")
    return weeks, geos


def _column(panel: pd.DataFrame, name: str) -> Floats:
    if name not in panel.columns:
        raise DataError(f"panel: column {name!r} is missing; it has {', '.join(panel.columns)}. Build it again.")
    return panel[name].to_numpy(dtype=np.float64)


def _media(panel: pd.DataFrame, columns: Mapping[str, Any], name: str) -> Floats:
    role = "spend" if columns["channels"][name]["exposure"] is None else "exposure"
    return _column(panel, f"{role}.{name}")


def _stack(layers: list[Floats], size: tuple[int, int]) -> Floats:
    return np.stack(layers, axis=-1) if layers else np.zeros((*size, 0))


def _trend(weeks: NDArray[np.datetime64], basis: Mapping[str, Any], size: tuple[int, int]) -> Floats:
    elapsed = (weeks - np.datetime64(basis["time"]["origin"], "D")) / _WEEK
    return np.broadcast_to((elapsed / basis["time"]["unit_weeks"])[:, None], size)


def _holds(weeks: NDArray[np.datetime64], since: str) -> Floats:
    return (weeks >= np.datetime64(since, "D")).astype(np.float64)


def _time_basis(weeks: NDArray[np.datetime64]) -> dict[str, Any]:
    return {"origin": str(weeks[0]), "unit_weeks": float(max(len(weeks) - 1, 1))}


def _target_scales(values: Floats, geo: str) -> dict[str, float]:
    if not len(values):
        raise DataError(f"panel: geo {geo!r} has no target at all. Leave it out or complete it.")
    return {"max": _safe(np.abs(values).max()), "mean": float(values.mean()), "sd": _safe(values.std())}


def _media_scales(
    known: pd.DataFrame, columns: Mapping[str, Any], name: str, geos: Iterable[str], old: Mapping[str, Any]
) -> dict[str, float | None]:
    pinned = dict(old.get("media", {}).get(name, {}))
    media = _media(known, columns, name)
    for geo in geos:
        if pinned.get(geo) is None:
            largest = float(media[(known["geo"] == geo).to_numpy()].max(initial=0.0))
            pinned[geo] = largest if largest > 0 else None
    return pinned


def _mean_and_sd(known: pd.DataFrame, column: str) -> dict[str, float]:
    values = _column(known, column)
    return {"mean": float(values.mean()), "sd": _safe(values.std())}


def _event_scale(known: pd.DataFrame, name: str) -> float:
    return _safe(np.abs(_column(known, f"event.{name}")).max())


def _safe(value: float) -> float:
    # A constant column has no scale of its own; 1 leaves it as it is.
    return float(value) if value > 0 else 1.0
