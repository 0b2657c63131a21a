"""A replicate is the simulator's brand, played in memory, with changes of the size that is stated."""

from datetime import date
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evermix.config import load_params
from evermix.core.panel import to_panel
from evermix.validity.replicate import HISTORY, HORIZON, SCENARIOS, WEEKS, play, study_params

PARAMS = study_params(load_params(Path(__file__).resolve().parents[2] / "params.yaml").models["brand"])


@pytest.mark.parametrize("scenario", ["nothing", "spend_shift", "restated"])
@pytest.mark.parametrize("weeks", [1, 30, 52])
def test_a_panel_in_memory_is_the_one_read_from_the_delivered_file(scenario, weeks):
    replicate = play(scenario, seed=4)
    feed = replicate.simulation.feed
    as_of = feed.name_week(HISTORY + weeks)
    text = pd.read_csv(BytesIO(feed.deliver(as_of).content), dtype=str, keep_default_na=False)
    expected = to_panel(text, PARAMS.columns, PARAMS.source, date.fromisoformat(as_of))
    pd.testing.assert_frame_equal(replicate.panel(PARAMS, weeks), expected)


@pytest.mark.parametrize(("scenario", "size"), [("effect_halves", 1.0), ("small_effect_halves", 0.26)])
@pytest.mark.parametrize("seed", [1, 2, 100001])
def test_an_effect_that_halves_moves_the_mean_by_the_size_stated(scenario, size, seed):
    replicate = play(scenario, seed)
    after = replicate.shape[replicate.change : replicate.change + HORIZON]
    assert after.mean() == pytest.approx(-size, rel=0.002)
    assert np.all(replicate.shape[: replicate.change] == 0.0)


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "nothing"])
def test_32_weeks_are_left_to_find_a_change_in(scenario):
    changes = [play(scenario, seed).change for seed in range(1, 41)]
    assert min(changes) >= 0
    assert max(changes) <= WEEKS - HORIZON - 1
    assert len(set(changes)) > 10


def test_levels_move_up_as_often_as_down():
    signs = [np.sign(play("level_shift", seed).shape[-1]) for seed in range(1, 61)]
    assert 15 < signs.count(1.0) < 45


def test_a_replicate_is_a_function_of_scenario_and_seed():
    first, again = (play("outlier", 9).panel(PARAMS, WEEKS) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
