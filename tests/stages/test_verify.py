"""A real history of four weeks, tampered with in every way that we could think of; verify names each of them."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess

import pytest
from project import FIRST, MODEL, Project, monday

from evermix.config import Environment
from evermix.core import ledger
from evermix.engines.history import History, read_ref, write_ref
from evermix.engines.registry import Registry
from evermix.stages.publish import tell_registry
from evermix.stages.verify import run

pytestmark = [
    # mlflow 3.17 uses loader strategies that SQLAlchemy 2.1 is about to drop.
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

BRANCH = f"weeks/{MODEL}"
BOOK = f"live/{MODEL}/ledger.jsonl"
WHO = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_AUTHOR_NAME": "m", "GIT_AUTHOR_EMAIL": "m@x", "GIT_COMMITTER_NAME": "m"}
WHO |= {"GIT_COMMITTER_EMAIL": "m@x"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project(tmp_path_factory.mktemp("verify"))
    made.week(FIRST)
    made.week(monday(1))
    params = made.params()
    params["models"][MODEL]["spec"]["yearly_seasonality"] = 1
    made.write(params)
    if made.week(monday(2))["verdict"] == "hold":
        made.run("review", "--model", MODEL, "--answer", "approve", "--by", "ada")
    made.week(monday(3))
    return made


class Home:
    """A copy of the home that may be tampered with."""

    def __init__(self, project, place):
        self.place = place
        shutil.copytree(project.home, place)
        self.bare, self.clone = place / "history.git", place / "work" / MODEL
        self.git("remote", "set-url", "origin", str(self.bare), cwd=self.clone)
        self.env = Environment(project.root, place, "", str(self.bare), str(place / "dvc-remote"))

    def git(self, *words, cwd=None, stdin=None, index=None):
        extra = WHO | ({"GIT_INDEX_FILE": str(index)} if index else {})
        done = subprocess.run(
            ["git", *words], cwd=cwd or self.bare, env=os.environ | extra, input=stdin, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    def events(self, commit=BRANCH):
        return ledger.from_lines(self.git("show", f"{commit}:{BOOK}"))

    def commit(self, files, message, parent=BRANCH):
        """Return a commit on a parent (its tree is taken from it) with files replaced, None for one taken out."""
        index = self.place / "index"
        self.git("read-tree", parent, index=index)
        for path, data in files.items():
            if data is None:
                self.git("update-index", "--force-remove", path, cwd=self.clone, index=index)
                continue
            blob = self.git("hash-object", "-w", "--stdin", stdin=data)
            self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", index=index)
        return self.git("commit-tree", self.git("write-tree", index=index), "-p", parent, "-m", message)

    def push(self, files, message):
        """Put a new commit on the branch, as whoever may write to the history can."""
        self.git("update-ref", f"refs/heads/{BRANCH}", self.commit(files, message))

    def rewrite(self, change):
        """Rewrite the whole branch: each ledger changed and chained anew, each message with its matching head."""
        parent, index = [], self.place / "index"
        for old in self.git("log", "--reverse", "--format=%H", BRANCH).split():
            self.git("read-tree", old, index=index)
            message = self.git("log", "-1", "--format=%B", old)
            if self.git("ls-tree", old, BOOK):
                events = change(self.events(old))
                blob = self.git("hash-object", "-w", "--stdin", stdin=ledger.to_lines(events).encode())
                self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{BOOK}", index=index)
                if "Ledger: " in message:
                    message = f"{message.split('Ledger: ')[0]}Ledger: {ledger.head(events)}"
            parents = [word for one in parent for word in ("-p", one)]
            parent = [self.git("commit-tree", self.git("write-tree", index=index), *parents, "-m", message)]
        self.git("update-ref", f"refs/heads/{BRANCH}", parent[0])

    def verify(self, registry=False):
        (found,) = run(self.env, [MODEL], registry, lambda _: None)["models"]
        assert found["clean"] == (not found["findings"])
        return found

    def said(self, registry=False):
        """Return all findings as one text."""
        return "\n".join(" | ".join(finding.values()) for finding in self.verify(registry)["findings"])

    def cached(self, name, place="dvc-cache"):
        """Return the path of the DVC object of the newest fit's file."""
        lock = self.git("show", f"{BRANCH}:dvc.lock")
        folder = lock.split(f"path: fit/{MODEL}\n")[1].split("md5: ")[1].split("\n")[0]
        listed = json.loads(self.object(folder, place).read_text())
        return self.object(next(entry["md5"] for entry in listed if entry["relpath"] == name), place)

    def object(self, md5, place):
        return self.place / place / "files" / "md5" / md5[:2] / md5[2:]


def with_number(events, value=0.123):
    """Return the ledger with one number of its second decision changed, chained anew."""
    return rechain(
        [
            {**event, "evidence": {**event["evidence"], "surprise.weeks_scored": value}}
            if event["event"] == "decision" and event["as_of"] == monday(1)
            else event
            for event in events
        ]
    )


def rechain(events):
    out = []
    for event in events:
        body = {key: value for key, value in event.items() if key not in ("seq", "previous", "hash")}
        out = ledger.append(out, body.pop("event"), body.pop("as_of"), body.pop("at"), body.pop("by"), **body)
    return out


def lines(events):
    return ledger.to_lines(events).encode()


def closed(events):
    return f"closed {MODEL} {monday(3)}\n\nOutcome: keep\nLedger: {ledger.head(events)}"


@pytest.fixture
def home(project, tmp_path):
    return Home(project, tmp_path / "home")


CHANGED = f"(decision of {monday(1)}) changed: evidence.surprise.weeks_scored was 1.0, is 0.123"
CUT = f"(update of {monday(3)})"


def test_an_untouched_home_is_clean_and_says_how_much_it_looked_at(home):
    found = home.verify(registry=True)
    assert (found["findings"], found["notes"]) == ([], [])
    assert all(number > 0 for number in found["checked"].values())
    assert (found["checked"]["commits"], found["checked"]["snapshots"], found["checked"]["draws"]) == (8, 4, 4)
    assert (found["checked"]["weights files"], found["checked"]["base panel files"]) == (2, 4)
    assert found["checked"]["ledger heads in commit messages"] == 4
    assert found["checked"]["MLflow versions"] == 4


def test_verify_leaves_every_byte_of_the_home_as_it_was(home):
    before = fingerprint(home.place)
    home.verify()
    assert fingerprint(home.place) == before


def fingerprint(place):
    return {path: hashlib.md5(path.read_bytes()).digest() for path in place.rglob("*") if path.is_file()}


def test_a_home_without_its_work_clone_is_verified_from_the_history_alone(home):
    shutil.rmtree(home.clone)
    found = home.verify()
    assert found["findings"] == []
    assert "nothing here remembers" in found["notes"][0]
    assert found["checked"]["commits"] == 8


# -- the ledger's file in the work clone, not committed


def test_one_number_changed_in_the_clones_file_is_named_with_old_and_new_value(home):
    file = home.clone / BOOK
    file.write_text(file.read_text().replace('"surprise.weeks_scored": 1.0', '"surprise.weeks_scored": 0.123', 1))
    said = home.said()
    assert CHANGED in said
    assert f"event 3 (decision of {monday(1)}): was changed after it was written" in said
    assert str(file) in said


def test_a_clones_file_cut_at_its_end_is_named(home):
    (home.clone / BOOK).write_bytes(lines(home.events()[:-1]))
    assert CUT in home.said()


def test_a_clones_file_rewritten_whole_with_a_good_chain_is_named(home):
    (home.clone / BOOK).write_bytes(lines(with_number(home.events())))
    assert CHANGED in home.said()


def test_another_file_of_the_clones_live_folder_is_named(home):
    (home.clone / "live" / MODEL / "panel.parquet").write_bytes(b"x")
    assert f"live/{MODEL}/panel.parquet | was changed" in home.said()


# -- a new commit on the branch


@pytest.mark.parametrize("name", ["weights.npy", "base_panel.parquet"])
def test_a_commit_that_exchanges_what_lies_beside_the_draws_is_named(home, name):
    home.push({f"live/{MODEL}/{name}": b"others"}, closed(home.events()))
    assert f"live/{MODEL}/{name} in commit" in home.said()
    assert "is not what champion.json recorded" in home.said()


@pytest.mark.parametrize("message", ["chore: tidy up", "matching"])
def test_a_commit_that_changes_a_number_is_named(home, message):
    events = with_number(home.events())
    home.push({BOOK: lines(events)}, closed(events) if message == "matching" else message)
    assert CHANGED in home.said()


def test_a_commit_that_changes_a_number_and_leaves_the_hashes_is_named(home):
    data = home.git("show", f"{BRANCH}:{BOOK}").replace('weeks_scored": 1.0', 'weeks_scored": 0.123', 1) + "\n"
    home.push({BOOK: data.encode()}, closed(home.events()))
    said = home.said()
    assert CHANGED in said
    assert "was changed after it was written" in said


def test_a_commit_that_cuts_the_end_is_named(home):
    events = home.events()[:-1]
    home.push({BOOK: lines(events)}, closed(events))
    assert CUT in home.said()


def test_a_commit_that_deletes_the_ledger_is_named(home):
    home.push({BOOK: None}, f"computed {MODEL} {monday(4)}")
    assert "ledger: it was deleted" in home.said()


@pytest.mark.parametrize("path", [f"live/{MODEL}/champion.json", "dvc.lock"])
def test_a_file_of_the_branch_that_is_garbage_is_a_finding_and_no_crash(home, path):
    home.push({path: b"{ : no such thing"}, closed(home.events()))
    assert "cannot be checked to its end" in home.said()


def test_a_commit_that_changes_live_and_repeats_the_ledgers_head_is_named(home):
    home.push({f"live/{MODEL}/prequential.json": b"[]"}, closed(home.events()))
    assert "no event tells of it" in home.said()


def test_an_event_without_its_keys_is_a_finding_and_no_crash(home):
    home.push({BOOK: lines(home.events()) + b'{"event": "promotion"}\n'}, closed(home.events()))
    assert "cannot be checked to its end" in home.said(registry=True)


def test_notes_of_the_home_that_are_garbage_are_a_finding_and_no_crash(home):
    (home.place / "registry" / f"{MODEL}.json").write_text("garbage")
    assert "cannot be checked to its end" in home.said()


def test_a_commit_whose_message_names_another_head_is_named(home):
    events = ledger.append(home.events(), "waiver", monday(3), "t", "eve", fault="x", snapshot="y", reason="z")
    home.push({BOOK: lines(events)}, closed(home.events()))
    assert "is not the one that its message names" in home.said()


def test_a_commit_in_the_clone_that_was_never_pushed_is_verified_too(home):
    events = with_number(home.events())
    commit = home.commit({BOOK: lines(events)}, closed(events))
    home.git("update-ref", "refs/tmp", commit)
    home.git("fetch", "-q", str(home.bare), "refs/tmp", cwd=home.clone)
    home.git("reset", "-q", "--hard", commit, cwd=home.clone)
    found = home.verify()
    assert any(CHANGED in finding["what"] for finding in found["findings"])
    assert "was not pushed yet" in found["notes"][0]


# -- a rewritten branch, with messages that match


def test_a_branch_rewritten_whole_is_named_by_the_clone_and_by_mlflow(home):
    home.rewrite(with_number)
    assert CHANGED in home.said()
    shutil.rmtree(home.clone)
    said = home.said(registry=True)
    assert "its commit is not on the branch" in said
    assert "its ledger_head is no event of the ledger" in said
    assert f"registry/{MODEL}.json | saw the ledger after week {monday(3)}" in said
    assert f"MLflow, tags of {MODEL} | saw the ledger after week {monday(3)}" in said


def forget_all(home):
    """Leave nothing in the home that remembers the branch."""
    shutil.rmtree(home.clone)
    shutil.rmtree(home.place / "registry")


def test_a_quiet_week_cut_from_the_branch_is_named_by_mlflow_alone(home):
    forget_all(home)
    home.git("update-ref", f"refs/heads/{BRANCH}", f"{BRANCH}~2")
    assert f"saw the ledger after week {monday(3)} with an event that it lacks" in home.said(registry=True)


def test_a_quiet_week_rewritten_with_a_matching_chain_is_named_by_mlflow_alone(home):
    forget_all(home)
    old = home.events()
    events = rechain([*old[:-1], {**old[-1], "reasons": ["all is well"]}])
    parent = home.commit({BOOK: lines(events)}, closed(events), parent=f"{BRANCH}~1")
    home.git("update-ref", f"refs/heads/{BRANCH}", parent)
    assert "with an event that it lacks: it was cut or rewritten" in home.said(registry=True)


def test_a_rewritten_file_beside_an_untouched_ledger_is_named_by_mlflow_alone(home):
    forget_all(home)
    files = {BOOK: lines(home.events()), f"live/{MODEL}/prequential.json": b"{}"}
    last = home.commit(files, closed(home.events()), parent=f"{BRANCH}~1")
    home.git("update-ref", f"refs/heads/{BRANCH}", last)
    assert f"saw the branch after week {monday(3)} at a commit that it lacks" in home.said(registry=True)


def test_a_week_after_the_cut_leaves_the_witness_and_a_person_overrules_it(home):
    forget_all(home)
    home.git("update-ref", f"refs/heads/{BRANCH}", f"{BRANCH}~2")
    said = []
    history = History(home.env, MODEL, said.append)
    for overrule, clean in ((False, False), (True, True)):
        with history.locked():
            history.sync()
            events = ledger.from_lines((history.root / BOOK).read_text())
            tell_registry(home.env, history, events, overrule)
        known = [f for f in home.verify(registry=True)["findings"] if "saw the ledger" in f["what"]]
        assert (known == []) is clean
    assert [line for line in said if "knows an event that the ledger lacks" in line]


def test_a_ledger_head_deleted_from_mlflow_is_named(home):
    with sqlite3.connect(home.place / "mlflow.db") as database:
        assert database.execute("delete from registered_model_tags where key = 'ledger_head'").rowcount == 1
    assert "has no tag ledger_head" in home.said(registry=True)


def test_a_branch_cut_back_is_named_with_the_week_that_is_lost(home):
    home.git("update-ref", f"refs/heads/{BRANCH}", f"{BRANCH}~2")
    said = home.said()
    assert CUT in said
    assert f"weeks {monday(3)}" in said


def test_a_branch_rewritten_from_the_clone_itself_is_named_by_its_reflog(home):
    home.rewrite(with_number)
    home.git("fetch", "-q", "origin", f"+{BRANCH}:refs/remotes/origin/{BRANCH}", cwd=home.clone)
    home.git("reset", "-q", "--hard", f"origin/{BRANCH}", cwd=home.clone)
    assert CHANGED in home.said()


def test_a_branch_cut_back_behind_a_promotion_is_named_by_mlflow_without_a_clone(home):
    shutil.rmtree(home.clone)
    home.git("update-ref", f"refs/heads/{BRANCH}", f"{BRANCH}~4")
    said = home.said(registry=True)
    assert "the ledger does not know this version" in said


def test_a_branch_that_is_gone_is_named(home):
    home.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    assert "no such branch" in home.said()


def test_a_history_that_is_gone_is_named(home):
    shutil.rmtree(home.bare)
    assert "no such branch" in home.said()


def test_a_damaged_object_of_git_is_named(home):
    blob = home.git("rev-parse", f"{BRANCH}:in/{MODEL}/snapshot/data.csv")
    file = home.bare / "objects" / blob[:2] / blob[2:]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-4] + b"0000")
    assert "git fsck" in home.said()


# -- draws and snapshots


def test_draws_that_are_another_versions_are_named_though_the_pointer_was_made_to_match(home):
    old = subprocess.run(
        ["git", "show", f"{BRANCH}~6:live/{MODEL}/base.nc"], cwd=home.bare, capture_output=True, check=True
    ).stdout
    pointer = json.loads(home.git("show", f"{BRANCH}:live/{MODEL}/champion.json"))
    earlier = json.loads(home.git("show", f"{BRANCH}~6:live/{MODEL}/champion.json"))
    assert pointer["draws_hash"] != earlier["draws_hash"]
    home.push({f"live/{MODEL}/base.nc": old}, closed(home.events()))
    assert "do not hash to what champion.json recorded" in home.said()
    forged = json.dumps(pointer | {"draws_hash": earlier["draws_hash"]}).encode()
    home.push({f"live/{MODEL}/champion.json": forged}, closed(home.events()))
    assert "do not hash to what the ledger's verdict recorded" in home.said()


def test_draws_that_cannot_be_read_are_named(home):
    home.push({f"live/{MODEL}/base.nc": b"x"}, closed(home.events()))
    assert "base.nc cannot be read as draws" in home.said()


def test_a_snapshot_changed_in_a_later_commit_is_named(home):
    data = home.git("show", f"{BRANCH}:in/{MODEL}/snapshot/data.csv").encode() + b"\n2030-01-07,1,1,1,0,0\n"
    home.push({f"in/{MODEL}/snapshot/data.csv": data}, f"computed {MODEL} {monday(4)}")
    assert f"in/{MODEL}/snapshot in commit" in home.said()


def test_a_snapshot_changed_where_it_was_decided_on_is_named(home):
    message = home.git("log", "-1", "--format=%B", BRANCH)
    commit = home.git("rev-parse", BRANCH)
    home.git("update-ref", f"refs/heads/{BRANCH}", f"{BRANCH}~1")
    data = home.git("show", f"{BRANCH}:in/{MODEL}/snapshot/data.csv").encode() + b"\n2030-01-07,1,1,1,0,0\n"
    book = home.git("show", f"{commit}:{BOOK}").encode() + b"\n"
    home.push({f"in/{MODEL}/snapshot/data.csv": data, BOOK: book}, message)
    assert "the snapshot's data do not hash to what the ledger's decision recorded" in home.said()


def test_a_snapshot_that_workers_share_is_held_against_the_decision(home):
    ref = f"refs/snapshots/{MODEL}/{monday(3)}"
    files = read_ref(home.env, ref) or {
        name: home.git("show", f"{BRANCH}:in/{MODEL}/snapshot/{name}").encode() + b"\n"
        for name in ("about.json", "data.csv")
    }
    data = files["data.csv"] + b"\n"
    about = json.loads(files["about.json"]) | {"sha256": hashlib.sha256(data).hexdigest()}
    write_ref(home.env, ref, {**files, "data.csv": data, "about.json": json.dumps(about).encode()}, "another delivery")
    assert f"{ref} | the snapshot's data do not hash to what the ledger's decision recorded" in home.said()


def test_a_shared_snapshot_that_is_gone_is_named_and_one_without_a_decision_is_told(home):
    for week in (FIRST, monday(2)):
        home.git("update-ref", "-d", f"refs/snapshots/{MODEL}/{week}")
        assert f"refs/snapshots/{MODEL}/{week} | the snapshot of a decided week is gone" in home.said()
    shutil.rmtree(home.clone)
    home.git("update-ref", f"refs/heads/{BRANCH}", f"{BRANCH}~2")
    assert any(f"weeks {monday(3)} have a snapshot and no decision" in note for note in home.verify()["notes"])


# -- what DVC keeps


@pytest.mark.parametrize("place", ["dvc-cache", "dvc-remote"])
def test_a_changed_object_is_named_with_the_output_it_belongs_to(home, place):
    file = home.cached("posterior.nc", place)
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    said = home.said()
    assert f"DVC {place.removeprefix('dvc-')}, object" in said
    assert f"fit/{MODEL}/posterior.nc" in said


def test_an_object_that_is_nowhere_is_named_and_one_that_the_remote_has_is_none(home):
    home.cached("holdout.nc").unlink()
    assert home.verify()["findings"] == []
    home.cached("holdout.nc", "dvc-remote").unlink()
    said = home.said()
    assert f"fit/{MODEL}/holdout.nc" in said
    assert "neither in the cache nor in the remote" in said


def test_an_emptied_remote_is_named_though_the_cache_has_everything(home):
    shutil.rmtree(home.place / "dvc-remote" / "files")
    assert "is gone, only this home's cache has it" in home.said()


# -- MLflow


def registry_of(home):
    return Registry(f"sqlite:///{home.place / 'mlflow.db'}")


def test_an_alias_that_somebody_moved_is_named(home):
    registry = registry_of(home)
    registry.set_alias(MODEL, "champion", registry.state(MODEL)["versions"][0]["id"])
    assert "champion is" in home.said(registry=True)


def test_a_version_that_was_deleted_is_named(home):
    with sqlite3.connect(home.place / "mlflow.db") as base:
        base.execute("delete from model_version_tags where version = 1")
        base.execute("delete from model_versions where version = 1")
    base.close()
    assert f"lacks version {MODEL}/{FIRST}" in home.said(registry=True)


def test_a_tag_that_somebody_changed_is_named(home):
    registry = registry_of(home)
    version = registry.state(MODEL)["versions"][1]
    registry.tag(MODEL, version["id"], {"draws_hash": "e" * 64})
    assert "tag draws_hash is not what the verdict says" in home.said(registry=True)


def served_file(project, week, name):
    """Return the path of a file that MLflow serves of the version of a week."""
    # MLflow keeps absolute paths: the copy's database points at the first home's artifacts.
    (found,) = [
        pointer.with_name(name)
        for pointer in (project.home / "mlartifacts").rglob("version/champion.json")
        if json.loads(pointer.read_text())["as_of"] == week
    ]
    return found


@pytest.mark.parametrize(("week", "other"), [(FIRST, monday(2)), (monday(2), FIRST)])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("base.nc", "is not the draws that the verdict recorded"),
        ("panel.parquet", "is no panel of the history"),
        ("champion.json", "observed_hash is not what the verdict recorded"),
    ],
)
def test_a_served_file_that_is_not_the_versions_is_named(project, home, week, other, name, told):
    served = served_file(project, week, name)
    whole = served.read_bytes()
    try:
        if name == "panel.parquet":
            served.write_bytes(whole + b"?")
        elif name == "champion.json":
            served.write_text(json.dumps(json.loads(whole) | {"observed_hash": "0"}))
        else:
            served.write_bytes(served_file(project, other, name).read_bytes())
        said = home.said(registry=True)
        assert f"MLflow, {name} of {MODEL}/{week}" in said
        assert told in said
    finally:
        served.write_bytes(whole)


# -- the command


def test_the_command_exits_5_with_one_json_document_when_anything_is_wrong(project):
    file = project.home / "work" / MODEL / BOOK
    whole = file.read_text()
    assert project.run("verify", "--model", MODEL, "--no-registry")["clean"] is True
    try:
        file.write_text("".join(whole.splitlines(keepends=True)[:-1]))
        report = project.run("verify", "--no-registry", expect=5)
    finally:
        file.write_text(whole)
    assert report["clean"] is False
    assert [CUT in finding["what"] for finding in report["models"][0]["findings"]] == [True]


def test_a_model_without_a_week_has_nothing_to_verify_and_says_so(tmp_path):
    env = Environment(tmp_path, tmp_path, "", str(tmp_path / "history.git"), str(tmp_path / "dvc-remote"))
    (found,) = run(env, ["nobody"], False, lambda _: None)["models"]
    assert found["clean"] is True
    assert found["checked"]["commits"] == 0
    assert "nothing to verify" in found["notes"][0]
