"""What a person orders of a model: waive a fault, freeze, unfreeze, refit.  Each is one commit and a ledger event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from evermix.core import ledger
from evermix.core.orders import frozen_by
from evermix.core.rules import WAIVABLE
from evermix.engines.history import pull_outputs
from evermix.engines.store import read_json
from evermix.errors import ConfigError, ServiceError
from evermix.stages import close
from evermix.stages.publish import tell_registry
from evermix.stages.week import Loop


def accept(loop: Loop, as_of: str, faults: Sequence[str], by: str, reason: str) -> dict[str, Any]:
    """Waive faults of a quarantined week; the next ``week`` computes it as if they were warnings.

    The waiver holds for the delivery that is quarantined, byte for byte: another delivery is asked again.

    Raises
    ------
    ConfigError
        The week is not quarantined, lacks such a fault, or the fault leaves nothing that could be computed.
    """
    _need_reason("accept", reason)
    with loop.history.locked():
        loop.history.sync()
        close.restore_live(loop.history)
        events = loop.events()
        decided = ledger.decision_of(events, as_of)
        if decided is None or decided["decision"] != "quarantine" or as_of != ledger.last_decided(events):
            state = "not decided" if decided is None else decided["decision"]
            last = ledger.last_decided(events)
            raise ConfigError(
                f"{loop.model} {as_of}: is {state}, expected the last decided week, {last or 'none yet'}, quarantined. "
                "A later week closes a quarantine for good; the next delivery brings its rows anew."
            )
        found = _faults_of(loop)
        for fault in faults:
            _check_waiver(loop.model, as_of, fault, found)
            events = ledger.append(
                events, "waiver", as_of, _now(), by, fault=fault, snapshot=decided["snapshot"], reason=reason
            )
        _record(loop, events, f"waived {loop.model} {as_of}", ", ".join(faults))
        left = sorted(found - set(faults))
        return {"model": loop.model, "as_of": as_of, "status": "waived", "waived": list(faults), "left": left, "by": by}


def freeze(loop: Loop, frozen: bool, by: str, reason: str) -> dict[str, Any]:
    """Freeze a model (watched and scored, neither fitted nor asked about) or end that."""
    _need_reason("freeze" if frozen else "unfreeze", reason)
    with loop.history.locked():
        loop.history.sync()
        close.restore_live(loop.history)
        events = loop.events()
        if (frozen_by(events) is not None) == frozen:
            return {"model": loop.model, "status": "already frozen" if frozen else "not frozen"}
        kind = "freeze" if frozen else "unfreeze"
        events = ledger.append(events, kind, _last_week(loop, events), _now(), by, reason=reason)
        _record(loop, events, f"{kind} {loop.model}", reason)
        return {"model": loop.model, "status": "frozen" if frozen else "unfrozen", "by": by, "reason": reason}


@dataclass(frozen=True)
class Upstream:
    """A data team's system that asks for a refit: its name, and its own id of the request, '' for none."""

    name: str
    ref: str


def request_refit(
    loop: Loop, by: str, reason: str, upstream: Upstream | None = None, *, plain: bool = False
) -> dict[str, Any]:
    """Ask for a refit; the next week that is computed carries it out, unless something else asks for a fit first.

    A person's order holds whatever the rules say.  An upstream's is evidence (``request.upstream``) for a rule to ask;
    it is recorded where none asks, too, and the status says so, since it may come with a delivery that must not wait.
    An upstream that repeats itself under the same id is recorded once; before the first fit there is nothing to refit.
    A ``plain`` refit goes back to the spec of params, without what reviews have added to the champion's.

    Raises
    ------
    ConfigError
        A person asks before any week was decided.
    """
    _need_reason("refit", reason)
    with loop.history.locked():
        loop.history.sync()
        close.restore_live(loop.history)
        events = loop.events()
        who = {} if upstream is None else {"upstream": upstream.name, "ref": upstream.ref}
        told = {"model": loop.model, "by": by, "reason": reason, **who}
        if upstream is not None and ledger.last_decided(events) is None:
            return told | {"status": "not recorded: no week was decided yet, the first one fits anyway"}
        if upstream is not None and upstream.ref and any(who.items() <= event.items() for event in events):
            return told | {"status": "already asked"}
        as_of, how = _last_week(loop, events), {"plain": True} if plain else {}
        events = ledger.append(events, "refit_request", as_of, _now(), by, reason=reason, **who, **how)
        _record(loop, events, f"refit asked of {loop.model}", reason)
        return told | {"status": _what_comes_of_it(loop, events, as_of, upstream)}


def _what_comes_of_it(loop: Loop, events: list[ledger.Event], as_of: str, upstream: Upstream | None) -> str:
    asked = {one.evidence for rule in loop.params.rules for one in rule.conditions()}
    if upstream is not None and "request.upstream" not in asked:
        return "recorded; no rule of params asks for request.upstream, so nothing comes of it until one does"
    frozen = frozen_by(events)
    held = f"; the model is frozen by {frozen['by']}, so it waits until `evermix unfreeze`" if frozen else ""
    return f"the next week after {as_of} refits{held}"


def _check_waiver(model: str, as_of: str, fault: str, found: set[str]) -> None:
    if fault not in found:
        raise ConfigError(
            f"{model} {as_of}: the delivery has no fault {fault!r}; its faults: {', '.join(sorted(found))}. Name one."
        )
    if fault not in WAIVABLE:
        raise ConfigError(
            f"{model} {as_of}: {fault} cannot be waived, since no panel can be made of such a delivery; "
            f"can be: {', '.join(sorted(found & WAIVABLE)) or 'none of its faults'}. Correct the source, deliver again."
        )


def _faults_of(loop: Loop) -> set[str]:
    """Return the rules that the quarantined delivery breaks, from its report."""
    report = loop.store.validated / "report.json"
    if not report.is_file():
        pull_outputs(loop.history)
    return {fault["rule"] for fault in read_json(report)["faults"]}


def _last_week(loop: Loop, events: list[ledger.Event]) -> str:
    last = ledger.last_decided(events)
    if last is None:
        raise ConfigError(f"{loop.model}: no week was decided yet. Close its first week with `evermix week`.")
    return last


def _record(loop: Loop, events: list[ledger.Event], subject: str, what: str) -> None:
    close.write_ledger(loop.store, events)
    close.commit_closed(loop.history, events, subject, what)
    try:
        tell_registry(loop.env, loop.history, events)
    except ServiceError as err:
        loop.say(f"the order is recorded; MLflow was not told of it, the next week tells it: {err}")


def _need_reason(command: str, reason: str) -> None:
    if not reason.strip():
        raise ConfigError(f"{command}: --reason is blank; expected why, in a sentence. The ledger keeps it.")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
