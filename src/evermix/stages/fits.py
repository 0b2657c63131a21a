"""The fits of a request: the plain one, a challenger's, and the one that a review proposes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evermix.core.amend import REFIT, amended_spec
from evermix.engines.store import Store, read_json


@dataclass(frozen=True)
class Fit:
    """One fit of a request: what was fitted, the record of it (``status`` and more), and the folder of its draws."""

    name: str
    spec: dict[str, Any]
    record: dict[str, Any]
    folder: Path


def list_fits(store: Store, request: dict[str, Any]) -> list[Fit] | None:
    """Return the fits of a request, the plain one first; None if what lies in ``fit/`` is another request's."""
    record = read_json(store.fit / "fit.json")
    if record["status"] != "fitted" or record["request"] != request["id"]:
        return None
    plans = request.get("challengers", [])
    return [
        Fit(REFIT, request["spec"], record, store.fit),
        *(
            Fit(
                plan["name"],
                amended_spec(request["spec"], plan["amendments"]),
                record["challengers"][plan["name"]],
                store.fit / "challengers" / plan["name"],
            )
            for plan in plans
        ),
    ]


def proposed_fit(store: Store) -> Fit:
    """Return the fit that is judged by the gate, published, and asked about: what evaluate chose."""
    request = read_json(store.request / "request.json")
    name = read_json(store.evaluated / "evaluation.json").get("proposed", REFIT)
    return next(fit for fit in list_fits(store, request) or [] if fit.name == name)
