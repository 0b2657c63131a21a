"""A real Airflow with a stand-in for the `evermix` command: order, retries, approvals, re-runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evermix.config import Environment
from evermix.engines import stack
from evermix.engines.airflow_api import AirflowClient, wait

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STEPS = ["open", "validate", "monitor", "decide", "fit", "evaluate", "gate", "close", "report"]
PATIENCE_S = 180.0


@dataclass
class Stage:
    """The stack with the stand-in behind it."""

    env: Environment
    airflow: AirflowClient

    @property
    def fake(self) -> Path:
        return self.env.home / "fake"

    def plan(self, **plan: Any) -> None:
        self.fake.mkdir(exist_ok=True)
        (self.fake / "plan.json").write_text(json.dumps(plan))

    def rows(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in (self.fake / "calls.jsonl").read_text().splitlines()]

    def last(self) -> dict[str, str]:
        return self.rows()[-1]

    def calls(self, model: str, *commands: str) -> list[tuple[str, str]]:
        wanted = [row for row in self.rows() if row["model"] == model and (not commands or row["command"] in commands)]
        return [(row["command"], row.get("as_of", "")) for row in wanted]

    def ingest(self, model: str, week: str) -> dict[str, str]:
        run = self.airflow.trigger("ingest", week, {"models": [model]})
        self.airflow.wait_for_run("ingest", run, PATIENCE_S)
        return self.states("ingest", run)

    def announce(self, model: str, week: str, extra: dict[str, str]) -> None:
        """Emit the event of a stored week as another system would, by Airflow's own API."""
        (asset,) = self.airflow._call("GET", f"/assets?name_pattern=evermix/{model}")["assets"]
        self.airflow._call("POST", "/assets/events", {"asset_id": asset["id"], "partition_key": week, "extra": extra})

    def refreshed(self, model: str, week: str, runs: int = 1) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            found = self.airflow.dag_runs(f"refresh_{model}", week)
            done = len(found) >= runs and all(run["state"] in ("success", "failed") for run in found)
            return found[-1] if done else None

        return wait(ended, f"refresh_{model} of {week}", PATIENCE_S)

    def states(self, dag: str, run: str) -> dict[str, str]:
        return {task["task_id"]: task["state"] for task in self.airflow.task_instances(dag, run)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def stage(home: Path) -> Iterator[Stage]:
    env = Environment(project=ROOT, home=home, tracking_uri="", history_url="", dvc_remote_url="")
    entry = {"owner": "evermix", "doc": "A stand-in.", "approval_expires_weeks": 4}
    models = ("alpha", "beta", "gamma", "delta", "omega")
    (home / "models.json").write_text(json.dumps({"models": dict.fromkeys(models, entry)}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERMIX_COMMAND", f"{sys.executable} {ROOT / 'tests/dags/fake_evermix.py'}")
        try:
            about = stack.start(env, print)
            airflow = AirflowClient(about["airflow_url"], about["user"], about["password"])
            due = {"ingest", *(f"{dag}_{model}" for dag in ("refresh", "approval") for model in models)}
            wait(lambda: {} if due <= {dag["dag_id"] for dag in airflow.dags()} else None, "the DAGs", PATIENCE_S)
            yield Stage(env, airflow)
        finally:
            stack.stop_all(env, print)


def test_a_week_goes_from_producer_through_every_step_in_order(stage: Stage) -> None:
    stage.plan()
    assert stage.ingest("alpha", "2026-01-05")["ingest_alpha"] == "success"
    run = stage.refreshed("alpha", "2026-01-05")
    assert run["state"] == "success"
    called = [command for command, _ in stage.calls("alpha")]
    assert called == ["ingest", "pending", *STEPS, "review"]
    assert stage.states("refresh_alpha", run["dag_run_id"])["ask"] == "skipped"
    assert "fit: 50 %" in stage.airflow.log("refresh_alpha", run["dag_run_id"], "fit")


def test_a_week_that_the_source_does_not_have_yet_starts_nothing(stage: Stage) -> None:
    stage.plan(waiting=["alpha 2026-01-12"])
    assert stage.ingest("alpha", "2026-01-12") == {
        f"ingest_{m}": "skipped" for m in ("alpha", "beta", "gamma", "delta", "omega")
    }
    assert stage.airflow.dag_runs("refresh_alpha", "2026-01-12") == []


def test_weeks_whose_runs_start_out_of_order_are_closed_in_order(stage: Stage) -> None:
    stage.plan()
    weeks = ["2026-01-12", "2026-01-19", "2026-01-26"]
    stage.ingest("beta", "2026-01-05")
    assert stage.refreshed("beta", "2026-01-05")["state"] == "success"
    for week in reversed(weeks):
        stage.airflow.trigger("refresh_beta", week)
    assert [stage.refreshed("beta", week)["state"] for week in weeks] == ["success"] * 3
    state = json.loads((stage.fake / "state.json").read_text())["beta"]
    assert state["closed"] == ["2026-01-05", *weeks]
    # What was caught up is not done again by the run that comes too late for it.
    assert stage.calls("beta", "week") == [("week", "2026-01-12"), ("week", "2026-01-19")]


def test_a_backfill_of_the_producer_closes_its_weeks_in_order(stage: Stage) -> None:
    stage.plan()
    weeks = ["2026-01-05", "2026-01-12", "2026-01-19"]
    stage.airflow.backfill("ingest", weeks[0], weeks[-1], {"models": ["gamma"]})
    assert [stage.refreshed("gamma", week)["state"] for week in weeks] == ["success"] * 3
    closed = [week for _, week in stage.calls("gamma", "close", "week")]
    assert list(dict.fromkeys(closed)) == weeks


def test_a_question_waits_beside_later_weeks_and_its_answer_carries_the_name(stage: Stage) -> None:
    stage.plan(ask=["delta 2026-01-05"])
    stage.ingest("delta", "2026-01-05")
    stage.refreshed("delta", "2026-01-05")
    question = wait(lambda: next(iter(stage.airflow.pending_approvals("approval_delta")), None), "a question", 60.0)
    assert question["subject"] == "delta, week 2026-01-05: delta/2026-01-05/0badcafe"
    assert "The evidence" in question["body"]
    assert question["options"] == ["Approve", "Reject", "Hold"]

    stage.ingest("delta", "2026-01-12")
    assert stage.refreshed("delta", "2026-01-12")["state"] == "success"
    assert len(stage.airflow.dag_runs("approval_delta")) == 1

    stage.airflow.answer(question, "Approve")
    assert stage.airflow.wait_for_run("approval_delta", question["run_id"], PATIENCE_S)["state"] == "success"
    said = {"command": "review", "model": "delta", "as_of": "2026-01-05", "answer": "approve", "by": "admin"}
    assert stage.last() == said
    assert stage.airflow.pending_approvals("approval_delta") == []


def test_a_hold_is_handed_over_with_the_name_of_who_gave_it(stage: Stage) -> None:
    stage.plan(ask=["delta 2026-01-19"])
    stage.ingest("delta", "2026-01-19")
    stage.refreshed("delta", "2026-01-19")
    question = wait(lambda: next(iter(stage.airflow.pending_approvals("approval_delta")), None), "a question", 60.0)
    stage.airflow.answer(question, "Hold")
    assert stage.airflow.wait_for_run("approval_delta", question["run_id"], PATIENCE_S)["state"] == "success"
    said = {"command": "review", "model": "delta", "as_of": "2026-01-19", "answer": "hold", "by": "admin"}
    assert stage.last() == said


def test_a_refit_in_the_conf_of_a_trigger_is_asked_before_the_week_is_opened_and_again_under_the_same_id(
    stage: Stage,
) -> None:
    stage.plan()
    run = stage.airflow.trigger("refresh_gamma", "2026-03-02", {"refit": "spend corrected", "upstream": "warehouse"})
    assert stage.airflow.wait_for_run("refresh_gamma", run, PATIENCE_S)["state"] == "success"
    rows = [row for row in stage.rows() if row["model"] == "gamma"]
    (asked,) = [row for row in rows if row["command"] == "refit"]
    assert asked == {
        "command": "refit",
        "model": "gamma",
        "reason": "spend corrected",
        "upstream": "warehouse",
        "by": "admin",
        "ref": run,
    }
    opened = [row["command"] for row in rows if row["command"] in ("refit", "open")]
    assert opened[opened.index("refit") + 1] == "open"
    stage.airflow.clear("refresh_gamma", run)
    assert stage.airflow.wait_for_run("refresh_gamma", run, PATIENCE_S)["state"] == "success"
    assert [row["ref"] for row in stage.rows() if row["command"] == "refit"] == [run, run]


def test_a_refit_in_the_extra_of_an_assets_event_is_asked_in_the_name_of_the_system(stage: Stage) -> None:
    stage.plan()
    stage.announce("beta", "2026-02-02", {"refit": "history restated", "upstream": "lake", "by": "etl"})
    assert stage.refreshed("beta", "2026-02-02")["state"] == "success"
    (asked,) = [row for row in stage.rows() if row["command"] == "refit" and row["model"] == "beta"]
    assert (asked["reason"], asked["upstream"], asked["by"]) == ("history restated", "lake", "etl")


def test_a_service_error_is_retried_and_another_error_fails_at_once(stage: Stage) -> None:
    stage.plan(fail={"monitor omega 2026-01-05": [6], "evaluate omega 2026-01-12": [4]})
    stage.ingest("omega", "2026-01-05")
    run = stage.refreshed("omega", "2026-01-05")
    assert run["state"] == "success"
    assert stage.calls("omega", "monitor") == [("monitor", "2026-01-05")] * 2

    stage.ingest("omega", "2026-01-12")
    run = stage.refreshed("omega", "2026-01-12")
    assert run["state"] == "failed"
    assert stage.calls("omega", "evaluate")[1:] == [("evaluate", "2026-01-12")]
    assert "exit code 4 (FitError)" in stage.airflow.log("refresh_omega", run["dag_run_id"], "evaluate")

    stage.airflow.clear("refresh_omega", run["dag_run_id"])
    assert stage.refreshed("omega", "2026-01-12")["state"] == "success"


def test_a_week_run_again_succeeds_and_closes_nothing_twice(stage: Stage) -> None:
    stage.plan()
    assert stage.ingest("alpha", "2026-01-05")["ingest_alpha"] == "skipped"
    run = stage.airflow.trigger("refresh_alpha", "2026-01-05")
    assert stage.airflow.wait_for_run("refresh_alpha", run, PATIENCE_S)["state"] == "success"
    state = json.loads((stage.fake / "state.json").read_text())["alpha"]
    assert state["closed"] == ["2026-01-05"]


def test_a_task_cut_off_by_down_is_run_again_after_up(stage: Stage) -> None:
    stage.plan(sleep_s={"fit alpha 2026-01-19": 300})
    stage.ingest("alpha", "2026-01-19")
    wait(lambda: {} if ("fit", "2026-01-19") in stage.calls("alpha") else None, "the fit to start", PATIENCE_S)
    stack.stop_all(stage.env, print)
    stage.plan()
    about = stack.start(stage.env, print)
    assert about["airflow_url"] == stage.airflow.url
    assert stage.refreshed("alpha", "2026-01-19")["state"] == "success"
    assert stage.calls("alpha", "fit").count(("fit", "2026-01-19")) == 2


def test_the_idle_stack_takes_less_than_one_and_a_half_gigabytes(stage: Stage) -> None:
    assert stack.memory_of(stage.env) < 1500
