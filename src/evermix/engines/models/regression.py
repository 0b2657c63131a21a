"""Kind ``regression``: a plain PyMC linear regression, and the pattern for plugging in any ``pm.Model`` of your own.

A kind is a few small methods: check the spec, pin the scales, build the graph, say what it observed, name the draws to
keep, predict from them, and say what is likely.  evermix asks no more of a model, and knows nothing else of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.core import amend, transforms
from evermix.core.predictive import Predictive
from evermix.engines.models import speccheck
from evermix.engines.models.design import break_mask, effect_breaks, effect_factor, make_design, pin_basis, target_scale
from evermix.engines.models.likelihood import plain_log_likelihood

if TYPE_CHECKING:
    import pymc as pm

Floats = NDArray[np.float64]

_PRIORS = ("intercept_sd", "coefficient_sd", "noise_sd")


class RegressionKind:
    """Target on controls, events, media (as they are or as log(1 + media)), trend and yearly season.

    Everything is in pinned units: the target in sd from its mean, controls likewise, media in maxima.
    """

    name = "regression"

    def check(self, spec: dict[str, Any], columns: dict[str, Any]) -> None:
        """Raise one ConfigError that lists every fault of the spec."""
        faults = speccheck.Faults()
        faults.keys("spec", spec, ("yearly_seasonality", "trend", "media", "likelihood", "priors"), (amend.KEY,))
        faults.positive_int_or_none("spec.yearly_seasonality", spec.get("yearly_seasonality"))
        faults.boolean("spec.trend", spec.get("trend"))
        faults.choice("spec.media", spec.get("media"), ("linear", "log1p"))
        faults.choice("spec.likelihood", spec.get("likelihood"), ("Normal", "StudentT"))
        for name, value in faults.keys("spec.priors", spec.get("priors"), _PRIORS).items():
            faults.positive(f"spec.priors.{name}", value)
        speccheck.check_names(faults, columns)
        speccheck.check_amendments(faults, spec, columns)
        faults.raise_if_any()

    def pin(
        self, panel: pd.DataFrame, columns: dict[str, Any], spec: dict[str, Any], basis: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return scales and time basis; see :func:`evermix.engines.models.design.pin_basis`."""
        return pin_basis(panel, columns, basis)

    def build(
        self, panel: pd.DataFrame, columns: dict[str, Any], spec: dict[str, Any], basis: dict[str, Any]
    ) -> pm.Model:
        """Return a plain PyMC model; intercepts differ by geo, coefficients do not."""
        import pymc as pm

        rows = _rows(panel, columns, spec, basis)
        known = np.isfinite(rows.target)
        priors = spec["priors"]
        coords = {"geo": list(rows.geos), "feature": list(rows.names), "effect_break": list(effect_breaks(spec))}
        with pm.Model(coords=coords) as model:
            features: Any = pm.Data("features", rows.features[known])
            geo = pm.Data("geo_index", rows.geo_index[known])
            intercept = pm.Normal("intercept", 0.0, priors["intercept_sd"], dims="geo")
            mean = intercept[geo]
            if coords["effect_break"]:
                sd = [one["sd"] for one in effect_breaks(spec).values()]
                step = pm.Normal("effect_step", 0.0, sd, dims="effect_break")
                breaks = pm.Data("breaks", rows.breaks[:, known])
                features = features * pm.math.exp(pm.math.sum(step[:, None, None] * breaks, axis=0))
            if rows.names:
                mean = mean + features @ pm.Normal("coefficient", 0.0, priors["coefficient_sd"], dims="feature")
            sigma = pm.HalfNormal("sigma", priors["noise_sd"])
            observed = pm.Data("observed", rows.target[known])
            if spec["likelihood"] == "StudentT":
                # Juarez and Steel (2010): from heavy tails to nearly Normal.
                pm.StudentT("y", nu=pm.Gamma("nu", 2.0, 0.1), mu=mean, sigma=sigma, observed=observed)
            else:
                pm.Normal("y", mean, sigma, observed=observed)
        return model

    def observed(
        self, panel: pd.DataFrame, columns: dict[str, Any], spec: dict[str, Any], basis: dict[str, Any]
    ) -> Floats:
        """Return the standardised target of the rows that have one, in panel order."""
        target = _rows(panel, columns, spec, basis).target
        return target[np.isfinite(target)]

    def variables(self, model: pm.Model) -> list[str]:
        """Return the free variables: prediction needs no more."""
        return sorted(v.name for v in model.free_RVs)

    def predict(
        self,
        draws: xr.Dataset,
        panel: pd.DataFrame,
        columns: dict[str, Any],
        spec: dict[str, Any],
        basis: dict[str, Any],
    ) -> Predictive:
        """Return the predictive distribution of every row."""
        rows = _rows(panel, columns, spec, basis)
        mean = sum(_parts(draws, rows, spec).values())
        sd = draws["sigma"].to_numpy()[:, None] * rows.scale
        nu = draws["nu"].to_numpy() if spec["likelihood"] == "StudentT" else None
        return Predictive(mean, sd, nu)

    def contributions(
        self,
        draws: xr.Dataset,
        panel: pd.DataFrame,
        columns: dict[str, Any],
        spec: dict[str, Any],
        basis: dict[str, Any],
    ) -> xr.DataArray:
        """Return the parts of the mean, dims (draw, week, geo, component), in target units."""
        rows = _rows(panel, columns, spec, basis)
        parts = _parts(draws, rows, spec)
        shape = (draws.sizes["draw"], -1, len(rows.geos))
        return xr.DataArray(
            np.stack([part.reshape(shape) for part in parts.values()], axis=-1),
            dims=("draw", "week", "geo", "component"),
            coords={"week": rows.weeks, "geo": list(rows.geos), "component": list(parts)},
        )

    def carry_weeks(self, spec: dict[str, Any]) -> int:
        """Return 0: inputs act in their own week."""
        return 0

    def log_likelihood(
        self,
        draws: xr.Dataset,
        panel: pd.DataFrame,
        columns: dict[str, Any],
        spec: dict[str, Any],
        basis: dict[str, Any],
    ) -> Floats:
        """Return log p of each row that has a target, shape (draw, row), in nats per pinned sd of the target."""
        scale = target_scale(basis, sorted(set(panel["geo"])), "sd")
        return plain_log_likelihood(self.predict(draws, panel, columns, spec, basis), panel, scale)


@dataclass(frozen=True)
class _Rows:
    """The panel row by row: features (row, feature), target (row,) standardised, centre and scale (row,).

    ``breaks`` (effect_break, row, feature) is 1 where a break of a channel's effect holds.
    """

    weeks: NDArray[np.datetime64]
    geos: tuple[str, ...]
    names: tuple[str, ...]
    seasonal: NDArray[np.bool_]
    features: Floats
    breaks: Floats
    geo_index: NDArray[np.int64]
    target: Floats
    centre: Floats
    scale: Floats


def _rows(panel: pd.DataFrame, columns: dict[str, Any], spec: dict[str, Any], basis: dict[str, Any]) -> _Rows:
    design = make_design(panel, columns, basis, spec)
    weeks, geos = design.target.shape
    media = np.log1p(design.media) if spec["media"] == "log1p" else design.media
    orders = spec["yearly_seasonality"] or 0
    modes = np.repeat(transforms.fourier_modes(design.day_of_year, orders), geos, axis=0)
    waves = tuple(f"{wave}_{order}" for wave in ("sin", "cos") for order in range(1, orders + 1))
    blocks = [media.reshape(weeks * geos, -1), design.controls.reshape(weeks * geos, -1), modes]
    names = (*design.channels, *design.control_names, *waves)
    mask = np.repeat(break_mask(design, spec), geos, axis=1)
    centre = np.tile(target_scale(basis, design.geos, "mean"), weeks)
    scale = np.tile(target_scale(basis, design.geos, "sd"), weeks)
    return _Rows(
        weeks=design.weeks.astype("datetime64[s]"),
        geos=design.geos,
        names=names,
        seasonal=np.arange(len(names)) >= len(names) - len(waves),
        features=np.concatenate(blocks, axis=1),
        breaks=np.pad(mask, ((0, 0), (0, 0), (0, len(names) - mask.shape[2]))),
        geo_index=np.tile(np.arange(geos), weeks),
        target=(design.target.ravel() - centre) / scale,
        centre=centre,
        scale=scale,
    )


def _parts(draws: xr.Dataset, rows: _Rows, spec: dict[str, Any]) -> dict[str, Floats]:
    """Return the components of the mean in target units, each of shape (draw, row)."""
    intercept = draws["intercept"].sel(geo=list(rows.geos)).transpose("draw", "geo").to_numpy()[:, rows.geo_index]
    parts = {"intercept": rows.centre + intercept * rows.scale}
    if not rows.names:
        return parts
    factor = effect_factor(draws, rows.breaks, spec)
    coefficient = draws["coefficient"].sel(feature=list(rows.names)).transpose("draw", "feature").to_numpy()
    for i in np.flatnonzero(~rows.seasonal):
        parts[rows.names[i]] = coefficient[:, i, None] * factor[:, :, i] * rows.features[:, i] * rows.scale
    if rows.seasonal.any():
        parts["seasonality"] = (coefficient[:, rows.seasonal] @ rows.features[:, rows.seasonal].T) * rows.scale
    return parts
