"""Frozen records that pass between stages, each saved as JSON under the name of its fields."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

DecisionName = Literal["first_fit", "keep", "update", "refit", "review", "quarantine"]
VerdictName = Literal["promote", "hold", "reject"]


class Record(BaseModel):
    """A frozen set of named values; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Fault(Record):
    """One broken rule of the data contract, or one warning about it."""

    rule: str
    where: str
    what: str
    value: str
    expected: str
    action: str


class ValidationReport(Record):
    """What the contract found in one snapshot; accepted when there is no fault.

    ``masked`` are the weeks whose target was blanked, as params ask.
    """

    model: str
    as_of: str
    status: Literal["accepted", "quarantined"]
    faults: list[Fault]
    warnings: list[Fault]
    weeks: int
    first_week: str | None
    last_week: str | None
    held_back: list[str]
    late_targets: list[str]
    masked: list[str] = []


class Cell(Record):
    """A past cell whose value differs between two snapshots (a restatement)."""

    week: str
    geo: str
    column: str
    old: float | None
    new: float | None


class SnapshotDiff(Record):
    """What a snapshot says that the one before did not."""

    new_weeks: list[str]
    missing_weeks: list[str]
    restated: list[Cell]
    completed: list[Cell]
    columns_added: list[str]
    columns_removed: list[str]
    channels_launched: list[str]
    channels_retired: list[str]


class Score(Record):
    """One row of the prequential log: a week and geo, scored once by the version live before it came.

    With a ``horizon`` of more than 1, by the version that was live so many weeks before.
    """

    week: str
    geo: str
    as_of: str
    version: str
    observed: float
    mean: float
    low_50: float
    high_50: float
    low_90: float
    high_90: float
    log_score: float
    crps: float
    pit: float
    z: float
    horizon: int = 1


class Seen(Record):
    """A condition of a rule, with the number it saw; None: the evidence is missing."""

    evidence: str
    op: str
    value: float | bool
    seen: float | bool | None

    def text(self) -> str:
        """Return what was seen and what the rule asks, e.g. ``drift.calls = 2, limit > 0``."""
        seen = "missing" if self.seen is None else _short(self.seen)
        return f"{self.evidence} = {seen}, limit {self.op} {_short(self.value)}"


class QualityPoint(Record):
    """One measure of one delivery's quality, and the limits that its past sets it.

    ``limit``: ``spread`` or ``worst`` of its past, ``none`` (the contract allows none), ``too few weeks`` or
    ``not measured``; ``weeks`` are those of the past that it comes from.
    """

    as_of: str
    delivery: int
    accepted: bool
    measure: str
    column: str
    value: float | None
    low: float | None
    high: float | None
    weeks: int
    limit: str
    outside: bool


class RuleOutcome(Seen):
    """A rule of the decision table, with the numbers it saw.

    ``also`` are its further conditions.  ``missing`` names the evidence for want of which the rule cannot be
    answered; it is empty where another condition does not hold, since then the rule does not fire whatever it says.
    """

    name: str
    also: list[Seen] = []
    missing: list[str] = []
    fired: bool
    decision: str
    severity: str
    tell: list[str] = []
    why: str

    @model_validator(mode="before")
    @classmethod
    def _ledgers_of_one_condition(cls, data: Any) -> Any:
        if isinstance(data, dict) and "missing" not in data and data.get("seen") is None:
            return {**data, "missing": [data.get("evidence")]}
        return data

    def conditions(self) -> list[Seen]:
        """Return all conditions with what each saw."""
        return [self, *self.also]

    def text(self) -> str:
        """Return all that was seen, e.g. ``update.khat = 0.8, limit > 0.7 and ...``."""
        return " and ".join([super().text(), *[one.text() for one in self.also]])

    def line(self) -> str:
        """Return the rule with all that it saw, e.g. ``rule backstop: calendar.weeks_since_fit = 52, limit >= 52``."""
        return f"rule {self.name}: {self.text()}"


class RuleCost(Record):
    """What one rule cost so far.

    ``weeks`` in which it was asked and could be answered, ``missing`` in which its evidence lacked; ``decided`` counts
    the decisions that it made, ``fits`` those among them that fitted a model; per 52 weeks with a 95 % interval, None
    where it was never asked.
    """

    rule: str
    leads_to: str
    weeks: int
    missing: int
    fired: int
    decided: dict[str, int]
    fits: int
    fits_per_year: float | None
    low_95: float | None
    high_95: float | None


def _short(value: float | bool) -> str:
    return str(value) if isinstance(value, bool) else f"{value:.4g}"


class Decision(Record):
    """What a week does, and the evidence that led there.

    ``because`` names the rules behind it, or the order (``person``, ``freeze``); the first of them decided, the others
    fired too and belong to the same question.
    """

    model: str
    as_of: str
    decision: DecisionName
    reasons: list[str]
    evidence: dict[str, float | bool | None]
    rules: list[RuleOutcome]
    request: str | None
    requested_now: bool
    because: list[str] = []


class CheckOutcome(Record):
    """A check of the gate, with the number it saw; missing numbers do not pass."""

    metric: str
    seen: float | None
    low: float | None
    high: float | None
    passed: bool
    otherwise: str
    why: str


class Verdict(Record):
    """What the gate says of a challenger."""

    model: str
    request: str | None
    verdict: VerdictName | None
    reasons: list[str]
    checks: list[CheckOutcome]


class VersionFile(Record):
    """All that is needed, with its draws, to predict with a version and to compare another with it.

    ``spec`` is that of params then, and what a review added to it (`evermix.core.amend`).  ``masked_weeks`` are the
    weeks whose target its fit did not see (params of then).  ``parent`` names the fit whose draws an update weighs anew
    (None: it is that fit itself), ``weights_hash`` its weights and ``updated_through`` the last week that they count;
    ``panel_hash`` is of the panel the fit was made on, ``ess_bulk_min`` its smallest effective sample size.  All else
    of an update is its parent's.
    """

    id: str
    model: str
    as_of: str
    fitted_through: str
    kind: str
    spec: dict[str, Any]
    basis: dict[str, Any]
    columns: dict[str, Any]
    recipe: int
    sampler: dict[str, Any]
    request: str
    observed_hash: str
    draws_hash: str
    noise_sd: float
    masked_weeks: list[str] = []
    parent: str | None = None
    weights_hash: str | None = None
    updated_through: str | None = None
    panel_hash: str | None = None
    ess_bulk_min: float | None = None

    @property
    def base(self) -> str:
        """Id of the version that was fitted: the parent of an update, otherwise its own."""
        return self.parent or self.id

    @property
    def fitted_as_of(self) -> str:
        """The week whose fit made the draws, ISO Monday."""
        return self.base.split("/")[1]

    @property
    def amendments(self) -> dict[str, Any]:
        """What a review added to the spec, empty for a plain one."""
        return dict(self.spec.get("amendments", {}))


class Origin(Record):
    """A posterior frozen when a week was closed, for the forecasts of the weeks behind it.

    ``draws`` are the draws of the version's fit, chain by chain, that stand for it, each as often as it counts.
    """

    as_of: str
    version: VersionFile
    draws: list[int]
