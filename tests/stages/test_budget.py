"""What the version in use says of the money, from the commit that a week left."""

import numpy as np
import pytest
from stages.world import COLUMNS, FITTED_WEEKS, make_draws, make_panel, make_params, version_file, week_of

from evermix.config import Environment
from evermix.core.draws import hash_draws, hash_weights
from evermix.engines.history import History
from evermix.engines.models.drawsfile import load_posterior, save_tree, weights_bytes
from evermix.engines.sources import panel_bytes
from evermix.engines.store import Store, write_bytes, write_json, write_text
from evermix.errors import ConfigError
from evermix.stages.budget import plan, review_live

PLAN = "week,tv_spend,search_spend,price\n" + "".join(f"{week_of(FITTED_WEEKS + i)},50,150,10\n" for i in range(4))


def write_live(store, weights=None, panel=None):
    save_tree(make_draws(), store.live / "base.nc")
    changes = {"draws_hash": hash_draws(load_posterior(store.live / "base.nc"))}
    if weights is not None:
        write_bytes(store.live / "weights.npy", weights_bytes(weights))
        changes |= {"weights_hash": hash_weights(weights), "parent": "brand/2025-04-14/89abcdef"}
    write_json(store.live / "champion.json", version_file(**changes))
    write_bytes(store.live / "panel.parquet", panel_bytes(make_panel(FITTED_WEEKS) if panel is None else panel))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "clone", "brand")


def test_the_version_in_use_tells_the_better_split_and_judges_no_other(store):
    write_live(store)
    record = review_live(store, make_params()).record
    spend = {row["channel"]: (row["spend"], row["best_spend"]) for row in record["channels"]}
    assert record["source"] == "the last 13 weeks" and record["target"] == "sales"
    assert spend["search"][1] > spend["search"][0] and spend["tv"][1] < spend["tv"][0]
    assert record["regret_per_week"] > 0 and "champion_best_spend" not in record["channels"][0]
    assert record["experiment"]["channel"] in COLUMNS["channels"]


def test_an_update_counts_with_its_weights(store):
    tv = make_draws()["posterior"]["coefficient"].sel(feature="tv").to_numpy().ravel()
    weights = np.where(tv >= np.quantile(tv, 0.9), 0.0, -50.0)
    write_live(store)
    brings = {row["channel"]: row["brings"] for row in review_live(store, make_params()).record["channels"]}
    write_live(store, weights - np.log(np.exp(weights).sum()))
    updated = {row["channel"]: row["brings"] for row in review_live(store, make_params()).record["channels"]}
    # By hand: the mean of the highest tenth of Normal(0.8, 0.02) lies 1.755 sd above the mean.
    assert updated["tv"] / brings["tv"] == pytest.approx(1 + 1.755 * 0.02 / 0.8, abs=0.01)


def test_a_channel_that_params_no_longer_name_spends_nothing_and_is_not_tested(store):
    write_live(store, panel=make_panel(FITTED_WEEKS).drop(columns="spend.tv"))
    record = review_live(store, make_params()).record
    assert {row["channel"]: row["spend"] for row in record["channels"]}["tv"] == 0.0
    assert record["experiment"]["channel"] == "search"
    assert record["regret_per_week"] == 0.0


def test_without_a_version_the_review_does_not_apply(store):
    assert review_live(store, make_params()).record["why"] == "no version is in use yet"


@pytest.fixture
def env(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    places = {"history_url": str(home / "history.git"), "dvc_remote_url": str(home / "dvc"), "tracking_uri": ""}
    return Environment(project=tmp_path, home=home, **places)


def commit(env, fill):
    history = History(env, "brand")
    with history.locked():
        history.sync()
        fill(Store(history.root, "brand"))
        history.commit("closed brand 2025-04-14")


def test_the_plan_of_a_history_is_read_from_its_last_commit(env):
    def fill(store):
        write_live(store)
        write_text(store.snapshot / "plan.csv", PLAN)

    commit(env, fill)
    told = plan(env, make_params(), "brand")
    assert told["version"] == version_file()["id"]
    assert told["budget"]["source"] == "the 4 planned weeks"
    assert {row["channel"]: row["spend"] for row in told["budget"]["channels"]} == {"tv": 50.0, "search": 150.0}


def test_the_suspects_of_a_pending_question_are_tested_first(env):
    def fill(store):
        write_live(store)
        write_json(store.live / "challenger" / "question.json", {})
        suspects = [{"name": "search", "family": "channel", "probability": 0.4, "size": -0.5}]
        write_json(store.live / "request" / "request.json", {"id": "0" * 16, "suspects": suspects})

    commit(env, fill)
    test = plan(env, make_params(), "brand")["budget"]["experiment"]
    assert (test["channel"], test["suspected"]) == ("search", 0.4)


def test_a_history_without_a_version_says_what_to_run(env):
    with pytest.raises(ConfigError, match="no version is in use yet"):
        plan(env, make_params(), "brand")


def test_a_plan_without_a_control_that_the_panel_has_is_not_used(store):
    write_live(store, panel=make_panel(FITTED_WEEKS).assign(**{"control.temperature": 1.0}))
    write_text(store.snapshot / "plan.csv", PLAN)
    assert review_live(store, make_params()).record["source"] == "the last 13 weeks"
