"""The weekly loop of one model: ingest, open, compute, close.  The same verbs that the DAGs call one by one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from evermix.config import Environment, ModelParams, load_params
from evermix.core import ledger
from evermix.engines.history import History
from evermix.engines.models import load_kind
from evermix.engines.store import Store, read_json, write_json
from evermix.errors import ConfigError
from evermix.stages import STAGES, close
from evermix.stages.ingest import SnapshotSummary, take_snapshot
from evermix.stages.open import open_week
from evermix.stages.publish import project_aliases

Say = Callable[[str], None]


def parse_week(text: str, option: str = "--as-of") -> str:
    """Return an ISO Monday, or say which Monday was meant."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise ConfigError(f"{option}: got {text!r}, expected a date YYYY-MM-DD.")
    if day.weekday():
        monday = day - timedelta(days=day.weekday())
        raise ConfigError(f"{option}: got {text}, a {day:%A}; expected the Monday of a week. Try {monday}.")
    return text


class Loop:
    """One model's loop in one home.

    Parameters
    ----------
    env : Environment
        Places and addresses.
    model : str
        The model's name in params.
    say : callable
        Takes lines of progress.
    """

    def __init__(self, env: Environment, model: str, say: Say) -> None:
        self.env = env
        self.model = model
        self.say = say
        self.params: ModelParams = load_params(env.project / "params.yaml").model(model)
        self.history = History(env, model, say)
        self.store = Store(self.history.root, model)
        self._source_ends: str | None = None

    # -- where a week stands -------------------------------------------------

    def events(self) -> list[ledger.Event]:
        """Return the ledger at the tip of the branch."""
        text = self.history.file_at("HEAD", f"live/{self.model}/ledger.jsonl")
        return ledger.from_lines(text.decode()) if text else []

    def _is_closed(self, as_of: str) -> bool:
        """Tell whether a week needs nothing any more; a quarantined one is closed unless it is the last."""
        events = self.events()
        last = ledger.last_decided(events)
        if last is None or as_of > last:
            return False
        decided = ledger.decision_of(events, as_of)
        if decided is None:
            first = min(event["as_of"] for event in events)
            raise ConfigError(
                f"{self.model}: week {as_of} was never decided and {last} is closed already; "
                f"weeks are closed in order, and this history starts at {first}. Close a week after {last}."
            )
        return decided["decision"] != "quarantine" or as_of != last

    def _is_open(self, as_of: str) -> bool:
        return self.store.week.is_file() and read_json(self.store.week)["as_of"] == as_of

    def _is_computed(self, as_of: str) -> bool:
        return self.history.subject() == f"computed {self.model} {as_of}"

    def pending(self, through: str) -> list[str]:
        """Return the weeks up to ``through`` that are not closed, in order, from the first one that is known."""
        with self.history.locked():
            self.history.sync()
            return self._pending(through)

    def _pending(self, through: str) -> list[str]:
        last = ledger.last_decided(self.events())
        if last is None:
            known = sorted(p.name for p in self._snapshots().glob("*-*-*") if p.name <= through)
            first = date.fromisoformat(known[0] if known else through)
        else:
            first = date.fromisoformat(last) + timedelta(weeks=1)
        weeks = list(_mondays(first, date.fromisoformat(through)))
        return [] if self._is_closed(through) else weeks or [through]

    # -- the verbs -----------------------------------------------------------

    def ingest(self, as_of: str) -> dict[str, Any]:
        """Store the source's answer for a week; ``stored``, ``waiting`` (no such week yet) or ``closed``."""
        with self.history.locked():
            self.history.sync()
            if self._is_closed(as_of):
                return {"model": self.model, "as_of": as_of, "status": "closed"}
            return self._ingest(as_of)

    def step(self, stage: str, as_of: str) -> dict[str, Any]:
        """Bring a week up to one stage (``open`` or a DVC stage), whatever was done of it before."""
        with self.history.locked():
            self.history.sync()
            if self._is_closed(as_of) and not self._is_computed(as_of):
                return {"model": self.model, "as_of": as_of, "stage": stage, "status": "closed"}
            if not self._prepare(as_of, take_new=False):
                return {"model": self.model, "as_of": as_of, "stage": stage, "status": "waiting"}
            if stage != "open" and not self._is_computed(as_of):
                self.history.repro(stage, self.say)
            done = {"model": self.model, "as_of": as_of, "stage": stage, "status": "done"}
            # What was found is the answer of this stage; a broken delivery is an outcome, not an error.
            return done | read_json(self.store.validated / "report.json") if stage == "validate" else done

    def close(self, as_of: str) -> dict[str, Any]:
        """Close a computed week; what is missing of it is computed first."""
        with self.history.locked():
            self.history.sync()
            if self._is_closed(as_of) and not self._is_computed(as_of):
                return self._already_closed(as_of)
            return self._close_prepared(as_of) if self._prepare(as_of, take_new=False) else self._waiting(as_of)

    def week(self, as_of: str) -> list[dict[str, Any]]:
        """Close every pending week up to and including one; return their outcomes, oldest first."""
        with self.history.locked():
            self.history.sync()
            if self._is_closed(as_of):
                return [self._already_closed(as_of)]
            outcomes = []
            pending = self._pending(as_of)
            if len(pending) > 1:
                self.say(f"{len(pending) - 1} earlier week(s) from {pending[0]} are open and are closed first")
            for monday in pending:
                outcomes.append(self._one(monday))
                if outcomes[-1]["status"] == "waiting":
                    break
            return outcomes

    # -- parts ---------------------------------------------------------------

    def _one(self, as_of: str) -> dict[str, Any]:
        self.say(f"week {as_of} of {self.model}")
        return self._close_prepared(as_of) if self._prepare(as_of, take_new=True) else self._waiting(as_of)

    def _close_prepared(self, as_of: str) -> dict[str, Any]:
        if self._is_quarantined(as_of) and not self._has_new_delivery(as_of):
            return self._already_closed(as_of)
        if not self._is_computed(as_of):
            self.history.repro(STAGES[-1], self.say)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return {"status": "closed", **close.run(self.env, self.history, self.params, at)}

    def _prepare(self, as_of: str, take_new: bool) -> bool:
        """Make the week open in the clone; False when its data are not there yet."""
        if self._is_computed(as_of):
            return True
        stored = self._snapshots() / as_of / "latest.json"
        if (take_new or not stored.is_file()) and self._ingest(as_of)["status"] == "waiting":
            return False
        snapshot = self._snapshots() / as_of / read_json(stored)["folder"]
        if self._is_open(as_of) and not take_new and self._same_snapshot(snapshot):
            return True
        if self._is_quarantined(as_of) and self._same_snapshot(snapshot):
            return True
        # A spec that no fit could take is refused before a week is opened for it.
        load_kind(self.params.kind).check(self.params.spec, self.params.columns.model_dump())
        self.history.discard()
        open_week(self.env, self.history, as_of, snapshot)
        return True

    def _same_snapshot(self, folder: Path) -> bool:
        here = self.store.snapshot / "about.json"
        return here.is_file() and read_json(here)["sha256"] == read_json(folder / "about.json")["sha256"]

    def _is_quarantined(self, as_of: str) -> bool:
        decided = ledger.decision_of(self.events(), as_of)
        return decided is not None and decided["decision"] == "quarantine"

    def _has_new_delivery(self, as_of: str) -> bool:
        decided = ledger.decision_of(self.events(), as_of)
        return decided is None or read_json(self.store.snapshot / "about.json")["sha256"] != decided["snapshot"]

    def _ingest(self, as_of: str) -> dict[str, Any]:
        folder = self._snapshots() / as_of
        self._snapshots().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._snapshots(), prefix=".draft.") as name:
            draft = Path(name) / "snapshot"
            source = self.env.source_path(self.params.source.path)
            summary = take_snapshot(self.params, source, date.fromisoformat(as_of), draft)
            self._refuse_a_start_before_the_data(as_of, summary)
            self._source_ends = summary.last_week
            if summary.status == "waiting":
                return {"model": self.model, **summary.model_dump()}
            sha256 = read_json(draft / "about.json")["sha256"]
            target = folder / sha256[:16]
            if not target.is_dir():
                folder.mkdir(exist_ok=True)
                shutil.move(str(draft), target)
        arrived_at = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(folder / "latest.json", {"folder": target.name, "sha256": sha256, "arrived_at": arrived_at})
        return {"model": self.model, **summary.model_dump(), "status": "stored", "arrived_at": arrived_at}

    def _refuse_a_start_before_the_data(self, as_of: str, summary: SnapshotSummary) -> None:
        """A mistyped first week would be the ledger's start, with every week since then to catch up."""
        if self.events() or summary.first_week is None or as_of >= summary.first_week:
            return
        raise ConfigError(
            f"--as-of: got {as_of}, before the first week of the source, {summary.first_week}; nothing was stored. "
            f"Expected a Monday from {summary.first_week} to {summary.last_week}."
        )

    def _snapshots(self) -> Path:
        return self.env.home / "snapshots" / self.model

    def _waiting(self, as_of: str) -> dict[str, Any]:
        why = f"the source has no complete week {as_of} yet, it ends with {self._source_ends}; nothing was decided"
        return {"status": "waiting", "model": self.model, "as_of": as_of, "decision": None, "reasons": [why]}

    def _already_closed(self, as_of: str) -> dict[str, Any]:
        events = self.events()
        project_aliases(self.env, self.store, events)
        folded = {week["as_of"]: week for week in ledger.fold_weeks(events, self.model)}[as_of]
        return {"status": "already closed", **folded}


def _mondays(first: date, last: date) -> Iterator[str]:
    day = first
    while day <= last:
        yield day.isoformat()
        day += timedelta(weeks=1)


def replay(loop: Loop, first: str, last: str) -> Iterator[dict[str, Any]]:
    """Close every week from ``first`` to ``last``, yielding each outcome as it comes; stops at a week that waits."""
    if first > last:
        raise ConfigError(f"--from {first} is after --to {last}; expected the earlier Monday first.")
    for monday in _mondays(date.fromisoformat(first), date.fromisoformat(last)):
        for outcome in loop.week(monday):
            yield outcome
            if outcome["status"] == "waiting":
                return
