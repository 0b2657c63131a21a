"""Forecasts frozen at close and scored weeks later: the posterior of then, nothing learned since, once."""

import numpy as np
import pytest
from stages.world import (
    FITTED_WEEKS,
    make_draws,
    make_panel,
    make_params,
    version_file,
    week_of,
    write_champion,
    write_week,
)

from evermix.core.draws import hash_draws, hash_weights, stack_draws
from evermix.engines.models import load_kind
from evermix.engines.models.drawsfile import save_tree, weights_bytes
from evermix.engines.store import Store, copy_folder, read_json, write_bytes, write_json
from evermix.errors import StoreError
from evermix.records import VersionFile
from evermix.stages import monitor
from evermix.stages.horizons import FOLDER, freeze_origin, keep_draws

ORIGIN = FITTED_WEEKS - 1


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "brand")


def live_as_before(store):
    """Let ``live/`` be what the next week will find in ``in/``."""
    write_champion(store)
    copy_folder(store.before, store.live)


def scores(store):
    return read_json(store.monitored / "scores.json")


def play(store, weeks, log=()):
    copy_folder(store.live, store.before)
    if log:
        write_json(store.before / "prequential.json", {"rows": list(log), "reset_after": None})
    write_week(store, make_panel(weeks), make_panel(weeks - 1))
    monitor.run(store, make_params())
    return scores(store)


def test_the_fourth_week_after_an_origin_is_scored_by_what_was_known_then(store):
    live_as_before(store)
    freeze_origin(store, week_of(ORIGIN), 100)
    found = play(store, FITTED_WEEKS + 4)
    (row,) = [row for row in found if row["horizon"] == 4]
    assert (row["week"], row["version"], row["as_of"]) == (
        week_of(ORIGIN + 4),
        version_file()["id"],
        week_of(ORIGIN + 4),
    )
    champion = VersionFile.model_validate(version_file())
    draws, panel = stack_draws(make_draws(), 100), make_panel(FITTED_WEEKS + 4)
    mean = load_kind("regression").predict(draws, panel, champion.columns, champion.spec, champion.basis).expected()
    assert row["mean"] == pytest.approx(mean[-1])
    # Once: the same target is not scored again with the log that closing wrote.
    assert [row for row in play(store, FITTED_WEEKS + 4, found) if row["horizon"] == 4] == []


def test_a_frozen_update_is_asked_by_its_weights(store):
    log_weights = np.full(4000, -1e9)
    log_weights[7] = 0.0
    live_as_before(store)
    changed = version_file(parent=version_file()["id"], weights_hash=hash_weights(log_weights))
    write_json(store.live / "champion.json", changed)
    write_bytes(store.live / "weights.npy", weights_bytes(log_weights))
    freeze_origin(store, week_of(ORIGIN), 100)
    assert set(read_json(store.live / FOLDER / f"{week_of(ORIGIN)}.json")["draws"]) == {7}


def test_draws_of_a_former_fit_are_kept_as_long_as_its_forecasts_are_due(store):
    live_as_before(store)
    freeze_origin(store, week_of(ORIGIN), 100)
    newer = VersionFile.model_validate(
        version_file(draws_hash=hash_draws(make_draws(seed=9)["posterior"].to_dataset()))
    )
    keep_draws(store, newer)
    save_tree(make_draws(seed=9), store.live / "base.nc")
    write_json(store.live / "champion.json", newer.model_dump())
    kept = store.live / FOLDER / f"{version_file()['draws_hash']}.nc"
    freeze_origin(store, week_of(ORIGIN + 1), 100)
    assert kept.is_file()
    found = play(store, FITTED_WEEKS + 4)
    assert [row["horizon"] for row in found if row["week"] == week_of(ORIGIN + 4)].count(4) == 1
    freeze_origin(store, week_of(ORIGIN + 27), 100)
    assert not kept.exists()
    assert not (store.live / FOLDER / f"{week_of(ORIGIN)}.json").exists()


def test_draws_that_are_not_those_of_the_frozen_version_are_refused(store):
    live_as_before(store)
    freeze_origin(store, week_of(ORIGIN), 100)
    save_tree(make_draws(seed=9), store.live / FOLDER / f"{version_file()['draws_hash']}.nc")
    with pytest.raises(StoreError, match="is not the draws of"):
        play(store, FITTED_WEEKS + 4)


def test_what_is_frozen_of_half_a_year_is_a_few_hundred_kilobytes(store):
    live_as_before(store)
    for number in range(27):
        freeze_origin(store, week_of(ORIGIN + number), 1000)
    files = list((store.live / FOLDER).iterdir())
    assert len(files) == 27
    assert sum(file.stat().st_size for file in files) < 600_000
