"""What cache and remote hold of DVC's objects is read byte by byte, or asked where bytes are far away."""

import hashlib
import json
from dataclasses import replace

import fsspec
import pytest

from evermix.config import Environment
from evermix.engines.history.objects import check_objects, folder_md5, locked_files


@pytest.fixture
def env(tmp_path):
    return Environment(tmp_path, tmp_path, "", str(tmp_path / "history.git"), str(tmp_path / "dvc-remote"))


def md5(data):
    return hashlib.md5(data).hexdigest()


def put(env, place, name, data):
    file = env.home / place / "files" / "md5" / name[:2] / name[2:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def folder_of(files):
    listed = [{"md5": md5(data), "relpath": name} for name, data in sorted(files.items())]
    text = json.dumps(listed, sort_keys=True).encode()
    return f"{md5(text)}.dir", text


def test_a_folder_is_hashed_as_dvc_hashes_it():
    files = {"b.txt": b"2", "a/c.txt": b"1"}
    assert folder_md5(files) == folder_of(files)[0]


def test_a_lock_file_names_outputs_and_dependencies_with_their_hash():
    lock = b"stages: {fit@m: {outs: [{path: fit/m, md5: aa.dir}], deps: [{path: request/m, md5: bb.dir}]}}"
    assert locked_files(lock, "outs") == {"fit/m": "aa.dir"}
    assert locked_files(lock, "deps") == {"request/m": "bb.dir"}


def test_files_inside_a_folder_are_looked_at_under_their_own_names(env):
    files = {"one.nc": b"1", "two.nc": b"2"}
    name, text = folder_of(files)
    put(env, "dvc-cache", name, text)
    put(env, "dvc-cache", md5(b"1"), b"1")
    put(env, "dvc-remote", md5(b"2"), b"not 2")
    found = {one.outputs: (one.cache, one.remote) for one in check_objects(env, {name: ["fit/m"]})}
    assert found == {
        ("fit/m",): ("whole", "missing"),
        ("fit/m/one.nc",): ("whole", "missing"),
        ("fit/m/two.nc",): ("missing", md5(b"not 2")),
    }


def test_of_a_remote_behind_a_server_it_is_asked_what_is_there(env):
    far = replace(env, dvc_remote_url="memory://dvc")
    fsspec.filesystem("memory").pipe(f"/dvc/files/md5/{md5(b'1')[:2]}/{md5(b'1')[2:]}", b"1")
    found = {one.md5: one.remote for one in check_objects(far, {md5(b"1"): ["a"], md5(b"2"): ["b"]})}
    assert found == {md5(b"1"): "there", md5(b"2"): "missing"}
