"""Kinds load by name, or by import path on the allow-list."""

import pytest

from evermix.engines.models import load_kind
from evermix.engines.models.regression import RegressionKind
from evermix.errors import ConfigError


def test_shipped_kinds_load_by_short_name_and_by_path():
    assert load_kind("mmm").name == "mmm"
    assert isinstance(load_kind("evermix.engines.models.regression:RegressionKind"), RegressionKind)


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(ConfigError, match="Did you mean 'regression'"):
        load_kind("regresion")


def test_a_path_off_the_allow_list_is_refused_before_it_is_imported():
    with pytest.raises(ConfigError, match="EVERMIX_KINDS"):
        load_kind("antigravity:Model")


def test_a_path_that_is_no_kind_is_refused(monkeypatch):
    monkeypatch.setenv("EVERMIX_KINDS", "collections")
    with pytest.raises(ConfigError, match="is no model kind"):
        load_kind("collections:OrderedDict")
    with pytest.raises(ConfigError, match="does not load"):
        load_kind("collections:Nothing")
