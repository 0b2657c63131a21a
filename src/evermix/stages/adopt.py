"""Adopt: draws that a team fitted before it had evermix become the first champion, by the way of a first fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from evermix.engines.models.adopt import trim_tree
from evermix.engines.models.drawsfile import load_tree, save_tree
from evermix.engines.store import hash_bytes, read_json, write_json
from evermix.errors import ConfigError, DataError, EvermixError, StoreError
from evermix.stages import STAGES, close
from evermix.stages.week import Loop


def run(loop: Loop, draws: Path, as_of: str, reason: str, by: str) -> dict[str, Any]:
    """Close a week as a first fit whose draws come from a file; return what was recorded, and how well they fit.

    The trimmed file goes into the week's request, so that the stage ``fit`` depends on nothing from outside.

    Raises
    ------
    ConfigError
        There is a champion already, or earlier weeks are open.
    DataError
        The delivery breaks its contract, or the draws are of another model or other data, or did not converge.
    """
    if not draws.is_file():
        raise ConfigError(f"--draws: {draws} is not there; expected a netCDF file with a group `posterior`.")
    tree = trim_tree(_read(draws))
    with loop.history.locked():
        loop.history.sync()
        _refuse_a_second_first(loop, as_of)
        if not loop.prepare(as_of, take_new=True):
            return loop.waiting(as_of)
        if not loop.is_computed(as_of):
            _lay_in(loop, tree, draws, reason, by)
            try:
                loop.compute(STAGES[-1])
                _refuse_what_came_of_it(loop)
            except EvermixError:
                loop.history.discard()
                raise
        return loop.close_prepared(as_of) | {"adopted": read_json(loop.store.fit / "fit.json")["adopted"]}


def _refuse_what_came_of_it(loop: Loop) -> None:
    """Refuse what the week made of the draws, before anything of it is recorded."""
    decision = read_json(loop.store.decision)
    if decision["decision"] != "first_fit":
        raise DataError(
            f"{loop.model}: nothing was adopted, the week is {decision['decision']}: {decision['reasons']}."
        )
    verdict = read_json(loop.store.verdict)
    if verdict["verdict"] == "reject":
        raise DataError(
            f"{loop.model}: the draws were not adopted: {'; '.join(verdict['reasons'])}. "
            "Fit again, longer; or let evermix do it: `evermix week`."
        )


def _read(draws: Path) -> xr.DataTree:
    try:
        return load_tree(draws)
    except (StoreError, ValueError) as err:
        raise DataError(f"--draws: {draws} cannot be read as netCDF with groups ({err}). Save it with ArviZ.") from None


def _lay_in(loop: Loop, tree: xr.DataTree, draws: Path, reason: str, by: str) -> None:
    told = {"by": by, "reason": reason, "file": draws.name, "sha256": hash_bytes(draws.read_bytes())}
    save_tree(tree, loop.store.before / "adopted.nc")
    write_json(loop.store.before / "adopted.json", told)


def _refuse_a_second_first(loop: Loop, as_of: str) -> None:
    live = close.read_live(loop.store)
    if live["champion"] is not None:
        raise ConfigError(
            f"{loop.model}: {live['champion']} is champion; only a model without one can adopt. "
            "Give the fitted model an own entry in params, or ask for a refit."
        )
    open_weeks = loop.pending_weeks(as_of)
    if open_weeks != [as_of]:
        raise ConfigError(f"--as-of: got {as_of}, expected {open_weeks[0] if open_weeks else 'a later week'}.")
