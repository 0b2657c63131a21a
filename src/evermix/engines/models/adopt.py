"""Draws that were made elsewhere: trimmed to what is needed, and held against the model that is to own them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from evermix.core.diagnostics import coverage
from evermix.core.draws import hash_draws, stack_draws
from evermix.engines.models import load_kind
from evermix.engines.models.fit import hash_values, sampler_stats, summarize
from evermix.errors import DataError

if TYPE_CHECKING:
    import pymc as pm

_CHECK_GROUPS = ("observed_data", "constant_data")
# One average per row, of the mean that the fit's own program computed.
_MEAN = "fitted_mean"
# Digits that another program's scaling may cost.
_RTOL = 1e-6


def trim_tree(tree: xr.DataTree) -> xr.DataTree:
    """Return what adoption needs of a fit: parameters, sampler statistics, data, and the average of ``mu``.

    Parameters
    ----------
    tree : DataTree
        As ArviZ or pymc-marketing's ``MMM.save`` wrote it, with a group ``posterior``.

    Raises
    ------
    DataError
        There is no posterior of chains and draws.
    """
    if "posterior" not in tree.children or not {"chain", "draw"} <= set(tree["posterior"].dims):
        raise DataError(f"draws: groups {sorted(tree.children)}, expected `posterior` with dims chain and draw.")
    posterior = tree["posterior"].to_dataset()
    weekly = [str(name) for name, values in posterior.data_vars.items() if {"date", "week"} & set(values.dims)]
    kept = {"posterior": posterior.drop_vars(weekly).drop_dims(["date", "week"], errors="ignore")}
    if "mu" in weekly:
        kept[_MEAN] = posterior[["mu"]].mean(("chain", "draw"))
    if "sample_stats" in tree.children:
        kept["sample_stats"] = sampler_stats(tree["sample_stats"].to_dataset())
    kept |= {name: tree[name].to_dataset() for name in _CHECK_GROUPS if name in tree.children}
    return xr.DataTree.from_dict(kept)


def adopt_draws(
    request: Mapping[str, Any], panel: pd.DataFrame, tree: xr.DataTree
) -> tuple[xr.DataTree, dict[str, Any]]:
    """Return draws as the stage fit would have written them, and their record.

    Parameters
    ----------
    request : mapping
        As of a first fit, with ``adopted``: who, why, and the hash of the file.
    panel : DataFrame
        The training rows.
    tree : DataTree
        From `trim_tree`.

    Raises
    ------
    DataError
        The draws are of another model, of other data or in other units; all differences in one go.
    """
    kind, columns, spec = load_kind(request["kind"]), request["columns"], request["spec"]
    kind.check(spec, columns)
    basis = kind.pin(panel, columns, spec, request["basis"])
    model = kind.build(panel, columns, spec, basis)
    observed = kind.observed(panel, columns, spec, basis)
    groups = {name: _relabelled(node.to_dataset(), columns) for name, node in tree.children.items()}
    needed = kind.variables(model)
    faults = [*_other_model(groups["posterior"], model, needed), *_other_data(groups, model, observed)]
    if faults:
        raise DataError(f"adopt: the draws are not of this model and data: {'; '.join(faults)}.")
    posterior = _in_order(groups["posterior"], model, needed)
    predictive = kind.predict(stack_draws(posterior, _all(posterior)), panel, columns, spec, basis)
    mean = predictive.expected()
    _refuse_another_mean(groups, mean, panel)
    known = np.isfinite(panel["target"].to_numpy())
    target = panel.loc[known, "target"].to_numpy()
    parts = {"posterior": posterior} | {name: groups[name] for name in ("sample_stats",) if name in groups}
    made = xr.DataTree.from_dict(parts)
    fitted = {
        "mape": float(np.mean(np.abs(mean[known] / target - 1))) if (target != 0).all() else None,
        "coverage_90": coverage(predictive.rows(known), target, 0.9),
    }
    return made, {
        "status": "fitted",
        "request": request["id"],
        "basis": basis,
        "observed_hash": hash_values(observed),
        "draws_hash": hash_draws(posterior),
        "free_variables": sorted(str(name) for name in posterior.data_vars),
        "summary": summarize(made) | {"fallback": False, "start": "adopted"},
        "holdout_summary": None,
        "fitted_through": str(panel.loc[known, "week"].max().date()),
        "noise_sd": float(predictive.sd.mean()),
        # What the file itself told of its data: nothing, and a fit of other rows would pass for this one.
        "adopted": {**request["adopted"], **fitted, "compared": sorted({*_CHECK_GROUPS, _MEAN} & set(groups))},
    }


def _other_model(posterior: xr.Dataset, model: pm.Model, needed: list[str]) -> Iterator[str]:
    """Yield in words which variables, dims and labels are not this model's."""
    if posterior.sizes["chain"] < 2:
        yield f"{posterior.sizes['chain']} chain, expected at least 2 (R-hat compares chains)"
    for name in needed:
        if name not in posterior:
            yield f"variable {name} is missing"
            continue
        dims = tuple(str(dim) for dim in model.named_vars_to_dims.get(name) or ())
        values = posterior[name]
        if set(values.dims) != {"chain", "draw", *dims}:
            yield f"variable {name} has dims {sorted(map(str, values.dims))}, expected {['chain', 'draw', *dims]}"
            continue
        for dim in dims:
            got, expected = _labels(posterior[dim].to_numpy()), _labels(model.coords[dim])
            if sorted(got) != sorted(expected):
                yield f"{dim} of {name} is {got}, expected {expected}"
        if not np.isfinite(values.to_numpy()).all():
            yield f"variable {name} has values that are not finite"
    known = {*needed, *model.named_vars}
    extra = [str(n) for n in posterior.data_vars if n not in known and not str(n).endswith("_original_scale")]
    if extra:
        yield f"variables {extra} are not in this model: its spec is another"


def _other_data(groups: Mapping[str, xr.Dataset], model: pm.Model, observed: np.ndarray) -> Iterator[str]:
    """Yield where the file's own record of its data is not what this model would be fitted on."""
    for name, values in groups.get("observed_data", xr.Dataset()).data_vars.items():
        yield from _unequal(f"observed {name} (target in pinned units)", values.to_numpy().ravel(), observed)
    for name, values in groups.get("constant_data", xr.Dataset()).data_vars.items():
        ours = model.named_vars.get(str(name))
        if ours is not None and hasattr(ours, "get_value"):
            dims = [dim for dim in model.named_vars_to_dims.get(str(name)) or () if dim in values.dims]
            aligned = _by_labels(values, model, dims)
            yield from _unequal(f"constant {name}", aligned.to_numpy(), np.asarray(ours.get_value()))


def _unequal(what: str, got: np.ndarray, expected: np.ndarray) -> Iterator[str]:
    if got.shape != expected.shape:
        yield f"{what} has {got.shape} values, expected {expected.shape}: fitted on other data"
        return
    apart = ~np.isclose(got, expected, rtol=_RTOL, atol=_RTOL, equal_nan=True)
    if apart.any():
        place = np.unravel_index(int(np.argmax(apart)), apart.shape)
        told = f"first {got[place]:.6g}, expected {expected[place]:.6g}"
        yield f"{what} differs in {int(apart.sum())} of {apart.size} values, {told}: other data or other units"


def _refuse_another_mean(groups: Mapping[str, xr.Dataset], mean: np.ndarray, panel: pd.DataFrame) -> None:
    """The same draws must give the same mean here and there, up to the units; geo by geo."""
    if _MEAN not in groups:
        return
    theirs, geos = groups[_MEAN]["mu"].to_numpy().reshape(-1), panel["geo"].to_numpy()
    if theirs.size != mean.size:
        raise DataError(f"adopt: mu has {theirs.size} rows, expected {mean.size}: fitted on other rows.")
    for geo in np.unique(geos):
        alike = float(np.corrcoef(theirs[geos == geo], mean[geos == geo])[0, 1])
        if not alike > 1 - _RTOL:
            raise DataError(
                f"adopt: with these draws this model's mean correlates {alike:.6f} with the file's own mu ({geo}), "
                "expected 1. Spec or data differ: compare adstock (l_max), saturation, season and controls."
            )


def _relabelled(data: xr.Dataset, columns: Mapping[str, Any]) -> xr.Dataset:
    """Call channels and controls by their roles where the file calls them by the source's columns."""
    media = {one["exposure"] or one["spend"]: name for name, one in columns["channels"].items()}
    named = {**columns["controls"], **columns["events"]}
    inputs = {one["column"]: name for name, one in named.items() if "column" in one}
    for dim, names in (("channel", media), ("control", inputs)):
        if dim in data.coords:
            data = data.assign_coords({dim: [names.get(str(label), str(label)) for label in data[dim].to_numpy()]})
    return data


def _in_order(posterior: xr.Dataset, model: pm.Model, needed: list[str]) -> xr.Dataset:
    out = {}
    for name in needed:
        dims = [str(dim) for dim in model.named_vars_to_dims.get(name) or ()]
        out[name] = _by_labels(posterior[name], model, dims).transpose("chain", "draw", *dims).astype(np.float64)
    made = xr.Dataset(out).drop_attrs()
    return made.assign_coords(chain=np.arange(made.sizes["chain"]), draw=np.arange(made.sizes["draw"]))


def _by_labels(values: xr.DataArray, model: pm.Model, dims: list[str]) -> xr.DataArray:
    """Bring labels into the model's order where they are the same ones."""
    for dim in dims:
        labels = _labels(values[dim].to_numpy()) if dim in values.coords else []
        expected = _labels(model.coords[dim])
        if labels != expected and sorted(labels) == sorted(expected):
            values = values.isel({dim: [labels.index(label) for label in expected]})
    return values


def _labels(values: Any) -> list[str]:
    return [str(value) for value in values]


def _all(posterior: xr.Dataset) -> int:
    return posterior.sizes["chain"] * posterior.sizes["draw"]
