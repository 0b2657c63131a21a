"""Orders of people through the real loop: a waiver heals a quarantined week, a freeze holds, a refit is carried out."""

import csv

import pytest
from project import FIRST, MODEL, Project, monday


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("orders"))
    made.week(FIRST)
    return made


def order(project, *words, expect=0):
    return project.run(
        words[0], "--model", MODEL, *words[1:], "--reason", "checked with the shop", "--by", "ada", expect=expect
    )


def deliver_times(project, as_of, factor):
    """Deliver a week whose last target is multiplied, as a feed in pence would be."""
    project.deliver(as_of)
    with project.feed.open() as file:
        header, *rows = csv.reader(file)
    place = header.index("units")
    rows[-1][place] = str(float(rows[-1][place]) * factor)
    with project.feed.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def rehearse(project, as_of):
    return project.run("week", "--model", MODEL, "--as-of", as_of, "--dry-run")


def test_a_rehearsal_says_what_a_week_would_do_and_does_nothing(project):
    project.deliver(monday(1))
    before = project.run("status", "--model", MODEL, "--no-registry")
    told = rehearse(project, monday(1))
    assert (told["status"], told["decision"], told["fits"], told["faults"]) == ("rehearsed", "update", False, [])
    assert told["pending"] == [monday(1)] and told["expected_seconds"] is None
    assert project.run("status", "--model", MODEL, "--no-registry") == before
    assert rehearse(project, FIRST)["status"] == "closed"
    assert rehearse(project, monday(2))["pending"] == [monday(1), monday(2)]


def test_a_frozen_model_is_watched_and_not_fitted(project):
    assert order(project, "freeze")["status"] == "frozen"
    assert order(project, "freeze")["status"] == "already frozen"
    assert "waits until" in order(project, "refit")["status"]
    (status,) = project.run("status", "--model", MODEL, "--no-registry")
    signed = {"by": "ada", "reason": "checked with the shop"}
    assert (status["frozen"], status["refit_asked"]) == (signed, signed)
    week = project.week(monday(1))
    assert week["decision"] == "keep" and week["reasons"][0] == "frozen by ada: checked with the shop"
    assert order(project, "unfreeze")["status"] == "unfrozen"


def test_a_refit_that_was_asked_for_is_rehearsed_and_carried_out_by_the_next_week_once(project):
    project.deliver(monday(2))
    told = rehearse(project, monday(2))
    assert (told["decision"], told["fits"]) == ("refit", True) and told["expected_seconds"] > 0
    week = project.week(monday(2))
    assert week["decision"] == "refit" and week["reasons"] == ["person: asked for by ada: checked with the shop"]
    (status,) = project.run("status", "--model", MODEL, "--no-registry")
    assert (status["frozen"], status["refit_asked"]) == (None, None)
    project.deliver(monday(3))
    assert rehearse(project, monday(3))["decision"] == "update"


def test_an_upstream_asks_once_and_its_rule_refits_with_the_next_week(project):
    words = ("refit", "--upstream", "warehouse", "--ref", "job-7")
    assert order(project, *words)["status"] == f"the next week after {monday(2)} refits"
    assert order(project, *words)["status"] == "already asked"
    assert "--upstream" in order(project, "refit", "--ref", "job-7", expect=2)["message"]
    (status,) = project.run("status", "--model", MODEL, "--no-registry")
    assert status["refit_asked"] == {"by": "ada", "reason": "checked with the shop", "upstream": "warehouse"}
    project.deliver(monday(3))
    told = rehearse(project, monday(3))
    assert told["decision"] == "refit" and "warehouse" in told["reasons"][-1]
    project.week(monday(3))
    (status,) = project.run("status", "--model", MODEL, "--no-registry")
    assert status["refit_asked"] is None


def test_a_waived_fault_heals_its_week_and_stands_in_the_ledger(project):
    deliver_times(project, monday(4), 100)
    assert project.week(monday(4), deliver=False)["decision"] == "quarantine"
    said = order(project, "accept", "--as-of", monday(4), "--fault", "spend_slip", expect=2)
    assert "target_slip" in said["message"]
    done = order(project, "accept", "--as-of", monday(4), "--fault", "target_slip")
    assert (done["waived"], done["left"]) == (["target_slip"], [])
    healed = project.week(monday(4), deliver=False)
    assert healed["decision"] == "review" and any("outlier" in reason for reason in healed["reasons"])
    last = project.history()[-1]
    assert last["healed"] and last["as_of"] == monday(4)


def test_a_fault_that_leaves_no_panel_cannot_be_waived(project):
    project.deliver(monday(5))
    project.feed.write_text(project.feed.read_text().replace("units", "pieces", 1))
    assert project.week(monday(5), deliver=False)["decision"] == "quarantine"
    said = order(project, "accept", "--as-of", monday(5), "--fault", "missing_column", expect=2)
    assert "cannot be waived" in said["message"]
    assert "quarantined" in order(project, "accept", "--as-of", monday(3), "--fault", "stale", expect=2)["message"]


def test_an_order_without_a_reason_is_refused(project):
    said = project.run("freeze", "--model", MODEL, "--reason", " ", "--by", "ada", expect=2)
    assert "--reason" in said["message"]


def test_an_upstream_that_no_rule_listens_to_is_recorded_and_told_that_nothing_comes_of_it(project):
    params = project.params()
    project.write({"models": {MODEL: params["models"][MODEL] | {"rules": params["models"][MODEL]["rules"][:2]}}})
    said = order(project, "refit", "--upstream", "warehouse", "--ref", "job-8")["status"]
    project.write(params)
    assert "no rule of params asks for request.upstream" in said
