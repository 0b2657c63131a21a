"""Sampling with nutpie: compile, start near old draws, check convergence, and redo once if it failed."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.engines.models.compiled import compile_model
from evermix.engines.models.coordinates import shear
from evermix.engines.models.protocol import ModelKind, ShearsCoordinates
from evermix.errors import FitError

if TYPE_CHECKING:
    import pymc as pm

Progress = Callable[[int, int], None]

# Vehtari, Gelman, Simpson, Carpenter, Buerkner (2021), sections 4 and 5; the gate has its own limits in params.
MAX_RHAT = 1.01
MIN_ESS = 400.0
MAX_DIVERGENCE_SHARE = 0.001
# The second run takes smaller steps: divergences are the usual reason for it.
_FALLBACK_ACCEPT = 0.99
_STATS = ("diverging", "energy", "logp", "depth", "n_steps", "step_size", "mean_tree_accept", "maxdepth_reached")
_START_POINTS = 64


@dataclasses.dataclass(frozen=True)
class FitResult:
    """What a fit leaves behind.

    Attributes
    ----------
    tree : DataTree
        Groups ``posterior`` (the variables that prediction needs, dims (chain, draw, ...)) and ``sample_stats``.
    summary : dict
        ``rhat_max, ess_bulk_min, ess_tail_min, divergence_share, bfmi_min`` (None: not finite), ``draws`` per chain,
        ``chains, fallback, start, worst``.
    observed_hash : str
        SHA-256 of the observed data inside the graph, equal to the panel's.
    """

    tree: xr.DataTree
    summary: dict[str, Any]
    observed_hash: str


def fit_model(
    kind: ModelKind,
    panel: pd.DataFrame,
    columns: dict[str, Any],
    spec: dict[str, Any],
    basis: dict[str, Any],
    sampler: dict[str, Any],
    seed: int,
    start: xr.Dataset | None,
    progress: Progress | None,
) -> FitResult:
    """Return draws from a fresh model; bit-equal for the same inputs on one machine, whatever its cores.

    Parameters
    ----------
    start : Dataset or None
        Old draws with a leading dim ``draw``; each chain starts at one of them if names, shapes and labels agree.
    progress : callable or None
        Called with (done, total) draws about once a second, from another thread.

    Raises
    ------
    FitError
        If the graph did not observe the panel's target, or cannot be sampled. Draws that did not converge are no
        error: the summary says so, and the gate rejects them.
    """
    model = kind.build(panel, columns, spec, basis)
    observed_hash = check_observed(model, kind.observed(panel, columns, spec, basis))
    variables = kind.variables(model)
    points = start_points(model, start) if start is not None else None
    sampled = model
    if isinstance(kind, ShearsCoordinates):
        sheared = shear(model, variables, kind.shifts(model, panel, columns, spec, basis))
        sampled, points = sheared.model, sheared.moved(points) if points is not None else None
    compiled = compile_model(sampled, variables)
    default_start = compiled.initial_point_func
    if points is not None:
        compiled = dataclasses.replace(compiled, initial_point_func=lambda at: points[int(at) % len(points)].copy())
    first = {"draws": sampler["draws"], "tune": sampler["tune"], "target_accept": sampler["target_accept"]}
    first["adaptation"] = "low_rank" if sampler["low_rank"] else "diag"
    tree = _sample(compiled, variables, sampler["chains"], seed, first, progress)
    summary = summarize(tree)
    fallback = not converged(summary)
    if fallback:
        second = {
            "draws": sampler["draws"],
            "tune": sampler["fallback_tune"],
            "target_accept": max(sampler["target_accept"], _FALLBACK_ACCEPT),
            "adaptation": "diag",
        }
        compiled = dataclasses.replace(compiled, initial_point_func=default_start)
        tree = _sample(compiled, variables, sampler["chains"], seed, second, progress)
        summary = summarize(tree)
    summary |= {"fallback": fallback, "start": "default" if points is None or fallback else "old draws"}
    return FitResult(tree, summary, observed_hash)


def check_observed(model: pm.Model, expected: NDArray[np.float64]) -> str:
    """Return the hash of the data observed in the graph; FitError if they are not the panel's, bit for bit."""
    names = [v.name for v in model.observed_RVs]
    if len(names) != 1:
        raise FitError(f"model: observes {names}, expected exactly one variable. Build it with one likelihood.")
    value = model.rvs_to_values[model.observed_RVs[0]]
    inside = value.data if hasattr(value, "data") else value.eval(mode="FAST_COMPILE")
    in_graph, in_panel = hash_values(np.asarray(inside)), hash_values(expected)
    if in_graph != in_panel:
        raise FitError(
            f"model: the graph observes {np.size(inside)} values with hash {in_graph[:12]}, the panel gives "
            f"{expected.size} with {in_panel[:12]}. The fit would be of other data; mend the kind's build()."
        )
    return in_graph


def hash_values(values: NDArray[np.float64]) -> str:
    """Return the SHA-256 of the float64 bytes of an array in row order."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype=np.float64).ravel().tobytes()).hexdigest()


def start_points(model: pm.Model, start: xr.Dataset) -> NDArray[np.float64] | None:
    """Return old draws as unconstrained points, shape (point, parameter); None if they do not fit this model."""
    import pytensor

    free = model.free_RVs
    if any(not _matches(model, v.name, start) for v in free):
        return None
    index = np.linspace(0, start.sizes["draw"] - 1, min(_START_POINTS, start.sizes["draw"])).astype(int)
    blocks = []
    for variable in free:
        values = start[variable.name].isel(draw=index).to_numpy()
        transform = model.rvs_to_transforms[variable]
        if transform is not None:
            constrained = variable.type()
            forward = transform.forward(constrained, *variable.owner.inputs)
            function = pytensor.function([constrained], forward, mode="FAST_COMPILE", on_unused_input="ignore")
            values = np.stack([function(value) for value in values])
        blocks.append(values.reshape(len(index), -1))
    points = np.concatenate(blocks, axis=1)
    return points if np.isfinite(points).all() else None


def summarize(tree: xr.DataTree) -> dict[str, Any]:
    """Return convergence diagnostics over all scalar parameters; a diagnostic that is not finite is None."""
    import arviz

    posterior = tree["posterior"].to_dataset()
    # Draws that were adopted may come without what their sampler said: missing evidence, then.
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else xr.Dataset()
    with warnings.catch_warnings():
        # Constant draws give 0/0 here; the NaN that follows is reported as missing evidence.
        warnings.simplefilter("ignore", RuntimeWarning)
        rhat = arviz.rhat(posterior)
        bulk, tail = (arviz.ess(posterior, method=method) for method in ("bulk", "tail"))
        bfmi = arviz.bfmi(tree)["energy"].to_numpy() if "energy" in stats else np.array([np.nan])
    worst = sorted(posterior.data_vars, key=lambda name: _key(bulk[name].to_numpy().min()))[:3]
    return {
        "rhat_max": _extreme(rhat, np.max),
        "ess_bulk_min": _extreme(bulk, np.min),
        "ess_tail_min": _extreme(tail, np.min),
        "divergence_share": float(stats["diverging"].to_numpy().mean()) if "diverging" in stats else None,
        "bfmi_min": _finite(bfmi.min()),
        "draws": posterior.sizes["draw"],
        "chains": posterior.sizes["chain"],
        "worst": [str(name) for name in worst],
    }


def converged(summary: dict[str, Any]) -> bool:
    """Return whether draws may be trusted; a missing diagnostic is never a pass."""
    needed = (summary["rhat_max"], summary["ess_bulk_min"], summary["ess_tail_min"])
    return (
        all(value is not None for value in needed)
        and needed[0] <= MAX_RHAT
        and min(needed[1:]) >= MIN_ESS
        and summary["divergence_share"] <= MAX_DIVERGENCE_SHARE
    )


def _sample(
    compiled: Any, variables: list[str], chains: int, seed: int, settings: dict[str, Any], progress: Progress | None
) -> xr.DataTree:
    import nutpie

    def report(states: Sequence[Any]) -> None:
        if progress is not None:
            progress(sum(s.finished_draws for s in states), chains * (settings["draws"] + settings["tune"]))

    try:
        tree = nutpie.sample(
            compiled,
            chains=chains,
            seed=seed,
            save_warmup=False,
            progress_bar=False,
            progress_callback=report,
            progress_rate=1000,
            **settings,
        )
    except (RuntimeError, ValueError) as err:
        raise FitError(
            f"model: cannot be sampled ({err}). Look at the priors, and at the data for extreme values."
        ) from err
    if tree["posterior"].sizes.get("draw") != settings["draws"]:
        # nutpie answers an interrupt with the draws it has; those are no posterior.
        raise KeyboardInterrupt
    posterior, stats = tree["posterior"].to_dataset()[variables], tree["sample_stats"].to_dataset()
    return xr.DataTree.from_dict({"posterior": posterior.drop_attrs(), "sample_stats": sampler_stats(stats)})


def sampler_stats(stats: xr.Dataset) -> xr.Dataset:
    """Return the statistics that are kept of a run, those of them that the sampler told."""
    return stats[[name for name in _STATS if name in stats]].drop_attrs()


def _matches(model: pm.Model, name: str, start: xr.Dataset) -> bool:
    if name not in start:
        return False
    dims = tuple(str(dim) for dim in model.named_vars_to_dims.get(name) or ())
    if start[name].dims != ("draw", *dims):
        return False
    return all(list(model.coords[dim]) == start[dim].to_numpy().tolist() for dim in dims)


def _extreme(values: xr.Dataset, pick: Callable[[NDArray[np.float64]], Any]) -> float | None:
    return _finite(pick(np.concatenate([values[name].to_numpy().ravel() for name in values.data_vars])))


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _key(value: Any) -> float:
    return float(value) if np.isfinite(value) else -1.0
