import pytest
from stages.world import make_params

from evermix.engines.store import Store, read_json, write_json
from evermix.errors import StoreError
from evermix.stages import gate

GOOD = {
    "rhat_max": 1.0,
    "ess_bulk_min": 900.0,
    "ess_tail_min": 800.0,
    "divergence_share": 0.0,
    "bfmi_min": 0.9,
    "ppc_mean_p": 0.5,
    "ppc_sd_p": 0.5,
    "holdout_crps_ratio": 0.7,
    "holdout_crps_excess": -3.0,
    "holdout_coverage_90": 0.9,
    "champion_overlap_min": 0.8,
    "audit_mean_sd": 0.06,
    "audit_ends_sd": 0.1,
}


@pytest.fixture
def judged(tmp_path):
    def judge(decision="refit", request="a" * 16, evaluated="a" * 16, not_applicable=None, **changes):
        store = Store(tmp_path, "brand")
        write_json(store.request / "request.json", {"id": request, "decision": decision})
        found = {"request": evaluated, "values": GOOD | changes, "not_applicable": not_applicable or {}}
        write_json(store.evaluated / "evaluation.json", found)
        verdict = gate.run(store, make_params())
        assert read_json(store.verdict) == verdict.model_dump()
        return verdict

    return judge


def test_good_refit_is_promoted(judged):
    assert judged().verdict == "promote"


def test_unconverged_refit_is_rejected(judged):
    assert judged(rhat_max=1.05).verdict == "reject"


def test_good_fit_of_a_review_waits_for_a_person(judged):
    assert judged("review").verdict == "hold"


def test_first_fit_without_a_champion_is_promoted(judged):
    reasons = {"champion_overlap_min": "there is no champion"}
    assert judged("first_fit", not_applicable=reasons, champion_overlap_min=None).verdict == "promote"


def test_nothing_requested_has_no_verdict(judged):
    assert judged(request=None, evaluated=None).verdict is None


def test_evaluation_of_another_request_is_refused(judged):
    with pytest.raises(StoreError, match="Run evaluate"):
        judged(evaluated="b" * 16)
