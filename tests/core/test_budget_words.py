import pytest

from evermix.core.budget_words import amount, budget_markdown

TEST = {
    "channel": "video",
    "weeks": 6,
    "geos_off": [],
    "spend": 6500.0,
    "lost": 9400.0,
    "saved": 39000.0,
    "roas": 0.241,
    "detectable_roas": 0.11,
    "is_long_enough": True,
    "worth_per_week": 400.0,
    "doubt": 700.0,
    "suspected": None,
}
RECORD = {
    "status": "computed",
    "source": "the last 13 weeks",
    "target": "sales",
    "max_change": 0.3,
    "channels": [
        {"channel": "tv", "spend": 11000.0, "best_spend": 12650.0, "champion_best_spend": 11000.0, "brings": 9000.0},
        {"channel": "audio", "spend": 0.0, "best_spend": 0.0, "champion_best_spend": 0.0, "brings": 0.0},
    ],
    "brought_per_week": 33000.0,
    "chance_better": 0.94,
    "regret_per_week": 412.3,
    "regret_se": 12.0,
    "regret_share": 0.0125,
    "perfect_information_per_week": 95.0,
    "champion_plan_regret_per_week": 60.0,
    "champion_plan_regret_se": 3.0,
    "champion_plan_regret_share": 0.002,
    "experiment": TEST,
}


def said(lines):
    return "\n".join(lines)


def test_cost_of_keeping_the_plan_is_told_with_its_unit_its_chance_and_what_is_allowed():
    text = said(budget_markdown(RECORD))
    assert "brings 412 sales a week more (+1.2 %): that is what keeping the plan costs" in text
    assert "no channel moved by more than 30 %" in text and "probability 94 %" in text
    assert "| tv | 9,000 | 11,000 | 12,650 (+15 %) | 11,000 (+0 %) |" in text
    assert "following the best split of the version in use costs 60 sales a week" in text


def test_a_regret_within_its_error_is_called_none():
    text = said(budget_markdown(RECORD | {"regret_per_week": 20.0}))
    assert "is clearly better" in text and "keeping the plan costs" not in text


def test_versions_whose_plans_are_worth_the_same_are_said_to_agree():
    text = said(budget_markdown(RECORD | {"champion_plan_regret_per_week": 5.0}))
    assert "agree in money" in text and "following" not in text


def test_without_another_version_only_one_plan_is_told():
    channels = [{k: v for k, v in row.items() if k != "champion_best_spend"} for row in RECORD["channels"]]
    text = said(budget_markdown(RECORD | {"channels": channels}))
    assert "version in use" not in text


def test_the_experiment_says_channel_length_cost_and_what_it_could_notice():
    text = said(budget_markdown(RECORD))
    assert "switch video off for 6 weeks; of all channels" in text
    assert "costs about 9,400 sales" in text and "saves 39,000 of spend" in text
    assert "differs from that by 0.11 or more, the test shows it with probability 80 %" in text
    assert "makes up for the test in 24 weeks" in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"suspected": 0.31}, "the alarm suspects it (probability 31 %)"),
        ({"geos_off": ["north", "west"]}, "switch video off in north, west, leave it on elsewhere, for 6 weeks"),
        ({"is_long_enough": False, "weeks": 12}, "even 12 weeks show only a difference of 0.11 or more"),
        ({"worth_per_week": 50.0}, "less in a year than the test costs"),
        ({"worth_per_week": 0.0}, "a check of the model, not an investment"),
    ],
)
def test_what_is_special_about_an_experiment_is_said(change, expected):
    assert expected in said(budget_markdown(RECORD | {"experiment": TEST | change}))


def test_what_does_not_apply_says_why():
    none = {"status": "not applicable", "why": "the model has no channels"}
    assert "the model has no channels" in said(budget_markdown(none))
    assert "Experiment" not in said(budget_markdown(none))
    assert "none: no channel" in said(budget_markdown(RECORD | {"experiment": None}))


def test_amounts_read_like_amounts():
    assert [amount(v) for v in (123456.7, 83.8, 9.876, 0.01234, 0.0)] == ["123,457", "84", "9.88", "0.0123", "0"]
