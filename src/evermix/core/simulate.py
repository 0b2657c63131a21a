"""A simulated brand with known truth: the mean week by week, the feed that shows it, and what is true.

The mean is, term for term, the additive form of a marketing-mix model with linear trend, two yearly Fourier
orders, linear controls, normalised geometric adstock and logistic saturation, so that a week without event is
a week of a well-specified model.  Spend follows foreseeable demand; that is the only confounding.
Pure: arrays in, arrays and bytes out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from evermix.core.simulate_events import (
    Channel,
    EffectChange,
    LevelShift,
    NewChannel,
    Outlier,
    SpendShift,
    check_events,
)
from evermix.core.simulate_feed import Feed
from evermix.core.simulate_scenarios import Control, Scenario
from evermix.core.simulate_series import (
    Series,
    adstock_geometric,
    draw_noise,
    draw_price,
    draw_promotions,
    draw_spend,
    draw_temperature,
    list_mondays,
    mark_holidays,
    saturate_logistic,
    stream,
    yearly_terms,
)
from evermix.core.simulate_truth import GeoTruth, MediaTruth, write_truth
from evermix.errors import ConfigError

WEEKS_PER_YEAR = 365.25 / 7.0


@dataclass(frozen=True)
class Simulation:
    """A feed and the truth behind it.

    Attributes
    ----------
    scenario : Scenario
        With the number of weeks played, and only the events that happened in them.
    feed : Feed
        Gives the deliveries: ``feed.deliveries()``, ``feed.deliver(as_of, attempt)``.
    truth : dict
        JSON: parameters, contributions, ROAS, baseline, noise and events; see ``simulate_truth``.
    """

    scenario: Scenario
    seed: int
    feed: Feed
    truth: dict[str, Any]


def simulate(scenario: Scenario, seed: int, weeks: int | None = None) -> Simulation:
    """Return a brand's feed and truth.

    Parameters
    ----------
    seed : int
        At least 0.  Truth and draws depend on it and on the names of what is drawn, nothing else.
    weeks : int or None
        Weeks to play after the history, at least 0; None takes the scenario's.  Events beyond do not happen.

    Raises
    ------
    ConfigError
        For a negative seed or number of weeks, or events that the scenario cannot have.
    """
    played = scenario.weeks if weeks is None else weeks
    if seed < 0 or played < 0:
        raise ConfigError(f"simulate: seed and weeks, got {seed} and {played}, expected 0 or more. Choose others.")
    n = scenario.history_weeks + played
    scenario = replace(scenario, weeks=played, events=tuple(e for e in scenario.events if e.week <= n))
    _check(scenario)
    mondays = list_mondays(date.fromisoformat(scenario.first_week), n)
    geos = {geo: _simulate_geo(scenario, seed, geo, mondays) for geo in scenario.geos}
    feed = _lay_out(scenario, geos, mondays)
    return Simulation(scenario, seed, feed, write_truth(scenario, seed, feed, geos))


def list_channels(scenario: Scenario) -> list[Channel]:
    """Return the channels from the start, then the launched ones."""
    return [*scenario.channels, *(e.channel for e in scenario.events if isinstance(e, NewChannel))]


def _check(scenario: Scenario) -> None:
    channels = list_channels(scenario)
    columns = [scenario.target, *(c.column for c in channels), *(c.name for c in scenario.controls)]
    check_events(scenario.events, [c.name for c in channels], columns)
    if scenario.nu is not None and scenario.nu <= 2:
        raise ConfigError(f"scenario: nu, got {scenario.nu}, expected above 2, else the noise has no sd. Raise it.")
    if date.fromisoformat(scenario.first_week).weekday() != 0:
        raise ConfigError(f"scenario: first_week, got {scenario.first_week}, expected a Monday. Name its Monday.")


def _simulate_geo(scenario: Scenario, seed: int, geo: str, mondays: list[date]) -> GeoTruth:
    size = scenario.geos[geo]
    level = scenario.level * size
    noise_sd = scenario.noise_share * level
    n = len(mondays)
    inputs = _draw_inputs(scenario, seed, geo, mondays)
    effects = {c.name: level * _pick(seed, c.effect, "truth", c.name, geo) for c in scenario.controls}
    growth = level * _pick(seed, scenario.growth, "truth", "growth", geo)
    season = level * _draw_season(scenario, seed)
    media_share = sum(_pick(seed, c.share, "truth", c.name, "share", geo) for c in scenario.channels)
    planned = {
        "intercept": np.full(n, level * (1.0 - media_share)),
        "trend": growth * np.arange(n) / WEEKS_PER_YEAR,
        "season": yearly_terms(mondays) @ season,
        **{c.name: effects[c.name] * (inputs[c.name] - c.centre) for c in scenario.controls},
    }
    demand = sum(planned.values(), np.zeros(n)) / (level * (1.0 - media_share))
    media = {c.name: _run_channel(scenario, seed, geo, c, demand) for c in list_channels(scenario)}
    shifts = _shift_level(scenario, n, noise_sd)
    noise = draw_noise(stream(seed, "noise", geo), n, noise_sd, scenario.nu)
    contributions = planned | shifts | {name: m.contribution for name, m in media.items()}
    return GeoTruth(inputs, growth, season, effects, media, contributions, noise, noise_sd)


def _pick(seed: int, bounds: tuple[float, float], *names: str) -> float:
    return float(stream(seed, *names).uniform(*bounds))


def _draw_season(scenario: Scenario, seed: int) -> Series:
    """Return the four Fourier coefficients, as shares of the level; geos share their season."""
    phases = stream(seed, "truth", "season").uniform(0.0, 2.0 * np.pi, 2)
    return np.array([a * f(p) for a, p in zip(scenario.season, phases, strict=True) for f in (np.sin, np.cos)])


def _draw_inputs(scenario: Scenario, seed: int, geo: str, mondays: list[date]) -> dict[str, Series]:
    n = len(mondays)
    promo = draw_promotions(stream(seed, "promo", geo), n)

    def draw(control: Control) -> Series:
        match control.name:
            case "promo":
                return promo
            case "holiday":
                return mark_holidays(mondays)
            case "price":
                return draw_price(stream(seed, "price", geo), n, control.centre, promo)
            case "temperature":
                return draw_temperature(stream(seed, "temperature", geo), mondays)
        raise ConfigError(f"scenario: control, got {control.name!r}, expected price, promo, holiday or temperature.")

    return {control.name: draw(control) for control in scenario.controls}


def _run_channel(scenario: Scenario, seed: int, geo: str, channel: Channel, demand: Series) -> MediaTruth:
    """Return spend, parameters and contribution of one channel in one geo."""
    size = scenario.geos[geo]
    week = np.arange(1, len(demand) + 1)
    spend_factor, effect_factor = np.ones(len(week)), np.ones(len(week))
    for event in scenario.events:
        if isinstance(event, SpendShift) and event.channel == channel.name:
            spend_factor[week >= event.week] *= event.factor
        if isinstance(event, EffectChange) and event.channel == channel.name:
            effect_factor[week >= event.week] *= event.factor
        if isinstance(event, NewChannel) and event.channel.name == channel.name:
            spend_factor[week < event.week] = 0.0
    drawn = draw_spend(stream(seed, "spend", channel.name, geo), channel, size, demand, scenario.confounding)
    # Rounded before it works, so that the published spend is exactly what drove the target.
    spend = np.round(drawn * spend_factor, 2)
    alpha = _pick(seed, channel.alpha, "truth", channel.name, "alpha")
    lam = _pick(seed, channel.lam, "truth", channel.name, "lam")
    share = _pick(seed, channel.share, "truth", channel.name, "share", geo)
    scale = 2.0 * channel.spend * size
    duty = 1.0 if channel.bursts is None else channel.bursts.duty
    # The usual spend saturates at lam / 2: this beta gives the channel about its share of the level.
    beta = share * scenario.level * size / (duty * float(saturate_logistic(0.5, lam)))
    contribution = beta * effect_factor * saturate_logistic(adstock_geometric(spend / scale, alpha), lam)
    return MediaTruth(channel, spend, alpha, lam, beta, scale, contribution)


def _shift_level(scenario: Scenario, n: int, noise_sd: float) -> dict[str, Series]:
    week = np.arange(1, n + 1)
    shifts: dict[str, Series] = {}
    for event in scenario.events:
        if isinstance(event, LevelShift | Outlier):
            touched = week >= event.week if isinstance(event, LevelShift) else week == event.week
            shifts[event.kind] = shifts.get(event.kind, np.zeros(n)) + event.noise_sd * noise_sd * touched
    return shifts


def _lay_out(scenario: Scenario, geos: dict[str, GeoTruth], mondays: list[date]) -> Feed:
    """Return the feed: target, spends, controls, then launched channels, which is where a new column appears."""
    channels = list_channels(scenario)
    started = [c.name for c in scenario.channels]
    target = {scenario.target: [np.round(g.mean + g.noise, 2) for g in geos.values()]}
    spends = {c.column: [g.media[c.name].spend for g in geos.values()] for c in channels if c.name in started}
    controls = {c.name: [g.inputs[c.name] for g in geos.values()] for c in scenario.controls}
    launched = {c.column: [g.media[c.name].spend for g in geos.values()] for c in channels if c.name not in started}
    columns = {name: np.column_stack(values) for name, values in (target | spends | controls | launched).items()}
    decimals = {name: {"promo": 0, "holiday": 0, "temperature": 1}.get(name, 2) for name in columns}
    return Feed(
        tuple(mondays), tuple(geos), scenario.target, columns, decimals, scenario.events, scenario.history_weeks
    )
