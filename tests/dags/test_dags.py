"""The DAG files parse fast, import nothing heavy, and keep the order of the DVC graph."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DAGS = ROOT / "dags"
HEAVY = ["pandas", "numpy", "pymc", "mlflow", "evermix", "arviz", "xarray", "scipy"]

# DagBag's own duration, as the budget says: after Airflow is imported.
LOOK = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import logging; logging.disable(logging.CRITICAL)
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
dags = {}
for dag in bag.dags.values():
    dags[dag.dag_id] = {
        "order": [task.task_id for task in dag.topological_sort()],
        "docs": {task.task_id: bool(task.doc_md) for task in dag.tasks},
        "doc": bool(dag.doc_md), "description": dag.description, "tags": sorted(dag.tags),
        "owner": dag.owner, "max_active_runs": dag.max_active_runs, "catchup": dag.catchup,
        "schedule": type(dag.timetable).__name__,
        "deadlines_s": [alert.interval.total_seconds() for alert in dag.deadline or []],
        "retries": {task.task_id: task.retries for task in dag.tasks},
        "pool_slots": {task.task_id: task.pool_slots for task in dag.tasks},
    }
print("ANSWER" + json.dumps({
    "dags": dags,
    "errors": {str(k): str(v) for k, v in bag.import_errors.items()},
    "durations": {stat.file: stat.duration.total_seconds() for stat in bag.dagbag_stats},
    "heavy": sorted({name.split(".")[0] for name in sys.modules} & set(sys.argv[2:])),
}))
"""


def look(home: Path) -> dict[str, Any]:
    variables = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
    variables |= {"EVERMIX_HOME": str(home), "AIRFLOW_HOME": str(home / "airflow"), "PYTHONWARNINGS": "ignore"}
    variables["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(DAGS / "plugins")
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(DAGS), *HEAVY], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.split("ANSWER")[1])


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    entry = {"owner": "marketing", "doc": "A brand.", "approval_expires_weeks": 4}
    (home / "models.json").write_text(json.dumps({"models": {"brand": entry, "regions": entry}}))
    return look(home)


def test_every_dag_file_parses(bag: dict[str, Any]) -> None:
    assert bag["errors"] == {}
    assert sorted(bag["dags"]) == [
        "approval_brand",
        "approval_regions",
        "ingest",
        "ingest_on_arrival",
        "refresh_brand",
        "refresh_regions",
        "watchdog",
    ]


def test_each_dag_file_parses_in_under_half_a_second(bag: dict[str, Any]) -> None:
    assert {Path(file).name for file in bag["durations"]} == {
        *("ingest.py", "ingest_on_arrival.py", "refresh.py", "approval.py", "watchdog.py")
    }
    assert max(bag["durations"].values()) < 0.5


def test_no_dag_file_loads_a_model_or_frame_library(bag: dict[str, Any]) -> None:
    assert bag["heavy"] == []


def test_dag_files_import_only_airflow_sdk_its_standard_provider_and_the_standard_library() -> None:
    allowed = {*sys.stdlib_module_names, "evermix_cli", "run_deadline"}
    for file in DAGS.rglob("*.py"):
        for line in file.read_text().splitlines():
            words = line.split()
            if not line.startswith((" ", "#")) and words[:1] in (["import"], ["from"]):
                name = words[1]
                is_airflow = name.startswith(("airflow.sdk", "airflow.providers.standard"))
                assert is_airflow or name.split(".")[0] in allowed, f"{file.name}: {line}"


def test_refresh_runs_the_dvc_stages_in_an_order_that_their_dependencies_allow(bag: dict[str, Any]) -> None:
    order = bag["dags"]["refresh_brand"]["order"]
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    outputs = {}
    for name, stage in stages.items():
        body = stage.get("do", stage)
        for kind in ("outs", "metrics", "plots"):
            for out in body.get(kind, []):
                outputs[next(iter(out)) if isinstance(out, dict) else out] = name
    edges = [
        (maker, name)
        for name, stage in stages.items()
        for dep in stage.get("do", stage).get("deps", [])
        for out, maker in outputs.items()
        if dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/")
    ]
    assert set(stages) <= set(order)
    assert edges
    assert [edge for edge in edges if order.index(edge[0]) >= order.index(edge[1])] == []


def test_the_week_is_opened_before_and_closed_after_the_stages(bag: dict[str, Any]) -> None:
    order = bag["dags"]["refresh_brand"]["order"]
    assert order[:3] == ["catch_up", "refit_asked", "open"]
    assert order[-4:] == ["close", "report", "question_due", "ask"]


def test_two_tasks_that_may_sample_do_not_fit_into_the_pool_of_the_containers_and_the_others_do(
    bag: dict[str, Any],
) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    told = services["airflow-scheduler"]["environment"]["AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT"]
    pool = int(re.fullmatch(r"\$\{EVERMIX_POOL_SLOTS:-(\d+)\}", told)[1])
    slots = bag["dags"]["refresh_brand"]["pool_slots"]
    sampling = {name for name, count in slots.items() if 2 * count > pool >= count}
    assert sampling == {"fit", "catch_up"}
    assert all(count == 1 for name, count in slots.items() if name not in sampling)


def test_weeks_of_one_model_run_one_at_a_time_and_questions_side_by_side(bag: dict[str, Any]) -> None:
    assert bag["dags"]["ingest"]["max_active_runs"] == 1
    assert bag["dags"]["refresh_brand"]["max_active_runs"] == 1
    assert bag["dags"]["approval_brand"]["max_active_runs"] > 10
    assert not any(dag["catchup"] for dag in bag["dags"].values())


def test_a_refresh_has_a_deadline_and_the_watchdog_looks_by_the_clock(bag: dict[str, Any]) -> None:
    assert bag["dags"]["refresh_brand"]["deadlines_s"] == [6 * 3600]
    assert bag["dags"]["watchdog"]["schedule"] == "CronTriggerTimetable"
    assert bag["dags"]["watchdog"]["retries"] == {"look": 3}


def test_every_dag_and_task_says_what_it_is_and_whose(bag: dict[str, Any]) -> None:
    for name, dag in bag["dags"].items():
        assert dag["doc"] and dag["description"] and "evermix" in dag["tags"], name
        assert all(dag["docs"].values()), (name, dag["docs"])
    assert bag["dags"]["refresh_brand"]["owner"] == "marketing"


def test_a_home_without_models_has_a_producer_with_nothing_to_do(tmp_path: Path) -> None:
    empty = look(tmp_path)
    assert empty["errors"] == {}
    assert sorted(empty["dags"]) == ["ingest", "ingest_on_arrival", "watchdog"]
    assert empty["dags"]["ingest"]["order"] == []
