"""Workers that share nothing but git and the DVC remote: each step of a week on another one, a worker lost in a fit."""

import os
import signal
import subprocess
import sys

import pytest
from project import FIRST, MODEL, Project, monday

STEPS = ("open", "validate", "monitor", "decide", "fit", "evaluate", "gate")


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """Two homes with one history behind a URL, one DVC remote and one registry; the source is read by both."""
    root = tmp_path_factory.mktemp("workers")
    history = root / "history.git"
    subprocess.run(["git", "init", "-q", "--bare", str(history)], check=True)
    shared = {
        "EVERMIX_HISTORY_URL": f"file://{history}",
        "EVERMIX_DVC_REMOTE_URL": str(root / "dvc-remote"),
        "EVERMIX_TRACKING_URI": f"sqlite:///{root / 'mlflow.db'}",
    }
    one, two = (Project(root / name, variables=shared) for name in ("one", "two"))
    params = one.params()
    params["models"][MODEL]["source"]["path"] = str(one.feed)
    for worker in (one, two):
        worker.write(params)
    return one, two


def step(worker, name, as_of):
    return worker.run(name, "--model", MODEL, "--as-of", as_of)


def draws(worker):
    return (worker.home / "work" / MODEL / "fit" / MODEL / "posterior.nc").read_bytes()


@pytest.fixture(scope="module")
def first(workers):
    """The first week, its steps on the two workers in turn."""
    one, two = workers
    step(one, "ingest", FIRST)
    for place, name in enumerate(STEPS):
        worker = workers[(place + 1) % 2]
        step(worker, name, FIRST)
        if name == "fit":
            fitted_by = worker
    before = draws(fitted_by)
    return step(two, "close", FIRST), before


def test_a_week_whose_steps_run_on_different_workers_is_one_week_with_one_fit(workers, first):
    one, two = workers
    closed, before = first
    assert (closed["decision"], closed["verdict"]) == ("first_fit", "promote")
    assert [draws(worker) for worker in workers] == [before, before]
    assert one.history() == two.history()
    (status,) = one.run("status", "--model", MODEL)
    assert status["registry"] == [] and status["champion"]["version"] == closed["version"]


def test_each_worker_writes_the_report(workers, first):
    for worker in workers:
        assert worker.run("report", "--model", MODEL, "--as-of", FIRST)["as_of"] == FIRST


def test_the_same_week_on_the_other_worker_is_closed_already(workers, first):
    assert workers[0].week(FIRST, deliver=False)["status"] == "already closed"


def test_a_worker_killed_in_its_fit_leaves_the_week_to_the_other_one(workers, first):
    one, two = workers
    one.deliver(monday(1))
    one.run("refit", "--model", MODEL, "--reason", "the worker is to be killed in this fit", "--by", "tests")
    step(one, "ingest", monday(1))
    step(one, "decide", monday(1))
    command = [sys.executable, "-m", "evermix", "fit", "--model", MODEL, "--as-of", monday(1)]
    doomed = subprocess.Popen(
        command,
        env=one.environment(),
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in doomed.stderr:
        if "fit 1 of 2" in line:
            break
    os.killpg(doomed.pid, signal.SIGKILL)
    doomed.communicate()
    closed = step(two, "close", monday(1))
    assert (closed["decision"], closed["status"]) == ("refit", "closed")
    assert any("the worker is to be killed" in reason for reason in closed["reasons"])
    assert one.week(monday(1), deliver=False)["version"] == closed["version"]
    (status,) = one.run("status", "--model", MODEL)
    assert status["ledger"]["faults"] == [] and status["registry"] == []
    assert [week["decision"] for week in one.history()] == ["first_fit", "refit"]
