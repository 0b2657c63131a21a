"""What changed since the champion's fit."""

import pytest
from stages.world import COLUMNS, FITTED_WEEKS, SPEC, make_panel, make_params, version_file, week_of

from evermix.core import changes
from evermix.records import Cell, SnapshotDiff, VersionFile

VIDEO = {"spend": "video", "exposure": None, "launched": None}


def champion(**kwargs):
    return VersionFile(**version_file(**kwargs))


def diff(*cells):
    lists = ("new_weeks", "missing_weeks", "completed", "columns_added", "columns_removed")
    channels = {"channels_launched": [], "channels_retired": []}
    return SnapshotDiff(restated=list(cells), **{key: [] for key in lists}, **channels)


def cell(column, old, new):
    return Cell(week=week_of(3), geo="all", column=column, old=old, new=new)


def test_same_params_change_nothing():
    assert changes.changed_settings(make_params(), champion()) == []
    panel = make_panel(FITTED_WEEKS + 1)
    assert changes.changed_channels(make_params(), champion(), panel, week_of(FITTED_WEEKS)) == {}


def test_seed_is_another_run_and_draws_are_another_fit():
    sampler = make_params().sampler.model_dump()
    assert changes.changed_settings(make_params(sampler=sampler | {"seed": 1}), champion()) == []
    assert changes.changed_settings(make_params(sampler=sampler | {"draws": 500}), champion()) == ["sampler"]


def test_what_a_review_added_to_the_champion_is_no_change_of_spec():
    amended = champion(spec=SPEC | {"amendments": {"level_breaks": ["2024-01-01"]}})
    assert changes.changed_settings(make_params(), amended) == []
    assert changes.changed_settings(make_params(spec=SPEC | {"trend": True}), amended) == ["spec"]


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("recipe", 2, "recipe"),
        ("spec", SPEC | {"trend": True}, "spec"),
        ("columns", COLUMNS | {"controls": {}}, "columns.controls"),
        ("columns", COLUMNS | {"target": {"column": "units", "aggregate": "sum"}}, "columns.target"),
    ],
)
def test_changed_setting_is_named(key, value, name):
    assert changes.changed_settings(make_params(**{key: value}), champion()) == [name]


def test_one_and_one_point_zero_are_one_setting():
    prior = SPEC["priors"] | {"noise_sd": 1}
    assert changes.changed_settings(make_params(), champion(spec=SPEC | {"priors": prior})) == []


def test_channel_reading_another_column_is_a_changed_setting():
    moved = COLUMNS["channels"] | {"tv": {"spend": "tv_eur", "exposure": None, "launched": None}}
    params = make_params(columns=COLUMNS | {"channels": moved})
    assert changes.changed_settings(params, champion()) == ["columns.channels.tv"]


def test_declared_channel_counts_once_it_spends():
    params = make_params(columns=COLUMNS | {"channels": COLUMNS["channels"] | {"video": VIDEO}})
    panel = make_panel(FITTED_WEEKS + 1).assign(**{"spend.video": 0.0})
    as_of = week_of(FITTED_WEEKS)
    assert changes.changed_channels(params, champion(), panel, as_of) == {}
    panel.loc[FITTED_WEEKS, "spend.video"] = 1.0
    assert list(changes.changed_channels(params, champion(), panel, as_of)) == ["video"]
    assert changes.changed_settings(params, champion()) == []


def test_channel_the_champion_knew_as_zeros_is_launched_by_its_first_spend():
    columns = COLUMNS | {"channels": COLUMNS["channels"] | {"video": VIDEO}}
    panel = make_panel(FITTED_WEEKS + 1).assign(**{"spend.video": 0.0})
    panel.loc[FITTED_WEEKS, "spend.video"] = 1.0
    found = changes.changed_channels(
        make_params(columns=columns), champion(columns=columns), panel, week_of(FITTED_WEEKS)
    )
    assert list(found) == ["video"]


def test_spend_before_the_declared_launch_is_no_launch():
    video = VIDEO | {"launched": week_of(FITTED_WEEKS + 3)}
    params = make_params(columns=COLUMNS | {"channels": COLUMNS["channels"] | {"video": video}})
    panel = make_panel(FITTED_WEEKS + 1).assign(**{"spend.video": 5.0})
    assert changes.changed_channels(params, champion(), panel, week_of(FITTED_WEEKS)) == {}


def test_channel_gone_from_params_is_retired():
    params = make_params(columns=COLUMNS | {"channels": {"tv": COLUMNS["channels"]["tv"]}})
    panel = make_panel(FITTED_WEEKS + 1)
    assert list(changes.changed_channels(params, champion(), panel, week_of(FITTED_WEEKS))) == ["search"]


def test_restatement_by_hand():
    before = make_panel(FITTED_WEEKS)
    before["spend.tv"] = 10.0
    cells = [cell("target", 100.0, 130.0), cell("spend.tv", 10.0, 40.0), cell("spend.tv", 10.0, 4.0)]
    found = changes.restatement(diff(*cells), before, week_of(FITTED_WEEKS - 1), noise_sd=20.0)
    assert found["restatement.target_sd"] == pytest.approx(1.5)
    assert found["restatement.spend_share"] == pytest.approx(36.0 / (10.0 * FITTED_WEEKS))
    assert found["restatement.cells"] == 3.0


def test_withdrawn_target_counts_with_all_of_it():
    found = changes.restatement(diff(cell("target", 100.0, None)), None, week_of(5), noise_sd=20.0)
    assert found["restatement.target_sd"] == pytest.approx(5.0)


def test_spend_where_there_was_none_is_a_whole_restatement():
    before = make_panel(FITTED_WEEKS).assign(**{"spend.tv": 0.0})
    found = changes.restatement(diff(cell("spend.tv", 0.0, 7.0)), before, week_of(FITTED_WEEKS - 1), 20.0)
    assert found["restatement.spend_share"] == 1.0


def test_nothing_restated_is_zero():
    assert set(changes.restatement(diff(), None, week_of(5), 20.0).values()) == {0.0}
