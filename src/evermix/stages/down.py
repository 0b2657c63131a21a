"""Take the embedded stack down: what `up` started, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evermix.config import Environment
from evermix.engines import stack


def down(env: Environment, say: Callable[[str], None]) -> dict[str, Any]:
    """Stop the stack; return what was running.  A task that was at work is run again after the next `up`."""
    return {"stopped": stack.stop_all(env, say)}
