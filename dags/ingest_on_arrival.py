"""A second producer: looks out for each model's week, and stores and announces it soon after it arrives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronPartitionTimetable, PokeReturnValue, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from evermix_cli import RETRIES, asked_week, log, models_param, read_models, run_evermix, weekly_asset

POKE_EVERY = timedelta(minutes=15)
# Before the next week's run, which would look for this week too.
GIVE_UP_AFTER = timedelta(days=6, hours=12)

DOC = """
### ingest_on_arrival

For sources that deliver at no fixed hour. From Monday 00:05 UTC, one sensor per model runs `evermix ingest` every
15 minutes for the week that ended the night before, until the week is there; it then emits the same event as `ingest`,
on the asset `evermix/<model>`, partition = the week's Monday. Between two looks it holds no worker.

| the source | the sensor |
| --- | --- |
| has the week | is done, and `refresh_<model>` starts |
| does not have it yet, is not there, or does not answer | looks again |
| has not brought it after six and a half days | fails: see who delivers |
| the week is closed already, as `ingest` was faster | is skipped, and announces nothing |

**Paused until somebody turns it on.** It may run beside `ingest` or in its place (pause that one then): a week that is
announced twice is refreshed once, the second run finds it closed. Any source will do: a file, S3, a database.
**One week by hand**: *Trigger*, with the week's Monday as *partition key*; `models` narrows it to some models.
"""


def arrival_sensor(model: str, entry: dict[str, Any]):
    """Return the sensor that is done when a model's week is stored."""

    @task.sensor(
        task_id=f"arrival_{model}",
        mode="reschedule",
        poke_interval=POKE_EVERY,
        timeout=GIVE_UP_AFTER,
        outlets=[weekly_asset(model)],
        owner=entry["owner"],
        doc_md=f"`evermix ingest --model {model}` until the week is there; skipped when it is closed already.",
        **RETRIES,
    )
    def arrival(dag_run=None, params=None) -> PokeReturnValue:
        as_of = asked_week(model, dag_run, params)
        try:
            answer = run_evermix("ingest", "--model", model, "--as-of", as_of, "--json")
        except AirflowFailException:
            raise
        except AirflowException as err:
            log.info("not yet: %s", err)
            return PokeReturnValue(is_done=False)
        if answer["status"] == "closed":
            raise AirflowSkipException(f"{model} {as_of}: closed already, so nothing is announced")
        return PokeReturnValue(is_done=answer["status"] != "waiting", xcom_value=answer)

    return arrival()


MODELS = read_models()

with DAG(
    dag_id="ingest_on_arrival",
    # As in `ingest`: offset -1 makes the key the Monday of the week that has just ended.
    schedule=CronPartitionTimetable(
        "5 0 * * MON", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d", run_immediately=timedelta(0)
    ),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    default_args={"owner": "evermix"},
    params={"models": models_param(MODELS)},
    tags=["evermix", "producer"],
    doc_md=DOC,
    description="Stores and announces a model's week as soon as it arrives",
):
    for name, entry in MODELS.items():
        arrival_sensor(name, entry)
