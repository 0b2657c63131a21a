"""``python -m evermix.stages STAGE MODEL``: what DVC runs in a work clone."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from evermix.config import load_params
from evermix.engines.store import Store
from evermix.errors import ConfigError, EvermixError
from evermix.stages import STAGES


def main(argv: list[str]) -> int:
    """Run one stage in the current folder; return the exit code of its error, which DVC shows in its log."""
    try:
        if len(argv) != 2 or argv[0] not in STAGES:
            raise ConfigError(
                f"stages: got {' '.join(argv)!r}, expected STAGE MODEL with STAGE one of {', '.join(STAGES)}."
            )
        stage, model = argv
        params = load_params(Path("params.yaml")).model(model)
        import_module(f"evermix.stages.{stage}").run(Store(Path.cwd(), model), params)
    except EvermixError as err:
        sys.stderr.write(f"{type(err).__name__}: {err}\n")
        return err.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
