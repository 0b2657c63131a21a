"""A person's answers through the real loop: a hold leaves the question open, a no is remembered, costs are counted."""

import pytest
from project import FIRST, MODEL, Project, monday


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a model that is refitted every week, and whose fits are put before a person."""
    made = Project(tmp_path_factory.mktemp("refused"))
    params = made.params()
    entry = params["models"][MODEL]
    entry["rules"] = [rule for rule in entry["rules"] if rule["name"] in ("broken_contract", "no_champion")]
    entry["rules"] += [
        {"name": "always", "evidence": "structure.spec_changed", "op": "==", "value": False, "decision": "refit"},
        {"name": "aged", "evidence": "calendar.weeks_since_fit", "op": ">=", "value": 1, "decision": "tell"},
    ]
    entry["rules"] = [{"severity": "info", "why": "as planned"} | rule for rule in entry["rules"]]
    hold = {"metric": "ppc_mean_p", "low": 2.0, "high": None, "otherwise": "hold", "at_first_fit": "note", "why": "ask"}
    entry["gate"]["checks"] = [hold]
    made.write(params)
    made.week(FIRST)
    return made


def answer(project, choice):
    return project.run("review", "--model", MODEL, "--answer", choice, "--by", "ada")["status"]


def test_a_held_question_stays_open_and_a_refused_one_is_not_asked_again(project):
    asked = project.week(monday(1))
    assert (asked["decision"], asked["verdict"]) == ("refit", "hold")
    assert asked["approval"]["coverage"]["90"] > 0
    assert answer(project, "hold") == "held"
    assert project.run("review", "--model", MODEL)["question"]["version"] == asked["approval"]["version"]
    assert answer(project, "reject") == "rejected"

    quiet = project.week(monday(2))
    assert quiet["decision"] == "keep"
    until = monday(1 + 4)
    assert quiet["reasons"][0] == f"ada said no (rule always still fires); it may ask again after {until}"
    assert quiet["reasons"][1].startswith("told: aged: as planned")

    week = project.history()[1]
    assert (week["approval"]["state"], week["approval"]["held_by"]) == ("rejected", ["ada"])
    (model,) = project.run("rules", "--model", MODEL)
    costs = {rule["rule"]: rule for rule in model["rules"]}
    assert (costs["always"]["fired"], costs["always"]["decided"], costs["always"]["fits"]) == (2, {"refit": 1}, 1)
    assert (costs["aged"]["fired"], costs["aged"]["fits"]) == (2, 0)
    assert costs["no_champion"]["decided"] == {"first_fit": 1}
    assert project.run("verify", "--model", MODEL, "--no-registry")["clean"]


def test_a_refused_rule_asks_again_once_params_ask_for_another_fit(project):
    params = project.params()
    params["models"][MODEL]["evaluation"]["holdout_weeks"] = 12
    project.write(params)
    project.deliver(monday(3))
    told = project.run("week", "--model", MODEL, "--as-of", monday(3), "--dry-run")
    assert (told["decision"], told["fits"]) == ("refit", True)
