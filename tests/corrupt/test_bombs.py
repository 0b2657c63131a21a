"""A delivery that would fill the memory is a fault of the delivery, under a limit that an ordinary worker has."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from corrupt.corruptions import long_text_bomb, parquet_bomb

ROOT = Path(__file__).resolve().parents[2]
# Address space, of which the libraries alone take most; 2 GB of zeros do not fit beside them.
LIMIT_BYTES = 3 * 2**30
SECONDS = 60

READ = """
import json, resource, sys
from pathlib import Path
import pandas, pandera.pandas, pyarrow.parquet
from deliveries import AS_OF, model_params
from evermix.engines.store import Store, write_json
from evermix.stages import validate
from evermix.stages.ingest import take_snapshot
resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store, feed = Store(Path(sys.argv[1]), "m"), sys.argv[2]
params = model_params(format=sys.argv[3])
take_snapshot(params, feed, AS_OF, store.snapshot)
write_json(store.week, {{"model": "m", "as_of": AS_OF.isoformat(), "reconstructed": False}})
report = validate.run(store, params)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({{"status": report.status, "rules": [f.rule for f in report.faults], "grown_mb": grown / 1024}}))
"""


def wide_csv():
    return ",".join(f"c{i}" for i in range(100_000)).encode() + b"\n" + b",".join([b"1"] * 100_000) + b"\n"


BOMBS = {
    "2 GB of zeros": ("parquet", lambda: parquet_bomb(0, 250_000_000)),
    "2 GB of one text": ("parquet", long_text_bomb),
    "a field of 20 MB": ("csv", lambda: b"week,sales\n2025-02-17," + b"9" * 20_000_000 + b"\n"),
    "a quoted field of 20 MB": ("csv", lambda: b'week,sales\n2025-02-17,"' + b"9" * 20_000_000 + b'"\n'),
    "100000 columns": ("csv", wide_csv),
    "three million rows": ("csv", lambda: b"week,sales\n" + b"2025-02-17,1\n" * 3_000_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_one_fault_in_bounded_time_and_memory(tmp_path, name):
    format, build = BOMBS[name]
    feed = tmp_path / "feed"
    feed.write_bytes(build())
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", READ.format(limit=LIMIT_BYTES), str(tmp_path / "store"), str(feed), format],
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout)
    assert (seen["status"], seen["rules"]) == ("quarantined", ["unreadable_file"])
    assert seen["grown_mb"] < 1500
    assert time.monotonic() - started < SECONDS
