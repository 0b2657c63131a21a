"""Amendments: kept apart from the plain spec, joined, and said in words."""

import pytest

from evermix.core.amend import (
    amended_spec,
    amendments_of,
    in_words,
    join_amendments,
    keep_known,
    last_break,
    plain_spec,
)

SPEC = {"trend": True}
SEARCH = {"channel": "search", "from": "2026-03-02", "sd": 0.7}
TV = {"channel": "tv", "from": "2026-03-02", "sd": 0.7}
BOTH = {"effect_breaks": [SEARCH, TV], "level_breaks": ["2026-03-02"], "first_week": "2024-01-01"}


def test_a_spec_is_amended_and_plain_again():
    amended = amended_spec(SPEC, BOTH)
    assert amendments_of(amended) == BOTH
    assert plain_spec(amended) == SPEC == amended_spec(amended, {})
    assert amendments_of(SPEC) == {}


def test_amendments_of_two_reviews_add_up_and_the_same_one_counts_once():
    later = {"effect_breaks": [SEARCH | {"sd": 0.1}, SEARCH | {"from": "2026-09-07"}], "first_week": "2023-01-02"}
    joined = join_amendments(BOTH, later)
    assert joined["effect_breaks"] == [SEARCH, TV, SEARCH | {"from": "2026-09-07"}]
    assert joined["level_breaks"] == ["2026-03-02"]
    assert joined["first_week"] == "2024-01-01"
    assert join_amendments(joined, later) == joined
    assert join_amendments({}, {}) == {}


def test_breaks_of_a_channel_that_the_model_lacks_are_dropped():
    assert keep_known({"effect_breaks": [SEARCH, TV]}, ["tv"]) == {"effect_breaks": [TV]}
    assert keep_known({"effect_breaks": [SEARCH]}, ["tv"]) == {}


def test_the_last_break_says_since_when_an_effect_is_what_it_is():
    spec = amended_spec(SPEC, {"effect_breaks": [SEARCH, SEARCH | {"from": "2025-03-03"}]})
    assert last_break(spec, "search") == "2026-03-02"
    assert last_break(spec, "tv") is None


@pytest.mark.parametrize(
    ("amendments", "text"),
    [
        ({}, "none"),
        ({"effect_breaks": [SEARCH]}, "another effect of search from 2026-03-02"),
        (
            BOTH,
            "another effect of search and tv from 2026-03-02; another level from 2026-03-02; "
            "fitted on the weeks from 2024-01-01",
        ),
    ],
)
def test_amendments_are_said_in_words(amendments, text):
    assert in_words(amendments) == text
