"""Gate: the verdict on the last requested fit."""

from __future__ import annotations

from evermix.config import ModelParams
from evermix.core.review import judge_challenger
from evermix.engines.store import Store, read_json, write_json
from evermix.errors import StoreError
from evermix.records import Verdict


def run(store: Store, params: ModelParams) -> Verdict:
    """Write ``verdict.json``; without a request its verdict is null."""
    request = read_json(store.request / "request.json")
    found = read_json(store.evaluated / "evaluation.json")
    if found["request"] != request["id"]:
        raise StoreError(
            f"{store.evaluated}: is of request {found['request']}, expected {request['id']}. Run evaluate."
        )
    verdict = judge_challenger(store.model, request, params.gate.checks, found["values"], found["not_applicable"])
    write_json(store.verdict, verdict.model_dump())
    return verdict
