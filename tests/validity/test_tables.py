"""Rates, power and delay, worked by hand."""

import numpy as np
import pytest

from evermix.config import Rule
from evermix.validity.tables import Rate, by_week, detect, false_alarms, first_of, match_oracle, refits_by_rule


def rule(name, evidence, value):
    return Rule(name=name, evidence=evidence, op=">=", value=value, decision="review", severity="info", why="test")


ALARM = first_of([rule("a", "surprise.cusum", 5.0), rule("b", "surprise.max_abs_z", 4.0)])


def row(change, a=None, b=None, other=None):
    """A row in which rules fire first in these weeks."""
    weeks = {"surprise.cusum": (a, 5.5), "surprise.max_abs_z": (b, 4.5), "drift.calls": (other, 1.0)}
    return {
        "change": change,
        "records": {name: [[week, value]] for name, (week, value) in weeks.items() if week is not None},
    }


def test_wilson_interval_of_no_hits_and_of_all():
    """Wilson (1927): 0 of 100 has the upper end z^2 / (n + z^2)."""
    low, high = Rate(0, 100).interval
    assert low == 0.0
    assert high == pytest.approx(3.8415 / 103.8415, rel=1e-4)
    assert Rate(100, 100).interval[0] == pytest.approx(1 - high)


def test_a_rate_of_nothing_is_not_run():
    assert str(Rate(0, 0)) == "not run"


def test_the_first_alarm_is_that_of_the_rule_that_fires_first():
    assert ALARM(row(5, a=9, b=7)) == 7
    assert ALARM(row(5, other=1)) is None


def test_power_leaves_out_series_that_had_an_alarm_before_the_change():
    rows = [row(5, a=3), row(5, a=5), row(5, b=12), row(5), row(5, a=40)]
    found = detect(rows, ALARM)
    assert (found.power.hits, found.power.of) == (2, 4)
    assert found.delay == pytest.approx(np.median([1, 8]))


def test_an_alarm_is_within_32_weeks_if_no_more_than_32_weeks_of_changed_data_led_to_it():
    assert detect([row(5, a=36)], ALARM).power.hits == 1
    assert detect([row(5, a=37)], ALARM).power.hits == 0


def test_false_alarms_and_their_growth_by_week():
    quiet = [row(None, a=0), row(None, a=2), row(None), row(None)]
    assert false_alarms(quiet, ALARM).share == 0.5
    assert by_week(quiet, ALARM, 4) == [0.25, 0.25, 0.5, 0.5]


def test_the_oracle_is_held_to_the_rate_of_the_shipped_alarms():
    quiet = [{"oracle": {"level_shift": 1.5 + 0.25 * i}} for i in range(10)]
    threshold, rate = match_oracle(quiet, "level_shift", 0.2)
    assert rate.share == 0.2
    assert 3.25 < threshold < 3.5
    assert match_oracle(quiet, "level_shift", 0.0)[1].hits == 0


def test_a_refit_that_two_rules_asked_for_counts_for_both():
    assert refits_by_rule([{"refits": [[3, ["a", "b"]], [9, ["a"]]]}]) == {"a": 2, "b": 1}
