"""The question that a person gets: old and new side by side, what was seen, and what each answer does."""

from core import ledgers

from evermix.core.question import question_markdown, shown_of

EVALUATION = {
    "values": {"coverage_50": 0.48, "coverage_90": 0.914, "rhat_max": 1.0},
    "roas": [
        {"channel": "tv", "version": "champion", "mean": 2.0, "low": 1.5, "high": 2.5},
        {"channel": "tv", "version": "challenger", "mean": 3.0, "low": 2.4, "high": 3.6},
        {"channel": "audio", "version": "challenger", "mean": 1.25, "low": 0.5, "high": 2.0},
        {"channel": "search", "version": "champion", "mean": 4.0, "low": 3.0, "high": 5.0},
        {"channel": "search", "version": "challenger", "mean": 3.8, "low": 3.1, "high": 4.6},
    ],
}


def question(**changes):
    asked = {
        "version": ledgers.CHALLENGER,
        "as_of": "2026-01-12",
        "decision": "review",
        "verdict": "hold",
        "promotable": True,
        "reasons": ["a week lies far off"],
        "champion": ledgers.CHAMPION,
    }
    return asked | shown_of(EVALUATION) | changes


def text(decision=None, **changes):
    return question_markdown("brand", question(**changes), decision or {}, {})


def test_each_channels_return_is_shown_old_against_new_with_intervals():
    assert "| tv | 2 (1.5 to 2.5) | 3 (2.4 to 3.6) | **+50 %** |" in text()
    assert "| search | 4 (3 to 5) | 3.8 (3.1 to 4.6) | -5 % |" in text()


def test_a_channel_that_the_champion_does_not_know_has_no_old_number_and_no_change():
    assert "| audio | not known | 1.25 (0.5 to 2) |  |" in text()


def test_training_coverage_and_verdict_are_said():
    assert "has 48 % of them in its 50 % interval and 91 % of them in its 90 % interval" in text()
    assert "verdict on the challenger: **hold**" in text()


def test_fired_rules_say_all_that_they_saw():
    rules = [ledgers.rule(also=[{"evidence": "drift.calls", "op": ">", "value": 0.0, "seen": 2.0}], missing=[])]
    (decision,) = ledgers.decision([], "2026-01-12", "review", rules=[*rules, ledgers.rule("quiet", fired=False)])
    assert "| outlier_week | surprise.max_abs_z = 5.5, limit >= 4 and drift.calls = 2, limit > 0 |" in text(decision)
    assert "quiet" not in text(decision)


def test_what_each_answer_does_is_said_and_a_rejected_fit_cannot_be_approved_into_use():
    assert f"**Approve** makes `{ledgers.CHALLENGER}` the champion" in text()
    assert "**Hold** signs that somebody has looked" in text()
    assert "cannot be promoted" in text(verdict="reject", promotable=False)


def test_a_check_that_does_not_apply_says_why_and_one_without_its_number_is_no_pass():
    limits = {"low": None, "high": 0.25, "seen": None}
    apart = {"metric": "audit_mean_sd", "passed": True, "why": "not applicable: the weights are not trusted"} | limits
    lost = {"metric": "rhat_max", "passed": False, "why": "chains disagree"} | limits
    told = question_markdown("brand", question(), {}, {"checks": [apart, lost]})
    assert "| audit_mean_sd | at most 0.25 |  | not applicable: the weights are not trusted |" in told
    assert "| rhat_max | at most 0.25 | missing | **no** |" in told


def test_a_question_of_an_earlier_version_is_shown_without_what_it_lacks():
    old = question()
    del old["roas"], old["coverage"]
    assert "return on ad spend" not in question_markdown("brand", old, {}, {})


def test_an_evaluation_without_channels_or_coverage_adds_nothing():
    assert shown_of({}) == {"roas": [], "coverage": {}}
    assert "of them in its" not in text(coverage={"90": None})
