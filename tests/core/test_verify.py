"""What differs between two tellings of a history is named: changed, cut, missing, put in, rewritten."""

import json

import pytest

from evermix.core import ledger
from evermix.core.ledger_diff import differences, parse_ledger
from evermix.core.verify import (
    Commit,
    check_commits,
    check_draws,
    check_ledger,
    check_registry,
    check_snapshot,
    check_witness,
    half_closed_commits,
    missing_versions,
)

WEEKS = ["2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26"]


def book(weeks=WEEKS, z=1.5):
    events = []
    for i, as_of in enumerate(weeks):
        evidence = {"surprise.mean_z": z if i == 1 else 0.25}
        events = ledger.append(
            events, "decision", as_of, f"{as_of}T09:00:00", "evermix", decision="keep", evidence=evidence
        )
    return events


def commit(number, told_events, subject="closed m", **changes):
    told = {
        "id": f"{number}" * 40,
        "subject": subject,
        "head": ledger.head(told_events),
        "events": told_events,
        "unreadable": [],
        "touches_live": True,
        "parents": 1,
    }
    return Commit(**told | changes)


def test_a_ledger_that_only_grew_has_no_differences():
    assert differences(book(WEEKS[:2]), book()) == []


def test_a_changed_number_is_named_with_event_field_old_and_new_value():
    (text,) = differences(book(), book(z=1.4))
    assert text == "event 1 (decision of 2026-01-12) changed: evidence.surprise.mean_z was 1.5, is 1.4"


def test_events_cut_off_at_the_end_are_named():
    (text,) = differences(book(), book()[:2])
    assert text == "event 2 (decision of 2026-01-19), event 3 (decision of 2026-01-26) are cut off at the end"


def test_an_event_taken_out_of_the_middle_and_chained_again_is_missing():
    (text,) = differences(book(), book([WEEKS[0], *WEEKS[2:]], z=0.25))
    assert text.startswith("event 1 (decision of 2026-01-12)")
    assert "missing" in text


def test_an_event_put_between_older_ones_is_named():
    (text,) = differences(book([WEEKS[0], *WEEKS[2:]], z=0.25), book(z=0.25))
    assert text == "event 1 (decision of 2026-01-12) put in between older events"


def test_the_same_events_under_other_hashes_are_a_difference():
    forged = [{**event, "hash": "f" * 64} for event in book()]
    assert differences(book(), forged) == ["the events say the same and their hashes do not"]


def test_a_line_that_is_no_json_and_a_nan_are_named_by_their_line():
    text = ledger.to_lines(book()[:1]) + '{"half": \n' + '{"x": NaN}\n'
    events, faults = parse_ledger(text.encode())
    assert len(events) == 1
    assert [fault[:6] for fault in faults] == ["line 2", "line 3"]


def test_a_key_told_twice_is_not_how_evermix_writes():
    line = json.dumps(book()[0], sort_keys=True)
    _, faults = parse_ledger(('{"as_of": "2026-01-12", ' + line[1:] + "\n").encode())
    assert "not as evermix writes" in faults[0]


def test_a_changed_event_breaks_the_chain_of_the_ledger_by_itself():
    events = book()
    events[1] = {**events[1], "decision": "refit"}
    (found,) = check_ledger("here", events, [])
    assert "event 1 (decision of 2026-01-12): was changed" in found.what


def test_a_branch_that_only_appends_is_clean():
    commits = [commit(i, book(WEEKS[: i + 1]), parents=min(i, 1)) for i in range(4)]
    assert check_commits(commits) == []


def test_a_commit_that_rewrites_older_events_is_named_though_its_message_matches():
    commits = [commit(1, book()), commit(2, book(z=1.4), "closed m 2026-01-26")]
    (found,) = check_commits(commits)
    assert found.where == f"commit {'2' * 12} (closed m 2026-01-26)"
    assert "evidence.surprise.mean_z was 1.5, is 1.4" in found.what


def test_a_message_that_names_another_head_is_named():
    (found,) = check_commits([commit(1, book(), head=ledger.head(book()[:3]))])
    assert ledger.head(book())[:12] in found.value
    assert ledger.head(book()[:3])[:12] in found.expected


def test_a_deleted_ledger_is_named():
    found = check_commits([commit(1, book()), commit(2, book(), events=None, head=None)])
    assert "ledger: it was deleted" in found[0].what


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subject": "tidy up", "touches_live": False}, "not a commit of evermix"),
        ({"subject": "computed m 2026-02-02"}, "changes live/ without a word"),
    ],
)
def test_a_commit_that_evermix_did_not_make_is_named(changes, said):
    (found,) = check_commits([commit(1, book()), commit(2, book(), head=None, **changes)])
    assert said in found.what


def test_a_merge_is_named():
    (found,) = check_commits([commit(1, book(), parents=2)])
    assert "joins two lines" in found.what


def test_a_branch_that_lost_what_this_home_saw_is_named_with_the_weeks():
    (found,) = check_witness("weeks/m", "a" * 40, book()[:3], [("b" * 40, book())])
    assert "rewritten or cut" in found.what
    assert "2026-01-26" in found.expected
    assert ("a" * 12 in found.value, "b" * 12 in found.expected) == (True, True)


def test_a_branch_that_is_gone_is_named():
    (found,) = check_witness("weeks/m", None, [], [("b" * 40, book())])
    assert found.value == "no such branch"


def judged(version="m/2026-01-26/aaaaaaaa"):
    return ledger.append(
        book(), "verdict", WEEKS[-1], "t", "evermix", version=version, verdict="promote", draws_hash="d" * 64
    )


def registered(events, **tags):
    tags = {"git_commit": "c" * 40, "draws_hash": "d" * 64, "ledger_head": ledger.head(events)} | tags
    tags = {name: value for name, value in tags.items() if value is not None}
    return [{"id": "m/2026-01-26/aaaaaaaa", "number": 1, "tags": tags}]


def test_a_version_that_ledger_and_branch_know_is_clean():
    events = judged()
    expected = {"m/2026-01-26/aaaaaaaa": {"ledger_head": ledger.head(events)}}
    assert list(check_registry(events, registered(events), expected, {"c" * 40}, ())) == []


@pytest.mark.parametrize(
    ("events", "tags", "said"),
    [
        (book(), {"ledger_head": None}, "the ledger does not know this version"),
        (judged(), {"git_commit": "e" * 40}, "its commit is not on the branch"),
        (judged(), {"ledger_head": "e" * 64}, "its ledger_head is no event of the ledger"),
        (judged(), {"ledger_head": ledger.head(book())}, "tag ledger_head is not what the ledger says"),
        (judged(), {"draws_hash": "e" * 64}, "tag draws_hash is not what the verdict says"),
        (judged(), {"draws_hash": None}, "tag draws_hash is not what the verdict says"),
        (judged(), {"git_commit": None}, "its tag git_commit is gone"),
    ],
)
def test_a_registered_version_that_contradicts_the_history_is_named(events, tags, said):
    versions = registered(judged(), **tags)
    expected = {"m/2026-01-26/aaaaaaaa": {"ledger_head": ledger.head(judged())}}
    found = list(check_registry(events, versions, expected, {"c" * 40}, ()))
    assert [said in one.what for one in found] == [True]


def test_a_version_of_a_week_that_is_not_closed_yet_is_no_finding():
    assert list(check_registry(book(), registered(judged()), {}, {"c" * 40}, {"c" * 40})) == []


def test_a_version_that_was_used_and_one_that_was_only_judged_are_told_apart():
    events = ledger.append(judged(), "promotion", WEEKS[-1], "t", "evermix", version="m/2026-01-26/aaaaaaaa")
    events = ledger.append(events, "verdict", WEEKS[-1], "t", "evermix", version="m/2026-01-26/bbbbbbbb")
    assert missing_versions(events, set()) == (["m/2026-01-26/aaaaaaaa"], ["m/2026-01-26/bbbbbbbb"])


def test_draws_are_held_against_pointer_and_verdict():
    pointer = {"id": "m/2026-01-26/aaaaaaaa", "draws_hash": "d" * 64}
    assert check_draws("here", pointer, "d" * 64, judged()) == []
    texts = [found.what for found in check_draws("here", pointer, "e" * 64, judged())]
    assert ["champion.json" in texts[0], "verdict" in texts[1]] == [True, True]
    (unreadable,) = check_draws("here", pointer, None, judged())
    assert "cannot be read" in unreadable.what


def test_a_snapshot_is_held_against_its_own_record_and_the_decision():
    sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert check_snapshot("here", b"hello", {"sha256": sha}, sha) == []
    assert check_snapshot("here", b"hello", {"sha256": sha}, None) == []
    assert len(check_snapshot("here", b"hallo", {"sha256": sha}, sha)) == 2
    (found,) = check_snapshot("here", None, {"sha256": sha}, None)
    assert found.value == "no data file"


def test_a_computed_commit_is_half_closed_until_a_closed_one_follows_whatever_comes_between():
    computed = commit(1, [], subject="computed m 2026-01-05", head=None, touches_live=False)
    order = commit(2, book(WEEKS[:1]), subject="freeze m")
    assert half_closed_commits([computed, order]) == {computed.id}
    assert half_closed_commits([computed, order, commit(3, book(), subject="closed m 2026-01-05")]) == set()
