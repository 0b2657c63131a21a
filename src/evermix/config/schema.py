"""The strict schema of ``params.yaml``: computed results depend on it alone.

No key has a default here, since DVC cannot see a default; a key that may be left out means "none of it",
so that leaving it out and writing ``null``, ``false`` or an empty list are the same.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from evermix.config.columns import (
    ColumnParams,
    SourceParams,
)
from evermix.config.fields import Count, Monday, Name, Positive, Share, Strict
from evermix.config.rules import GateParams, Rule
from evermix.errors import ConfigError

# What an order of a person is called among the causes of a decision.
PERSON, FREEZE = "person", "freeze"


class SamplerParams(Strict):
    """Settings of nutpie, and the diagonal-metric run that stands in when the first does not converge."""

    chains: Annotated[int, Field(ge=2)]
    draws: Annotated[int, Field(ge=100)]
    tune: Annotated[int, Field(ge=50)]
    target_accept: Annotated[float, Field(gt=0.0, lt=1.0)]
    low_rank: bool
    fallback_tune: Annotated[int, Field(ge=50)]
    seed: Count


class ValidationParams(Strict):
    """Limits of the data contract."""

    min_weeks: Annotated[int, Field(ge=1)]
    target_min: float
    target_jump: Positive
    spend_jump: Positive
    max_zero_target_share: Share
    personal_data_allowed: list[str] = Field(default_factory=list)
    max_rewritten_share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    quality_false_calls_per_year: Positive
    quality_min_weeks: Annotated[int, Field(ge=13)]
    tracked: dict[Name, list[str]] = Field(default_factory=dict)


class MonitorParams(Strict):
    """How the live posterior is questioned each week."""

    draws: Annotated[int, Field(ge=100)]
    cusum_slack: Positive
    drift_window_weeks: Annotated[int, Field(ge=4)]
    drift_min_reference_weeks: Annotated[int, Field(ge=26)]
    drift_bins: Annotated[int, Field(ge=2)]
    drift_false_alarms_per_year: Share
    drift_simulations: Annotated[int, Field(ge=100)]
    seed: Count


class EvaluationParams(Strict):
    """How a challenger is measured."""

    holdout_weeks: Annotated[int, Field(ge=1)]
    challenger_lead_se: Annotated[float, Field(ge=0.0)]
    season_weeks: Annotated[int, Field(ge=1)]
    draws: Annotated[int, Field(ge=100)]
    plan_weeks: Annotated[int, Field(ge=1)]
    plan_max_change: Annotated[float, Field(gt=0.0, le=1.0)]
    seed: Count


class MaskedWeeks(Strict):
    """Weeks whose target says nothing of the model: their inputs count, their target is neither fitted nor scored."""

    first: Monday
    last: Monday
    why: str

    @model_validator(mode="after")
    def _first_comes_first(self) -> MaskedWeeks:
        if self.first > self.last:
            raise ValueError(f"first {self.first} is after last {self.last}")
        return self


class ModelParams(Strict):
    """One model: a brand or market with its source, columns, spec and thresholds."""

    kind: str
    source: SourceParams
    columns: ColumnParams
    spec: dict[str, Any]
    recipe: Annotated[int, Field(ge=1)]
    sampler: SamplerParams
    label_delay_weeks: Count
    masked_weeks: list[MaskedWeeks] = Field(default_factory=list)
    validation: ValidationParams
    monitor: MonitorParams
    rules: list[Rule]
    evaluation: EvaluationParams
    gate: GateParams

    @model_validator(mode="after")
    def _rules_have_names_of_their_own(self) -> ModelParams:
        twice = [name for name, count in Counter(rule.name for rule in self.rules).items() if count > 1]
        if twice:
            raise ValueError(f"rule {twice[0]!r} is there twice; the ledger counts rules by name")
        taken = [rule.name for rule in self.rules if rule.name in (PERSON, FREEZE)]
        if taken:
            raise ValueError(f"rule {taken[0]!r} has the name of a person's order; the ledger counts both by name")
        return self

    @model_validator(mode="after")
    def _amendments_come_from_reviews(self) -> ModelParams:
        if "amendments" in self.spec:
            raise ValueError("spec.amendments is what a review may add to a version's spec, and no key of params")
        return self

    @model_validator(mode="after")
    def _tracked_counts_are_of_channels(self) -> ModelParams:
        taken = set(self.roles().values())
        for channel, columns in self.validation.tracked.items():
            if channel not in self.columns.channels:
                raise ValueError(f"validation.tracked: {channel!r} is no channel of columns")
            for column in columns:
                if column in taken:
                    raise ValueError(f"validation.tracked: column {column!r} is named already; a column plays one role")
                taken.add(column)
        return self

    @model_validator(mode="after")
    def _columns_play_one_role(self) -> ModelParams:
        seen: dict[str, str] = {}
        for role, column in self.roles().items():
            if column in seen:
                raise ValueError(f"column {column!r} is both {seen[column]} and {role}; a column plays one role")
            seen[column] = role
        return self

    def roles(self) -> dict[str, str]:
        """Return source column by role, e.g. ``{"date": "day", "spend.tv": "tv_gbp"}``."""
        c = self.columns
        out = {"date": c.date, "target": c.target.column}
        if c.geo is not None:
            out["geo"] = c.geo
        for name, channel in c.channels.items():
            out[f"spend.{name}"] = channel.spend
            if channel.exposure is not None:
                out[f"exposure.{name}"] = channel.exposure
        out |= {f"control.{name}": column.column for name, column in c.controls.items()}
        out |= {f"event.{name}": column.column for name, column in c.delivered_events().items()}
        return out


class Params(Strict):
    """All of ``params.yaml``."""

    models: dict[Name, ModelParams]

    def model(self, name: str) -> ModelParams:
        """Return one model's params; unknown names get the nearest known one."""
        if name not in self.models:
            near = difflib.get_close_matches(name, self.models, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ConfigError(
                f"params.yaml: no model named {name!r}; known: {', '.join(self.models)}. {hint}"
                "Add one with `evermix init --source FILE --name NAME`."
            )
        return self.models[name]


def parse_params(data: Mapping[str, Any], where: str) -> Params:
    """Return checked params, or one ConfigError that lists every fault."""
    try:
        return Params.model_validate(data)
    except ValidationError as err:
        lines = [_fault_line(where, fault) for fault in err.errors()]
        raise ConfigError("\n".join(lines) + f"\n{len(lines)} fault(s). Mend the keys named above.") from None


def load_params(path: Path) -> Params:
    """Read and check a ``params.yaml``."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigError(f"{path}: is no file. Run inside an evermix project, or set EVERMIX_PROJECT.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: is not YAML ({err}). Mend the line named.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: got {type(data).__name__}, expected a mapping with the key 'models'.")
    return parse_params(data, str(path))


def _fault_line(where: str, fault: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    got = fault.get("input")
    shown = "" if isinstance(got, dict | list) else f", got {got!r}"
    hint = ""
    if isinstance(got, str) and fault["type"] in {"float_type", "int_type"}:
        hint = " (YAML reads 1e-4 as text: write 1.0e-4)"
    return f"{where}: {key}{shown}: {fault['msg']}{hint}"
