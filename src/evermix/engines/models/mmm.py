"""Kind ``mmm``: pymc-marketing's ``MMM`` from a spec, on pinned scales and a pinned time basis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.core import amend
from evermix.core.predictive import Predictive
from evermix.engines.models import mmm_forward, speccheck
from evermix.engines.models.design import Design, make_design, pin_basis, target_scale
from evermix.engines.models.likelihood import plain_log_likelihood

if TYPE_CHECKING:
    import pymc as pm

    from evermix.engines.models.coordinates import Shift

_KEYS = ("adstock", "saturation", "yearly_seasonality", "trend", "model_config")
_LIKELIHOODS = {"Normal": ("sigma",), "StudentT": ("sigma", "nu")}
_DIMS = ("geo", "channel", "control", "fourier_mode", "date")


class MMMKind:
    """Marketing-mix model: carry-over, saturation, controls and events, trend, yearly season.

    Trend and events are control columns: a trend in the class rescales time by the window predicted, a control on
    the pinned time basis does not.  Its prior is that of ``gamma_control``, in target maxima per first training window.
    """

    name = "mmm"

    def check(self, spec: dict[str, Any], columns: dict[str, Any]) -> None:
        """Raise one ConfigError that lists every fault of the spec."""
        faults = speccheck.Faults()
        faults.keys("spec", spec, _KEYS, (amend.KEY,))
        names = _check_transforms(faults, spec)
        faults.positive_int_or_none("spec.yearly_seasonality", spec.get("yearly_seasonality"))
        faults.boolean("spec.trend", spec.get("trend"))
        valid = ("intercept", "likelihood", "gamma_control", "gamma_fourier", *names)
        for key, node in faults.keys("spec.model_config", spec.get("model_config"), (), valid).items():
            where = f"spec.model_config.{key}"
            if key == "likelihood":
                _check_likelihood(faults, where, node)
            elif key in valid:
                speccheck.check_prior(faults, where, node, _DIMS)
        if not columns["channels"]:
            faults.add("columns.channels", {}, "at least one channel (use kind regression for a model without media)")
        speccheck.check_names(faults, columns)
        speccheck.check_amendments(faults, spec, columns)
        controls = spec.get("model_config", {}).get("gamma_control")
        if amend.amendments_of(spec).get("level_breaks") and _holds_a_list(controls):
            faults.add(
                "spec.model_config.gamma_control", controls, "numbers for any control, to have one for a new level"
            )
        faults.raise_if_any()

    def pin(
        self, panel: pd.DataFrame, columns: dict[str, Any], spec: dict[str, Any], basis: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return scales and time basis; see :func:`evermix.engines.models.design.pin_basis`."""
        return pin_basis(panel, columns, basis)

    def build(
        self, panel: pd.DataFrame, columns: dict[str, Any], spec: dict[str, Any], basis: dict[str, Any]
    ) -> pm.Model:
        """Return the PyMC model of a fresh ``MMM`` (a second fit of one instance would sample the old data)."""
        from evermix.engines.models.mmm_class import build_class

        design = make_design(panel, columns, basis, spec)
        return build_class(design, spec, target_scale(basis, design.geos, "max"), has_geo=columns["geo"] is not None)

    def observed(
        self, panel: pd.DataFrame, columns: dict[str, Any], spec: dict[str, Any], basis: dict[str, Any]
    ) -> NDArray[np.float64]:
        """Return target over pinned scale of the rows that have one, in panel order."""
        design = make_design(panel, columns, basis, spec)
        scaled = design.target / target_scale(basis, design.geos, "max")
        return scaled[np.isfinite(scaled)]

    def shifts(
        self,
        model: pm.Model,
        panel: pd.DataFrame,
        columns: dict[str, Any],
        spec: dict[str, Any],
        basis: dict[str, Any],
    ) -> list[Shift]:
        """Return the coordinates to sample in: rises and a level instead of amplitudes and an intercept."""
        from evermix.engines.models.mmm_coordinates import rises_and_level

        return rises_and_level(model, make_design(panel, columns, basis, spec), spec)

    def variables(self, model: pm.Model) -> list[str]:
        """Return free variables, and parameters that non-centred or transformed priors derive from them."""
        prefixes = ("adstock_", "saturation_", "gamma_", "intercept_contribution", "y_")
        derived = [v.name for v in model.deterministics if v.name.startswith(prefixes)]
        return sorted({v.name for v in model.free_RVs} | set(derived))

    def predict(
        self,
        draws: xr.Dataset,
        panel: pd.DataFrame,
        columns: dict[str, Any],
        spec: dict[str, Any],
        basis: dict[str, Any],
    ) -> Predictive:
        """Return the predictive distribution of every row; the first ``l_max - 1`` weeks lack their carry-over."""
        design = make_design(panel, columns, basis, spec)
        scale = target_scale(basis, design.geos, "max")
        mean = mmm_forward.mean_total(draws, design, spec) * scale
        sigma = _noise(draws, design, spec, "sigma") * scale
        flat = (mean.shape[0], -1)
        sd = np.broadcast_to(sigma[:, None], mean.shape).reshape(flat)
        nu = _noise(draws, design, spec, "nu")[:, 0] if _likelihood(spec) == "StudentT" else None
        return Predictive(mean.reshape(flat), sd, nu)

    def contributions(
        self,
        draws: xr.Dataset,
        panel: pd.DataFrame,
        columns: dict[str, Any],
        spec: dict[str, Any],
        basis: dict[str, Any],
    ) -> xr.DataArray:
        """Return the parts of the mean, dims (draw, week, geo, component), in target units."""
        design = make_design(panel, columns, basis, spec)
        parts = mmm_forward.mean_parts(draws, design, spec)
        scale = target_scale(basis, design.geos, "max")
        return xr.DataArray(
            np.stack([part * scale for part in parts.values()], axis=-1),
            dims=("draw", "week", "geo", "component"),
            coords={"week": design.weeks.astype("datetime64[s]"), "geo": list(design.geos), "component": list(parts)},
        )

    def carry_weeks(self, spec: dict[str, Any]) -> int:
        """Return the weeks that adstock carries media on: ``l_max - 1``."""
        return int(spec["adstock"]["kwargs"]["l_max"]) - 1

    def log_likelihood(
        self,
        draws: xr.Dataset,
        panel: pd.DataFrame,
        columns: dict[str, Any],
        spec: dict[str, Any],
        basis: dict[str, Any],
    ) -> NDArray[np.float64]:
        """Return log p of each row that has a target, shape (draw, row), in nats per pinned maximum of the target."""
        scale = target_scale(basis, sorted(set(panel["geo"])), "max")
        return plain_log_likelihood(self.predict(draws, panel, columns, spec, basis), panel, scale)


def _check_transforms(faults: speccheck.Faults, spec: Mapping[str, Any]) -> list[str]:
    names = []
    for part, classes in (("adstock", mmm_forward.ADSTOCKS), ("saturation", mmm_forward.SATURATIONS)):
        node = faults.keys(f"spec.{part}", spec.get(part), ("class",), ("kwargs",))
        if "class" not in node:
            continue
        cls = mmm_forward.class_name(node)
        faults.choice(f"spec.{part}.class", cls, classes)
        parameters = classes.get(cls, ())
        names += [f"{part}_{name}" for name in parameters]
        required, optional = (("l_max",), ("normalize", "priors")) if part == "adstock" else ((), ("priors",))
        kwargs = faults.keys(f"spec.{part}.kwargs", node.get("kwargs", {}), required, optional)
        if "l_max" in kwargs and (type(kwargs["l_max"]) is not int or kwargs["l_max"] < 1):
            faults.add(f"spec.{part}.kwargs.l_max", kwargs["l_max"], "an integer of at least 1, in weeks")
        if "normalize" in kwargs:
            faults.boolean(f"spec.{part}.kwargs.normalize", kwargs["normalize"])
        where = f"spec.{part}.kwargs.priors"
        for name, prior in faults.keys(where, kwargs.get("priors", {}), (), parameters).items():
            speccheck.check_prior(faults, f"{where}.{name}", prior, _DIMS)
    return names


def _check_likelihood(faults: speccheck.Faults, where: str, node: Any) -> None:
    before = len(faults.lines)
    speccheck.check_prior(faults, where, node, _DIMS)
    if len(faults.lines) > before:
        return
    name = node.get("distribution", node.get("dist"))
    faults.choice(f"{where}.distribution", name, _LIKELIHOODS)
    given = _likelihood_parameters({"model_config": {"likelihood": node}})
    if name in _LIKELIHOODS and set(given) != set(_LIKELIHOODS[name]):
        faults.add(where, sorted(given), f"the parameters {', '.join(_LIKELIHOODS[name])} of {name} (mu is the model)")


def _holds_a_list(node: Any) -> bool:
    return isinstance(node, list) or (
        isinstance(node, Mapping) and any(_holds_a_list(value) for key, value in node.items() if key != "dims")
    )


def _likelihood(spec: Mapping[str, Any]) -> str:
    node = spec["model_config"].get("likelihood", {"distribution": "Normal"})
    return str(node.get("distribution", node.get("dist")))


def _likelihood_parameters(spec: Mapping[str, Any]) -> dict[str, Any]:
    node = spec["model_config"].get("likelihood", {})
    meta = ("distribution", "dist", "kwargs", "dims", "centered", "transform")
    return dict(node.get("kwargs", {})) | {key: value for key, value in node.items() if key not in meta}


def _noise(draws: xr.Dataset, design: Design, spec: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    """Return a parameter of the noise, shape (draw, geo or 1): drawn, or fixed by the spec."""
    fixed = _likelihood_parameters(spec).get(name)
    if isinstance(fixed, int | float):
        return np.full((draws.sizes["draw"], 1), float(fixed))
    return mmm_forward.parameter(draws, design, f"y_{name}", ("geo",))
