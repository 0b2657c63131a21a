"""What rules cost: every fit has one cause, every week counts once, and the interval is the exact one."""

import pytest
from core import ledgers
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from evermix.core.rule_costs import cause_of, rule_costs, yearly_rate

WEEKS = ["2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26"]


def drift(seen=0.0, **changes):
    fields = {"evidence": "drift.calls", "op": ">", "value": 0.0, "seen": seen, "decision": "refit"}
    return ledgers.rule("input_drift", fired=bool(seen), **(fields | changes))


def outlier(seen=1.0):
    return ledgers.rule(seen=seen, fired=seen is not None and seen >= 4.0)


def book(*weeks):
    events = []
    for as_of, (name, because, rules) in zip(WEEKS, weeks, strict=False):
        events = ledgers.decision(events, as_of, name, because=because, rules=rules)
    return events


def costs(events):
    return {cost.rule: cost for cost in rule_costs(events)}


def test_a_fit_counts_for_the_rule_that_decided_and_a_firing_for_every_rule_that_fired():
    found = costs(
        book(
            ("keep", [], [outlier(), drift()]),
            ("review", ["outlier_week", "input_drift"], [outlier(5.0), drift(1.0)]),
            ("keep", [], [outlier(), drift(1.0)]),
            ("refit", ["input_drift"], [outlier(), drift(2.0)]),
        )
    )
    assert (found["outlier_week"].fired, found["outlier_week"].decided) == (1, {"review": 1})
    assert (found["input_drift"].fired, found["input_drift"].decided) == (3, {"refit": 1})
    assert found["input_drift"].fits_per_year == pytest.approx(13.0)
    assert sum(cost.fits for cost in found.values()) == 2


def test_a_rate_is_the_count_per_52_weeks_with_the_exact_interval_of_a_poisson_count():
    assert yearly_rate(0, 52) == pytest.approx((0.0, 0.0, 3.689), abs=1e-3)
    assert yearly_rate(2, 104) == pytest.approx((1.0, 0.1211, 3.6123), abs=1e-4)


@given(st.integers(0, 60), st.integers(1, 600))
def test_the_ends_of_the_interval_are_where_the_count_has_a_tail_of_one_in_forty(count, weeks):
    rate, low, high = (x * weeks / 52 for x in yearly_rate(count, weeks))
    assert low <= rate <= high
    assert poisson.cdf(count, high) == pytest.approx(0.025, abs=1e-6)
    if count:
        assert poisson.sf(count - 1, low) == pytest.approx(0.025, abs=1e-6)


def test_behind_a_quarantine_no_rule_was_asked_and_a_healed_week_counts_as_what_it_became():
    broken = ledgers.rule("broken_contract", decision="quarantine", evidence="quality.faults", op=">", value=0.0)
    nothing = drift(None, missing=["drift.calls"])
    events = book(("quarantine", ["broken_contract"], [broken, nothing]))
    assert list(costs(events)) == ["broken_contract", "input_drift"]
    assert (costs(events)["input_drift"].weeks, costs(events)["input_drift"].fits_per_year) == (0, None)
    healed = ledgers.decision(events, WEEKS[0], "keep", because=[], rules=[broken | {"fired": False}, drift()])
    assert costs(healed)["broken_contract"].decided == {}
    assert costs(healed)["input_drift"].weeks == 1


def test_weeks_without_evidence_are_counted_apart():
    found = costs(book(("review", ["input_drift"], [drift(None, missing=["drift.calls"])])))["input_drift"]
    assert (found.weeks, found.missing, found.fired, found.decided) == (0, 1, 0, {"review": 1})


def test_a_rule_that_left_the_table_keeps_its_line_behind_the_others():
    old = book(("keep", [], [drift()]), ("keep", [], [outlier()]))
    assert list(costs(old)) == ["outlier_week", "input_drift"]


def test_a_persons_order_is_a_line_of_its_own():
    events = book(("refit", ["person", "input_drift"], [drift(1.0)]), ("keep", [], [drift()]))
    found = costs(events)
    assert (found["person"].weeks, found["person"].fits, found["input_drift"].fits) == (2, 1, 0)


@pytest.mark.parametrize(
    ("name", "rules", "cause"),
    [
        ("keep", [drift(1.0)], None),
        ("refit", [outlier(5.0), drift(1.0)], "input_drift"),
        ("refit", [outlier(), drift()], "person"),
        ("review", [outlier(), drift(None)], "input_drift"),
        ("quarantine", [], None),
    ],
)
def test_ledgers_that_do_not_name_their_causes_are_read_by_what_fired(name, rules, cause):
    (event,) = ledgers.decision([], WEEKS[0], name, rules=rules)
    assert cause_of(event) == cause


def test_an_empty_ledger_has_no_costs():
    assert rule_costs([]) == []
