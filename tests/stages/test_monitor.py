import json

import numpy as np
import pytest
from stages.histories import quality_point
from stages.world import (
    COLUMNS,
    FITTED_WEEKS,
    SPEC,
    make_draws,
    make_panel,
    make_params,
    version_file,
    week_of,
    write_champion,
    write_quarantine,
    write_week,
)

from evermix.core.quality_record import to_text
from evermix.engines.models.drawsfile import load_weights, save_tree, weights_bytes
from evermix.engines.sources import panel_bytes
from evermix.engines.store import Store, hash_bytes, hash_folder, read_json, write_bytes, write_json, write_text
from evermix.errors import StoreError
from evermix.stages import monitor


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "brand")


def quiet_week(store, weeks=FITTED_WEEKS + 1):
    write_week(store, make_panel(weeks), make_panel(weeks - 1))
    write_champion(store)


def values(store):
    return read_json(store.monitored / "evidence.json")["values"]


def test_quiet_week_fires_no_shipped_rule(store):
    quiet_week(store)
    monitor.run(store, make_params())
    seen = values(store)
    assert seen["surprise.weeks_scored"] == 1 and seen["surprise.max_abs_z"] < 4
    assert seen["structure.channels_changed"] == 0 and seen["structure.spec_changed"] is False
    assert seen["restatement.cells"] == 0 and seen["calendar.weeks_since_fit"] == 1 and seen["drift.calls"] == 0
    named = {rule.evidence for rule in make_params().rules if not rule.evidence.startswith("request.")}
    assert named <= set(seen) and {name for name in seen if seen[name] is None} == {"alarm.geo"}


def test_scores_are_calibrated_under_the_truth(store):
    quiet_week(store, FITTED_WEEKS + 60)
    monitor.run(store, make_params())
    scores = read_json(store.monitored / "scores.json")
    z = np.array([row["z"] for row in scores])
    assert len(z) == 60 and abs(z.mean()) < 0.4 and 0.75 < z.std() < 1.25
    assert {row["version"] for row in scores} == {version_file()["id"]}


def test_a_week_in_the_log_is_never_scored_again(store):
    quiet_week(store)
    monitor.run(store, make_params())
    rows = read_json(store.monitored / "scores.json")
    write_json(store.before / "prequential.json", {"rows": rows, "reset_after": None})
    quiet_week(store, FITTED_WEEKS + 2)
    monitor.run(store, make_params())
    assert [row["week"] for row in read_json(store.monitored / "scores.json")] == [week_of(FITTED_WEEKS + 1)]
    assert (store.monitored / "prequential.csv").read_text().count("\n") == 3


def test_a_late_target_is_scored_when_it_comes(store):
    before = make_panel(FITTED_WEEKS + 1)
    before.loc[FITTED_WEEKS, "target"] = np.nan
    write_week(store, before, make_panel(FITTED_WEEKS))
    write_champion(store)
    monitor.run(store, make_params())
    assert values(store)["surprise.weeks_scored"] == 0
    write_week(store, make_panel(FITTED_WEEKS + 2), before)
    monitor.run(store, make_params())
    assert values(store)["surprise.weeks_scored"] == 2 and values(store)["restatement.cells"] == 0


def test_outlier_week_surprises(store):
    panel = make_panel(FITTED_WEEKS + 1)
    panel.loc[FITTED_WEEKS, "target"] += 8 * 20
    write_week(store, panel, make_panel(FITTED_WEEKS))
    write_champion(store)
    monitor.run(store, make_params())
    assert values(store)["surprise.max_abs_z"] > 4


def test_lasting_shift_drives_the_cusum_over_its_limit(store):
    panel = make_panel(FITTED_WEEKS + 10)
    panel.loc[FITTED_WEEKS:, "target"] += 1.5 * 20
    write_week(store, panel, make_panel(FITTED_WEEKS))
    write_champion(store)
    monitor.run(store, make_params())
    assert values(store)["surprise.cusum"] > 5


def test_a_lasting_shift_is_an_alarm_that_says_since_when_and_what(store):
    panel = make_panel(FITTED_WEEKS + 14)
    panel.loc[FITTED_WEEKS + 4 :, "target"] += 1.5 * 20
    write_week(store, panel, make_panel(FITTED_WEEKS))
    write_champion(store)
    monitor.run(store, make_params())
    (rule,) = [rule for rule in make_params().rules if rule.evidence == "alarm.e_detector"]
    assert values(store)["alarm.e_detector"] > rule.value
    report = read_json(store.monitored / "alarm.json")
    assert report["weeks"] == 14
    assert report["change_point"]["low"] <= week_of(FITTED_WEEKS + 5) <= report["change_point"]["high"]
    assert report["suspects"][0]["name"] == "level" and report["suspects"][0]["size"] > 0


def test_a_champion_that_cannot_be_asked_leaves_the_alarm_missing(store):
    quiet_week(store)
    (store.before / "base_panel.parquet").unlink()
    monitor.run(store, make_params())
    assert values(store)["alarm.e_detector"] is None
    assert "refit" in read_json(store.monitored / "evidence.json")["notes"]["alarm.e_detector"]


def test_restated_past_is_measured_in_noise_sd_and_in_shares(store):
    before, panel = make_panel(FITTED_WEEKS), make_panel(FITTED_WEEKS + 1)
    panel.loc[50, "target"] += 5 * 20
    panel.loc[10:59, "spend.tv"] *= 1.5
    write_week(store, panel, before)
    write_champion(store)
    monitor.run(store, make_params())
    expected = 0.5 * before.loc[10:59, "spend.tv"].sum() / before["spend.tv"].sum()
    assert values(store)["restatement.target_sd"] == pytest.approx(5.0)
    assert values(store)["restatement.spend_share"] == pytest.approx(expected)
    assert values(store)["restatement.cells"] == 51


def test_launched_channel_is_a_changed_channel_and_not_a_changed_spec(store):
    channels = COLUMNS["channels"] | {"video": {"spend": "v", "exposure": None, "launched": week_of(FITTED_WEEKS)}}
    params = make_params(columns=COLUMNS | {"channels": channels})
    panel = make_panel(FITTED_WEEKS + 1).assign(**{"spend.video": 0.0})
    write_week(store, panel, make_panel(FITTED_WEEKS))
    write_champion(store)
    monitor.run(store, params)
    assert values(store)["structure.channels_changed"] == 0
    panel.loc[FITTED_WEEKS, "spend.video"] = 100.0
    write_week(store, panel, make_panel(FITTED_WEEKS))
    monitor.run(store, params)
    assert values(store)["structure.channels_changed"] == 1 and values(store)["structure.spec_changed"] is False


def test_changed_spec_is_named(store):
    quiet_week(store)
    monitor.run(store, make_params(spec=SPEC | {"yearly_seasonality": 2}))
    assert values(store)["structure.spec_changed"] is True
    assert "spec" in read_json(store.monitored / "evidence.json")["notes"]["structure.spec_changed"]


def test_retired_channel_keeps_its_history_and_the_champion_is_still_asked(store):
    channels = {"search": COLUMNS["channels"]["search"]}
    panel = make_panel(FITTED_WEEKS + 1)
    write_week(store, panel.drop(columns="spend.tv"), make_panel(FITTED_WEEKS))
    write_champion(store)
    monitor.run(store, make_params(columns=COLUMNS | {"channels": channels}))
    assert values(store)["structure.channels_changed"] == 1 and values(store)["surprise.weeks_scored"] == 1


def test_removed_control_leaves_surprise_missing_instead_of_made_up(store):
    write_week(store, make_panel(FITTED_WEEKS + 1).drop(columns="control.price"), make_panel(FITTED_WEEKS))
    write_champion(store)
    monitor.run(store, make_params(columns=COLUMNS | {"controls": {}}))
    assert values(store)["surprise.max_abs_z"] is None and read_json(store.monitored / "scores.json") == []
    assert "control.price" in read_json(store.monitored / "evidence.json")["notes"]["surprise.max_abs_z"]


def test_quarantined_week_counts_faults_and_asks_nothing(store):
    write_champion(store)
    write_quarantine(store, week_of(FITTED_WEEKS))
    monitor.run(store, make_params())
    evidence = read_json(store.monitored / "evidence.json")
    assert evidence["status"] == "not run: quarantined" and evidence["values"]["quality.faults"] == 2.0
    assert {name.split(".")[0] for name in evidence["values"]} == {"quality"}
    assert read_json(store.monitored / "scores.json") == []


def test_first_week_has_no_champion(store):
    write_week(store, make_panel(FITTED_WEEKS))
    monitor.run(store, make_params())
    seen = values(store)
    assert (seen["quality.faults"], seen["structure.has_champion"]) == (0.0, False)
    assert {name.split(".")[0] for name in seen} == {"quality", "structure"}


def test_same_inputs_give_the_same_bytes(store):
    quiet_week(store)
    monitor.run(store, make_params())
    first = hash_folder(store.monitored)
    monitor.run(store, make_params())
    assert hash_folder(store.monitored) == first
    metrics = json.loads((store.out / "monitor.json").read_text())
    assert all(isinstance(value, float) for value in metrics.values()) and "log_coverage_90" in metrics


def test_what_lies_outside_its_limits_is_evidence_of_a_refused_week_too(store):
    write_champion(store)
    write_quarantine(store, week_of(FITTED_WEEKS))
    point = quality_point(week_of(FITTED_WEEKS), True, measure="duplicates", value=2.0, high=0.0, accepted=False)
    write_text(store.validated / "quality.csv", to_text([point]))
    monitor.run(store, make_params())
    assert values(store)["quality.breaks"] == 1.0
    notes = read_json(store.monitored / "evidence.json")["notes"]
    assert notes["quality.breaks"] == "duplicates of all: 2, limits at most 0"


def test_a_quiet_week_is_an_update_whose_numbers_are_all_known(store):
    quiet_week(store)
    monitor.run(store, make_params())
    seen, made = values(store), read_json(store.monitored / "update.json")
    assert (seen["update.rows"], seen["update.new_weeks"], seen["update.restated_shift_sd"]) == (1, 1, 0)
    assert seen["update.khat"] < 0.7
    assert 400 < seen["update.ess"] <= 4000
    assert (made["parent"], made["updated_through"]) == (version_file()["id"], week_of(FITTED_WEEKS))
    assert load_weights(store.monitored / "weights.npy").shape == (4000,)
    totals = read_json(store.monitored / "posterior.json")
    assert {row["channel"] for row in totals["roas"]} == {"tv", "search"}
    assert set(totals["totals"]) == {"intercept", "tv", "search", "price", "seasonality"}


def test_weights_in_use_already_are_nothing_new(store):
    quiet_week(store)
    monitor.run(store, make_params())
    made = read_json(store.monitored / "update.json")
    weights = (store.monitored / "weights.npy").read_bytes()
    write_champion(store, parent=version_file()["id"], weights_hash=made["weights_hash"])
    write_bytes(store.before / "weights.npy", weights)
    monitor.run(store, make_params())
    assert values(store)["update.new_weeks"] == 0


def test_a_restatement_is_told_in_sd_of_what_it_moves(store):
    before, panel = make_panel(FITTED_WEEKS + 1), make_panel(FITTED_WEEKS + 2)
    panel.loc[FITTED_WEEKS - 8 : FITTED_WEEKS - 1, "target"] += 40.0
    write_week(store, panel, before)
    write_champion(store)
    monitor.run(store, make_params())
    seen = values(store)
    assert seen["update.rows"] == 10
    assert seen["update.restated_shift_sd"] > 0.5
    assert "by" in read_json(store.monitored / "evidence.json")["notes"]["update.restated_shift_sd"]


def test_a_history_without_the_panel_of_its_fit_says_that_a_refit_is_needed(store):
    quiet_week(store)
    (store.before / "base_panel.parquet").unlink()
    monitor.run(store, make_params())
    seen = values(store)
    assert {name for name in seen if seen[name] is None} == {
        name for name in seen if name.startswith(("update.", "alarm."))
    }
    assert "refit" in read_json(store.monitored / "evidence.json")["notes"]["update.khat"]
    assert not (store.monitored / "weights.npy").exists()


def test_a_history_from_before_updates_has_the_panel_in_the_request_of_its_fit(store):
    quiet_week(store)
    (store.before / "base_panel.parquet").rename(store.before / "panel_of_request")
    (store.before / "request").mkdir()
    (store.before / "panel_of_request").rename(store.before / "request" / "panel.parquet")
    write_json(store.before / "request" / "request.json", {"id": version_file()["request"]})
    monitor.run(store, make_params())
    assert values(store)["update.rows"] == 1


@pytest.mark.parametrize("name", ["base.nc", "weights.npy", "base_panel.parquet"])
def test_a_champion_whose_files_were_exchanged_is_refused_with_the_way_back(store, name):
    quiet_week(store)
    monitor.run(store, make_params())
    made = read_json(store.monitored / "update.json")
    panel_hash = hash_bytes((store.before / "base_panel.parquet").read_bytes())
    hashes = {"weights_hash": made["weights_hash"], "panel_hash": panel_hash}
    write_champion(store, parent=version_file()["id"], **hashes)
    write_bytes(store.before / "weights.npy", (store.monitored / "weights.npy").read_bytes())
    if name == "base.nc":
        save_tree(make_draws(seed=5), store.before / name)
    elif name == "weights.npy":
        write_bytes(store.before / name, weights_bytes(np.zeros(4000)))
    else:
        write_bytes(store.before / name, panel_bytes(make_panel(FITTED_WEEKS, seed=8)))
    with pytest.raises(StoreError, match=f"{name}: its content hashes to .*evermix verify.*rollback"):
        monitor.run(store, make_params())
