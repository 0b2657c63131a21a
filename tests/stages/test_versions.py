"""Versions in and out of ``live/``: a fit has no weights, an update its own, and the history gives both back whole."""

import numpy as np
import pytest
from stages.histories import make_env
from stages.world import FITTED_WEEKS, make_draws, make_panel, version_file

from evermix.core.draws import hash_weights
from evermix.engines.history import History
from evermix.engines.models.drawsfile import save_tree, weights_bytes
from evermix.engines.sources import panel_bytes
from evermix.engines.store import Store, hash_bytes, write_bytes
from evermix.errors import StoreError
from evermix.records import VersionFile
from evermix.stages.close import set_champion
from evermix.stages.posterior import load_live
from evermix.stages.versions import find_version

PANEL = panel_bytes(make_panel(FITTED_WEEKS))
WEIGHTS = np.log(np.full(4000, 1 / 4000))
FIT = VersionFile.model_validate(version_file(panel_hash=hash_bytes(PANEL)))
UPDATE = FIT.model_copy(
    update={"id": "brand/2026-01-05/aaaaaaaa", "parent": FIT.id, "weights_hash": hash_weights(WEIGHTS)}
)


@pytest.fixture(scope="module")
def draws(tmp_path_factory):
    path = tmp_path_factory.mktemp("draws") / "base.nc"
    save_tree(make_draws(), path)
    return path.read_bytes()


@pytest.fixture
def files(draws):
    return {"base.nc": draws, "base_panel.parquet": PANEL}


def test_a_fit_takes_the_weights_of_an_update_away_and_an_update_brings_its_own(tmp_path, files):
    store = Store(tmp_path, "brand")
    set_champion(store, UPDATE, {**files, "weights.npy": weights_bytes(WEIGHTS)})
    assert np.array_equal(load_live(store.live, UPDATE).log_weights, WEIGHTS)
    set_champion(store, FIT, files)
    assert not (store.live / "weights.npy").exists()
    assert load_live(store.live, FIT).log_weights is None
    assert len(load_live(store.live, FIT).base_panel) == FITTED_WEEKS


def test_a_version_from_before_updates_leaves_no_panel_of_another_fit_behind(tmp_path, files):
    store = Store(tmp_path, "brand")
    set_champion(store, FIT, files)
    set_champion(store, FIT.model_copy(update={"panel_hash": None}), {"base.nc": files["base.nc"]})
    assert not (store.live / "base_panel.parquet").exists()


def test_an_update_whose_weights_are_gone_is_refused(tmp_path, files):
    store = Store(tmp_path, "brand")
    set_champion(store, UPDATE, files)
    with pytest.raises(StoreError, match=r"weights.npy: not there, expected the weights of brand/2026-01-05/aaaaaaaa"):
        load_live(store.live, UPDATE)


def test_the_history_gives_back_a_fit_and_its_update_each_with_its_files(tmp_path, files):
    history = History(make_env(tmp_path), "brand")
    with history.locked():
        history.sync()
        store = Store(history.root, "brand")
        write_bytes(store.live / "panel.parquet", PANEL)
        for version, more in ((FIT, {}), (UPDATE, {"weights.npy": weights_bytes(WEIGHTS)})):
            set_champion(store, version, files | more)
            history.commit(version.id)
        fit, update = (find_version(history, version.id) for version in (FIT, UPDATE))
    assert set(fit.files) == {"champion.json", "base.nc", "panel.parquet", "base_panel.parquet"}
    assert set(update.files) == {*fit.files, "weights.npy"}
    assert update.version == UPDATE
    assert update.files["weights.npy"] == weights_bytes(WEIGHTS)


def test_an_update_is_of_its_fit_and_as_old_as_it():
    assert (UPDATE.base, UPDATE.fitted_as_of) == (FIT.id, FIT.as_of)
    assert FIT.base == FIT.id
