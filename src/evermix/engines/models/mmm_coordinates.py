"""Coordinates for the MMM: what data know well, instead of what the formula is written in.

Data know how high a channel's curve rises from little media to much, and the level of the target at usual media.
They hardly know amplitude, slope and intercept one by one, and the posterior is a long curved ridge in these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evermix.core import transforms
from evermix.engines.models.coordinates import Shift
from evermix.engines.models.design import Design
from evermix.engines.models.mmm_forward import SATURATIONS, class_name

if TYPE_CHECKING:
    import pymc as pm

Floats = NDArray[np.float64]

# The parameter that a curve is multiplied by; a curve that is not linear in one keeps its coordinates.
_AMPLITUDE = {"LogisticSaturation": "beta", "HillSaturation": "beta", "MichaelisMentenSaturation": "alpha"}
# Where media are looked at; any retention that is not far off will do.
_USUAL_RETENTION = 0.3
# A week with less of a channel than this share of its maximum counts as one without it.
_IN_USE = 0.05
# Of the whole height; keeps the log of a rise finite where a curve is flat from little media on.
_LEAST_RISE = 1e-6


def rises_and_level(model: pm.Model, design: Design, spec: Mapping[str, Any]) -> list[Shift]:
    """Return the shifts by which amplitudes become the logs of rises, and the intercept the level at usual inputs.

    What a spec does not have, or has in another form (an amplitude that may be negative, say), keeps its coordinates.

    Parameters
    ----------
    model : Model
        From `build_class`.
    """
    import pytensor.xtensor.math as px
    from pymc.dims.distributions.transforms import LogTransform
    from pymc_marketing import mmm as library

    free = {v.name for v in model.free_RVs}
    known = free | {v.name for v in model.deterministics}
    curve = class_name(spec["saturation"])
    shifts: list[Shift] = []
    levels = []
    if curve in _AMPLITUDE:
        amplitude = _AMPLITUDE[curve]
        name = f"saturation_{amplitude}"
        values = {key: _by_value(model, f"saturation_{key}") for key in SATURATIONS[curve]}
        respond = getattr(library, curve)().function
        low, middle, high = (_constant(model, media, ("geo", "channel")) for media in usual_media(design, spec))
        if name in free and isinstance(model.rvs_to_transforms[model[name]], LogTransform):
            little, much = (respond(x, **values | {amplitude: 1.0}) for x in (low, high))
            shifts.append((name, _over_dims_of(model, name, px.log((1.0 + _LEAST_RISE) * much - little))))
        levels.append(respond(middle, **values).sum("channel"))
    if "gamma_control" in known:
        gamma = _by_value(model, "gamma_control")
        levels.append((gamma * _constant(model, design.controls.mean(axis=0), ("geo", "control"))).sum("control"))
    if "intercept_contribution" in free and levels:
        name = "intercept_contribution"
        shifts.append((name, _over_dims_of(model, name, sum(levels[1:], levels[0]))))
    return shifts


def usual_media(design: Design, spec: Mapping[str, Any]) -> tuple[Floats, Floats, Floats]:
    """Return little, usual and much media of each geo and channel, three arrays of shape (geo, channel)."""
    kwargs = spec["adstock"].get("kwargs", {})
    retention = np.full((1, 1, len(design.channels)), _USUAL_RETENTION)
    lags = transforms.geometric_weights(retention, kwargs["l_max"], normalize=kwargs.get("normalize", True))
    carried = transforms.carry_over(design.media, lags)[0]
    in_use = np.where(carried > _IN_USE * carried.max(axis=0), carried, np.nan)
    # A channel that was never in use has no usual media: its draws are the prior, in whatever coordinates.
    in_use[:, carried.max(axis=0) == 0] = 1.0
    high = np.nanquantile(in_use, 0.9, axis=0)
    # Of a channel that never rests, the rise is that of half its media: what it would be from nothing, nobody saw.
    low = np.clip(np.quantile(carried, 0.1, axis=0), 1e-3 * high, 0.5 * high)
    return low, carried.mean(axis=0), high


def _by_value(model: pm.Model, name: str) -> Any:
    (variable,) = model.replace_rvs_by_values([model[name]])
    return variable


def _constant(model: pm.Model, values: Floats, dims: tuple[str, str]) -> Any:
    """Return numbers by geo and something else, without the geo where the model has none."""
    import pytensor
    from pytensor.xtensor import as_xtensor

    if "geo" not in model.coords:
        values, dims = values[0], dims[1:]
    # Shared, so that a graph of another week's numbers is the same graph to the compiler.
    return as_xtensor(pytensor.shared(values), dims=dims)


def _over_dims_of(model: pm.Model, name: str, expression: Any) -> Any:
    """Return the mean of an expression over the dims that a variable does not have."""
    dims = model.rvs_to_values[model[name]].type.dims
    other = [dim for dim in expression.type.dims if dim not in dims]
    return expression.mean(other) if other else expression
