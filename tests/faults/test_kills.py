"""`kill -9` of the process group at each step of a week: what a step writes is whole, or is done again."""

import json
import os
import random
import re
import signal
import time

import pytest
from faults.lab import MODEL, QUIET, REFIT, REPEATS, Harm, compare, observe
from project import monday

pytestmark = pytest.mark.fault

RUN = "evermix.engines.history.commands:run"
WRITE = "evermix.engines.store:write_bytes"
DUMP = "dvc.dvcfile:Lockfile.dump_stages"
# The git commands that change something; between two of them a kill finds the same state.
VERBS = [
    "init",
    "config",
    "remote",
    "update-ref",
    "hash-object",
    "mktree",
    "commit-tree",
    "reset",
    "clean",
    "checkout",
    "add",
    "commit",
    "push",
]
GIT_WRITES = 17
FILE_WRITES = 25
STEPS_OF_DVC = [
    ("dvc.stage.cache:StageCache.save", 2),
    ("dvc.output:Output.commit", 6),
    (DUMP, 3),
    ("dvc.repo.push:push", 1),
]
STEPS_OF_PUBLISHING = [
    "evermix.engines.registry.session:make_database",
    "evermix.engines.registry.publish:create_run",
    "evermix.engines.registry.publish:complete_run",
    "mlflow:MlflowClient.create_logged_model",
    "mlflow:MlflowClient.log_model_artifacts",
    "mlflow:MlflowClient.log_outputs",
    "mlflow:MlflowClient.finalize_logged_model",
    "mlflow:MlflowClient.create_registered_model",
    "mlflow:MlflowClient.create_model_version",
    "mlflow:MlflowClient.set_terminated",
    "evermix.stages.close:commit_closed",
    "mlflow:MlflowClient.set_registered_model_alias",
    "mlflow:MlflowClient.set_model_version_tag",
    "mlflow:MlflowClient.set_registered_model_tag",
    "evermix.stages.publish:tell_registry",
]


def sampled(points, count):
    """All points, five times each, in the published run; in CI a few of them, drawn by a seed."""
    if REPEATS > 1:
        return points
    return random.Random(3).sample(points, min(count, len(points)))


def quiet_week(place):
    return QUIET[place % len(QUIET)]


def fault(at, call=1, when="after", role="cli", verbs=None):
    return {"at": at, "call": call, "when": when, "role": role, "verbs": verbs}


repeated = pytest.mark.parametrize("repeat", range(REPEATS))
GIT_POINTS = [(1, "before"), *((call, "after") for call in range(1, GIT_WRITES + 1))]
DVC_POINTS = [
    (at, call, when) for at, calls in STEPS_OF_DVC for call in range(1, calls + 1) for when in ("before", "after")
]


@pytest.mark.parametrize("number", sampled(list(QUIET), 1))
def test_the_sweep_covers_each_write_of_a_quiet_week(lab, tmp_path, number):
    lab.before(number)
    count = tmp_path / "count"
    assert lab.week(number, fault={"at": [RUN, WRITE], "role": "cli", "verbs": VERBS, "count": str(count)}).code == 0
    calls = [json.loads(line)[0] for line in count.read_text().splitlines()]
    assert (calls.count(RUN), calls.count(WRITE)) == (GIT_WRITES, FILE_WRITES)


@repeated
@pytest.mark.parametrize(("call", "when"), sampled(GIT_POINTS, 5))
def test_a_kill_at_a_git_write_of_a_quiet_week_is_healed(lab, judge, call, when, repeat):
    judge(
        "kill at each git write of open and close", lab.kill_at(quiet_week(call), fault(RUN, call, when, verbs=VERBS))
    )


@repeated
@pytest.mark.parametrize("call", sampled(list(range(1, FILE_WRITES + 1)), 2))
def test_a_kill_at_a_file_written_by_open_or_close_is_healed(lab, judge, call, repeat):
    judge("kill at each file that open and close write", lab.kill_at(quiet_week(call), fault(WRITE, call)))


@repeated
@pytest.mark.parametrize(("call", "when"), sampled([(n, "after") for n in range(1, 8)], 1))
def test_a_kill_while_the_first_week_makes_its_history_is_healed(lab, judge, call, when, repeat):
    judge("kill while the history and the clone are made", lab.kill_at(0, fault(RUN, call, when, verbs=VERBS)))


@repeated
@pytest.mark.parametrize(
    ("stage", "when"), sampled([(s, w) for s in ("validate", "monitor", "decide") for w in ("before", "after")], 2)
)
def test_a_kill_in_a_stage_of_a_quiet_week_is_healed(lab, judge, stage, when, repeat):
    point = fault(f"evermix.stages.{stage}:run", when=when, role="stage")
    judge("kill in validate, monitor, decide", lab.kill_at(quiet_week(repeat), point))


@repeated
@pytest.mark.parametrize(
    ("stage", "when"), sampled([(s, w) for s in ("evaluate", "gate") for w in ("before", "after")], 1)
)
def test_a_kill_in_a_stage_after_the_fit_is_healed(lab, judge, stage, when, repeat):
    point = fault(f"evermix.stages.{stage}:run", when=when, role="stage")
    judge("kill in evaluate, gate", lab.kill_at(REFIT, point, save="fitted"))


@repeated
@pytest.mark.parametrize("percent", sampled([0, 50, 100], 1))
def test_a_kill_in_the_middle_of_a_fit_is_healed(lab, judge, percent, repeat):
    def kill(process):
        for line in process.stderr:
            # A short fit may leap over a percentage.
            told = re.search(r"fit 1 of 2: (\d+) %", line)
            if told and int(told[1]) >= percent:
                break
        os.killpg(process.pid, signal.SIGKILL)

    lab.before(REFIT)
    assert lab.week(REFIT, meanwhile=kill).code == -signal.SIGKILL
    judge("kill in the fit", lab.finish(REFIT))


@repeated
@pytest.mark.parametrize(("at", "call", "when"), sampled(DVC_POINTS, 3))
def test_a_kill_inside_dvc_is_healed(lab, judge, at, call, when, repeat):
    judge("kill inside dvc repro and dvc push", lab.kill_at(quiet_week(call), fault(at, call, when, role="dvc")))


@repeated
@pytest.mark.parametrize("at", sampled(STEPS_OF_PUBLISHING, 4))
def test_a_kill_at_a_step_of_the_publication_is_healed(lab, judge, at, repeat):
    # MLflow answers that it knows the model already: that call does not return.
    when = "before" if at.endswith("create_registered_model") else "after"
    judge("kill at each step of publishing", lab.kill_at(REFIT, fault(at, when=when), save="computed"))


@repeated
def test_a_kill_while_mlflow_makes_its_tables_is_healed(lab, judge, repeat):
    # MLflow's own migrations: sixty steps, any of which would fail for ever when cut off.
    lab.before(REFIT, "computed")
    home = lab.project.home
    for path in home.glob("mlflow.db*"):
        path.unlink()

    def kill(process):
        while process.poll() is None and not any(p.stat().st_size > 200_000 for p in home.glob("*mlflow.db")):
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)

    assert lab.week(REFIT, meanwhile=kill).code == -signal.SIGKILL
    assert lab.week(REFIT).code == 0
    lab.project.run("promote", "--model", MODEL, "--reconcile")
    (status,) = lab.project.run("status", "--model", MODEL)
    judge("kill while MLflow makes its tables", Harm(differences=status["registry"]))


@repeated
def test_a_killed_parent_whose_dvc_lives_on_keeps_the_clone_until_dvc_has_ended(lab, judge, repeat):
    def kill_the_parent_alone(process):
        for line in process.stderr:
            if "monitor ..." in line:
                break
        process.kill()
        # DVC and its stage live on here, and the same week starts again at once.
        found.append(lab.finish(quiet_week(repeat)))

    found: list[Harm] = []
    lab.before(quiet_week(repeat))
    lab.week(quiet_week(repeat), meanwhile=kill_the_parent_alone)
    judge("kill of the parent alone, dvc lives on", found[0])


def test_three_kills_in_a_row_of_one_week_are_healed_by_the_fourth_run(lab, judge):
    lab.before(QUIET[0])
    for call in (3, 9, 7):
        assert lab.week(QUIET[0], fault=fault(RUN, call, verbs=VERBS)).code == -signal.SIGKILL
    judge("three kills in one week", lab.finish(QUIET[0]), faults=3)
    assert compare(observe(lab.project.home), lab.reference[str(QUIET[0])]).differences == []
    assert lab.project.week(monday(QUIET[0]), deliver=False)["status"] == "already closed"
