"""The demo through a real Airflow and MLflow, then checked and answered through their APIs as a stranger would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evermix.engines.airflow_api import AirflowClient, wait

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PATIENCE_S = 600.0
LOAD = """
import json, sys, mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
example = model.input_example if hasattr(model, "input_example") else None
example = model.metadata.load_input_example() if example is None else example
print(json.dumps(model.predict(example)["mean"].tolist()))
"""


@dataclass
class Demo:
    """A demo that was played: its home, its stack, what it said at the end."""

    home: Path
    summary: dict[str, Any]
    stack: dict[str, Any]
    airflow: AirflowClient

    def evermix(self, *words: str) -> Any:
        return run(self.home, *words)


def run(home: Path, *words: str) -> Any:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("EVERMIX_", "AIRFLOW", "MLFLOW"))}
    env |= {"EVERMIX_HOME": str(home), "EVERMIX_PROJECT": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "evermix", *words, "--json"], env=env, stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, f"evermix {' '.join(words)} left with {done.returncode}"
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    home = tmp_path_factory.mktemp("demo")
    try:
        summary = run(home, "demo", "--keep")
        stack = run(home, "up")
        yield Demo(home, summary, stack, AirflowClient(stack["airflow_url"], stack["user"], stack["password"]))
    finally:
        run(home, "down")


def weeks(demo: Demo) -> dict[str, dict[str, Any]]:
    return {week["as_of"]: week for week in demo.evermix("history", "--model", "brand")}


def test_every_week_came_out_with_the_decision_that_its_event_asks_for(demo: Demo) -> None:
    found = weeks(demo)
    assert list(found) == sorted(found)
    assert len(found) == 7
    assert found["2025-12-22"]["decision"] == "first_fit"
    assert found["2025-12-22"]["verdict"] == "promote"
    assert found["2025-12-29"]["decision"] == "update"
    assert found["2026-01-05"]["healed"]
    assert found["2026-01-19"]["decision"] == "refit"
    assert any("channel_changed" in reason for reason in found["2026-01-19"]["reasons"])
    assert found["2026-02-02"]["decision"] == "review"
    (status,) = demo.evermix("status", "--model", "brand")
    assert status["ledger"]["faults"] == []
    assert status["registry"] == []
    assert status["pending_approval"]["as_of"] in {"2026-01-26", "2026-02-02"}


def test_airflow_shows_a_successful_run_per_week_with_its_stages(demo: Demo) -> None:
    for as_of in weeks(demo):
        runs = demo.airflow.dag_runs("refresh_brand", as_of)
        assert runs
        assert {r["state"] for r in runs} == {"success"}
        tasks = [t["task_id"] for t in demo.airflow.task_instances("refresh_brand", runs[-1]["dag_run_id"])]
        assert {"validate", "monitor", "decide", "fit", "evaluate", "gate", "close", "report"} <= set(tasks)


def test_the_report_and_the_address_of_the_question_are_there(demo: Demo) -> None:
    assert Path(demo.summary["report"]).stat().st_size > 10_000
    assert demo.summary["approval"].startswith(demo.stack["airflow_url"])


def test_a_closed_week_triggered_again_changes_nothing(demo: Demo) -> None:
    (before,) = demo.evermix("status", "--model", "brand", "--no-registry")
    again = demo.airflow.trigger("refresh_brand", "2026-01-12")
    assert demo.airflow.wait_for_run("refresh_brand", again, PATIENCE_S)["state"] == "success"
    (after,) = demo.evermix("status", "--model", "brand", "--no-registry")
    assert after["ledger"]["head"] == before["ledger"]["head"]


def test_an_approval_through_the_api_is_carried_out_and_says_who(demo: Demo) -> None:
    (status,) = demo.evermix("status", "--model", "brand", "--no-registry")
    asked = status["pending_approval"]["version"]
    assert status["pending_approval"]["verdict"] == "hold"
    question = next(q for q in demo.airflow.pending_approvals("approval_brand") if asked in json.dumps(q))
    demo.airflow.answer(question, "Approve")

    def carried_out() -> dict[str, Any] | None:
        (now,) = demo.evermix("status", "--model", "brand")
        return now if now["champion"]["version"] == asked else None

    now = wait(carried_out, f"{asked} to become champion", PATIENCE_S, pause_s=3.0)
    assert now["pending_approval"] is None
    assert now["registry"] == []
    week = weeks(demo)[status["pending_approval"]["as_of"]]
    assert week["approval"]["state"] == "approved"
    assert week["approval"]["by"] == demo.stack["user"]


def test_the_champion_is_served_by_its_alias_in_a_fresh_process(demo: Demo) -> None:
    env = os.environ | {"MLFLOW_TRACKING_URI": demo.stack["mlflow_url"]}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, "models:/brand@champion"], env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    means = json.loads(done.stdout.splitlines()[-1])
    assert means
    assert all(10_000 < value < 300_000 for value in means)
