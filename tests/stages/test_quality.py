"""The verb that shows a record of quality."""

import pytest
from core import ledgers
from stages.histories import keep_ledger, make_env, quality_point

from evermix.cli_print import quality_text
from evermix.core.quality_record import append_points, to_text
from evermix.errors import ConfigError
from evermix.stages.quality import show


@pytest.fixture
def env(tmp_path):
    first = [quality_point("2026-01-05", True), quality_point("2026-01-05", False, measure="completeness", value=None)]
    refused = [quality_point("2026-01-12", True, accepted=False)]
    healed = [quality_point("2026-01-12", False, delivery=2)]
    record = ""
    for points in (first, refused, healed):
        record = append_points(record, to_text(points))
    env = make_env(tmp_path)
    keep_ledger(env, "brand", ledgers.first_weeks(), None, record)
    return env


def test_the_last_delivery_is_shown_with_its_limits_and_how_often_each_series_was_outside(env):
    (told,) = show(env, ["brand"], None)
    assert (told["as_of"], len(told["points"]), len(told["series"])) == ("2026-01-12", 1, 4)
    text = quality_text([told])
    assert text.splitlines()[0] == "brand 2026-01-12: delivery 2"
    assert text.splitlines()[-1].split() == ["freshness_days", "all", "9", "9", "worst", "30", "2"]


def test_an_earlier_week_is_shown_as_it_was(env):
    (told,) = show(env, ["brand"], "2026-01-05")
    assert {point["measure"] for point in told["points"]} == {"freshness_days", "completeness"}
    assert quality_text([told]).splitlines()[3].startswith("outside")


def test_a_week_without_a_record_is_refused_and_a_model_without_one_says_what_to_do(env):
    with pytest.raises(ConfigError, match="2025-12-29, a week of brand without a record"):
        show(env, ["brand"], "2025-12-29")
    assert "no quality was recorded yet" in quality_text(show(env, ["demand"], None))
