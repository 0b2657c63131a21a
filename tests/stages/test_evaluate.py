import numpy as np
import pandas as pd
import pytest
from stages.world import FITTED_WEEKS, SPEC, make_draws, make_panel, make_params, write_champion, write_fit, write_week

from evermix.engines.models.drawsfile import save_tree
from evermix.engines.store import Store, hash_folder, read_json, write_json
from evermix.errors import StoreError
from evermix.stages import decide, evaluate, monitor
from evermix.stages.audit import audit_fit
from evermix.stages.fits import list_fits


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "brand")


def request(store, champion):
    params = make_params(spec=SPEC)
    write_week(store, make_panel(FITTED_WEEKS + 1), make_panel(FITTED_WEEKS))
    if champion:
        write_champion(store, recipe=2)
    monitor.run(store, params)
    decide.run(store, params)
    return read_json(store.request / "request.json")


def test_fit_near_the_truth_passes_every_number(store):
    write_fit(store, request(store, champion=True))
    record = evaluate.run(store, make_params())
    values = record["values"]
    assert values["rhat_max"] == 1.0 and values["holdout_crps_ratio"] < 1.2
    assert 0.01 < values["ppc_mean_p"] < 0.99 and 0.01 < values["ppc_sd_p"] < 0.99
    assert 0.8 < values["coverage_90"] <= 1.0 and values["champion_overlap_min"] > 0.9
    assert {check.metric for check in make_params().gate.checks} <= set(values)


def test_first_fit_says_why_there_is_no_overlap(store):
    write_fit(store, request(store, champion=False))
    record = evaluate.run(store, make_params())
    assert record["values"]["champion_overlap_min"] is None
    assert "no champion" in record["not_applicable"]["champion_overlap_min"]
    assert "no other version" in record["not_applicable"]["champion_plan_regret_share"]
    assert record["values"]["regret_per_week"] > 0


def test_roas_is_contribution_over_spend_of_the_last_year(store):
    write_fit(store, request(store, champion=True))
    record = evaluate.run(store, make_params())
    spend = make_panel(FITTED_WEEKS + 1)["spend.tv"].iloc[-52:]
    expected = (0.8 * np.log1p(spend / 300) * 100).sum() / spend.sum()
    rows = {(row["channel"], row["version"]): row for row in record["roas"]}
    assert rows["tv", "challenger"]["mean"] == pytest.approx(expected, rel=0.02)
    assert rows["tv", "challenger"]["low"] < expected < rows["tv", "challenger"]["high"]
    assert ("tv", "champion") in rows


def test_regret_of_the_present_plan_is_the_gain_of_moving_money_to_the_better_channel(store):
    write_fit(store, request(store, champion=True))
    record = evaluate.run(store, make_params())
    rows = {row["channel"]: row for row in record["budget"]["channels"]}
    panel = make_panel(FITTED_WEEKS + 1).iloc[-13:]

    def worth(channel, coefficient, factor):
        return (coefficient * np.log1p(panel[f"spend.{channel}"] * factor / 300) * 100).mean()

    moved = {name: row["best_spend"] / row["spend"] for name, row in rows.items()}
    gain = sum(worth(c, b, moved[c]) - worth(c, b, 1.0) for c, b in (("tv", 0.8), ("search", 1.2)))
    assert moved["search"] > 1.0 > moved["tv"]
    assert record["values"]["regret_per_week"] == pytest.approx(gain, abs=0.2)
    assert record["values"]["champion_plan_regret_per_week"] == pytest.approx(0.0, abs=0.05)
    assert record["metrics"]["regret_share"] > 0
    curves = pd.read_csv(store.evaluated / "curves.csv")
    assert set(curves["version"]) == {"champion", "challenger"} and set(curves["channel"]) == {"tv", "search"}


def test_a_plan_that_came_with_the_request_is_the_one_that_is_judged(store):
    asked = request(store, champion=True)
    last = make_panel(FITTED_WEEKS + 1).iloc[-4:]
    planned = last.assign(week=last["week"] + pd.Timedelta(weeks=4), target=np.nan, **{"spend.tv": 50.0})
    planned.to_parquet(store.request / "plan.parquet")
    write_fit(store, asked)
    budget = evaluate.run(store, make_params())["budget"]
    assert budget["source"] == "the 4 planned weeks"
    assert {row["channel"]: row["spend"] for row in budget["channels"]}["tv"] == 50.0


def test_tables_have_one_row_per_week_and_component(store):
    write_fit(store, request(store, champion=True))
    evaluate.run(store, make_params())
    parts = pd.read_csv(store.evaluated / "contributions.csv")
    assert set(parts["component"]) == {"intercept", "tv", "search", "price", "seasonality"}
    assert len(parts) == 5 * (FITTED_WEEKS + 1) and list(parts) == ["week", "geo", "component", "mean"]
    assert len(pd.read_csv(store.evaluated / "holdout.csv")) == 13
    assert len(pd.read_csv(store.evaluated / "ppc.csv")) == FITTED_WEEKS + 1


def test_nothing_requested_still_writes_every_file(store):
    write_json(store.request / "request.json", {"id": None, "status": "nothing requested"})
    record = evaluate.run(store, make_params())
    assert record["status"] == "nothing requested" and record["values"] == {}
    names = ["contributions.csv", "curves.csv", "evaluation.json", "holdout.csv", "ppc.csv"]
    assert sorted(p.name for p in store.evaluated.iterdir()) == names
    assert read_json(store.out / "evaluation.json") == {}


def test_fit_of_another_request_is_refused(store):
    write_fit(store, request(store, champion=True) | {"id": "f" * 16})
    with pytest.raises(StoreError, match="is not the fit of request"):
        evaluate.run(store, make_params())


def test_champion_with_inputs_that_are_gone_is_still_compared(store):
    asked = request(store, champion=True)
    panel = pd.read_parquet(store.request / "panel.parquet").drop(columns="control.price")
    panel.to_parquet(store.request / "panel.parquet")
    champion = read_json(store.request / "champion.json")
    write_fit(store, asked)
    fit = read_json(store.fit / "fit.json")
    contributions, _, why = evaluate._champion(store, panel, 100)
    assert why == "" and "tv" in contributions["component"].to_numpy()
    assert champion["basis"] == fit["basis"]


def test_same_inputs_give_the_same_bytes(store):
    write_fit(store, request(store, champion=True))
    evaluate.run(store, make_params())
    first = hash_folder(store.evaluated)
    evaluate.run(store, make_params())
    assert hash_folder(store.evaluated) == first


def test_weeks_from_a_launch_on_are_not_scored_in_the_holdout(store):
    params = make_params(spec=SPEC)
    panel = make_panel(FITTED_WEEKS + 1)
    panel["spend.search"] = 0.0
    panel.loc[panel.index[-2:], "spend.search"] = 150.0
    write_week(store, panel, panel.iloc[:-1])
    monitor.run(store, params)
    decide.run(store, params)
    write_fit(store, read_json(store.request / "request.json"))
    record = evaluate.run(store, params)
    assert "search" in record["notes"]["holdout_crps_ratio"]
    assert len(pd.read_csv(store.evaluated / "holdout.csv")) == 13 - 2


def test_a_refit_is_audited_against_the_champions_fit_updated_to_the_same_data(store):
    """The draws of the refit are those of the base: it never saw the newest week, whose weights are next to nothing."""
    write_fit(store, request(store, champion=True))
    record = evaluate.run(store, make_params())
    assert 0.0 < record["values"]["audit_mean_sd"] < 0.25
    assert 0.0 < record["values"]["audit_ends_sd"] < 0.5
    assert "sd apart" in record["notes"]["audit_mean_sd"]


def test_a_refit_that_went_astray_is_told_by_the_audit(store):
    write_fit(store, request(store, champion=True))
    astray = make_draws()
    astray["posterior"]["coefficient"][..., 0] += 0.02
    save_tree(astray, store.fit / "posterior.nc")
    record = evaluate.run(store, make_params())
    assert record["values"]["audit_mean_sd"] > 0.5
    assert record["notes"]["audit_mean_sd"].startswith("tv")


def test_an_audit_does_not_apply_where_the_champion_is_another_model(store):
    made = request(store, champion=True)
    champion = read_json(store.request / "champion.json")
    write_json(store.request / "champion.json", champion | {"kind": "mmm"})
    write_fit(store, made)
    (fit,) = list_fits(store, made)
    found = audit_fit(store, made, make_panel(FITTED_WEEKS + 1), fit)
    assert "another model: kind" in found.not_applicable["audit_mean_sd"]
