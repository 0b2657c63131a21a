"""Reference data of tests marked real: in the folder that EVERMIX_REFERENCE_DATA names, never in the repository."""

import os
from pathlib import Path

import pytest


def reference_file(name: str) -> Path:
    """Return the path of a reference file; without the folder, skip, or fail where EVERMIX_REQUIRE_REAL=1."""
    folder = os.environ.get("EVERMIX_REFERENCE_DATA")
    if folder:
        return Path(folder) / name
    reason = f"EVERMIX_REFERENCE_DATA names no folder with {name}"
    if os.environ.get("EVERMIX_REQUIRE_REAL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
