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


def swap_columns(rows):
    """Swap the second and the third column below the header."""
    header, *body = [row.split(b",") for row in rows]
    return [b",".join(cells) for cells in (header, *([c[0], c[2], c[1], *c[3:]] for c in body))]


def add_addresses(rows):
    return [rows[0] + b",note", *(row + b",a@b.example" for row in rows[1:])]


CORRUPT = {
    "an error page": (lambda _: b"<html><body>502 Bad Gateway</body></html>\n", "unreadable_file"),
    "a bomb": (lambda _: parquet_bomb(0, 1_000_000), "unreadable_file"),
    "UTF-16": (lambda data: data.decode().encode("utf-16"), "unreadable_file"),
    "a renamed column": (lambda data: data.replace(b"price", b"unit price", 1), "missing_column"),
    "a totals row": (lines(lambda rows: [*rows, b"Total,1,1,1,1,1"]), "unreadable_date"),
    "half of the history": (lines(lambda rows: [rows[0], *rows[80:]]), "lost_history"),
    "a target in hundredths": (last_cells(in_hundredths), "target_slip"),
    "target and price swapped": (lines(swap_columns), "swapped_columns"),
    "e-mail addresses": (lines(add_addresses), "personal_data"),
}


# So many corrupt deliveries of one week come one after the other, before the good one.
IN_A_ROW = 3
WEEKS = [list(CORRUPT)[start : start + IN_A_ROW] for start in range(0, len(CORRUPT), IN_A_ROW)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("corrupt"), weeks=len(WEEKS) + 1)
    assert made.week(FIRST)["verdict"] == "promote"
    return made


@pytest.mark.parametrize("number", range(1, len(WEEKS) + 1))
def test_corrupt_deliveries_are_quarantined_the_champion_serves_and_the_good_file_heals(project, number):
    as_of = monday(number)
    project.deliver(as_of)
    good = project.feed.read_bytes()
    (before,) = project.run("status", "--model", MODEL)
    for name in WEEKS[number - 1]:
        change, rule = CORRUPT[name]
        project.feed.write_bytes(change(good))
        broken = project.week(as_of, deliver=False)
        assert broken["decision"] == "quarantine", name
        assert any(reason.startswith(f"{rule}:") for reason in broken["reasons"]), (name, broken["reasons"])
        (during,) = project.run("status", "--model", MODEL)
        assert during["champion"] == before["champion"], name
        assert (during["registry"], during["ledger"]["faults"]) == ([], []), name
        assert "quarantine" in json.dumps(project.history()[-1]), name
    project.feed.write_bytes(good)
    assert project.week(as_of, deliver=False)["decision"] in {"update", "refit", "review"}
    week = project.history()[-1]
    assert (week["as_of"], week["healed"]) == (as_of, True)
