"""Alerts through a real git history and a real webhook: at least once, never again, one broken route alone."""

import json
import subprocess
import sys

import pytest
import yaml
from core import ledgers
from receiver import receiver
from stages.histories import ROOT, keep_delivery, keep_ledger, make_env

from evermix.engines.history import list_refs, read_ref
from evermix.errors import ConfigError, ServiceError
from evermix.stages import notify, watchdog

DEADLINES = {"data_hours": 30, "decision_hours": 54, "approval_days": 3}
ALL = ["info", "warning", "critical"]


def alerts_yaml(*routes):
    return yaml.safe_dump({"deadlines": DEADLINES, "routes": list(routes)})


def route(name, *urls, severities=ALL, models=("*",)):
    return {"name": name, "to": list(urls), "severities": list(severities), "models": list(models)}


def say(line):
    """Take a line of progress and drop it."""


@pytest.fixture
def hook():
    with receiver() as box:
        yield box


@pytest.fixture
def broken_week():
    return ledgers.decision(ledgers.first_weeks(), "2026-01-19", "quarantine")


def test_what_the_ledger_calls_for_is_sent_once_and_never_again(tmp_path, hook, broken_week):
    env = make_env(tmp_path, alerts_yaml(route("on-call", hook.url())))
    keep_ledger(env, "brand", broken_week)
    first, second = notify.run(env, ["brand"], say), notify.run(env, ["brand"], say)
    assert [line["title"] for line in first["sent"]] == ["brand 2026-01-19: delivery in quarantine"]
    assert second == {"sent": [], "due": [], "failed": [], "misnamed": []}
    assert len(hook.got) == 1
    keep_ledger(env, "brand", ledgers.decision(broken_week, "2026-01-19", "keep"))
    notify.run(env, ["brand"], say)
    assert [title.split(": ")[1] for title in hook.titles()][1].startswith("quarantine healed")


def test_a_crash_between_sending_and_recording_sends_again_with_the_same_id(tmp_path, hook, broken_week, monkeypatch):
    env = make_env(tmp_path, alerts_yaml(route("on-call", hook.url())))
    keep_ledger(env, "brand", broken_week)

    class PulledPlugError(BaseException):
        pass

    with monkeypatch.context() as patch:

        def pulled(*args):
            raise PulledPlugError

        patch.setattr("evermix.core.outbox.Outbox.record", pulled)
        with pytest.raises(PulledPlugError):
            notify.run(env, ["brand"], say)
    notify.run(env, ["brand"], say)
    notify.run(env, ["brand"], say)
    assert len(hook.got) == 2
    assert hook.got[0]["alert_id"] == hook.got[1]["alert_id"]


def test_one_broken_route_does_not_stop_the_others_and_is_tried_again(tmp_path, hook, broken_week):
    with receiver() as bad:
        bad.code = 503
        env = make_env(tmp_path, alerts_yaml(route("bad", bad.url()), route("good", hook.url())))
        keep_ledger(env, "brand", broken_week)
        told = notify.run(env, ["brand"], say)
        assert [line["route"] for line in told["sent"]] == ["good"]
        with pytest.raises(ServiceError, match=r"route bad \(json\)"):
            notify.raise_failures(told)
        bad.code = 200
        told = notify.run(env, ["brand"], say)
        assert ([line["route"] for line in told["sent"]], told["failed"]) == (["bad"], [])
        assert bad.got[0]["alert_id"] == hook.got[0]["alert_id"]
    assert len(hook.got) == 1


def test_a_place_that_failed_gets_its_alerts_in_order_later(tmp_path, hook, broken_week):
    env = make_env(tmp_path, alerts_yaml(route("on-call", hook.url())))
    keep_ledger(env, "brand", broken_week)
    hook.code = 500
    notify.run(env, ["brand"], say)
    keep_ledger(env, "brand", ledgers.decision(broken_week, "2026-01-19", "keep"))
    told = notify.run(env, ["brand"], say)
    assert len(told["failed"]) == 1
    assert len(hook.headers) == 2
    hook.code = 200
    told = notify.run(env, ["brand"], say)
    assert [line["title"].split(": ")[1] for line in told["sent"]] == ["delivery in quarantine", "quarantine healed"]


def test_the_other_urls_of_a_route_are_not_sent_to_again_when_one_of_them_fails(tmp_path, hook, broken_week):
    with receiver() as bad:
        bad.code = 500
        env = make_env(tmp_path, alerts_yaml(route("both", hook.url(), bad.url())))
        keep_ledger(env, "brand", broken_week)
        notify.run(env, ["brand"], say)
        bad.code = 200
        notify.run(env, ["brand"], say)
        assert (len(hook.got), len(bad.got)) == (1, 1)


def test_alerts_take_zero_one_or_several_routes_by_severity_and_model(tmp_path, hook, broken_week):
    routes = [
        route("critical-only", hook.url("a"), severities=["critical"]),
        route("all-of-brand", hook.url("b"), models=["bra*"]),
        route("others", hook.url("c"), models=["demand"]),
        route("infos", hook.url("d"), severities=["info"]),
    ]
    env = make_env(tmp_path, alerts_yaml(*routes))
    keep_ledger(env, "brand", broken_week)
    keep_ledger(env, "regions", broken_week)
    told = notify.run(env, ["brand", "regions"], say)
    assert sorted((line["route"], line["title"].split()[0]) for line in told["sent"]) == [
        ("all-of-brand", "brand"),
        ("critical-only", "brand"),
        ("critical-only", "regions"),
    ]


def test_a_route_that_is_added_to_an_old_history_hears_of_the_latest_week_only(tmp_path, hook, broken_week):
    env = make_env(tmp_path, alerts_yaml(route("old", hook.url("old"))))
    keep_ledger(env, "brand", ledgers.first_weeks())
    assert notify.run(env, ["brand"], say)["sent"] == []
    keep_ledger(env, "brand", broken_week)
    (env.project / "alerts.yaml").write_text(alerts_yaml(route("old", hook.url("old")), route("new", hook.url("new"))))
    told = notify.run(env, ["brand"], say)
    assert sorted(line["route"] for line in told["sent"]) == ["new", "old"]


def test_a_dry_run_says_what_is_due_and_changes_nothing(tmp_path, hook, broken_week):
    env = make_env(tmp_path, alerts_yaml(route("on-call", hook.url())))
    keep_ledger(env, "brand", broken_week)
    told = notify.run(env, ["brand"], say, dry_run=True)
    assert [line["title"] for line in told["due"]] == ["brand 2026-01-19: delivery in quarantine"]
    assert hook.got == []
    assert list_refs(env, "refs/outbox/") == []


def test_without_a_route_nothing_is_read_and_nothing_written(tmp_path):
    env = make_env(tmp_path, history_url="ssh://nowhere.invalid/x.git")
    assert notify.run(env, ["brand"], say) == {"sent": [], "due": [], "failed": [], "misnamed": []}
    (env.project / "alerts.yaml").unlink()
    assert notify.run(env, ["brand"], say) == {"sent": [], "due": [], "failed": [], "misnamed": []}


def test_a_broken_alerts_file_or_history_is_returned_and_not_raised(tmp_path, hook, broken_week):
    env = make_env(tmp_path / "a", alerts_yaml(route("on-call", hook.url())), history_url="ssh://nowhere.invalid/x")
    assert "nowhere.invalid" in notify.run(env, ["brand"], say)["failed"][0]
    env = make_env(tmp_path / "b", "routes: 3")
    assert "alerts.yaml: routes" in notify.run(env, ["brand"], say)["failed"][0]


def test_a_worker_that_loses_the_race_for_the_outbox_records_on_top_of_the_winner(tmp_path, hook, broken_week):
    env = make_env(tmp_path, alerts_yaml(route("on-call", hook.url())))
    keep_ledger(env, "brand", broken_week)
    real, lost = notify.write_ref, []

    def slower(env, ref, files, message):
        if message.startswith("delivered") and not lost:
            lost.append(message)
            real(env, ref, dict(read_ref(env, ref)), "another worker")
            raise ServiceError("another process was faster")
        return real(env, ref, files, message)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notify, "write_ref", slower)
        assert notify.run(env, ["brand"], say)["failed"] == []
    assert len(lost) == 1
    assert notify.run(env, ["brand"], say)["sent"] == []


def test_the_outbox_keeps_no_address(tmp_path, hook, broken_week, monkeypatch):
    monkeypatch.setenv("EVERMIX_TEST_TOKEN", "t0ken")
    env = make_env(tmp_path, alerts_yaml(route("on-call", hook.url(login="ada:${EVERMIX_TEST_TOKEN}@"))))
    keep_ledger(env, "brand", broken_week)
    hook.code = 401
    notify.run(env, ["brand"], say)
    kept = read_ref(env, "refs/outbox/brand")["deliveries.jsonl"].decode()
    assert "t0ken" not in kept
    assert '"state": "failed"' in kept


def test_an_overdue_week_is_told_once_however_often_the_watchdog_looks(tmp_path, hook):
    env = make_env(tmp_path, alerts_yaml(route("on-call", hook.url())))
    keep_ledger(env, "brand", ledgers.first_weeks())
    keep_delivery(env, "brand", "2026-01-05", "2026-01-12")
    for hour in ("06", "07", "08"):
        told = watchdog.run(env, ["brand", "demand"], watchdog.parse_moment(f"2026-01-27T{hour}:00"), say)
        assert [alert["kind"] for alert in told["overdue"]] == ["data_overdue"]
    assert len(hook.got) == 1
    watchdog.run(env, ["brand"], watchdog.parse_moment("2026-01-28T06:00"), say)
    assert [payload["kind"] for payload in hook.got] == ["data_overdue", "decision_overdue"]


def test_an_overdue_week_that_no_route_took_is_told_by_the_next_look_though_the_data_came(tmp_path, hook):
    env = make_env(tmp_path, alerts_yaml(route("on-call", hook.url())))
    keep_ledger(env, "brand", ledgers.first_weeks())
    hook.code = 500
    watchdog.run(env, ["brand"], watchdog.parse_moment("2026-01-27T06:00"), say)
    hook.code = 200
    keep_delivery(env, "brand", "2026-01-19")
    watchdog.run(env, ["brand"], watchdog.parse_moment("2026-01-27T07:00"), say)
    assert [payload["kind"] for payload in hook.got] == ["data_overdue"]


def test_a_week_that_is_overdue_when_a_route_is_added_is_told_there(tmp_path, hook):
    env = make_env(tmp_path, alerts_yaml(route("old", hook.url("old"))))
    keep_ledger(env, "brand", ledgers.first_weeks())
    now = watchdog.parse_moment("2026-01-27T06:00")
    watchdog.run(env, ["brand"], now, say)
    (env.project / "alerts.yaml").write_text(alerts_yaml(route("new", hook.url("new"))))
    assert [line["route"] for line in watchdog.run(env, ["brand"], now, say)["sent"]] == ["new"]


def test_the_command_tells_of_a_late_run_and_exits_6_when_a_route_fails(tmp_path, hook):
    env = make_env(tmp_path, alerts_yaml(route("on-call", hook.url())))
    keep_ledger(env, "brand", ledgers.first_weeks())
    keep_delivery(env, "brand", "2026-01-12")

    def call(*words):
        return subprocess.run(
            [sys.executable, "-m", "evermix", *words, "--json"],
            capture_output=True,
            text=True,
            env={
                "EVERMIX_HOME": str(env.home),
                "EVERMIX_PROJECT": str(env.project),
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(ROOT / "src"),
            },
            check=False,
        )

    now = ("--now", "2026-01-20T00:00")
    done = call("watchdog", *now, "--run-overdue", "brand", "--as-of", "2026-01-12")
    assert done.returncode == 0, done.stderr
    assert [line["title"] for line in json.loads(done.stdout)["sent"]] == ["brand 2026-01-12: the week's run is late"]
    assert json.loads(call("watchdog", *now).stdout)["sent"] == []
    hook.code = 500
    assert call("watchdog", "--now", "2026-01-27T06:00").returncode == 6
    assert call("notify", "--dry-run").returncode == 0
    assert call("watchdog", "--run-overdue", "brnd", "--as-of", "2026-01-12").returncode == 2
    assert call("watchdog", "--run-overdue", "brand").returncode == 2
    assert call("watchdog", "--now", "soon").returncode == 2


def test_workers_that_share_only_a_remote_history_do_not_send_again_what_another_has_sent(tmp_path, hook, broken_week):
    bare = tmp_path / "history.git"
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    one, two = (
        make_env(tmp_path / name, alerts_yaml(route("on-call", hook.url())), history_url=f"file://{bare}")
        for name in ("one", "two")
    )
    keep_ledger(one, "brand", broken_week)
    assert len(notify.run(one, ["brand"], say)["sent"]) == 1
    assert notify.run(two, ["brand"], say) == {"sent": [], "due": [], "failed": [], "misnamed": []}
    keep_ledger(two, "brand", ledgers.decision(broken_week, "2026-01-19", "keep"))
    assert [line["title"].split(": ")[1] for line in notify.run(two, ["brand"], say)["sent"]] == ["quarantine healed"]
    assert notify.run(one, ["brand"], say)["sent"] == []
    assert len(hook.got) == 2


def rule_that_tells(name, *routes, decision="tell"):
    seen = {"evidence": "drift.calls", "op": ">", "value": 0.0, "seen": 1.0, "decision": decision}
    return ledgers.rule(name, tell=list(routes), **seen)


def test_a_rules_own_route_gets_its_alert_and_the_route_of_its_severity_does_not(tmp_path, hook):
    routes = [route("on-call", hook.url("all")), route("data-team", hook.url("data"), severities=["critical"])]
    env = make_env(tmp_path, alerts_yaml(*routes))
    rules = [rule_that_tells("inputs_moved", "data-team"), rule_that_tells("plain")]
    keep_ledger(env, "brand", ledgers.decision(ledgers.first_weeks(), "2026-01-19", "keep", rules=rules))
    told = notify.run(env, ["brand"], say)
    sent = {(line["route"], line["title"].split(": ")[1]) for line in told["sent"]}
    assert sent == {("data-team", "inputs moved"), ("on-call", "plain")}
    assert notify.run(env, ["brand"], say)["sent"] == []


def test_an_alert_whose_route_is_gone_goes_by_severity_and_one_that_was_delivered_stays_delivered(tmp_path, hook):
    env = make_env(tmp_path, alerts_yaml(route("data-team", hook.url("data")), route("on-call", hook.url("all"))))
    rules = [rule_that_tells("inputs_moved", "data-team")]
    keep_ledger(env, "brand", ledgers.decision(ledgers.first_weeks(), "2026-01-19", "keep", rules=rules))
    assert [line["route"] for line in notify.run(env, ["brand"], say)["sent"]] == ["data-team"]
    (env.project / "alerts.yaml").write_text(alerts_yaml(route("on-call", hook.url("all"))))
    assert notify.run(env, ["brand"], say)["sent"] == []
    rules = [rule_that_tells("other", "data-team")]
    keep_ledger(env, "brand", ledgers.decision(ledgers.first_weeks(), "2026-01-19", "keep", rules=rules))
    assert [line["route"] for line in notify.run(env, ["brand"], say)["sent"]] == ["on-call"]


def test_a_rule_of_params_that_tells_an_unknown_route_is_named_and_stops_no_alert(tmp_path, hook, broken_week):
    env = make_env(tmp_path, alerts_yaml(route("data-team", hook.url())))
    params = yaml.safe_load((env.project / "params.yaml").read_text())
    params["models"]["demand"]["rules"][0] |= {"tell": ["data-taem"]}
    (env.project / "params.yaml").write_text(yaml.safe_dump(params))
    keep_ledger(env, "brand", broken_week)
    told = notify.run(env, ["brand"], say)
    assert len(told["sent"]) == 1
    (fault,) = told["misnamed"]
    with pytest.raises(ConfigError, match="data-taem"):
        notify.raise_failures(told)
    assert "models.demand.rules, rule broken_contract: tells 'data-taem'" in fault
    assert "Did you mean 'data-team'?" in fault
