"""The bench of the fault cases, made once, and the table of what they found."""

import os
from collections import defaultdict
from pathlib import Path

import pytest
from faults.lab import REPEATS, Harm, Lab

_HEAD = """# Faults

Each case harms real processes of one model (a small regression, short chains), ends the harm and runs the same command
again. What is there then is compared with an undisturbed run: ledger but for times, commits, champion, draws byte by
byte, `dvc.lock`, versions, aliases and runs in MLflow, snapshots, files left over, `git fsck`. *Lost* and *doubled*
count ledger events, commits and versions over all tries. `make faults` repeats every case five times and writes this
page; CI tries a sample once. This page: every case {repeats} time(s).

| case | tries | lost | doubled | as undisturbed |
| --- | --- | --- | --- | --- |
"""
_found: dict[str, list[Harm]] = defaultdict(list)


def pytest_configure(config):
    """Name the marker here, beside the cases that bear it."""
    config.addinivalue_line("markers", "fault: kills, fills or corrupts what a real week needs; minutes")


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    made = Lab(tmp_path_factory.mktemp("faults"))
    made.build()
    return made


@pytest.fixture
def judge(request):
    """Take the harm of one try into the table, and fail when there is any."""

    def add(case: str, harm: Harm, tries: int = 1) -> None:
        _found[case] += [harm] + [Harm() for _ in range(tries - 1)]
        assert not harm.differences, "\n".join(harm.differences)

    return add


def pytest_sessionfinish():
    """Write the table where ``EVERMIX_FAULT_TABLE`` says."""
    place = os.environ.get("EVERMIX_FAULT_TABLE")
    if not place or not _found:
        return
    rows = []
    for case, found in sorted(_found.items()):
        well = sum(not harm.differences for harm in found)
        lost, doubled = sum(harm.lost for harm in found), sum(harm.doubled for harm in found)
        rows.append(f"| {case} | {len(found)} | {lost} | {doubled} | {well} |")
    Path(place).write_text(_HEAD.format(repeats=REPEATS) + "\n".join(rows) + "\n")
