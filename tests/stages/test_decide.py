import pytest
from stages.world import (
    COLUMNS,
    FITTED_WEEKS,
    SPEC,
    make_panel,
    make_params,
    version_file,
    week_of,
    write_champion,
    write_quarantine,
    write_week,
)

from evermix.core.close import WeekOutcome, answer_question, close_week
from evermix.core.orders import orders_for
from evermix.engines.sources import read_panel
from evermix.engines.store import Store, copy_folder, hash_folder, read_json, write_json
from evermix.records import Verdict
from evermix.stages import decide, monitor


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "brand")


def play(store, panel, before=None, params=None):
    write_week(store, panel, before)
    monitor.run(store, params or make_params())
    return decide.run(store, params or make_params())


def play_shift(store, weeks, shift=1.8):
    panel, before = make_panel(FITTED_WEEKS + weeks), make_panel(FITTED_WEEKS + weeks - 1)
    for table in (panel, before):
        table.loc[FITTED_WEEKS:, "target"] += shift * 20
    return play(store, panel, before)


def test_first_week_asks_for_a_first_fit_without_a_basis(store):
    decision = play(store, make_panel(FITTED_WEEKS))
    request = read_json(store.request / "request.json")
    assert decision.decision == "first_fit" and decision.requested_now and decision.request == request["id"]
    assert request["basis"] is None and request["champion"] is None
    assert request["fitted_through"] == week_of(FITTED_WEEKS - 1)
    assert sorted(p.name for p in store.request.iterdir()) == ["panel.parquet", "request.json"]


def test_a_planned_spend_and_what_an_alarm_suspects_go_into_the_request(store):
    write_week(store, make_panel(FITTED_WEEKS))
    planned = make_panel(FITTED_WEEKS + 2).iloc[-2:].assign(target=float("nan"))
    planned.to_parquet(store.validated / "plan.parquet")
    monitor.run(store, make_params())
    decide.run(store, make_params())
    assert read_panel(store.request / "plan.parquet")["spend.tv"].tolist() == planned["spend.tv"].tolist()
    assert read_json(store.request / "request.json")["suspects"] == []


def test_quiet_week_keeps_the_old_request_byte_for_byte(store):
    play(store, make_panel(FITTED_WEEKS))
    copy_folder(store.request, store.before / "request")
    old = hash_folder(store.request)
    write_champion(store)
    decision = play(store, make_panel(FITTED_WEEKS + 1), make_panel(FITTED_WEEKS))
    assert decision.decision == "update" and not decision.requested_now
    assert hash_folder(store.request) == old and decision.request is not None


def test_quiet_week_without_any_request_says_so(store):
    write_champion(store)
    play(store, make_panel(FITTED_WEEKS + 1), make_panel(FITTED_WEEKS))
    assert read_json(store.request / "request.json") == {"id": None, "status": "nothing requested"}


def test_same_week_twice_gives_the_same_request_bytes(store):
    write_champion(store)
    play_shift(store, 12)
    first = hash_folder(store.request)
    assert play_shift(store, 12).decision == "review"
    assert hash_folder(store.request) == first


def test_refit_carries_the_champion_its_draws_and_its_basis(store):
    write_champion(store)
    params = make_params(spec=SPEC | {"yearly_seasonality": 2})
    decision = play(store, make_panel(FITTED_WEEKS + 1), make_panel(FITTED_WEEKS), params)
    request = read_json(store.request / "request.json")
    assert decision.decision == "refit" and request["basis"] == version_file()["basis"]
    assert request["spec"]["yearly_seasonality"] == 2 and request["champion"] == version_file()["id"]
    assert (store.request / "champion.nc").read_bytes() == (store.before / "base.nc").read_bytes()


def test_channel_of_the_future_is_left_out_of_columns_and_panel(store):
    channels = COLUMNS["channels"] | {"video": {"spend": "v", "exposure": None, "launched": week_of(500)}}
    params = make_params(columns=COLUMNS | {"channels": channels})
    play(store, make_panel(FITTED_WEEKS).assign(**{"spend.video": 0.0}), None, params)
    assert "video" not in read_json(store.request / "request.json")["columns"]["channels"]
    assert "spend.video" not in read_panel(store.request / "panel.parquet")


def test_lasting_alarm_asks_once_while_its_review_is_pending(store):
    write_champion(store)
    first = play_shift(store, 12)
    assert first.decision == "review" and first.requested_now
    copy_folder(store.request, store.before / "request")
    write_json(store.before / "challenger.json", {"version": "x", "as_of": first.as_of, "decision": "review"})
    again = play_shift(store, 13)
    assert again.decision == "update" and "pending" in again.reasons[1] and first.as_of in again.reasons[1]
    assert {"change", "new_weeks"} <= {rule.name for rule in again.rules if rule.fired}


def test_new_kind_of_rule_supersedes_a_pending_review(store):
    write_champion(store)
    first = play_shift(store, 12)
    copy_folder(store.request, store.before / "request")
    write_json(store.before / "challenger.json", {"version": "x", "as_of": first.as_of, "decision": "review"})
    panel, before = make_panel(FITTED_WEEKS + 13), make_panel(FITTED_WEEKS + 12)
    for table in (panel, before):
        table.loc[FITTED_WEEKS:, "target"] += 30
    panel.loc[40, "target"] += 200
    decision = play(store, panel, before)
    assert decision.decision == "review" and decision.reasons[0].startswith("target_restated")
    assert {"change", "target_restated"} <= set(read_json(store.request / "request.json")["rules"])


def test_answered_review_may_be_asked_again(store):
    write_champion(store)
    play_shift(store, 12)
    copy_folder(store.request, store.before / "request")
    assert play_shift(store, 13).decision == "review"


def play_old(store, weeks, refused=None, params=None):
    """Play a week of a champion whose fit is older than the backstop allows."""
    panel = make_panel(FITTED_WEEKS + weeks)
    write_week(store, panel, make_panel(FITTED_WEEKS + weeks - 1))
    write_json(store.orders, read_json(store.orders) | {"refused": refused})
    monitor.run(store, params or make_params())
    return decide.run(store, params or make_params())


def test_a_refused_backstop_waits_until_the_no_expires_or_params_ask_for_another_fit(store):
    params = make_params()
    backstop = next(rule for rule in params.rules if rule.name == "backstop")
    params = params.model_copy(update={"rules": [backstop]})
    write_champion(store)
    first = play_old(store, 53, params=params)
    assert (first.decision, first.because) == ("refit", ["backstop"])
    copy_folder(store.request, store.before / "request")
    no = {"by": "ada", "as_of": first.as_of, "until": week_of(FITTED_WEEKS + 57)}
    no |= {"rules": ["backstop"], "seen": {"calendar.weeks_since_fit": 53.0}}
    kept = play_old(store, 54, no, params)
    assert kept.decision == "keep" and kept.reasons[0].startswith("ada said no (rule backstop still fires)")
    assert play_old(store, 55, None, params).decision == "refit"
    other = params.model_copy(update={"spec": SPEC | {"yearly_seasonality": 2}})
    assert play_old(store, 55, no, other).decision == "refit"


def test_a_no_in_the_ledger_silences_the_next_weeks_until_it_expires(store):
    """Close, answer and open as the loop does, without its fits."""
    backstop = next(rule for rule in make_params().rules if rule.name == "backstop")
    params = make_params().model_copy(update={"rules": [backstop]})
    write_champion(store)
    asked = play_old(store, 53, params=params)
    copy_folder(store.request, store.before / "request")
    verdict = Verdict(model="brand", request=asked.request, verdict="hold", reasons=["odd"], checks=[])
    closing = close_week([], "v1", None, WeekOutcome(asked, verdict, "v2", "0" * 64, False, {}, {}), 4, "t")
    events, _ = answer_question(closing.events, closing.question, False, "ada", "t")

    def next_week(weeks):
        orders = orders_for(events, week_of(FITTED_WEEKS + weeks - 1), "aa", 4)
        return play_old(store, weeks, orders["refused"], params)

    assert next_week(54).reasons[0].startswith("ada said no (rule backstop still fires)")
    assert next_week(57).decision == "keep"
    assert next_week(58).decision == "refit"


def test_an_upstream_request_is_asked_by_the_table_and_a_persons_holds_without_it(store):
    write_champion(store)
    write_week(store, make_panel(FITTED_WEEKS + 1), make_panel(FITTED_WEEKS))
    monitor.run(store, make_params())
    asked = {"by": "airflow", "reason": "spend corrected"}
    orders = read_json(store.orders)
    write_json(store.orders, orders | {"upstream": asked | {"upstream": "warehouse"}})
    found = decide.run(store, make_params())
    assert (found.decision, found.because) == ("refit", ["upstream_request"])
    assert found.evidence["request.upstream"] is True and "warehouse" in found.reasons[-1]
    write_json(store.orders, orders | {"refit": asked})
    bare = make_params().model_copy(update={"rules": make_params().rules[:2]})
    found = decide.run(store, bare)
    assert (found.decision, found.because) == ("refit", ["person"])


def test_quarantine_keeps_the_old_request(store):
    write_champion(store)
    write_quarantine(store, week_of(FITTED_WEEKS))
    monitor.run(store, make_params())
    decision = decide.run(store, make_params())
    assert decision.decision == "quarantine" and not decision.requested_now
    assert decision.rules[0].seen == 2.0 and decision.rules[3].seen is None


def test_quarantined_week_is_never_fitted_whatever_the_rules_say(store):
    write_champion(store)
    write_quarantine(store, week_of(FITTED_WEEKS))
    params = make_params()
    params = params.model_copy(update={"rules": params.rules[1:]})
    monitor.run(store, params)
    assert decide.run(store, params).decision == "quarantine"
