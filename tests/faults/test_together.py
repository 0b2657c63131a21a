"""Two at once: the same week by two processes, on one home and on two that share a history by its URL."""

import subprocess
import sys

import pytest
from faults.lab import QUIET, REFIT, REPEATS, Harm, compare, kill_group, observe
from project import MODEL, Project, monday

pytestmark = pytest.mark.fault
repeated = pytest.mark.parametrize("repeat", range(REPEATS))


def at_once(*projects, number):
    """Start the same week everywhere at the same moment; return the exit codes and what was said."""
    words = [sys.executable, "-m", "evermix", "week", "--model", MODEL, "--as-of", monday(number), "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(words, env=p.environment(), start_new_session=True, **pipes) for p in projects]
    try:
        said = [process.communicate(timeout=300) for process in running]
    finally:
        for process in running:
            kill_group(process)
    return [process.returncode for process in running], said


@repeated
@pytest.mark.parametrize(("number", "save"), [(QUIET[0], None), (REFIT, "computed")])
def test_duplicate_triggers_of_one_week_in_one_home_close_it_once(lab, judge, number, save, repeat):
    lab.before(number, save)
    codes, said = at_once(lab.project, lab.project, lab.project, number=number)
    assert codes == [0, 0, 0], said
    judge("three triggers of one week at once", compare(observe(lab.project.home), lab.reference[str(number)]))


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """Two homes with one history behind a URL, one DVC remote and one registry, after the first week."""
    root = tmp_path_factory.mktemp("workers")
    subprocess.run(["git", "init", "-q", "--bare", str(root / "history.git")], check=True)
    shared = {
        "EVERMIX_HISTORY_URL": f"file://{root / 'history.git'}",
        "EVERMIX_DVC_REMOTE_URL": str(root / "dvc-remote"),
        "EVERMIX_TRACKING_URI": f"sqlite:///{root / 'mlflow.db'}",
    }
    one, two = (Project(root / name, weeks=2 * REPEATS + 6, variables=shared) for name in ("one", "two"))
    params = one.params()
    params["models"][MODEL]["source"]["path"] = str(one.feed)
    for worker in (one, two):
        worker.write(params)
    one.week(monday(0))
    return one, two


@pytest.mark.parametrize("number", range(1, REPEATS + 1))
def test_two_workers_that_start_the_same_week_at_once_close_it_once(workers, judge, number):
    one, two = workers
    one.deliver(monday(number))
    codes, said = at_once(one, two, number=number)
    assert set(codes) <= {0, 6} and 0 in codes, said
    for worker in workers:
        assert worker.week(monday(number), deliver=False)["status"] == "already closed"
    (status,) = two.run("status", "--model", MODEL)
    weeks = [week["as_of"] for week in one.history()]
    doubled = len(weeks) - len(set(weeks))
    lost = number + 1 - len(set(weeks))
    wrong = [*status["ledger"]["faults"], *status["registry"]]
    events = sum(event["event"] == "decision" for event in ledger_of(one))
    doubled += events - len(set(weeks))
    differences = wrong + [f"{lost} weeks lost, {doubled} doubled"] * bool(lost or doubled)
    judge("two workers, one history, the same week at once", Harm(lost, doubled, differences))


def ledger_of(worker):
    from evermix.core import ledger

    path = worker.home / "work" / MODEL / "live" / MODEL / "ledger.jsonl"
    return ledger.from_lines(path.read_text())


@repeated
def test_locks_left_in_a_shared_history_and_its_mirror_stop_nobody_for_long(workers, judge, repeat):
    one, _ = workers
    number = REPEATS + 1 + repeat
    one.deliver(monday(number))
    history = one.variables["EVERMIX_HISTORY_URL"].removeprefix("file://")
    for lock in (f"{history}/refs/heads/weeks/{MODEL}.lock", f"{one.home}/mirror.git/config.lock"):
        # As old as a lock of a process that was killed a while ago.
        subprocess.run(["touch", "-d", "2 minutes ago", lock], check=True)
    outcome = one.week(monday(number), deliver=False)
    judge("locks left by killed pushes", Harm(differences=[] if outcome["status"] == "closed" else [str(outcome)]))
