"""The bench of the fault cases, made once, and the table of what they found."""

import os
from collections import defaultdict
from pathlib import Path

import pytest
from faults.lab import REPEATS, Harm, Lab

_HEAD = """# Faults

Each case harms real processes of one model (a small regression, short chains), ends the harm and runs the same command
again. What is there then is compared with an undisturbed run: ledger but for times, commits, champion, draws byte by
byte, `dvc.lock`, versions, aliases and runs in MLflow, snapshots, files left over, `git fsck`. *Faults* are the
harms done; *compared* are the states put beside the undisturbed one, one after each recovery. *Lost* and *doubled*
count ledger events, commits and versions over all of them. `make faults` repeats every case five times and writes this
page; CI has no time for it. `EVERMIX_FAULT_REPEATS=1 EVERMIX_FAULT_TABLE= make faults` tries a draw of them once.
This page: every case {repeats} time(s).

| case | faults | compared | as undisturbed | lost | doubled |
| --- | --- | --- | --- | --- | --- |
"""
_found: dict[str, list[tuple[int, Harm]]] = defaultdict(list)


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    made = Lab(tmp_path_factory.mktemp("faults"))
    made.build()
    return made


@pytest.fixture
def judge():
    """Take the harm that ``faults`` left into the table, and fail when there is any."""

    def add(case: str, harm: Harm, faults: int = 1) -> None:
        _found[case].append((faults, harm))
        _write_table()
        assert not harm.differences, "\n".join(harm.differences)

    return add


def _write_table():
    """Write the table where ``EVERMIX_FAULT_TABLE`` says, after each case: hours of them may be cut short."""
    place = os.environ.get("EVERMIX_FAULT_TABLE")
    if not place:
        return
    rows = []
    for case, found in sorted(_found.items()):
        harms = [harm for _, harm in found]
        counts = (
            sum(faults for faults, _ in found),
            len(found),
            sum(not harm.differences for harm in harms),
            sum(harm.lost for harm in harms),
            sum(harm.doubled for harm in harms),
        )
        rows.append(f"| {case} | {' | '.join(map(str, counts))} |")
    Path(place).write_text(_HEAD.format(repeats=REPEATS) + "\n".join(rows) + "\n")
