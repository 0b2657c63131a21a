"""From a design and a spec to the PyMC graph of pymc-marketing's ``MMM``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.engines.models.design import Design, break_mask, effect_breaks
from evermix.engines.models.mmm_forward import class_name

if TYPE_CHECKING:
    import pymc as pm


def build_class(
    design: Design, spec: Mapping[str, Any], target_scale: NDArray[np.float64], *, has_geo: bool
) -> pm.Model:
    """Return the graph of a fresh ``MMM``.

    Parameters
    ----------
    design : Design
        Training weeks; rows whose target is NaN are in the graph for their carry-over and observed by nobody.
    spec : mapping
        A checked spec.
    target_scale : ndarray, shape (geo,)
        Pinned scale of the target.
    has_geo : bool
        Whether the model has a geo dimension.
    """
    from pymc_marketing import mmm as library
    from pymc_marketing.mmm.mmm import MMM

    labels = {"geo": list(design.geos), "channel": list(design.channels)}
    # A channel never in use is all zeros: any scale will do.
    media_scale = xr.DataArray(np.nan_to_num(design.media_scale, nan=1.0), dims=("geo", "channel"), coords=labels)
    scale: Any = xr.DataArray(target_scale, dims=("geo",), coords={"geo": labels["geo"]})
    if not has_geo:
        media_scale, scale = media_scale.isel(geo=0, drop=True), float(scale[0])
    model = _breaking(MMM, design, spec)(
        date_column="week",
        target_column="target",
        channel_columns=list(design.channels),
        control_columns=list(design.control_names) or None,
        dims=("geo",) if has_geo else None,
        adstock=_transform(library, spec["adstock"]),
        saturation=_transform(library, spec["saturation"]),
        yearly_seasonality=spec["yearly_seasonality"],
        scaling=library.scaling.Scaling(
            target=library.scaling.FixedScaling(dims=(), value=scale),
            channel=library.scaling.FixedScaling(dims=(), value=media_scale),
        ),
        model_config=_model_config(spec, design, has_geo=has_geo),
    )
    model.build_model(*_frame(design, has_geo=has_geo))
    return model.model


def _breaking(base: Any, design: Design, spec: Mapping[str, Any]) -> Any:
    """Return the class with a channel's contribution multiplied by ``exp(step)`` from each of its breaks on."""
    breaks = effect_breaks(spec)
    if not breaks:
        return base
    import pymc as pm
    import pymc.dims as pmd
    import pytensor
    from pytensor.xtensor import as_xtensor
    from pytensor.xtensor.math import exp

    class Breaking(base):  # type: ignore[misc]
        def forward_pass(self, x: Any, dims: tuple[str, ...]) -> Any:
            pm.modelcontext(None).add_coord("effect_break", list(breaks))
            sd = as_xtensor(np.array([one["sd"] for one in breaks.values()]), dims=("effect_break",))
            mask = as_xtensor(pytensor.shared(break_mask(design, spec)), dims=("effect_break", "date", "channel"))
            step = pmd.Normal("effect_step", mu=0.0, sigma=sd, dims=("effect_break",))
            return super().forward_pass(x, dims) * exp((step * mask).sum(dim="effect_break"))

    return Breaking


def _transform(library: Any, node: Mapping[str, Any]) -> Any:
    kwargs = dict(node.get("kwargs", {}))
    if "priors" in kwargs:
        kwargs["priors"] = {name: _prior(prior) for name, prior in kwargs["priors"].items()}
    return getattr(library, class_name(node))(**kwargs)


def _prior(node: Mapping[str, Any]) -> Any:
    from pymc_marketing.mmm.builders.factories import resolve

    return resolve(node)


def _model_config(spec: Mapping[str, Any], design: Design, *, has_geo: bool) -> dict[str, Any]:
    from pymc_extras.prior import Prior

    config = {name: _prior(node) for name, node in spec["model_config"].items()}
    dims = ("date", "geo") if has_geo else ("date",)
    if "likelihood" in config:
        config["likelihood"].dims = dims
    if np.isnan(design.target).any():
        default = Prior("Normal", sigma=Prior("HalfNormal", sigma=2, dims=dims[1:] or None), dims=dims)
        config["likelihood"] = _ObservedRows(config.get("likelihood", default), np.isfinite(design.target), dims)
    return config


def _frame(design: Design, *, has_geo: bool) -> tuple[pd.DataFrame, pd.Series]:
    weeks, geos = len(design.weeks), len(design.geos)
    frame = pd.DataFrame({"week": np.repeat(design.weeks.astype("datetime64[ns]"), geos)})
    if has_geo:
        frame["geo"] = list(design.geos) * weeks
    for names, values in ((design.channels, design.raw_media), (design.control_names, design.controls)):
        for i, name in enumerate(names):
            frame[name] = values[:, :, i].ravel()
    return frame, pd.Series(design.target.ravel(), name="target")


class _ObservedRows:
    """A likelihood of the rows that have a target; the class itself would read a missing target as zero.

    Parameters
    ----------
    prior : Prior
        The likelihood of complete data.
    has_target : ndarray of bool, shape (week, geo)
        Which rows are observed.
    dims : tuple of str
        Dims of the complete target.
    """

    def __init__(self, prior: Any, has_target: NDArray[np.bool_], dims: tuple[str, ...]) -> None:
        # Under this name pymc-marketing looks into wrappers for the distribution that it must know.
        self.distribution = prior
        self.dims = dims
        self.index = dict(zip(("date", "geo"), np.nonzero(has_target), strict=True))

    def create_likelihood_variable(self, name: str, mu: Any, observed: Any, xdist: bool) -> Any:
        """Create the observed variable over the dim ``row``, in panel order."""
        import pymc as pm
        import pytensor
        from pytensor.xtensor import as_xtensor

        pm.modelcontext(None).add_coord("row", np.arange(len(self.index["date"])))
        # Shared, like all that changes from week to week: the graph stays the same, and so its machine code.
        rows = {dim: as_xtensor(pytensor.shared(index), dims=("row",)) for dim, index in self.index.items()}

        def select(variable: Any) -> Any:
            return variable.isel({dim: rows[dim] for dim in variable.type.dims})

        distribution = self.distribution.deepcopy()
        for key, value in distribution.parameters.items():
            if hasattr(value, "create_variable"):
                variable = value.create_variable(f"{name}_{key}", xdist=True)
                distribution.parameters[key] = select(variable) if variable.type.dims else variable
        distribution.dims = ("row",)
        # Not create_likelihood_variable: it copies the prior, and with it the variables drawn above.
        distribution.parameters |= {"mu": select(mu), "observed": select(observed)}
        return distribution.create_variable(name, xdist=True)
