"""A clock that jumps: times are only recorded, so a week closed in another year decides and draws the same."""

import os
import shutil
import signal

import pytest
from faults.lab import QUIET, REPEATS
from faults.test_kills import RUN, VERBS, fault

pytestmark = pytest.mark.fault

YEAR_S = 31_557_600


def clock(lab, years):
    """Return how to run a command so many years off: by libfaketime for all processes, else for Python's clock."""
    if shutil.which("faketime"):
        return {"prefix": ("faketime", "-f", f"{years:+d}y")}
    return {"fault": {"clock_s": years * YEAR_S, "role": "none"}}


@pytest.mark.parametrize("repeat", range(REPEATS))
@pytest.mark.parametrize("years", [-6, 9])
def test_a_week_closed_in_another_year_is_the_same_week(lab, judge, years, repeat):
    lab.before(QUIET[0])
    first = lab.week(QUIET[0], **clock(lab, years))
    assert first.code == 0, first.err
    judge("clock years off during a week", lab.finish(QUIET[0]))


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_clock_that_jumps_back_after_a_kill_keeps_no_lock(lab, judge, repeat):
    lab.before(QUIET[1])
    killed = lab.week(QUIET[1], fault=fault(RUN, 14, verbs=VERBS))
    assert killed.code == -signal.SIGKILL
    for lock in (lab.project.home / "work").glob("*.lock"):
        os.utime(lock, (4e9, 4e9))
    judge("clock jumps back after a kill", lab.finish(QUIET[1]))
