"""A real Airflow, a stand-in for `evermix`: a run that hangs is reported by its deadline, without a triggerer."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evermix.config import Environment
from evermix.engines import stack
from evermix.engines.airflow_api import AirflowClient, wait

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WEEK = "2026-01-05"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def airflow(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowClient]:
    """Yield an Airflow whose runs of alpha are late after five seconds, and whose `open` hangs."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "dags", project / "dags")
    refresh = project / "dags" / "refresh.py"
    theirs = "interval=RUN_DEADLINE"
    ours = 'interval=timedelta(seconds=5) if model == "alpha" else RUN_DEADLINE'
    assert theirs in refresh.read_text()
    refresh.write_text(refresh.read_text().replace(theirs, ours))
    (home / "fake").mkdir()
    entry = {"owner": "evermix", "doc": "A stand-in.", "approval_expires_weeks": 4}
    (home / "models.json").write_text(json.dumps({"models": {"alpha": entry, "beta": entry}}))
    (home / "fake" / "plan.json").write_text(
        json.dumps({"sleep_s": {f"open {model} {WEEK}": 600 for model in ("alpha", "beta")}})
    )
    # A tracking server that is named is not started: Airflow is all that this needs.
    env = Environment(project=project, home=home, tracking_uri="http://127.0.0.1:9", history_url="", dvc_remote_url="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERMIX_COMMAND", f"{sys.executable} {ROOT / 'tests/dags/fake_evermix.py'}")
        try:
            about = stack.start(env, print)
            client = AirflowClient(about["airflow_url"], about["user"], about["password"])
            due = {"refresh_alpha", "refresh_beta", "watchdog"}
            wait(lambda: {} if due <= {dag["dag_id"] for dag in client.dags()} else None, "the DAGs", 120.0)
            yield client
        finally:
            stack.stop_all(env, print)


def test_a_run_that_has_not_ended_by_its_deadline_is_reported_with_model_and_week(
    airflow: AirflowClient, home: Path
) -> None:
    def reported() -> dict[str, str] | None:
        path = home / "fake" / "calls.jsonl"
        calls = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return next((call for call in calls if call["command"] == "watchdog"), None)

    started = time.monotonic()
    run = airflow.trigger("refresh_alpha", WEEK)
    call = wait(reported, "the report of a late run", 60.0)
    print(f"reported {time.monotonic() - started:.0f} s after the trigger, with a deadline of 5 s")
    assert call == {"command": "watchdog", "run_overdue": "alpha", "model": "alpha", "as_of": WEEK}
    assert airflow.dag_run("refresh_alpha", run)["state"] == "running"


@pytest.mark.parametrize("model", ["alpha", "beta"])
def test_a_run_with_a_deadline_can_be_cleared(airflow: AirflowClient, model: str) -> None:
    # With Airflow's own reference to the time of queueing, 3.3.2 answers 500 before the deadline.
    run = f"refresh_{model}", airflow.trigger(f"refresh_{model}", WEEK)
    airflow.clear(*run)
    assert airflow.dag_run(*run)["state"] in ("queued", "running")


def test_the_watchdog_runs_beside_a_run_that_hangs(airflow: AirflowClient) -> None:
    run = airflow.trigger("watchdog")
    assert airflow.wait_for_run("watchdog", run, 60.0)["state"] == "success"
