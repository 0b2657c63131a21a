"""What the file says, delivery by delivery."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from evermix.core.simulate import simulate
from evermix.core.simulate_events import Corrupt, EffectChange, LateTarget, NewChannel, Restatement, SpendShift
from evermix.core.simulate_scenarios import AUDIO, DEMAND, QUIET, REGIONS, SCENARIOS
from evermix.core.simulate_truth import measure_roas
from evermix.errors import ConfigError

SHORT = replace(QUIET, history_weeks=30, weeks=10)


def read(simulation, number, attempt=1):
    feed = simulation.feed
    return pd.read_csv(BytesIO(feed.deliver(feed.name_week(number), attempt).content))


def lines(simulation, number, attempt=1):
    feed = simulation.feed
    return feed.deliver(feed.name_week(number), attempt).content.decode().splitlines()


def play(*events, scenario=SHORT):
    return simulate(replace(scenario, events=events), 6)


@pytest.mark.parametrize(
    "name, columns",
    [
        ("quiet", "week,sales,tv_spend,search_spend,social_spend,video_spend,price,promo,holiday"),
        ("regions", "week,geo,sales,tv_spend,search_spend,social_spend,price,promo,holiday"),
        ("demand", "week,units,price,temperature,promo,holiday"),
    ],
)
def test_feeds_have_the_columns_that_params_name(name, columns):
    assert lines(simulate(SCENARIOS[name], 1, 1), 157)[0] == columns


def test_a_delivery_holds_the_history_up_to_its_week_and_one_row_per_geo():
    panel = read(play(scenario=replace(REGIONS, history_weeks=30)), 12)
    assert panel["week"].nunique() == 12
    assert panel["geo"].tolist() == ["north", "south"] * 12


def test_a_week_is_delivered_once_and_a_broken_one_twice():
    deliveries = list(play(Corrupt(33, "duplicated_week")).feed.deliveries())
    assert [d.attempt for d in deliveries] == [1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1]
    assert [d.as_of for d in deliveries[2:4]] == ["2023-08-14", "2023-08-14"]
    assert [[p["kind"] for p in d.planted] for d in deliveries[1:5]] == [[], ["corrupt"], [], []]


def test_the_next_delivery_after_a_broken_one_carries_no_trace_of_it():
    assert lines(play(Corrupt(33, "text_in_number")), 34) == lines(play(), 34)


def test_text_in_a_number_touches_one_cell():
    simulation = play(Corrupt(33, "text_in_number"))
    broken, right = lines(simulation, 33), lines(simulation, 33, 2)
    assert broken[:-1] == right[:-1]
    week, sales, *rest = right[-1].split(",")
    assert broken[-1] == ",".join([week, f"{sales} EUR", *rest])


@pytest.mark.parametrize("scenario, rows", [(SHORT, 1), (replace(REGIONS, history_weeks=30), 2)])
def test_a_duplicated_week_is_there_twice_in_every_geo(scenario, rows):
    simulation = play(Corrupt(33, "duplicated_week"), scenario=scenario)
    right = lines(simulation, 33, 2)
    assert lines(simulation, 33) == right + right[-rows:]


@pytest.mark.parametrize("scenario", [SHORT, replace(REGIONS, history_weeks=30), replace(DEMAND, history_weeks=30)])
def test_a_negative_spend_touches_one_cell_that_was_not_zero(scenario):
    simulation = play(Corrupt(33, "negative_spend"), scenario=scenario)
    broken, right = lines(simulation, 33), lines(simulation, 33, 2)
    differ = [(b, r) for b, r in zip(broken[-1].split(","), right[-1].split(","), strict=True) if b != r]
    assert broken[:-1] == right[:-1]
    assert [b for b, _ in differ] == [f"-{r}" for _, r in differ]
    assert len(differ) == 1
    assert float(differ[0][0]) < 0


@pytest.mark.parametrize("scenario, gone", [(SHORT, "tv_spend"), (replace(DEMAND, history_weeks=30), "price")])
def test_a_missing_column_is_gone_and_all_else_is_there(scenario, gone):
    simulation = play(Corrupt(33, "missing_column"), scenario=scenario)
    pd.testing.assert_frame_equal(read(simulation, 33), read(simulation, 33, 2).drop(columns=gone))


def test_a_truncated_file_ends_in_the_middle_of_its_newest_row():
    feed = play(Corrupt(33, "truncated_file")).feed
    broken, right = (feed.deliver(feed.name_week(33), attempt).content for attempt in (1, 2))
    assert right.startswith(broken)
    assert len(broken.splitlines()) == 34
    assert broken.splitlines()[-1] not in right.splitlines()


def test_restated_cells_have_the_factor_and_earlier_deliveries_the_old_values():
    simulation = play(Restatement(33, "search_spend", 1.3, first=5, last=20))
    old, new = read(simulation, 32), read(simulation, 33)
    past = slice(4, 20)
    np.testing.assert_allclose(new["search_spend"][past], 1.3 * old["search_spend"][past], atol=0.006)
    new.loc[4:19, "search_spend"] = old["search_spend"][past]
    pd.testing.assert_frame_equal(new[:32], old)
    pd.testing.assert_frame_equal(read(simulation, 32), read(play(), 32))


def test_a_restated_target_stays_restated():
    simulation = play(Restatement(33, "sales", 0.9, first=31, last=31))
    for number in (33, 40):
        assert read(simulation, number)["sales"][30] == pytest.approx(
            0.9 * read(simulation, 32)["sales"][30], abs=0.006
        )


def test_a_late_target_is_blank_and_then_filled():
    simulation = play(LateTarget(33, 2))
    assert read(simulation, 33)["sales"].isna().tolist() == [False] * 32 + [True]
    assert read(simulation, 34)["sales"].isna().tolist() == [False] * 32 + [True, False]
    pd.testing.assert_frame_equal(read(simulation, 35), read(play(), 35))


@pytest.mark.parametrize("blank", [False, True])
def test_a_launched_channel_appears_as_a_new_last_column_in_its_week(blank):
    simulation = play(NewChannel(33, AUDIO, blank))
    before, after = read(simulation, 32), read(simulation, 33)
    assert [*before.columns, "audio_spend"] == after.columns.tolist()
    assert after["audio_spend"][:32].isna().all() if blank else (after["audio_spend"][:32] == 0).all()
    assert after["audio_spend"][32] > 0


@pytest.mark.parametrize(
    "as_of, attempt, words",
    [
        ("2023-08-15", 1, "expected a Monday from 2023-01-02 to 2023-10-02"),
        ("2023-08-14", 2, "got 2, expected 1 to 1"),
    ],
)
def test_deliveries_that_never_were_are_refused(as_of, attempt, words):
    with pytest.raises(ConfigError, match=words):
        play().feed.deliver(as_of, attempt)


def test_roas_by_hand():
    earned, paid = np.array([10.0, 30.0, 20.0]), np.array([5.0, 0.0, 15.0])
    assert measure_roas(earned, paid) == {"contribution": 60.0, "spend": 20.0, "roas": 3.0}


def test_roas_of_nothing_spent_is_unknown():
    assert measure_roas(np.zeros(2), np.zeros(2))["roas"] is None


def test_roas_is_told_per_regime_and_over_all():
    truth = play(EffectChange(33, "tv", 0.5), SpendShift(36, "tv", 2.0), EffectChange(34, "video", 2.0)).truth
    regimes = truth["roas"]["tv"]
    assert [(r["first"], r["last"]) for r in regimes] == [
        ("2023-01-02", "2023-08-07"),
        ("2023-08-14", "2023-08-28"),
        ("2023-09-04", "2023-10-02"),
        ("2023-01-02", "2023-10-02"),
    ]
    assert sum(r["spend"] for r in regimes[:3]) == pytest.approx(regimes[3]["spend"])
    geo = truth["geos"]["all"]
    earned, paid = sum(geo["contributions"]["tv"][32:35]), sum(geo["channels"]["tv"]["spend"][32:35])
    if paid:
        assert regimes[1]["roas"] == pytest.approx(earned / paid)
    assert regimes[3]["roas"] == pytest.approx(sum(geo["contributions"]["tv"]) / sum(geo["channels"]["tv"]["spend"]))
    assert len(truth["roas"]["search"]) == 1


@pytest.mark.parametrize("name", SCENARIOS)
def test_truth_is_plain_json_without_nan(name):
    truth = simulate(SCENARIOS[name], 2).truth
    assert json.loads(json.dumps(truth, allow_nan=False)) == truth
