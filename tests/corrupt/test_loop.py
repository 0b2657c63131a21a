"""Corrupt deliveries through the real weekly loop: quarantined, the champion serves on, the good file heals."""

import json

import pytest
from corrupt.corruptions import parquet_bomb
from project import FIRST, MODEL, Project, monday

pytestmark = pytest.mark.slow


def lines(change):
    """Change the list of the file's lines."""
    return lambda data: b"\n".join(change(data.rstrip(b"\n").split(b"\n"))) + b"\n"


def last_cells(change):
    return lines(lambda rows: [*rows[:-1], b",".join(change(rows[-1].split(b",")))])


def in_hundredths(cells):
    return [cells[0], b"%.2f" % (100 * float(cells[1])), *cells[2:]]


def add_addresses(rows):
    return [rows[0] + b",note", *(row + b",a@b.example" for row in rows[1:])]


# One of each way to fail: test_corrupt.py holds all deliveries against the contract.
CORRUPT = {
    "a bomb": (lambda _: parquet_bomb(0, 1_000_000), "unreadable_file"),
    "half of the history": (lines(lambda rows: [rows[0], *rows[80:]]), "lost_history"),
    "a target in hundredths": (last_cells(in_hundredths), "target_slip"),
    "e-mail addresses": (lines(add_addresses), "personal_data"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("corrupt"), weeks=len(CORRUPT) + 1)
    assert made.week(FIRST)["verdict"] == "promote"
    return made


@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt_week_is_quarantined_the_champion_serves_and_the_good_file_heals(project, name):
    change, rule = CORRUPT[name]
    as_of = monday(1 + list(CORRUPT).index(name))
    project.deliver(as_of)
    good = project.feed.read_bytes()
    (before,) = project.run("status", "--model", MODEL)
    project.feed.write_bytes(change(good))
    broken = project.week(as_of, deliver=False)
    assert broken["decision"] == "quarantine"
    assert any(reason.startswith(f"{rule}:") for reason in broken["reasons"]), broken["reasons"]
    (during,) = project.run("status", "--model", MODEL)
    assert during["champion"] == before["champion"]
    assert (during["registry"], during["ledger"]["faults"]) == ([], [])
    assert "quarantine" in json.dumps(project.history()[-1])
    project.feed.write_bytes(good)
    assert project.week(as_of, deliver=False)["decision"] in {"update", "refit", "review"}
    week = project.history()[-1]
    assert (week["as_of"], week["healed"]) == (as_of, True)
