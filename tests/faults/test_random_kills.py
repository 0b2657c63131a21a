"""Kills at random moments while many weeks are replayed, as an outsider would do it: the ledger and the draws stay."""

import os
import random
import subprocess
import sys

import pytest
from faults.lab import REPEATS, compare, kill_group, observe
from project import MODEL, Project, monday

pytestmark = pytest.mark.fault

WEEKS = int(os.environ.get("EVERMIX_FAULT_WEEKS", "30" if REPEATS > 1 else "5"))
# Seconds between a start and the kill; a week with a fit takes some ten of them.
SHORTEST_S, MEAN_S = 0.2, float(os.environ.get("EVERMIX_FAULT_MEAN_S", "6"))


def replay(project, patience=600, dice=None):
    """Replay all weeks, killed at random by ``dice`` until one run gets to the end; return how often it was killed."""
    words = ["replay", "--model", MODEL, "--from", monday(0), "--to", monday(WEEKS - 1), "--json"]
    for kills in range(patience):
        process = subprocess.Popen(
            [sys.executable, "-m", "evermix", *words],
            env=project.environment(),
            start_new_session=True,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            # A run that always died before its first fit would never end: each try is given more time.
            limit = None if dice is None else SHORTEST_S + dice.expovariate(1 / MEAN_S) * 1.05**kills
            said = process.communicate(timeout=limit)[1]
            assert process.returncode == 0, said
            return kills
        except subprocess.TimeoutExpired:
            kill_group(process)
            process.communicate()
    raise AssertionError(f"not at the end after {patience} kills")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    root = tmp_path_factory.mktemp("replay")
    project = Project(root / "bench", weeks=WEEKS)
    project.deliver(monday(WEEKS - 1))
    subprocess.run(["cp", "-a", str(root / "bench"), str(root / "new")], check=True)
    replay(project)
    return root, observe(project.home)


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_replay_killed_at_random_moments_ends_as_the_undisturbed_one(undisturbed, judge, repeat):
    root, reference = undisturbed
    subprocess.run(["rm", "-rf", str(root / "bench")], check=True)
    subprocess.run(["cp", "-a", str(root / "new"), str(root / "bench")], check=True)
    project = Project.__new__(Project)
    project.root, project.home, project.variables = root / "bench" / "project", root / "bench" / "home", {}
    kills = replay(project, dice=random.Random(100 + repeat))
    assert kills > 0
    assert project.run("verify", "--model", MODEL)["clean"] is True
    judge(f"random kills in a replay of {WEEKS} weeks", compare(observe(project.home), reference), faults=kills)
