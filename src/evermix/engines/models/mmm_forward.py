"""The forward pass of the MMM in NumPy: parts of the mean per draw, without a PyMC graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from evermix.core import transforms
from evermix.engines.models.design import Design, break_mask, effect_factor
from evermix.errors import FitError

Floats = NDArray[np.float64]
Parameters = dict[str, Floats]

# Parameters of each class that has a forward pass here, in the order of pymc-marketing's own.
ADSTOCKS: dict[str, tuple[str, ...]] = {"GeometricAdstock": ("alpha",), "DelayedAdstock": ("alpha", "theta")}
SATURATIONS: dict[str, tuple[str, ...]] = {
    "LogisticSaturation": ("lam", "beta"),
    "TanhSaturation": ("b", "c"),
    "MichaelisMentenSaturation": ("alpha", "lam"),
    "HillSaturation": ("slope", "kappa", "beta"),
}
_CURVES: dict[str, Callable[[Floats, Parameters], Floats]] = {
    "LogisticSaturation": lambda x, p: p["beta"] * transforms.logistic_saturation(x, p["lam"]),
    "TanhSaturation": lambda x, p: transforms.tanh_saturation(x, p["b"], p["c"]),
    "MichaelisMentenSaturation": lambda x, p: transforms.michaelis_menten(x, p["alpha"], p["lam"]),
    "HillSaturation": lambda x, p: p["beta"] * transforms.hill_saturation(x, p["slope"], p["kappa"]),
}


def class_name(node: Mapping[str, Any]) -> str:
    """Return the bare class of a ``{class, kwargs}`` node; ``pymc_marketing.mmm.X`` is X."""
    return str(node["class"]).removeprefix("pymc_marketing.mmm.")


def mean_total(draws: xr.Dataset, design: Design, spec: Mapping[str, Any]) -> Floats:
    """Return the mean in units of the pinned target scale, shape (draw, week, geo): the sum of `mean_parts`, faster.

    All that is linear is one matrix product; a year of 8,000 draws takes a fifth of the time of its parts.
    """
    features = [np.ones((*design.target.shape, 1)), design.controls]
    gammas = [parameter(draws, design, "intercept_contribution", ("geo",))[..., None]]
    if design.control_names:
        gammas.append(parameter(draws, design, "gamma_control", ("geo", "control")))
    if spec["yearly_seasonality"] is not None:
        gammas.append(parameter(draws, design, "gamma_fourier", ("geo", "fourier_mode")))
        modes = transforms.fourier_modes(design.day_of_year, spec["yearly_seasonality"])
        features.append(np.broadcast_to(modes[:, None], (*design.target.shape, modes.shape[1])))
    geos = len(design.geos)
    whole = [np.broadcast_to(gamma, (gamma.shape[0], geos, gamma.shape[2])) for gamma in gammas]
    # (geo, draw, feature) @ (geo, feature, week)
    linear = np.concatenate(whole, axis=2).transpose(1, 0, 2) @ np.concatenate(features, axis=2).transpose(1, 2, 0)
    total = linear.transpose(1, 2, 0)
    for _, part in media_parts(draws, design, spec):
        total += part
    return total


def mean_parts(draws: xr.Dataset, design: Design, spec: Mapping[str, Any]) -> dict[str, Floats]:
    """Return the components of the mean in units of the pinned target scale.

    Parameters
    ----------
    draws : Dataset
        Parameters with a leading dim ``draw``.
    design : Design
        The weeks to predict, with the weeks that carry over into them.
    spec : mapping
        The model's spec.

    Returns
    -------
    dict of ndarray, shape (draw, week, geo)
        One entry per channel and control, ``intercept``, and ``seasonality`` if asked for.
    """
    size = (draws.sizes["draw"], len(design.weeks), len(design.geos))
    parts = {"intercept": np.broadcast_to(parameter(draws, design, "intercept_contribution", ("geo",))[:, None], size)}
    parts |= media_parts(draws, design, spec)
    if design.control_names:
        gamma = parameter(draws, design, "gamma_control", ("geo", "control"))
        for i, name in enumerate(design.control_names):
            parts[name] = np.broadcast_to(design.controls[None, :, :, i] * gamma[:, None, :, i], size)
    if spec["yearly_seasonality"] is not None:
        gamma = parameter(draws, design, "gamma_fourier", ("geo", "fourier_mode"))
        modes = transforms.fourier_modes(design.day_of_year, spec["yearly_seasonality"])
        parts["seasonality"] = np.broadcast_to(np.einsum("wf,dgf->dwg", modes, gamma), size)
    return parts


def media_parts(draws: xr.Dataset, design: Design, spec: Mapping[str, Any]) -> Iterator[tuple[str, Floats]]:
    """Yield each channel with what it adds, shape (draw, week, geo), in units of the pinned target scale.

    One channel at a time, so that what is worked on stays in the processor's cache.
    """
    kwargs = spec["adstock"].get("kwargs", {})
    l_max, normalize = kwargs["l_max"], kwargs.get("normalize", True)
    carry = _parameters(draws, design, "adstock", ADSTOCKS[class_name(spec["adstock"])])
    if "theta" in carry:
        weights = transforms.delayed_weights(carry["alpha"], carry["theta"], l_max, normalize=normalize)
    else:
        weights = transforms.geometric_weights(carry["alpha"], l_max, normalize=normalize)
    curve = class_name(spec["saturation"])
    shape = _parameters(draws, design, "saturation", SATURATIONS[curve])
    media, factor = design.media, effect_factor(draws, break_mask(design, spec), spec)
    for i, name in enumerate(design.channels):
        # A parameter that all channels share has size 1 there.
        spread = {key: value[:, None, :, min(i, value.shape[2] - 1)] for key, value in shape.items()}
        lags = weights[:, :, [min(i, weights.shape[2] - 1)]]
        response = _CURVES[curve](transforms.carry_over(media[:, :, [i]], lags)[..., 0], spread)
        yield name, response * factor[:, :, None, i]


def parameter(draws: xr.Dataset, design: Design, name: str, dims: tuple[str, ...]) -> Floats:
    """Return one parameter as (draw, *dims), size 1 where it has no such dim, entries in the order of the design."""
    if name not in draws:
        raise FitError(f"draws: {name!r} is missing; they hold {', '.join(map(str, draws))}. Fit this model again.")
    labels = {"geo": design.geos, "channel": design.channels, "control": design.control_names}
    array = draws[name].transpose("draw", *dims, missing_dims="ignore")
    values = array.to_numpy()
    for place, dim in enumerate(dims, start=1):
        if dim not in array.dims:
            values = np.expand_dims(values, place)
        elif dim in labels:
            values = values.take(_places(array, dim, labels[dim]), axis=place)
    return values


def _places(array: xr.DataArray, dim: str, labels: tuple[str, ...]) -> list[int]:
    """Return where labels stand along a dim; xarray's own way builds an index for every parameter of every call."""
    known = array[dim].to_numpy().tolist()
    missing = [label for label in labels if label not in known]
    if missing:
        raise FitError(
            f"draws: {array.name} of {dim} {missing[0]!r} is missing; they hold {', '.join(map(str, known))}. "
            "Fit this model again."
        )
    return [known.index(label) for label in labels]


def _parameters(draws: xr.Dataset, design: Design, prefix: str, names: tuple[str, ...]) -> Parameters:
    return {name: parameter(draws, design, f"{prefix}_{name}", ("geo", "channel")) for name in names}
