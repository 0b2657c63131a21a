"""Plain PSI for large tables."""

import numpy as np
import pandas as pd
import pytest

from evermix.core import psi
from evermix.errors import DataError

RANDOM = np.random.default_rng(0)


def test_plain_psi_by_hand():
    reference, window = np.arange(8.0), np.array([6.0, 7.0])
    # Quarters of the reference; the window lies in the last one, the others are floored at 1e-4.
    expected = 3 * (1e-4 - 0.25) * np.log(1e-4 / 0.25) + (1 - 0.25) * np.log(1 / 0.25)
    assert psi.plain_psi(reference, window, 4) == pytest.approx(expected)


def test_plain_psi_puts_an_edge_value_where_the_reference_has_it():
    reference = np.array([0.0, 1.0, 1.0, 2.0, 3.0, 4.0])
    assert psi.plain_psi(reference, reference, 4) == pytest.approx(0.0)


def test_large_tables_of_one_population_are_stable_and_a_moved_column_is_large():
    reference = pd.DataFrame({"a": RANDOM.normal(size=5000), "b": RANDOM.gamma(2, size=5000)})
    current = pd.DataFrame({"a": RANDOM.normal(0.6, size=3000), "b": RANDOM.gamma(2, size=3000)})
    found = {column.column: column for column in psi.table_psi(reference, current)}
    assert found["a"].verdict == "large"
    assert found["b"].verdict == "stable"
    assert found["a"].psi == pytest.approx(0.6**2, rel=0.2)


def test_mean_of_quiet_psi_is_what_yurdakul_says():
    quiet = []
    for _ in range(60):
        reference, current = (pd.DataFrame({"a": RANDOM.normal(size=n)}) for n in (4000, 1000))
        (column,) = psi.table_psi(reference, current)
        quiet.append(column.psi)
    # Ten bins and that of missing values, which is empty and free.
    assert np.mean(quiet) == pytest.approx(9 * (1 / 4000 + 1 / 1000), rel=0.25)
    assert column.quiet_psi == pytest.approx(9 * (1 / 4000 + 1 / 1000))


def test_words_are_counted_by_word_and_missing_is_a_word():
    reference = pd.DataFrame({"where": ["uk"] * 600 + ["us"] * 400})
    current = pd.DataFrame({"where": ["uk"] * 300 + ["us"] * 400 + [None] * 300})
    (column,) = psi.table_psi(reference, current)
    expected = (0.3 - 0.6) * np.log(0.3 / 0.6) + (0.3 - 1e-4) * np.log(0.3 / 1e-4)
    assert column.psi == pytest.approx(expected)


def test_a_weekly_table_is_refused_with_the_way_out():
    weekly = pd.DataFrame({"a": RANDOM.normal(size=130)})
    with pytest.raises(DataError, match=r"reference has 130 rows, current has 13 rows, expected 1000 or more.*weekly"):
        psi.table_psi(weekly, weekly[:13])


def test_tables_without_a_common_column_are_refused():
    with pytest.raises(DataError, match="no column in common"):
        psi.table_psi(pd.DataFrame({"a": np.zeros(1000)}), pd.DataFrame({"b": np.zeros(1000)}))
