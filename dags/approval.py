"""One DAG per model: shows a question with its evidence to a person and carries out the answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException
from evermix_cli import RETRIES, read_models, run_evermix

APPROVE, REJECT, HOLD = "Approve", "Reject", "Hold"
ANSWERS = {APPROVE: "approve", REJECT: "reject", HOLD: "hold"}

DOC = """
### approval_{model}

One run per question, started by `refresh_{model}` when a verdict is `hold` or a decision is `review`.
Answer it under *Required Actions*:

| answer | what happens |
| --- | --- |
| Approve | `evermix review --answer approve`: the ledger records who and when, and the change is made |
| Reject | `evermix review --answer reject`: the ledger records who and when, the champion stays |
| Hold | `evermix review --answer hold`: the ledger records who and when, the champion stays and the question is open |
| none within {weeks} weeks | Airflow takes it for a Hold that nobody gave, and the question expires |

No week waits for the answer. If a newer version has taken the question's place meanwhile, the answer changes nothing
and the log of `carry_out` says so. The ledger owns the question: `evermix review` answers it as well.
"""


def carry_out_task(model: str):
    """Return the task that hands a person's answer to evermix."""

    @task(
        task_id="carry_out",
        trigger_rule="none_failed",
        doc_md="Carries out the answer and writes it to the ledger with who gave it. Safe to run again.",
        **RETRIES,
    )
    def carry_out(dag_run=None, ti=None) -> dict[str, Any]:
        answer = ti.xcom_pull(task_ids="ask")
        chosen, person = answer["chosen_options"][0], answer["responded_by_user"]
        if person is None:
            raise AirflowSkipException("nobody answered in time: nothing is promoted, the champion stays in use")
        return run_evermix(
            *("review", "--model", model, "--as-of", dag_run.conf["as_of"]),
            *("--answer", ANSWERS[chosen], "--by", person["name"] or person["id"], "--json"),
        )

    return carry_out()


def approval_dag(model: str, entry: dict[str, Any]) -> DAG:
    """Return the DAG that asks a person about one model."""
    with DAG(
        dag_id=f"approval_{model}",
        schedule=None,
        catchup=False,
        # Questions wait side by side; an unanswered one must not keep a newer one from being asked.
        max_active_runs=100,
        default_args={"owner": entry["owner"]},
        tags=["evermix", "approval", f"model:{model}"],
        doc_md=DOC.format(model=model, weeks=entry["approval_expires_weeks"]),
        description=f"Asks a person about {model}",
    ) as dag:
        ask = HITLOperator(
            task_id="ask",
            subject="{{ dag_run.conf['subject'] }}",
            body="{{ dag_run.conf['body'] }}",
            options=[APPROVE, REJECT, HOLD],
            defaults=[HOLD],
            response_timeout=timedelta(weeks=entry["approval_expires_weeks"]),
            doc_md="Waits for a person, under *Required Actions*; holds no worker while it waits.",
        )
        ask >> carry_out_task(model)
    return dag


for name, entry in read_models().items():
    approval_dag(name, entry)
