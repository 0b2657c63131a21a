"""Where every model stands, and what its weeks did: read from the histories, compared with the registry."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from evermix.config import Environment, Params
from evermix.core import ledger
from evermix.core.orders import frozen_by, refit_asked_by
from evermix.core.rule_costs import rule_costs
from evermix.engines.history import read_branch_file
from evermix.stages.publish import branch_events, registry_disagreements


def history(env: Environment, models: list[str]) -> list[dict[str, Any]]:
    """Return one object per decided week of the named models, oldest first."""
    weeks = [week for model in models for week in ledger.fold_weeks(branch_events(env, model), model)]
    return sorted(weeks, key=lambda week: (week["as_of"], week["model"]))


def rules(env: Environment, models: list[str]) -> list[dict[str, Any]]:
    """Return what each rule of each model cost so far."""
    return [
        {"model": model, "rules": [cost.model_dump() for cost in rule_costs(branch_events(env, model))]}
        for model in models
    ]


def status(
    env: Environment, params: Params, models: list[str], today: date, ask_registry: bool
) -> list[dict[str, Any]]:
    """Return one object per model: champion, freshness, pending approval, last decision, orders, disagreements.

    Parameters
    ----------
    today : date
        Only the freshness depends on it.
    ask_registry : bool
        Compare with the registry, which costs its import; without, ``registry`` is None.
    """
    return [_status_of(env, params, model, today, ask_registry) for model in models]


def _status_of(env: Environment, params: Params, model: str, today: date, ask_registry: bool) -> dict[str, Any]:
    events = branch_events(env, model)
    pointer = read_branch_file(env, model, f"live/{model}/champion.json")
    champion = json.loads(pointer) if pointer else None
    asked = read_branch_file(env, model, f"live/{model}/challenger/question.json")
    question = json.loads(asked) if asked else None
    weeks = ledger.fold_weeks(events, model)
    last = weeks[-1] if weeks else None
    return {
        "model": model,
        "kind": params.model(model).kind,
        "champion": {key: champion[key] for key in ("fitted_through", "as_of")}
        | {"version": champion["id"], "base": champion.get("parent") or champion["id"]}
        | {"updated_through": champion.get("updated_through")}
        if champion
        else None,
        "freshness": _freshness(last, champion, today),
        "pending_approval": {key: question[key] for key in ("version", "as_of", "decision", "verdict", "reasons")}
        if question
        else None,
        "last_decision": {key: last[key] for key in ("as_of", "decision", "reasons", "verdict", "version", "at")}
        if last
        else None,
        "frozen": frozen_by(events),
        "refit_asked": refit_asked_by(events) or refit_asked_by(events, upstream=True),
        "weeks": len(weeks),
        "ledger": {"events": len(events), "head": ledger.head(events), "faults": ledger.faults(events)},
        "registry": registry_disagreements(env, model) if ask_registry and events else None,
    }


def _freshness(last: dict[str, Any] | None, champion: dict[str, Any] | None, today: date) -> dict[str, Any]:
    def weeks_since(day: str | None) -> int | None:
        return None if day is None else (today - date.fromisoformat(day)).days // 7

    return {
        "last_closed": last["as_of"] if last else None,
        "weeks_since_last_closed": weeks_since(last["as_of"] if last else None),
        "weeks_fitted_behind": (date.fromisoformat(last["as_of"]) - date.fromisoformat(champion["fitted_through"])).days
        // 7
        if last and champion
        else None,
    }
