"""The sensor of the second producer: when it is done, looks again, is skipped, fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).parents[2] / "dags"

# In a process of its own: importing Airflow changes logging and warnings for everything after it.
RUN = """
import json, sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
import logging; logging.disable(logging.CRITICAL)
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(sys.argv[1] + "/ingest_on_arrival.py").dags["ingest_on_arrival"]
sensor = dag.get_task("arrival_brand")
answers = []
for key, models in json.loads(sys.argv[2]):
    try:
        got = sensor.python_callable(dag_run=SimpleNamespace(partition_key=key), params={"models": models})
        answers.append(["done" if got.is_done else "again", (got.xcom_value or {}).get("status")])
    except Exception as err:
        answers.append([type(err).__name__, str(err)])
about = {"mode": sensor.mode, "every_s": sensor.poke_interval, "up_to_s": sensor.timeout, "owner": sensor.owner,
         "outlets": [asset.name for asset in sensor.outlets], "paused": dag.is_paused_upon_creation}
producer = DagBag(sys.argv[1] + "/ingest.py").dags["ingest"]
about["same_key"] = dag.timetable.key_format == producer.timetable.key_format
print("ANSWER" + json.dumps({"answers": answers, "about": about}, default=str))
"""

# Says by week what `evermix ingest` would: an exit code, or a status.
STAND_IN = """
import json, sys
week = sys.argv[sys.argv.index("--as-of") + 1]
said = {"2026-01-05": "stored", "2026-01-12": "waiting", "2026-01-19": "closed", "2026-01-26": 6, "2026-02-02": 2}[week]
if isinstance(said, int):
    sys.exit(said)
print(json.dumps({"status": said}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    entry = {"owner": "marketing", "doc": "A brand.", "approval_expires_weeks": 4}
    (home / "models.json").write_text(json.dumps({"models": {"brand": entry}}))
    (home / "stand_in.py").write_text(STAND_IN)
    weeks = ["2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26", "2026-02-02", None]
    asked = [*([week, ["brand"]] for week in weeks), ["2026-01-05", ["other"]]]
    variables = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
    variables |= {"EVERMIX_HOME": str(home), "AIRFLOW_HOME": str(home / "airflow"), "PYTHONWARNINGS": "ignore"}
    variables["EVERMIX_COMMAND"] = f"{sys.executable} {home / 'stand_in.py'}"
    command = [sys.executable, "-c", RUN, str(DAGS), json.dumps(asked)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.split("ANSWER")[1])
    return {"about": found["about"], **{str(a[0]) + a[1][0]: b for a, b in zip(asked, found["answers"], strict=True)}}


def test_a_week_that_is_there_ends_the_watch(seen: dict[str, Any]) -> None:
    assert seen["2026-01-05brand"] == ["done", "stored"]


def test_a_week_that_is_not_there_or_a_source_that_does_not_answer_is_looked_at_again(seen: dict[str, Any]) -> None:
    assert seen["2026-01-12brand"] == ["again", "waiting"]
    assert seen["2026-01-26brand"] == ["again", None]


def test_a_week_that_is_closed_is_not_announced_again(seen: dict[str, Any]) -> None:
    assert seen["2026-01-19brand"][0] == "AirflowSkipException"
    assert "closed already" in seen["2026-01-19brand"][1]


def test_an_error_that_a_person_must_mend_and_a_run_without_a_week_fail_at_once(seen: dict[str, Any]) -> None:
    assert seen["2026-02-02brand"][0] == "AirflowFailException"
    assert seen["Nonebrand"][0] == "AirflowFailException"
    assert "no partition key" in seen["Nonebrand"][1]


def test_models_that_were_not_asked_for_are_skipped(seen: dict[str, Any]) -> None:
    assert seen["2026-01-05other"][0] == "AirflowSkipException"


def test_it_holds_no_worker_ends_before_the_next_week_and_waits_to_be_turned_on(seen: dict[str, Any]) -> None:
    about = seen["about"]
    assert about["mode"] == "reschedule"
    assert about["every_s"] == 900
    assert 6 * 86400 < about["up_to_s"] < 7 * 86400
    assert about["paused"] is True
    assert about["owner"] == "marketing"
    assert about["outlets"] == ["evermix/brand"]
    assert about["same_key"]
