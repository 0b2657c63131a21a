import shutil
import sqlite3

import pytest
import yaml
from deliveries import PROJECT, csv_bytes, weekly_text

from evermix.config import Environment, load_params
from evermix.errors import ConfigError, DataError
from evermix.stages import init


@pytest.fixture
def env(tmp_path):
    (tmp_path / "project").mkdir()
    shutil.copy(PROJECT / "params.yaml", tmp_path / "project")
    return Environment(tmp_path / "project", tmp_path / "home", "", "", "")


@pytest.fixture
def feed(env):
    path = env.project / "data" / "feed.csv"
    path.parent.mkdir()
    path.write_bytes(csv_bytes(weekly_text()))
    return str(path)


def test_entry_is_added_and_nothing_else_in_the_file_is_touched(env, feed):
    old = (env.project / "params.yaml").read_text()
    got = init.run(env, init.Origin(feed), "shop", yes=True, ask=None)
    new = (env.project / "params.yaml").read_text()
    assert new.startswith(old.rstrip())
    assert new.endswith(got["entry"])
    model = load_params(env.project / "params.yaml").model("shop")
    assert model.source.path == "data/feed.csv"
    assert model.sampler == load_params(env.project / "params.yaml").model("brand").sampler
    assert "spec: *mmm_spec" in got["entry"]


def test_summary_names_columns_and_what_comes_next(env, feed):
    got = init.run(env, init.Origin(feed), "shop", yes=True, ask=None)
    assert got["recognised"]["sales"].startswith("target")
    assert got["left_out"] == {}
    assert "watched" in got["recognised"]["search_clicks"]
    assert got["next"] == "evermix week --model shop --as-of 2025-02-17"
    assert "2024-12-23" in got["as_of_range"]
    assert got["written"]


def test_a_no_writes_nothing(env, feed):
    old = (env.project / "params.yaml").read_text()
    asked = []
    got = init.run(env, init.Origin(feed), "shop", yes=False, ask=lambda question: bool(asked.append(question)))
    assert not got["written"]
    assert "shop:" in asked[0]
    assert (env.project / "params.yaml").read_text() == old


def test_a_taken_name_is_replaced_only_by_force(env, feed):
    init.run(env, init.Origin(feed), "shop", yes=True, ask=None)
    with pytest.raises(ConfigError, match="has a model named 'shop'"):
        init.run(env, init.Origin(feed), "shop", yes=True, ask=None)
    once = (env.project / "params.yaml").read_text()
    init.run(env, init.Origin(feed), "shop", yes=True, ask=None, force=True)
    assert (env.project / "params.yaml").read_text() == once


def test_a_model_that_others_refer_to_is_not_replaced(env, feed):
    with pytest.raises(ConfigError, match="others refer to 'brand'"):
        init.run(env, init.Origin(feed), "brand", yes=True, ask=None, force=True)


def test_params_without_anchors_get_plain_blocks(env, feed):
    file = env.project / "params.yaml"
    brand = yaml.safe_load(file.read_text())["models"]["brand"]
    file.write_text(yaml.safe_dump({"models": {"brand": brand}}, sort_keys=False))
    init.run(env, init.Origin(feed), "shop", yes=True, ask=None)
    assert load_params(file).model("shop").gate == load_params(file).model("brand").gate


def test_column_names_that_yaml_could_misread_are_quoted(env):
    path = env.project / "odd.csv"
    odd = {"week": "2024", "sales": "y", "tv_spend": 'on "air" spend: #1', "price": "price"}
    path.write_bytes(csv_bytes(weekly_text()[list(odd)].rename(columns=odd)))
    init.run(env, init.Origin(str(path)), "shop", yes=True, ask=None)
    columns = load_params(env.project / "params.yaml").model("shop").columns
    assert (columns.date, columns.target.column) == ("2024", "y")
    assert [c.spend for c in columns.channels.values()] == ['on "air" spend: #1']


def test_file_without_media_becomes_a_regression(env):
    path = env.project / "demand.csv"
    path.write_bytes(csv_bytes(weekly_text()[["week", "sales", "price", "promo"]]))
    init.run(env, init.Origin(str(path)), "demand2", yes=True, ask=None)
    assert load_params(env.project / "params.yaml").model("demand2").kind == "regression"


def test_bad_name_and_missing_file_are_told_before_anything_is_read(env, feed):
    with pytest.raises(ConfigError, match="'My Shop'"):
        init.run(env, init.Origin(feed), "My Shop", yes=True, ask=None)
    with pytest.raises(DataError, match="is not a file"):
        init.run(env, init.Origin("nowhere.csv"), "shop", yes=True, ask=None)


def test_a_file_separated_by_semicolons_is_named_as_such(env, tmp_path):
    (tmp_path / "semi.csv").write_text("week;sales;tv\n2024-01-01;1006,29;1\n")
    with pytest.raises(DataError, match=r"semi.csv is separated by ';', expected ','"):
        init.run(env, init.Origin(str(tmp_path / "semi.csv")), "semi", True, None)


@pytest.fixture
def shop(env):
    with sqlite3.connect(env.project / "shop.db") as connection:
        weekly_text().to_sql("feed", connection, index=False)
    connection.close()
    return f"sqlite:///{env.project}/shop.db"


def test_a_query_is_recognised_as_a_file_is(env, shop):
    got = init.run(env, init.Origin(shop, "select * from feed order by sales"), "shop", yes=True, ask=None)
    assert got["recognised"]["sales"].startswith("target")
    source = load_params(env.project / "params.yaml").model("shop").source
    assert (source.path, source.format) == ("sqlite:///shop.db", "sql")
    assert source.query == "select * from feed order by sales"
    assert "in a query of shop.db" in got["entry"]
    assert env.source_path(source.path) == shop


def test_optional_keys_that_say_nothing_are_not_written(env, feed):
    entry = init.run(env, init.Origin(feed), "shop", yes=True, ask=None)["entry"]
    assert not any(key in entry for key in ("query", "plan", "retired", "bursty", "masked_weeks", "personal_data"))


@pytest.mark.parametrize(
    ("source", "query", "words"),
    [
        ("postgresql://me:secret@host/db", "select 1", "holds a password"),
        ("postgresql+psycopg2://me:${EVERMIX_PW}@host/db", None, "what to ask it with --query"),
        ("feed.csv", "select 1", "no SQLAlchemy URL"),
    ],
)
def test_a_database_wants_a_query_and_no_password(env, source, query, words):
    with pytest.raises(ConfigError, match=words) as caught:
        init.run(env, init.Origin(source, query), "shop", yes=True, ask=None)
    assert "secret" not in str(caught.value)


def test_the_label_that_was_assumed_is_said_and_can_be_set(env, feed):
    assumed = init.run(env, init.Origin(feed), "shop", yes=True, ask=None)
    said = "a row dated 2025-02-17 (MON) is taken as the first day of its week (label start, week_start MON)"
    assert said in assumed["recognised"]["week"]
    assert "if it is the last day of its week, say --label end" in assumed["recognised"]["week"]
    init.run(env, init.Origin(feed, label="end"), "shop", yes=True, ask=None, force=True)
    source = load_params(env.project / "params.yaml").model("shop").source
    assert (source.label, source.week_start) == ("end", "TUE")


def test_counts_of_a_channel_are_watched_and_the_shared_limits_stay_shared(env, feed):
    got = init.run(env, init.Origin(feed), "shop", yes=True, ask=None)
    models = load_params(env.project / "params.yaml").models
    assert models["shop"].validation.tracked == {"search": ["search_clicks"]}
    assert models["brand"].validation.tracked == {}
    assert "      <<: *validation\n      tracked:" in got["entry"]
    shared = models["brand"].validation.model_dump() | {"tracked": {"search": ["search_clicks"]}}
    assert models["shop"].validation.model_dump() == shared


def test_counts_of_another_model_are_not_taken_over_with_its_limits(env, feed):
    file = env.project / "params.yaml"
    data = yaml.safe_load(file.read_text())
    data["models"]["brand"]["validation"] = data["models"]["brand"]["validation"] | {"tracked": {"tv": ["tv_clicks"]}}
    file.write_text(yaml.safe_dump({"models": {"brand": data["models"]["brand"]}}, sort_keys=False))
    init.run(env, init.Origin(feed), "shop", yes=True, ask=None)
    assert load_params(file).models["shop"].validation.tracked == {"search": ["search_clicks"]}
