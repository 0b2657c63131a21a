"""Does what is kept still say what was recorded?  Pure comparisons: two tellings in, what differs out, in words."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evermix.core import ledger
from evermix.core.ledger import Event
from evermix.core.ledger_diff import differences
from evermix.records import Record

RESTORE = "Find out who did it; `git reflog` in the work clone and other clones still have the branch as it was."
# Events that tell of a new version: the verdict on a fit, or the update of one.
MADE = ("verdict", "update")
# Tags of a version that repeat what this event says in the ledger.
VERDICT_TAGS = ("draws_hash", "weights_hash", "observed_hash", "basis_hash", "request")


class Discrepancy(Record):
    """One place where what is kept is not what was recorded."""

    where: str
    what: str
    value: str
    expected: str
    action: str


class Checklist:
    """What was looked at, what was found, and what is worth knowing of one model.

    What was looked at is counted, so that nothing checked cannot pass for nothing wrong.
    """

    def __init__(self) -> None:
        self.checked: Counter[str] = Counter()
        self.findings: list[Discrepancy] = []
        self.notes: list[str] = []

    def count(self, what: str, number: int = 1) -> None:
        """Record that so many things of a kind were looked at."""
        self.checked[what] += number

    def add(self, where: str, what: str, value: str, expected: str, action: str) -> None:
        """Record one finding."""
        self.findings.append(Discrepancy(where=where, what=what, value=value, expected=expected, action=action))

    def extend(self, findings: Iterable[Discrepancy]) -> None:
        """Record what a comparison found."""
        self.findings.extend(findings)


@dataclass(frozen=True)
class Commit:
    """A commit of a model's branch, with the ledger that it holds.

    Attributes
    ----------
    head : str or None
        The ledger's head that the message names.
    events : list of Event or None
        The ledger in its tree, None where there is none.
    unreadable : list of str
        What of the ledger's text could not be read.
    touches_live : bool
        Whether it changes anything below ``live/``.
    parents : int
        More than one joins two lines of history, which evermix never does.
    """

    id: str
    subject: str
    head: str | None
    events: list[Event] | None
    unreadable: list[str]
    touches_live: bool
    parents: int

    @property
    def place(self) -> str:
        """The commit in words."""
        return f"commit {self.id[:12]} ({self.subject})"


def check_ledger(where: str, events: list[Event], unreadable: Sequence[str]) -> list[Discrepancy]:
    """Return what is wrong with one ledger taken by itself: unreadable lines, and a chain that does not hold."""
    expected = "each event hashes to its own hash and names the one before"
    texts = [*unreadable, *ledger.faults(events)]
    return [_found(where, text, "the chain does not hold", expected) for text in texts]


def check_commits(commits: Sequence[Commit]) -> list[Discrepancy]:
    """Return where the branch, oldest commit first, did anything to its ledger but add to it."""
    out: list[Discrepancy] = []
    before: list[Event] = []
    for commit in commits:
        events = commit.events or []
        changed = events != before
        if changed and events[: len(before)] != before:
            texts = differences(before, events) if commit.events is not None else ["it was deleted"]
            out += [_found(commit.place, f"ledger: {text}", "older events changed", "only new ones") for text in texts]
        if commit.head is None and (changed or commit.touches_live or not commit.subject.startswith("computed ")):
            told = "no line `Ledger: <hash>` in its message"
            what = "changes live/ without a word" if changed or commit.touches_live else "is not a commit of evermix"
            out.append(_found(commit.place, what, told, "the ledger's head"))
        elif commit.touches_live and not changed:
            # All that evermix does to live/ is an event of the ledger.
            what = "changes live/ and repeats the ledger's head, so that no event tells of it"
            out.append(_found(commit.place, what, "no new event", "an event for every change"))
        if commit.head is not None and commit.head != ledger.head(events):
            what = "the ledger in this commit is not the one that its message names"
            out.append(_found(commit.place, what, f"head {ledger.head(events)[:12]}", f"head {commit.head[:12]}"))
        if commit.parents > 1:
            out.append(_found(commit.place, "joins two lines of history", f"{commit.parents} parents", "1 parent"))
        before = events
    return out


def half_closed_commits(commits: Sequence[Commit]) -> set[str]:
    """Return the ``computed`` commits that no ``closed`` one follows yet: a close is under way, or was cut off."""
    out: set[str] = set()
    for commit in commits:
        if commit.subject.startswith("computed "):
            out.add(commit.id)
        elif commit.subject.startswith("closed "):
            out.clear()
    return out


def check_witness(
    branch: str, tip: str | None, events: list[Event], lost: Sequence[tuple[str, list[Event]]]
) -> list[Discrepancy]:
    """Return what became of commits that this home pushed or fetched and the branch lacks.

    Parameters
    ----------
    tip, events
        Where the branch stands now (None: it is gone), and its ledger.
    lost : sequence of (str, list of Event)
        Commits that the branch once stood at and does not contain now, oldest first, each with its ledger.
    """
    if not lost:
        return []
    commit, remembered = lost[-1]
    weeks = sorted({e["as_of"] for e in remembered if e.get("hash") not in {known.get("hash") for known in events}})
    what = "; ".join(["was rewritten or cut", *differences(remembered, events)])
    action = (
        f"From the work clone: `git push --force origin {commit[:12]}:refs/heads/{branch}`, if the old one is true."
    )
    value = "no such branch" if tip is None else f"stands at {tip[:12]}"
    expected = f"contains {commit[:12]}, where this home saw it" + (f"; weeks {', '.join(weeks)}" if weeks else "")
    return [Discrepancy(where=f"branch {branch}", what=what, value=value, expected=expected, action=action)]


def check_told(where: str, told: Mapping[str, str], events: list[Event], commits: Collection[str]) -> list[Discrepancy]:
    """Return where a witness outside the branch saw a ledger that the branch does not go on from.

    Parameters
    ----------
    told : mapping
        ``ledger_head``, ``git_commit`` and ``as_of`` as they were after the last event that the witness was told of;
        a witness that was told of nothing yet has none of them.
    commits : collection of str
        Ids of all commits of the branch.
    """
    head, commit, as_of = told.get("ledger_head"), told.get("git_commit"), told.get("as_of", "an unknown week")
    if head is not None and head not in {event.get("hash") for event in events}:
        what = f"saw the ledger after week {as_of} with an event that it lacks: it was cut or rewritten"
        last = f"ends with event {ledger.head(events)[:12]}" + (f" of {events[-1].get('as_of')}" if events else "")
        return [_found(where, what, last, f"event {head[:12]}")]
    if commit is not None and commit not in commits:
        what = f"saw the branch after week {as_of} at a commit that it lacks: it was rewritten, ledger kept"
        return [_found(where, what, "no such commit", f"commit {commit[:12]}")]
    return []


def check_registry(
    events: list[Event],
    versions: Sequence[Mapping[str, Any]],
    tags: Mapping[str, Mapping[str, str]],
    commits: Collection[str],
    half_closed: Collection[str],
) -> Iterator[Discrepancy]:
    """Yield where the tags of registered versions contradict ledger and branch.

    Parameters
    ----------
    versions : sequence of mapping
        ``{id, number, tags}`` as the registry has them.
    tags : mapping
        By version, the tags that the ledger's moves give.
    commits : collection of str
        Ids of all commits of the branch.
    half_closed : collection of str
        From `half_closed_commits`: a version of such a week may be ahead of the ledger.
    """
    verdicts = {event["version"]: event for event in events if event.get("event") in MADE}
    hashes = {event.get("hash") for event in events}
    for version in versions:
        told, where = version["tags"], f"MLflow version {version['number']} ({version['id']})"
        if version["id"] is None or told.get("git_commit") in half_closed:
            continue
        if version["id"] not in verdicts:
            what = "the ledger does not know this version: history was cut or rewritten"
            yield _found(where, what, "no verdict", "its verdict")
            continue
        commit = told.get("git_commit")
        if commit is None:
            yield _found(where, "its tag git_commit is gone", "no tag", "the commit of its fit")
        elif commit not in commits:
            what = "its commit is not on the branch: history was cut or rewritten"
            yield _found(where, what, "no such commit", f"commit {commit[:12]}")
        head = told.get("ledger_head")
        if head is not None and head not in hashes:
            what = "its ledger_head is no event of the ledger: history was cut or rewritten"
            yield _found(where, what, "no such event", f"event {head[:12]}")
            continue
        for name, expected in tags.get(version["id"], {}).items():
            if told.get(name) != expected:
                yield _behind(where, name, told.get(name), expected)
        for name in VERDICT_TAGS:
            recorded = verdicts[version["id"]].get(name)
            if recorded is not None and told.get(name) != recorded:
                value = str(told.get(name, "no tag"))
                yield _found(where, f"tag {name} is not what the verdict says", value, str(recorded))


def missing_versions(events: list[Event], known: Collection[str | None]) -> tuple[list[str], list[str]]:
    """Return versions that the registry lacks: those that were champion or question, and those only judged."""
    judged = [event["version"] for event in events if event.get("event") in MADE]
    moved = {event["version"] for event in events if event.get("event") in (*ledger.MOVES, "approval")}
    gone = [version for version in dict.fromkeys(judged) if version not in known]
    return [v for v in gone if v in moved], [v for v in gone if v not in moved]


def check_draws(
    where: str, pointer: Mapping[str, Any], draws_hash: str | None, events: Sequence[Event]
) -> list[Discrepancy]:
    """Return where a version's draws, its pointer and its verdict tell of different hashes.

    Parameters
    ----------
    pointer : mapping
        The ``champion.json`` beside the draws.
    draws_hash : str or None
        Recomputed from the draws' file; None: it could not be read.
    """
    action = "Bring the file back from the commit before, or repeat the fit: `dvc repro --force --single-item`."
    where = f"{where}, version {pointer.get('id')}"
    if draws_hash is None:
        what = "base.nc cannot be read as draws"
        return [Discrepancy(where=where, what=what, value="unreadable", expected="a netCDF file", action=action)]
    told = {"champion.json": pointer.get("draws_hash")}
    for event in events:
        if event.get("event") in MADE and event.get("version") == pointer.get("id"):
            told["the ledger's verdict"] = event.get("draws_hash")
    return [
        Discrepancy(
            where=where,
            what=f"the draws in base.nc do not hash to what {source} recorded",
            value=draws_hash,
            expected=str(recorded),
            action=action,
        )
        for source, recorded in told.items()
        if recorded != draws_hash
    ]


def check_beside_draws(
    where: str, pointer: Mapping[str, Any], key: str, found: str | None, events: Sequence[Event]
) -> list[Discrepancy]:
    """Return where a version's weights or its base's panel do not hash to what pointer and ledger say.

    Parameters
    ----------
    key : str
        ``weights_hash`` or ``panel_hash`` of the pointer; None there: the version has no such file.
    found : str or None
        Recomputed from the file; None: there is none.
    """
    told = {"champion.json": pointer.get(key)}
    for event in events:
        if event.get("event") in MADE and event.get("version") == pointer.get("id") and key in event:
            told["the ledger"] = event[key]
    return [
        _found(f"{where}, version {pointer.get('id')}", f"is not what {source} recorded", str(found), str(recorded))
        for source, recorded in told.items()
        if recorded != found
    ]


def check_snapshot(where: str, data: bytes | None, about: Mapping[str, Any], recorded: str | None) -> list[Discrepancy]:
    """Return where a snapshot's bytes do not hash to ``about.json``'s ``sha256`` or to what the decision recorded."""
    found = None if data is None else hashlib.sha256(data).hexdigest()
    told = {"about.json": about.get("sha256"), "the ledger's decision": recorded}
    action = "The other telling may be the true one: compare with the branch, the snapshot's ref and the source."
    return [
        Discrepancy(
            where=where,
            what=f"the snapshot's data do not hash to what {source} recorded",
            value=found or "no data file",
            expected=str(expected),
            action=action,
        )
        for source, expected in told.items()
        if expected != found and not (source.startswith("the ledger") and expected is None)
    ]


def _found(where: str, what: str, value: str, expected: str) -> Discrepancy:
    return Discrepancy(where=where, what=what, value=value, expected=expected, action=RESTORE)


def _behind(where: str, name: str, seen: str | None, expected: str) -> Discrepancy:
    return Discrepancy(
        where=where,
        what=f"tag {name} is not what the ledger says",
        value=str(seen),
        expected=expected,
        action="`evermix promote --reconcile` repairs it.",
    )
