"""The rules of degree for spend: what leaves a channel's own scale, and what true channels do."""

import numpy as np
import pandas as pd
import pytest

from evermix.core.quality import input_keeps_scale, keeps_digits, spend_holds, spend_keeps_scale


def kept(values, jump=20.0):
    weeks = pd.date_range("2025-01-06", periods=len(values), freq="W-MON")
    index = pd.MultiIndex.from_product([weeks, ["total"]], names=["week", "geo"])
    spend = pd.Series(np.asarray(values, float), index=index)
    return bool(spend_keeps_scale(spend, 3 * spend, jump).iloc[-1])


EVEN = [100.0, 140.0, 90.0, 120.0] * 13


@pytest.mark.parametrize(("last", "keeps"), [(139.0, True), (420.0, True), (561.0, False), (1000.0, False)])
def test_a_tenfold_week_of_an_even_channel_is_a_slip_and_a_threefold_one_is_not(last, keeps):
    assert kept([*EVEN, last]) is keeps


def test_a_channel_that_paused_may_leap_tenfold():
    assert kept([*EVEN[:-10], 0.0, *EVEN[-9:], 1000.0])


def test_a_channel_that_leapt_before_may_leap_again():
    assert kept([*EVEN[:-10], 900.0, *EVEN[-9:], 4000.0])


def test_a_stricter_jump_holds_for_even_channels_too():
    assert not kept([*EVEN, 420.0], jump=2.5)


def column(values, function, *more):
    weeks = pd.date_range("2020-01-06", periods=len(values), freq="W-MON")
    index = pd.MultiIndex.from_product([weeks, ["total"]], names=["week", "geo"])
    return bool(function(pd.Series(np.asarray(values, float), index=index), *more).iloc[-1])


@pytest.mark.parametrize(("last", "holds"), [(90.0, True), (30.0, True), (10.0, False), (0.0, True)])
def test_a_tenth_of_an_even_channel_is_noticed_and_a_third_or_a_pause_is_not(last, holds):
    assert column([*EVEN, last], spend_holds) is holds


@pytest.mark.parametrize(("last", "keeps"), [(0.0, True), (1.0, True), (2.0, False), (0.5, False)])
def test_an_event_that_rested_for_two_years_is_still_0_or_1(last, keeps):
    assert column([*[0.0] * 30, 1.0, *[0.0] * 110, last], input_keeps_scale, 5.0) is keeps


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        (["1034.5", "998.25", "1.0E+03"], False),
        (["1034.5", "998.25", "1.0e+03"], False),
        (["0.48712", "0.52031", "5.0e-01"], False),
        (["85000", "120000", "1e+05"], True),
        (["1.0e+03", "9.9e+02", "1.1e+03"], False),
        (["1034.5", "998.25", "1.0345000000000000e+03"], True),
    ],
)
def test_a_short_exponent_loses_digits_unless_the_column_has_no_more(cells, kept):
    assert bool(keeps_digits(pd.Series(cells, dtype="str")).all()) is kept
