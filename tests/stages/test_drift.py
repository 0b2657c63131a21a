"""Plain PSI of two files."""

import numpy as np
import pandas as pd
import pytest

from evermix.errors import DataError
from evermix.stages import drift


def write(path, mean, rows=2000):
    random = np.random.default_rng(rows)
    frame = pd.DataFrame({"spend": random.normal(mean, 1, rows).round(4), "place": random.choice(["uk", "us"], rows)})
    frame.loc[0, "spend"] = None
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return str(path)


def test_csv_is_compared_with_parquet_and_the_moved_column_comes_first(tmp_path):
    told = drift.run(write(tmp_path / "a.csv", 0.0), write(tmp_path / "b.parquet", 1.0, 3000))
    assert told["rows"] == {"reference": 2000, "current": 3000}
    assert [(c["column"], c["verdict"]) for c in told["columns"]] == [("spend", "large"), ("place", "stable")]
    assert "Wrong on weekly series" in told["note"]


def test_a_short_table_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="expected 1000 or more"):
        drift.run(write(tmp_path / "a.csv", 0.0, 60), write(tmp_path / "b.csv", 0.0))
