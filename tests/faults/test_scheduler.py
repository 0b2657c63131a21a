"""`kill -9` of Airflow's scheduler with a week in flight: after `up` the next run of the week finishes it, once."""

import os
import shutil
import signal
import time
from contextlib import suppress

import psutil
import pytest
from faults.lab import REPEATS, Harm
from project import FIRST, MODEL, ROOT, Project, monday

from evermix.config import Environment, load_params
from evermix.core import ledger
from evermix.engines import stack
from evermix.engines.airflow_api import AirflowClient, wait
from evermix.stages.up import write_manifest

pytestmark = [pytest.mark.fault, pytest.mark.slow]
PATIENCE_S = 420.0


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("scheduler"), weeks=REPEATS + 2)
    shutil.copytree(ROOT / "dags", project.root / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    project.week(FIRST)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in project.environment().items():
            if name.startswith("EVERMIX_") or name == "PYTHONPATH":
                patch.setenv(name, value)
        env = Environment.read()
        write_manifest(env, load_params(project.root / "params.yaml"))
        try:
            stack.start(env, print)
            yield project, env
        finally:
            stack.stop_all(env, print)


def airflow_of(env):
    about = stack.describe(env)
    airflow = AirflowClient(about["airflow_url"], about["user"], about["password"])
    wait(lambda: {} if len(airflow.dags()) >= 3 else None, "the DAGs", PATIENCE_S)
    return airflow, about["processes"]["scheduler"]


def in_flight(word, home):
    """Wait until an `evermix` command of a task runs on this home."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "evermix" not in words or word not in words:
                continue
            with suppress(psutil.NoSuchProcess):
                if process.environ().get("EVERMIX_HOME") == str(home):
                    return
        time.sleep(0.05)
    raise AssertionError(f"no task ran `evermix {word}`")


@pytest.mark.parametrize("number", range(1, REPEATS + 1))
def test_a_scheduler_killed_with_a_week_in_flight_is_started_again_and_the_week_closed_once(stage, judge, number):
    project, env = stage
    airflow, scheduler = airflow_of(env)
    project.deliver(monday(number))
    airflow.trigger("ingest", monday(number), {"models": [MODEL]})
    in_flight(("decide", "fit", "close", "open", "gate")[number % 5], project.home)
    os.kill(scheduler, signal.SIGKILL)
    psutil.Process(scheduler).wait(PATIENCE_S)
    stack.start(env, print)
    airflow, _ = airflow_of(env)
    # The same partition triggered twice more at once: keys are not unique in Airflow, weeks are.
    for _ in range(2):
        airflow.trigger(f"refresh_{MODEL}", monday(number))

    def ended():
        runs = airflow.dag_runs(f"refresh_{MODEL}", monday(number))
        over = [run["state"] for run in runs if run["state"] in ("success", "failed")]
        return {"states": over} if len(runs) >= 3 and len(over) == len(runs) else None

    states = wait(ended, f"the runs of {monday(number)}", PATIENCE_S)["states"]
    text = (project.home / "work" / MODEL / "live" / MODEL / "ledger.jsonl").read_text()
    decided = [event["as_of"] for event in ledger.from_lines(text) if event["event"] == "decision"]
    (status,) = project.run("status", "--model", MODEL)
    lost, doubled = number + 1 - len(set(decided)), len(decided) - len(set(decided))
    wrong = [*status["ledger"]["faults"], *(status["registry"] or [])]
    wrong += [f"states {states}"] * ("success" not in states) + [f"weeks {decided}"] * bool(lost or doubled)
    judge("Airflow scheduler killed, then duplicate triggers", Harm(lost, doubled, wrong))
