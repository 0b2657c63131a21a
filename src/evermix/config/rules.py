"""The decision table and the gate: conditions on named evidence, and what follows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from evermix.config.evidence import EVIDENCE, nearest_evidence
from evermix.config.fields import Name, Strict


class Condition(Strict):
    """``evidence op value``: what one number of the week's evidence must be."""

    evidence: str
    op: Literal[">", ">=", "<", "<=", "==", "!="]
    value: float | bool

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_floats(cls, data: Any) -> Any:
        if isinstance(data, dict) and type(data.get("value")) is int:
            return {**data, "value": float(data["value"])}
        return data

    @model_validator(mode="after")
    def _can_be_asked(self) -> Condition:
        known = EVIDENCE.get(self.evidence)
        if known is None:
            raise ValueError(f"no evidence is named {self.evidence!r}. {nearest_evidence(self.evidence)}")
        if (known.unit == "bool") != isinstance(self.value, bool):
            expected = "true or false" if known.unit == "bool" else f"a number of {known.unit}"
            raise ValueError(f"{self.evidence} {self.op} {self.value}: expected {expected}")
        if known.unit == "bool" and self.op not in ("==", "!="):
            raise ValueError(f"{self.evidence} is true or false; got op {self.op!r}, expected '==' or '!='")
        return self


class Rule(Condition):
    """One line of the decision table: where its condition holds, and all those of ``also``, it fires ``decision``.

    The decision ``tell`` ends nothing: people are told and the next rule is asked.  ``tell`` names the routes of
    ``alerts.yaml`` that its alerts take; none: those that take the model and the severity.
    """

    name: Name
    also: list[Condition] = Field(default_factory=list)
    decision: Literal["quarantine", "first_fit", "refit", "review", "update", "tell"]
    severity: Literal["info", "warning", "critical"]
    tell: list[str] = Field(default_factory=list)
    why: str

    def conditions(self) -> list[Condition]:
        """Return all that must hold."""
        return [self, *self.also]


class Check(Strict):
    """One line of the gate: the number named ``metric`` must lie within ``[low, high]``, otherwise hold or reject.

    ``at_first_fit`` stands in for ``otherwise`` when no version is in use: ``note`` says it and goes on.
    """

    metric: str
    low: float | None
    high: float | None
    otherwise: Literal["hold", "reject"]
    at_first_fit: Literal["note", "hold", "reject"]
    why: str

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_floats(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {k: float(v) if k in ("low", "high") and type(v) is int else v for k, v in data.items()}


class GateParams(Strict):
    """What a challenger must pass, and how long a question waits."""

    checks: list[Check]
    approval_expires_weeks: Annotated[int, Field(ge=1)]
