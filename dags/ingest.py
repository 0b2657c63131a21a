"""The producer: once a week, store every model's source as a snapshot and announce the week."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronPartitionTimetable, task
from airflow.sdk.exceptions import AirflowSkipException
from evermix_cli import RETRIES, asked_week, models_param, read_models, run_evermix, weekly_asset

DOC = """
### ingest

Every Monday at 06:00 UTC, for the week that ended the night before, one task per model:

1. `evermix ingest` stores the source's answer as an immutable snapshot;
2. if one was stored, the task emits an event on the asset `evermix/<model>`, partition = **the Monday of the week
   being closed**, and the DAG `refresh_<model>` takes it from there.

No event when the source has no row yet for that week (`waiting`) or the week is closed: the task is skipped.

**One week by hand**: *Trigger*, with the week's Monday as *partition key*; `models` narrows it to some models.
**Many past weeks**: a backfill of this DAG, `max_active_runs = 1`, which emits the weeks in order;
once one has run, Airflow also starts the run of the latest week by the clock.
Running a week again changes nothing that is already right.
"""


def ingest_task(model: str, entry: dict[str, Any]):
    """Return the task that stores one model's week and announces it."""

    @task(
        task_id=f"ingest_{model}",
        outlets=[weekly_asset(model)],
        owner=entry["owner"],
        doc_md=f"`evermix ingest --model {model}`: stores the week; skipped when there is nothing new to announce.",
        **RETRIES,
    )
    def ingest(dag_run=None, params=None) -> dict[str, Any]:
        as_of = asked_week(model, dag_run, params)
        answer = run_evermix("ingest", "--model", model, "--as-of", as_of, "--json")
        if answer["status"] != "stored":
            raise AirflowSkipException(f"{model} {as_of}: {answer['status']}, so nothing is announced")
        return answer

    return ingest()


MODELS = read_models()

with DAG(
    dag_id="ingest",
    # A week is closed by the tick after it: offset -1 makes the key the Monday of the week that has just ended.
    # A stack that starts for the first time waits for its first Monday instead of running the last one at once.
    schedule=CronPartitionTimetable(
        "0 6 * * MON", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d", run_immediately=timedelta(0)
    ),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "evermix"},
    params={"models": models_param(MODELS)},
    tags=["evermix", "producer"],
    doc_md=DOC,
    description="Stores every model's week and announces it",
):
    for name, entry in MODELS.items():
        ingest_task(name, entry)
