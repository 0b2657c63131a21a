"""The weekly loop of one model: ingest, open, compute, close.  The same verbs that the DAGs call one by one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evermix.config import Environment, ModelParams, load_params
from evermix.core import ledger
from evermix.core.orders import orders_for
from evermix.engines.history import History, configure_dvc, share_open, take_open
from evermix.engines.store import Store, read_json
from evermix.errors import ConfigError, StoreError
from evermix.stages import STAGES, close
from evermix.stages.durations import remember_duration
from evermix.stages.open import open_week
from evermix.stages.publish import tell_registry
from evermix.stages.snapshots import keep_snapshot, known_weeks, lay_out_snapshot

if TYPE_CHECKING:
    from evermix.stages.ingest import SnapshotSummary

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

    def is_computed(self, as_of: str) -> bool:
        """Tell whether a week has its `computed` commit and waits to be closed."""
        return self.history.computed_commit(as_of) is not None

    def pending(self, through: str) -> list[str]:
        """Return the weeks up to ``through`` that are not closed, in order, from the first one that is known."""
        with self.history.locked():
            self.history.sync()
            return self.pending_weeks(through)

    def pending_weeks(self, through: str) -> list[str]:
        """Return the same, of a clone that is locked and synced already."""
        last = ledger.last_decided(self.events())
        if last is None:
            known = [week for week in known_weeks(self.env, self.model) if week <= through]
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
        """Bring a week up to one stage (``open`` or a DVC stage), whatever was done of it before, here or elsewhere."""
        with self.history.locked():
            self.history.sync()
            if self._is_closed(as_of) and not self.is_computed(as_of):
                return {"model": self.model, "as_of": as_of, "stage": stage, "status": "closed"}
            take_open(self.history)
            if not self.prepare(as_of, take_new=False):
                return {"model": self.model, "as_of": as_of, "stage": stage, "status": "waiting"}
            if stage != "open" and not self.is_computed(as_of):
                self.compute(stage)
            share_open(self.history, f"{stage} {self.model} {as_of}")
            done = {"model": self.model, "as_of": as_of, "stage": stage, "status": "done"}
            # What was found is the answer of this stage; a broken delivery is an outcome, not an error.
            return done | read_json(self.store.validated / "report.json") if stage == "validate" else done

    def close(self, as_of: str) -> dict[str, Any]:
        """Close a computed week; what is missing of it is computed first."""
        with self.history.locked():
            self.history.sync()
            if self._is_closed(as_of) and not self.is_computed(as_of):
                return self._already_closed(as_of)
            take_open(self.history)
            return self.close_prepared(as_of) if self.prepare(as_of, take_new=False) else self.waiting(as_of)

    def week(self, as_of: str) -> list[dict[str, Any]]:
        """Close every pending week up to and including one; return their outcomes, oldest first."""
        with self.history.locked():
            self.history.sync()
            if self._is_closed(as_of):
                return [self._already_closed(as_of)]
            outcomes = []
            pending = self.pending_weeks(as_of)
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
        started = time.monotonic()
        if not self.prepare(as_of, take_new=True):
            return self.waiting(as_of)
        is_whole = not self.is_computed(as_of)
        outcome = self.close_prepared(as_of)
        if is_whole and outcome["status"] == "closed":
            remember_duration(self.store, self.env, time.monotonic() - started)
        return outcome

    def close_prepared(self, as_of: str) -> dict[str, Any]:
        """Close the week that is open in the clone; what is missing of it is computed first."""
        if ledger.quarantine_stands(self.events(), as_of, self._snapshot_here()):
            return self._already_closed(as_of)
        if not self.is_computed(as_of):
            self.compute(STAGES[-1])
        return {"status": "closed", **close.run(self.env, self.history, self.params, _now())}

    def compute(self, stage: str) -> None:
        """Compute the open week up to a stage."""
        self.history.repro(stage, self.say)

    def prepare(self, as_of: str, take_new: bool) -> bool:
        """Make the week open in the clone; False when its data are not there yet.

        Parameters
        ----------
        take_new : bool
            Ask the source again, rather than only when no snapshot of the week is there.
        """
        if self.is_computed(as_of):
            return True
        with tempfile.TemporaryDirectory() as name:
            snapshot = Path(name) / "snapshot"
            sha256 = self._lay_out(as_of, snapshot, take_new)
            if sha256 is None:
                return False
            events = self.events()
            if ledger.quarantine_stands(events, as_of, sha256):
                return True
            orders = orders_for(events, as_of, sha256, self.params.gate.approval_expires_weeks)
            if take_new or not self._is_open_with(as_of, sha256, orders):
                self._open(as_of, snapshot, events)
        return True

    def _lay_out(self, as_of: str, folder: Path, take_new: bool) -> str | None:
        """Write the week's snapshot into a folder; return its hash, None while the source has no such week."""
        about = None if take_new else lay_out_snapshot(self.env, self.model, as_of, folder)
        if about is None:
            if self._ingest(as_of)["status"] == "waiting":
                return None
            about = lay_out_snapshot(self.env, self.model, as_of, folder)
        if about is None:
            raise StoreError(f"{self.model} {as_of}: its snapshot went away. Run again; `git fsck` checks the history.")
        return str(about["sha256"])

    def _is_open_with(self, as_of: str, sha256: str, orders: dict[str, Any]) -> bool:
        is_open = self._is_open(as_of) and self._snapshot_here() == sha256 and self.store.orders.is_file()
        return is_open and read_json(self.store.orders) == orders

    def check_spec(self) -> None:
        """Refuse a spec that no fit could take, before a week is opened for it."""
        # Loaded here: a step of an open week, which waits for DVC most of its time, needs 34 MB instead of 181.
        from evermix.engines.calendars import check_calendars
        from evermix.engines.models import load_kind

        load_kind(self.params.kind).check(self.params.spec, self.params.columns.model_dump())
        check_calendars(self.params.columns)

    def _open(self, as_of: str, snapshot: Path, events: list[ledger.Event]) -> None:
        self.check_spec()
        self.history.discard()
        configure_dvc(self.history)
        open_week(self.env, self.store, self.params, as_of, snapshot, events)

    def _snapshot_here(self) -> str:
        about = self.store.snapshot / "about.json"
        return str(read_json(about)["sha256"]) if about.is_file() else ""

    def _ingest(self, as_of: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as name:
            draft = Path(name) / "snapshot"
            summary = self.take_delivery(as_of, draft)
            self._refuse_a_start_before_the_data(as_of, summary)
            self._source_ends = summary.last_week
            if summary.status == "waiting":
                return {"model": self.model, **summary.model_dump()}
            is_new = keep_snapshot(self.env, self.model, as_of, draft, _now())
        return {"model": self.model, **summary.model_dump(), "status": "stored", "new": is_new}

    def take_delivery(self, as_of: str, folder: Path) -> SnapshotSummary:
        """Write what the source says for a week into a folder; nothing of it is kept yet."""
        # Loaded here, as in `check_spec`.
        from evermix.engines.sources import panel_of
        from evermix.stages.ingest import plan_place, take_snapshot

        week, today = date.fromisoformat(as_of), datetime.now(UTC).date()
        # As it was committed: what lies in the clone may be half of a close that was cut off.
        accepted = self.history.file_at("HEAD", f"live/{self.model}/panel.parquet")
        return take_snapshot(
            self.params,
            self.env.source_path(self.params.source.path),
            week,
            folder,
            plan_place(self.env, self.params.source),
            # A clock that stands before the end of the week it closes cannot say what is the future.
            today=today if today >= week + timedelta(days=7) else None,
            accepted=panel_of(accepted) if accepted is not None else None,
        )

    def _refuse_a_start_before_the_data(self, as_of: str, summary: SnapshotSummary) -> None:
        """A mistyped first week would be the ledger's start, with every week since then to catch up."""
        if self.events() or summary.first_week is None or as_of >= summary.first_week:
            return
        raise ConfigError(
            f"--as-of: got {as_of}, before the first week of the source, {summary.first_week}; nothing was stored. "
            f"Expected a Monday from {summary.first_week} to {summary.last_week}."
        )

    def waiting(self, as_of: str) -> dict[str, Any]:
        """Return the outcome of a week whose data are not there yet."""
        why = f"the source has no complete week {as_of} yet, it ends with {self._source_ends}; nothing was decided"
        return {"status": "waiting", "model": self.model, "as_of": as_of, "decision": None, "reasons": [why]}

    def _already_closed(self, as_of: str) -> dict[str, Any]:
        events = self.events()
        tell_registry(self.env, self.history, events)
        folded = {week["as_of"]: week for week in ledger.fold_weeks(events, self.model)}[as_of]
        return {"status": "already closed", **folded}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


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
