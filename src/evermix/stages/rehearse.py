"""What a week would do, and how long it would take, before it is done: nothing is stored, decided or fitted."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from evermix.engines.store import Store, read_json
from evermix.stages import decide, monitor, validate
from evermix.stages.durations import durations
from evermix.stages.open import open_week
from evermix.stages.week import Loop


def rehearse(loop: Loop, as_of: str) -> dict[str, Any]:
    """Return the decision that the first pending week up to ``as_of`` would come to, on the source as it is now.

    Later pending weeks are only listed, since what they do depends on what the first one does.

    Returns
    -------
    dict
        ``pending``, ``week``, ``decision`` (None: waiting or closed), ``reasons``, ``faults``, ``fits`` and
        ``expected_seconds`` (None: no such week was computed here yet).
    """
    with loop.history.locked(), tempfile.TemporaryDirectory() as name:
        loop.history.sync()
        told = {"model": loop.model, "as_of": as_of, "pending": [], "week": None, "decision": None, "reasons": []}
        pending = loop.pending_weeks(as_of)
        if not pending:
            return {**told, "status": "closed"}
        told |= {"pending": pending, "week": pending[0]}
        store = Store(Path(name) / "clone", loop.model)
        snapshot = Path(name) / "snapshot"
        seen = loop.take_delivery(pending[0], snapshot)
        if seen.status == "waiting":
            why = f"the source has no complete week {pending[0]} yet, it ends with {seen.last_week}"
            return {**told, "status": "waiting", "reasons": [why]}
        if (loop.store.live).is_dir():
            shutil.copytree(loop.store.live, store.live)
        loop.check_spec()
        open_week(loop.env, store, loop.params, pending[0], snapshot, loop.events())
        return {**told, "status": "rehearsed", **_decide(loop, store)}


def _decide(loop: Loop, store: Store) -> dict[str, Any]:
    report = validate.run(store, loop.params)
    monitor.run(store, loop.params)
    decision = decide.run(store, loop.params)
    took = durations(loop.env, loop.model)
    return {
        "decision": decision.decision,
        "reasons": decision.reasons,
        "evidence": read_json(store.monitored / "evidence.json")["values"],
        "faults": [fault.model_dump() for fault in report.faults],
        "fits": decision.requested_now,
        "expected_seconds": took.get("with a fit" if decision.requested_now else "without a fit"),
    }
