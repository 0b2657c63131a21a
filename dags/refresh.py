"""One DAG per model: takes an announced week through the stages, closes it, and asks a person if need be."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, DeadlineAlert, PartitionedAssetTimetable, SyncCallback, chain, task
from evermix_cli import RETRIES, read_models, run_evermix, tell_run_overdue, weekly_asset
from run_deadline import RunQueued

# A first fit of the largest model that was tried takes minutes; six hours are a run that hangs, or waits for a worker.
RUN_DEADLINE = timedelta(hours=6)

# Of Airflow's default pool, for what may sample: a fit holds some 0.7 GB. docker-compose.yml has 5 in all, so that two
# fits are never at once; Airflow's own default of 128 limits nothing.
SAMPLING_SLOTS = 3

STEPS = {
    "open": "Lays out the week's inputs in the model's work clone: snapshot, champion, prequential log, last request.",
    "validate": "Holds the snapshot against the model's data contract; a broken one is quarantined, not patched.",
    "monitor": "Scores the new week with the version that was live before it came; measures drift and restatements.",
    "decide": "Turns the evidence into one decision: `keep`, `refit`, `review`, `quarantine` or `first_fit`.",
    "fit": "Runs MCMC when there is a new request; else nothing. Progress is in the log.",
    "evaluate": "Measures the challenger: convergence, predictive skill, stability against the champion.",
    "gate": "Gives the verdict on the challenger: `promote`, `hold` or `reject`.",
    "close": "Records the week: ledger, pointer, registry, alerts.",
    "report": "Writes the week's HTML report.",
}

DOC = """
### refresh_{model}

{about}

One run per week, started by the event that `ingest` emits on `evermix/{model}`; the partition key is the Monday of
the week being closed. Runs may start in any order: `catch_up` closes the earlier weeks first, in order, and the runs of
those weeks then find nothing to do. One run at a time. Weeks of other models run beside it.

A held or reviewed week does not stop the ones behind it: the question goes to `approval_{model}`, and this run ends.

A run that has not ended {hours:.0f} hours after it was queued is an alert (`run_overdue`); a run that never came is
noticed by `watchdog`.

**A refit, asked for by a data team's system**: *Trigger* with `{{"refit": "why", "upstream": "who asks"}}` as conf, or
send that as the extra of the asset's event. It goes into the ledger with who; a rule of params decides
(`upstream_request`).

**Red?** The log of the red task ends with what to do. Mend it, then *Clear* the task: every step may be run again.
**A week again**: *Trigger* with its Monday as partition key.
"""


def step_task(step: str, model: str):
    """Return the task that carries out one step of the week."""

    @task(
        task_id=step,
        doc_md=f"{STEPS[step]}\n\n`evermix {step} --model {model} --as-of WEEK`",
        pool_slots=SAMPLING_SLOTS if step == "fit" else 1,
    )
    def run_step(dag_run=None) -> None:
        run_evermix(step, "--model", model, "--as-of", dag_run.partition_key)

    return run_step()


def refit_asked_task(model: str):
    """Return the task that puts upstream requests for a refit into the ledger, before the week that answers them."""

    @task(
        task_id="refit_asked",
        doc_md="Records a refit that an upstream system asks for: `refit` in the run's conf, or in an event's extra.",
    )
    def refit_asked(dag_run=None, triggering_asset_events=None) -> None:
        asked = [{"by": dag_run.triggering_user_name, "upstream": "airflow", **(dag_run.conf or {})}]
        for events in (triggering_asset_events or {}).values():
            asked += [{"by": e.source_dag_id, "upstream": e.source_dag_id or "airflow", **e.extra} for e in events]
        for request in asked:
            if request.get("refit"):
                run_evermix(
                    *("refit", "--model", model, "--reason", str(request["refit"])),
                    # A task that is cleared asks under the same id, which counts once.
                    *("--upstream", str(request["upstream"]), "--ref", dag_run.run_id),
                    *("--by", str(request["by"] or "airflow"), "--json"),
                )

    return refit_asked()


def catch_up_task(model: str):
    """Return the task that closes the weeks which should have come before this one."""

    @task(
        task_id="catch_up",
        doc_md="Closes earlier weeks that were ingested but not closed, in order.",
        pool_slots=SAMPLING_SLOTS,
    )
    def catch_up(dag_run=None) -> list[str]:
        as_of = dag_run.partition_key
        pending = run_evermix("pending", "--model", model, "--through", as_of, "--json")
        # ISO dates sort as text; this run's own week is left to the steps that follow.
        earlier = sorted(week for week in pending if week < as_of)
        for week in earlier:
            run_evermix("week", "--model", model, "--as-of", week)
        return earlier

    return catch_up()


def question_task(model: str):
    """Return the task that lets the run go on to ``ask`` only when a person has something to decide."""

    @task.short_circuit(task_id="question_due", doc_md="Skips `ask` when the ledger holds no open question.")
    def question_due() -> dict[str, Any] | None:
        answer = run_evermix("review", "--model", model, "--json")
        if answer["question"] is None:
            return None
        as_of, version = answer["question"]["as_of"], answer["question"]["version"]
        return {
            "as_of": as_of,
            "version": version,
            "subject": f"{model}, week {as_of}: {version}",
            "body": answer["body"],
            # One run id per question, so that the same question is never asked twice.
            "run_id": "question__" + re.sub(r"[^A-Za-z0-9_.~:+-]", "_", version),
        }

    return question_due()


def refresh_dag(model: str, entry: dict[str, Any]) -> DAG:
    """Return the weekly DAG of one model."""
    with DAG(
        dag_id=f"refresh_{model}",
        schedule=PartitionedAssetTimetable(assets=weekly_asset(model)),
        catchup=False,
        max_active_runs=1,
        default_args={"owner": entry["owner"], **RETRIES},
        tags=["evermix", "refresh", f"model:{model}"],
        deadline=DeadlineAlert(
            reference=RunQueued(),
            interval=RUN_DEADLINE,
            callback=SyncCallback(tell_run_overdue, kwargs={"model": model}),
        ),
        doc_md=DOC.format(model=model, about=entry["doc"], hours=RUN_DEADLINE.total_seconds() / 3600),
        description=f"Takes {model} through its week",
    ) as dag:
        ask = TriggerDagRunOperator(
            task_id="ask",
            trigger_dag_id=f"approval_{model}",
            trigger_run_id="{{ ti.xcom_pull(task_ids='question_due')['run_id'] }}",
            conf="{{ ti.xcom_pull(task_ids='question_due') | tojson }}",
            logical_date=None,
            skip_when_already_exists=True,
            openlineage_inject_parent_info=False,
            doc_md="Puts the question to a person in a run of its own, and does not wait for the answer.",
        )
        chain(
            catch_up_task(model),
            refit_asked_task(model),
            *(step_task(step, model) for step in STEPS),
            question_task(model),
            ask,
        )
    return dag


for name, entry in read_models().items():
    refresh_dag(name, entry)
