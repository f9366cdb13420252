import sqlite3
from contextlib import closing

import pytest

from searchlab.tracking import TRACKERS
from searchlab.tracking.mlflow import places, template
from searchlab.tracking.mlflow.store import Store


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def schema(file):
    with closing(sqlite3.connect(file)) as database:
        rows = database.execute("select name, sql from sqlite_master order by name").fetchall()
        return rows, database.execute("select * from alembic_version").fetchall()


def store(home):
    return Store(places.resolve(None, home), experiment="e", home=home)


@pytest.mark.slow
def test_a_copied_store_has_the_tables_that_mlflow_makes_and_nothing_of_the_first(tmp_path):
    from mlflow.store.db.utils import _get_latest_schema_revision

    first, second = tmp_path / "first", tmp_path / "second"
    store(first)
    assert template.path().exists()
    store(second)
    made, copied = schema(first / "mlflow.db"), schema(second / "mlflow.db")
    assert copied == made
    assert copied[1] == [(_get_latest_schema_revision(),)]
    with closing(sqlite3.connect(second / "mlflow.db")) as database:
        names = database.execute("select name, artifact_location from experiments").fetchall()
    assert [name for name, _ in names] == ["Default", "e"]
    assert not [place for _, place in names if "first" in place]


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_a_broken_template_is_no_harm(tmp_path, content):
    template.path().parent.mkdir(parents=True)
    template.path().write_bytes(content)
    file = tmp_path / "mlflow.db"
    template.copy_to(file)
    assert TRACKERS.get("mlflow").check(None, home=tmp_path) is None
    assert store(tmp_path).experiment_id == "1"


def test_a_store_that_is_there_is_left_alone(tmp_path):
    file = tmp_path / "mlflow.db"
    file.write_bytes(b"something")
    assert not template.copy_to(file)
    assert file.read_bytes() == b"something"


def test_a_cache_that_cannot_be_written_is_no_trouble(tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("create table experiments (a)")
    template.keep(file)
    assert not template.copy_to(tmp_path / "other.db")
