"""Play a simulated brand through the whole stack, and tell what was planted and what was seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evermix.config import Environment, ModelParams, load_params
from evermix.core.simulate import Simulation, simulate
from evermix.core.simulate_scenarios import find_scenario
from evermix.engines import stack
from evermix.engines.airflow_api import AirflowClient, wait
from evermix.engines.store import write_json
from evermix.errors import ServiceError
from evermix.stages.down import down
from evermix.stages.simulate import publish
from evermix.stages.status import history
from evermix.stages.up import client, up

Say = Callable[[str], None]

SEED = 20260105
PATIENCE_S = 1200.0
# Which rules of the table are meant to notice what the scenario plants.
WATCHERS = {
    "corrupt": {"broken_contract"},
    "new_channel": {"channel_changed"},
    "level_shift": {"level_shift", "outlier_week"},
    "restated": {"spend_restated", "target_restated"},
}


def run(env: Environment, keep: bool, say: Say) -> dict[str, Any]:
    """Start the stack, make the first fit, play the scenario's weeks; return the weeks and where to look.

    Weeks that are closed already are not played again, so a second call goes on where the first one stopped.

    Parameters
    ----------
    keep : bool
        Leave the stack running at the end.

    Raises
    ------
    ServiceError
        A week did not come out; says which task of it failed, with the end of its log.
    """
    simulation = simulate(find_scenario("demo"), SEED)
    model = simulation.truth["model"]
    params = load_params(env.project / "params.yaml").model(model)
    timed = _with_clock(say)
    try:
        about = up(env, timed)
        timed(f"Airflow {about['airflow_url']} (user {about['user']}, password {about['password']})")
        peak = _play(env, simulation, params, client(about), timed)
        summary = _summary(env, model, simulation, params, about, peak)
    finally:
        if not keep:
            down(env, timed)
    return summary


def _play(env: Environment, simulation: Simulation, params: ModelParams, airflow: AirflowClient, say: Say) -> float:
    """Deliver and close week after week; return the peak memory of the stack in MB."""
    model = simulation.truth["model"]
    folder = Path(env.source_path(params.source.path)).parent
    write_json(folder / "truth.json", simulation.truth)
    peak = [0.0]

    def watch(line: str) -> None:
        peak[0] = max(peak[0], stack.memory_of(env))
        if line:
            say(line)

    _publish_others(env)
    say(f"{simulation.scenario.history_weeks} weeks of history; the first fit is made on them")
    history_end = simulation.feed.deliver(simulation.truth["history_through"])
    for delivery in (history_end, *simulation.feed.deliveries()):
        publish(simulation, folder, delivery.as_of, delivery.attempt)
        planted = "; ".join(str(event["text"]) for event in delivery.planted)
        correction = "the corrected delivery" if delivery.attempt > 1 else ""
        say(f"week {delivery.as_of}" + (f": {planted or correction}" if planted or correction else ""))
        _close(airflow, model, delivery.as_of, watch)
        last = [week for week in history(env, [model]) if week["as_of"] == delivery.as_of]
        say(f"  -> {last[0]['decision']}: {'; '.join(last[0]['reasons'])}" if last else "  -> no decision")
    return peak[0]


def _publish_others(env: Environment) -> None:
    """Give the other shipped models their history, so that they can be tried by hand and wait for their next week."""
    for name in ("regions", "demand"):
        other = simulate(find_scenario(name), SEED)
        publish(other, env.home / "feeds" / other.truth["model"], other.truth["history_through"])


def _close(airflow: AirflowClient, model: str, as_of: str, say: Say) -> None:
    """Trigger the producer for one week and follow the refresh that it starts."""
    refresh = f"refresh_{model}"
    before = {run["dag_run_id"] for run in airflow.dag_runs(refresh, as_of)}
    produced = airflow.trigger("ingest", as_of, {"models": [model]})
    _expect_success(airflow, "ingest", airflow.wait_for_run("ingest", produced, PATIENCE_S))
    states = {task["task_id"]: task["state"] for task in airflow.task_instances("ingest", produced)}
    if states[f"ingest_{model}"] == "skipped":
        say("  closed before, or nothing new delivered")
        return

    def new_run() -> dict[str, Any] | None:
        return next((run for run in airflow.dag_runs(refresh, as_of) if run["dag_run_id"] not in before), None)

    started = wait(new_run, f"a run of {refresh} for {as_of}", 60.0)
    seen: set[str] = set()

    def ended() -> dict[str, Any] | None:
        for task in airflow.task_instances(refresh, started["dag_run_id"]):
            if task["state"] in ("running", "success", "failed") and task["task_id"] not in seen:
                seen.add(task["task_id"])
                say(f"  {task['task_id']}")
        say("")
        run = airflow.dag_run(refresh, started["dag_run_id"])
        return run if run["state"] in ("success", "failed") else None

    _expect_success(airflow, refresh, wait(ended, f"{refresh} of {as_of} to end", PATIENCE_S))


def _expect_success(airflow: AirflowClient, dag: str, run: dict[str, Any]) -> None:
    if run["state"] == "success":
        return
    tasks = airflow.task_instances(dag, run["dag_run_id"])
    failed = next(task for task in tasks if task["state"] == "failed")
    log = airflow.log(dag, run["dag_run_id"], failed["task_id"], failed["try_number"])
    raise ServiceError(
        f"{dag}, week {run['partition_key']}: task {failed['task_id']} failed, expected success.\n"
        + "\n".join(log.splitlines()[-25:])
        + "\nMend what the log says, then run the demo again: it goes on with this week."
    )


def _summary(
    env: Environment,
    model: str,
    simulation: Simulation,
    params: ModelParams,
    about: dict[str, Any],
    peak_mb: float,
) -> dict[str, Any]:
    weeks = history(env, [model])
    asked = [week["approval"]["version"] for week in weeks if (week["approval"] or {}).get("state") == "pending"]
    return {
        "weeks": weeks,
        **{f"planted {e['week']}": _seen(e, weeks, params) for e in simulation.truth["events"]},
        "report": str(env.home / "reports" / model / f"{weeks[-1]['as_of']}.html"),
        "approval": _question_url(client(about), model, asked[-1]) if asked else None,
        "airflow": f"{about['airflow_url']} (user {about['user']}, password {about['password']})",
        "mlflow": about["mlflow_url"],
        "peak memory": f"{peak_mb:.0f} MB",
    }


def _question_url(airflow: AirflowClient, model: str, version: str) -> str:
    """Return where the question about a version waits; its run starts a moment after the week has ended."""

    def waiting() -> dict[str, Any] | None:
        questions = airflow.pending_approvals(f"approval_{model}")
        return next((one for one in questions if version in one["subject"]), None)

    return str(wait(waiting, f"the question about {version}", 60.0)["url"])


def _seen(event: dict[str, Any], weeks: list[dict[str, Any]], params: ModelParams) -> str:
    """Say in which week a planted event was noticed by a rule that is meant to, if in any."""
    whys = [rule.why for rule in params.rules if rule.name in WATCHERS.get(event["kind"], set())]
    for week in (week for week in weeks if week["as_of"] >= event["week"]):
        healed = week["healed"] and event["kind"] == "corrupt"
        if healed or any(why in reason for why in whys for reason in week["reasons"]):
            what = "quarantine, then healed" if healed else week["decision"]
            return f"{event['text']}: noticed in week {week['as_of']} ({what})"
    return f"{event['text']}: NOT noticed"


def _with_clock(say: Say) -> Say:
    started = time.monotonic()
    return lambda line: say(f"[{time.monotonic() - started:4.0f} s] {line}")
