import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evermix.core import ledger


def decided(events, as_of, decision, **more):
    details = {"reasons": [], "evidence": {}, "champion": None, "snapshot": "s", "reconstructed": False} | more
    return ledger.append(events, "decision", as_of, f"{as_of}T09:00:00+00:00", "evermix", decision=decision, **details)


def test_a_chain_that_was_only_appended_to_has_no_fault():
    events = decided(decided([], "2026-01-05", "first_fit"), "2026-01-12", "keep")
    assert ledger.faults(events) == []
    assert events[0]["previous"] == ledger.GENESIS
    assert events[1]["previous"] == events[0]["hash"]
    assert ledger.head(events) == events[1]["hash"]


def test_a_changed_event_is_named():
    events = decided(decided([], "2026-01-05", "first_fit"), "2026-01-12", "keep")
    forged = copy.deepcopy(events)
    forged[0]["decision"] = "keep"
    assert ledger.faults(forged) == ["event 0 (decision of 2026-01-05): was changed after it was written"]


@given(st.integers(0, 3))
def test_a_removed_event_is_noticed_wherever_it_was(place):
    events: list = []
    for day in ("05", "12", "19", "26"):
        events = decided(events, f"2026-01-{day}", "keep")
    cut = events[:place] + events[place + 1 :]
    if place == 3:  # a cut at the end leaves a true chain: its head is held elsewhere
        assert ledger.faults(cut) == []
        assert ledger.head(cut) != ledger.head(events)
    else:
        assert any("missing or moved" in text for text in ledger.faults(cut))


def test_lines_round_trip():
    events = decided(decided([], "2026-01-05", "first_fit"), "2026-01-12", "keep")
    assert ledger.from_lines(ledger.to_lines(events)) == events


def test_nan_is_refused_since_no_other_reader_takes_it():
    with pytest.raises(ValueError, match="Out of range float"):
        decided([], "2026-01-05", "keep", evidence={"x": float("nan")})


def test_later_events_of_a_week_are_folded_into_it():
    events = decided([], "2026-01-05", "review", champion="m/2025-12-29/aaaaaaaa")
    events = ledger.append(
        events, "verdict", "2026-01-05", "t1", "evermix", version="m/2026-01-05/bbbbbbbb", verdict="hold", reasons=["r"]
    )
    events = ledger.append(
        events, "approval", "2026-01-05", "t1", "evermix", state="pending", version="m/2026-01-05/bbbbbbbb"
    )
    events = decided(events, "2026-01-12", "keep", champion="m/2025-12-29/aaaaaaaa")
    events = ledger.append(
        events, "approval", "2026-01-05", "t2", "ada", state="approved", version="m/2026-01-05/bbbbbbbb"
    )
    events = ledger.append(
        events, "promotion", "2026-01-05", "t2", "ada", version="m/2026-01-05/bbbbbbbb", previous_version="x"
    )
    first, second = ledger.fold_weeks(events, "m")
    assert first["decision"] == "review"
    assert first["verdict"] == "hold"
    assert first["approval"] == {"state": "approved", "version": "m/2026-01-05/bbbbbbbb", "by": "ada", "at": "t2"}
    assert first["version"] == "m/2026-01-05/bbbbbbbb"
    assert second["approval"] is None


def test_a_healed_quarantine_shows_its_last_decision_and_that_it_was_healed():
    events = decided(decided([], "2026-01-05", "quarantine"), "2026-01-05", "keep")
    (week,) = ledger.fold_weeks(events, "m")
    assert (week["decision"], week["healed"]) == ("keep", True)


def test_weeks_come_oldest_first_whatever_order_they_were_decided_in():
    events = decided(decided([], "2026-01-12", "keep"), "2026-01-05", "keep")
    assert [week["as_of"] for week in ledger.fold_weeks(events, "m")] == ["2026-01-05", "2026-01-12"]
    assert ledger.last_decided(events) == "2026-01-12"
