"""What a kind of model must be able to do so that evermix can keep it: build, name its draws, predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.core.predictive import Predictive

if TYPE_CHECKING:
    import pymc as pm

    from evermix.engines.models.coordinates import Shift


@runtime_checkable
class ModelKind(Protocol):
    """One family of models.

    ``spec`` is the model's ``spec`` in params; ``columns`` its ``columns`` as a dict; ``basis`` the scales and time
    basis pinned at the first fit, JSON, the same for every later fit and prediction; ``panel`` the weekly table with
    the columns of ``core/panel.py``, all weeks without gaps.
    """

    name: str

    def check(self, spec: dict[str, Any], columns: dict[str, Any]) -> None:
        """Raise one ConfigError that lists every fault of a spec; imports nothing heavy."""

    def pin(
        self, panel: pd.DataFrame, columns: dict[str, Any], spec: dict[str, Any], basis: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Return the basis: what was pinned stays, only what new columns need is added."""

    def build(
        self, panel: pd.DataFrame, columns: dict[str, Any], spec: dict[str, Any], basis: dict[str, Any]
    ) -> pm.Model:
        """Return a fresh PyMC model with one observed variable: the rows that have a target."""

    def observed(
        self, panel: pd.DataFrame, columns: dict[str, Any], spec: dict[str, Any], basis: dict[str, Any]
    ) -> NDArray[np.float64]:
        """Return, from the panel alone, what the graph must have observed, shape (row with a target,)."""

    def variables(self, model: pm.Model) -> list[str]:
        """Return the names of the variables that prediction needs: these draws are stored, all else is recomputed."""

    def predict(
        self,
        draws: xr.Dataset,
        panel: pd.DataFrame,
        columns: dict[str, Any],
        spec: dict[str, Any],
        basis: dict[str, Any],
    ) -> Predictive:
        """Return the predictive distribution of every row of the panel, in panel order and target units."""

    def contributions(
        self,
        draws: xr.Dataset,
        panel: pd.DataFrame,
        columns: dict[str, Any],
        spec: dict[str, Any],
        basis: dict[str, Any],
    ) -> xr.DataArray:
        """Return the parts of the mean, dims (draw, week, geo, component), target units; they sum up to the mean."""

    def carry_weeks(self, spec: dict[str, Any]) -> int:
        """Return for how many weeks after its own an input still acts on the target."""

    def log_likelihood(
        self,
        draws: xr.Dataset,
        panel: pd.DataFrame,
        columns: dict[str, Any],
        spec: dict[str, Any],
        basis: dict[str, Any],
    ) -> NDArray[np.float64]:
        """Return log p of each row that has a target, shape (draw, row), as the graph has it: per pinned target unit.

        In plain NumPy where the likelihood has such a form; a kind without one answers with
        :func:`evermix.engines.models.likelihood.graph_log_likelihood`.
        """


@runtime_checkable
class ShearsCoordinates(Protocol):
    """What a kind may have beside: coordinates in which its posterior is easier to sample."""

    def shifts(
        self,
        model: pm.Model,
        panel: pd.DataFrame,
        columns: dict[str, Any],
        spec: dict[str, Any],
        basis: dict[str, Any],
    ) -> list[Shift]:
        """Return what is added to unconstrained values of a model that ``build`` made; see `shear`."""
