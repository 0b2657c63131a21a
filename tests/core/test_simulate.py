"""The simulated world: its truth adds up, and its draws stay put."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evermix.core.simulate import simulate
from evermix.core.simulate_events import Corrupt, EffectChange, LevelShift, NewChannel, Outlier, Restatement, SpendShift
from evermix.core.simulate_scenarios import AUDIO, QUIET, SCENARIOS, find_scenario
from evermix.errors import ConfigError

SHORT = replace(QUIET, history_weeks=30, weeks=20)


def geo_truth(scenario, seed=1, weeks=None, geo="all"):
    return simulate(scenario, seed, weeks).truth["geos"][geo]


@pytest.mark.parametrize("name", SCENARIOS)
def test_contributions_sum_to_the_mean_and_with_noise_to_the_first_published_target(name):
    simulation = simulate(SCENARIOS[name], seed=3)
    for j, truth in enumerate(simulation.truth["geos"].values()):
        parts = np.sum(list(truth["contributions"].values()), axis=0)
        media = np.sum([truth["contributions"][c] for c in truth["channels"]], axis=0)
        published = simulation.feed.columns[simulation.feed.target][:, j]
        np.testing.assert_allclose(parts, truth["mean"], rtol=1e-9)
        np.testing.assert_allclose(truth["baseline"] + media, truth["mean"], rtol=1e-9)
        np.testing.assert_allclose(np.add(truth["mean"], truth["noise"]), published, atol=0.006)


@pytest.mark.parametrize("seed", range(5))
def test_a_quiet_brand_has_the_magnitudes_it_promises(seed):
    truth = geo_truth(QUIET, seed, weeks=0)
    mean = np.array(truth["mean"])
    season = np.array(truth["contributions"]["season"])
    assert 85_000 < mean.mean() < 115_000
    assert 0.2 < 1 - np.sum(truth["baseline"]) / mean.sum() < 0.4
    assert truth["noise_sd"] / mean.mean() < 0.05
    assert 0.05 < season.max() / mean.mean() < 0.15
    for channel in truth["channels"].values():
        on = [spend for spend in channel["spend"] if spend > 0]
        assert 2_000 < np.mean(on) < 20_000


def test_published_inputs_and_written_parameters_give_the_mean_back():
    """Second source: the mean rebuilt from truth.json and feed alone, with lags added up one by one."""
    simulation = simulate(QUIET, seed=5, weeks=4)
    truth, columns = simulation.truth["geos"]["all"], simulation.feed.columns
    n = len(simulation.feed.mondays)
    day = np.array([monday.timetuple().tm_yday for monday in simulation.feed.mondays])
    mean = truth["intercept"] + truth["growth_per_year"] * 7 * np.arange(n) / 365.25
    for order in (1, 2):
        mean += truth["season"][f"sin_{order}"] * np.sin(2 * np.pi * order * day / 365.25)
        mean += truth["season"][f"cos_{order}"] * np.cos(2 * np.pi * order * day / 365.25)
    for name, control in truth["controls"].items():
        mean += control["effect"] * (columns[name][:, 0] - control["centre"])
    for channel in truth["channels"].values():
        x = columns[channel["column"]][:, 0] / channel["spend_scale"]
        weights = channel["adstock_alpha"] ** np.arange(8) / sum(channel["adstock_alpha"] ** np.arange(8))
        stock = np.array([sum(weights[lag] * x[t - lag] for lag in range(8) if t >= lag) for t in range(n)])
        mean += channel["saturation_beta"] * np.tanh(channel["saturation_lam"] * stock / 2)
    np.testing.assert_allclose(mean, truth["mean"], rtol=1e-8)


@pytest.mark.parametrize(
    "event",
    [
        EffectChange(40, "search", 0.5),
        SpendShift(40, "social", 2.0),
        LevelShift(40, 4.0),
        Outlier(40, 6.0),
        NewChannel(40, AUDIO),
        Corrupt(40, "missing_column"),
        Restatement(40, "sales", 1.1, 5, 20),
    ],
    ids=lambda event: event.kind,
)
def test_an_event_leaves_everything_before_it_as_it_was(event):
    plain, changed = simulate(SHORT, 2), simulate(replace(SHORT, events=(event,)), 2)
    for number in range(1, 40):
        week = plain.feed.name_week(number)
        assert plain.feed.deliver(week).content == changed.feed.deliver(week).content
    before, after = plain.truth["geos"]["all"], changed.truth["geos"]["all"]
    assert before["noise"] == after["noise"]
    for name, part in before["contributions"].items():
        assert part[:39] == after["contributions"][name][:39]
        if name != getattr(event, "channel", None):
            assert part == after["contributions"][name]


def test_more_weeks_leave_the_earlier_ones_as_they_were():
    short, long = simulate(QUIET, 4, weeks=3), simulate(QUIET, 4, weeks=30)
    week = short.feed.name_week(159)
    assert short.feed.deliver(week).content == long.feed.deliver(week).content


def test_another_seed_is_another_brand():
    one, two = geo_truth(SHORT, 1), geo_truth(SHORT, 2)
    assert one["channels"]["tv"]["adstock_alpha"] != two["channels"]["tv"]["adstock_alpha"]
    assert one["noise"] != two["noise"]


def test_an_effect_change_multiplies_the_contribution_and_not_the_spend():
    plain = geo_truth(SHORT)
    changed = geo_truth(replace(SHORT, events=(EffectChange(40, "search", 0.5),)))
    np.testing.assert_allclose(
        changed["contributions"]["search"][39:], 0.5 * np.array(plain["contributions"]["search"][39:]), rtol=1e-8
    )
    assert changed["channels"]["search"]["spend"] == plain["channels"]["search"]["spend"]


def test_a_doubled_spend_sells_less_than_twice_as_much():
    plain = geo_truth(SHORT)
    shifted = geo_truth(replace(SHORT, events=(SpendShift(40, "social", 2.0),)))
    spends = (np.array(t["channels"]["social"]["spend"][39:]) for t in (plain, shifted))
    sold = [np.array(t["contributions"]["social"][39:]) for t in (plain, shifted)]
    np.testing.assert_allclose(2 * next(spends), next(spends), atol=0.011)
    assert np.all(sold[0] < sold[1])
    assert np.all(sold[1] < 2 * sold[0])


def test_level_shift_lasts_and_outlier_does_not():
    truth = geo_truth(replace(SHORT, events=(LevelShift(35, -4.0), Outlier(40, 6.0))))
    sd = truth["noise_sd"]
    np.testing.assert_allclose(truth["contributions"]["level_shift"], [0] * 34 + [-4 * sd] * 16)
    np.testing.assert_allclose(truth["contributions"]["outlier"], [0] * 39 + [6 * sd] + [0] * 10)


def test_a_launched_channel_neither_spends_nor_sells_before_its_week():
    truth = geo_truth(replace(SHORT, events=(NewChannel(40, AUDIO),)))
    assert truth["channels"]["audio"]["spend"][:39] == [0.0] * 39
    assert truth["contributions"]["audio"][:39] == [0.0] * 39
    assert min(truth["channels"]["audio"]["spend"][39:]) > 0
    assert min(truth["contributions"]["audio"][39:]) > 0


@pytest.mark.parametrize("strength, low, high", [(0.0, -0.25, 0.25), (4.0, 0.5, 1.0)])
def test_spend_follows_demand_as_strongly_as_asked(strength, low, high):
    truth = geo_truth(replace(QUIET, confounding=strength, history_weeks=400), seed=8)
    baseline = np.log(truth["baseline"])
    spend = np.log(truth["channels"]["search"]["spend"])
    assert low < np.corrcoef(baseline, spend)[0, 1] < high


def test_student_t_noise_has_the_sd_asked_for_and_heavier_tails():
    gauss = np.array(geo_truth(replace(QUIET, history_weeks=4000))["noise"])
    heavy = geo_truth(replace(QUIET, nu=5.0, history_weeks=4000))
    noise = np.array(heavy["noise"])
    assert np.std(noise) == pytest.approx(heavy["noise_sd"], rel=0.1)
    assert np.std(gauss) == pytest.approx(heavy["noise_sd"], rel=0.05)
    assert np.mean(noise**4) / np.var(noise) ** 2 > 1.3 * np.mean(gauss**4) / np.var(gauss) ** 2
    assert heavy["noise_scale"] == pytest.approx(heavy["noise_sd"] * np.sqrt(3 / 5))


def test_regions_are_two_geos_that_share_curves_and_differ_in_size():
    truth = simulate(SCENARIOS["regions"], 1).truth["geos"]
    north, south = truth["north"]["channels"]["tv"], truth["south"]["channels"]["tv"]
    assert north["saturation_lam"] == south["saturation_lam"]
    assert north["adstock_alpha"] == south["adstock_alpha"]
    assert north["spend"] != south["spend"]
    assert np.mean(truth["north"]["mean"]) > np.mean(truth["south"]["mean"])


def test_demand_is_a_plain_regression_without_media():
    truth = geo_truth(SCENARIOS["demand"])
    assert truth["channels"] == {}
    assert set(truth["contributions"]) == {"intercept", "trend", "season", "price", "temperature", "promo", "holiday"}
    assert set(truth["contributions"]["season"]) | set(truth["contributions"]["trend"]) == {0.0}


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    weeks=st.integers(0, 30),
    name=st.sampled_from(sorted(SCENARIOS)),
    confounding=st.floats(0, 3),
)
def test_clean_deliveries_have_mondays_without_gaps_and_no_negative_spend(seed, weeks, name, confounding):
    scenario = replace(SCENARIOS[name], confounding=confounding, history_weeks=20)
    scenario = replace(scenario, events=tuple(replace(e, week=21) for e in scenario.events if e.kind != "restated"))
    feed = simulate(scenario, seed, weeks).feed
    number = 20 + weeks
    content = feed.deliver(feed.name_week(number), feed.count_attempts(number)).content.decode()
    header, *rows = [line.split(",") for line in content.splitlines()]
    first = date.fromisoformat(scenario.first_week)
    days = [date.fromisoformat(row[0]) for row in rows]
    assert first.weekday() == 0
    assert days == [first + timedelta(weeks=i) for i in range(number) for _ in feed.geos]
    places = [i for i, column in enumerate(header) if column.endswith("_spend")]
    assert all(float(row[i]) >= 0 for row in rows for i in places)


def test_events_after_the_last_week_do_not_happen():
    assert simulate(SCENARIOS["demo"], 1, weeks=2).truth["events"] == simulate(SCENARIOS["demo"], 1).truth["events"][:1]
    assert "audio" not in geo_truth(SCENARIOS["demo"], weeks=2)["channels"]


def test_the_demo_lives_through_what_it_promises():
    truth = simulate(SCENARIOS["demo"], 1).truth
    assert [(e["kind"], e["number"]) for e in truth["events"]] == [
        ("corrupt", 158),
        ("new_channel", 160),
        ("level_shift", 161),
        ("restated", 162),
    ]
    search = truth["geos"]["all"]["channels"]["search"]["spend"]
    assert abs(truth["events"][2]["noise_sd"]) >= 4
    assert 0.4 * sum(search[78:161]) / sum(search[:161]) >= 0.1


def test_an_unknown_scenario_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"got 'outliers'.*Did you mean 'outlier'\?"):
        find_scenario("outliers")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"events": (EffectChange(5, "radio", 2.0),)}, "channel, got 'radio', expected one of search"),
        ({"events": (Restatement(5, "clicks", 2.0, 1, 2),)}, "column, got 'clicks'"),
        ({"events": (Restatement(5, "sales", 2.0, 4, 9),)}, "weeks, got 4..9"),
        ({"events": (SpendShift(0, "tv", -1.0),)}, r"(?s)week of at least 1.*factor, got -1.0"),
        ({"nu": 2.0}, "nu, got 2.0"),
        ({"first_week": "2023-01-03"}, "expected a Monday"),
    ],
)
def test_impossible_scenarios_are_refused_with_value_and_rule(change, words):
    with pytest.raises(ConfigError, match=words):
        simulate(replace(SHORT, **change), 1)


@pytest.mark.parametrize("seed, weeks", [(-1, 1), (1, -1)])
def test_negative_seeds_and_weeks_are_refused(seed, weeks):
    with pytest.raises(ConfigError, match="expected 0 or more"):
        simulate(QUIET, seed, weeks)
