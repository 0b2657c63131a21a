"""The scenarios that ship: which brand, how it sells, and what happens to it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

from evermix.core.simulate_events import (
    Bursts,
    Channel,
    Corrupt,
    EffectChange,
    Event,
    LateTarget,
    LevelShift,
    NewChannel,
    Outlier,
    Restatement,
    SpendShift,
)
from evermix.errors import ConfigError


@dataclass(frozen=True)
class Control:
    """A column that moves the target linearly: ``level * effect * (value - centre)``.

    Attributes
    ----------
    effect : tuple of float
        Range of the effect of one unit, as a share of the level.
    centre : float
        The value at which the control contributes nothing.
    """

    name: str
    effect: tuple[float, float]
    centre: float


@dataclass(frozen=True)
class Scenario:
    """A brand with known truth and the events it lives through.

    Attributes
    ----------
    name, model : str
        The scenario, and the shipped model whose feed it plays.
    target : str
        The target's column.
    geos : dict of str to float
        Size of each geo; the single name ``all`` means that the feed has no geo column.
    level : float
        Usual target of a week, in target units, for size 1.
    growth : tuple of float
        Range of the yearly linear growth, as a share of the level.
    season : tuple of float
        Amplitudes of the first and second Fourier order of the year, as shares of the level.
    noise_share : float
        Noise standard deviation as a share of the level.
    nu : float or None
        Degrees of freedom (above 2) of Student-t noise; None is Gaussian.
    confounding : float
        Multiplies every channel's ``follows``; 0 makes spend blind to demand.
    history_weeks, weeks : int
        Weeks before the first one played, and weeks to play unless told otherwise.
    """

    name: str
    model: str
    target: str
    geos: dict[str, float]
    level: float
    growth: tuple[float, float]
    season: tuple[float, float]
    noise_share: float
    channels: tuple[Channel, ...]
    controls: tuple[Control, ...]
    weeks: int
    events: tuple[Event, ...] = ()
    nu: float | None = None
    confounding: float = 1.0
    first_week: str = "2023-01-02"
    history_weeks: int = 156

    def after(self, *events: Event, name: str, weeks: int = 12) -> Scenario:
        """Return the same brand under another name, with these events."""
        return replace(self, name=name, events=events, weeks=weeks)


TV = Channel("tv", 11_000, (0.08, 0.11), (0.4, 0.65), (1.5, 3.0), Bursts((3, 6), (2, 5)), 0.25, 0.5)
SEARCH = Channel("search", 6_500, (0.08, 0.11), (0.05, 0.25), (1.5, 3.0), None, 0.35, 1.0)
SOCIAL = Channel("social", 5_000, (0.05, 0.08), (0.15, 0.4), (1.5, 3.0), Bursts((5, 10), (2, 3)), 0.4, 0.75)
VIDEO = Channel("video", 6_500, (0.04, 0.06), (0.3, 0.55), (1.5, 3.0), Bursts((2, 4), (3, 6)), 0.3, 0.5)
# A launch starts with a steady budget.
AUDIO = Channel("audio", 4_500, (0.04, 0.05), (0.15, 0.35), (1.5, 3.0), None, 0.1, 0.5)

PRICE = Control("price", (-0.14, -0.09), 10.0)
PROMO = Control("promo", (0.05, 0.08), 0.0)
HOLIDAY = Control("holiday", (0.05, 0.08), 0.0)
TEMPERATURE = Control("temperature", (0.006, 0.01), 11.0)

QUIET = Scenario(
    name="quiet",
    model="brand",
    target="sales",
    geos={"all": 1.0},
    level=100_000.0,
    growth=(0.01, 0.03),
    season=(0.08, 0.04),
    noise_share=0.035,
    channels=(TV, SEARCH, SOCIAL, VIDEO),
    controls=(PRICE, PROMO, HOLIDAY),
    weeks=26,
)

DEMO = QUIET.after(
    Corrupt(158, "text_in_number"),
    NewChannel(160, AUDIO),
    LevelShift(161, -6.0),
    Restatement(162, "search_spend", 1.4, first=79, last=161),
    name="demo",
    weeks=6,
)

REGIONS = replace(
    QUIET,
    name="regions",
    model="regions",
    geos={"north": 0.6, "south": 0.4},
    channels=(TV, SEARCH, SOCIAL),
    weeks=12,
)

DEMAND = replace(
    QUIET,
    name="demand",
    model="demand",
    target="units",
    level=8_000.0,
    growth=(0.0, 0.0),
    # Temperature alone carries the year, so that a plain regression is well specified.
    season=(0.0, 0.0),
    channels=(),
    controls=(PRICE, TEMPERATURE, PROMO, HOLIDAY),
    weeks=12,
)

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        DEMO,
        QUIET,
        REGIONS,
        DEMAND,
        QUIET.after(EffectChange(160, "search", 0.5), name="effect_change", weeks=36),
        QUIET.after(SpendShift(160, "social", 2.5), name="spend_shift", weeks=36),
        QUIET.after(LevelShift(160, -4.0), name="level_shift"),
        QUIET.after(Outlier(160, 6.0), name="outlier"),
        QUIET.after(Restatement(160, "search_spend", 1.3, first=53, last=159), name="restated"),
        QUIET.after(NewChannel(160, AUDIO), name="new_channel"),
        QUIET.after(LateTarget(160, 2), name="late_target"),
        QUIET.after(
            Corrupt(158, "text_in_number"),
            Corrupt(160, "duplicated_week"),
            Corrupt(162, "negative_spend"),
            Corrupt(164, "missing_column"),
            Corrupt(166, "truncated_file"),
            name="corrupt",
        ),
        replace(QUIET, name="student_t", nu=4.0, weeks=12),
    )
}


def find_scenario(name: str) -> Scenario:
    """Return a shipped scenario.

    Raises
    ------
    ConfigError
        For an unknown name, with the nearest known one.
    """
    if name not in SCENARIOS:
        near = difflib.get_close_matches(name, SCENARIOS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Choose one of them."
        raise ConfigError(f"simulate: scenario, got {name!r}, expected one of {', '.join(SCENARIOS)}. {hint}")
    return SCENARIOS[name]
