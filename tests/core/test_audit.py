"""Two posteriors of one thing, held against each other: worked by hand, and silent where it cannot judge."""

import numpy as np
import pytest

from evermix.core.audit import METRICS, compare_posteriors, is_no_yardstick, no_audit
from evermix.core.update import Counted, Reweighed

UNIT = np.linspace(-1.0, 1.0, 2001)[:, None]
SD = float(UNIT.std())


def reweighed(khat: float, draws: int = 4000) -> Reweighed:
    nothing = np.zeros(0, dtype=bool)
    equal = np.full(draws, -np.log(draws))
    return Reweighed(equal, khat, equal, Counted(nothing, nothing, 0, ()), None)


def test_the_same_posterior_is_no_distance():
    assert compare_posteriors(UNIT, UNIT, ["tv"]).values == dict.fromkeys(METRICS, 0.0)


def test_a_shift_moves_mean_and_ends_and_a_spread_the_ends_alone():
    shifted = compare_posteriors(UNIT, UNIT + 0.5 * SD, ["tv"]).values
    assert shifted == pytest.approx({"audit_mean_sd": 0.5, "audit_ends_sd": 0.5})
    wider = compare_posteriors(UNIT, 2.0 * UNIT, ["tv"]).values
    assert wider == pytest.approx({"audit_mean_sd": 0.0, "audit_ends_sd": 0.9 / SD}, abs=1e-9)


def test_the_worst_estimand_is_the_number_and_is_named():
    refit = np.hstack([UNIT, UNIT])
    found = compare_posteriors(refit, np.hstack([UNIT, UNIT + SD]), ["tv", "search"])
    assert found.values["audit_mean_sd"] == pytest.approx(1.0)
    assert found.notes["audit_mean_sd"].startswith("search")


def test_a_channel_that_one_of_them_never_saw_is_left_out():
    refit = np.hstack([UNIT, UNIT])
    found = compare_posteriors(refit, np.hstack([UNIT, np.zeros_like(UNIT)]), ["tv", "video"])
    assert found.values["audit_mean_sd"] == 0.0
    assert set(compare_posteriors(UNIT, 0.0 * UNIT, ["video"]).not_applicable) == set(METRICS)


def test_weights_that_cannot_be_trusted_are_no_yardstick():
    assert is_no_yardstick(reweighed(0.3), 3000.0) is None
    assert "k-hat 0.90" in is_no_yardstick(reweighed(0.9), 3000.0)
    assert "300 effective draws" in is_no_yardstick(reweighed(0.3), 300.0)
    assert "unknown" in is_no_yardstick(reweighed(0.3), None)


def test_what_does_not_apply_says_why_for_each_metric():
    assert no_audit("why").not_applicable == dict.fromkeys(METRICS, "why")
