"""The rules of degree for spend: what leaves a channel's own scale, and what true channels do."""

import numpy as np
import pandas as pd
import pytest

from evermix.core.quality import spend_keeps_scale


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
