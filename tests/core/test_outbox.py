"""Deliveries: due until recorded, never after; a new place hears of the latest week only."""

from core import ledgers

from evermix.core.outbox import place_of, read_outbox
from evermix.core.overdue import run_overdue

CALL = place_of("on-call", "json://${EVERMIX_HOST}/")
MAIL = place_of("mail", "mailto://x")
LATE = run_overdue("brand", "2026-01-12", "")


def box_with(*places, events):
    box = read_outbox(None)
    for place in places:
        box.start(place, events)
    return box


def due(box, place, events):
    return [a.kind for a in box.due(place, box.alerts(place, "brand", events, ""))]


def test_an_alert_is_due_until_its_delivery_is_recorded():
    events = ledgers.decision(ledgers.first_weeks(), "2026-01-19", "quarantine")
    box = box_with(CALL, MAIL, events=events)
    (alert,) = box.alerts(CALL, "brand", events, "")
    box.record(alert.id, CALL, "refused", "2026-01-26T08:00:00+00:00")
    assert due(box, CALL, events) == ["quarantine"]
    box.record(alert.id, CALL, "", "2026-01-26T09:00:00+00:00")
    assert due(box, CALL, events) == []
    assert due(box, MAIL, events) == ["quarantine"]
    assert box.attempts[alert.id, CALL]["attempts"] == 2


def test_a_later_failure_of_another_worker_does_not_take_a_delivery_back():
    events = ledgers.decision([], "2026-01-19", "quarantine")
    box = box_with(CALL, events=events)
    (alert,) = box.alerts(CALL, "brand", events, "")
    box.record(alert.id, CALL, "", "2026-01-26T08:00:00+00:00")
    box.record(alert.id, CALL, "refused", "2026-01-26T08:00:01+00:00")
    assert box.is_delivered(alert.id, CALL)


def test_a_place_that_is_new_hears_of_the_latest_week_and_of_all_that_follows():
    events = ledgers.decision(ledgers.first_weeks(), "2026-01-19", "quarantine")
    box = box_with(CALL, events=events)
    box.start(CALL, ledgers.decision(events, "2026-01-26", "quarantine"))
    assert due(box, CALL, events) == ["quarantine"]
    assert due(box, CALL, ledgers.decision(events, "2026-01-26", "quarantine")) == ["quarantine", "quarantine"]


def test_what_was_raised_before_a_place_began_is_not_told_there():
    events = ledgers.first_weeks()
    box = box_with(CALL, events=events)
    box.raised[LATE.id] = LATE
    box.start(MAIL, events)
    assert due(box, CALL, events) == ["run_overdue"]
    assert due(box, MAIL, events) == []


def test_an_outbox_reads_back_as_it_was_written():
    events = ledgers.decision(ledgers.first_weeks(), "2026-01-19", "quarantine")
    box = box_with(CALL, events=events)
    box.raised[LATE.id] = LATE
    box.start(MAIL, events)
    box.record(LATE.id, CALL, "", "2026-01-26T08:00:00+00:00")
    again = read_outbox(box.to_lines())
    assert again == box
    assert again.to_lines() == box.to_lines()


def test_the_outbox_names_a_place_by_a_hash_and_never_by_its_address():
    box = box_with(place_of("hook", "json://user:secret@host/"), events=[])
    assert b"secret" not in box.to_lines()
