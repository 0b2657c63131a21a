"""What a person does to a model: answer, promote, roll back.  Each is one commit and a ledger event."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import Any, Literal

from evermix.core import ledger
from evermix.core.close import answer_question, hold_question
from evermix.core.question import question_markdown
from evermix.errors import ConfigError, StoreError
from evermix.records import VersionFile
from evermix.stages import close
from evermix.stages.publish import tell_registry
from evermix.stages.versions import KeptVersion, find_version
from evermix.stages.week import Loop

Choice = Literal["approve", "reject", "hold"]


def pending_question(loop: Loop) -> dict[str, Any] | None:
    """Return the question that waits for a person, or None."""
    with loop.history.locked():
        loop.history.sync()
        close.restore_live(loop.history)
        return close.read_live(loop.store)["question"]


def answer(loop: Loop, as_of: str, choice: Choice, by: str, reason: str = "") -> dict[str, Any]:
    """Carry out a person's answer to the question of a week; a hold is signed, and leaves the question open.

    A question that was superseded, expired or answered before changes nothing; the result says which.
    """
    with loop.history.locked():
        loop.history.sync()
        close.restore_live(loop.history)
        live = close.read_live(loop.store)
        question = live["question"]
        if question is None or question["as_of"] != as_of:
            return {"model": loop.model, "as_of": as_of, "status": _state_of(live["events"], as_of), "promoted": None}
        if choice == "hold":
            events = hold_question(live["events"], question, by, _now(), reason)
            if len(events) > len(live["events"]):
                _record(loop, events, f"held {loop.model} {as_of}", "held")
            return {"model": loop.model, "as_of": as_of, "status": "held", "promoted": None, "by": by}
        events, promoted = answer_question(live["events"], question, choice == "approve", by, _now(), reason)
        if promoted is not None:
            folder = loop.store.live / "challenger"
            version = VersionFile.model_validate_json((folder / "champion.json").read_text(encoding="utf-8"))
            close.set_champion(loop.store, version, {path.name: path.read_bytes() for path in folder.iterdir()})
        shutil.rmtree(loop.store.live / "challenger")
        close.reset_alarm(loop.store)
        status = "approved" if choice == "approve" else "rejected"
        _record(loop, events, f"answered {loop.model} {as_of}", status)
        return {"model": loop.model, "as_of": as_of, "status": status, "promoted": promoted, "by": by}


def promote(loop: Loop, version_id: str, by: str, reason: str, kind: str = "promotion") -> dict[str, Any]:
    """Make a version that was once champion or asked about the champion; ``kind`` is ``promotion`` or ``rollback``."""
    with loop.history.locked():
        loop.history.sync()
        close.restore_live(loop.history)
        live = close.read_live(loop.store)
        if live["champion"] == version_id:
            return {"model": loop.model, "version": version_id, "status": "already champion"}
        kept = _need_version(loop, version_id)
        close.set_champion(loop.store, kept.version, kept.files)
        events = ledger.append(
            live["events"],
            kind,
            ledger.last_decided(live["events"]) or kept.version.as_of,
            _now(),
            by,
            version=version_id,
            previous_version=live["champion"],
            reason=reason,
        )
        close.reset_alarm(loop.store)
        _record(loop, events, f"{kind} {loop.model} {version_id}", version_id)
        return {"model": loop.model, "version": version_id, "status": kind, "previous": live["champion"], "by": by}


def rollback(loop: Loop, to: str | None, by: str, reason: str) -> dict[str, Any]:
    """Go back to what was champion before the present fit, or to the version named.

    An update is no fit of its own, so going back from it goes where going back from its parent would: to the version
    in use when the parent was promoted, which is the last update of the fit before.
    """
    if to is None:
        with loop.history.locked():
            loop.history.sync()
            events = loop.events()
        moves = [event for event in events if event["event"] in ("promotion", "rollback")]
        to = moves[-1]["previous_version"] if moves else None
        if to is None:
            raise ConfigError(f"{loop.model}: there is no earlier champion to go back to. See `evermix history`.")
    return promote(loop, to, by, reason, kind="rollback")


def _need_version(loop: Loop, version_id: str) -> KeptVersion:
    kept = find_version(loop.history, version_id)
    if kept is not None:
        return kept
    known = sorted({e["version"] for e in loop.events() if e["event"] in ("promotion", "update", "approval")})
    raise StoreError(
        f"{loop.model}: no version {version_id!r} that was champion or put before a person; known: "
        f"{', '.join(known) or 'none'}. Name one of these."
    )


def _record(loop: Loop, events: list[ledger.Event], subject: str, what: str) -> None:
    close.write_ledger(loop.store, events)
    close.commit_closed(loop.history, events, subject, what)
    tell_registry(loop.env, loop.history, events)


def _state_of(events: list[ledger.Event], as_of: str) -> str:
    states = [event["state"] for event in events if event["event"] == "approval" and event["as_of"] == as_of]
    return states[-1] if states else "no question"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def question_body(loop: Loop, question: dict[str, Any]) -> str:
    """Return the question with its evidence as Markdown, for the Airflow UI and the terminal."""
    events = loop.events()
    decision = ledger.decision_of(events, question["as_of"]) or {}
    verdicts = [e for e in events if e["event"] == "verdict" and e["version"] == question["version"]]
    # Updates may have moved the champion since the question was asked.
    question = question | {"champion": ledger.champion_of(events)}
    return question_markdown(loop.model, question, decision, verdicts[-1] if verdicts else {})
