"""A review that an alarm opened: an effect has halved, a refit averages, and the proposed challenger does not."""

import numpy as np
import pytest
from stages.world import (
    BASIS,
    COLUMNS,
    FITTED_WEEKS,
    SPEC,
    make_panel,
    make_params,
    version_file,
    week_of,
    write_champion,
    write_week,
)

from evermix.core.contest_words import contest_lines
from evermix.engines.models import load_kind
from evermix.engines.store import Store, hash_folder, read_json, write_json
from evermix.records import VersionFile
from evermix.stages import close, decide, evaluate, fit, gate, monitor
from evermix.stages.fits import proposed_fit

CHANGED = 115
WEEKS = 132
SAMPLER = {"chains": 4, "draws": 700, "tune": 500, "target_accept": 0.9, "low_rank": False, "fallback_tune": 500}
ALARM = {
    "change_point": {"week": week_of(CHANGED + 1), "low": week_of(CHANGED - 2), "high": week_of(CHANGED + 3)},
    "suspects": [
        {"name": "search", "family": "channel", "probability": 0.6, "size": -0.5},
        {"name": "level", "family": "level", "probability": 0.3, "size": -1.0},
    ],
}


def params():
    return make_params(sampler=SAMPLER | {"seed": 5})


def changed_panel(weeks=WEEKS):
    """Return a panel in which the effect of search (coefficient 1.2, in 100 of target) is halved from a week on."""
    panel = make_panel(weeks)
    # Spend that moves more than the world's, so that a year tells its effect.
    spend = 150 * (panel["spend.search"] / 150) ** 3
    effect, before = (120 * np.log1p(s / 300) for s in (spend, panel["spend.search"]))
    target = panel["target"] - before + effect * np.where(panel.index >= CHANGED, 0.5, 1.0)
    return panel.assign(**{"target": target, "spend.search": spend}), effect


def ask(store, panel, amendments=None):
    """Play the week up to its decision, with the alarm that is told here."""
    write_week(store, panel, panel.iloc[:-1])
    write_champion(store, sampler=SAMPLER | {"seed": 5}, spec=SPEC | ({"amendments": amendments} if amendments else {}))
    monitor.run(store, params())
    write_json(store.monitored / "alarm.json", ALARM)
    return decide.run(store, params())


def test_an_alarm_asks_for_challengers_and_the_champions_scores_of_the_weeks_they_are_held_against(tmp_path):
    store = Store(tmp_path, "brand")
    decision = ask(store, changed_panel()[0])
    request = read_json(store.request / "request.json")
    assert decision.decision == "review"
    named = [one["name"] for one in request["challengers"]]
    assert named == ["break_any", "break_search", "break_level", "moving_search", "window"]
    assert [row["week"] for row in request["champion_scores"]] == [week_of(i) for i in range(FITTED_WEEKS, WEEKS)]
    assert request["spec"] == SPEC


def test_a_quiet_week_asks_for_none(tmp_path):
    store = Store(tmp_path, "brand")
    panel = make_panel(FITTED_WEEKS + 1)
    assert not ask(store, panel).requested_now
    assert "challengers" not in read_json(store.request / "request.json")


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """Play a whole review, with two of its challengers and one that cannot be fitted."""
    store = Store(tmp_path_factory.mktemp("contest"), "brand")
    ask(store, changed_panel()[0])
    request = read_json(store.request / "request.json")
    kept = [one for one in request["challengers"] if one["name"] in ("break_any", "window")]
    kept.append({"name": "odd", "amendments": {"level_breaks": ["soon"]}, "why": "no such week"})
    write_json(store.request / "request.json", request | {"challengers": kept})
    fit.run(store, params())
    evaluate.run(store, params())
    gate.run(store, params())
    return store


def roas(store, name):
    rows = read_json(store.evaluated / "evaluation.json")["contest"]["rows"]
    row = next(row for row in rows if row["name"] == name)
    return next(one for one in row["roas"] if (one["channel"], one["version"]) == ("search", "challenger"))


def test_the_break_holds_the_present_effect_where_the_refit_averages_two(held):
    panel, effect = changed_panel()
    spend = panel["spend.search"]
    after = panel.index >= CHANGED + 1
    now = 0.5 * effect[after].sum() / spend[after].sum()
    assert roas(held, "break_any")["low"] < now < roas(held, "break_any")["high"]
    assert now < roas(held, "refit")["low"]


def test_the_proposed_version_is_the_one_that_is_judged_and_asked_about(held):
    found, chosen = read_json(held.evaluated / "evaluation.json"), proposed_fit(held)
    assert found["proposed"] == chosen.name == "break_any"
    assert found["values"]["rhat_max"] == chosen.record["summary"]["rhat_max"]
    assert read_json(held.verdict)["verdict"] == "hold"
    version = close._version(held)
    assert version.amendments["level_breaks"] == [week_of(CHANGED + 1)]
    assert version.draws_hash == chosen.record["draws_hash"] != read_json(held.fit / "fit.json")["draws_hash"]


def test_a_challenger_that_cannot_be_fitted_is_shown_and_ends_nothing(held):
    rows = {row["name"]: row for row in read_json(held.evaluated / "evaluation.json")["contest"]["rows"]}
    assert list(rows) == ["refit", "break_any", "window", "odd"]
    assert rows["odd"]["status"] == "not fitted" and "expected a Monday" in rows["odd"]["fault"]
    assert rows["break_any"]["champion_lead"] > 0 and rows["break_any"]["lead_se"] > 0


def test_the_person_sees_every_fit_with_its_lead_and_its_roas(held):
    text = "\n".join(contest_lines(read_json(held.evaluated / "evaluation.json")["contest"]))
    assert "4 fits foretold the last 13 weeks" in text
    assert "| break_any (proposed) | another effect of tv and search from" in text
    assert "| in use |" in text and "expected a Monday" in text


def test_the_same_review_gives_the_same_evaluation(held):
    first = hash_folder(held.evaluated)
    evaluate.run(held, params())
    assert hash_folder(held.evaluated) == first


def test_an_amended_champion_scores_later_weeks_and_is_no_changed_spec(held, tmp_path):
    chosen, store = proposed_fit(held), Store(tmp_path, "brand")
    panel = changed_panel(WEEKS + 1)[0]
    write_week(store, panel, panel.iloc[:-1])
    changes = {"spec": chosen.spec, "sampler": SAMPLER | {"seed": 5}, "fitted_through": week_of(WEEKS - 1)}
    changes |= {"draws_hash": chosen.record["draws_hash"], "ess_bulk_min": chosen.record["summary"]["ess_bulk_min"]}
    write_json(store.before / "champion.json", version_file(**changes))
    (store.before / "base.nc").write_bytes((chosen.folder / "posterior.nc").read_bytes())
    (store.before / "base_panel.parquet").write_bytes((held.request / "panel.parquet").read_bytes())
    evidence = monitor.run(store, params())["values"]
    assert evidence["structure.spec_changed"] is False
    assert evidence["surprise.weeks_scored"] == 1.0 and evidence["surprise.max_abs_z"] < 4
    assert evidence["update.new_weeks"] == 1.0 and evidence["update.khat"] < 0.7


def test_a_later_refit_carries_the_amendments_on_and_says_so(tmp_path):
    store = Store(tmp_path, "brand")
    begin = {"first_week": week_of(10)}
    decision = ask(store, changed_panel()[0], begin)
    request = read_json(store.request / "request.json")
    assert request["spec"] == SPEC | {"amendments": begin}
    assert f"carried on from the champion: fitted on the weeks from {week_of(10)}" in decision.reasons
    assert {one["amendments"]["first_week"] for one in request["challengers"]} == {week_of(10), week_of(WEEKS - 78)}


def test_the_basis_of_every_challenger_is_the_champions(held):
    record = read_json(held.fit / "fit.json")
    assert record["basis"] == record["challengers"]["break_any"]["basis"] == BASIS
    version = VersionFile(**version_file(spec=proposed_fit(held).spec))
    load_kind("regression").check(version.spec, COLUMNS)
