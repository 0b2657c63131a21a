"""What rules may ask and what a week writes are the same names."""

import json
import subprocess
import sys

import pytest
from stages.world import FITTED_WEEKS, make_panel, make_params, week_of, write_champion, write_quarantine, write_week

from evermix.config import EVIDENCE
from evermix.engines.store import Store
from evermix.stages import decide, monitor


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "brand")


def evidence_of(store):
    monitor.run(store, make_params())
    return decide.run(store, make_params()).evidence


def test_every_name_of_the_list_is_written_by_a_week_and_every_name_that_is_written_is_in_the_list(store):
    write_champion(store)
    write_week(store, make_panel(FITTED_WEEKS + 1), make_panel(FITTED_WEEKS))
    assert set(evidence_of(store)) == set(EVIDENCE)


def test_a_week_in_which_nobody_is_questioned_writes_no_other_names(store):
    write_quarantine(store, week_of(FITTED_WEEKS))
    assert set(evidence_of(store)) < set(EVIDENCE)


def test_evidence_has_the_kind_that_its_unit_says(store):
    write_champion(store)
    write_week(store, make_panel(FITTED_WEEKS + 1), make_panel(FITTED_WEEKS))
    for name, value in evidence_of(store).items():
        assert value is None or isinstance(value, bool) == (EVIDENCE[name].unit == "bool"), name


def test_every_rule_of_the_shipped_params_asks_evidence_of_a_quiet_week(store):
    write_champion(store)
    write_week(store, make_panel(FITTED_WEEKS + 1), make_panel(FITTED_WEEKS))
    evidence = evidence_of(store)
    asked = {one.evidence for rule in make_params().rules for one in rule.conditions()}
    assert {name for name in asked if evidence[name] is None} == set()


@pytest.mark.parametrize("name", EVIDENCE)
def test_every_name_has_a_group_a_unit_and_a_meaning(name):
    about = EVIDENCE[name]
    assert name.count(".") == 1
    assert about.unit
    assert len(about.meaning) > 10


def test_the_command_prints_the_list():
    command = [sys.executable, "-m", "evermix", "evidence", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {name: about._asdict() for name, about in EVIDENCE.items()}
